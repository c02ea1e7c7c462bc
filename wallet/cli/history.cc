#include <charconv>
#include <ctime>

#include "core/origin.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"site", 's', "ORIGIN", "payments to this site only, like https://news.example"},
    {"since", 0, "WHEN", "from this day on (2026-11-22), or of the last days (7d) or hours (12h)"},
};

std::optional<UnixTime> parse_since(const std::string& text, UnixTime now) {
    if (text.size() == 10) {
        std::tm tm{};
        const char* end = strptime(text.c_str(), "%Y-%m-%d", &tm);
        tm.tm_isdst = -1;
        if (end && !*end) return std::mktime(&tm);
        return std::nullopt;
    }
    std::int64_t n = 0;
    const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), n);
    if (ec != std::errc{} || end + 1 != text.data() + text.size() || n < 0 || n > 100000) return std::nullopt;
    if (*end == 'd') return now - n * 86400;
    if (*end == 'h') return now - n * 3600;
    return std::nullopt;
}

std::string words_for(const HistoryLine& h) {
    if (h.state == "paid") return "";
    if (h.state == "live") return "  (under way)";
    if (h.state != "given-back") return "  (outcome unknown)";
    return h.back < h.amount ? "  (" + h.back.pretty(h.currency) + " of it given back)" : "  (given back)";
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 0, 0); !ok) return ok;
    if (const auto done = c.purse().bury_the_dead(); !done) return done;
    UnixTime since = 0;
    if (const auto text = a.get("since")) {
        const auto t = parse_since(*text, c.clock().now());
        if (!t) return usage("--since: a day like 2026-11-22, or 7d, or 12h");
        since = *t;
    }
    std::string site = a.get("site").value_or("");
    if (!site.empty()) {
        const auto url = normal_url(site);
        if (!url) return usage("--site: an origin like https://news.example");
        site = origin_of(*url);
    }
    const auto lines = c.store().history(site, since);
    if (!lines) return lines.failure();
    std::vector<json::Object> list;
    for (const auto& h : *lines) {
        auto line = money_json({h.amount, h.currency})
                        .set("time", static_cast<std::uint64_t>(h.when))
                        .set("site", h.vendor)
                        .set("method", h.method)
                        .set("url", h.url)
                        .set("coin", h.coin)
                        .set("ticket", std::uint64_t{h.ticket})
                        .set("rereads", std::uint64_t{h.rereads})
                        .set("state", h.state);
        if (h.back.micro() > 0) line.set("given_back", money_json({h.back, h.currency}));
        list.push_back(std::move(line));
        c.say(local_time(h.when) + "  " + h.amount.pretty(h.currency) + "  " + printable(h.url, 2000) + words_for(h));
    }
    c.print(json::Object().set("payments", list));
    return Done{};
}

}  // namespace

const Command history_command = {
    "history", "history [--site ORIGIN] [--since WHEN]", "List the payments",
    "A payment whose answer never arrived is listed as 'outcome unknown' until a later\n"
    "payment at that site tells; getting the same page again settles it without paying\ntwice.",
    options, false, run};

}  // namespace netpay::wallet::cli
