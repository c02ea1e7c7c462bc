// Whether this server's clock agrees with a broker's. Leases and signed
// requests are judged by the clock, so a vendor whose clock is further off
// than the tolerance (limits::request_skew_s) must not sell: it would accept
// coins after their lease, or have every call refused.
//
// Stands between the broker's callers and the transport, and compares the
// Date of every answer with the own clock. What one process measures the
// others read from DIR/brokers/NAME.clock.
#pragma once

#include <atomic>
#include <mutex>
#include <string>

#include "mod_netpay/custody/custody.h"

namespace netpay::custody {

class ClockWatch : public Transport {
public:
    // `path`: the kept file. world.transport carries the calls.
    ClockWatch(std::string broker, std::string path, World world);

    HttpAnswer get(const std::string& url) override;
    HttpAnswer post(const std::string& url, const std::string& json) override;

    // A token of the broker was signed at this time, now or earlier: more than
    // the tolerance ahead of this clock it cannot be. For a broker whose
    // answers have no Date, which says it better.
    void heard(UnixTime signed_at);
    // Takes up what another process measured meanwhile.
    void reread();

    bool good() const { return good_.load(std::memory_order_relaxed); }
    std::int64_t skew_s() const { return skew_s_.load(std::memory_order_relaxed); }  // own clock minus the broker's

private:
    HttpAnswer compare(UnixTime before, HttpAnswer a);
    void measured(std::int64_t skew_s);
    bool set(std::int64_t skew_s);
    void keep(std::int64_t skew_s);

    const std::string broker_, path_;
    const World world_;
    std::atomic<bool> good_ = true;
    std::atomic<bool> dated_ = false;      // an answer had a Date
    std::atomic<std::int64_t> skew_s_ = 0;
    std::mutex mutex_;                     // below, and changes of the two above
    std::int64_t kept_s_ = 0;              // as the file says
    std::optional<Disk::Stamp> stamp_;
};

}  // namespace netpay::custody
