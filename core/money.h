// Amounts of money and of units (PROTOCOL.md section 2). No floating point;
// arithmetic that would leave the range says so instead of wrapping.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/limits.h"

namespace netpay {

// "u" + a lower-case ISO 4217 code: micro-units of that currency.
class Currency {
public:
    // nullopt unless text is "u" and three letters a … z.
    static std::optional<Currency> parse(std::string_view text);
    std::string_view str() const { return {code_, 4}; }
    // The ISO 4217 code, upper case: "USD".
    std::string iso() const;
    friend bool operator==(const Currency&, const Currency&) = default;
    friend auto operator<=>(const Currency&, const Currency&) = default;

private:
    char code_[4] = {'u', 'x', 'x', 'x'};
};

// Micro-units of some currency, 0 … 2^53 - 1.
class Amount {
public:
    constexpr Amount() = default;
    static constexpr std::optional<Amount> from(std::uint64_t micro) {
        if (micro > limits::max_amount) return std::nullopt;
        return Amount(micro);
    }
    // A decimal string as challenges carry it: digits only, no leading zero.
    static std::optional<Amount> parse(std::string_view decimal);

    constexpr std::uint64_t micro() const { return micro_; }
    std::string str() const { return std::to_string(micro_); }
    // For people: "0.02 USD", at least two decimals, no more than needed.
    std::string pretty(const Currency& cur) const;

    constexpr std::optional<Amount> plus(Amount o) const { return from(micro_ + o.micro_); }
    constexpr std::optional<Amount> minus(Amount o) const {
        if (o.micro_ > micro_) return std::nullopt;
        return Amount(micro_ - o.micro_);
    }
    std::optional<Amount> times(std::uint64_t count) const;
    friend constexpr auto operator<=>(Amount, Amount) = default;

private:
    explicit constexpr Amount(std::uint64_t micro) : micro_(micro) {}
    std::uint64_t micro_ = 0;
};

// ceil(price / unit): the paywords a price costs (section 6). unit ≥ 1.
// nullopt if that is more than a chain can have (2^20).
std::optional<std::uint32_t> units_for(Amount price, Amount unit);

// A person's price, "0.02" or "1.5" in whole currency units, as micro-units;
// nullopt if it is not a decimal number of at most six decimals in range.
std::optional<Amount> parse_decimal(std::string_view text);

}  // namespace netpay
