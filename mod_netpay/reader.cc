#include "mod_netpay/reader.h"

#include <algorithm>

#include "mod_netpay/text.h"

namespace netpay {
namespace {

void append_encoded(std::string& out, char c) {
    static constexpr char hex[] = "0123456789ABCDEF";
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += hex[byte >> 4];
    out += hex[byte & 15];
}

}  // namespace

bool speculative(const Purpose& p) {
    for (const auto field : {p.sec_purpose, p.purpose, p.x_purpose, p.x_moz}) {
        if (field.empty()) continue;
        const std::string said = lower(field);
        for (const char* word : {"prefetch", "prerender", "preview"})
            if (said.find(word) != std::string::npos) return true;
    }
    return false;
}

bool reloaded(std::string_view cache_control, std::string_view pragma) {
    const std::string said = lower(cache_control);
    return said.find("max-age=0") != std::string::npos || said.find("no-cache") != std::string::npos ||
           lower(pragma).find("no-cache") != std::string::npos;
}

bool may_pay_unasked(const Fetch& f) {
    return f.get && !f.ahead && !f.again && f.mode == "navigate" && f.dest == "document" && f.user == "?1" &&
           (f.site == "same-origin" || f.site == "same-site");
}

bool may_pay_ordered(const Fetch& f) {
    const bool silent = f.site.empty() && f.mode.empty() && f.dest.empty();
    return f.get && !f.ahead && (silent || (f.mode == "navigate" && f.dest == "document"));
}

bool for_a_frame(const Fetch& f) {
    static constexpr std::string_view frames[] = {"iframe", "frame", "embed", "object", "fencedframe"};
    return std::find(std::begin(frames), std::end(frames), f.dest) != std::end(frames);
}

bool own_form(const Fetch& f, std::string_view origin) {
    if (f.origin == "null") return f.site == "same-origin";
    return !f.origin.empty() && f.origin == origin && (f.site.empty() || f.site == "same-origin");
}

std::string safe_target(std::string_view target) {
    std::string out = target.starts_with('/') ? "" : "/";
    for (std::size_t i = 0; i < target.size(); ++i) {
        const char c = target[i];
        const auto byte = static_cast<unsigned char>(c);
        const bool second_slash = i == 1 && c == '/';
        if (byte <= ' ' || byte >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>' || second_slash) append_encoded(out, c);
        else out += c;
    }
    return out;
}

}  // namespace netpay
