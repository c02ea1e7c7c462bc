// Coins travel: POST custody/transfer, and what a signed index does to a coin.
#include "broker/custody/epochs.h"
#include "broker/custody/handovers.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example", blog = "https://blog.example", mags = "https://mags.example",
                  wiki = "https://wiki.example";
constexpr std::int64_t lease = 86400, margin = 600;

class BrokerTravelTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerTravelTest);
    CPPUNIT_TEST(moves_at_its_index);
    CPPUNIT_TEST(claims_end_at_the_index);
    CPPUNIT_TEST(claimed_before_the_index_was_known);
    CPPUNIT_TEST(claimed_before_it_was_acquired);
    CPPUNIT_TEST(same_again_gets_the_same);
    CPPUNIT_TEST(several_at_once);
    CPPUNIT_TEST(first_of_a_list_is_known_already);
    CPPUNIT_TEST(list_in_any_order);
    CPPUNIT_TEST(overtaken_by_the_next_report);
    CPPUNIT_TEST(shown_after_the_lease);
    CPPUNIT_TEST(shown_when_the_coin_went_on);
    CPPUNIT_TEST(shown_when_the_coin_was_returned);
    CPPUNIT_TEST(shown_when_the_coin_has_expired);
    CPPUNIT_TEST(no_longer_lease_while_another_waits);
    CPPUNIT_TEST(no_longer_lease_while_a_return_waits);
    CPPUNIT_TEST(below_what_was_renewed);
    CPPUNIT_TEST(known_mark_follows);
    CPPUNIT_TEST(acquired_again_by_nobodys_favour);
    CPPUNIT_TEST(acquire_keeps_the_payword);
    CPPUNIT_TEST(refuses_what_does_not_verify);
    CPPUNIT_TEST(refuses_what_is_malformed);
    CPPUNIT_TEST(refuses_what_does_not_lead_to_the_caller);
    CPPUNIT_TEST(good_part_of_a_bad_list_counts);
    CPPUNIT_TEST(judged_by_the_key_of_its_time);
    CPPUNIT_TEST(revoked_key_binds_until_then);
    CPPUNIT_TEST(receiver_is_suspended);
    CPPUNIT_TEST(receiver_is_reinstated);
    CPPUNIT_TEST(suspended_vendor_passes_it_on);
    CPPUNIT_TEST(suspended_signer_releases);
    CPPUNIT_TEST(suspended_vendor_may_redeem_only);
    CPPUNIT_TEST(request_is_used_once);
    CPPUNIT_TEST(given_to_the_broker);
    CPPUNIT_TEST(receiver_nobody_knows);
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
        Int frauds() { return w.count("SELECT COUNT(*) FROM frauds"); }
        Int released(int epoch) { return w.count("SELECT released FROM epochs WHERE epoch = " + std::to_string(epoch)); }
        std::string reason(const Shop& shop, std::uint32_t from, std::uint32_t to) {
            const auto r = w.redeem(shop, "b" + std::to_string(++batches), World::claim(coin, from, to));
            assert_ok(r);
            const auto doc = parsed(r);
            const auto* list = doc.root().array("rejected");
            return list->size() == 0 ? std::string() : std::string(list->begin()->string("reason").value());
        }
        int batches = 0;
    };

public:
    void moves_at_its_index() {
        Scene s;
        assert_problem(409, "held", s.w.acquire(s.c, s.coin, 6));
        const auto r = s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)});
        assert_ok(r);
        const auto custody = s.w.custody_of(r);
        CPPUNIT_ASSERT_EQUAL(blog, custody.sub);
        CPPUNIT_ASSERT_EQUAL(s.coin.coin, custody.coin);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, custody.epoch);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, custody.index);
        CPPUNIT_ASSERT(custody.payword == s.coin.at(30));
        CPPUNIT_ASSERT_EQUAL(Int{30}, s.released(1));
        CPPUNIT_ASSERT_EQUAL(Int{-1}, s.released(2));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs WHERE epoch = 1 AND status = 'ended' AND settled = 1"));
        CPPUNIT_ASSERT_EQUAL_MESSAGE("who waited has to ask again", Int{0}, s.w.count("SELECT COUNT(*) FROM waiting"));
        assert_problem(409, "held", s.w.acquire(s.a, s.coin, 31));
        CPPUNIT_ASSERT_EQUAL(member(r, "custody"), member(s.w.acquire(s.b, s.coin, 31), "custody"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        s.w.assert_sound();
    }

    void claims_end_at_the_index() {
        Scene s;
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 20));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, s.w.ledger("vendor:" + news + ":pending"));
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, s.w.ledger("vendor:" + news + ":pending"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, s.w.ledger("vendor:" + news + ":payable"));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.a, 20, 31));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 20, 30));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.b, 29, 35));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.b, 30, 35));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{30000}, s.w.ledger("vendor:" + news + ":payable"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000}, s.w.ledger("vendor:" + blog + ":pending"));
        s.w.assert_sound();
    }

    // The one before the vendor kept the index to itself by which it had got the coin.
    void claimed_before_the_index_was_known() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 40);
        CPPUNIT_ASSERT_EQUAL(409, s.w.transfer(s.c, s.coin, {bc}).status);
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.c, 40, 43));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.c, 39, 44));  // never its own
        assert_ok(s.w.transfer(s.c, s.coin, {ab, bc}));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3000}, s.w.ledger("vendor:" + mags + ":pending"));
        assert_ok(s.w.transfer(s.c, s.coin, {ab, bc}));
        CPPUNIT_ASSERT_EQUAL(std::string("overlap"), s.reason(s.c, 42, 45));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.c, 43, 45));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000}, s.w.ledger("vendor:" + mags + ":pending"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM disputes WHERE credited = 1"));
        s.w.assert_sound();
    }

    // The same, but the broker hears of the index from others, and the vendor asks for the coin anew.
    void claimed_before_it_was_acquired() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 40);
        CPPUNIT_ASSERT_EQUAL(409, s.w.transfer(s.c, s.coin, {bc}).status);
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.c, 40, 43));
        (void)s.w.transfer(s.b, s.coin, {ab});
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{40}, s.w.custody_of(s.w.acquire(s.c, s.coin, 44)).index);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3000}, s.w.ledger("vendor:" + mags + ":pending"));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.c, 43, 45));
        s.w.assert_sound();
    }

    void same_again_gets_the_same() {
        Scene s;
        const auto index = s.index(s.a, s.b, 1, 30);
        const auto first = s.w.transfer(s.b, s.coin, {index});
        assert_ok(first);
        s.w.clock.time += 50;
        CPPUNIT_ASSERT_EQUAL(first.body, s.w.transfer(s.b, s.coin, {index}).body);
        assert_ok(s.w.renew(s.b, s.coin, 2, 35));
        const auto newest = s.w.transfer(s.b, s.coin, {index});
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(newest).epoch);
        CPPUNIT_ASSERT_EQUAL(s.w.clock.now() + lease, s.w.custody_of(newest).exp);
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM epochs"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
    }

    void several_at_once() {
        Scene s;
        const auto r = s.w.transfer(s.c, s.coin, {s.index(s.a, s.b, 1, 30), s.index(s.b, s.c, 2, 30)});
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, s.w.custody_of(r).epoch);
        CPPUNIT_ASSERT_EQUAL(mags, s.w.custody_of(r).sub);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(r).index);
        CPPUNIT_ASSERT_EQUAL(Int{30}, s.released(2));
        assert_ok(s.w.transfer(s.a, s.coin, {s.index(s.c, s.a, 3, 40)}));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 30));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 40, 50));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.a, 30, 40));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.c, 30, 40));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        s.w.assert_sound();
    }

    void first_of_a_list_is_known_already() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 33);
        assert_ok(s.w.transfer(s.b, s.coin, {ab}));
        const auto r = s.w.transfer(s.c, s.coin, {ab, bc});
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, s.w.custody_of(r).epoch);
        CPPUNIT_ASSERT_EQUAL(r.body, s.w.transfer(s.c, s.coin, {bc}).body);
        CPPUNIT_ASSERT_EQUAL(r.body, s.w.transfer(s.c, s.coin, {ab, bc}).body);
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
    }

    void list_in_any_order() {
        Scene s;
        const auto r = s.w.transfer(s.c, s.coin, {s.index(s.b, s.c, 2, 33), s.index(s.a, s.b, 1, 30)});
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, s.w.custody_of(r).epoch);
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
    }

    void overtaken_by_the_next_report() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 33);
        assert_ok(s.w.transfer(s.c, s.coin, {ab, bc}));
        const auto late = s.w.transfer(s.b, s.coin, {ab});
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(late).epoch);
        CPPUNIT_ASSERT_EQUAL(Int{3}, s.w.count("SELECT COUNT(*) FROM epochs"));
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 40));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
    }

    // Nobody took it in between: the index decides, above or below what was known.
    void shown_after_the_lease() {
        Scene s;
        assert_ok(s.w.renew(s.a, s.coin, 1, 20));
        const auto ab = s.index(s.a, s.b, 1, 30);
        s.w.pass(lease + margin + 60);
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs WHERE status = 'ended' AND released = -1"));
        const auto r = s.w.transfer(s.b, s.coin, {ab});
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(r).index);
        CPPUNIT_ASSERT_EQUAL(s.w.clock.now() + lease, s.w.custody_of(r).exp);
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 30));
        s.w.assert_sound();
    }

    void shown_when_the_coin_went_on() {
        Scene s;
        assert_ok(s.w.redeem(s.a, "before", World::claim(s.coin, 0, 20)));
        const auto ab = s.index(s.a, s.b, 1, 30);
        s.w.pass(lease + margin + 60);
        assert_ok(s.w.acquire(s.c, s.coin, 31));
        for (int again = 0; again < 2; ++again) {
            const auto r = s.w.transfer(s.b, s.coin, {ab});
            assert_problem(409, "overruled", r);
            CPPUNIT_ASSERT(!parsed(r).root().find("index"));
        }
        CPPUNIT_ASSERT_EQUAL_MESSAGE("nobody is to blame", Int{0}, s.frauds());
        CPPUNIT_ASSERT_EQUAL(std::string("approved"), s.w.status_of(s.a));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.b, 30, 35));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM disputes WHERE lo = 30 AND hi = 35 AND against > 0"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM compensations"));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.c, 20, 40));
        s.w.assert_sound();
    }

    void shown_when_the_coin_was_returned() {
        Scene s;
        assert_ok(s.w.redeem(s.a, "before", World::claim(s.coin, 0, 20)));
        const auto ab = s.index(s.a, s.b, 1, 20);
        s.w.pass(lease + margin + 60);
        assert_ok(s.w.give_back(s.token, s.coin.coin));
        const auto balance = s.w.balance(s.token);
        assert_problem(409, "overruled", s.w.transfer(s.b, s.coin, {ab}));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        CPPUNIT_ASSERT_EQUAL(balance, s.w.balance(s.token));
        s.w.assert_sound();
    }

    // What was sold before the end can be claimed for 90 days more.
    void shown_when_the_coin_has_expired() {
        Scene s;
        const UnixTime exp = start_of_time + 365 * 86400;
        s.w.clock.time = exp - 100;
        must(certificate_of(s.w.context, s.w.store(), news));
        must(certificate_of(s.w.context, s.w.store(), blog));
        const auto ab = s.index(s.a, s.b, 1, 30);
        s.w.clock.time = exp + 3600;
        const auto r = s.w.transfer(s.b, s.coin, {ab});
        CPPUNIT_ASSERT_EQUAL(exp, s.w.custody_of(r).exp);
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.b, 30, 35));
        s.w.assert_sound();
    }

    void no_longer_lease_while_another_waits() {
        Scene s;
        const auto old = s.w.clock.now() + lease;
        s.w.clock.time += 1000;
        assert_problem(409, "held", s.w.acquire(s.b, s.coin, 6));  // who asks itself does not count
        assert_problem(409, "held", s.w.acquire(s.c, s.coin, 6));
        const auto r = s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)});
        CPPUNIT_ASSERT_EQUAL(old, s.w.custody_of(r).exp);
        const auto on = s.w.transfer(s.d, s.coin, {s.index(s.b, s.d, 2, 31)});
        CPPUNIT_ASSERT_EQUAL_MESSAGE("nobody has asked again", s.w.clock.now() + lease, s.w.custody_of(on).exp);
    }

    void no_longer_lease_while_a_return_waits() {
        Scene s;
        const auto old = s.w.clock.now() + lease;
        s.w.clock.time += 1000;
        CPPUNIT_ASSERT_EQUAL(202, s.w.give_back(s.token, s.coin.coin).status);
        const auto before = s.w.balance(s.token);
        const auto r = s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)});
        CPPUNIT_ASSERT_EQUAL(old, s.w.custody_of(r).exp);
        CPPUNIT_ASSERT(s.w.renew(s.b, s.coin, 2, 33).body.find("\"waiting\"") != std::string::npos);
        s.w.clock.time = old;
        s.w.pass(margin + 60);
        CPPUNIT_ASSERT_EQUAL_MESSAGE("renewed or not, it said that 33 are spent", before + 967000, s.w.balance(s.token));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.b, 30, 33));
        s.w.assert_sound();
    }

    // Its signer says that less was spent than it said before: so be it.
    // Nobody claimed what lies between: it is the signer's own loss, and no proof.
    void below_what_was_renewed() {
        Scene s;
        assert_ok(s.w.renew(s.a, s.coin, 1, 40));
        const auto r = s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)});
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(r).index);
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.a, 30, 40));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.b, 30, 40));
        s.w.assert_sound();
    }

    void known_mark_follows() {
        Scene s;
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        s.w.pass(lease + margin + 60);
        assert_problem(422, "payword", s.w.acquire(s.c, s.coin, 30));
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(s.w.acquire(s.c, s.coin, 31)).index);
    }

    void acquired_again_by_nobodys_favour() {
        Scene s;
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        s.w.pass(lease + margin + 60);
        const auto back = s.w.custody_of(s.w.acquire(s.a, s.coin, 31));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, back.epoch);
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 3, 44)}));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
    }

    void acquire_keeps_the_payword() {
        Scene s;
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM known_paywords WHERE idx = 5 AND payword = '" + encode_payword(s.coin.at(5)) + "'"));
    }

    void refuses_what_does_not_verify() {
        Scene s;
        const auto other = s.w.coin(s.token);
        const auto go = [&](const SignedIndex& i, const SigningKey& key) { return s.w.transfer(s.b, s.coin, {sign_index(i, key)}); };
        const SignedIndex good{news, blog, s.coin.coin, 1, 30, s.coin.at(30), s.w.clock.now(), s.w.clock.now() + 9};
        const auto with = [&](auto change) {
            auto i = good;
            change(i);
            return i;
        };
        assert_problem(422, "index", s.w.transfer(s.b, s.coin, {"nonsense"}));
        assert_problem(422, "index", go(good, s.b.key));
        assert_problem(422, "index", go(good, new_key()));
        assert_problem(422, "index", go(with([](auto& i) { i.iss = "https://nobody.example"; }), s.a.key));
        assert_problem(422, "index", go(with([](auto& i) { i.aud = news; }), s.a.key));
        assert_problem(422, "index", go(with([&](auto& i) { i.payword = s.coin.at(29); }), s.a.key));
        assert_problem(422, "index", go(with([&](auto& i) { i.index = 1001; }), s.a.key));
        assert_problem(422, "index", go(with([&](auto& i) { i.epoch = 1ull << 40; }), s.a.key));
        assert_problem(422, "index", go(with([&](auto& i) { i.coin = other.coin; i.payword = other.at(30); }), s.a.key));
        assert_problem(404, "unknown-coin", go(with([](auto& i) { i.coin = "AAAAAAAAAAAAAAAAAAAAAA"; }), s.a.key));
        // Custody tokens and the like are no signed indices.
        assert_problem(422, "index", s.w.transfer(s.b, s.coin, {member(s.w.acquire(s.a, s.coin, 5), "custody")}));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        assert_ok(go(good, s.a.key));
    }

    void refuses_what_is_malformed() {
        Scene s;
        const auto request = [&](json::Object members) {
            return sign_request({blog, issuer, "custody/transfer", s.w.clock.now(), b64u_encode(SystemRandom().bytes<16>())}, std::move(members), s.b.key);
        };
        const auto go = [&](const json::Object& body) { return s.w.call("POST /api/v1/custody/transfer", body.jcs()); };
        const auto coin = json::Object().set("coin", s.coin.coin);
        const auto index = s.index(s.a, s.b, 1, 30);
        assert_problem(400, "malformed-request", go(json::Object().set("index", std::vector<std::string>{index})));
        assert_problem(400, "malformed-request", go(json::Object().set("request", request({})).set("index", std::vector<std::string>{index})));
        assert_problem(400, "malformed-request", go(json::Object().set("request", request(coin))));
        assert_problem(400, "malformed-request", go(json::Object().set("request", request(coin)).set("index", index)));
        assert_problem(400, "malformed-request", go(json::Object().set("request", request(coin)).set("index", std::vector<std::string>{})));
        assert_problem(400, "malformed-request", go(json::Object().set("request", request(coin)).set("index", std::vector<std::string>(17, index))));
        assert_problem(400, "malformed-request", go(json::Object().set("request", request(coin)).set("index", std::vector<json::Object>{{}})));
        assert_problem(400, "malformed-json", s.w.call("POST /api/v1/custody/transfer", "{"));
    }

    void refuses_what_does_not_lead_to_the_caller() {
        Scene s;
        assert_problem(422, "index", s.w.transfer(s.c, s.coin, {s.index(s.a, s.b, 1, 30)}));
        // It was B's all the same: what is signed is signed.
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(s.w.acquire(s.b, s.coin, 31)).epoch);
        assert_problem(422, "index", s.w.transfer(s.d, s.coin, {s.index(s.b, s.c, 2, 30), s.index(s.c, s.d, 4, 30)}));
        assert_problem(422, "index", s.w.transfer(s.a, s.coin, {s.index(s.b, s.c, 2, 30)}));
    }

    void good_part_of_a_bad_list_counts() {
        Scene s;
        assert_problem(422, "index", s.w.transfer(s.c, s.coin, {s.index(s.a, s.b, 1, 30), "nonsense"}));
        CPPUNIT_ASSERT_EQUAL(Int{30}, s.released(1));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(s.w.acquire(s.b, s.coin, 31)).epoch);
    }

    void revoked_key_binds_until_then() {
        Scene s;
        const UnixTime then = s.w.clock.time += 5000;
        const Shop renewed{news, new_key()};
        CPPUNIT_ASSERT_EQUAL(202, s.w.call("POST /api/v1/vendors", s.w.registration(renewed, news + "/h"), s.w.account()).status);
        must(approve_vendor(s.w.context, s.w.store(), news, renewed.key.kid(), true));
        s.w.clock.time += 1000;
        const auto signed_at = [&](UnixTime iat) {
            return sign_index({news, blog, s.coin.coin, 1, 30, s.coin.at(30), iat, then + 9000}, s.a.key);
        };
        for (const UnixTime iat : {then + 61, then + 1000})
            assert_problem(422, "index", s.w.transfer(s.b, s.coin, {signed_at(iat)}));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM signed_indices"));
        CPPUNIT_ASSERT_EQUAL(403, s.w.redeem(s.a, "late", World::claim(s.coin, 0, 5)).status);  // a batch signed now
        // What it signed before binds whenever it is shown.
        assert_ok(s.w.transfer(s.b, s.coin, {signed_at(then)}));
        assert_ok(s.w.redeem(renewed, "b", World::claim(s.coin, 0, 30)));
        s.w.assert_sound();
    }

    void judged_by_the_key_of_its_time() {
        Scene s;
        const auto signed_at = [&](UnixTime iat) {
            return sign_index({news, blog, s.coin.coin, 1, 30, s.coin.at(30), iat, iat + 60}, s.a.key);
        };
        const UnixTime end = start_of_time + 90 * 86400;
        assert_problem(422, "index", s.w.transfer(s.b, s.coin, {signed_at(end + 1)}));
        assert_problem(422, "index", s.w.transfer(s.b, s.coin, {signed_at(start_of_time - 61)}));
        s.w.clock.time = end + 1000;
        must(certificate_of(s.w.context, s.w.store(), blog));
        assert_ok(s.w.transfer(s.b, s.coin, {signed_at(end)}));
    }

    void receiver_is_suspended() {
        Scene s;
        must(suspend_vendor(s.w.context, s.w.store(), blog));
        assert_problem(403, "suspended-vendor", s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        CPPUNIT_ASSERT_EQUAL(Int{30}, s.released(1));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM epochs"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 30));
        CPPUNIT_ASSERT_EQUAL(std::string("not-held"), s.reason(s.b, 30, 31));
        assert_problem(422, "payword", s.w.acquire(s.c, s.coin, 30));
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(s.w.acquire(s.c, s.coin, 31)).index);
        s.w.assert_sound();
    }

    void receiver_is_reinstated() {
        Scene s;
        const auto ab = s.index(s.a, s.b, 1, 30);
        must(suspend_vendor(s.w.context, s.w.store(), blog));
        assert_problem(403, "suspended-vendor", s.w.transfer(s.b, s.coin, {ab}));
        must(approve_vendor(s.w.context, s.w.store(), blog));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, s.w.custody_of(s.w.transfer(s.b, s.coin, {ab})).epoch);
        s.w.assert_sound();
    }

    void suspended_vendor_passes_it_on() {
        for (const bool at_once : {true, false}) {
            Scene s;
            const auto ab = s.index(s.a, s.b, 1, 30), bc = s.index(s.b, s.c, 2, 34);
            must(suspend_vendor(s.w.context, s.w.store(), blog));
            if (!at_once) assert_problem(403, "suspended-vendor", s.w.transfer(s.b, s.coin, {ab}));
            const auto r = s.w.transfer(s.c, s.coin, at_once ? std::vector{ab, bc} : std::vector{bc});
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, s.w.custody_of(r).epoch);
            CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
            CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.b, 30, 34));
            s.w.assert_sound();
        }
    }

    void suspended_signer_releases() {
        Scene s;
        must(suspend_vendor(s.w.context, s.w.store(), news));
        assert_ok(s.w.transfer(s.b, s.coin, {s.index(s.a, s.b, 1, 30)}));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 30));
    }

    void suspended_vendor_may_redeem_only() {
        Scene s;
        must(suspend_vendor(s.w.context, s.w.store(), news));
        assert_problem(403, "suspended-vendor", s.w.acquire(s.a, s.coin, 6));
        assert_problem(403, "suspended-vendor", s.w.renew(s.a, s.coin, 1, 6));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 6));
        s.w.assert_sound();
    }

    void request_is_used_once() {
        Scene s;
        const auto index = s.index(s.a, s.b, 1, 30);
        const auto body = json::Object()
                              .set("request", sign_request({blog, issuer, "custody/transfer", s.w.clock.now(), "one"},
                                                           json::Object().set("coin", s.coin.coin), s.b.key))
                              .set("index", std::vector<std::string>{index})
                              .jcs();
        assert_ok(s.w.call("POST /api/v1/custody/transfer", body));
        assert_problem(403, "request-replayed", s.w.call("POST /api/v1/custody/transfer", body));
    }

    void given_to_the_broker() {
        Scene s;
        const auto token = s.w.hand_over(s.a, issuer, s.coin, 1, 30);
        const auto show = [&] {
            return s.w.store().write([&](Sql& sql) { return show_index(s.w.context, sql, token, s.w.clock.now()); });
        };
        for (int again = 0; again < 2; ++again) {
            const auto applied = show();
            CPPUNIT_ASSERT(applied.ok() && applied->what == custody::Applied::What::released);
            CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, applied->index);
        }
        const auto before = s.w.balance(s.token);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{970000}, amount_of(s.w.give_back(s.token, s.coin.coin), "refunded"));
        CPPUNIT_ASSERT_EQUAL(before + 970000, s.w.balance(s.token));
        CPPUNIT_ASSERT(show()->what == custody::Applied::What::released);
        // A vendor that was told so learns no more.
        assert_problem(410, "gone", s.w.transfer(s.b, s.coin, {token}));
        CPPUNIT_ASSERT_EQUAL(std::string(), s.reason(s.a, 0, 30));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.frauds());
        s.w.assert_sound();
    }

    void receiver_nobody_knows() {
        Scene s;
        const auto token = s.w.hand_over(s.a, "https://nobody.example", s.coin, 1, 30);
        const auto applied = s.w.store().write([&](Sql& sql) { return show_index(s.w.context, sql, token, s.w.clock.now()); });
        CPPUNIT_ASSERT(applied.ok() && applied->what == custody::Applied::What::nobody);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{30}, s.w.custody_of(s.w.acquire(s.c, s.coin, 31)).index);
        s.w.assert_sound();
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerTravelTest);

}  // namespace
}  // namespace netpay::broker::test
