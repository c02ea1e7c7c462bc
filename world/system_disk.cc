#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "world/world.h"

namespace netpay::world {
namespace {

Error failed(const std::string& path) { return {Code::malformed, path + ": " + std::strerror(errno)}; }

class File {
public:
    File(const std::string& path, int flags) : fd_(open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
    ~File() { if (fd_ >= 0) close(fd_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    int fd() const { return fd_; }
    bool ok() const { return fd_ >= 0; }
private:
    int fd_;
};

bool write_all(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const ssize_t n = write(fd, bytes.data(), bytes.size());
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return true;
}

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    return slash == std::string::npos ? "." : path.substr(0, std::max<std::size_t>(slash, 1));
}

// A new name is durable once its directory is.
Result<bool> sync_directory_of(const std::string& path) {
    const std::string d = directory_of(path);
    const File f(d, O_RDONLY | O_DIRECTORY);
    if (!f.ok() || fsync(f.fd()) != 0) return failed(d);
    return true;
}

class SystemDisk : public Disk {
public:
    std::optional<Stamp> stamp(const std::string& path) override {
        struct stat s {};
        if (::stat(path.c_str(), &s) != 0) return std::nullopt;
        return Stamp{std::int64_t{s.st_mtim.tv_sec} * 1000000000 + s.st_mtim.tv_nsec, s.st_ino,
                     static_cast<std::uint64_t>(s.st_size)};
    }

    Result<std::string> read(const std::string& path, std::size_t max_bytes) override {
        const File f(path, O_RDONLY);
        if (!f.ok()) return failed(path);
        std::string out;
        char chunk[16384];
        for (;;) {
            const ssize_t n = ::read(f.fd(), chunk, sizeof chunk);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return failed(path);
            if (n == 0) return out;
            out.append(chunk, static_cast<std::size_t>(n));
            if (out.size() > max_bytes) return {Code::limit, path + ": larger than " + std::to_string(max_bytes) + " bytes"};
        }
    }

    Result<bool> replace(const std::string& path, std::string_view content) override {
        const std::string draft = path + "." + std::to_string(getpid()) + ".tmp";
        {
            const File f(draft, O_WRONLY | O_CREAT | O_TRUNC);
            if (!f.ok() || !write_all(f.fd(), content) || fsync(f.fd()) != 0) return failed(draft);
        }
        if (std::rename(draft.c_str(), path.c_str()) != 0) return failed(path);
        return sync_directory_of(path);
    }

    Result<bool> remove(const std::string& path) override {
        if (unlink(path.c_str()) != 0 && errno != ENOENT) return failed(path);
        return sync_directory_of(path);
    }

    Result<bool> make_directory(const std::string& path) override {
        if (mkdir(path.c_str(), 0700) == 0) return sync_directory_of(path);
        if (errno != EEXIST) return failed(path);
        return true;
    }

    Result<std::vector<std::string>> list(const std::string& directory) override {
        DIR* d = opendir(directory.c_str());
        if (!d) return failed(directory);
        std::vector<std::string> names;
        while (const dirent* e = readdir(d))
            if (e->d_name[0] != '.') names.emplace_back(e->d_name);
        closedir(d);
        std::sort(names.begin(), names.end());
        return names;
    }

    Result<bool> set_time(const std::string& path, UnixTime t) override {
        const File f(path, O_WRONLY | O_CREAT);
        const timespec times[2] = {{t, 0}, {t, 0}};
        if (!f.ok() || futimens(f.fd(), times) != 0) return failed(path);
        return true;
    }
};

}  // namespace

Disk& system_disk() {
    static SystemDisk d;
    return d;
}

}  // namespace netpay::world
