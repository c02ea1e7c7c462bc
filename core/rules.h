// The rules that money depends on, by name, so that the simulator's canary
// build (make sim-canary) can leave one out and must catch the loss. In every
// other build holds() is the constant true and nothing of this is left in the
// program.
#pragma once

namespace netpay::rules {

enum class Rule {
    none,
    refuse_before_release,      // section 7: the holder refuses, durably, before its signed index leaves
    lease_margin,               // section 7: an epoch ends no earlier than exp + 10 minutes + the broker's downtime
    confirmed_epochs,           // section 8: a claim lies inside the vendor's confirmed epochs
    overlap_check,              // section 8: no unit is credited twice
    monotone_index,             // section 7: a vendor that regains a coin never lets its s fall
    reservations_before_release,  // section 6: a hand-over waits for open reservations
    told_is_not_given_back,     // doc/till.md: no page is given back whose units anybody was told of
};

#ifdef NETPAY_CANARY
// The rule left out; set by the simulator before it starts.
extern Rule left_out;
inline bool holds(Rule r) { return r != left_out; }
#else
constexpr bool holds(Rule) { return true; }
#endif

}  // namespace netpay::rules
