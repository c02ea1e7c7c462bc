// Chance, seeded: the same seed gives the same run.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "broker/random.h"
#include "world/world.h"

namespace netpay::sim {

// splitmix64: small, and the same on every machine.
class Dice {
public:
    explicit Dice(std::uint64_t seed) : state_(seed) {}
    std::uint64_t next() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ull);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    }
    // 0 … n - 1; n ≥ 1.
    std::uint64_t below(std::uint64_t n) { return next() % n; }
    std::int64_t between(std::int64_t lo, std::int64_t hi) {
        return lo + static_cast<std::int64_t>(below(static_cast<std::uint64_t>(hi - lo + 1)));
    }
    bool one_in(std::uint64_t n) { return below(n) == 0; }
    // True `in` times of a thousand.
    bool per_mille(std::uint64_t in) { return below(1000) < in; }
    template <class T>
    T& pick(std::vector<T>& v) { return v[below(v.size())]; }
    // The place of one of the weights.
    std::size_t weighted(std::initializer_list<std::uint32_t> weights) {
        std::uint64_t sum = 0;
        for (const auto w : weights) sum += w;
        auto at = below(sum);
        std::size_t i = 0;
        for (const auto w : weights) {
            if (at < w) return i;
            at -= w;
            ++i;
        }
        return 0;
    }

private:
    std::uint64_t state_;
};

// The random bytes that the code under test asks for. Apart from the dice of
// the schedule, so that code that asks for more does not change the story.
class SeededRandom final : public world::Random {
public:
    explicit SeededRandom(std::uint64_t seed) : dice_(seed) {}
    bool fill(std::uint8_t* out, std::size_t n) override {
        for (std::size_t i = 0; i < n; ++i) out[i] = static_cast<std::uint8_t>(dice_.next() >> 56);
        return true;
    }

private:
    Dice dice_;
};

class SeededBrokerRandom final : public broker::Random {
public:
    explicit SeededBrokerRandom(std::uint64_t seed) : random_(seed) {}
    void fill(std::uint8_t* out, std::size_t n) override { random_.fill(out, n); }

private:
    SeededRandom random_;
};

}  // namespace netpay::sim
