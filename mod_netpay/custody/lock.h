// Locks on single bytes of a file: one holder at a time among all threads and
// processes. Open-file-description locks (fcntl(2) F_OFD_SETLK): every lock
// has its own descriptor, so that threads exclude each other too, and the
// kernel lets go when the holder dies.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "core/bytes.h"
#include "core/result.h"

namespace netpay::custody {

class ByteLock {
public:
    // Waits at most `wait` (0: tries once). Errors: limit if another holds
    // the byte all that time; malformed if the file cannot be opened.
    static Result<ByteLock> take(const std::string& path, std::int64_t byte, std::chrono::milliseconds wait);
    ByteLock(ByteLock&& o) noexcept : fd_(o.fd_), byte_(o.byte_) { o.fd_ = -1; }
    ByteLock& operator=(ByteLock&&) = delete;
    ~ByteLock();

private:
    ByteLock(int fd, std::int64_t byte) : fd_(fd), byte_(byte) {}
    int fd_;
    std::int64_t byte_;
};

// Bytes of DIR/custody.lock: one for every coin below 2^56, and above them
// one for every task of which one process at a time is in charge.
std::int64_t lock_byte_of_coin(const Tag16& coin);
enum class Task : std::uint8_t { keys = 1, leases = 2, vendors = 3, reports = 4 };
std::int64_t lock_byte_of_task(Task task, std::string_view of);

}  // namespace netpay::custody
