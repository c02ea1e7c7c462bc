#include "mod_netpay/counters.h"

#include <cstdio>
#include <cstring>
#include <string_view>

namespace netpay {
namespace {

constexpr auto relaxed = std::memory_order_relaxed;

// This thread's stripe: handed out in turn.
std::size_t my_stripe() {
    static std::atomic<unsigned> next{0};
    thread_local const unsigned mine = next.fetch_add(1, relaxed);
    return mine % Counters::stripes;
}

std::uint32_t code_of(const Currency& c) {
    std::uint32_t v;
    std::memcpy(&v, c.str().data(), sizeof v);
    return v;
}

struct TickName { std::string_view name, labels, help; };
constexpr std::array<TickName, ticks> tick_names = {{
    {"netpay_cache_lookups_total", "result=\"hit\"", "Look-ups of coin states in memcached."},
    {"netpay_cache_lookups_total", "result=\"miss\"", ""},
    {"netpay_cache_lookups_total", "result=\"rejected\"", ""},
    {"netpay_cache_lookups_total", "result=\"error\"", ""},
    {"netpay_cache_lookups_total", "result=\"skipped\"", ""},
    {"netpay_cache_copies_total", "result=\"stored\"", "Copies of coin states written to memcached, and given up."},
    {"netpay_cache_copies_total", "result=\"dropped\"", ""},
    {"netpay_custody_calls_total", "call=\"acquire\",result=\"held\"", "Coins taken into custody or regained, and failures to."},
    {"netpay_custody_calls_total", "call=\"acquire\",result=\"failed\"", ""},
    {"netpay_custody_calls_total", "call=\"regain\",result=\"held\"", ""},
    {"netpay_custody_calls_total", "call=\"regain\",result=\"failed\"", ""},
    {"netpay_takeovers_total", "way=\"direct\"", "Coins taken over from other vendors: named by the payer, by the broker, at the end of a chain, or taken back."},
    {"netpay_takeovers_total", "way=\"broker\"", ""},
    {"netpay_takeovers_total", "way=\"chain\"", ""},
    {"netpay_takeovers_total", "way=\"regain\"", ""},
    {"netpay_confirmations_total", "result=\"confirmed\"", "Hand-overs reported while a customer waited, because all was sold that may be before."},
    {"netpay_confirmations_total", "result=\"failed\"", ""},
    {"netpay_handovers_total", "result=\"given\"", "Answers to those who asked for a coin."},
    {"netpay_handovers_total", "result=\"again\"", ""},
    {"netpay_handovers_total", "result=\"elsewhere\"", ""},
    {"netpay_handovers_total", "result=\"busy\"", ""},
    {"netpay_handovers_total", "result=\"refused\"", ""},
    {"netpay_handovers_total", "result=\"unknown\"", ""},
    {"netpay_handovers_total", "result=\"unavailable\"", ""},
    {"netpay_report_failures_total", "", "Reports of hand-overs that did not reach the broker; they are repeated."},
    {"netpay_dropped_total", "", "Coins taken over that the broker gave to another: what was sold of them is disputed."},
    {"netpay_wallet_pages_total", "wallet=\"server\"", "Pages paid by the e-wallets of readers in browsers."},
    {"netpay_wallet_pages_total", "wallet=\"cookie\"", ""},
    {"netpay_till_failures_total", "", "Times the till could not answer or settle."},
    {"netpay_internal_errors_total", "", "Exceptions stopped at the gate's guard."},
}};

void head(std::string& out, std::string_view name, std::string_view help, std::string_view type) {
    out.append("# HELP ").append(name).append(" ").append(help).append("\n# TYPE ").append(name).append(" ").append(type).append("\n");
}

void line(std::string& out, std::string_view name, std::string_view labels, std::string_view value) {
    out.append(name);
    if (!labels.empty()) out.append("{").append(labels).append("}");
    out.append(" ").append(value).append("\n");
}

std::string number(std::uint64_t v) { return std::to_string(v); }

std::string seconds(std::uint64_t us) {
    char buffer[40];
    std::snprintf(buffer, sizeof buffer, "%llu.%06llu", static_cast<unsigned long long>(us / 1000000),
                  static_cast<unsigned long long>(us % 1000000));
    return buffer;
}

template <class Pick>
std::uint64_t sum(const Counters& c, Pick pick) {
    std::uint64_t total = 0;
    for (const auto& s : c.stripe) total += pick(s).load(relaxed);
    return total;
}

void write_decisions(std::string& out, const Counters& c) {
    head(out, "netpay_requests_total", "Requests for priced resources by what became of them.", "counter");
    for (std::size_t d = 0; d < decisions; ++d) {
        const auto& l = label(static_cast<Decision>(d));
        const auto labels = "verdict=\"" + std::string(l.verdict) + "\",reason=\"" + std::string(l.reason) + "\"";
        line(out, "netpay_requests_total", labels,
             number(sum(c, [d](const Counters::Stripe& s) -> const Counters::Cell& { return s.decided[d]; })));
    }
}

void write_money(std::string& out, const Counters& c) {
    struct Column { const char* name; const char* help; Counters::Cell Counters::Money::*cell; };
    static constexpr Column columns[] = {
        {"netpay_money_micro_total", "Money taken, in millionths of the currency's unit.", &Counters::Money::micro},
        {"netpay_units_total", "Paywords taken, in units of the coins they came from.", &Counters::Money::units},
    };
    for (const auto& column : columns) {
        head(out, column.name, column.help, "counter");
        for (const auto& m : c.money) {
            const std::uint32_t code = m.code.load(std::memory_order_acquire);
            if (!code) break;
            const std::string currency(reinterpret_cast<const char*>(&code), sizeof code);
            line(out, column.name, "currency=\"" + currency + "\"", number((m.*column.cell).load(relaxed)));
        }
    }
}

void write_latency(std::string& out, const Counters& c) {
    constexpr std::string_view name = "netpay_payment_step_seconds";
    head(out, name, "What a presented payment adds to a request before its handler runs.", "histogram");
    std::uint64_t total = 0;
    for (std::size_t b = 0; b <= latency_ends_us.size(); ++b) {
        total += sum(c, [b](const Counters::Stripe& s) -> const Counters::Cell& { return s.latency[b]; });
        const std::string end = b < latency_ends_us.size() ? seconds(latency_ends_us[b]) : "+Inf";
        line(out, std::string(name) + "_bucket", "le=\"" + end + "\"", number(total));
    }
    line(out, std::string(name) + "_sum", "",
         seconds(sum(c, [](const Counters::Stripe& s) -> const Counters::Cell& { return s.latency_sum_us; })));
    line(out, std::string(name) + "_count", "", number(total));
}

void write_ticks(std::string& out, const Counters& c) {
    for (std::size_t t = 0; t < ticks; ++t) {
        const auto& n = tick_names[t];
        if (!n.help.empty()) head(out, n.name, n.help, "counter");
        line(out, n.name, n.labels,
             number(sum(c, [t](const Counters::Stripe& s) -> const Counters::Cell& { return s.ticked[t]; })));
    }
}

}  // namespace

Tick handover_tick(std::string_view outcome) {
    struct Name { std::string_view name; Tick tick; };
    static constexpr Name names[] = {
        {"given", Tick::handover_given}, {"again", Tick::handover_again}, {"elsewhere", Tick::handover_elsewhere},
        {"busy", Tick::handover_busy}, {"unknown", Tick::handover_unknown}, {"unavailable", Tick::handover_unavailable},
    };
    for (const auto& n : names)
        if (n.name == outcome) return n.tick;
    return Tick::handover_refused;
}

std::optional<Tick> takeover_tick(std::string_view way) {
    if (way == "direct") return Tick::takeover_direct;
    if (way == "broker") return Tick::takeover_broker;
    if (way == "chain") return Tick::takeover_chain;
    if (way == "regain") return Tick::takeover_regain;
    return std::nullopt;
}

std::string prometheus(const std::vector<VendorGauges>& vendors) {
    struct Gauge { std::string_view name, help; std::int64_t (*value)(const VendorGauges&); };
    static constexpr Gauge gauges[] = {
        {"netpay_unreported", "Hand-overs that the broker has not confirmed yet.",
         [](const VendorGauges& v) { return std::int64_t{v.unreported}; }},
        {"netpay_clock_skew_seconds", "This server's clock minus the broker's.",
         [](const VendorGauges& v) { return v.skew_s; }},
        {"netpay_clock_good", "1 while the clock agrees with the broker's; at 0 nothing is sold.",
         [](const VendorGauges& v) { return std::int64_t{v.clock_good}; }},
        {"netpay_vendors_known", "Other vendors' certificates in the copies of the brokers' lists.",
         [](const VendorGauges& v) { return std::int64_t{v.vendors_known}; }},
        {"netpay_vendor_list_age_seconds", "Age of the oldest copy; -1: there is none.",
         [](const VendorGauges& v) { return v.list_age_s; }},
    };
    std::string out;
    for (const auto& g : gauges) {
        head(out, g.name, g.help, "gauge");
        for (const auto& v : vendors)
            line(out, g.name, "vendor=\"" + std::string(v.vendor) + "\"", std::to_string(g.value(v)));
    }
    return out;
}

void Counters::count(Decision d) { stripe[my_stripe()].decided[static_cast<std::size_t>(d)].fetch_add(1, relaxed); }

void Counters::count(Tick t, std::uint64_t n) {
    stripe[my_stripe()].ticked[static_cast<std::size_t>(t)].fetch_add(n, relaxed);
}

void Counters::took(const Currency& currency, Amount amount, std::uint32_t units) {
    const std::uint32_t code = code_of(currency);
    for (auto& m : money) {
        std::uint32_t seen = m.code.load(std::memory_order_acquire);
        if (seen == 0 && m.code.compare_exchange_strong(seen, code, std::memory_order_acq_rel)) seen = code;
        if (seen != code) continue;
        m.micro.fetch_add(amount.micro(), relaxed);
        m.units.fetch_add(units, relaxed);
        return;
    }
}

void Counters::payment_step(std::uint64_t us) {
    std::size_t b = 0;
    while (b < latency_ends_us.size() && us > latency_ends_us[b]) ++b;
    auto& s = stripe[my_stripe()];
    s.latency[b].fetch_add(1, relaxed);
    s.latency_sum_us.fetch_add(us, relaxed);
}

std::string Counters::prometheus() const {
    std::string out;
    out.reserve(8192);
    write_decisions(out, *this);
    write_money(out, *this);
    write_latency(out, *this);
    write_ticks(out, *this);
    return out;
}

}  // namespace netpay
