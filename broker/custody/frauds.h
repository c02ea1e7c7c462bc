// Proofs of fraud (PROTOCOL.md section 7): what vendors signed and what
// contradicts it. A proof suspends the vendor; whoever sold in good faith on
// the strength of its signature is written down as a receiver.
#pragma once

#include <string_view>

#include "broker/context.h"
#include "broker/custody/indices.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"

namespace netpay::broker::custody {

namespace fraud {
inline constexpr std::string_view two_indices = "two-indices";
inline constexpr std::string_view never_held = "never-held";
inline constexpr std::string_view below_claims = "below-claims";
}  // namespace fraud

struct Proof {
    std::string_view kind;
    Int vendor = 0, coin = 0, epoch = 0;
    Int first = 0, second = 0;  // signed indices on file; second: 0 where one alone proves it
};

// So many proofs against one vendor over one coin are kept; what else it signed
// for that coin without the right to is not put on file any more.
inline constexpr Int proofs_kept = 16;

// Writes a proof down and suspends the vendor; the same proof again does nothing.
void prove(Context& context, Sql& sql, const Proof& proof, UnixTime now);

// Proofs that stand against a vendor over one coin.
Int proofs_over(Sql& sql, Int vendor, Int coin);

// The vendor of an epoch turned out to have been given it: it had the right to
// pass the coin on. Its suspension for that ends. What is still due to those it
// passed the coin on to is due from the culprit, who deceived it; the vendor
// itself: nobody did, and nothing more is due.
void clear_never_held(Context& context, Sql& sql, Int vendor, Int coin, Int epoch, Int culprit);

// `receiver` may be paid by `culprit` for what it sold above the index. What it
// has claimed in vain until now is looked at once more. Refuses only as the
// ledger does.
Outcome<Done> hold_harmless(Sql& sql, Int coin, Int receiver, Int culprit, const OnFile& index, UnixTime now);
// Whether something was paid to its receiver on the strength of that index.
bool is_compensated(Sql& sql, Int coin, Int receiver, Int signed_index);

}  // namespace netpay::broker::custody
