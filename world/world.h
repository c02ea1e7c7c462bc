// What the rooms above touch outside their own process (clock, randomness,
// disk, network, log), each behind an interface, so that tests and the
// simulator can stop, skew, tear and cut them. Stands on core alone.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"

namespace netpay::world {

struct Clock {
    virtual ~Clock() = default;
    virtual UnixTime now() const = 0;
};
std::unique_ptr<Clock> make_system_clock();

struct Random {
    virtual ~Random() = default;
    virtual bool fill(std::uint8_t* out, std::size_t n) = 0;  // safe from several threads; false: no entropy
};
Random& system_random();  // OpenSSL's

// A name nobody has used: 16 random bytes as base64url, 22 characters.
Result<std::string> fresh_name(Random& random);

struct HttpAnswer {
    int status = 0;          // 0: no answer; error says why
    std::string body;
    std::string error;
    long retry_after_s = 0;  // of the Retry-After field; 0: absent
    UnixTime date = 0;       // of the Date field: the other side's clock; 0: absent or unreadable
};

// Calls are bounded in time and in the size of the answer, follow no
// redirect, and are safe from several threads.
struct Transport {
    virtual ~Transport() = default;
    virtual HttpAnswer get(const std::string& url) = 0;
    virtual HttpAnswer post(const std::string& url, const std::string& json) = 0;
};

// For bodies that lie on the disk.
struct FileTransport : Transport {
    // The file as the body, streamed, with Content-Length and without content
    // coding. `fields`: whole header lines.
    virtual HttpAnswer post_file(const std::string& url, const std::string& path,
                                 const std::vector<std::string>& fields) = 0;
};

struct Log {
    enum class Level { info, warning, error };
    virtual ~Log() = default;
    virtual void write(Level level, const std::string& text) = 0;
};

// Files of mode 0600 in directories of mode 0700. Errors name the path and
// what the system said.
struct Disk {
    // Tells one state of a file from another without reading it.
    struct Stamp {
        std::int64_t changed_ns = 0;  // mtime
        std::uint64_t inode = 0, size = 0;
        friend bool operator==(const Stamp&, const Stamp&) = default;
    };
    virtual ~Disk() = default;
    virtual std::optional<Stamp> stamp(const std::string& path) = 0;  // nullopt: not there
    virtual Result<std::string> read(const std::string& path, std::size_t max_bytes) = 0;
    // The whole content in one step: a reader, or a crash, meets the old or
    // the new one. Durable when it returns.
    virtual Result<bool> replace(const std::string& path, std::string_view content) = 0;
    virtual Result<bool> remove(const std::string& path) = 0;  // durable; no error if it is not there
    virtual Result<bool> make_directory(const std::string& path) = 0;  // no error if it is there
    virtual Result<std::vector<std::string>> list(const std::string& directory) = 0;  // names, sorted
    // The file's mtime, as seconds: a time that several processes share. Created if missing.
    virtual Result<bool> set_time(const std::string& path, UnixTime t) = 0;
};
Disk& system_disk();

// The interfaces a part works with; they outlive it.
struct World {
    Clock& clock;
    Transport& transport;
    Log& log;
    Random& random;
    Disk& disk;
};

}  // namespace netpay::world
