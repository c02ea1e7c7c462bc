// The one random source of the broker: tokens, voucher codes, jti, salts.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace netpay::broker {

class Random {
public:
    virtual ~Random() = default;
    // Fills all n bytes. Safe from several threads.
    virtual void fill(std::uint8_t* out, std::size_t n) = 0;

    template <std::size_t N>
    std::array<std::uint8_t, N> bytes() {
        std::array<std::uint8_t, N> a;
        fill(a.data(), N);
        return a;
    }
};

// OpenSSL's generator. A generator that fails ends the process: nothing the
// broker could do without random bytes would be safe.
class SystemRandom final : public Random {
public:
    void fill(std::uint8_t* out, std::size_t n) override;
};

}  // namespace netpay::broker
