#include "mod_netpay/paylog.h"

#include "core/json.h"
#include "core/timestamp.h"

namespace netpay {
namespace {

// Six bytes of JSON for one of input at worst (\u00XX).
constexpr std::size_t uri_bytes = (paylog_bytes - 1024) / 6;

// A request-target is bytes; JSON is UTF-8. What is not printable ASCII is percent-encoded.
std::string printable(std::string_view s) {
    static constexpr char hex[] = "0123456789ABCDEF";
    std::string out;
    for (const char raw : s.substr(0, uri_bytes)) {
        const auto c = static_cast<unsigned char>(raw);
        if (c > ' ' && c < 0x7f) out += raw;
        else out.append({'%', hex[c >> 4], hex[c & 15]});
    }
    return out;
}

}  // namespace

std::string format_paylog(const PaylogLine& l) {
    json::Object o;
    o.set("time", format_rfc3339(l.time)).set("vendor", l.vendor).set("verdict", label(l.decision).verdict);
    if (!label(l.decision).reason.empty()) o.set("reason", label(l.decision).reason);
    if (!l.coin.empty()) o.set("coin", l.coin);
    if (l.priced) o.set("amount", l.amount.str()).set("currency", l.currency.str());
    if (l.units) o.set("units", std::uint64_t{l.units});
    if (!l.wallet.empty()) o.set("wallet", l.wallet);
    o.set("charged", l.charged)
        .set("method", printable(l.method))
        .set("uri", printable(l.uri))
        .set("status", static_cast<std::uint64_t>(l.status < 0 ? 0 : l.status))
        .set("latency_us", l.latency_us < limits::max_amount ? l.latency_us : limits::max_amount);
    return o.jcs();
}

}  // namespace netpay
