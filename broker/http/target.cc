#include "broker/http/target.h"

#include <algorithm>

#include "core/form.h"
#include "core/origin.h"

namespace netpay::broker {
namespace {

// The length of the UTF-8 sequence at s (RFC 3629), 0 if there is none.
std::size_t utf8_length(std::string_view s) {
    const auto b = [&](std::size_t i) { return static_cast<unsigned char>(s[i]); };
    const auto tail = [&](std::size_t i) { return i < s.size() && (b(i) & 0xC0) == 0x80; };
    if (b(0) < 0x80) return 1;
    if (b(0) >= 0xC2 && b(0) < 0xE0) return tail(1) ? 2 : 0;
    if (b(0) >= 0xE0 && b(0) < 0xF0) {
        if (!tail(1) || !tail(2)) return 0;
        if (b(0) == 0xE0 && b(1) < 0xA0) return 0;   // overlong
        if (b(0) == 0xED && b(1) >= 0xA0) return 0;  // a surrogate
        return 3;
    }
    if (b(0) >= 0xF0 && b(0) < 0xF5) {
        if (!tail(1) || !tail(2) || !tail(3)) return 0;
        if (b(0) == 0xF0 && b(1) < 0x90) return 0;
        if (b(0) == 0xF4 && b(1) >= 0x90) return 0;
        return 4;
    }
    return 0;
}

bool clean_utf8(std::string_view s) {
    while (!s.empty()) {
        const auto c = static_cast<unsigned char>(s[0]);
        if (c < 0x20 || c == 0x7F) return false;
        const std::size_t n = utf8_length(s);
        if (n == 0) return false;
        s.remove_prefix(n);
    }
    return true;
}

constexpr std::size_t max_query_names = 32;  // no call has more than three

bool parse_query(std::string_view text, std::map<std::string, std::string>& out) {
    while (!text.empty()) {
        const auto end = std::min(text.find('&'), text.size());
        const auto pair = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (pair.empty()) continue;
        const auto eq = std::min(pair.find('='), pair.size());
        auto name = percent_decode(pair.substr(0, eq));
        auto value = percent_decode(pair.substr(std::min(eq + 1, pair.size())));
        if (!name || !value || out.size() == max_query_names) return false;
        if (!out.emplace(std::move(*name), std::move(*value)).second) return false;
    }
    return true;
}

bool parse_path(std::string_view text, std::vector<std::string>& out) {
    if (text == "/") return true;
    while (!text.empty()) {
        text.remove_prefix(1);  // '/'
        const auto end = std::min(text.find('/'), text.size());
        auto segment = percent_decode(text.substr(0, end));
        if (!segment || segment->empty() || *segment == "." || *segment == "..") return false;
        out.push_back(std::move(*segment));
        text.remove_prefix(end);
    }
    return true;
}

}  // namespace

std::optional<std::string> percent_decode(std::string_view text) {
    const auto plain = [](char c) { return static_cast<unsigned char>(c) > 0x20 && static_cast<unsigned char>(c) < 0x7F; };
    if (!std::all_of(text.begin(), text.end(), plain)) return std::nullopt;
    auto out = form::percent_decode(text);
    if (!out || !clean_utf8(*out)) return std::nullopt;
    return out;
}

std::string Target::path() const {
    if (segments.empty()) return "/";
    std::string out;
    for (const auto& s : segments) out.append("/").append(s);
    return out;
}

std::optional<Target> parse_target(std::string_view text) {
    if (!text.starts_with('/')) {  // absolute-form; the authority was for a proxy
        if (origin_of(text).empty()) return std::nullopt;
        const auto slash = text.find('/', text.find("//") + 2);
        if (slash == std::string_view::npos) return std::nullopt;
        text.remove_prefix(slash);
    }
    if (text.find('#') != std::string_view::npos) return std::nullopt;
    Target t;
    const auto mark = std::min(text.find('?'), text.size());
    if (!parse_path(text.substr(0, mark), t.segments)) return std::nullopt;
    if (mark < text.size() && !parse_query(text.substr(mark + 1), t.query)) return std::nullopt;
    return t;
}

}  // namespace netpay::broker
