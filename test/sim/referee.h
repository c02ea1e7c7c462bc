// The referee knows the truth: every coin with its chain, every page that was
// sold by whom, and every voucher that was paid for. It holds it against what
// tills, store and ledger say.
//
// What must hold (a breach is a Violation):
//   - one vendor never sells a unit twice; a unit is credited once at most;
//   - at one true time one vendor accepts a coin. Where a vendor signed
//     something false, others may for a moment, each in custody that the
//     broker has not confirmed, up to the operator's limit of pages;
//   - a unit sold in a custody that the broker confirmed is credited to the
//     vendor that sold it. Exception: that vendor was out of reach of the
//     broker until its epoch had ended by the lease and the coin had gone on;
//   - claims within a vendor's confirmed epochs are not rejected;
//   - nobody is credited beyond what the owner revealed, and an honest vendor
//     not beyond what it sold;
//   - the ledger balances, and its cash is what was paid for vouchers;
//   - no honest vendor is suspended.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/bytes.h"
#include "core/claim.h"
#include "core/payword.h"
#include "test/sim/office.h"
#include "test/sim/stage.h"

namespace netpay::sim {

class Shop;

struct Sale {
    int shop = 0;
    std::uint64_t epoch = 0;
    std::uint32_t from = 0, to = 0;  // units from < i <= to
    bool confirmed = false;          // the custody it was sold in, then
};

// A coin as its owner and the referee know it.
struct CoinTruth {
    int number = 0;               // for the log of events
    std::string name, touchstone;
    Tag16 tag{};
    Salt salt{};
    std::uint32_t n = 0;
    std::vector<Payword> words;   // W_0 … W_n
    UnixTime exp = 0;
    bool honest = true;           // its owner
    bool tainted = false;         // a hostile vendor held it, or signed for it
    std::uint32_t revealed = 0;   // to anybody
    std::vector<Sale> sales;
    std::set<int> shops;          // that ever asked for it
    std::map<int, std::uint64_t> given_back;  // by shop: units, as far as the referee knows
};

// What became of the units sold, at the end.
struct Reckoning {
    std::uint64_t sold = 0, credited = 0, compensated = 0, late = 0, unconfirmed = 0, refunded = 0;
};

class Referee {
public:
    Referee(Stage& stage, Office& office, std::uint32_t unconfirmed_pages)
        : stage_(stage), office_(office), unconfirmed_pages_(unconfirmed_pages) {}

    void watch(Shop& shop) { shops_.push_back(&shop); }
    CoinTruth& issued(std::unique_ptr<CoinTruth> coin);
    CoinTruth* find(const std::string& name);
    std::vector<std::unique_ptr<CoinTruth>>& coins() { return coins_; }
    void paid_in(std::uint64_t micro) { paid_in_ += micro; }

    // A payment was settled: the till's s rose to `spent` by `units`.
    void sold(Shop& shop, CoinTruth& coin, std::uint32_t spent, std::uint32_t units);
    // Pages may have been given back there since the last call; nothing was sold since they were.
    void given_back(Shop& shop, CoinTruth& coin);
    // Nobody else accepts the coin now. `by`: who does.
    void one_holder(Shop& by, CoinTruth& coin);
    // The broker turned this claim of an honest vendor down.
    void rejected(Shop& shop, const std::string& coin, std::uint32_t from, std::uint32_t to, const std::string& reason);
    // What the broker's store says, at any time. The first is cheap.
    void nobody_honest_suspended();
    void inspect();
    // After everything was redeemed: every unit sold has become money, or has a reason not to.
    Reckoning reckon();

private:
    struct EpochRow {
        std::uint64_t epoch = 0;
        std::string vendor;
        std::uint32_t start = 0;
        std::int64_t released = -1;
        bool signed_for = false;  // founded by a signed index
    };
    struct Range {
        std::uint32_t lo = 0, hi = 0;
        std::string vendor;
    };
    struct Books {
        std::vector<EpochRow> epochs;
        std::vector<Range> credits, compensations;
        std::int64_t refunded = 0;
    };
    Books books_of(const CoinTruth& coin);
    static std::string on_file(const Books& books);
    std::string proofs_against(broker::Sql& sql, const std::string& origin) const;
    void judge(const CoinTruth& coin, const Books& books, Reckoning& sum);
    void judge_unit(const CoinTruth& coin, const Books& books, const Sale& sale, std::uint32_t unit, Reckoning& sum,
                    std::set<std::size_t>& unconfirmed_sales, std::size_t which);
    [[noreturn]] void fail(const std::string& what) const { throw Violation{what}; }
    std::string label(const CoinTruth& coin) const { return "coin " + std::to_string(coin.number) + " (" + coin.name + ")"; }

    Stage& stage_;
    Office& office_;
    const std::uint32_t unconfirmed_pages_;
    std::vector<Shop*> shops_;
    std::vector<std::unique_ptr<CoinTruth>> coins_;
    std::map<std::string, CoinTruth*> by_name_;
    std::uint64_t paid_in_ = 0;
};

}  // namespace netpay::sim
