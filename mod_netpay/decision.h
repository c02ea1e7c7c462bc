// What became of a request at the gate, as the metrics and the payment log
// name it.
#pragma once

#include <cstddef>
#include <string_view>

namespace netpay {

enum class Decision {
    paid,                  // settled: a 2xx left
    replayed,              // served again within the grace time
    free,                  // the price is nothing
    dry_run,               // let in, would have been asked to pay
    released,              // reserved, but the answer was no 2xx: not charged
    ordered,               // a reader's click: sent on, to be paid by her next request
    given_back,            // a page bought by mistake; what it cost is the reader's again
    required,              // no credential
    malformed_credential,
    invalid_payload,
    invalid_challenge,
    challenge_expired,
    insufficient,
    forged,
    already_spent,
    hop_too_long,
    expired,
    lease_over,
    touchstone,
    currency,
    broker,
    several_credentials,
    method_unsupported,
    insecure,
    no_price,              // configuration or price expression
    till_unavailable,
    custody_unavailable,   // broker or holder out of reach, its keys unknown, or the hand-over not confirmed yet
    clock,                 // the clock does not agree with the broker's
    unsettled,             // the till would not settle when the answer was ready
    count_,
};
inline constexpr std::size_t decisions = static_cast<std::size_t>(Decision::count_);

// The labels: what the customer was told, and why.
struct DecisionLabel {
    std::string_view verdict, reason;
};
const DecisionLabel& label(Decision d);

}  // namespace netpay
