// Custody and the signed index (PROTOCOL.md sections 4 and 7): who may accept
// a coin, and how far it was spent when it was passed on.
#pragma once

#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/key.h"
#include "core/result.h"

namespace netpay {

// The broker's word that `sub` may accept a coin until `exp`.
struct Custody {
    std::string iss, sub;  // broker, vendor origin
    std::string coin;
    std::uint64_t epoch = 0;  // 1, 2, …
    std::uint32_t index = 0;  // taken over: units 1 … index are spent
    Payword payword;          // W_index
    UnixTime iat = 0, exp = 0;  // exp: end of the lease
};

// A vendor's word on how far a coin was spent in its hands.
struct SignedIndex {
    std::string iss, aud;  // releasing vendor; receiving vendor or broker
    std::string coin;
    std::uint64_t epoch = 0;  // the releasing vendor's own
    std::uint32_t index = 0;  // its s, never r
    Payword payword;          // W_index
    UnixTime iat = 0, exp = 0;  // exp: end of the releasing vendor's lease
    // The issuer of the coin; empty where the signer does not say. A wallet can
    // buy one chain at two brokers, and then only this tells the coins apart:
    // an index of the one coin must not bind its signer for the other.
    std::string broker{};

    // Whether it may be about that issuer's coin.
    bool speaks_to(std::string_view issuer) const { return broker.empty() || broker == issuer; }
};

std::string sign_custody(const Custody& c, const SigningKey& broker);
std::string sign_index(const SignedIndex& i, const SigningKey& vendor);

// Signature and members; neither times nor parties are judged: a signed index
// binds its signer whenever it is shown. The caller compares iss, sub or aud,
// coin and, by walk_down(), the payword with the root.
Result<Custody> verify_custody(std::string_view token, const KeySet& broker);
Result<SignedIndex> verify_index(std::string_view token, const KeySet& vendor);

}  // namespace netpay
