#include <map>

#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"offline", 'o', nullptr, "do not ask the brokers; count the coins only"},
};

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 0, 0); !ok) return ok;
    if (const auto done = c.purse().bury_the_dead(); !done) return done;
    const auto coins = c.store().coins();
    if (!coins) return coins.failure();
    struct Sum { Amount amount; std::size_t count = 0; };
    std::map<Currency, Sum> sums;
    for (const auto& k : *coins) {
        if (k.state != CoinState::live || k.expires <= c.clock().now() || k.left() == 0) continue;
        auto& s = sums[k.currency];
        s.amount = s.amount.plus(k.unit.times(k.left()).value_or(Amount{})).value_or(s.amount);
        ++s.count;
    }
    std::vector<json::Object> in_coins, at_brokers;
    for (const auto& [currency, s] : sums) {
        in_coins.push_back(money_json({s.amount, currency}).set("coins", std::uint64_t{s.count}));
        c.say("in coins    " + s.amount.pretty(currency) + " (" + std::to_string(s.count) + (s.count == 1 ? " coin)" : " coins)"));
    }
    if (sums.empty()) c.say("in coins    nothing");
    const auto accounts = c.store().accounts();
    if (!accounts) return accounts.failure();
    for (const auto& account : *accounts) {
        if (a.has("offline")) break;
        const auto balance = c.broker().balance(account);
        if (!balance) {
            at_brokers.push_back(json::Object().set("broker", account.issuer).set("error", balance.failure().message));
            c.say("in account  unknown: " + balance.failure().message);
            continue;
        }
        for (const auto& [currency, amount] : *balance) {
            at_brokers.push_back(money_json({amount, currency}).set("broker", account.issuer));
            c.say("in account  " + amount.pretty(currency) + " at " + account.issuer);
        }
    }
    c.print(json::Object().set("coins", in_coins).set("accounts", at_brokers));
    return Done{};
}

}  // namespace

const Command balance_command = {"balance", "balance [--offline]", "Show the money in coins and in accounts", "", options, true, run};

}  // namespace netpay::wallet::cli
