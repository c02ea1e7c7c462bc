// Accounts and vouchers.
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "broker/accounts/vouchers.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

class BrokerAccountsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerAccountsTest);
    CPPUNIT_TEST(opens_an_account);
    CPPUNIT_TEST(token_is_not_in_the_store);
    CPPUNIT_TEST(needs_a_token);
    CPPUNIT_TEST(voucher_adds_its_value_once);
    CPPUNIT_TEST(voucher_raced_by_threads_is_used_once);
    CPPUNIT_TEST(voucher_faults_are_told_apart);
    CPPUNIT_TEST(voucher_as_people_type_it);
    CPPUNIT_TEST(voucher_codes_are_long_and_hashed);
    CPPUNIT_TEST(bad_bodies);
    CPPUNIT_TEST(mint_refuses_nonsense);
    CPPUNIT_TEST(lists_vouchers);
    CPPUNIT_TEST_SUITE_END();

public:
    void opens_an_account() {
        World w;
        const auto r = w.call("POST /api/v1/accounts");
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(std::size_t{22}, member(r, "account").size());
        CPPUNIT_ASSERT_EQUAL(std::size_t{43}, member(r, "token").size());
        bool no_store = false;
        for (const auto& [name, value] : r.headers) no_store = no_store || (name == "Cache-Control" && value == "no-store");
        CPPUNIT_ASSERT(no_store);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, w.balance(member(r, "token")));
    }

    void token_is_not_in_the_store() {
        World w;
        const auto token = w.account();
        for (const char* name : {"broker.db", "broker.db-wal"}) {
            std::ifstream in(*w.dir() / name, std::ios::binary);
            const std::string bytes((std::istreambuf_iterator<char>(in)), {});
            CPPUNIT_ASSERT(!bytes.empty());
            CPPUNIT_ASSERT(bytes.find(token) == std::string::npos);
        }
    }

    void needs_a_token() {
        World w;
        assert_problem(401, "token-needed", w.call("GET /api/v1/accounts/me"));
        const auto r = w.call("GET /api/v1/accounts/me", {}, "nobody");
        assert_problem(401, "unknown-token", r);
        CPPUNIT_ASSERT_EQUAL(std::string("WWW-Authenticate"), r.headers.back().first);
    }

    void voucher_adds_its_value_once() {
        World w;
        const auto a = w.account(), b = w.account();
        const auto code = w.voucher(5000000);
        const auto r = w.top_up(a, code);
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, amount_of(r, "credited"));
        assert_problem(409, "used-voucher", w.top_up(a, code));
        assert_problem(409, "used-voucher", w.top_up(b, code));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, w.balance(a));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, w.balance(b));
        w.assert_sound();
    }

    void voucher_raced_by_threads_is_used_once() {
        World w;
        const auto code = w.voucher(1000);
        std::vector<std::string> tokens;
        for (int i = 0; i < 8; ++i) tokens.push_back(w.account());
        std::atomic<int> won = 0, lost = 0;
        std::vector<std::thread> threads;
        for (const auto& token : tokens)
            threads.emplace_back([&] {
                const auto status = w.top_up(token, code).status;
                if (status == 200) ++won;
                if (status == 409) ++lost;
            });
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(1, won.load());
        CPPUNIT_ASSERT_EQUAL(7, lost.load());
        std::uint64_t sum = 0;
        for (const auto& token : tokens) sum += w.balance(token);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000}, sum);
        w.assert_sound();
    }

    void voucher_faults_are_told_apart() {
        World w;
        const auto token = w.account();
        SystemRandom random;
        assert_problem(404, "unknown-voucher", w.top_up(token, accounts::new_voucher_code(random)));
        assert_problem(422, "malformed-voucher", w.top_up(token, "1234"));
        const auto code = w.voucher();
        w.clock.time += 31 * 86400;
        assert_problem(410, "expired-voucher", w.top_up(token, code));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, w.balance(token));
    }

    void voucher_as_people_type_it() {
        CPPUNIT_ASSERT_EQUAL(std::string("0101ABCDEFGHJKMNPQRSTVWXYZ23"),
                             accounts::normalise_voucher("oi0l abcd-efgh-jkmn-pqrs-tvwx-yz23").value());
        CPPUNIT_ASSERT(!accounts::normalise_voucher("U101ABCDEFGHJKMNPQRSTVWXYZ23"));
        CPPUNIT_ASSERT(!accounts::normalise_voucher(std::string("0101ABCDEFGHJKMNPQRSTVWXYZ2\0", 28)));
        CPPUNIT_ASSERT(!accounts::normalise_voucher(std::string(100000, '-')));
        CPPUNIT_ASSERT(!accounts::normalise_voucher(""));
    }

    void voucher_codes_are_long_and_hashed() {
        World w;
        std::set<std::string> codes;
        for (int i = 0; i < 50; ++i) codes.insert(w.voucher(1));
        CPPUNIT_ASSERT_EQUAL(std::size_t{50}, codes.size());
        CPPUNIT_ASSERT_EQUAL(std::size_t{34}, codes.begin()->size());
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM vouchers WHERE code_hash LIKE '%-%-%-%-%-%-%' AND LENGTH(code_hash) = 34"));
        w.assert_sound();
    }

    void bad_bodies() {
        World w;
        const auto token = w.account();
        const auto post = [&](const std::string& body) { return w.call("POST /api/v1/accounts/me/topups", body, token); };
        assert_problem(400, "malformed-json", post(""));
        assert_problem(400, "malformed-json", post("[]"));
        assert_problem(400, "malformed-json", post(R"({"voucher":"a","voucher":"b"})"));
        assert_problem(400, "malformed-json", post(std::string(2000, '[')));
        assert_problem(400, "malformed-request", post(R"({"voucher":7})"));
        assert_problem(400, "malformed-request", post("{}"));
    }

    void mint_refuses_nonsense() {
        World w;
        const auto cur = *Currency::parse("uusd");
        CPPUNIT_ASSERT(!mint_vouchers(w.context, w.store(), {Amount(), cur, 1, 30}));
        CPPUNIT_ASSERT(!mint_vouchers(w.context, w.store(), {*Amount::from(1), cur, 0, 30}));
        CPPUNIT_ASSERT(!mint_vouchers(w.context, w.store(), {*Amount::from(1), cur, 1, 0}));
        CPPUNIT_ASSERT(!mint_vouchers(w.context, w.store(), {*Amount::from(limits::max_amount), cur, 2, 30}));
    }

    void lists_vouchers() {
        World w;
        const auto token = w.account();
        w.voucher(7);
        assert_ok(w.top_up(token, w.voucher(8)));
        const auto list = must(list_vouchers(w.store()));
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, list.size());
        CPPUNIT_ASSERT(list[0].used == 0 && list[0].account.empty());
        CPPUNIT_ASSERT(list[1].used == w.clock.now() && !list[1].account.empty());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerAccountsTest);

}  // namespace
}  // namespace netpay::broker::test
