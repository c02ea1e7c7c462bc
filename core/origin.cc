#include "core/origin.h"

#include "core/limits.h"

namespace netpay {
namespace {

bool starts(std::string_view s, std::string_view p) { return s.substr(0, p.size()) == p; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_lower(char c) { return c >= 'a' && c <= 'z'; }

struct Authority {
    std::string_view host, port;  // host with its brackets; port empty if none
    bool ok = false;
};

Authority split_authority(std::string_view a) {
    Authority r;
    std::size_t end;
    if (starts(a, "[")) {
        end = a.find(']');
        if (end == std::string_view::npos) return r;
        ++end;
    } else {
        end = a.find(':');
        if (end == std::string_view::npos) end = a.size();
    }
    r.host = a.substr(0, end);
    if (end < a.size()) {
        if (a[end] != ':') return r;
        r.port = a.substr(end + 1);
        if (r.port.empty()) return r;
    }
    r.ok = !r.host.empty();
    return r;
}

std::string_view after_scheme(std::string_view url) {
    if (starts(url, "https://")) return url.substr(8);
    if (starts(url, "http://")) return url.substr(7);
    return {};
}

bool good_host(std::string_view h) {
    if (h.front() == '[') {
        for (const char c : h.substr(1, h.size() - 2))
            if (!is_digit(c) && !(c >= 'a' && c <= 'f') && c != ':' && c != '.') return false;
        return h.size() > 3 && h.back() == ']';
    }
    if (h.size() > 253 || h.front() == '.' || h.front() == '-' || h.back() == '.' || h.back() == '-') return false;
    for (std::size_t i = 0; i < h.size(); ++i) {
        const char c = h[i];
        if (!is_digit(c) && !is_lower(c) && c != '-' && c != '_' && c != '.') return false;
        if (c == '.' && h[i - 1] == '.') return false;
    }
    return true;
}

bool good_port(std::string_view p, std::string_view standard) {
    if (p.empty()) return true;
    if (p.size() > 5 || p[0] == '0' || p == standard) return false;
    unsigned v = 0;
    for (const char c : p) {
        if (!is_digit(c)) return false;
        v = v * 10 + static_cast<unsigned>(c - '0');
    }
    return v <= 65535;
}

}  // namespace

bool is_origin(std::string_view text) {
    if (text.size() > limits::origin_bytes) return false;
    const auto rest = after_scheme(text);
    if (rest.empty()) return false;
    const auto a = split_authority(rest);
    return a.ok && good_host(a.host) && good_port(a.port, starts(text, "https:") ? "443" : "80");
}

std::string origin_of(std::string_view url) {
    const auto rest = after_scheme(url);
    if (rest.empty()) return {};
    const auto authority = rest.substr(0, rest.find_first_of("/?#"));
    if (authority.find('@') != std::string_view::npos) return {};
    const bool tls = starts(url, "https:");
    const auto a = split_authority(authority);
    if (!a.ok) return {};
    std::string out = tls ? "https://" : "http://";
    for (const char c : a.host) out += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    if (!a.port.empty() && a.port != (tls ? "443" : "80")) out.append(":").append(a.port);
    return is_origin(out) ? out : std::string{};
}

bool is_loopback(std::string_view url) {
    const std::string origin = origin_of(url);
    const auto a = split_authority(after_scheme(origin));
    if (!a.ok) return false;
    if (a.host == "localhost" || a.host == "[::1]") return true;
    if (!starts(a.host, "127.")) return false;
    int dots = 0, octet = 0;
    for (const char c : a.host) {
        if (c == '.') {
            ++dots;
            octet = 0;
        } else if (!is_digit(c) || (octet = octet * 10 + (c - '0')) > 255) {
            return false;
        }
    }
    return dots == 3;
}

}  // namespace netpay
