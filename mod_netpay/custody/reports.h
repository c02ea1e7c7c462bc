// Hand-overs the broker has still to be told of (PROTOCOL.md section 7 step
// 3). The queue is the till itself: a coin with signed indices and no custody
// of the broker. So nothing is lost with a process, and nothing is told that
// was not durable before.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "mod_netpay/custody/line.h"
#include "mod_netpay/custody/lock.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody {

// When the broker may be tried again, for all processes: kept in a file.
class SharedBackoff {
public:
    SharedBackoff(std::string path, World world) : path_(std::move(path)), world_(world) {}
    bool due();
    void failed();     // 1 s doubling to 300 s, full jitter
    void succeeded();

private:
    struct State { UnixTime next = 0; std::uint64_t tries = 0; };
    std::optional<State> read();
    const std::string path_;
    const World world_;
};

class Reports {
public:
    enum class Told {
        confirmed,  // also: there was nothing to tell
        dropped,    // the broker decided for another: the till does not accept the coin any more
        later,      // the broker is out of reach
        refused,    // it answered, and does not take the report
        busy,       // another thread or process is telling it
    };

    Reports(std::string vendor, std::string directory, till::Till& till, Lines& lines, World world);

    // The coin was taken by a signed index: it is reported by the next round,
    // which is woken for it. Any thread.
    void note(const Tag16& coin);
    void on_urgent(std::function<void()> wake) { wake_ = std::move(wake); }

    // Tells the broker now. The caller holds the coin's byte of DIR/custody.lock.
    Told tell(const Tag16& coin);
    // The same for a caller that does not; waits for the byte at most so long.
    Told report(const Tag16& coin, std::chrono::milliseconds wait);

    // What this process took, and, where no other process does it, whatever is
    // unreported and due. Seconds until another round is worth it.
    std::uint32_t round();

    std::uint32_t unreported() const { return unreported_; }
    std::uint64_t failed() const { return failed_; }
    std::uint64_t dropped() const { return dropped_; }

private:
    struct Deferred { UnixTime next = 0; std::uint32_t tries = 0; };

    Told confirm(Line& line, const till::Entry& e, const Reply& reply);
    Told drop(const till::Entry& e, const Reply& reply);
    std::vector<Tag16> taken_here();
    void retry_all();
    void defer(const Tag16& coin);

    const std::string vendor_, lock_path_;
    till::Till& till_;
    Lines& lines_;
    const World world_;
    std::function<void()> wake_;
    std::map<std::string, SharedBackoff, std::less<>> backoffs_;   // by issuer
    std::map<Tag16, Deferred> deferred_;                           // the broker would not take these; of round() alone
    std::mutex mutex_;                                             // fresh_
    std::vector<Tag16> fresh_;
    std::atomic<std::uint32_t> unreported_ = 0;
    std::atomic<std::uint64_t> failed_ = 0, dropped_ = 0;
};

}  // namespace netpay::custody
