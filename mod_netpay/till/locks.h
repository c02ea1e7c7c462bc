// Mutual exclusion between all threads of all processes that have a till
// open, and the knowledge of which of them live.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "core/result.h"
#include "mod_netpay/till/file.h"

namespace netpay::till {

// Robust process-shared mutexes, one a stripe, in the mapped file `locks`. A
// process that dies with one held passes it on: the data beneath needs no
// repair (hot_table.h).
class Locks {
public:
    // fresh: no other process has the till open, so that every mutex is made
    // anew, whatever a loss of power or an older system library left behind.
    static Result<Locks> open(const std::string& directory, std::uint32_t stripes, bool fresh);

    class Guard {
    public:
        Guard() = default;
        Guard(Guard&& o) noexcept : mutex_(o.mutex_) { o.mutex_ = nullptr; }
        Guard& operator=(Guard&&) = delete;
        ~Guard() { unlock(); }
        void unlock();
        explicit operator bool() const { return mutex_ != nullptr; }

    private:
        friend class Locks;
        explicit Guard(void* mutex) : mutex_(mutex) {}
        void* mutex_ = nullptr;
    };
    // Empty if the stripe stays locked that long: its holder was stopped.
    Guard lock(std::uint32_t stripe, std::uint32_t wait_ms) const;

private:
    Mapping map_;
    std::uint32_t stripes_ = 0;
};

// Who has the till open. Each opener holds a lock on the byte of the file
// `owners` that its id numbers; the kernel drops it with the process. Open
// file description locks, so that two tills of one process are two owners.
class Owners {
public:
    // id ≥ 1, never used before.
    static Result<Owners> open(const std::string& directory, std::uint64_t id);
    bool alive(std::uint64_t id) const;
    std::uint64_t self() const { return id_; }
    // One of the openers at a time is the keeper; once it is, it stays it until it closes.
    bool become_keeper();

private:
    File file_;
    std::uint64_t id_ = 0;
    bool keeper_ = false;
};

}  // namespace netpay::till
