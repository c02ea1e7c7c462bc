// What a resource costs: prices by method and media type (PROTOCOL.md
// section 5; the directives NetPayPrice and NetPayPriceExpr).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/money.h"
#include "core/result.h"

namespace netpay {

// An amount of 0 means free: served without payment.
struct Price {
    Amount amount;
    Currency currency;
    bool free() const { return amount.micro() == 0; }
};

// One NetPayPrice: a price and what it holds for.
struct PriceRule {
    Price price;
    std::vector<std::string> methods;  // upper case; empty: every method
    std::string type;                  // "text/html" or "image/*", lower case; empty: every type
};

// "usd", "USD" or "uusd".
std::optional<Currency> parse_currency(std::string_view text);

// "0.02" in whole currency units, "0" or "free".
std::optional<Amount> parse_price_amount(std::string_view text);

// The arguments of NetPayPrice: AMOUNT CUR [methods=GET,POST] [type=text/html],
// or `free [methods=…] [type=…]`. Errors say what is wrong and what would be right.
Result<PriceRule> parse_price_rule(const std::vector<std::string>& arguments);

// The value of NetPayPriceExpr: "0.02", "0.02 usd" or "free"; an amount alone
// is of `standard` currency.
std::optional<Price> parse_price_value(std::string_view text, const Currency& standard);

// The rule for a request: a rule that names the media type goes before one
// that names the method, and that before a general one; among equals the
// first. HEAD is priced as GET. nullptr: no rule holds.
const Price* choose_price(const std::vector<PriceRule>& rules, std::string_view method, std::string_view type);

// Whether any rule asks for the media type, which costs a look-up to know.
bool priced_by_type(const std::vector<PriceRule>& rules);

}  // namespace netpay
