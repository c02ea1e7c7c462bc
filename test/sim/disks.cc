#include "test/sim/disks.h"

#include <cerrno>

namespace netpay::sim {

std::optional<world::Disk::Stamp> MemoryDisk::stamp(const std::string& path) {
    const auto f = files_.find(path);
    if (f == files_.end()) return std::nullopt;
    return Stamp{f->second.changed_ns, f->second.inode, f->second.content.size()};
}

Result<std::string> MemoryDisk::read(const std::string& path, std::size_t max_bytes) {
    const auto f = files_.find(path);
    if (f == files_.end()) return {Code::malformed, path + ": no such file"};
    if (f->second.content.size() > max_bytes) return {Code::limit, path + ": too large"};
    return f->second.content;
}

template <class F>
Result<bool> MemoryDisk::durably(const std::string& path, F change) {
    if (full) return {Code::malformed, path + ": no space left"};
    const bool burns = fuse.burns();
    if (burns && !fuse.after) throw SimCrash{who_};
    change();
    if (burns) throw SimCrash{who_};
    return true;
}

Result<bool> MemoryDisk::replace(const std::string& path, std::string_view content) {
    return durably(path, [&] {
        ++writes_;
        // Two writes within a second differ in their stamps, as on a real disk.
        files_[path] = File{std::string(content), stage_.now * 1000000000 + static_cast<std::int64_t>(writes_ % 1000000000), writes_};
    });
}

Result<bool> MemoryDisk::remove(const std::string& path) {
    return durably(path, [&] { files_.erase(path); });
}

Result<std::vector<std::string>> MemoryDisk::list(const std::string& directory) {
    std::vector<std::string> names;
    const auto prefix = directory + "/";
    for (auto f = files_.lower_bound(prefix); f != files_.end() && f->first.starts_with(prefix); ++f)
        if (f->first.find('/', prefix.size()) == std::string::npos) names.push_back(f->first.substr(prefix.size()));
    return names;
}

Result<bool> MemoryDisk::set_time(const std::string& path, UnixTime t) {
    auto& f = files_[path];
    if (f.inode == 0) f.inode = ++writes_;
    f.changed_ns = t * 1000000000;
    return true;
}

int TillDisk::sync(void* at, std::size_t length) {
    if (dead) return EIO;
    const bool burns = fuse.burns();
    if (burns && !fuse.after) {
        dead = true;
        throw SimCrash{who_};
    }
    const int result = till::Disk::sync(at, length);
    if (burns) {
        dead = true;
        throw SimCrash{who_};
    }
    return result;
}

int TillDisk::commit(MDB_txn* txn) {
    if (dead) {
        mdb_txn_abort(txn);
        return EIO;
    }
    const bool burns = fuse.burns();
    if (burns && !fuse.after) {
        dead = true;
        mdb_txn_abort(txn);
        throw SimCrash{who_};
    }
    const int result = till::Disk::commit(txn);
    if (burns) {
        dead = true;
        throw SimCrash{who_};
    }
    return result;
}

}  // namespace netpay::sim
