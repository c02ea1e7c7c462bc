// The credential of a paid request (PROTOCOL.md section 5):
// b64u(JSON {"challenge": {the parameters echoed}, "payload": {…}}).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/challenge.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay {

struct PaymentPayload {
    std::string coin;         // 22 characters
    Tag16 tag{};              // its 16 bytes
    std::uint64_t index = 0;  // j, not yet judged against the chain
    Payword payword;          // W_j
    std::optional<std::string> touchstone;     // JWS, not yet verified
    std::optional<Amount> max;                 // the most the payer accepts for this resource
    std::optional<std::string> holder;         // an origin
    std::optional<std::uint64_t> held;         // an index spent there
};

struct Credential {
    Challenge challenge;
    PaymentPayload payload;
};

// Reads the token68 after "Payment ". Errors by code:
//   malformed, limit    not base64url, not JSON, challenge members missing or
//                       of the wrong type             → malformed-credential
//   mismatch            the challenge is for another method → method-unsupported
//   malformed_payload   the same for payload members  → invalid-payload
// Unknown members, `source` among them, are passed over.
Result<Credential> parse_credential(std::string_view token68);

// The token68, for a wallet.
std::string format_credential(const Credential& c);

}  // namespace netpay
