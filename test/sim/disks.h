// Disks that keep what was written over a crash, and crash when told to.
#pragma once

#include <atomic>
#include <map>
#include <string>

#include "mod_netpay/till/disk.h"
#include "test/sim/stage.h"
#include "world/world.h"

namespace netpay::sim {

// When the actor is to die: at the next but `writes` durable write, before or
// after it reaches the disk.
struct Fuse {
    int writes = -1;  // -1: not lit
    bool after = false;
    void light(int in, bool then_after) { writes = in; after = then_after; }
    void put_out() { writes = -1; }
    // Whether this write is the one.
    bool burns() { return writes >= 0 && writes-- == 0; }
};

// Files of the vendor beside the till (what is known of brokers, the outbox).
class MemoryDisk final : public world::Disk {
public:
    MemoryDisk(Stage& stage, std::string who) : stage_(stage), who_(std::move(who)) {}

    std::optional<Stamp> stamp(const std::string& path) override;
    Result<std::string> read(const std::string& path, std::size_t max_bytes) override;
    Result<bool> replace(const std::string& path, std::string_view content) override;
    Result<bool> remove(const std::string& path) override;
    Result<bool> make_directory(const std::string&) override { return true; }
    Result<std::vector<std::string>> list(const std::string& directory) override;
    Result<bool> set_time(const std::string& path, UnixTime t) override;

    Fuse fuse;
    bool full = false;  // every write fails

private:
    struct File {
        std::string content;
        std::int64_t changed_ns = 0;
        std::uint64_t inode = 0;
    };
    template <class F>
    Result<bool> durably(const std::string& path, F change);

    Stage& stage_;
    const std::string who_;
    std::map<std::string, File> files_;
    std::uint64_t writes_ = 0;
};

// The till's durable calls. `dead`: the process is gone, and what its objects
// still try to write while they are taken down does not reach the disk.
class TillDisk final : public till::Disk {
public:
    explicit TillDisk(std::string who) : who_(std::move(who)) {}
    int sync(void* at, std::size_t length) override;
    int commit(MDB_txn* txn) override;

    Fuse fuse;
    std::atomic<bool> dead = false;

private:
    const std::string who_;
};

}  // namespace netpay::sim
