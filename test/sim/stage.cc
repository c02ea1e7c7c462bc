#include "test/sim/stage.h"

#include <cstdio>

namespace netpay::sim {

// FNV-1a: the digest tells two runs apart, nobody attacks it.
void Stage::note(const std::string& event) {
    const auto line = std::to_string(step) + " " + std::to_string(now - start_of_time) + " " + event + "\n";
    for (const char c : line) digest_ = (digest_ ^ static_cast<std::uint8_t>(c)) * 0x100000001b3ull;
    ++events_;
    if (trace) std::fwrite(line.data(), 1, line.size(), stdout);
}

std::string Stage::digest() const {
    char text[17];
    std::snprintf(text, sizeof text, "%016llx", static_cast<unsigned long long>(digest_));
    return text;
}

}  // namespace netpay::sim
