// Returning a coin (PROTOCOL.md section 9): the broker takes custody like any
// vendor, by `handoff` at the holder, and refunds what is unspent. Where the
// holder cannot be reached it is asked again, and its lease ends at the latest.
#pragma once

#include <optional>
#include <string>
#include <variant>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/custody/epochs.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "core/money.h"

namespace netpay::broker::custody {

struct Refunded {
    Amount amount;
    Currency currency;
};
// A vendor holds the coin: asked again, and refunded once its lease has ended.
struct Waiting {
    UnixTime due = 0;  // at the latest, as long as this broker is there
};
using Returned = std::variant<Refunded, Waiting>;

// Asked again, it gives the same answer and refunds nothing more. `shown`: the
// highest payword that the owner has revealed; with it the holder is asked as
// a vendor would ask it. Refuses with 404 unknown-coin (also another
// account's), 410 gone (90 days after exp), 422 payword (not of this coin).
//
// From the first call on no vendor gets the coin any more. Waits for vendors,
// 6 s at most, with no transaction open; one coin's holder is asked at most
// every 10 s, however often this is called.
Outcome<Returned> give_back(Context& context, Store& store, const accounts::Account& account, const std::string& coin,
                            const std::optional<Mark>& shown, UnixTime now);

// Has a coin back from whoever holds it, so that no vendor has it and what is
// spent of it is known: its owner takes it elsewhere. False: the holder does not
// let it go now, or its answer was lost; asked again it gives the same one. Waits
// as give_back() does.
Outcome<bool> call_in(Context& context, Store& store, const std::string& coin, UnixTime now);

// Asks the holders of coins on their way back whose time has come: after a
// minute, then each time twice as long, at most an hour. Stops early when
// vendors do not answer, so that it takes 12 s at most.
void retry_returns(Context& context, Store& store, UnixTime now);

// Completes returns whose holder's lease has ended, at most `limit`; gives how many.
Outcome<Int> finish_returns(Context& context, Sql& sql, UnixTime now, Int limit);

// Refunds what is known to be unspent of coins that nobody returned until
// claims ran out of time (exp + 90 days), at most `limit`; gives how many.
Outcome<Int> refund_expired(Context& context, Sql& sql, UnixTime now, Int limit);

}  // namespace netpay::broker::custody
