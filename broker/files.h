// Small files that must be whole or absent, and private.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/result.h"

namespace netpay::broker {

// The whole file, at most max bytes. Errors: malformed, with path and reason.
Result<Secret> read_private_file(const std::string& path, std::size_t max);

// Written beside its place, synced, renamed over it, directory synced: after
// a crash the old or the new content is there, never a part. Mode 0600.
Result<bool> write_private_file(const std::string& dir, const std::string& name, std::string_view content);

// Errors: malformed, if path is not a directory or others than its owner may
// look into it.
Result<bool> check_private_directory(const std::string& path);

// An exclusive lock on a directory's file ".lock", until it goes.
class DirectoryLock {
public:
    static Result<DirectoryLock> take(const std::string& dir);
    DirectoryLock(DirectoryLock&& o) noexcept : fd_(o.fd_) { o.fd_ = -1; }
    DirectoryLock& operator=(DirectoryLock&&) = delete;
    ~DirectoryLock();

private:
    explicit DirectoryLock(int fd) : fd_(fd) {}
    int fd_;
};

}  // namespace netpay::broker
