// How far a coin is granted to sites: one number G for each coin, the same for
// all of them. A site that serves an e-wallet is shown W_G and can spend the
// units up to G, no more, whatever it does. G rises here alone, by what the
// reader's limits leave for the day, and never falls.
//
// All of it is arithmetic on units; what is counted and where is in limits.h.
#pragma once

#include <cstdint>

#include "core/money.h"

namespace netpay::broker::ewallet {

struct Position {
    std::uint32_t n = 0;        // of the coin
    std::uint32_t spent = 0;    // s: the highest index that is known to be spent, or said to be
    std::uint32_t granted = 0;  // G
    std::uint32_t shown = 0;    // the highest index this site was ever shown; 0: none
};

// In units of the coin.
struct Allowance {
    std::uint32_t day = 0;   // a whole day's limit, the stricter one
    std::uint32_t here = 0;  // left today of this site's
    std::uint32_t all = 0;   // left today of all sites' together
};

struct Grant {
    std::uint32_t shown = 0;    // the site is given the payword at this index
    std::uint32_t granted = 0;  // G from now on
    std::uint32_t raised = 0;   // units by which G rose: of all sites' limit and of this site's
    std::uint32_t moved = 0;    // units that others were granted before: of this site's limit alone
};

// need: units of the page that is asked for. The site is shown what its own
// limit and all sites' leave, and not more than a day's limit beyond what is
// spent: what lies unused is not added to. confirmed: the reader has agreed to
// this very page, for which there is room whatever the limits leave.
Grant grant(const Position& at, const Allowance& left, std::uint32_t need, bool confirmed);

// limit - used in whole units, never more than a chain has.
std::uint32_t units_left(Amount limit, Amount used, Amount unit);

}  // namespace netpay::broker::ewallet
