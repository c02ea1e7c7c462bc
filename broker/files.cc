#include "broker/files.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

namespace netpay::broker {
namespace {

class Descriptor {
public:
    explicit Descriptor(int fd) : fd_(fd) {}
    ~Descriptor() { if (fd_ >= 0) ::close(fd_); }
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    int get() const { return fd_; }
    // What close() says counts where the content must be on disk.
    bool close() { const int fd = fd_; fd_ = -1; return ::close(fd) == 0; }

private:
    int fd_;
};

Error failed(const std::string& what) { return {Code::malformed, what + ": " + std::strerror(errno)}; }

bool write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const ssize_t n = ::write(fd, text.data(), text.size());
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

bool sync_directory(const std::string& dir) {
    const Descriptor d(::open(dir.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return d.get() >= 0 && ::fsync(d.get()) == 0;
}

}  // namespace

Result<Secret> read_private_file(const std::string& path, std::size_t max) {
    const Descriptor d(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (d.get() < 0) return failed("cannot read " + path);
    struct stat st{};
    if (::fstat(d.get(), &st) != 0 || !S_ISREG(st.st_mode)) return {Code::malformed, path + " is not a regular file"};
    if (st.st_mode & 077)
        return {Code::malformed, path + " may be read by others than its owner; run: chmod 600 " + path};
    if (static_cast<std::size_t>(st.st_size) > max) return {Code::limit, path + " is too large"};
    Bytes content(static_cast<std::size_t>(st.st_size));
    for (std::size_t at = 0; at < content.size();) {
        const ssize_t n = ::read(d.get(), content.data() + at, content.size() - at);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failed("cannot read " + path);
        at += static_cast<std::size_t>(n);
    }
    return Secret(std::move(content));
}

Result<bool> write_private_file(const std::string& dir, const std::string& name, std::string_view content) {
    const std::string path = dir + "/" + name, temporary = dir + "/." + name + ".new";
    Descriptor d(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    if (d.get() < 0) return failed("cannot write " + temporary);
    if (::fchmod(d.get(), 0600) != 0 || !write_all(d.get(), content) || ::fsync(d.get()) != 0 || !d.close())
        return failed("cannot write " + temporary);
    if (::rename(temporary.c_str(), path.c_str()) != 0) return failed("cannot replace " + path);
    if (!sync_directory(dir)) return failed("cannot sync " + dir);
    return true;
}

Result<bool> check_private_directory(const std::string& path) {
    struct stat st{};
    if (::stat(path.c_str(), &st) != 0) return failed("cannot open " + path);
    if (!S_ISDIR(st.st_mode)) return {Code::malformed, path + " is not a directory"};
    if (st.st_mode & 077)
        return {Code::malformed, path + " may be looked into by others than its owner; run: chmod 700 " + path};
    return true;
}

Result<DirectoryLock> DirectoryLock::take(const std::string& dir) {
    const std::string path = dir + "/.lock";
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return failed("cannot open " + path);
    while (::flock(fd, LOCK_EX) != 0) {
        if (errno == EINTR) continue;
        const auto e = failed("cannot lock " + path);
        ::close(fd);
        return e;
    }
    return DirectoryLock(fd);
}

DirectoryLock::~DirectoryLock() {
    if (fd_ >= 0) ::close(fd_);
}

}  // namespace netpay::broker
