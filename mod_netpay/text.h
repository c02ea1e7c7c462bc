// Small ASCII text helpers of the gate.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace netpay {

inline std::string_view trim(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
    return s;
}

inline std::string lower(std::string_view s) {
    std::string out(s);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

inline std::string upper(std::string_view s) {
    std::string out(s);
    for (char& c : out)
        if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    return out;
}

inline bool equal_nocase(std::string_view a, std::string_view b) {
    if (a.size() != b.size()) return false;
    for (std::size_t i = 0; i < a.size(); ++i) {
        const auto fold = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
        if (fold(a[i]) != fold(b[i])) return false;
    }
    return true;
}

// The parts between separators, trimmed; empty ones are left out.
inline std::vector<std::string_view> split(std::string_view s, char separator) {
    std::vector<std::string_view> out;
    for (;;) {
        const auto at = s.find(separator);
        const auto part = trim(s.substr(0, at));
        if (!part.empty()) out.push_back(part);
        if (at == std::string_view::npos) return out;
        s.remove_prefix(at + 1);
    }
}

// Like split at commas, but not inside quoted strings (RFC 9110 section 5.6).
inline std::vector<std::string_view> split_list(std::string_view s) {
    std::vector<std::string_view> out;
    std::size_t from = 0;
    bool quoted = false;
    for (std::size_t i = 0; i <= s.size(); ++i) {
        if (i < s.size() && s[i] == '"') quoted = !quoted;
        else if (i < s.size() && s[i] == '\\' && quoted) ++i;
        if (i >= s.size() || (s[i] == ',' && !quoted)) {
            const auto part = trim(s.substr(from, (i < s.size() ? i : s.size()) - from));
            if (!part.empty()) out.push_back(part);
            from = i + 1;
        }
    }
    return out;
}

}  // namespace netpay
