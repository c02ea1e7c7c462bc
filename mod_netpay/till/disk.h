// The calls by which the till makes things durable, in one place, so that a
// test can make them fail. Each returns 0 or an errno value.
#pragma once

#include <cstddef>

#include <sys/types.h>

#include <lmdb.h>

namespace netpay::till {

class Disk {
public:
    virtual ~Disk() = default;
    // Gives the file blocks for its whole length: a full disk shows here and
    // not as SIGBUS at the first payment.
    virtual int allocate(int fd, off_t length);
    // msync(MS_SYNC) of the pages these bytes lie in.
    virtual int sync(void* at, std::size_t length);
    // Commits and syncs an LMDB transaction, which is gone afterwards whatever the outcome.
    virtual int commit(MDB_txn* txn);

    static Disk& real();
};

}  // namespace netpay::till
