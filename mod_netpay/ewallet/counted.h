// How many threads are at something, for bounds on it.
#pragma once

#include <atomic>
#include <cstdint>

namespace netpay::ewallet {

class Counted {
public:
    // n outlives it.
    explicit Counted(std::atomic<std::uint32_t>& n) : n_(n), before_(n.fetch_add(1)) {}
    ~Counted() { n_.fetch_sub(1); }
    Counted(const Counted&) = delete;
    Counted& operator=(const Counted&) = delete;
    // Others that were at it.
    std::uint32_t before() const { return before_; }

private:
    std::atomic<std::uint32_t>& n_;
    const std::uint32_t before_;
};

}  // namespace netpay::ewallet
