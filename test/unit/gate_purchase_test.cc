// A payment at the desk: what till and custody say, turned into an answer.
// The till is a real one; custody does what each case says.
#include <stdlib.h>

#include <filesystem>
#include <functional>
#include <memory>

#include "core/base64url.h"
#include "core/touchstone.h"
#include "core_support.h"
#include "mod_netpay/custody/reply.h"
#include "mod_netpay/purchase.h"

namespace netpay::test {
namespace {

struct ScriptedKeeper final : custody::Keeper {
    std::function<custody::Acquired()> on_acquire, on_regain;
    std::function<bool()> on_confirm = [] { return false; };
    int acquired = 0, regained = 0, confirmed = 0;
    bool clock = true;
    custody::Acquired acquire(const PaymentPayload&, std::uint32_t) override { ++acquired; return on_acquire(); }
    custody::Acquired regain(const PaymentPayload&, std::uint32_t) override { ++regained; return on_regain(); }
    bool confirm(const Tag16&) override { ++confirmed; return on_confirm(); }
    custody::HandoffAnswer hand_over(std::string_view) override { return {}; }
    custody::Reply ask(std::string_view, std::string_view, const json::Object&) override { return {}; }
    Result<Touchstone> read_touchstone(std::string_view, const std::string&) override { return {Code::mismatch, ""}; }
    bool clock_good() const override { return clock; }
    custody::Health health() override { return {}; }
    void on_urgent(std::function<void()>) override {}
    bool ready() override { return true; }
    std::uint32_t housekeeping() override { return 10; }
};

class GatePurchaseTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(GatePurchaseTest);
    CPPUNIT_TEST(a_cold_coin_is_taken_and_paid);
    CPPUNIT_TEST(every_refusal_of_custody);
    CPPUNIT_TEST(custody_is_asked_once);
    CPPUNIT_TEST(a_lease_that_is_over_is_regained);
    CPPUNIT_TEST(one_call_for_custody_a_request);
    CPPUNIT_TEST(a_coin_handed_over_is_asked_back);
    CPPUNIT_TEST(a_coin_that_left_again_meanwhile);
    CPPUNIT_TEST(unconfirmed_custody_is_limited);
    CPPUNIT_TEST(nothing_is_sold_by_a_wrong_clock);
    CPPUNIT_TEST(how_coins_came_is_counted);
    CPPUNIT_TEST(the_most_the_payer_accepts);
    CPPUNIT_TEST(verdicts);
    CPPUNIT_TEST_SUITE_END();

    static constexpr UnixTime now = 1795348800;
    static constexpr std::uint32_t n = 100;
    const std::vector<std::string> brokers = {"https://broker.example"};

    std::string directory_;
    std::unique_ptr<till::Till> till_;
    ScriptedKeeper keeper_;
    Salt salt_{};
    std::optional<Chain> chain_;
    Touchstone touchstone_;

public:
    void setUp() override {
        char name[] = "/tmp/netpay-purchase-XXXXXX";
        directory_ = ::mkdtemp(name);
        till::Options o;
        o.directory = directory_;
        o.slots = 64;
        till_ = std::move(*till::Till::open(o));
        Payword seed;
        seed.bytes.fill(7);
        chain_.emplace(salt_, seed, n);
        touchstone_.iss = brokers[0];
        touchstone_.coin = coin_id(salt_, chain_->at(0));
        touchstone_.tag = coin_tag(salt_, chain_->at(0));
        touchstone_.cur = uusd();
        touchstone_.unit = *Amount::from(1000);
        touchstone_.n = n;
        touchstone_.salt = salt_;
        touchstone_.root = chain_->at(0);
        touchstone_.iat = now;
        touchstone_.exp = now + 1000;
        keeper_.acquired = keeper_.regained = keeper_.confirmed = 0;
        keeper_.clock = true;
        keeper_.on_acquire = [this] { return take(now + 500); };
        keeper_.on_regain = [this] { return take(now + 900); };
    }
    void tearDown() override {
        till_.reset();
        std::filesystem::remove_all(directory_);
    }

private:
    custody::Acquired take(UnixTime lease) {
        till::Coin c;
        c.terms = touchstone_;
        c.touchstone = "t";
        c.custody = "c";
        c.epoch = 1;
        c.word = chain_->at(0);
        c.lease = lease;
        CPPUNIT_ASSERT(till_->take(c));
        return {custody::Taken::held, "", 0};
    }
    PaymentPayload payload(std::uint32_t index) {
        PaymentPayload p;
        p.coin = touchstone_.coin;
        p.tag = touchstone_.tag;
        p.index = index;
        p.payword = chain_->at(index);
        return p;
    }
    till::Charge charge(const PaymentPayload& p, std::uint64_t micro = 20000, UnixTime at = now) {
        till::Charge c;
        c.coin = p.tag;
        c.payment.index = p.index;
        c.payment.word = p.payword;
        c.payment.is_get = true;
        c.payment.now = at;
        c.price = *Amount::from(micro);
        c.currency = uusd();
        c.brokers = brokers;
        return c;
    }
    std::variant<Purchase, Refusal> buy(const PaymentPayload& p, till::Charge& c) {
        return purchase(Desk{*till_, keeper_, nullptr, nullptr, nullptr}, p, c);
    }
    // Buys and settles; the verdict's label, and what it says.
    std::string pay(std::uint32_t index, std::uint64_t micro = 20000, UnixTime at = now) {
        const auto p = payload(index);
        auto c = charge(p, micro, at);
        auto got = buy(p, c);
        if (auto* r = std::get_if<Refusal>(&got)) return std::string(label(r->decision).reason) + std::string(r->problem);
        auto o = std::get<Purchase>(got).outcome;
        if (o.verdict == Verdict::paid) CPPUNIT_ASSERT(till_->settle(c, o));
        return o.verdict == Verdict::paid ? "paid" : "replayed";
    }

    void a_cold_coin_is_taken_and_paid() {
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        CPPUNIT_ASSERT_EQUAL("replayed"s, pay(20));
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(40));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.acquired);
        CPPUNIT_ASSERT_EQUAL(40u, till_->find(touchstone_.tag)->state.spent);
    }

    void every_refusal_of_custody() {
        using custody::Taken;
        struct Case { Taken taken; Decision decision; int status; };
        for (const Case& k : {Case{Taken::touchstone, Decision::touchstone, 402}, Case{Taken::expired, Decision::expired, 402},
                              Case{Taken::broker, Decision::broker, 402}, Case{Taken::forged, Decision::forged, 402},
                              Case{Taken::hop_too_long, Decision::hop_too_long, 402}, Case{Taken::refused, Decision::lease_over, 402},
                              Case{Taken::unavailable, Decision::custody_unavailable, 503}}) {
            keeper_.on_acquire = [&] { return custody::Acquired{k.taken, "why", 7}; };
            const auto p = payload(20);
            auto c = charge(p);
            const auto got = buy(p, c);
            const auto& r = std::get<Refusal>(got);
            CPPUNIT_ASSERT(r.decision == k.decision);
            CPPUNIT_ASSERT_EQUAL(k.status, r.status);
            if (k.status == 503) CPPUNIT_ASSERT_EQUAL(7u, r.retry_after_s);
            if (k.taken == Taken::hop_too_long) CPPUNIT_ASSERT(r.max_hop == limits::default_max_hop);
        }
    }

    void custody_is_asked_once() {
        keeper_.on_acquire = [] { return custody::Acquired{custody::Taken::held, "", 0}; };  // and the till still does not know it
        CPPUNIT_ASSERT_EQUAL("tillinternal-payment-error"s, pay(20));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.acquired);
    }

    void a_lease_that_is_over_is_regained() {
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(40, 20000, now + 600));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.regained);
        keeper_.on_regain = [] { return custody::Acquired{custody::Taken::refused, "", 0}; };
        CPPUNIT_ASSERT_EQUAL("lease-oververification-failed"s, pay(60, 20000, now + 950));
    }

    // A coin handed over by another vendor at index `start`, not confirmed yet.
    custody::Acquired take_over(std::uint64_t epoch, std::uint32_t start, std::uint32_t pages) {
        till::Coin c;
        c.terms = touchstone_;
        c.touchstone = "t";
        c.epoch = epoch;
        c.start = start;
        c.word = chain_->at(start);
        c.lease = now + 900;
        c.indices = {"i"};
        c.pages = pages;
        CPPUNIT_ASSERT(till_->take(c));
        custody::Acquired a{custody::Taken::held, "", 0};
        a.way = "direct";
        return a;
    }
    void give_away(std::uint64_t epoch) {
        const auto done = till_->hand_over(touchstone_.tag, epoch, now, false, [](const till::Till::Leaving&) {
            return till::HandedOver{"index", "https://other.example", "certificate"};
        });
        CPPUNIT_ASSERT_MESSAGE(done.why, done.result == till::Till::Handover::given);
    }

    void one_call_for_custody_a_request() {
        keeper_.on_acquire = [this] { return take(now - 1); };  // what was given is over already
        CPPUNIT_ASSERT_EQUAL("lease-oververification-failed"s, pay(20));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.acquired + keeper_.regained);
    }

    void a_coin_handed_over_is_asked_back() {
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        give_away(1);
        keeper_.on_regain = [this] { return take_over(3, 60, 10); };
        CPPUNIT_ASSERT_EQUAL("already-spentverification-failed"s, pay(40));  // sold elsewhere meanwhile
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(80));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.acquired);
        CPPUNIT_ASSERT_EQUAL(1, keeper_.regained);
        CPPUNIT_ASSERT_EQUAL(80u, till_->find(touchstone_.tag)->state.spent);
    }

    void a_coin_that_left_again_meanwhile() {
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        give_away(1);
        keeper_.on_regain = [] { return custody::Acquired{custody::Taken::held, "", 0}; };  // and gone before it is reserved
        CPPUNIT_ASSERT_EQUAL("custodyinternal-payment-error"s, pay(40));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.regained);
        keeper_.on_regain = [] { return custody::Acquired{custody::Taken::unavailable, "why", 3}; };
        CPPUNIT_ASSERT_EQUAL("custodyinternal-payment-error"s, pay(40));
        keeper_.on_regain = [] { return custody::Acquired{custody::Taken::refused, "why", 0}; };
        CPPUNIT_ASSERT_EQUAL("lease-oververification-failed"s, pay(40));
    }

    void unconfirmed_custody_is_limited() {
        keeper_.on_acquire = [this] { return take_over(2, 10, 2); };
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(30));
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(50));
        CPPUNIT_ASSERT_EQUAL("custodyinternal-payment-error"s, pay(70));
        CPPUNIT_ASSERT_EQUAL(1, keeper_.confirmed);
        CPPUNIT_ASSERT_EQUAL(50u, till_->find(touchstone_.tag)->state.spent);
        CPPUNIT_ASSERT_EQUAL("replayed"s, pay(50));  // served again: nothing is sold
        keeper_.on_confirm = [this] {
            auto c = till_->find(touchstone_.tag)->coin;
            c.custody = "custody";
            return till_->take(c).ok();
        };
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(70));
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(90));
        CPPUNIT_ASSERT_EQUAL(2, keeper_.confirmed);
        CPPUNIT_ASSERT_EQUAL(1, keeper_.acquired);
    }

    void nothing_is_sold_by_a_wrong_clock() {
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        CPPUNIT_ASSERT(!closed(Desk{*till_, keeper_, nullptr, nullptr, nullptr}));
        keeper_.clock = false;
        CPPUNIT_ASSERT_EQUAL("clockinternal-payment-error"s, pay(40));
        CPPUNIT_ASSERT_EQUAL("clockinternal-payment-error"s, pay(20));
        const auto why = closed(Desk{*till_, keeper_, nullptr, nullptr, nullptr});
        CPPUNIT_ASSERT(why && why->decision == Decision::clock && why->status == 503);
        keeper_.clock = true;
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(40));
    }

    void how_coins_came_is_counted() {
        const auto counters = std::make_unique<Counters>();
        const auto p = payload(30);
        auto c = charge(p);
        keeper_.on_acquire = [this] { return take_over(2, 10, 10); };
        CPPUNIT_ASSERT(std::holds_alternative<Purchase>(purchase(Desk{*till_, keeper_, nullptr, counters.get(), nullptr}, p, c)));
        till_->release(c);
        const auto text = counters->prometheus();
        CPPUNIT_ASSERT(text.find("netpay_takeovers_total{way=\"direct\"} 1\n") != text.npos);
        CPPUNIT_ASSERT(text.find("netpay_takeovers_total{way=\"broker\"} 0\n") != text.npos);
    }

    void the_most_the_payer_accepts() {
        auto p = payload(20);
        p.max = *Amount::from(19999);
        auto c = charge(p);
        auto got = buy(p, c);
        CPPUNIT_ASSERT(std::get<Refusal>(got).decision == Decision::touchstone);  // nobody says what its units are worth
        p.touchstone = b64u_encode("{}"s) + "." + b64u_encode("{\"unit\":1000}"s) + "." + b64u_encode("signature"s);
        got = buy(p, c);
        CPPUNIT_ASSERT(std::get<Refusal>(got).decision == Decision::insufficient);
        CPPUNIT_ASSERT(std::get<Refusal>(got).needed == 20u);
        CPPUNIT_ASSERT_EQUAL(0, keeper_.acquired);
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        p = payload(60);
        p.max = *Amount::from(19999);
        c = charge(p);
        got = buy(p, c);
        const auto& r = std::get<Refusal>(got);
        CPPUNIT_ASSERT(r.spent == 20u && r.revealed == 20u && r.needed == 40u);
        CPPUNIT_ASSERT_EQUAL(20u, till_->find(touchstone_.tag)->state.revealed);
        p.max = *Amount::from(20000);
        c = charge(p);
        CPPUNIT_ASSERT(std::holds_alternative<Purchase>(buy(p, c)));
        till_->release(c);
    }

    void verdicts() {
        CPPUNIT_ASSERT_EQUAL("paid"s, pay(20));
        CPPUNIT_ASSERT_EQUAL("payment-insufficient"s, pay(30));
        auto p = payload(50);
        p.payword.bytes[0] ^= 1;
        auto c = charge(p);
        CPPUNIT_ASSERT(std::get<Refusal>(buy(p, c)).decision == Decision::forged);
        p = payload(50);
        c = charge(p);
        c.currency = *Currency::parse("ueur");
        CPPUNIT_ASSERT(std::get<Refusal>(buy(p, c)).decision == Decision::currency);
        const std::vector<std::string> others = {"https://other.example"};
        c = charge(p);
        c.brokers = others;
        CPPUNIT_ASSERT(std::get<Refusal>(buy(p, c)).decision == Decision::broker);
        CPPUNIT_ASSERT_EQUAL("expiredverification-failed"s, [&] {
            take(now + 5000);
            return pay(60, 20000, now + 1001);
        }());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(GatePurchaseTest);

}  // namespace
}  // namespace netpay::test
