// Threads of one process that want the same coin meet here: the first does
// the work, the others get its outcome. Also remembers for a moment what
// could not be had, so that hammering one coin does not hammer its broker.
#pragma once

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
    explicit Flights(Clock& clock) : clock_(clock) {}

    struct Outcome {
        Acquired acquired;
        // What is so for this index is so for lower ones; a higher payword may fare better.
        std::uint32_t up_to = UINT32_MAX;
    };

    // The outcome of `work` for this coin and index: of this call's own, of
    // one under way, or a remembered one. Waits for another's at most `wait`.
    Acquired join(const Tag16& coin, std::uint32_t index, std::chrono::milliseconds wait,
                  const std::function<Outcome()>& work);

private:
    struct Flight {
        std::optional<Outcome> outcome;
    };
    struct Memory {
        Outcome outcome;
        UnixTime until = 0;
    };
    std::optional<Acquired> remembered(const Tag16& coin, std::uint32_t index);
    void remember(const Tag16& coin, const Outcome& o);

    Clock& clock_;
    std::mutex mutex_;
    std::condition_variable landed_;
    std::map<Tag16, std::shared_ptr<Flight>> under_way_;
    std::map<Tag16, Memory> memories_;
};

}  // namespace netpay::custody
