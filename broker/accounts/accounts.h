// Pseudonymous accounts (PROTOCOL.md section 9): a name, a bearer token the
// broker keeps only the hash of, and what the ledger says of them.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "broker/random.h"
#include "broker/store/outcome.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::accounts {

struct Account {
    Int id = 0;
    std::string name;  // 22 characters, public
};

struct Opened {
    std::string name;
    Secret token;  // 43 characters; shown once
};

Outcome<Opened> open_account(Sql& sql, Random& random, UnixTime now);

// One more token for an account, to be shown once. Refuses with 409
// too-many-tokens.
inline constexpr Int most_tokens = 20;
Outcome<Secret> add_token(Sql& sql, Random& random, const Account& account, UnixTime now);
// Makes every token of add_token() void; how many there were.
Int withdraw_tokens(Sql& sql, const Account& account);

// Whose token that is. Refuses with 401.
Outcome<Account> authenticate(Sql& sql, std::string_view token);

struct CoinRow {
    std::string coin;
    Currency currency;
    Amount unit;
    std::uint32_t n = 0;
    UnixTime iat = 0, exp = 0;
    std::string state;            // "live", "returning", "returned", "expired"
    std::uint32_t spent = 0;      // the highest index the broker knows to be spent
    std::uint32_t refunded = 0;   // units
};

struct Statement {
    std::map<Currency, Amount> balance;  // every currency of `offered`, at least
    std::vector<CoinRow> coins;          // newest first, at most `listed_coins`
    std::uint64_t coin_count = 0;        // of all
};
inline constexpr std::size_t listed_coins = 1000;

Outcome<Statement> statement(Sql& sql, const Account& account, const std::vector<Currency>& offered, UnixTime now);
std::map<Currency, Amount> balances(Sql& sql, const Account& account, const std::vector<Currency>& offered);

}  // namespace netpay::broker::accounts
