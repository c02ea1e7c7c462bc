// Text between the wallet and people: what came from a server is made
// harmless before a terminal sees it, and money is read and written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/money.h"
#include "core/result.h"

namespace netpay::wallet {

// Text of a server for a message: control characters (C0, C1, DEL), the
// characters that change the writing direction and bytes that are not UTF-8
// become '?'; longer text is cut at `most` bytes and ends in "...".
std::string printable(std::string_view text, std::size_t most = 300);

// "usd", "USD" or "uusd" as the contract's currency.
std::optional<Currency> parse_currency(std::string_view text);

// "0.05", "0.05 USD" or "5 eur". Without a currency: `standard`.
struct Money {
    Amount amount;
    Currency currency;
};
Result<Money> parse_money(std::string_view text, const Currency& standard);

// The amount for people: Amount::pretty.
inline std::string pretty(const Money& m) { return m.amount.pretty(m.currency); }

// "2026-11-22 12:05" in local time.
std::string local_time(std::int64_t unix_time);

// The part of a coin's name that people see: its first eight characters.
inline std::string short_coin(std::string_view coin) { return std::string(coin.substr(0, 8)); }

}  // namespace netpay::wallet
