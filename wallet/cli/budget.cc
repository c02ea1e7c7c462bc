#include "core/origin.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"per-day", 'd', "AMOUNT", "the most that may go in 24 hours; 'none' lifts the limit"},
    {"auto", 'a', "AMOUNT", "pages up to this price are paid without asking; 'none' for always asking"},
    {"currency", 'c', "CUR", "the currency (default usd)"},
};

Outcome<std::optional<Amount>> limit(const Args& a, const std::string& option, const Currency& c, std::optional<Amount> old) {
    const auto text = a.get(option);
    if (!text) return old;
    if (*text == "none") return std::optional<Amount>{};
    const auto money = parse_money(*text, c);
    if (!money || money->currency != c) return usage("--" + option + ": an amount like 0.05, or none");
    return std::optional(money->amount);
}

Outcome<Done> set(Context& c, const Args& a) {
    const auto currency = parse_currency(a.get("currency").value_or("usd"));
    if (!currency) return usage("--currency: three letters, like usd");
    std::string site = a.rest()[1];
    if (site != "*") {
        const auto url = normal_url(site);
        if (!url) return usage("the site is an origin like https://news.example, or '*' for all sites together");
        site = origin_of(*url);
    }
    if (!a.has("per-day") && !a.has("auto")) return usage("--per-day or --auto is needed");
    Budget b{site, *currency, {}, {}};
    const auto all = c.store().budgets();
    if (!all) return all.failure();
    for (const auto& have : *all)
        if (have.site == site && have.currency == *currency) b = have;
    const auto per_day = limit(a, "per-day", *currency, b.per_day);
    if (!per_day) return per_day.failure();
    const auto automatic = limit(a, "auto", *currency, b.automatic);
    if (!automatic) return automatic.failure();
    b.per_day = *per_day;
    b.automatic = *automatic;
    return c.store().set_budget(b);
}

Outcome<Done> show(Context& c) {
    const auto all = c.store().budgets();
    if (!all) return all.failure();
    std::vector<json::Object> list;
    for (const auto& b : *all) {
        const auto spent = c.store().spent_since(b.site, b.currency, c.clock().now() - 86400);
        if (!spent) return spent.failure();
        json::Object o;
        o.set("site", b.site).set("currency", b.currency.str()).set("spent", money_json({*spent, b.currency}));
        if (b.per_day) o.set("per_day", money_json({*b.per_day, b.currency}));
        if (b.automatic) o.set("auto", money_json({*b.automatic, b.currency}));
        list.push_back(o);
        c.say(b.site + "  " + (b.per_day ? spent->pretty(b.currency) + " of " + b.per_day->pretty(b.currency) + " in 24 hours"
                                         : "no daily limit") +
              (b.automatic ? ", up to " + b.automatic->pretty(b.currency) + " a page without asking" : ""));
    }
    c.print(json::Object().set("budgets", list));
    if (list.empty()) c.say("no budget is set");
    return Done{};
}

Outcome<Done> run(Context& c, const Args& a) {
    const std::string what = a.rest().empty() ? "show" : a.rest()[0];
    if (what == "show") {
        if (const auto ok = expect_words(a, 0, 1); !ok) return ok;
        return show(c);
    }
    if (what != "set") return usage("budget show, or budget set SITE");
    if (const auto ok = expect_words(a, 2, 2); !ok) return ok;
    if (const auto done = set(c, a); !done) return done;
    return show(c);
}

}  // namespace

const Command budget_command = {
    "budget", "budget show | budget set SITE [--per-day AMOUNT] [--auto AMOUNT]",
    "Limit what a site, or all sites together ('*'), may cost a day, and allow small prices without a question",
    "A day is the 24 hours before a payment. Payments whose outcome is unknown count.", options, false, run};

}  // namespace netpay::wallet::cli
