// Challenges of the `Payment` HTTP authentication scheme, method `netpay`
// (PROTOCOL.md section 5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/hash.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay {

inline constexpr std::string_view method_netpay = "netpay";
inline constexpr std::string_view intent_session = "session";
inline constexpr std::string_view intent_charge = "charge";
// The value of the `header` parameter where the credential does not come in Authorization.
inline constexpr std::string_view payment_header = "Payment-Authorization";

// The auth-params of one challenge, as sent and as echoed in a credential.
struct Challenge {
    std::string id;  // b64u of the HMAC
    std::string realm, method, intent;
    std::string request;                // b64u(JCS(…))
    std::optional<std::string> expires; // RFC 3339
    std::optional<std::string> digest, opaque, header;
};

// What `request` says.
struct PaymentTerms {
    Amount amount;  // ≥ 1
    Currency currency;
    std::string recipient;  // vendor origin
    std::vector<std::string> brokers;
};
std::string encode_terms(const PaymentTerms& t);
Result<PaymentTerms> parse_terms(std::string_view request);

// b64u(HMAC-SHA256(secret, realm|method|intent|request|expires|digest|opaque[|header])).
// Errors: malformed if a parameter contains '|'.
Result<std::string> challenge_id(const Challenge& c, const Hmac& secret);

// Whether c.id is that of one of the secrets (current first). Constant time
// in the id; false for a parameter with '|'.
bool verify_challenge_id(const Challenge& c, const Hmac& current, const Hmac* previous);

// now + life, rounded up to a multiple of 300 s, so that it tells nobody apart.
UnixTime challenge_expires(UnixTime now, std::int64_t life_s);

// First 16 bytes of SHA-256(method ‖ " " ‖ uri). uri: the vendor's configured
// origin ‖ the raw request-target with its query.
Tag16 resource_binding(std::string_view method, std::string_view uri);
// opaque of a charge: b64u(JCS({"b": b64u(binding)})).
std::string encode_opaque(const Tag16& binding);
// The binding in an opaque; other members are passed over. nullopt if malformed.
std::optional<Tag16> parse_opaque(std::string_view opaque);

// `Payment id="…", realm="…", …`, one field value of WWW-Authenticate.
std::string format_challenge(const Challenge& c);

// The Payment challenges among the challenges of one WWW-Authenticate field
// value (RFC 9110 section 11.6.1), in order; challenges of other schemes and
// Payment challenges without id, realm, method, intent or request, or with a
// parameter given twice, are passed over. At most 32 are read.
std::vector<Challenge> parse_challenges(std::string_view field);

}  // namespace netpay
