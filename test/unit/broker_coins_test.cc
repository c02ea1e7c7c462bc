// Buying coins in both forms, idempotency, returns of coins nobody holds.
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

class BrokerCoinsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerCoinsTest);
    CPPUNIT_TEST(wallet_makes_the_chain);
    CPPUNIT_TEST(broker_makes_the_chain);
    CPPUNIT_TEST(same_root_same_answer);
    CPPUNIT_TEST(root_of_others_is_refused);
    CPPUNIT_TEST(same_key_same_answer);
    CPPUNIT_TEST(same_key_gives_the_seed_again_and_keeps_none);
    CPPUNIT_TEST(key_is_the_accounts_own_for_a_day);
    CPPUNIT_TEST(key_raced_by_threads_buys_once);
    CPPUNIT_TEST(balance_has_to_suffice);
    CPPUNIT_TEST(only_what_is_offered);
    CPPUNIT_TEST(sold_coins_are_answered_again_when_no_longer_offered);
    CPPUNIT_TEST(malformed_orders);
    CPPUNIT_TEST(shows_coins);
    CPPUNIT_TEST(discovery);
    CPPUNIT_TEST_SUITE_END();

    static Touchstone read(World& w, const Response& r) {
        assert_ok(r);
        return must(verify_touchstone(member(r, "touchstone"), issuer, w.keys(), w.clock.now()));
    }

public:
    void wallet_makes_the_chain() {
        World w;
        const auto token = w.rich(2000000);
        const auto chain = w.chain();
        const auto r = w.buy(token, World::order(*chain));
        const auto t = read(w, r);
        CPPUNIT_ASSERT(t.root == chain->at(0) && t.salt == chain->salt());
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{1000}, t.n);
        CPPUNIT_ASSERT_EQUAL(w.clock.now() + 365 * 86400, t.exp);
        CPPUNIT_ASSERT(!parsed(r).root().find("seed"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, w.balance(token));
        w.assert_sound();
    }

    void broker_makes_the_chain() {
        World w;
        const auto token = w.rich();
        const auto r = w.buy(token, World::order(1000)), s = w.buy(token, World::order(1000));
        const auto t = read(w, r);
        const auto seed = decode_payword(member(r, "seed")).value();
        CPPUNIT_ASSERT(walk_down(t.salt, t.n, seed, 0) == t.root);
        CPPUNIT_ASSERT(member(r, "seed") != member(s, "seed"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{98000000}, w.balance(token));
    }

    void same_root_same_answer() {
        World w;
        const auto token = w.rich();
        const auto order = World::order(*w.chain());
        const auto first = w.buy(token, order);
        assert_ok(first);
        w.clock.time += 5;
        CPPUNIT_ASSERT_EQUAL(first.body, w.buy(token, order).body);
        CPPUNIT_ASSERT_EQUAL(first.body, w.buy(token, order, "with a key").body);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{99000000}, w.balance(token));
    }

    void root_of_others_is_refused() {
        World w;
        const auto token = w.rich(), other = w.rich();
        const auto chain = w.chain();
        assert_ok(w.buy(token, World::order(*chain)));
        assert_problem(409, "root-taken", w.buy(other, World::order(*chain)));
        const auto longer = json::Object().set("currency", "uusd").set("unit", std::uint64_t{1000}).set("n", std::uint64_t{10000});
        auto terms = longer;
        terms.set("salt", b64u_encode(chain->salt())).set("root", encode_payword(chain->at(0)));
        assert_problem(409, "root-taken", w.buy(token, terms.jcs()));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{100000000}, w.balance(other));
    }

    void same_key_same_answer() {
        World w;
        const auto token = w.rich();
        const auto order = World::order(1000);
        const auto first = w.buy(token, order, "k1");
        assert_ok(first);
        w.clock.time += 100;
        CPPUNIT_ASSERT_EQUAL(first.body, w.buy(token, order, "k1").body);
        assert_problem(422, "idempotency-key", w.buy(token, World::order(10), "k1"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{99000000}, w.balance(token));
        CPPUNIT_ASSERT(first.body != w.buy(token, order, "k2").body);
        w.assert_sound();
    }

    void same_key_gives_the_seed_again_and_keeps_none() {
        World w;
        const auto token = w.rich();
        const auto seed = member(w.buy(token, World::order(1000), "k"), "seed");
        CPPUNIT_ASSERT_EQUAL(seed, member(w.buy(token, World::order(1000), "k"), "seed"));
        for (const char* name : {"broker.db", "broker.db-wal"}) {
            std::ifstream in(*w.dir() / name, std::ios::binary);
            const std::string bytes((std::istreambuf_iterator<char>(in)), {});
            CPPUNIT_ASSERT(bytes.find(seed) == std::string::npos);
        }
    }

    void key_is_the_accounts_own_for_a_day() {
        World w;
        const auto token = w.rich(), other = w.rich();
        const auto first = w.buy(token, World::order(10), "k");
        CPPUNIT_ASSERT(first.body != w.buy(other, World::order(10), "k").body);
        w.clock.time += 86400 + 1;
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM idempotency"));
        CPPUNIT_ASSERT(first.body != w.buy(token, World::order(10), "k").body);
        assert_problem(400, "idempotency-key", w.buy(token, World::order(10), std::string(256, 'k')));
        assert_problem(400, "idempotency-key", w.buy(token, World::order(10), "a\tb"));
    }

    void key_raced_by_threads_buys_once() {
        World w;
        const auto token = w.rich();
        std::mutex mutex;
        std::set<std::string> answers;
        std::vector<std::thread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                const auto r = w.buy(token, World::order(10), "k");
                const std::lock_guard lock(mutex);
                answers.insert(std::to_string(r.status) + r.body);
            });
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, answers.size());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{100000000 - 10000}, w.balance(token));
        w.assert_sound();
    }

    void balance_has_to_suffice() {
        World w;
        const auto token = w.rich(999999);
        assert_problem(409, "insufficient-balance", w.buy(token, World::order(1000), "k"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{999999}, w.balance(token));
        assert_ok(w.top_up(token, w.voucher(1)));
        assert_ok(w.buy(token, World::order(1000), "k"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, w.balance(token));
        w.assert_sound();
    }

    void sold_coins_are_answered_again_when_no_longer_offered() {
        World w;
        const auto token = w.rich();
        const auto chain = w.chain();
        const auto by_root = w.buy(token, World::order(*chain)), by_key = w.buy(token, World::order(10), "k");
        w.options().denominations.clear();
        CPPUNIT_ASSERT_EQUAL(by_root.body, w.buy(token, World::order(*chain)).body);
        CPPUNIT_ASSERT_EQUAL(by_key.body, w.buy(token, World::order(10), "k").body);
        assert_problem(422, "denomination", w.buy(token, World::order(10)));
        w.assert_sound();
    }

    void only_what_is_offered() {
        World w;
        const auto token = w.rich();
        assert_problem(422, "denomination", w.buy(token, World::order(999)));
        assert_problem(422, "denomination", w.buy(token, World::order(1000, 999)));
        assert_problem(422, "currency", w.buy(token, R"({"currency":"ueur","unit":1000,"n":1000})"));
        assert_ok(w.buy(token, World::order(1u << 20, 1)));
    }

    void malformed_orders() {
        World w;
        const auto token = w.rich();
        const char* bad[] = {
            R"({"unit":1000,"n":1000})", R"({"currency":"USD","unit":1000,"n":1000})", R"({"currency":"uusd","unit":"1000","n":1000})",
            R"({"currency":"uusd","unit":1000.0,"n":1000})", R"({"currency":"uusd","unit":0,"n":1000})", R"({"currency":"uusd","unit":1000,"n":0})",
            R"({"currency":"uusd","unit":1000,"n":1048577})", R"({"currency":"uusd","unit":1000,"n":-1})",
            R"({"currency":"uusd","unit":1000,"n":1000,"salt":"AAAAAAAAAAAAAAAAAAAAAA"})",
            R"({"currency":"uusd","unit":1000,"n":1000,"root":"AAAA"})",
            R"({"currency":"uusd","unit":1000,"n":1000,"salt":"AAAAAAAAAAAAAAAAAAAAAA==","root":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"})"};
        for (const auto* body : bad) assert_problem(400, "malformed-request", w.buy(token, body));
        assert_problem(400, "malformed-json", w.buy(token, "{"));
        assert_problem(401, "token-needed", w.buy({}, World::order(1000)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{100000000}, w.balance(token));
    }

    void shows_coins() {
        World w;
        const auto token = w.rich();
        const auto c = w.coin(token);
        const auto r = w.call("GET /api/v1/accounts/me", {}, token);
        const auto doc = parsed(r);
        const auto& coins = *doc.root().array("coins");
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, coins.size());
        const auto& shown = *coins.begin();
        CPPUNIT_ASSERT_EQUAL(c.coin, std::string(*shown.string("coin")));
        CPPUNIT_ASSERT_EQUAL(std::string("live"), std::string(*shown.string("state")));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, *shown.uint("spent"));
    }

    void discovery() {
        World w;
        const auto r = w.call("GET /.well-known/netpay");
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(issuer, member(r, "issuer"));
        CPPUNIT_ASSERT_EQUAL(issuer + "/api/v1", member(r, "api"));
        CPPUNIT_ASSERT_EQUAL(issuer + "/jwks.json", member(r, "jwks_uri"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1} << 20, amount_of(r, "max_length"));
        const auto keys = must(KeySet::parse(w.call("GET /jwks.json").body));
        CPPUNIT_ASSERT(keys.keys() == w.keys().keys());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerCoinsTest);

}  // namespace
}  // namespace netpay::broker::test
