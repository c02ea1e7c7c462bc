// A hostile vendor: it has a certificate as any other, and lies. It takes
// coins like an honest one, or is named by a customer who is in league with
// it; it hands a coin to several vendors, at indices lower or higher than
// true, and for epochs it never held; it sits on coins; it claims what it
// never held and what others sold. What it did can suspend it and must not
// cost anybody else a unit.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/credential.h"
#include "core/json.h"
#include "core/key.h"
#include "test/sim/network.h"
#include "test/sim/referee.h"
#include "test/sim/shop.h"

namespace netpay::sim {

class Mallory final : public Node {
public:
    Mallory(Stage& stage, Network& network, Referee& referee, int number);

    const std::string& origin() const { return origin_; }
    const SigningKey& key() const { return key_; }
    bool up() const override { return true; }
    void die() override {}
    world::HttpAnswer handle(const Message& m) override;

    // A customer pays here: it looks as at an honest vendor, mostly.
    Served serve(CoinTruth& coin, const PaymentPayload& payload, std::uint32_t units);
    // One thing of its own accord: claims, false reports.
    void scheme();
    bool suspended = false;

private:
    struct Loot {
        CoinTruth* coin = nullptr;
        std::uint32_t revealed = 0;    // the highest index seen, with its payword
        Payword word;
        bool holds = false;
        std::uint64_t epoch = 0;
        std::uint32_t start = 0, spent = 0;
        UnixTime lease = 0;
        std::vector<std::string> indices;          // it was handed over by, not reported yet
        std::map<std::string, std::string> given;  // what it signed, by receiver
    };
    Loot& loot(CoinTruth& coin, std::uint32_t index, const Payword& word);
    world::HttpAnswer call(const std::string& what, json::Object members);
    std::string request(const std::string& aud, const std::string& what, json::Object members);
    bool take(Loot& l);
    bool take_from(Loot& l, const std::string& holder, const std::string& handoff, std::uint64_t epoch, std::uint32_t index);
    void report(Loot& l);
    std::string sign(Loot& l, const std::string& aud, std::uint64_t epoch, std::uint32_t index);
    void claim();
    Loot* any();
    const std::string& certificate();

    Stage& stage_;
    Referee& referee_;
    const std::string origin_;
    SeededRandom random_;
    SigningKey key_;
    MemoryDisk disk_;
    Wire wire_;
    std::map<std::string, Loot> loot_;
    std::string certificate_;
    std::uint64_t batches_ = 0;
};

}  // namespace netpay::sim
