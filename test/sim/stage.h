// What all actors of a run share: the one true time, the dice, the log of
// events and its digest, and how an actor dies.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "broker/clock.h"
#include "core/bytes.h"
#include "core/hash.h"
#include "test/sim/dice.h"
#include "world/world.h"

namespace netpay::sim {

inline constexpr UnixTime start_of_time = 1790000000;

// The process of this actor is killed at this instant. Thrown through the code
// under test from below (a call, a write to the disk), and caught where that
// actor was called; it is no std::exception, so that nothing on the way takes
// it for an error it may handle.
struct SimCrash {
    std::string who;
};

// The run does not hold what it promises.
struct Violation {
    std::string what;
};

class Stage {
public:
    Stage(std::uint64_t number, bool tell) : dice(number), seed(number), trace(tell) {}

    // One thing that happened. No secrets and no random names in it: the
    // digest of all of them is the same for the same seed.
    void note(const std::string& event);
    std::string digest() const;  // of the events so far, hexadecimal
    std::uint64_t events() const { return events_; }
    void count(const std::string& what, std::uint64_t n = 1) { counts[what] += n; }

    UnixTime now = start_of_time;
    std::uint64_t step = 0;
    Dice dice;
    const std::uint64_t seed;
    const bool trace;
    bool calm = false;                           // the quiet at the end: nothing fails any more
    std::map<std::string, std::uint64_t> counts; // what the run was made of, for its summary

private:
    std::uint64_t digest_ = 0xcbf29ce484222325ull;
    std::uint64_t events_ = 0;
};

// A host's clock: the true time, and what it is off by.
class SkewedClock final : public world::Clock {
public:
    SkewedClock(const Stage& stage, const std::int64_t& skew_s) : stage_(stage), skew_s_(skew_s) {}
    UnixTime now() const override { return stage_.now + skew_s_; }

private:
    const Stage& stage_;
    const std::int64_t& skew_s_;
};

class TrueClock final : public broker::Clock {
public:
    explicit TrueClock(const Stage& stage) : stage_(stage) {}
    UnixTime now() const override { return stage_.now; }

private:
    const Stage& stage_;
};

}  // namespace netpay::sim
