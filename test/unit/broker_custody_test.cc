// Custody: acquire, renew, the end of an epoch, returns.
#include "core/certificate.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example", blog = "https://blog.example";
constexpr std::int64_t lease = 86400, margin = 600;

class BrokerCustodyTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerCustodyTest);
    CPPUNIT_TEST(nobody_held_it);
    CPPUNIT_TEST(holder_gets_the_same_again);
    CPPUNIT_TEST(another_holds_it);
    CPPUNIT_TEST(unknown_and_gone);
    CPPUNIT_TEST(payword_has_to_prove_it);
    CPPUNIT_TEST(epoch_ends_ten_minutes_after_the_lease);
    CPPUNIT_TEST(next_epoch_starts_where_the_last_is_known);
    CPPUNIT_TEST(downtime_is_added);
    CPPUNIT_TEST(lapsed_lease_is_got_again_by_its_holder);
    CPPUNIT_TEST(lease_ends_with_the_coin);
    CPPUNIT_TEST(renews);
    CPPUNIT_TEST(renewal_waits_for_nobody);
    CPPUNIT_TEST(who_is_gone_waits_no_more);
    CPPUNIT_TEST(renewal_refusals);
    CPPUNIT_TEST(returns_what_nobody_holds);
    CPPUNIT_TEST(returns_when_the_lease_ends);
    CPPUNIT_TEST(returns_only_ones_own);
    CPPUNIT_TEST(credits_become_payable_when_the_epoch_ends);
    CPPUNIT_TEST_SUITE_END();

    struct Scene {
        World w;
        Shop a = w.shop(news), b = w.shop(blog);
        std::string token = w.rich();
        WalletCoin coin = w.coin(token);
    };

public:
    void nobody_held_it() {
        Scene s;
        const auto r = s.w.acquire(s.a, s.coin, 5);
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(s.coin.touchstone, member(r, "touchstone"));
        const auto c = s.w.custody_of(r);
        CPPUNIT_ASSERT_EQUAL(news, c.sub);
        CPPUNIT_ASSERT_EQUAL(s.coin.coin, c.coin);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, c.epoch);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{0}, c.index);
        CPPUNIT_ASSERT(c.payword == s.coin.at(0));
        CPPUNIT_ASSERT_EQUAL(s.w.clock.now() + lease, c.exp);
    }

    void holder_gets_the_same_again() {
        Scene s;
        const auto first = s.w.acquire(s.a, s.coin, 5);
        s.w.clock.time += 100;
        CPPUNIT_ASSERT_EQUAL(first.body, s.w.acquire(s.a, s.coin, 7).body);
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs"));
    }

    void another_holds_it() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        const auto r = s.w.acquire(s.b, s.coin, 6);
        assert_problem(409, "held", r);
        CPPUNIT_ASSERT_EQUAL(s.coin.touchstone, member(r, "touchstone"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, amount_of(r, "epoch"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, amount_of(r, "index"));
        const auto holder = must(verify_certificate(member(r, "holder"), issuer, s.w.keys(), s.w.clock.now()));
        CPPUNIT_ASSERT_EQUAL(news, holder.sub);
    }

    void unknown_and_gone() {
        Scene s;
        auto strange = s.coin;
        strange.coin = "AAAAAAAAAAAAAAAAAAAAAA";
        assert_problem(404, "unknown-coin", s.w.acquire(s.a, strange, 1));
        const auto back = s.w.coin(s.token);
        assert_ok(s.w.give_back(s.token, back.coin));
        assert_problem(410, "gone", s.w.acquire(s.a, back, 1));
        s.w.clock.time += 365 * 86400;
        must(certificate_of(s.w.context, s.w.store(), news));
        s.w.clock.time += 1;
        // Its key's certificate ended with the year: made anew by the call above.
        assert_problem(410, "gone", s.w.acquire(s.a, s.coin, 1));
    }

    void payword_has_to_prove_it() {
        Scene s;
        const auto ask = [&](const Shop& shop, std::uint64_t index, const Payword& p) {
            return s.w.call("POST /api/v1/custody/acquire", s.w.signed_request(shop, "custody/acquire",
                json::Object().set("coin", s.coin.coin).set("index", index).set("payword", encode_payword(p))));
        };
        assert_problem(422, "payword", ask(s.a, 0, s.coin.at(0)));
        assert_problem(422, "payword", ask(s.a, 2, s.coin.at(1)));
        assert_problem(422, "payword", ask(s.a, 1001, s.coin.at(1000)));
        assert_problem(400, "malformed-request", ask(s.a, (1u << 20) + 1, s.coin.at(1000)));
        assert_ok(ask(s.a, 1000, s.coin.at(1000)));
        assert_problem(422, "payword", ask(s.b, 0, s.coin.at(0)));
        assert_problem(422, "payword", ask(s.b, 9, s.coin.at(8)));
    }

    void epoch_ends_ten_minutes_after_the_lease() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        s.w.clock.time += lease + margin;
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 6));
        s.w.clock.time += 1;
        const auto c = s.w.custody_of(s.w.acquire(s.b, s.coin, 6));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, c.epoch);
        CPPUNIT_ASSERT_EQUAL(blog, c.sub);
        assert_problem(409, "held", s.w.acquire(s.a, s.coin, 7));
    }

    void next_epoch_starts_where_the_last_is_known() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.renew(s.a, s.coin, 1, 40));
        assert_ok(s.w.redeem(s.a, "b", World::claim(s.coin, 0, 30)));
        s.w.clock.time += lease + margin + 1;
        assert_problem(422, "payword", s.w.acquire(s.b, s.coin, 40));
        const auto c = s.w.custody_of(s.w.acquire(s.b, s.coin, 41));
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{40}, c.index);
        CPPUNIT_ASSERT(c.payword == s.coin.at(40));
        s.w.assert_sound();
    }

    void downtime_is_added() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        tick(s.w.context, s.w.store());
        s.w.clock.time += lease + 100;  // away until 100 s after the lease
        tick(s.w.context, s.w.store());
        for (int t = 0; t < 500; t += 10) {
            s.w.clock.time += 10;
            tick(s.w.context, s.w.store());
        }
        s.w.clock.time += 100;  // exp + 700, of which the broker was there for 600
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 6));
        s.w.clock.time += 1;
        assert_ok(s.w.acquire(s.b, s.coin, 6));
    }

    void lapsed_lease_is_got_again_by_its_holder() {
        Scene s;
        const auto first = s.w.acquire(s.a, s.coin, 5);
        s.w.clock.time += lease + 1;
        const auto again = s.w.custody_of(s.w.acquire(s.a, s.coin, 5));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, again.epoch);
        CPPUNIT_ASSERT_EQUAL(s.w.clock.now() + lease, again.exp);
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 6));
        s.w.clock.time += lease + 1;  // now another waits
        CPPUNIT_ASSERT_EQUAL(again.exp, s.w.custody_of(s.w.acquire(s.a, s.coin, 5)).exp);
    }

    void lease_ends_with_the_coin() {
        Scene s;
        const UnixTime exp = must(verify_touchstone(s.coin.touchstone, issuer, s.w.keys(), s.w.clock.now())).exp;
        s.w.clock.time = exp - 100;
        must(certificate_of(s.w.context, s.w.store(), news));
        CPPUNIT_ASSERT_EQUAL(exp, s.w.custody_of(s.w.acquire(s.a, s.coin, 5)).exp);
    }

    void renews() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        s.w.clock.time += lease - 10;
        const auto r = s.w.renew(s.a, s.coin, 1, 7);
        assert_ok(r);
        const auto doc = parsed(r);
        const auto token = std::string(doc.root().array("custody")->begin()->as_string().value());
        const auto c = must(verify_custody(token, s.w.keys()));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, c.epoch);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{0}, c.index);
        CPPUNIT_ASSERT_EQUAL(s.w.clock.now() + lease, c.exp);
        CPPUNIT_ASSERT_EQUAL(token, member(s.w.acquire(s.a, s.coin, 8), "custody"));
    }

    void who_is_gone_waits_no_more() {
        Scene s;
        tick(s.w.context, s.w.store());
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 6));
        const auto waits = [&] { return s.w.renew(s.a, s.coin, 1, 7).body.find("\"reason\":\"waiting\"") != std::string::npos; };
        CPPUNIT_ASSERT(waits());
        must(suspend_vendor(s.w.context, s.w.store(), s.b.origin));
        CPPUNIT_ASSERT_MESSAGE("a suspended vendor cannot have it", !waits());
        must(approve_vendor(s.w.context, s.w.store(), s.b.origin));
        CPPUNIT_ASSERT(waits());
        // While the broker was away no lease ended, and nobody could ask again.
        tick(s.w.context, s.w.store());
        s.w.clock.time += lease + margin + 100;
        tick(s.w.context, s.w.store());
        CPPUNIT_ASSERT(waits());
    }
    void renewal_waits_for_nobody() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 6));
        const auto r = s.w.renew(s.a, s.coin, 1, 7);
        assert_ok(r);
        CPPUNIT_ASSERT(r.body.find("\"reason\":\"waiting\"") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, parsed(r).root().array("custody")->size());
    }

    void renewal_refusals() {
        Scene s;
        const auto reason = [&](const Response& r) {
            assert_ok(r);
            const auto doc = parsed(r);
            const auto* list = doc.root().array("refused");
            return list->size() == 0 ? std::string() : std::string(list->begin()->string("reason").value());
        };
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), reason(s.w.renew(s.a, s.coin, 1, 5)));
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), reason(s.w.renew(s.a, s.coin, 2, 5)));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), reason(s.w.renew(s.b, s.coin, 1, 5)));
        auto strange = s.coin;
        strange.coin = "AAAAAAAAAAAAAAAAAAAAAA";
        CPPUNIT_ASSERT_EQUAL(std::string("unknown-coin"), reason(s.w.renew(s.a, strange, 1, 5)));
        auto forged = s.w.coin(s.token);
        forged.coin = s.coin.coin;
        CPPUNIT_ASSERT_EQUAL(std::string("payword"), reason(s.w.renew(s.a, forged, 1, 5)));
        CPPUNIT_ASSERT_EQUAL(std::string(), reason(s.w.renew(s.a, s.coin, 1, 0)));
        s.w.clock.time += lease + margin + 1;
        CPPUNIT_ASSERT_EQUAL(std::string("over"), reason(s.w.renew(s.a, s.coin, 1, 5)));
        assert_problem(400, "malformed-request", s.w.call("POST /api/v1/custody/renew", s.w.signed_request(s.a, "custody/renew", {})));
    }

    void returns_what_nobody_holds() {
        Scene s;
        const auto before = s.w.balance(s.token);
        const auto r = s.w.give_back(s.token, s.coin.coin);
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, amount_of(r, "refunded"));
        CPPUNIT_ASSERT_EQUAL(r.body, s.w.give_back(s.token, s.coin.coin).body);
        CPPUNIT_ASSERT_EQUAL(before + 1000000, s.w.balance(s.token));
        s.w.assert_sound();
    }

    void returns_when_the_lease_ends() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "b", World::claim(s.coin, 0, 300)));
        const auto before = s.w.balance(s.token);
        CPPUNIT_ASSERT_EQUAL(202, s.w.give_back(s.token, s.coin.coin).status);
        CPPUNIT_ASSERT_EQUAL(202, s.w.give_back(s.token, s.coin.coin).status);
        assert_problem(410, "gone", s.w.acquire(s.b, s.coin, 400));
        assert_ok(s.w.acquire(s.a, s.coin, 400));
        CPPUNIT_ASSERT(s.w.renew(s.a, s.coin, 1, 310).body.find("waiting") != std::string::npos);
        s.w.clock.time += lease + margin;
        tick(s.w.context, s.w.store());
        CPPUNIT_ASSERT_EQUAL(before, s.w.balance(s.token));
        s.w.clock.time += 1;
        tick(s.w.context, s.w.store());
        // By what the vendor said when it asked for a longer lease and did not get it.
        CPPUNIT_ASSERT_EQUAL(before + 690000, s.w.balance(s.token));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{690000}, amount_of(s.w.give_back(s.token, s.coin.coin), "refunded"));
        // What the vendor had neither claimed nor named by then is gone; what lies below is not.
        CPPUNIT_ASSERT(s.w.redeem(s.a, "c", World::claim(s.coin, 300, 311)).body.find("not-held") != std::string::npos);
        CPPUNIT_ASSERT(s.w.redeem(s.a, "d", World::claim(s.coin, 300, 310)).body.find("not-held") == std::string::npos);
        s.w.assert_sound();
    }

    void returns_only_ones_own() {
        Scene s;
        assert_problem(404, "unknown-coin", s.w.give_back(s.w.account(), s.coin.coin));
        assert_problem(404, "unknown-coin", s.w.give_back(s.token, "nonsense"));
        s.w.clock.time += (365 + 90) * 86400 + 1;
        assert_problem(410, "gone", s.w.give_back(s.token, s.coin.coin));
    }

    void credits_become_payable_when_the_epoch_ends() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "b", World::claim(s.coin, 0, 10)));
        const auto row = [&] {
            for (auto& v : must(list_vendors(s.w.store(), s.w.clock.now())))
                if (v.origin == news) return v;
            return VendorRow{};
        };
        const auto usd = *Currency::parse("uusd");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, row().pending[usd].micro());
        tick(s.w.context, s.w.store());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, row().payable[usd].micro());
        s.w.clock.time += lease + margin + 1;
        tick(s.w.context, s.w.store());  // the broker was away: its ten minutes begin now
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, row().payable[usd].micro());
        for (int t = 0; t <= margin; t += 30) {
            s.w.clock.time += 30;
            tick(s.w.context, s.w.store());
        }
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, row().payable[usd].micro());
        // Nobody took the coin: what the vendor claims late is credited, payable at once.
        assert_ok(s.w.redeem(s.a, "c", World::claim(s.coin, 10, 15)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{15000}, row().payable[usd].micro());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, row().pending[usd].micro());
        s.w.assert_sound();
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerCustodyTest);

}  // namespace
}  // namespace netpay::broker::test
