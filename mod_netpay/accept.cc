#include "mod_netpay/accept.h"

#include <algorithm>
#include <optional>

#include "mod_netpay/text.h"

namespace netpay {
namespace {

// A qvalue in thousandths; nullopt if it is none (RFC 9110 section 12.4.2).
std::optional<int> parse_q(std::string_view s) {
    if (s.empty() || s.size() > 5 || (s[0] != '0' && s[0] != '1') || (s.size() > 1 && s[1] != '.')) return std::nullopt;
    int thousandths = (s[0] - '0') * 1000, place = 100;
    for (const char c : s.size() > 2 ? s.substr(2) : std::string_view{}) {
        if (c < '0' || c > '9') return std::nullopt;
        thousandths += (c - '0') * place;
        place /= 10;
    }
    if (thousandths > 1000) return std::nullopt;
    return thousandths;
}

// "left/right;parameters;q=…" of Accept and Accept-Payment.
struct Range {
    std::string_view left, right;
    int q = 1000;
    // How exactly it names a thing; -1: not at all.
    int matches(std::string_view l, std::string_view r) const {
        const bool any_l = left == "*", any_r = right == "*";
        if ((!any_l && !equal_nocase(left, l)) || (!any_r && !equal_nocase(right, r))) return -1;
        return (any_l ? 0 : 2) + (any_r ? 0 : 1);
    }
};

std::vector<Range> parse_ranges(std::string_view field) {
    std::vector<Range> out;
    for (const auto element : split_list(field)) {
        const auto parts = split(element, ';');
        if (parts.empty()) continue;
        const auto slash = parts[0].find('/');
        if (slash == std::string_view::npos) continue;
        Range r{trim(parts[0].substr(0, slash)), trim(parts[0].substr(slash + 1))};
        bool good = !r.left.empty() && !r.right.empty();
        for (std::size_t i = 1; i < parts.size(); ++i) {
            if (parts[i].size() < 2 || (parts[i][0] != 'q' && parts[i][0] != 'Q') || parts[i][1] != '=') continue;
            const auto q = parse_q(parts[i].substr(2));
            good = good && q;
            if (q) r.q = *q;
        }
        if (good) out.push_back(r);
    }
    return out;
}

// The weight the most exact range gives; 0 if none fits.
int weight(const std::vector<Range>& ranges, std::string_view l, std::string_view r) {
    int best = -1, q = 0;
    for (const auto& range : ranges) {
        const int m = range.matches(l, r);
        if (m > best) {
            best = m;
            q = range.q;
        }
    }
    return q;
}

}  // namespace

std::vector<std::string_view> accepted_intents(std::string_view field, const std::vector<std::string_view>& offered) {
    const auto ranges = parse_ranges(field);
    struct Weighed { int q; std::string_view intent; };
    std::vector<Weighed> left;
    for (const auto intent : offered)
        if (const int q = weight(ranges, "netpay", intent)) left.push_back({q, intent});
    if (left.empty()) return offered;
    std::stable_sort(left.begin(), left.end(), [](const Weighed& a, const Weighed& b) { return a.q > b.q; });
    std::vector<std::string_view> out;
    for (const auto& w : left) out.push_back(w.intent);
    return out;
}

bool prefers_html(std::string_view accept) {
    const auto ranges = parse_ranges(accept);
    const int html = weight(ranges, "text", "html");
    return html > weight(ranges, "application", "problem+json") && html > weight(ranges, "application", "json");
}

}  // namespace netpay
