#include "mod_netpay/custody/lock.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <thread>

#include "core/hash.h"

namespace netpay::custody {
namespace {

bool set_lock(int fd, std::int64_t byte, short kind) {
    struct flock l {};
    l.l_type = kind;
    l.l_whence = SEEK_SET;
    l.l_start = byte;
    l.l_len = 1;
    return fcntl(fd, F_OFD_SETLK, &l) == 0;
}

std::int64_t seven_bytes(const std::uint8_t* p) {
    std::int64_t v = 0;
    for (int i = 0; i < 7; ++i) v = (v << 8) | p[i];
    return v;
}

}  // namespace

Result<ByteLock> ByteLock::take(const std::string& path, std::int64_t byte, std::chrono::milliseconds wait) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return {Code::malformed, path + ": " + std::strerror(errno)};
    const auto until = std::chrono::steady_clock::now() + wait;
    // fcntl has no wait with an end, so it is asked again at growing intervals.
    for (auto pause = std::chrono::milliseconds(1);; pause = std::min(pause * 2, std::chrono::milliseconds(20))) {
        if (set_lock(fd, byte, F_WRLCK)) return ByteLock(fd, byte);
        const int why = errno;
        if ((why != EAGAIN && why != EACCES) || std::chrono::steady_clock::now() >= until) {
            close(fd);
            if (why != EAGAIN && why != EACCES) return {Code::malformed, path + ": " + std::strerror(why)};
            return {Code::limit, path + ": held by another"};
        }
        std::this_thread::sleep_for(pause);
    }
}

ByteLock::~ByteLock() {
    if (fd_ < 0) return;
    // Unlocked by name: a child forked meanwhile shares the open file, and
    // close() alone would leave the lock to it.
    set_lock(fd_, byte_, F_UNLCK);
    close(fd_);
}

std::int64_t lock_byte_of_coin(const Tag16& coin) { return seven_bytes(coin.data()); }

std::int64_t lock_byte_of_task(Task task, std::string_view of) {
    const auto d = sha256(of);
    return (std::int64_t{static_cast<std::uint8_t>(task)} << 56) | seven_bytes(d.data());
}

}  // namespace netpay::custody
