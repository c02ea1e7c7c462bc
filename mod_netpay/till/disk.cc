#include "mod_netpay/till/disk.h"

#include <cerrno>
#include <cstdint>

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

namespace netpay::till {

int Disk::allocate(int fd, off_t length) { return posix_fallocate(fd, 0, length); }

int Disk::sync(void* at, std::size_t length) {
    static const auto page = static_cast<std::uintptr_t>(sysconf(_SC_PAGESIZE));
    const auto begin = reinterpret_cast<std::uintptr_t>(at);
    const auto from = begin / page * page;
    return msync(reinterpret_cast<void*>(from), begin + length - from, MS_SYNC) == 0 ? 0 : errno;
}

int Disk::commit(MDB_txn* txn) { return mdb_txn_commit(txn); }

Disk& Disk::real() {
    static Disk disk;
    return disk;
}

}  // namespace netpay::till
