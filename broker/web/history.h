// What an account has spent and where, as far as vendors have claimed it, and
// how its balance came about.
#pragma once

#include <string>
#include <vector>

#include "broker/accounts/accounts.h"
#include "broker/store/query.h"
#include "broker/store/store.h"

namespace netpay::broker::web {

inline constexpr Int listed_sums = 200, listed_movements = 100;

struct Spent {
    std::string what;  // an origin, or the day's first second
    std::string cur;
    Int micro = 0;
    UnixTime last = 0;  // by site: when it last took a coin or had it for longer
};
// Of units that were sold in each custody of the account's coins, by site, or by the day on
// which they became known; the latest first.
std::vector<Spent> spent_by_site(Sql& sql, const accounts::Account& account);
std::vector<Spent> spent_by_day(Sql& sql, const accounts::Account& account);

struct Moved {
    UnixTime at = 0;
    std::string kind, cur;
    Int micro = 0;  // into the account; below zero: out of it
};
std::vector<Moved> moved(Sql& sql, const accounts::Account& account);  // newest first

}  // namespace netpay::broker::web
