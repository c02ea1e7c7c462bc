// The gate's counters, in memory shared by all processes, and their
// Prometheus text. Plain atomics: no lock, nothing to recover after kill -9.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/money.h"
#include "mod_netpay/decision.h"

namespace netpay {

// Things that happen inside the gate and are no decision about a request.
enum class Tick {
    cache_hit, cache_miss, cache_rejected, cache_error, cache_skipped, cache_stored, cache_dropped,
    acquire, acquire_failed, regain, regain_failed,
    takeover_direct, takeover_broker, takeover_chain, takeover_regain,  // from another vendor
    confirm, confirm_failed,                                            // while a customer waited
    handover_given, handover_again, handover_elsewhere, handover_busy, handover_refused, handover_unknown,
    handover_unavailable,                                               // to another, or the broker
    report_failed, dropped,
    wallet_server, wallet_cookie,                                       // pages paid by readers' e-wallets
    till_failure, exception,
    count_,
};
inline constexpr std::size_t ticks = static_cast<std::size_t>(Tick::count_);

// The counter of a hand-over's outcome and of a take-over's way, as custody.h
// names them.
Tick handover_tick(std::string_view outcome);
std::optional<Tick> takeover_tick(std::string_view way);

// Upper ends of the latency histogram, in microseconds; the last bucket has none.
inline constexpr std::array<std::uint32_t, 12> latency_ends_us = {5,    10,   20,   50,    100,    200,
                                                                  500, 1000, 5000, 20000, 100000, 1000000};

// Zeroed memory of this type is a valid start.
struct Counters {
    static constexpr std::uint64_t layout = 0x6e706179'00000003;  // changes with the layout, for a restart with a new module
    static constexpr std::size_t stripes = 16;     // threads spread over them, so that they do not fight for one line
    static constexpr std::size_t currencies = 16;  // more than any server takes; what does not fit is not counted

    void count(Decision d);
    void count(Tick t, std::uint64_t n = 1);
    void took(const Currency& currency, Amount amount, std::uint32_t units);
    void payment_step(std::uint64_t us);  // from the credential's first byte to the verdict

    // The exposition, version 0.0.4.
    std::string prometheus() const;

    using Cell = std::atomic<std::uint64_t>;
    static_assert(Cell::is_always_lock_free, "shared between processes");
    struct alignas(64) Stripe {
        Cell decided[decisions];
        Cell ticked[ticks];
        Cell latency[latency_ends_us.size() + 1];
        Cell latency_sum_us;
    };
    struct alignas(64) Money {
        std::atomic<std::uint32_t> code;  // four letters; 0: empty
        Cell micro, units;
    };
    Stripe stripe[stripes];
    Money money[currencies];
};

// How one vendor stands with its brokers, as the process that is asked knows it.
struct VendorGauges {
    std::string_view vendor;        // origin
    std::uint32_t unreported = 0;   // hand-overs that the broker has not confirmed
    std::int64_t skew_s = 0;        // own clock minus the broker's
    bool clock_good = true;
    std::uint32_t vendors_known = 0;
    std::int64_t list_age_s = -1;   // of the brokers' lists; -1: none yet
};
std::string prometheus(const std::vector<VendorGauges>& vendors);

}  // namespace netpay
