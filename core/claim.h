// Redemption (PROTOCOL.md section 8): claims, the batch token over them, and
// the broker's receipt.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/key.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay {

// To be paid for units from < i ≤ to of one coin; payword is W_to.
struct Claim {
    std::string coin;
    std::uint32_t from = 0, to = 0;
    Payword payword;
};

// One NDJSON line without its line feed.
std::string format_claim(const Claim& c);
// Errors: malformed. from and to are read, not judged against each other or
// the coin (a range that is wrong is a claim that is rejected, not a bad line).
Result<Claim> parse_claim(std::string_view line);

// "sha-256=:…:" (RFC 9530) of a body's digest.
std::string content_digest(const Digest& body);

struct Batch {
    std::string iss, aud;  // vendor origin, broker
    std::string batch;     // unique per vendor, 1 … 64 characters
    std::string digest;    // content_digest() of the body as sent
    UnixTime iat = 0;
};
std::string sign_batch(const Batch& b, const SigningKey& vendor);
// Signature, members and aud. iat is not judged: a batch is idempotent, and a
// vendor may send it again much later.
Result<Batch> verify_batch(std::string_view token, std::string_view broker, const KeySet& vendor);

struct Redeemed {
    std::string iss, aud;  // broker, vendor origin
    std::string batch, digest;
    std::uint64_t accepted = 0, rejected = 0;
    std::map<Currency, Amount> credited;
    UnixTime iat = 0;
};
std::string sign_redeemed(const Redeemed& r, const SigningKey& broker);
Result<Redeemed> verify_redeemed(std::string_view token, std::string_view vendor, const KeySet& broker);

}  // namespace netpay
