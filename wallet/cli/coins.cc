#include <cstdio>

#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"all", 'a', nullptr, "also coins that are spent, returned, moved, expired or were never sold"},
};

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 0, 0); !ok) return ok;
    if (const auto done = c.purse().bury_the_dead(); !done) return done;
    const auto coins = c.store().coins();
    if (!coins) return coins.failure();
    std::vector<json::Object> list;
    for (const auto& k : *coins) {
        const bool expired = k.state == CoinState::live && k.expires <= c.clock().now();
        const bool usable = k.state == CoinState::pending || k.state == CoinState::returning ||
                            (k.state == CoinState::live && !expired && k.left() > 0);
        if (!usable && !a.has("all")) continue;
        list.push_back(coin_json(k).set("expired", expired));
        std::string line = short_coin(k.coin) + "  " + k.unit.times(k.left()).value_or(Amount{}).pretty(k.currency) + " of " +
                           k.unit.times(k.n).value_or(Amount{}).pretty(k.currency) + "  " + (expired ? "expired" : name_of(k.state));
        if (!k.holder.empty()) line += "  last at " + k.holder;
        if (k.restored) line += "  (from a backup)";
        if (k.claimed) line += "  (disputed: see netpay write-off)";
        c.say(line);
    }
    c.print(json::Object().set("coins", list));
    if (list.empty()) c.say("no coins; buy some with: netpay buy --amount 10.00");
    return Done{};
}

}  // namespace

const Command coins_command = {"coins", "coins [--all]", "List the coins", "", options, false, run};

}  // namespace netpay::wallet::cli
