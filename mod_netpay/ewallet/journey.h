// A reader's way to her broker and back with an e-wallet, and her leave of it.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "core/form.h"
#include "mod_netpay/ewallet/holdings.h"
#include "mod_netpay/ewallet/login.h"
#include "world/rate_limiter.h"

namespace netpay::ewallet {

// Safe from several threads.
class Journey {
public:
    // It outlives it.
    explicit Journey(Holdings& holdings) : h_(holdings) {}

    // All as in Wallets.
    Result<Begun> begin(const Visit& v, const std::string& issuer, bool cookie_kind);
    Begun finish(std::string_view cookies, const form::Fields& query, std::string_view peer, UnixTime now);
    Begun leave(std::string_view cookies, UnixTime now);

    // Brokers are told of e-wallets that were left while they did not answer, of
    // some in one call. One that does not answer now is told another time.
    void tell_brokers();

private:
    std::uint32_t too_often(std::string_view peer, UnixTime now);
    void come_home(const Login& login, Document document, std::string_view cookies, UnixTime now, Begun& out);
    void tell_left(const Notes::Untold& e, std::set<std::string>& silent);

    Holdings& h_;
    std::mutex exchanges_mutex_;
    world::RateLimiter exchanges_;
    std::atomic<std::uint32_t> exchanging_ = 0;
};

}  // namespace netpay::ewallet
