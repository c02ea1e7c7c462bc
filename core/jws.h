// JWS compact serialisation (RFC 7515), EdDSA with Ed25519 (RFC 8037) only,
// under the rules of PROTOCOL.md section 4.
#pragma once

#include <string>
#include <string_view>

#include "core/json.h"
#include "core/key.h"
#include "core/result.h"

namespace netpay::jws {

// The token types of section 4.
inline constexpr std::string_view touchstone = "netpay-touchstone+jwt";
inline constexpr std::string_view vendor = "netpay-vendor+jwt";
inline constexpr std::string_view custody = "netpay-custody+jwt";
inline constexpr std::string_view index = "netpay-index+jwt";
inline constexpr std::string_view request = "netpay-request+jwt";
inline constexpr std::string_view batch = "netpay-batch+jwt";
inline constexpr std::string_view redeemed = "netpay-redeemed+jwt";

// Header {alg, kid, typ} and payload in JCS.
std::string sign(std::string_view typ, const json::Object& payload, const SigningKey& key);

struct Verified {
    json::Document payload;  // root is an object
    std::string kid;
};

// Checks form, typ, alg, absence of crit, and the signature by the key that
// kid names. Errors: malformed, limit, unknown_key, forged. Times and members
// are the caller's to check.
Result<Verified> verify(std::string_view token, std::string_view typ, const KeySet& keys);

// The payload without any check of the signature, to find out whose key to
// ask for (a request's iss). Nothing in it may be believed.
Result<json::Document> peek(std::string_view token);

}  // namespace netpay::jws
