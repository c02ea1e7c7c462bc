// Lease renewal (PROTOCOL.md section 7): which coins are worth it, in
// requests that fit a token, and the forgetting of coins past their use.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/index.h"
#include "mod_netpay/custody/broker_client.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody {

// How long after a coin's exp claims for it are taken (PROTOCOL.md section 8).
inline constexpr std::int64_t claims_after_exp_s = 90 * 86400;

// Coins in one renewal: a coin is about 120 bytes of payload, 160 encoded, and
// a token has limits::token_bytes (4096) with two origins of up to 300 bytes in it.
inline constexpr std::size_t renewal_coins = 16;

// The broker's custody in `token`, if it is of this broker for this vendor and
// coin and its payword is of the chain. Costs custody.index hashes. Errors
// name what is wrong.
Result<Custody> read_custody(std::string_view token, const KeySet& keys, const std::string& vendor,
                             const Touchstone& terms);
// The same, if its lease has not ended.
Result<Custody> accept_custody(std::string_view token, const KeySet& keys, const std::string& vendor,
                               const Touchstone& terms, UnixTime now);

class Leases {
public:
    Leases(std::string vendor, till::Till& till, World world) : vendor_(std::move(vendor)), till_(till), world_(world) {}

    // One round over the whole till. Renews custodies whose last quarter has
    // begun and under which something was sold since the custody was signed;
    // an idle coin is let go, so that its owner can spend it elsewhere.
    // Forgets coins nobody can claim for any more.
    void round(const std::map<std::string, BrokerClient*, std::less<>>& brokers);

    // A lease of this length was met; safe from several threads.
    void note(std::int64_t lease_s);
    // Seconds after which another round is worth it, by the shortest lease met.
    std::uint32_t interval_s() const;

private:
    struct Due {
        Tag16 coin{};
        std::uint64_t epoch = 0;
        std::uint32_t index = 0;
        Payword word;
        std::uint64_t given_back = 0;
    };
    enum class Sent { done, refused, unreachable };

    bool is_due(const till::Entry& e, UnixTime now);
    bool is_past_use(const till::Entry& e, UnixTime now) const;
    void renew(BrokerClient& broker, const std::vector<Due>& due);
    bool bind(std::vector<Due>& due);
    Sent send(BrokerClient& broker, const Due* first, std::size_t count);
    bool take_up(BrokerClient& broker, std::string_view token, const Due* first, std::size_t count);
    void defer(const Tag16& coin);

    const std::string vendor_;
    till::Till& till_;
    const World world_;
    std::map<Tag16, UnixTime> deferred_;  // the broker did not renew these: when to ask again
    std::atomic<std::int64_t> shortest_lease_s_ = 0;  // 0: none met yet
    std::atomic<bool> unfinished_ = false;            // the last round could not do everything
};

}  // namespace netpay::custody
