// Redemption: every reason, ranges, batches, streaming.
#include <sstream>
#include <thread>

#include "broker/redeem/redemption.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example", blog = "https://blog.example";
constexpr std::int64_t lease_over = 86400 + 600 + 1;

class BrokerRedeemTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerRedeemTest);
    CPPUNIT_TEST(credits_good_claims);
    CPPUNIT_TEST(same_batch_same_answer);
    CPPUNIT_TEST(batch_name_stands_for_one_body);
    CPPUNIT_TEST(batch_raced_by_threads_is_credited_once);
    CPPUNIT_TEST(digest_has_to_be_right);
    CPPUNIT_TEST(every_reason);
    CPPUNIT_TEST(reasons_in_order);
    CPPUNIT_TEST(ranges_merge_and_exclude);
    CPPUNIT_TEST(overlap_within_a_batch);
    CPPUNIT_TEST(forged_line_does_not_block_a_good_one);
    CPPUNIT_TEST(claims_in_any_order);
    CPPUNIT_TEST(after_a_hundred_forged_the_rest_is_refused);
    CPPUNIT_TEST(claims_of_two_epochs);
    CPPUNIT_TEST(coin_that_went_on_to_another);
    CPPUNIT_TEST(claims_end_ninety_days_after_the_coin);
    CPPUNIT_TEST(any_split_of_the_body);
    CPPUNIT_TEST(long_and_empty_lines);
    CPPUNIT_TEST(empty_batch);
    CPPUNIT_TEST(headers_are_checked);
    CPPUNIT_TEST(two_vendors_one_coin_raced);
    CPPUNIT_TEST(beyond_every_chain_is_a_bad_range);
    CPPUNIT_TEST(batch_token_is_kept);
    CPPUNIT_TEST(batch_is_judged_by_the_key_of_its_time);
    CPPUNIT_TEST(coin_goes_on_while_the_batch_streams);
    CPPUNIT_TEST_SUITE_END();

    struct Scene {
        World w;
        Shop a = w.shop(news), b = w.shop(blog);
        std::string token = w.rich();
        WalletCoin coin = w.coin(token);
        Scene() { assert_ok(w.acquire(a, coin, 1)); }
        std::uint64_t credited(const Response& r) {
            const auto receipt = w.receipt(a, r);
            const auto i = receipt.credited.find(*Currency::parse("uusd"));
            return i == receipt.credited.end() ? 0 : i->second.micro();
        }
    };
    // "1:forged 2:range"
    static std::string reasons(const Response& r) {
        assert_ok(r);
        const auto doc = parsed(r);
        std::ostringstream out;
        for (const auto& v : *doc.root().array("rejected"))
            out << (out.tellp() > 0 ? " " : "") << *v.uint("line") << ":" << *v.string("reason");
        return out.str();
    }

public:
    void credits_good_claims() {
        Scene s;
        const auto second = s.w.coin(s.token);
        assert_ok(s.w.acquire(s.a, second, 1));
        const auto body = World::claim(s.coin, 0, 10) + World::claim(second, 0, 1000) + World::claim(s.coin, 10, 12);
        const auto r = s.w.redeem(s.a, "b1", body);
        const auto receipt = s.w.receipt(s.a, r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, receipt.accepted);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, receipt.rejected);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1012000}, s.credited(r));
        CPPUNIT_ASSERT_EQUAL(issuer, receipt.iss);
        CPPUNIT_ASSERT_EQUAL(std::string("b1"), receipt.batch);
        CPPUNIT_ASSERT_EQUAL(content_digest(sha256(body)), receipt.digest);
        s.w.assert_sound();
    }

    void same_batch_same_answer() {
        Scene s;
        const auto body = World::claim(s.coin, 0, 10) + "nonsense\n";
        const auto first = s.w.redeem(s.a, "b1", body);
        s.w.clock.time += 3600;
        const auto again = s.w.redeem(s.a, "b1", body);
        CPPUNIT_ASSERT_EQUAL(first.body, again.body);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, s.credited(first));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM movements WHERE kind = 'redemption'"));
        s.w.assert_sound();
    }

    void batch_name_stands_for_one_body() {
        Scene s;
        assert_ok(s.w.redeem(s.a, "b1", World::claim(s.coin, 0, 10)));
        assert_problem(409, "batch-reused", s.w.redeem(s.a, "b1", World::claim(s.coin, 10, 20)));
        CPPUNIT_ASSERT_EQUAL(std::string("1:not-held"), reasons(s.w.redeem(s.b, "b1", World::claim(s.coin, 10, 20))));
    }

    void batch_raced_by_threads_is_credited_once() {
        Scene s;
        const auto body = World::claim(s.coin, 0, 500);
        std::vector<Response> answers(4);
        std::vector<std::thread> threads;
        for (auto& answer : answers) threads.emplace_back([&] { answer = s.w.redeem(s.a, "b1", body); });
        for (auto& t : threads) t.join();
        for (const auto& answer : answers) CPPUNIT_ASSERT_EQUAL(answers[0].body, answer.body);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{500000}, s.credited(answers[0]));
        s.w.assert_sound();
    }

    void digest_has_to_be_right() {
        Scene s;
        const auto body = World::claim(s.coin, 0, 10);
        assert_problem(400, "digest", s.w.redeem(s.a, "b1", body, 4096, body + "\n"));
        assert_problem(400, "digest", s.w.redeem(s.a, "b1", body.substr(0, 50), 4096, body));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM credits"));
        CPPUNIT_ASSERT_EQUAL(std::string(), reasons(s.w.redeem(s.a, "b1", body)));
        assert_problem(400, "digest", s.w.redeem(s.a, "b1", "x", 4096, body));
    }

    void every_reason() {
        Scene s;
        auto strange = s.coin;
        strange.coin = "AAAAAAAAAAAAAAAAAAAAAA";
        const auto elsewhere = s.w.coin(s.token);
        assert_ok(s.w.acquire(s.b, elsewhere, 1));
        auto forged = s.w.coin(s.token);
        forged.coin = s.coin.coin;
        assert_ok(s.w.redeem(s.a, "before", World::claim(s.coin, 0, 10)));
        const std::string body = "{}\n" + World::claim(strange, 0, 1) + World::claim(s.coin, 20, 20) +
                                 format_claim({s.coin.coin, 10, 1001, s.coin.at(1000)}) + "\n" + World::claim(elsewhere, 0, 1) +
                                 World::claim(s.coin, 9, 11) + World::claim(forged, 10, 20) + World::claim(s.coin, 10, 20);
        const auto r = s.w.redeem(s.a, "b1", body);
        CPPUNIT_ASSERT_EQUAL(std::string("1:malformed 2:unknown-coin 3:range 4:range 5:not-held 6:overlap 7:forged"), reasons(r));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, s.credited(r));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, s.w.receipt(s.a, r).rejected);
        s.w.assert_sound();
    }

    void reasons_in_order() {
        Scene s;
        auto forged = s.w.coin(s.token);
        forged.coin = s.coin.coin;
        assert_ok(s.w.redeem(s.a, "before", World::claim(s.coin, 0, 10)));
        // Forged and overlapping; forged, overlapping and a bad range; another's and overlapping.
        CPPUNIT_ASSERT_EQUAL(std::string("1:overlap 2:range"), reasons(s.w.redeem(s.a, "b1", World::claim(forged, 5, 15) + World::claim(forged, 5, 5))));
        CPPUNIT_ASSERT_EQUAL(std::string("1:not-held"), reasons(s.w.redeem(s.b, "b1", World::claim(forged, 5, 15))));
    }

    void ranges_merge_and_exclude() {
        Scene s;
        const auto go = [&](const std::string& batch, std::uint32_t from, std::uint32_t to) {
            return reasons(s.w.redeem(s.a, batch, World::claim(s.coin, from, to)));
        };
        CPPUNIT_ASSERT_EQUAL(std::string(), go("1", 10, 20));
        CPPUNIT_ASSERT_EQUAL(std::string(), go("2", 30, 40));
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM credits"));
        CPPUNIT_ASSERT_EQUAL(std::string("1:overlap"), go("3", 9, 11));
        CPPUNIT_ASSERT_EQUAL(std::string("1:overlap"), go("4", 19, 31));
        CPPUNIT_ASSERT_EQUAL(std::string("1:overlap"), go("5", 12, 13));
        CPPUNIT_ASSERT_EQUAL(std::string("1:overlap"), go("6", 5, 100));
        CPPUNIT_ASSERT_EQUAL(std::string(), go("7", 20, 30));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM credits WHERE lo = 10 AND hi = 40"));
        CPPUNIT_ASSERT_EQUAL(std::string(), go("8", 0, 10));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM credits WHERE lo = 0 AND hi = 40"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM credits"));
        s.w.assert_sound();
    }

    void overlap_within_a_batch() {
        Scene s;
        const auto r = s.w.redeem(s.a, "b1", World::claim(s.coin, 0, 10) + World::claim(s.coin, 5, 15) + World::claim(s.coin, 0, 10) + World::claim(s.coin, 10, 15));
        CPPUNIT_ASSERT_EQUAL(std::string("2:overlap 3:overlap"), reasons(r));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{15000}, s.credited(r));
    }

    void forged_line_does_not_block_a_good_one() {
        Scene s;
        auto forged = s.w.coin(s.token);
        forged.coin = s.coin.coin;
        CPPUNIT_ASSERT_EQUAL(std::string("1:forged"), reasons(s.w.redeem(s.a, "b1", World::claim(forged, 0, 10) + World::claim(s.coin, 0, 10))));
    }

    void claims_in_any_order() {
        Scene s;
        std::string body;
        for (std::uint32_t i = 1000; i >= 1; --i) body += World::claim(s.coin, i - 1, i);
        const auto r = s.w.redeem(s.a, "b1", body);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, s.credited(r));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM credits"));
        s.w.assert_sound();
    }

    void after_a_hundred_forged_the_rest_is_refused() {
        Scene s;
        auto forged = s.w.coin(s.token);
        forged.coin = s.coin.coin;
        std::string body = World::claim(s.coin, 0, 1);
        for (std::uint32_t i = 0; i < 100; ++i) body += World::claim(forged, 10 + i, 11 + i);
        body += World::claim(s.coin, 1, 2) + "nonsense\n";
        const auto r = s.w.redeem(s.a, "b1", body);
        const auto receipt = s.w.receipt(s.a, r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, receipt.accepted);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{102}, receipt.rejected);
        CPPUNIT_ASSERT(reasons(r).find("102:forged") != std::string::npos);
    }

    void claims_of_two_epochs() {
        Scene s;
        assert_ok(s.w.renew(s.a, s.coin, 1, 40));
        s.w.clock.time += lease_over;
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{40}, s.w.custody_of(s.w.acquire(s.a, s.coin, 50)).index);
        const auto r = s.w.redeem(s.a, "b1", World::claim(s.coin, 30, 60));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{30000}, s.credited(r));
        CPPUNIT_ASSERT_EQUAL(Int{2}, s.w.count("SELECT COUNT(*) FROM credits"));
        CPPUNIT_ASSERT_EQUAL(Int{10}, s.w.count("SELECT credited FROM epochs WHERE epoch = 1"));
        CPPUNIT_ASSERT_EQUAL(Int{20}, s.w.count("SELECT credited FROM epochs WHERE epoch = 2"));
        s.w.assert_sound();
    }

    void coin_that_went_on_to_another() {
        Scene s;
        assert_ok(s.w.renew(s.a, s.coin, 1, 40));
        s.w.clock.time += lease_over;
        assert_ok(s.w.acquire(s.b, s.coin, 41));
        CPPUNIT_ASSERT_EQUAL(std::string("2:not-held 3:not-held"),
                             reasons(s.w.redeem(s.a, "b1", World::claim(s.coin, 0, 40) + World::claim(s.coin, 40, 41) + World::claim(s.coin, 39, 41))));
        CPPUNIT_ASSERT_EQUAL(std::string("1:not-held"),
                             reasons(s.w.redeem(s.b, "b1", World::claim(s.coin, 39, 40) + World::claim(s.coin, 40, 45))));
        s.w.assert_sound();
    }

    void claims_end_ninety_days_after_the_coin() {
        Scene s;
        const auto at = [&](UnixTime t, const std::string& batch, std::uint32_t from) {
            s.w.clock.time = t;
            must(certificate_of(s.w.context, s.w.store(), news));
            return reasons(s.w.redeem(s.a, batch, World::claim(s.coin, from, from + 1)));
        };
        const UnixTime end = start_of_time + (365 + 90) * 86400;
        CPPUNIT_ASSERT_EQUAL(std::string(), at(end, "1", 0));
        CPPUNIT_ASSERT_EQUAL(std::string("1:not-held"), at(end + 1, "2", 1));
    }

    void any_split_of_the_body() {
        for (const std::size_t piece : {1u, 7u, 163u, 100000u}) {
            Scene s;
            std::string body;
            for (std::uint32_t i = 0; i < 20; ++i) body += World::claim(s.coin, i, i + 1);
            body.pop_back();  // the last line feed may be missing
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, s.credited(s.w.redeem(s.a, "b1", body, piece)));
        }
    }

    void long_and_empty_lines() {
        Scene s;
        const std::string body = std::string(100000, 'x') + "\n\n" + World::claim(s.coin, 0, 1) + std::string(100000, '{');
        CPPUNIT_ASSERT_EQUAL(std::string("1:malformed 2:malformed 4:malformed"), reasons(s.w.redeem(s.a, "b1", body, 777)));
    }

    void empty_batch() {
        Scene s;
        const auto r = s.w.redeem(s.a, "b1", "");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, s.w.receipt(s.a, r).accepted);
        CPPUNIT_ASSERT_EQUAL(std::string(), reasons(r));
    }

    void headers_are_checked() {
        Scene s;
        Request r;
        const auto go = [&] { return s.w.calls.stream("POST /api/v1/redemptions", r, "x", 10); };
        assert_problem(415, "content-type", go());
        r.headers["content-type"] = "application/x-ndjson; charset=utf-8";
        assert_problem(400, "malformed-request", go());
        r.headers["netpay-batch"] = "nonsense";
        assert_problem(400, "malformed-request", go());
        const auto token = [&](const Shop& shop, const std::string& aud) {
            return sign_batch({shop.origin, aud, "b", content_digest(sha256("x")), s.w.clock.now()}, shop.key);
        };
        r.headers["netpay-batch"] = token(s.a, "https://other.example");
        assert_problem(403, "request-elsewhere", go());
        r.headers["netpay-batch"] = token({news, new_key()}, issuer);
        assert_problem(403, "request-forged", go());
        r.headers["netpay-batch"] = token({"https://nobody.example", new_key()}, issuer);
        assert_problem(403, "unknown-vendor", go());
        r.headers["netpay-batch"] = token(s.a, issuer);
        r.headers["content-encoding"] = "gzip";
        assert_problem(415, "content-type", go());
    }

    // One vendor's two hosts claim the same units under two batches at a time.
    void two_vendors_one_coin_raced() {
        Scene s;
        std::string first, second;
        for (std::uint32_t i = 0; i < 200; ++i) first += World::claim(s.coin, i, i + 1);
        for (std::uint32_t i = 100; i < 300; ++i) second += World::claim(s.coin, i, i + 1);
        Response a, b;
        std::thread other([&] { b = s.w.redeem(s.a, "second", second); });
        a = s.w.redeem(s.a, "first", first);
        other.join();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{300000}, s.credited(a) + s.credited(b));
        s.w.assert_sound();
    }

    void beyond_every_chain_is_a_bad_range() {
        Scene s;
        const auto line = [&](const std::string& from, const std::string& to) {
            return R"({"coin":")" + s.coin.coin + R"(","from":)" + from + R"(,"payword":")" + encode_payword(s.coin.at(1)) + R"(","to":)" + to + "}\n";
        };
        CPPUNIT_ASSERT_EQUAL(std::string("1:range 2:range 3:range 4:malformed"),
                             reasons(s.w.redeem(s.a, "b1", line("0", "4294967296") + line("4294967297", "1") + line("0", "4294967297") + line("0", "9007199254740992"))));
    }

    void batch_token_is_kept() {
        Scene s;
        assert_ok(s.w.redeem(s.a, "b1", World::claim(s.coin, 0, 10)));
        std::string token;
        const auto done = s.w.store().read([&](Sql& sql) -> Outcome<Done> {
            token = std::get<0>(one<std::string>(sql, "SELECT token FROM batches").value());
            return Done{};
        });
        CPPUNIT_ASSERT(done.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("b1"), must(verify_batch(token, issuer, KeySet({s.a.key.public_key()}))).batch);
    }

    void batch_is_judged_by_the_key_of_its_time() {
        Scene s;
        const auto body = World::claim(s.coin, 0, 10);
        const auto send = [&](UnixTime iat) {
            Request r;
            r.headers["content-type"] = "application/x-ndjson";
            r.headers["netpay-batch"] = sign_batch({news, issuer, "b1", content_digest(sha256(body)), iat}, s.a.key);
            return s.w.calls.stream("POST /api/v1/redemptions", r, body, 100);
        };
        s.w.clock.time += 91 * 86400;
        assert_problem(403, "request-forged", send(s.w.clock.now()));
        assert_problem(403, "request-forged", send(start_of_time - 61));
        assert_ok(send(start_of_time + 89 * 86400));
    }

    void coin_goes_on_while_the_batch_streams() {
        Scene s;
        const auto body = World::claim(s.coin, 20, 40) + World::claim(s.coin, 0, 20);
        const auto token = sign_batch({news, issuer, "b1", content_digest(sha256(body)), s.w.clock.now()}, s.a.key);
        auto batch = redeem::Redemption::begin(s.w.context, s.w.store(), token);
        CPPUNIT_ASSERT(batch.ok() && (*batch)->feed(body).ok());
        assert_ok(s.w.transfer(s.b, s.coin, {s.w.hand_over(s.a, blog, s.coin, 1, 30)}));
        const auto answer = (*batch)->finish();
        CPPUNIT_ASSERT(answer.ok());
        CPPUNIT_ASSERT(answer->find("\"line\":1,\"reason\":\"not-held\"") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(Int{20}, s.w.count("SELECT credited FROM epochs WHERE epoch = 1"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, s.w.count("SELECT COUNT(*) FROM disputes WHERE lo = 20 AND hi = 40"));
        s.w.assert_sound();
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerRedeemTest);

}  // namespace
}  // namespace netpay::broker::test
