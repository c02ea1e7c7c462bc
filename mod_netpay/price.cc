#include "mod_netpay/price.h"

#include <algorithm>

#include "mod_netpay/text.h"

namespace netpay {
namespace {

bool is_token(std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
    });
}

bool type_holds(std::string_view rule, std::string_view type) {
    type = trim(type.substr(0, type.find(';')));
    const std::string t = lower(type);
    if (rule.ends_with("/*")) return t.starts_with(rule.substr(0, rule.size() - 1));
    return t == rule;
}

Result<bool> read_option(PriceRule& rule, std::string_view option) {
    const auto eq = option.find('=');
    const std::string_view name = option.substr(0, eq);
    const std::string_view value = eq == std::string_view::npos ? "" : option.substr(eq + 1);
    if (name == "methods") {
        for (const auto m : split(value, ',')) {
            if (!is_token(m)) return {Code::malformed, "methods= wants a list like methods=GET,POST"};
            rule.methods.push_back(upper(m));
        }
        if (rule.methods.empty()) return {Code::malformed, "methods= wants a list like methods=GET,POST"};
        return true;
    }
    if (name == "type") {
        const auto slash = value.find('/');
        if (slash == std::string_view::npos || !is_token(value.substr(0, slash)) || !is_token(value.substr(slash + 1)))
            return {Code::malformed, "type= wants a media type like type=text/html or type=image/*"};
        rule.type = lower(value);
        return true;
    }
    return {Code::malformed, "'" + std::string(option) + "' is neither methods=… nor type=…"};
}

}  // namespace

std::optional<Currency> parse_currency(std::string_view text) {
    const std::string t = lower(text);
    return Currency::parse(t.size() == 3 ? "u" + t : t);
}

std::optional<Amount> parse_price_amount(std::string_view text) {
    if (lower(text) == "free") return Amount();
    return parse_decimal(text);
}

Result<PriceRule> parse_price_rule(const std::vector<std::string>& a) {
    PriceRule rule;
    if (a.empty()) return {Code::malformed, "an amount is needed, like NetPayPrice 0.02 usd"};
    const auto amount = parse_price_amount(a[0]);
    if (!amount)
        return {Code::malformed, "'" + a[0] + "' is not an amount: write whole currency units with at most six decimals, like 0.02, or free"};
    rule.price.amount = *amount;
    std::size_t next = 1;
    if (a.size() > 1 && a[1].find('=') == std::string::npos) {
        const auto currency = parse_currency(a[1]);
        if (!currency) return {Code::malformed, "'" + a[1] + "' is not a currency: write an ISO 4217 code like usd or eur"};
        rule.price.currency = *currency;
        next = 2;
    } else if (!rule.price.free()) {
        return {Code::malformed, "a currency is needed after the amount, like NetPayPrice " + a[0] + " usd"};
    }
    for (; next < a.size(); ++next) {
        const auto option = read_option(rule, a[next]);
        if (!option) return option.error();
    }
    return rule;
}

std::optional<Price> parse_price_value(std::string_view text, const Currency& standard) {
    text = trim(text);
    const auto blank = text.find_first_of(" \t");
    const auto amount = parse_price_amount(text.substr(0, blank));
    if (!amount) return std::nullopt;
    if (blank == std::string_view::npos) return Price{*amount, standard};
    const auto currency = parse_currency(trim(text.substr(blank)));
    if (!currency) return std::nullopt;
    return Price{*amount, *currency};
}

const Price* choose_price(const std::vector<PriceRule>& rules, std::string_view method, std::string_view type) {
    if (method == "HEAD") method = "GET";
    const PriceRule* best = nullptr;
    int best_rank = -1;
    for (const auto& r : rules) {
        if (!r.methods.empty() && std::find(r.methods.begin(), r.methods.end(), method) == r.methods.end()) continue;
        if (!r.type.empty() && !type_holds(r.type, type)) continue;
        const int rank = (r.type.empty() ? 0 : 2) + (r.methods.empty() ? 0 : 1);
        if (rank > best_rank) {
            best = &r;
            best_rank = rank;
        }
    }
    return best ? &best->price : nullptr;
}

bool priced_by_type(const std::vector<PriceRule>& rules) {
    return std::any_of(rules.begin(), rules.end(), [](const PriceRule& r) { return !r.type.empty(); });
}

}  // namespace netpay
