#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"yes", 'y', nullptr, "return it although payments with it are unfinished"},
};

Outcome<bool> unfinished(Context& c, const Coin& k) {
    const auto lines = c.store().history("", 0);
    if (!lines) return lines.failure();
    for (const auto& h : *lines)
        if (h.coin == k.coin && h.state == "live") return true;
    return false;
}

// The highest payword any site has seen: it lets the broker ask the coin's
// holder for the coin, and tells it nothing it could gain by.
Outcome<std::optional<Revealed>> highest(Context& c, const Coin& k) {
    const auto index = c.store().revealed(k);
    if (!index) return index.failure();
    if (*index < 1) return std::optional<Revealed>();
    const auto chain = c.store().chain(k);
    if (!chain) return chain.failure();
    return std::optional(Revealed{*index, chain->at(*index)});
}

void report(Context& c, const Coin& k, const Refund& refund) {
    json::Object o;
    o.set("coin", k.coin).set("done", refund.done);
    if (refund.done) o.set("refunded", money_json({refund.refunded, k.currency}));
    if (refund.due > 0) o.set("due", static_cast<std::uint64_t>(refund.due));
    c.print(o);
    if (refund.done) return c.say(refund.refunded.pretty(k.currency) + " are back in the account at " + k.issuer);
    c.say("a site still holds the coin" + (k.holder.empty() ? "" : " (last spent at " + printable(k.holder) + ")") +
          "; the broker asks for it again and refunds what is unspent" +
          (refund.due > 0 ? " by " + local_time(refund.due) + " at the latest" : "") + ". To see: netpay return " +
          short_coin(k.coin));
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    if (const auto done = c.purse().bury_the_dead(); !done) return done;
    const auto coin = c.store().coin(a.rest()[0]);
    if (!coin) return coin.failure();
    if (coin->state != CoinState::live && coin->state != CoinState::returning)
        return usage("coin " + short_coin(coin->coin) + " is " + name_of(coin->state) + "; it cannot be returned");
    const auto account = c.store().account(coin->issuer);
    if (!account) return account.failure();
    const auto busy = unfinished(c, *coin);
    if (!busy) return busy.failure();
    if (*busy && !a.has("yes")) return usage("a payment with this coin is under way; wait for it, or give --yes");
    const auto shown = highest(c, *coin);
    if (!shown) return shown.failure();
    // Spent no more from here on, whatever becomes of the call.
    if (const auto done = c.store().set_state(coin->coin, CoinState::returning); !done) return done;
    const auto refund = c.broker().give_back(*account, coin->coin, *shown);
    if (!refund) {
        if (refund.failure().exit == Exit::broker && coin->state == CoinState::live)
            if (const auto done = c.store().set_state(coin->coin, CoinState::live); !done) return done;
        return refund.failure();
    }
    if (refund->done)
        if (const auto done = c.store().set_state(coin->coin, CoinState::returned); !done) return done;
    report(c, *coin, *refund);
    return Done{};
}

}  // namespace

const Command return_command = {
    "return", "return COIN", "Give a coin back to the broker and get what is unspent into the account",
    "COIN is the coin's name or the beginning of it, as 'netpay coins' shows it.", options, true, run};

}  // namespace netpay::wallet::cli
