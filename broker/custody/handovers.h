// What a signed index does to a coin's custody (PROTOCOL.md section 7).
#pragma once

#include <string>
#include <string_view>

#include "broker/context.h"
#include "broker/custody/indices.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::custody {

struct Applied {
    enum class What {
        granted,   // its receiver has (or had) the next epoch by it: `custody`
        nobody,    // the epoch is closed by it, and its receiver is unknown or suspended: nobody holds the coin
        released,  // the epoch is closed by it, and its receiver is this broker
        conflict,  // it does not decide: another does, or the epoch went on without it
    };
    What what = What::conflict;
    std::string custody;      // granted: that epoch's token, the newest
    std::string deciding;     // conflict: the signed index on file that decides, or empty
    std::uint32_t index = 0;  // nobody, released: where the epoch is closed
};

// Puts a verified index on file and does what it says, in the caller's write
// transaction, which has to commit whatever the answer is: also what conflicts
// is proof. The same index again gets the same answer.
//
// It closes its signer's epoch if that is the coin's last and open: claims end
// at the index, credits become payable, whoever waits has to ask again. What
// its signer was credited above it is taken back (fraud "below-claims"). The
// next epoch is its receiver's, unless that is the broker, unknown or
// suspended. The lease is a whole one, but no longer than the closed epoch's
// where another vendor or a return waits.
//
// A second index of one signer for one epoch, or one for an epoch that was
// never its signer's, is fraud: the signer is suspended, and its receiver may
// claim what it sold in good faith from the signer's balance. (Unless another's
// index addressed to that signer is on file: it was deceived itself then.)
//
// After `released` the coin's last epoch is closed with known = released =
// index and held by nobody: n - index units are unspent (known_mark() says
// so), and close() on it changes nothing.
//
// Refuses only as the ledger does (409 amount-limit).
Outcome<Applied> apply(Context& context, Sql& sql, const Shown& shown, UnixTime now);

}  // namespace netpay::broker::custody
