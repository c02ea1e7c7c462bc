// Token buckets, one for each peer and route, in a table of bounded size.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>

namespace netpay::world {

class RateLimiter {
public:
    // 32768 buckets are about 5 MB. When the table is full the bucket that
    // was used longest ago goes; its peer starts again with a full one.
    explicit RateLimiter(std::size_t max_buckets = 32768) : max_buckets_(max_buckets) {}

    // Takes one token. 0 if there was one; else the whole seconds, at least
    // 1, until there will be. now_s: seconds, which need not be monotonic: a
    // step back gives nothing. Used by one thread at a time.
    long take(std::string_view peer, std::size_t route, double per_second, double burst, double now_s);

    std::size_t size() const { return buckets_.size(); }

private:
    struct Bucket {
        std::string key;
        double tokens, at_s;
    };
    std::size_t max_buckets_;
    std::list<Bucket> buckets_;  // most recently used first
    std::unordered_map<std::string_view, std::list<Bucket>::iterator> by_key_;  // views into buckets_
};

// What a peer is counted as: an IPv4 address itself, an IPv6 address by its
// /64, which one subscriber has whole.
std::string rate_key(std::string_view peer);

}  // namespace netpay::world
