// The broker's counters, in Prometheus' text form. Labels have few values:
// routes are patterns, never paths.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/money.h"

namespace netpay::broker {

class Metrics {
public:
    Metrics();
    ~Metrics();
    Metrics(const Metrics&) = delete;
    Metrics& operator=(const Metrics&) = delete;

    // HTTP. route: the pattern, or "other" where none matched.
    void request(std::string_view method, std::string_view route, int status, double seconds);
    void connection_opened();
    void connection_closed();
    void refused(std::string_view why);  // "connections", "queue", "rate", "timeout"

    // Domain. All are safe from several threads.
    void account_opened();
    void voucher_redeemed(const Currency& cur, Amount amount);
    void coin_sold(const Currency& cur, Amount unit, std::uint32_t n);  // counts coin, units and money
    void coin_returned(const Currency& cur, Amount refunded);
    void claims_accepted(std::uint64_t count);
    void claims_rejected(std::string_view reason, std::uint64_t count);  // a reason of PROTOCOL.md section 8
    void credited(const Currency& cur, Amount amount);
    void custody(std::string_view call, std::string_view outcome);  // "acquire","renew","transfer"; "granted","held","unknown","gone","refused"
    void vendor_registered();

    std::string text() const;  // text/plain; version=0.0.4

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace netpay::broker
