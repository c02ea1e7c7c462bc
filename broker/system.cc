// The real clock and the real random source.
#include <openssl/rand.h>

#include <climits>
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "broker/clock.h"
#include "broker/random.h"

namespace netpay::broker {

UnixTime SystemClock::now() const { return std::time(nullptr); }

void SystemRandom::fill(std::uint8_t* out, std::size_t n) {
    if (n <= INT_MAX && RAND_bytes(out, static_cast<int>(n)) == 1) return;
    std::fputs("netpay-brokerd: the system gives no random bytes\n", stderr);
    std::abort();
}

}  // namespace netpay::broker
