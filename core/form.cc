#include "core/form.h"

#include <algorithm>

namespace netpay::form {
namespace {

int hex(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::optional<std::string> decode(std::string_view text) {
    std::string with_blanks(text);
    std::replace(with_blanks.begin(), with_blanks.end(), '+', ' ');
    return percent_decode(with_blanks);
}

// Takes the text up to the next `mark` off the front.
std::string_view next(std::string_view& text, char mark) {
    const auto end = std::min(text.find(mark), text.size());
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return part;
}

bool unreserved(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '%') {
            out += text[i];
            continue;
        }
        if (text.size() - i < 3) return std::nullopt;
        const int high = hex(text[i + 1]), low = hex(text[i + 2]);
        if (high < 0 || low < 0) return std::nullopt;
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

std::optional<Fields> parse(std::string_view text) {
    Fields out;
    while (!text.empty()) {
        auto value_part = next(text, '&');
        if (value_part.empty()) continue;
        const auto name_part = next(value_part, '=');
        auto name = decode(name_part), value = decode(value_part);
        if (!name || !value || !out.emplace(std::move(*name), std::move(*value)).second) return std::nullopt;
    }
    return out;
}

std::string encode(std::string_view value) {
    static constexpr char digits[] = "0123456789ABCDEF";
    std::string out;
    for (const char c : value) {
        const auto u = static_cast<unsigned char>(c);
        if (unreserved(c)) out += c;
        else (((out += '%') += digits[u >> 4]) += digits[u & 15]);
    }
    return out;
}

std::optional<std::string> cookie(std::string_view field, std::string_view name) {
    std::optional<std::string> found;
    while (!field.empty()) {
        auto value = next(field, ';');
        value.remove_prefix(std::min(value.find_first_not_of(" \t"), value.size()));
        if (next(value, '=') != name) continue;
        if (found) return std::nullopt;
        found = value.substr(0, value.find_last_not_of(" \t") + 1);
    }
    return found;
}

std::string cookie_name(std::string_view origin, std::string_view stem) {
    std::string name = "__Host-netpay-" + std::string(stem);
    const auto host = origin.find("://");
    const auto bracket = origin.rfind(']');  // of an IPv6 address
    const auto colon = origin.find(':', bracket != std::string_view::npos ? bracket : host == std::string_view::npos ? 0 : host + 3);
    return colon == std::string_view::npos ? name : name + "-" + std::string(origin.substr(colon + 1));
}

}  // namespace netpay::form
