// A file descriptor, a shared mapping, and errors that name the file.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include <sys/types.h>

#include "core/result.h"

namespace netpay::till {

// "till: DIR/FILE: what: strerror(error)". Code::limit for want of space.
Error disk_error(std::string_view path, std::string_view what, int error);

class File {
public:
    File() = default;
    // Opens for reading and writing, close-on-exec, made with mode 0600. What
    // root makes belongs to the owner of the directory, so that root may run
    // netpay-redeem before httpd has started.
    static Result<File> open(const std::string& directory, const char* name);
    File(File&& o) noexcept;
    File& operator=(File&& o) noexcept;
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    ~File();

    int fd() const { return fd_; }
    const std::string& path() const { return path_; }
    off_t size() const;
    // flock(2); false: someone holds a lock that conflicts.
    bool lock_exclusive() const;
    bool lock_shared() const;
    void unlock() const;

private:
    int fd_ = -1;
    std::string path_;
};

// Gives a file to the owner of its directory if root made it.
void give_to_owner_of(const std::string& directory, const std::string& path);

class Mapping {
public:
    Mapping() = default;
    // MAP_SHARED, read and write, left out of core dumps (it holds paywords).
    static Result<Mapping> of(const File& file, std::size_t length);
    Mapping(Mapping&& o) noexcept;
    Mapping& operator=(Mapping&& o) noexcept;
    Mapping(const Mapping&) = delete;
    Mapping& operator=(const Mapping&) = delete;
    ~Mapping();

    std::byte* data() const { return at_; }
    std::size_t size() const { return length_; }

private:
    std::byte* at_ = nullptr;
    std::size_t length_ = 0;
};

}  // namespace netpay::till
