// Proofs of fraud: suspension, credits taken back, receivers paid.
#include <thread>

#include "broker/ledger/ledger.h"
#include "broker/redeem/judge.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example", blog = "https://blog.example", mags = "https://mags.example",
                  wiki = "https://wiki.example";
constexpr std::int64_t lease = 86400, margin = 600;

class BrokerFraudTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerFraudTest);
    CPPUNIT_TEST(two_indices);
    CPPUNIT_TEST(two_indices_to_the_same);
    CPPUNIT_TEST(claims_before_the_proof);
    CPPUNIT_TEST(compensation_waits_for_a_balance);
    CPPUNIT_TEST(compensation_out_of_what_is_pending);
    CPPUNIT_TEST(compensation_is_paid_once);
    CPPUNIT_TEST(compensation_of_what_is_above_the_index_only);
    CPPUNIT_TEST(compensation_needs_a_payword);
    CPPUNIT_TEST(several_receivers_share_a_balance);
    CPPUNIT_TEST(receiver_repays_what_it_owes);
    CPPUNIT_TEST(never_held);
    CPPUNIT_TEST(never_held_is_paid_for_when_no_report_can_clear_it);
    CPPUNIT_TEST(a_fraud_frames_nobody_by_many_frauds);
    CPPUNIT_TEST(a_bad_token_hides_no_good_one);
    CPPUNIT_TEST(never_held_and_the_coin_is_anothers);
    CPPUNIT_TEST(never_held_after_its_own);
    CPPUNIT_TEST(cleared_by_the_founding_index);
    CPPUNIT_TEST(suspension_by_the_operator_stays);
    CPPUNIT_TEST(deceived_vendor_is_no_fraud);
    CPPUNIT_TEST(below_claims_takes_back_what_is_pending);
    CPPUNIT_TEST(below_claims_takes_back_what_is_payable);
    CPPUNIT_TEST(below_claims_after_the_payout);
    CPPUNIT_TEST(below_claims_cuts_ranges);
    CPPUNIT_TEST(below_claims_when_the_coin_went_on);
    CPPUNIT_TEST(below_where_it_got_the_coin);
    CPPUNIT_TEST(proof_stays_a_proof_when_reinstated);
    CPPUNIT_TEST(keeps_so_many_proofs);
    CPPUNIT_TEST(keeps_so_many_disputes);
    CPPUNIT_TEST(disputes_have_a_share_of_hashes);
    CPPUNIT_TEST(a_fraud_many_times_over_can_still_release);
    CPPUNIT_TEST(every_receiver_counts);
    CPPUNIT_TEST(compensated_units_are_not_credited);
    CPPUNIT_TEST(unpaid_compensation_ends_with_a_credit);
    CPPUNIT_TEST(deceived_vendor_is_cleared_later);
    CPPUNIT_TEST(given_too_late_is_cleared_later);
    CPPUNIT_TEST(framed_by_one_that_never_held_it);
    CPPUNIT_TEST(another_brokers_coin);
    CPPUNIT_TEST(raced_reports);
    CPPUNIT_TEST_SUITE_END();

    struct Scene {
        World w;
        Shop a = w.shop(news), b = w.shop(blog), c = w.shop(mags), d = w.shop(wiki);
        std::string token = w.rich();
        WalletCoin coin = w.coin(token);
        Scene() { assert_ok(w.acquire(a, coin, 5)); }
        std::string index(const Shop& from, const Shop& to, std::uint64_t epoch, std::uint32_t i) {
            return w.hand_over(from, to.origin, coin, epoch, i);
        }
        std::string proofs() {
            std::string text;
            const auto done = w.store().read([&](Sql& sql) -> Outcome<Done> {
                for (const auto& [origin, kind, epoch, cleared] : all<std::string, std::string, Int, Int>(
                         sql, "SELECT v.origin, f.kind, f.epoch, f.cleared FROM frauds f JOIN vendors v ON v.id = f.vendor ORDER BY f.id"))
                    text += (text.empty() ? "" : ", ") + origin.substr(8, 4) + " " + kind + " " + std::to_string(epoch) + (cleared ? " cleared" : "");
                return Done{};
            });
            CPPUNIT_ASSERT(done.ok());
            return text;
        }
        std::string reason(const Shop& shop, std::uint32_t from, std::uint32_t to, const WalletCoin& of) {
            const auto r = w.redeem(shop, "b" + std::to_string(++batches), World::claim(of, from, to));
            assert_ok(r);
            const auto doc = parsed(r);
            const auto* list = doc.root().array("rejected");
            return list->size() == 0 ? std::string() : std::string(list->begin()->string("reason").value());
        }
        std::string reason(const Shop& shop, std::uint32_t from, std::uint32_t to) { return reason(shop, from, to, coin); }
        void claims(const Shop& shop, std::uint32_t from, std::uint32_t to) { CPPUNIT_ASSERT_EQUAL(std::string(), reason(shop, from, to)); }
        void claims_in_vain(const Shop& shop, std::uint32_t from, std::uint32_t to) {
            CPPUNIT_ASSERT_EQUAL(std::string("not-held"), reason(shop, from, to));
        }
        // "pending payable owes" in units of 1000 micro-units.
        std::string purse(const Shop& shop) {
            const auto part = [&](const char* name) { return std::to_string(w.ledger("vendor:" + shop.origin + name) / 1000); };
            return part(":pending") + " " + part(":payable") + " " + part(":owes");
        }
        void pay_out(const Shop& shop, std::uint64_t micro) {
            const auto usd = *Currency::parse("uusd");
            const auto amount = *Amount::from(micro);
            const auto done = w.store().write([&](Sql& sql) {
                return ledger::post(sql, {"payout", shop.origin, usd,
                                          {{ledger::Side::debit, ledger::vendor_payable(shop.origin), amount},
                                           {ledger::Side::credit, std::string(ledger::cash), amount}},
                                          w.clock.now()});
            });
            CPPUNIT_ASSERT(done.ok());
        }
        int batches = 0;
    };
    static void same(const std::string& expected, const std::string& found) { CPPUNIT_ASSERT_EQUAL(expected, found); }

    // A sells 30 units and signs the coin to B and to C.
    struct Twice : Scene {
        std::string ab = index(a, b, 1, 30), ac = index(a, c, 1, 30);
        Response second;
        Twice() {
            claims(a, 0, 30);
            assert_ok(w.transfer(b, coin, {ab}));
            second = w.transfer(c, coin, {ac});
        }
    };

public:
    void two_indices() {
        Twice s;
        assert_problem(409, "overruled", s.second);
        same(s.ab, member(s.second, "index"));
        same("news two-indices 1", s.proofs());
        same("suspended", s.w.status_of(s.a));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM vendors WHERE suspended_for = 'fraud'"));
        same("0 30 0", s.purse(s.a));
        s.claims_in_vain(s.c, 30, 35);
        same("0 25 0", s.purse(s.a));
        same("0 5 0", s.purse(s.c));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM compensations WHERE lo = 30 AND hi = 35 AND due = 5000 AND paid = 5000"));
        s.claims(s.b, 30, 40);
        // Whoever decided, the same again gets the same.
        assert_ok(s.w.transfer(s.b, s.coin, {s.ab}));
        same(s.second.body, s.w.transfer(s.c, s.coin, {s.ac}).body);
        same("news two-indices 1", s.proofs());
        s.w.assert_sound();
    }

    void two_indices_to_the_same() {
        Twice s;
        const auto r = s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 20)});
        assert_problem(409, "overruled", r);
        same("news two-indices 1, news two-indices 1", s.proofs());
        // B has the coin from 30 by the first: what it sold from 20 to there is A's loss.
        s.claims_in_vain(s.b, 20, 30);
        same("0 20 0", s.purse(s.a));
        same("0 10 0", s.purse(s.b));
        s.w.assert_sound();
    }

    void claims_before_the_proof() {
        Scene s;
        s.claims(s.a, 0, 30);
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        s.claims_in_vain(s.c, 30, 34);
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM disputes d JOIN vendors v ON v.id = d.against WHERE v.origin = '" + blog + "'"));
        same("0 0 0", s.purse(s.c));
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 1, 30)}));
        same("0 4 0", s.purse(s.c));
        same("0 26 0", s.purse(s.a));
        s.w.assert_sound();
    }

    void compensation_waits_for_a_balance() {
        Scene s;
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 1, 30)}));
        s.claims_in_vain(s.c, 30, 40);
        same("0 0 0", s.purse(s.c));
        tick(s.w.context, s.w.store());
        same("0 0 0", s.purse(s.c));
        s.claims(s.a, 0, 4);
        tick(s.w.context, s.w.store());
        same("0 4 0", s.purse(s.c));
        s.claims(s.a, 4, 30);
        tick(s.w.context, s.w.store());
        tick(s.w.context, s.w.store());
        same("0 10 0", s.purse(s.c));
        same("0 20 0", s.purse(s.a));
        s.w.assert_sound();
    }

    // What is pending counts as a balance too; it is repaid when the epoch ends.
    void compensation_out_of_what_is_pending() {
        Scene s;
        const auto other = s.w.coin(s.token);
        assert_ok(s.w.acquire(s.a, other, 1));
        same("", s.reason(s.a, 0, 7, other));
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 1, 30)}));
        s.claims_in_vain(s.c, 30, 35);
        same("7 0 5", s.purse(s.a));
        same("0 5 0", s.purse(s.c));
        s.claims_in_vain(s.c, 35, 40);
        same("7 0 7", s.purse(s.a));
        same("0 7 0", s.purse(s.c));
        s.w.assert_sound();
        s.w.pass(lease + margin + 60);
        same("0 0 0", s.purse(s.a));
        s.claims(s.a, 0, 10);
        tick(s.w.context, s.w.store());
        same("0 7 0", s.purse(s.a));
        same("0 10 0", s.purse(s.c));
        s.w.assert_sound();
    }

    void compensation_is_paid_once() {
        Twice s;
        s.claims_in_vain(s.c, 30, 35);
        s.claims_in_vain(s.c, 30, 35);
        s.claims_in_vain(s.c, 32, 38);
        same("0 5 0", s.purse(s.c));
        s.claims_in_vain(s.c, 35, 38);
        same("0 8 0", s.purse(s.c));
        // Nor for what is its own to claim.
        assert_ok(s.w.transfer(s.c, s.coin, {s.index(s.b, s.c, 2, 40)}));
        s.claims_in_vain(s.c, 39, 45);
        same("0 8 0", s.purse(s.c));
        s.claims(s.c, 40, 45);
        same("5 8 0", s.purse(s.c));
        s.w.assert_sound();
    }

    void compensation_of_what_is_above_the_index_only() {
        Twice s;
        s.claims_in_vain(s.c, 20, 35);
        s.claims_in_vain(s.c, 29, 30);
        same("0 0 0", s.purse(s.c));
        // Others have no right to anything.
        s.claims_in_vain(s.d, 30, 35);
        same("0 0 0", s.purse(s.d));
        same("0 30 0", s.purse(s.a));
    }

    void compensation_needs_a_payword() {
        Twice s;
        auto forged = s.w.coin(s.token);
        forged.coin = s.coin.coin;
        same("not-held", s.reason(s.c, 30, 35, forged));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM disputes"));
        same("0 0 0", s.purse(s.c));
    }

    void several_receivers_share_a_balance() {
        Twice s;
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {s.index(s.a, s.d, 1, 30)}));
        s.claims_in_vain(s.c, 30, 50);
        s.claims_in_vain(s.d, 30, 50);
        same("0 20 0", s.purse(s.c));
        same("0 10 0", s.purse(s.d));
        same("0 0 0", s.purse(s.a));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM compensations WHERE due = 20000 AND paid = 10000"));
        s.w.assert_sound();
    }

    void receiver_repays_what_it_owes() {
        Scene s;
        // C was paid out 10 units of a coin, which it then hands over below them.
        const auto other = s.w.coin(s.token);
        assert_ok(s.w.acquire(s.c, other, 1));
        same("", s.reason(s.c, 0, 10, other));
        s.w.pass(lease + margin + 60);
        s.pay_out(s.c, 10000);
        assert_ok(s.w.transfer(s.d, other, {s.w.hand_over(s.c, wiki, other, 1, 4)}));
        same("0 0 6", s.purse(s.c));
        s.claims(s.a, 0, 30);
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 1, 30)}));
        s.claims_in_vain(s.c, 30, 40);
        same("0 4 0", s.purse(s.c));
        same("0 20 0", s.purse(s.a));
        s.w.assert_sound();
    }

    void never_held() {
        Scene s;
        const auto bc = s.index(s.b, s.c, 7, 30);
        const auto r = s.w.transfer(s.c, s.coin, {bc});
        assert_problem(409, "overruled", r);
        CPPUNIT_ASSERT(!parsed(r).root().find("index"));
        same("blog never-held 7", s.proofs());
        same("suspended", s.w.status_of(s.b));
        same("approved", s.w.status_of(s.a));
        same(r.body, s.w.transfer(s.c, s.coin, {bc}).body);
        same("blog never-held 7", s.proofs());
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs WHERE released = -1"));
        s.claims_in_vain(s.c, 30, 33);
        const auto other = s.w.coin(s.token);
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM compensations WHERE due = 3000 AND paid = 0"));
        s.w.assert_sound();
    }

    // B may have been given the coin by an index that is on its way here.
    void never_held_is_paid_for_when_no_report_can_clear_it() {
        for (const bool cleared : {true, false}) {
            Scene s;
            const auto other = s.w.coin(s.token);
            assert_ok(s.w.acquire(s.b, other, 5));
            same("", s.reason(s.b, 0, 20, other));
            const auto ab = s.index(s.a, s.b, 1, 30);
            assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.b, s.c, 2, 30)}));
            s.claims_in_vain(s.c, 30, 33);
            s.w.pass(500);
            same("0 0 0", s.purse(s.c));
            if (cleared) assert_ok(s.w.transfer(s.b, s.coin, {ab}));
            s.w.pass(200);
            same(cleared ? "0 0 0" : "0 3 0", s.purse(s.c));
            same(cleared ? "20 0 0" : "20 0 3", s.purse(s.b));
            s.w.assert_sound();
        }
    }

    // Who was given the coin by a proven fraud, and passed it on, did hold it as far as it could know.
    void a_fraud_frames_nobody_by_many_frauds() {
        Scene s;
        for (std::uint64_t e = 10; e < 40; ++e) assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.b, s.c, e, 30)}));
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {s.index(s.c, s.d, 40, 30)}));
        CPPUNIT_ASSERT(s.proofs().find("mags") == std::string::npos);
        same("approved", s.w.status_of(s.c));
        s.w.assert_sound();
    }

    // What a caller enclosed beside the index that counts.
    void a_bad_token_hides_no_good_one() {
        Scene s;
        const auto self = s.w.hand_over(s.b, s.b.origin, s.coin, 8, 30);
        assert_problem(422, "index", s.w.transfer(s.c, s.coin, {self, s.index(s.b, s.c, 9, 30)}));
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {s.index(s.c, s.d, 10, 30)}));
        same("blog never-held 9", s.proofs());
        same("approved", s.w.status_of(s.c));
        s.w.assert_sound();
    }

    void never_held_and_the_coin_is_anothers() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30);
        assert_ok(s.w.transfer(s.b, s.coin, {ab}));
        const auto r = s.w.transfer(s.d, s.coin, {s.index(s.c, s.d, 2, 40)});
        assert_problem(409, "overruled", r);
        same(ab, member(r, "index"));
        same("mags never-held 2", s.proofs());
        s.claims(s.b, 30, 60);
    }

    // It held the coin, and not in the epoch it signs for.
    void never_held_after_its_own() {
        Scene s;
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 2, 30)}));
        same("news never-held 2", s.proofs());
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.b, s.c, 3, 30)}));
        same("news never-held 2, blog never-held 3", s.proofs());
        // B holds it still, and releases it.
        assert_ok(s.w.transfer(s.d, s.coin, {s.index(s.b, s.d, 2, 35)}));
    }

    void cleared_by_the_founding_index() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 34);
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {bc}));
        s.claims_in_vain(s.c, 34, 40);
        same("blog never-held 2", s.proofs());
        same("suspended", s.w.status_of(s.b));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(s.w.transfer(s.b, s.coin, {ab})).epoch);
        same("blog never-held 2 cleared", s.proofs());
        same("approved", s.w.status_of(s.b));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM compensations"));
        // It had passed the coin on: nobody holds it, and C gets it when it asks again.
        CPPUNIT_ASSERT_EQUAL(Int{34}, s.w.count("SELECT released FROM epochs WHERE epoch = 2"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, s.w.custody_of(s.w.transfer(s.c, s.coin, {bc})).epoch);
        s.claims(s.b, 30, 34);
        // What it had claimed in vain is credited to it.
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM credits WHERE lo = 34 AND hi = 40 AND epoch = 3"));
        s.w.assert_sound();
    }

    void suspension_by_the_operator_stays() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 34);
        must(suspend_vendor(s.w.context, s.w.store(), blog));
        assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {bc}));
        assert_ok(s.w.transfer(s.b, s.coin, {ab}));
        same("blog never-held 2 cleared", s.proofs());
        same("suspended", s.w.status_of(s.b));
    }

    // A gave B the coin a second time over; B passed it on to D in good faith.
    void deceived_vendor_is_no_fraud() {
        Scene s;
        s.claims(s.a, 0, 30);
        const auto ac = s.index(s.a, s.c, 1, 30), ab = s.index(s.a, s.b, 1, 30), bd = s.index(s.b, s.d, 2, 33);
        assert_ok(s.w.transfer(s.c, s.coin, {ac}));
        const auto r = s.w.transfer(s.d, s.coin, {ab, bd});
        assert_problem(409, "overruled", r);
        same(ac, member(r, "index"));
        same("news two-indices 1", s.proofs());
        same("approved", s.w.status_of(s.b));
        s.claims_in_vain(s.b, 30, 33);
        s.claims_in_vain(s.d, 33, 40);
        same("0 3 0", s.purse(s.b));
        same("0 7 0", s.purse(s.d));
        same("0 20 0", s.purse(s.a));
        // And on to one more.
        const auto da = s.w.transfer(s.c, s.coin, {s.index(s.d, s.c, 3, 40)});
        assert_problem(409, "overruled", da);
        same("news two-indices 1", s.proofs());
        s.w.assert_sound();
    }

    void below_claims_takes_back_what_is_pending() {
        Scene s;
        s.claims(s.a, 0, 40);
        same("40 0 0", s.purse(s.a));
        const auto outstanding = s.w.ledger("coins:outstanding");
        const auto r = s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)});
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(r).index);
        same("news below-claims 1", s.proofs());
        same("suspended", s.w.status_of(s.a));
        same("0 30 0", s.purse(s.a));
        CPPUNIT_ASSERT_EQUAL(outstanding + 10000, s.w.ledger("coins:outstanding"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM reversals WHERE epoch = 1 AND lo = 30 AND hi = 40"));
        s.claims_in_vain(s.a, 30, 40);
        s.claims(s.b, 30, 40);
        same("10 0 0", s.purse(s.b));
        CPPUNIT_ASSERT_EQUAL(Int{40}, s.w.count("SELECT credited FROM coins WHERE coin = '" + s.coin.coin + "'"));
        same(r.body, s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}).body);
        s.w.assert_sound();
    }

    void below_claims_takes_back_what_is_payable() {
        Scene s;
        s.claims(s.a, 0, 40);
        const auto ab = s.index(s.a, s.b, 1, 30);
        s.w.pass(lease + margin + 60);
        same("0 40 0", s.purse(s.a));
        assert_ok(s.w.transfer(s.b, s.coin, {ab}));
        same("0 30 0", s.purse(s.a));
        s.w.assert_sound();
    }

    void below_claims_after_the_payout() {
        Scene s;
        s.claims(s.a, 0, 40);
        const auto ab = s.index(s.a, s.b, 1, 10);
        s.w.pass(lease + margin + 60);
        s.pay_out(s.a, 35000);
        assert_ok(s.w.transfer(s.b, s.coin, {ab}));
        same("0 0 25", s.purse(s.a));
        // What becomes payable repays it first.
        const auto other = s.w.coin(s.token);
        must(approve_vendor(s.w.context, s.w.store(), news, s.a.key.kid()));
        assert_ok(s.w.acquire(s.a, other, 1));
        same("", s.reason(s.a, 0, 20, other));
        same("20 0 25", s.purse(s.a));
        s.w.pass(lease + margin + 60);
        same("0 0 5", s.purse(s.a));
        same("", s.reason(s.a, 20, 30, other));  // late, and payable at once
        same("0 5 0", s.purse(s.a));
        s.w.assert_sound();
    }

    void below_claims_cuts_ranges() {
        Scene s;
        s.claims(s.a, 0, 10);
        s.claims(s.a, 20, 30);
        s.claims(s.a, 35, 40);
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 25)}));
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM credits WHERE (lo = 0 AND hi = 10) OR (lo = 20 AND hi = 25)"));
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM credits"));
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM reversals WHERE (lo = 25 AND hi = 30) OR (lo = 35 AND hi = 40)"));
        CPPUNIT_ASSERT_EQUAL(Int{15}, s.w.count("SELECT credited FROM epochs WHERE epoch = 1"));
        same("0 15 0", s.purse(s.a));
        s.claims(s.a, 10, 20);
        s.claims(s.b, 25, 50);
        s.w.assert_sound();
    }

    // The coin is C's by then. A's word binds it all the same: B is paid by A.
    void below_claims_when_the_coin_went_on() {
        Scene s;
        s.claims(s.a, 0, 20);
        const auto ab = s.index(s.a, s.b, 1, 10);
        s.w.pass(lease + margin + 60);
        assert_ok(s.w.acquire(s.c, s.coin, 21));
        assert_problem(409, "overruled", s.w.transfer(s.b, s.coin, {ab}));
        same("news below-claims 1", s.proofs());
        s.claims_in_vain(s.b, 10, 15);
        same("0 5 0", s.purse(s.b));
        same("0 15 0", s.purse(s.a));
        s.claims(s.c, 20, 30);
        s.w.assert_sound();
    }

    void below_where_it_got_the_coin() {
        Scene s;
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        s.claims(s.b, 30, 35);
        const auto bc = s.index(s.b, s.c, 2, 20);
        const auto r = s.w.transfer(s.c, s.coin, {bc});
        assert_problem(409, "overruled", r);
        same(r.body, s.w.transfer(s.c, s.coin, {bc}).body);
        same("blog below-claims 2", s.proofs());
        same("0 0 0", s.purse(s.b));
        // The coin is nobody's, from where B got it.
        s.claims(s.a, 0, 30);
        assert_problem(422, "payword", s.w.acquire(s.d, s.coin, 30));
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(s.w.acquire(s.d, s.coin, 31)).index);
        s.claims_in_vain(s.c, 20, 25);
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM compensations WHERE due = 5000 AND paid = 0"));
        s.w.assert_sound();
    }

    void proof_stays_a_proof_when_reinstated() {
        Twice s;
        must(approve_vendor(s.w.context, s.w.store(), news, s.a.key.kid()));
        same(s.second.body, s.w.transfer(s.c, s.coin, {s.ac}).body);
        same("approved", s.w.status_of(s.a));
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {s.index(s.a, s.d, 1, 30)}));
        same("suspended", s.w.status_of(s.a));
    }

    void keeps_so_many_proofs() {
        Twice s;
        for (std::uint32_t i = 0; i < 80; ++i)
            assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 1, 31 + i)}));
        CPPUNIT_ASSERT_EQUAL(Int{64}, s.w.count("SELECT COUNT(*) FROM frauds"));
        CPPUNIT_ASSERT_EQUAL(Int{65}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
    }

    void keeps_so_many_disputes() {
        Twice s;
        std::string body;
        for (std::uint32_t i = 0; i < 100; ++i) body += World::claim(s.coin, 30 + i, 31 + i);
        assert_ok(s.w.redeem(s.c, "many", body));
        CPPUNIT_ASSERT_EQUAL(Int{64}, s.w.count("SELECT COUNT(*) FROM disputes"));
        // What is due is due.
        CPPUNIT_ASSERT_EQUAL(Int{100}, s.w.count("SELECT COUNT(*) FROM compensations"));
        same("0 30 0", s.purse(s.c));
        s.w.assert_sound();
    }

    void disputes_have_a_share_of_hashes() {
        Scene s;
        const auto chain = s.w.chain(1u << 20);
        WalletCoin big;
        big.chain = chain;
        big.salt = chain->salt();
        const auto r = s.w.buy(s.token, World::order(*chain, 1));
        assert_ok(r);
        big.coin = must(verify_touchstone(member(r, "touchstone"), issuer, s.w.keys(), s.w.clock.now())).coin;
        std::string body;
        for (std::uint32_t i = 0; i < 20; ++i) body += World::claim(big, 1000, (1u << 20) - i);
        assert_ok(s.w.redeem(s.c, "far", body));
        CPPUNIT_ASSERT_EQUAL(Int{redeem::batch_dispute_hashes >> 20}, s.w.count("SELECT COUNT(*) FROM disputes"));
        // In order each starts from the one before.
        body.clear();
        for (std::uint32_t i = 20; i > 0; --i) body += World::claim(big, 1000 - i, (1u << 20) - i);
        assert_ok(s.w.redeem(s.c, "in-order", body));
        CPPUNIT_ASSERT_EQUAL(Int{(redeem::batch_dispute_hashes >> 20) + 20}, s.w.count("SELECT COUNT(*) FROM disputes"));
    }

    void a_fraud_many_times_over_can_still_release() {
        Scene s;
        for (std::uint32_t i = 0; i < 20; ++i)
            assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 2 + i, 30)}));
        CPPUNIT_ASSERT_EQUAL(Int{20}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)})).epoch);
    }

    // Who gave a coin away a hundred times to a friend pays the honest one all the same.
    void every_receiver_counts() {
        Twice s;
        for (std::uint32_t i = 0; i < 20; ++i)
            assert_problem(409, "overruled", s.w.transfer(s.c, s.coin, {s.index(s.a, s.c, 1, 31 + i)}));
        const auto ad = s.index(s.a, s.d, 1, 30);
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {ad}));
        s.claims_in_vain(s.d, 30, 35);
        same("0 5 0", s.purse(s.d));
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {s.index(s.a, s.d, 1, 90)}));
        CPPUNIT_ASSERT_EQUAL(Int{24}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
        s.w.assert_sound();
    }

    // C is compensated, then the coin comes to it by the broker, from where B left it.
    void compensated_units_are_not_credited() {
        Twice s;
        s.claims_in_vain(s.c, 30, 35);
        same("0 5 0", s.purse(s.c));
        s.w.pass(lease + margin + 60);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(s.w.acquire(s.c, s.coin, 31)).index);
        same("overlap", s.reason(s.c, 30, 35));
        same("overlap", s.reason(s.c, 34, 40));
        s.claims(s.c, 35, 40);
        same("5 5 0", s.purse(s.c));
        s.w.assert_sound();
    }

    void unpaid_compensation_ends_with_a_credit() {
        Twice s;
        s.pay_out(s.a, 30000);
        s.claims_in_vain(s.c, 30, 35);
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM compensations WHERE paid = 0"));
        s.w.pass(lease + margin + 60);
        assert_ok(s.w.acquire(s.c, s.coin, 31));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM compensations"));
        same("5 0 0", s.purse(s.c));
        s.w.assert_sound();
    }

    // A gives the coin to B and to C; what C passed on is shown before what C was given.
    void deceived_vendor_is_cleared_later() {
        Scene t;
        t.claims(t.a, 0, 30);
        const auto ab = t.index(t.a, t.b, 1, 30), ac = t.index(t.a, t.c, 1, 30), cd = t.index(t.c, t.d, 2, 30);
        assert_ok(t.w.transfer(t.b, t.coin, {ab}));
        assert_problem(409, "overruled", t.w.transfer(t.d, t.coin, {cd}));
        same("mags never-held 2", t.proofs());
        assert_problem(409, "overruled", t.w.transfer(t.c, t.coin, {ac}));
        same("mags never-held 2 cleared, news two-indices 1", t.proofs());
        same("approved", t.w.status_of(t.c));
        t.w.assert_sound();
    }

    // E never held the coin, and made A believe it: the other order of telling.
    void framed_by_one_that_never_held_it() {
        Scene s;
        const auto by_c = s.index(s.c, s.b, 4, 10), by_b = s.index(s.b, s.d, 5, 10);
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {by_b}));
        same("suspended", s.w.status_of(s.b));
        assert_problem(409, "overruled", s.w.transfer(s.b, s.coin, {by_c}));
        same("approved", s.w.status_of(s.b));
        same("suspended", s.w.status_of(s.c));
        s.w.assert_sound();
    }

    void given_too_late_is_cleared_later() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 10), bd = s.index(s.b, s.d, 2, 10);
        s.w.pass(lease + margin + 60);
        assert_ok(s.w.acquire(s.c, s.coin, 11));
        assert_problem(409, "overruled", s.w.transfer(s.d, s.coin, {bd}));
        same("suspended", s.w.status_of(s.b));
        assert_problem(409, "overruled", s.w.transfer(s.b, s.coin, {ab}));
        same("blog never-held 2 cleared", s.proofs());
        same("approved", s.w.status_of(s.b));
        s.w.assert_sound();
    }

    // One chain, bought at two brokers: what A signs for the other's coin says nothing here.
    void another_brokers_coin() {
        Scene s;
        SignedIndex i{s.a.origin, s.c.origin, s.coin.coin, 7, 30, s.coin.at(30), s.w.clock.now(), s.w.clock.now() + 3600};
        i.broker = "https://other.example";
        assert_problem(422, "index", s.w.transfer(s.c, s.coin, {sign_index(i, s.a.key)}));
        same("", s.proofs());
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
        i.broker = issuer;
        i.epoch = 1;
        assert_ok(s.w.transfer(s.c, s.coin, {sign_index(i, s.a.key)}));
    }

    void raced_reports() {
        Scene s;
        s.claims(s.a, 0, 30);
        const auto ab = s.index(s.a, s.b, 1, 30), ac = s.index(s.a, s.c, 1, 30);
        std::vector<Response> to_b(4), to_c(4);
        std::vector<std::thread> threads;
        for (auto& r : to_b) threads.emplace_back([&] { r = s.w.transfer(s.b, s.coin, {ab}); });
        for (auto& r : to_c) threads.emplace_back([&] { r = s.w.transfer(s.c, s.coin, {ac}); });
        for (auto& t : threads) t.join();
        for (const auto* side : {&to_b, &to_c})
            for (const auto& r : *side) same((*side)[0].body, r.body);
        CPPUNIT_ASSERT_EQUAL(200 + 409, to_b[0].status + to_c[0].status);
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM epochs"));
        same("news two-indices 1", s.proofs());
        s.w.assert_sound();
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerFraudTest);

}  // namespace
}  // namespace netpay::broker::test
