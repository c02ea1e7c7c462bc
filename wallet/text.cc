#include "wallet/text.h"

#include <algorithm>
#include <cctype>
#include <ctime>

namespace netpay::wallet {
namespace {

// The code point at the front of s and its length; length 0 if s does not
// begin with well-formed UTF-8.
struct CodePoint {
    std::uint32_t value = 0;
    std::size_t length = 0;
};

CodePoint decode(std::string_view s) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
    const unsigned char b = byte(0);
    if (b < 0x80) return {b, 1};
    const std::size_t length = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : b >= 0xc2 ? 2 : 0;
    if (length == 0 || b > 0xf4 || s.size() < length) return {};
    std::uint32_t v = b & (0x7fu >> length);
    for (std::size_t i = 1; i < length; ++i) {
        if ((byte(i) & 0xc0) != 0x80) return {};
        v = v << 6 | (byte(i) & 0x3fu);
    }
    constexpr std::uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (v < least[length] || v > 0x10ffff || (v >= 0xd800 && v <= 0xdfff)) return {};
    return {v, length};
}

bool harmful(std::uint32_t c) {
    return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x061c || c == 0x200e || c == 0x200f ||
           (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069) || c == 0xfeff;
}

std::string_view trim(std::string_view s) {
    while (!s.empty() && s.front() == ' ') s.remove_prefix(1);
    while (!s.empty() && s.back() == ' ') s.remove_suffix(1);
    return s;
}

}  // namespace

std::string printable(std::string_view text, std::size_t most) {
    std::string out;
    while (!text.empty()) {
        if (out.size() >= most) return out + "...";
        const auto c = decode(text);
        if (c.length == 0 || harmful(c.value)) out += '?';
        else out.append(text.substr(0, c.length));
        text.remove_prefix(std::max<std::size_t>(c.length, 1));
    }
    return out;
}

std::optional<Currency> parse_currency(std::string_view text) {
    std::string code;
    for (const char c : text) code += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    if (code.size() == 3) code.insert(0, "u");
    return Currency::parse(code);
}

Result<Money> parse_money(std::string_view text, const Currency& standard) {
    text = trim(text);
    const auto end = text.find_first_not_of("0123456789.");
    const auto number = text.substr(0, end);
    const auto rest = end == std::string_view::npos ? std::string_view{} : trim(text.substr(end));
    const auto currency = rest.empty() ? std::optional(standard) : parse_currency(rest);
    const auto amount = parse_decimal(number);
    if (!amount || !currency)
        return {Code::malformed, "'" + printable(text, 40) + "' is not an amount; write it like 0.05 or \"0.05 USD\""};
    return Money{*amount, *currency};
}

std::string local_time(std::int64_t unix_time) {
    const std::time_t t = unix_time;
    std::tm tm{};
    char text[32];
    if (!localtime_r(&t, &tm) || !std::strftime(text, sizeof text, "%Y-%m-%d %H:%M", &tm)) return "?";
    return text;
}

}  // namespace netpay::wallet
