// A server's circuit: after three failures in a row it is left alone for a
// while, twice as long each time, and tried by the writing thread alone until
// it answers. Customers wait for a dead server three times at most.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>

namespace netpay::cache {

class Circuit {
public:
    using Time = std::chrono::steady_clock::time_point;
    Circuit(std::uint32_t open_ms, std::uint32_t open_max_ms) : first_(open_ms), most_(open_max_ms), pause_(first_) {}

    bool closed() const { return closed_.load(std::memory_order_relaxed); }
    // key: one of this server, to try it with.
    void failed(Time now, const std::string& key) {
        const std::lock_guard lock(mutex_);
        if (!closed()) {
            pause_ = std::min(2 * pause_, most_);
            until_ = now + pause_;
        } else if (++failures_ >= limit) {
            closed_ = false;
            pause_ = first_;
            until_ = now + pause_;
            key_ = key;
        }
    }
    void succeeded() {
        const std::lock_guard lock(mutex_);
        failures_ = 0;
        closed_ = true;
    }
    // Open, and time to try.
    bool due(Time now) const {
        const std::lock_guard lock(mutex_);
        return !closed() && now >= until_;
    }
    std::string key() const {
        const std::lock_guard lock(mutex_);
        return key_;
    }

private:
    static constexpr unsigned limit = 3;
    mutable std::mutex mutex_;
    std::atomic<bool> closed_{true};
    unsigned failures_ = 0;
    const std::chrono::milliseconds first_, most_;
    std::chrono::milliseconds pause_;
    Time until_;
    std::string key_;
};

}  // namespace netpay::cache
