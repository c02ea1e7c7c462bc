#include "world/rate_limiter.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace netpay::world {

long RateLimiter::take(std::string_view peer, std::size_t route, double per_second, double burst, double now_s) {
    std::string key = std::to_string(route) + ' ' + std::string(peer);
    const auto found = by_key_.find(key);
    if (found != by_key_.end()) {
        buckets_.splice(buckets_.begin(), buckets_, found->second);
    } else {
        if (buckets_.size() == max_buckets_) {
            by_key_.erase(buckets_.back().key);
            buckets_.pop_back();
        }
        buckets_.push_front({std::move(key), burst, now_s});
        by_key_.emplace(buckets_.front().key, buckets_.begin());
    }
    Bucket& b = buckets_.front();
    b.tokens = std::min(burst, b.tokens + std::max(0.0, now_s - b.at_s) * per_second);
    b.at_s = now_s;
    if (b.tokens >= 1) {
        b.tokens -= 1;
        return 0;
    }
    constexpr double longest_s = 3600;
    const double wait = per_second > 0 ? (1 - b.tokens) / per_second : longest_s;
    return std::max(1L, std::lround(std::ceil(std::min(wait, longest_s))));
}

std::string rate_key(std::string_view peer) {
    std::array<unsigned char, 16> a{};
    const std::string text(peer);
    if (text.find(':') == std::string::npos || inet_pton(AF_INET6, text.c_str(), a.data()) != 1) return text;
    std::fill(a.begin() + 8, a.end(), static_cast<unsigned char>(0));
    std::array<char, INET6_ADDRSTRLEN> out{};
    inet_ntop(AF_INET6, a.data(), out.data(), static_cast<socklen_t>(out.size()));
    return std::string(out.data()) + "/64";
}

}  // namespace netpay::world
