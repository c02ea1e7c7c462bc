#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"yes", 'y', nullptr, "do it; without it the loss is only shown"},
};

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto coin = c.store().coin(a.rest()[0]);
    if (!coin) return coin.failure();
    if (coin->claimed <= coin->spent) {
        c.print(json::Object().set("coin", coin->coin).set("loss", money_json({Amount{}, coin->currency})));
        c.say("no site claims more of coin " + short_coin(coin->coin) + " than was paid");
        return Done{};
    }
    const Money loss{coin->unit.times(coin->claimed - coin->spent).value_or(Amount{}), coin->currency};
    const bool go = a.has("yes");
    if (go)
        if (const auto done = c.store().write_off(coin->coin, coin->claimed); !done) return done;
    c.print(json::Object().set("coin", coin->coin).set("loss", money_json(loss)).set("done", go));
    c.say(go ? pretty(loss) + " of coin " + short_coin(coin->coin) + " are counted as spent"
             : "a site says that " + pretty(loss) + " more are spent than this wallet knows of; to agree: netpay write-off " +
                   short_coin(coin->coin) + " --yes");
    return Done{};
}

}  // namespace

const Command write_off_command = {
    "write-off", "write-off COIN [--yes]", "Take a site's count of a coin for true",
    "When a site says that more of a coin is spent than this wallet accepted to pay, the\n"
    "wallet shows it nothing more. The site may be right: the coin comes from a backup\n"
    "and was spent after it was made. Or it is not; then give the rest back with\n"
    "'netpay return'.",
    options, false, run};

}  // namespace netpay::wallet::cli
