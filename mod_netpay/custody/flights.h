// Threads of one process that want the same coin meet here: the first does
// the work, the others get its outcome. Also remembers for a moment what
// could not be had, so that hammering one coin does not hammer its broker.
//
// Who waits holds a thread of httpd's, so few may: a flood of requests for
// coins that are asked for must not keep out those who pay with known ones.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>

#include "core/bytes.h"
#include "mod_netpay/custody/custody.h"

namespace netpay::custody {

class Flights {
public:
    // For one coin: a browser opens six connections to a server, and a second one may be at it.
    static constexpr std::uint32_t most_waiting_for_a_coin = 8;
    // In one process: httpd's processes have 25 threads by default, and nine of them are left.
    static constexpr std::uint32_t most_waiting = 16;

    // waiting: how many wait now, counted over all Flights of the process; outlives them.
    Flights(Clock& clock, std::atomic<std::uint32_t>& waiting) : clock_(clock), waiting_(waiting) {}

    struct Outcome {
        Acquired acquired;
        // What is so for this index is so for lower ones; a higher payword may fare better.
        std::uint32_t up_to = UINT32_MAX;
    };

    // The outcome of `work` for this coin and index: of this call's own, of
    // one under way, or a remembered one. Waits for another's at most `wait`,
    // and not at all where too many wait: unavailable then.
    Acquired join(const Tag16& coin, std::uint32_t index, std::chrono::milliseconds wait,
                  const std::function<Outcome()>& work);

private:
    struct Flight {
        std::optional<Outcome> outcome;
        std::uint32_t waiting = 0;
    };
    struct Memory {
        Outcome outcome;
        UnixTime until = 0;
    };
    std::optional<Acquired> remembered(const Tag16& coin, std::uint32_t index);
    void remember(const Tag16& coin, const Outcome& o);
    std::optional<Acquired> wait_for(Flight& flight, std::unique_lock<std::mutex>& g,
                                     std::chrono::steady_clock::time_point until);

    Clock& clock_;
    std::atomic<std::uint32_t>& waiting_;
    std::mutex mutex_;
    std::condition_variable landed_;
    std::map<Tag16, std::shared_ptr<Flight>> under_way_;
    std::map<Tag16, Memory> memories_;
};

}  // namespace netpay::custody
