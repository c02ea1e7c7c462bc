// An honest vendor as an actor: the real till, keeper, gate's purchase and
// redeemer. It dies and comes back; its disks stay.
#pragma once

#include <array>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "core/credential.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/decision.h"
#include "mod_netpay/purchase.h"
#include "mod_netpay/redeem/redeemer.h"
#include "mod_netpay/till/locks.h"
#include "mod_netpay/till/till.h"
#include "test/sim/network.h"
#include "test/sim/referee.h"

namespace netpay::sim {

inline constexpr std::uint32_t unconfirmed_pages = 5;

// What the customer sees of a payment.
struct Served {
    enum class Kind { receipt, under_way, refused, nothing };
    Kind kind = Kind::nothing;
    Decision decision = Decision::required;
    std::uint32_t spent = 0, revealed = 0, needed = 0;
    std::uint64_t under_way = 0;  // number of the payment that is not settled yet
};

class Shop final : public Node {
public:
    Shop(Stage& stage, Network& network, Referee& referee, int number, std::string directory, std::int64_t skew_s);
    ~Shop() override;

    const std::string& origin() const { return origin_; }
    int number() const { return number_; }
    const SigningKey& key() const { return *key_; }
    UnixTime clock_now() const { return clock_.now(); }
    std::int64_t skew_s;

    bool up() const override { return till_ != nullptr; }
    world::HttpAnswer handle(const Message& m) override;
    void die() override;
    Fuse* fuse() override { return &till_disk_.fuse; }
    void rise();
    UnixTime down_until = 0;
    bool urgent = false;  // the keeper asked for housekeeping

    // A request with a payment for a page of `units`. The page's handler may
    // take longer than this step: then it is under way until finish().
    Served serve(CoinTruth& coin, const PaymentPayload& payload, std::uint32_t page, std::uint32_t units);
    // The handler of a payment under way is done. nullopt: the payment is
    // gone (the vendor died). good: it answered 2xx.
    std::optional<Served> finish(std::uint64_t under_way, bool good);
    // Her reader says that she bought that page by mistake.
    till::Till::GiveBackOutcome give_back(CoinTruth& coin, std::uint32_t ticket, std::uint32_t page);
    void housekeeping();
    void redeem();
    bool has_under_way() const { return !under_way_.empty(); }

    // Whether a payment of the coin would be accepted now; `confirmed`: in a custody of the broker.
    bool accepts(const Tag16& coin, bool& confirmed);
    std::optional<till::Entry> entry(const Tag16& coin) { return till_ ? till_->find(coin) : std::nullopt; }
    std::uint32_t owed_units();

private:
    struct UnderWay {
        std::uint64_t number = 0;
        CoinTruth* coin = nullptr;
        till::Charge charge;
        till::Outcome outcome;
    };
    struct Diary;  // the keeper's log
    Served settle(CoinTruth& coin, const till::Charge& charge, till::Outcome outcome);

    Stage& stage_;
    Network& network_;
    Referee& referee_;
    const int number_;
    const std::string origin_, directory_;
    SkewedClock clock_;
    SeededRandom random_;
    TillDisk till_disk_;
    MemoryDisk disk_;
    Wire wire_;
    std::unique_ptr<Diary> log_;
    std::shared_ptr<const SigningKey> key_;
    const std::vector<std::string> brokers_;
    std::optional<till::Owners> keeper_seat_;
    std::unique_ptr<till::Till> till_;
    std::unique_ptr<custody::Keeper> keeper_;
    std::vector<UnderWay> under_way_;
    std::uint64_t next_under_way_ = 1;
    std::set<CoinTruth*> giving_back_;  // what became of it the referee has not seen yet
};

}  // namespace netpay::sim
