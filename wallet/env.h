// What the wallet needs of the machine: time, randomness, and a name for the
// running process that no later process will have. Behind interfaces, so that
// tests can set the clock and repeat the randomness.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace netpay::wallet {

class Clock {
public:
    virtual ~Clock() = default;
    virtual UnixTime now() = 0;
    virtual void sleep_s(int seconds) = 0;
};

class Random {
public:
    virtual ~Random() = default;
    // False if the machine has no randomness to give; out is then not filled.
    [[nodiscard]] virtual bool fill(std::uint8_t* out, std::size_t n) = 0;
};

Clock& system_clock();
Random& system_random();  // RAND_priv_bytes of OpenSSL

// A process: its id, and when it started, so that a reused id is not taken
// for it.
struct Process {
    std::int64_t pid = 0;
    std::string start;  // boot id and start time as the kernel gives them; "" where it gives none
};
Process this_process();
// Where the kernel gives no start time, a process of that id counts as alive.
bool is_alive(const Process& p);

}  // namespace netpay::wallet
