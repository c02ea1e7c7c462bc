// Claims outside of a vendor's epochs, and what becomes of them (PROTOCOL.md
// sections 7 and 8): kept as disputes, and paid from a culprit's balance where
// the vendor sold in good faith on the strength of the culprit's signature.
#pragma once

#include <string>

#include "broker/store/outcome.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"

namespace netpay::broker::custody {

// Units from < i ≤ to of a coin, with a payword that verified.
struct Dispute {
    Int coin = 0, vendor = 0;
    Int from = 0, to = 0;
    std::string payword;  // base64url, W_to
    std::string reason, batch;
};

// Ranges kept for one vendor and coin: nobody needs more to see what happened.
inline constexpr Int disputes_kept = 64;

// A signer that is accused of never having held a coin may have been given it
// by an index that is still on its way here: vendors repeat their reports at
// most 300 s apart. Until so long after the accusation, this broker's own
// downtime apart, nothing is paid from its balance on that ground.
inline constexpr std::int64_t accusation_stands_s = 600;

// Keeps it, and compensates the vendor if it is due to it. Refuses only as the
// ledger does (409 amount-limit).
Outcome<Done> dispute(Sql& sql, const Dispute& dispute, UnixTime now);

// Compensates what the disputes on file of that vendor and coin give a right to.
Outcome<Done> compensate(Sql& sql, Int coin, Int vendor, UnixTime now);

// Pays open compensations as far as the culprits' balances reach: what is
// payable to them, and what is pending less what they owe. At most `limit`;
// gives how many were paid something.
Outcome<Int> pay_open(Sql& sql, UnixTime now, Int limit);

}  // namespace netpay::broker::custody
