#include <charconv>

#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"amount", 'a', "AMOUNT", "coins worth this much, like 10.00, from the broker's denominations"},
    {"unit", 'u', "MICRO", "one coin: what a unit is worth, in millionths (1000 is 0.001)"},
    {"n", 'n', "COUNT", "one coin: how many units it has"},
    {"currency", 'c', "CUR", "the currency (default usd)"},
    {"broker", 'b', "URL", "the broker, if the wallet has accounts at several"},
};

std::optional<std::uint64_t> number(const std::string& text) {
    std::uint64_t v = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), v);
    if (ec != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return v;
}

Outcome<std::vector<Denomination>> one_coin(const Args& a) {
    const auto unit = a.get("unit"), n = a.get("n");
    if (!unit || !n) return usage("--amount AMOUNT, or both --unit and --n, are needed");
    const auto u = number(*unit), count = number(*n);
    const auto amount = u ? Amount::from(*u) : std::nullopt;
    if (!amount || amount->micro() == 0 || !count || *count < 1 || *count > limits::max_chain || !amount->times(*count))
        return usage("--unit is a number of millionths, at least 1; --n is 1 to 1048576");
    return std::vector<Denomination>{{*amount, static_cast<std::uint32_t>(*count)}};
}

std::string offers(const std::vector<Denomination>& all, const Currency& currency) {
    std::string out;
    for (const auto& d : all)
        out += (out.empty() ? "" : ", ") + d.value().pretty(currency) + " (unit " + d.unit.str() + ", n " + std::to_string(d.n) + ")";
    return out.empty() ? "none" : out;
}

Outcome<std::vector<Denomination>> which(Context& c, const Args& a, const Account& account, const Currency& currency) {
    const auto text = a.get("amount");
    if (!text) return one_coin(a);
    if (a.has("unit") || a.has("n")) return usage("either --amount or --unit with --n");
    const auto money = parse_money(*text, currency);
    if (!money || money->amount.micro() == 0 || money->currency != currency) return usage("--amount: '" + printable(*text, 40) + "' is not an amount like 10.00");
    const auto info = c.broker().discover(account.issuer);
    if (!info) return info.failure();
    auto list = make_up(money->amount, info->denominations);
    if (list.empty())
        return usage(pretty(*money) + " cannot be made up of what the broker sells: " + offers(info->denominations, currency));
    return list;
}

std::string coin_line(const Coin& k) {
    return "coin " + short_coin(k.coin) + "  " + k.unit.times(k.n).value_or(Amount{}).pretty(k.currency) + " in " +
           std::to_string(k.n) + " units of " + k.unit.pretty(k.currency) + ", good until " + local_time(k.expires);
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 0, 0); !ok) return ok;
    auto account = c.store().account(a.get("broker").value_or(""));
    if (!account) return account.failure();
    const auto currency = parse_currency(a.get("currency").value_or("usd"));
    if (!currency) return usage("--currency: three letters, like usd");
    const auto wanted = which(c, a, *account, *currency);
    if (!wanted) return wanted.failure();
    const auto earlier = c.shop().finish_pending(*account);
    if (!earlier) return earlier.failure();
    std::vector<json::Object> bought, arrived;
    for (const auto& k : *earlier) {
        arrived.push_back(coin_json(k));
        c.say("from a purchase that was cut off: " + coin_line(k));
    }
    for (const auto& d : *wanted) {
        const auto coin = c.shop().buy(*account, *currency, d);
        if (!coin) return coin.failure();
        bought.push_back(coin_json(*coin));
        c.say(coin_line(*coin));
    }
    c.print(json::Object().set("coins", bought).set("arrived", arrived));
    return Done{};
}

}  // namespace

const Command buy_command = {
    "buy", "buy --amount AMOUNT | buy --unit MICRO --n COUNT", "Buy coins with the money of the account",
    "The chain of a coin is made here and stored before the broker is asked, so that\n"
    "a purchase that is cut off is finished by the next one; the broker never learns\na payword.",
    options, true, run};

}  // namespace netpay::wallet::cli
