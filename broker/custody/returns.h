// Returning a coin (PROTOCOL.md section 9): the broker takes custody and
// refunds what is unspent.
#pragma once

#include <string>
#include <variant>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "core/money.h"

namespace netpay::broker::custody {

struct Refunded {
    Amount amount;
    Currency currency;
};
// A vendor holds the coin: refunded once its lease has ended.
struct Waiting {
    UnixTime due = 0;  // at the earliest
};
using Returned = std::variant<Refunded, Waiting>;

// Asked again, it gives the same answer and refunds nothing more. Refuses
// with 404 unknown-coin (also another account's), 410 gone (90 days after exp).
Outcome<Returned> give_back(Context& context, Sql& sql, const accounts::Account& account, const std::string& coin,
                            UnixTime now);

// Completes returns whose holder's lease has ended, at most `limit`; gives how many.
Outcome<Int> finish_returns(Context& context, Sql& sql, UnixTime now, Int limit);

}  // namespace netpay::broker::custody
