// Customers. An honest one counts as PROTOCOL.md section 3 says, with the
// wallet's own code; a dishonest one shows old paywords, replays credentials,
// goes back to an older backup and names holders that are none.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/credential.h"
#include "test/sim/mallory.h"
#include "test/sim/network.h"
#include "test/sim/referee.h"
#include "test/sim/shop.h"
#include "wallet/count.h"

namespace netpay::sim {

struct Market {
    std::vector<std::unique_ptr<Shop>> shops;
    std::vector<std::unique_ptr<Mallory>> mallories;
};

class Customer {
public:
    Customer(Stage& stage, Network& network, Office& office, Referee& referee, Market& market, int number, bool honest);

    void top_up();
    void buy();
    // A page at some vendor, mostly at the one she read last.
    void read();
    void give_back();
    // A page she read of late was opened by mistake: its vendor is asked to give it back.
    void regret();
    // Where one of her coins was spent last, if a vendor without fault holds it; null: no such coin.
    struct LastSpent {
        CoinTruth* coin = nullptr;
        Shop* shop = nullptr;
    };
    LastSpent last_spent();
    // That coin once more, at another vendor.
    void move_on(const LastSpent& from);
    // Her dishonest side; an honest one reads instead.
    void cheat();
    // Payments whose page was long in coming.
    void finish_one();
    void finish_all();
    std::size_t under_way() const { return under_way_.size(); }
    bool solvent() const { return !coins_.empty(); }
    void rest() { coins_.clear(); }

private:
    struct Standing {
        std::uint32_t revealed = 0, base = 0;
        bool met = false;
        std::set<std::uint32_t> used;
    };
    struct Open {
        wallet::OpenPayment payment;
        std::string where;
        std::uint32_t page = 0;
    };
    struct Bought {
        std::string where;
        std::uint32_t ticket = 0, page = 0, units = 0;
    };
    struct Held {
        CoinTruth* truth = nullptr;
        std::uint32_t spent = 0;
        std::vector<Open> open;
        std::vector<Bought> bought;  // the last ones
        std::map<std::string, Standing> at;
        std::string holder;       // where it was spent last
        std::uint32_t index = 0;  // a ticket spent there
        int stuck = 0;            // refusals in a row
        bool vague = false;       // her count may be lower than true
    };
    struct UnderWay {
        int shop = 0;
        std::uint64_t number = 0;
        std::string coin;
        std::int64_t id = 0;
        std::uint32_t units = 0;
    };

    world::HttpAnswer call(const std::string& method, const std::string& path, const std::string& body,
                           const std::string& idempotency_key = {});
    wallet::Count count_at(Held& c, const std::string& where);
    void put_back(Held& c, const std::string& where, const wallet::Count& count);
    PaymentPayload payload(const Held& c, std::uint32_t index, const std::string& where);
    Served visit(const std::string& where, CoinTruth& coin, const PaymentPayload& p, std::uint32_t page, std::uint32_t units);
    void pay(Held& c, const std::string& where);
    // False: no further try.
    bool learn(Held& c, const std::string& where, std::int64_t id, std::uint32_t units, const Served& s, std::uint32_t& needed);
    void not_believed(const Held& c, const std::string& where, const Served& s) const;
    std::string choose_vendor(const Held& c);
    Held* find(const std::string& coin);

    Stage& stage_;
    Network& network_;
    Office& office_;
    Referee& referee_;
    Market& market_;
    const int number_;
    const bool honest_;
    const std::string name_;
    std::string token_;
    SeededRandom random_;
    std::vector<Held> coins_;
    std::vector<UnderWay> under_way_;
    std::int64_t next_payment_ = 1;
    std::uint64_t money_ = 0;  // as far as she knows
    struct Order {
        std::string body, key;
        std::optional<Chain> chain;
    };
    std::optional<Order> order_;    // sent, not answered
    std::string voucher_;           // bought, not added
};

}  // namespace netpay::sim
