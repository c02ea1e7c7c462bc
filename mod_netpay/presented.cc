#include "mod_netpay/presented.h"

#include "mod_netpay/text.h"

namespace netpay {
namespace {

// The scheme of a list element that begins a credential ("Basic abc"), or
// empty for one that goes on with auth-params ("realm=…").
std::string_view scheme_of(std::string_view element) {
    const auto end = element.find_first_of(" \t=");
    if (end == std::string_view::npos) return element;
    if (element[end] == '=') return {};
    const auto next = element.find_first_not_of(" \t", end);
    return next != std::string_view::npos && element[next] == '=' ? std::string_view{} : element.substr(0, end);
}

struct Found {
    int payments = 0, all = 0;
    std::string_view token;
};

Found find(std::string_view field) {
    Found f;
    if (field.find(',') == std::string_view::npos) {  // as nearly every field is: nothing to take apart
        const auto element = trim(field);
        const auto scheme = scheme_of(element);
        f.all = !scheme.empty();
        f.payments = equal_nocase(scheme, "payment");
        if (f.payments) f.token = trim(element.substr(scheme.size()));
        return f;
    }
    for (const auto element : split_list(field)) {
        const auto scheme = scheme_of(element);
        if (scheme.empty()) continue;
        ++f.all;
        if (!equal_nocase(scheme, "payment")) continue;
        ++f.payments;
        if (f.payments == 1) {
            // To the end of the field: what follows a comma and is no other credential makes this one malformed.
            f.token = trim(field.substr(static_cast<std::size_t>(element.data() - field.data()) + scheme.size()));
        }
    }
    return f;
}

}  // namespace

Presented Presented::read(std::string_view authorization, std::string_view payment) {
    const Found a = find(authorization), p = find(payment);
    Presented out;
    if (a.payments + p.payments == 0) return out;
    const bool crowded = (a.payments && a.all > 1) || (p.payments && p.all > 1);
    if (a.payments + p.payments > 1 || crowded) {
        out.count = Count::several;
        return out;
    }
    out.count = Count::one;
    out.own_field = p.payments == 1;
    out.token = out.own_field ? p.token : a.token;
    return out;
}

bool holds_payment(std::string_view field) { return find(field).payments > 0; }

}  // namespace netpay
