#include "core/money.h"

#include <charconv>

namespace netpay {
namespace {

constexpr std::uint64_t micro_per_whole = 1000000;

bool digits(std::string_view s) {
    for (const char c : s)
        if (c < '0' || c > '9') return false;
    return !s.empty();
}

std::optional<std::uint64_t> number(std::string_view s) {
    std::uint64_t v = 0;
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (ec != std::errc{} || end != s.data() + s.size()) return std::nullopt;
    return v;
}

}  // namespace

std::optional<Currency> Currency::parse(std::string_view text) {
    if (text.size() != 4 || text[0] != 'u') return std::nullopt;
    Currency c;
    for (std::size_t i = 1; i < 4; ++i) {
        if (text[i] < 'a' || text[i] > 'z') return std::nullopt;
        c.code_[i] = text[i];
    }
    return c;
}

std::string Currency::iso() const {
    std::string out;
    for (std::size_t i = 1; i < 4; ++i) out += static_cast<char>(code_[i] - 'a' + 'A');
    return out;
}

std::optional<Amount> Amount::parse(std::string_view s) {
    if (!digits(s) || (s.size() > 1 && s[0] == '0')) return std::nullopt;
    const auto v = number(s);
    return v ? from(*v) : std::nullopt;
}

std::string Amount::pretty(const Currency& cur) const {
    std::string fraction = std::to_string(micro_per_whole + micro_ % micro_per_whole).substr(1);
    while (fraction.size() > 2 && fraction.back() == '0') fraction.pop_back();
    return std::to_string(micro_ / micro_per_whole) + "." + fraction + " " + cur.iso();
}

std::optional<Amount> Amount::times(std::uint64_t count) const {
    if (count != 0 && micro_ > limits::max_amount / count) return std::nullopt;
    return from(micro_ * count);
}

std::optional<std::uint32_t> units_for(Amount price, Amount unit) {
    const std::uint64_t u = price.micro() / unit.micro() + (price.micro() % unit.micro() != 0);
    if (u > limits::max_chain) return std::nullopt;
    return static_cast<std::uint32_t>(u);
}

std::optional<Amount> parse_decimal(std::string_view text) {
    const auto dot = text.find('.');
    const std::string_view whole = text.substr(0, dot);
    std::string fraction(dot == std::string_view::npos ? "" : text.substr(dot + 1));
    if (!digits(whole) || fraction.size() > 6) return std::nullopt;
    if (dot != std::string_view::npos && !digits(fraction)) return std::nullopt;
    fraction.resize(6, '0');
    const auto w = number(whole), f = number(fraction);
    if (!w || !f || *w > limits::max_amount / micro_per_whole) return std::nullopt;
    return Amount::from(*w * micro_per_whole + *f);
}

}  // namespace netpay
