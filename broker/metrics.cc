#include "broker/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace netpay::broker {
namespace {

using prometheus::Counter;
using prometheus::Family;
using Labels = std::map<std::string, std::string>;

// Where answers lie: the store's transactions take from half a millisecond
// (SQLite with one fsync) to seconds under load.
const prometheus::Histogram::BucketBoundaries& latency_buckets() {
    static const prometheus::Histogram::BucketBoundaries b{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                                           0.1,    0.25,  0.5,    1,     2.5,  5,    10};
    return b;
}

// A method is any token the client likes; labels are not.
std::string known_method(std::string_view method) {
    for (const std::string_view m : {"GET", "HEAD", "POST", "OPTIONS", "PUT", "DELETE", "PATCH"})
        if (m == method) return std::string(m);
    return "other";
}

}  // namespace

struct Metrics::Impl {
    prometheus::Registry registry;

    Family<Counter>& counter(const char* name, const char* help) {
        return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
    }

    Family<Counter>& requests = counter("netpay_broker_requests_total", "Requests by method, route and status.");
    Family<prometheus::Histogram>& latency = prometheus::BuildHistogram()
                                                 .Name("netpay_broker_request_seconds")
                                                 .Help("Time from a request's first byte to its answer's last.")
                                                 .Register(registry);
    prometheus::Gauge& connections = prometheus::BuildGauge()
                                         .Name("netpay_broker_connections")
                                         .Help("Open connections.")
                                         .Register(registry)
                                         .Add({});
    Family<Counter>& refused = counter("netpay_broker_refused_total", "Refused for want of room, by what ran out.");
    Counter& accounts = counter("netpay_broker_accounts_total", "Accounts opened.").Add({});
    Family<Counter>& vouchers = counter("netpay_broker_vouchers_redeemed_total", "Vouchers redeemed.");
    Family<Counter>& voucher_money =
        counter("netpay_broker_vouchers_redeemed_micro_total", "Value of redeemed vouchers, in micro-units.");
    Family<Counter>& coins = counter("netpay_broker_coins_sold_total", "Coins sold.");
    Family<Counter>& units = counter("netpay_broker_units_sold_total", "Units of coins sold.");
    Family<Counter>& coin_money = counter("netpay_broker_coins_sold_micro_total", "Value of coins sold, in micro-units.");
    Family<Counter>& returned = counter("netpay_broker_coins_returned_total", "Coins returned.");
    Family<Counter>& refunds = counter("netpay_broker_refunded_micro_total", "Refunds, in micro-units.");
    Counter& accepted = counter("netpay_broker_claims_accepted_total", "Claims credited.").Add({});
    Family<Counter>& rejected = counter("netpay_broker_claims_rejected_total", "Claims rejected, by reason.");
    Family<Counter>& credited = counter("netpay_broker_credited_micro_total", "Credited to vendors, in micro-units.");
    Family<Counter>& custody = counter("netpay_broker_custody_total", "Custody calls, by call and outcome.");
    Counter& vendors = counter("netpay_broker_vendors_registered_total", "Registrations taken from vendors.").Add({});
};

namespace {
Labels cur_label(const Currency& cur) { return {{"currency", std::string(cur.str())}}; }
double as_double(std::uint64_t n) { return static_cast<double>(n); }
}  // namespace

Metrics::Metrics() : impl_(std::make_unique<Impl>()) {}
Metrics::~Metrics() = default;

void Metrics::request(std::string_view method, std::string_view route, int status, double seconds) {
    const std::string r(route);
    impl_->requests.Add({{"method", known_method(method)}, {"route", r}, {"status", std::to_string(status)}})
        .Increment();
    impl_->latency.Add({{"route", r}}, latency_buckets()).Observe(seconds);
}

void Metrics::connection_opened() { impl_->connections.Increment(); }
void Metrics::connection_closed() { impl_->connections.Decrement(); }
void Metrics::refused(std::string_view why) { impl_->refused.Add({{"why", std::string(why)}}).Increment(); }
void Metrics::account_opened() { impl_->accounts.Increment(); }

void Metrics::voucher_redeemed(const Currency& cur, Amount amount) {
    impl_->vouchers.Add(cur_label(cur)).Increment();
    impl_->voucher_money.Add(cur_label(cur)).Increment(as_double(amount.micro()));
}

void Metrics::coin_sold(const Currency& cur, Amount unit, std::uint32_t n) {
    impl_->coins.Add(cur_label(cur)).Increment();
    impl_->units.Add(cur_label(cur)).Increment(n);
    impl_->coin_money.Add(cur_label(cur)).Increment(as_double(unit.micro()) * n);
}

void Metrics::coin_returned(const Currency& cur, Amount refunded) {
    impl_->returned.Add(cur_label(cur)).Increment();
    impl_->refunds.Add(cur_label(cur)).Increment(as_double(refunded.micro()));
}

void Metrics::claims_accepted(std::uint64_t count) { impl_->accepted.Increment(as_double(count)); }

void Metrics::claims_rejected(std::string_view reason, std::uint64_t count) {
    impl_->rejected.Add({{"reason", std::string(reason)}}).Increment(as_double(count));
}

void Metrics::credited(const Currency& cur, Amount amount) {
    impl_->credited.Add(cur_label(cur)).Increment(as_double(amount.micro()));
}

void Metrics::custody(std::string_view call, std::string_view outcome) {
    impl_->custody.Add({{"call", std::string(call)}, {"outcome", std::string(outcome)}}).Increment();
}

void Metrics::vendor_registered() { impl_->vendors.Increment(); }

std::string Metrics::text() const { return prometheus::TextSerializer().Serialize(impl_->registry.Collect()); }

}  // namespace netpay::broker
