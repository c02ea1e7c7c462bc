#include <openssl/rand.h>

#include <array>
#include <chrono>

#include "core/base64url.h"
#include "world/world.h"

namespace netpay::world {
namespace {

struct SystemClock : Clock {
    UnixTime now() const override {
        using namespace std::chrono;
        return duration_cast<seconds>(system_clock::now().time_since_epoch()).count();
    }
};

struct SystemRandom : Random {
    bool fill(std::uint8_t* out, std::size_t n) override { return RAND_bytes(out, static_cast<int>(n)) == 1; }
};

}  // namespace

std::unique_ptr<Clock> make_system_clock() { return std::make_unique<SystemClock>(); }

Random& system_random() {
    static SystemRandom r;
    return r;
}

Result<std::string> fresh_name(Random& random) {
    std::array<std::uint8_t, 16> bytes;
    if (!random.fill(bytes.data(), bytes.size())) return {Code::malformed, "no random bytes to be had"};
    return b64u_encode(bytes);
}

}  // namespace netpay::world
