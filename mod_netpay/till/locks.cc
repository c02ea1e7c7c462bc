#include "mod_netpay/till/locks.h"

#include <cerrno>
#include <cstring>
#include <ctime>

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

namespace netpay::till {
namespace {

constexpr std::size_t stride = 64;  // a cache line a mutex
static_assert(sizeof(pthread_mutex_t) <= stride);

int make(pthread_mutex_t* m) {
    pthread_mutexattr_t a;
    if (const int e = pthread_mutexattr_init(&a)) return e;
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    std::memset(static_cast<void*>(m), 0, stride);
    const int e = pthread_mutex_init(m, &a);
    pthread_mutexattr_destroy(&a);
    return e;
}

timespec in_ms(std::uint32_t ms) {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += ms / 1000;
    t.tv_nsec += static_cast<long>(ms % 1000) * 1000000;
    if (t.tv_nsec >= 1000000000) {
        ++t.tv_sec;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

struct flock byte_lock(short type, std::uint64_t at) {
    struct flock l {};
    l.l_type = type;
    l.l_whence = SEEK_SET;
    l.l_start = static_cast<off_t>(at);
    l.l_len = 1;
    return l;
}

}  // namespace

Result<Locks> Locks::open(const std::string& directory, std::uint32_t stripes, bool fresh) {
    auto file = File::open(directory, "locks");
    if (!file) return file.error();
    const auto length = std::size_t{stripes} * stride;
    if (fresh) {
        if (ftruncate(file->fd(), 0) != 0) return disk_error(file->path(), "cannot truncate", errno);
        if (const int e = posix_fallocate(file->fd(), 0, static_cast<off_t>(length)))
            return disk_error(file->path(), "cannot allocate", e);
    } else if (file->size() < static_cast<off_t>(length)) {
        return disk_error(file->path(), "too short", EINVAL);
    }
    auto map = Mapping::of(*file, length);
    if (!map) return map.error();
    Locks l;
    l.map_ = std::move(*map);
    l.stripes_ = stripes;
    for (std::uint32_t i = 0; fresh && i < stripes; ++i)
        if (const int e = make(reinterpret_cast<pthread_mutex_t*>(l.map_.data() + i * stride)))
            return disk_error(file->path(), "cannot make a mutex", e);
    return l;
}

Locks::Guard Locks::lock(std::uint32_t stripe, std::uint32_t wait_ms) const {
    auto* m = reinterpret_cast<pthread_mutex_t*>(map_.data() + std::size_t{stripe % stripes_} * stride);
    int e = pthread_mutex_trylock(m);
    if (e == EBUSY) {
        const timespec until = in_ms(wait_ms);
        e = pthread_mutex_clocklock(m, CLOCK_MONOTONIC, &until);
    }
    if (e == EOWNERDEAD) e = pthread_mutex_consistent(m);
    return e == 0 ? Guard(m) : Guard();
}

void Locks::Guard::unlock() {
    if (mutex_) pthread_mutex_unlock(static_cast<pthread_mutex_t*>(mutex_));
    mutex_ = nullptr;
}

Result<Owners> Owners::open(const std::string& directory, std::uint64_t id) {
    auto file = File::open(directory, "owners");
    if (!file) return file.error();
    auto l = byte_lock(F_WRLCK, id);
    if (fcntl(file->fd(), F_OFD_SETLK, &l) != 0) return disk_error(file->path(), "cannot lock", errno);
    Owners o;
    o.file_ = std::move(*file);
    o.id_ = id;
    return o;
}

bool Owners::alive(std::uint64_t id) const {
    if (id == id_) return true;
    auto l = byte_lock(F_WRLCK, id);
    if (fcntl(file_.fd(), F_OFD_GETLK, &l) != 0) return true;
    return l.l_type != F_UNLCK;
}

bool Owners::become_keeper() {
    if (keeper_) return true;
    auto l = byte_lock(F_WRLCK, 0);
    keeper_ = fcntl(file_.fd(), F_OFD_SETLK, &l) == 0;
    return keeper_;
}

}  // namespace netpay::till
