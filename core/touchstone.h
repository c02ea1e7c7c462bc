// The touchstone: the broker's signature over a coin's root and terms
// (PROTOCOL.md section 4). It verifies every payword of the coin.
#pragma once

#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/key.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay {

struct Touchstone {
    std::string iss;      // the broker's issuer
    std::string coin;     // 22 characters
    Tag16 tag{};          // its 16 bytes
    Currency cur;
    Amount unit;          // ≥ 1, per payword
    std::uint32_t n = 0;  // 1 … 2^20
    Salt salt{};
    Payword root;
    UnixTime iat = 0;
    UnixTime exp = 0;     // last second a vendor may accept
};

std::string sign_touchstone(const Touchstone& t, const SigningKey& broker);

// Checks signature, issuer, members, that coin is the hash of salt and root,
// and exp ≥ now. Errors: those of jws::verify, malformed, mismatch, expired
// (the only one that a good touchstone can come to with time).
Result<Touchstone> verify_touchstone(std::string_view token, std::string_view issuer, const KeySet& broker,
                                     UnixTime now);

}  // namespace netpay
