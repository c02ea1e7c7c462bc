// The coins of an account as the site shows and keeps them. Of a coin bought
// here the site makes the chain and keeps its seed, sealed (keys.h), until it
// is exported to a wallet: whose export has the seed can spend the coin, so
// the site has it no more from that moment. The account that bought a coin can
// return it wherever its seed is.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/issue/coins.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::web {

struct KeptCoin {
    std::string coin;
    Currency currency;
    Amount unit;
    std::uint32_t n = 0;
    std::uint32_t spent = 0;     // as far as this broker or the wallet it came from knows
    std::uint32_t refunded = 0;  // units
    UnixTime exp = 0;
    std::string state;           // "live", "returning", "returned", "expired"
    bool own = false;            // bought by this account, which can return it
    bool here = false;           // its seed is kept here
    UnixTime exported = 0;       // 0: not from here
    std::string holder;          // the vendor that has custody; empty: none
    Amount worth(std::uint32_t units) const { return unit.times(units).value_or(Amount()); }
    std::uint32_t left() const { return state == "returned" ? 0 : n - spent; }
};
inline constexpr Int listed_coins = 200;
// Newest first, at most listed_coins.
Outcome<std::vector<KeptCoin>> coins_of(Sql& sql, const accounts::Account& account, UnixTime now);

// Buys a coin and keeps its seed. once: of the form, 1 to 100 characters; sent
// twice it buys one coin. Gives the coin's touchstone. Refuses as issue::buy.
Outcome<std::string> buy_coin(Context& context, Store& store, const accounts::Account& account, const issue::Terms& terms,
                              std::string_view once, UnixTime now);

// An export as `netpay import` reads it (wallet/backup.h), which moves coins:
// their seeds are kept here no more once the transaction commits.
// with_account: a new bearer token of the account goes with it. Refuses with
// 409 not-here for a coin that is not kept here for this account, 422
// too-many-coins.
inline constexpr std::size_t most_exported = 50;
Outcome<Secret> export_coins(Context& context, Store& store, const accounts::Account& account,
                             const std::vector<std::string>& coins, bool with_account, UnixTime now);

// Takes the coins of such an export back, all or none; those kept here already
// are passed over. Gives how many were taken. Refuses with 422 bad-export,
// whose detail says why.
Outcome<std::size_t> import_coins(Context& context, Store& store, const accounts::Account& account, std::string_view text,
                                  UnixTime now);

// The seed of a coin that is kept here for the account. Refuses with 409
// not-here, 503.
Outcome<Payword> seed_of(const Context& context, Sql& sql, Int account, const std::string& coin);

// Deletes seeds of coins that were never sold, a day after they were made; how many.
Int forget_unsold(Sql& sql, UnixTime now);

}  // namespace netpay::broker::web
