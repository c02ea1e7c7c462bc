// Why a claim is rejected (PROTOCOL.md section 8). Where several apply, the
// first in this order is named: what the line says, then what the broker
// knows without hashing, then the hash.
#pragma once

#include <string_view>

namespace netpay::broker::redeem {

enum class Reason : int {
    malformed = 1,  // not a claim
    unknown_coin,   // not a coin of this broker
    range,          // from ≥ to, or to > n
    not_held,       // not inside this vendor's epochs, or more than 90 days past the coin's exp
    overlap,        // a unit of it was credited before, or is claimed by an earlier line
    forged,         // the payword is not W_to; also every line after the 100th of that kind
};

constexpr std::string_view name_of(Reason r) {
    switch (r) {
        case Reason::malformed: return "malformed";
        case Reason::unknown_coin: return "unknown-coin";
        case Reason::range: return "range";
        case Reason::not_held: return "not-held";
        case Reason::overlap: return "overlap";
        case Reason::forged: return "forged";
    }
    return "malformed";
}

}  // namespace netpay::broker::redeem
