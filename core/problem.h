// Problem documents (RFC 9457) of the Payment scheme (PROTOCOL.md section 5).
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"

namespace netpay {

inline constexpr std::string_view problem_base = "https://paymentauth.org/problems/";

namespace problem {
inline constexpr std::string_view payment_required = "payment-required";
inline constexpr std::string_view malformed_credential = "malformed-credential";
inline constexpr std::string_view invalid_payload = "invalid-payload";
inline constexpr std::string_view invalid_challenge = "invalid-challenge";
inline constexpr std::string_view payment_expired = "payment-expired";
inline constexpr std::string_view payment_insufficient = "payment-insufficient";
inline constexpr std::string_view verification_failed = "verification-failed";
inline constexpr std::string_view method_unsupported = "method-unsupported";
inline constexpr std::string_view internal_payment_error = "internal-payment-error";
}  // namespace problem

// {"type", "title", "status", "detail"}; the caller adds members. `name` is
// one of the above, or a whole URI ("about:blank" style types of other APIs).
json::Object problem_document(std::string_view name, int status, std::string_view title, std::string_view detail);

}  // namespace netpay
