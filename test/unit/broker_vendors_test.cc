// Vendors: registration, approval, certificates, and their signed requests.
#include "core/certificate.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example";

class BrokerVendorsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerVendorsTest);
    CPPUNIT_TEST(registers_and_is_approved);
    CPPUNIT_TEST(origin_and_handoff_are_checked);
    CPPUNIT_TEST(registration_is_signed_by_its_key);
    CPPUNIT_TEST(strangers_registration_needs_the_operators_word);
    CPPUNIT_TEST(suspended_is_refused_and_reinstated);
    CPPUNIT_TEST(reinstating_lets_no_strangers_key_in);
    CPPUNIT_TEST(certificate_is_renewed_at_half_life);
    CPPUNIT_TEST(old_key_lasts_as_long_as_its_certificate);
    CPPUNIT_TEST(request_is_used_once);
    CPPUNIT_TEST(refused_request_is_used_too);
    CPPUNIT_TEST(request_faults);
    CPPUNIT_TEST_SUITE_END();

    static Certificate shown(World& w, const std::string& origin) {
        const auto r = w.call("GET /api/v1/vendors/{origin}", {}, {}, {{"origin", b64u_encode(origin)}});
        assert_ok(r);
        return must(verify_certificate(member(r, "certificate"), issuer, w.keys(), w.clock.now()));
    }
    static std::size_t listed(World& w) {
        return parsed(w.call("GET /api/v1/vendors")).root().array("certificates")->size();
    }

public:
    void registers_and_is_approved() {
        World w;
        const Shop s{news, new_key()};
        assert_problem(401, "token-needed", w.call("POST /api/v1/vendors", w.registration(s, news + "/h")));
        const auto r = w.call("POST /api/v1/vendors", w.registration(s, news + "/h"), w.account());
        CPPUNIT_ASSERT_EQUAL(202, r.status);
        CPPUNIT_ASSERT_EQUAL(std::string("pending"), member(r, "status"));
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, listed(w));
        assert_problem(404, "unknown-vendor", w.call("GET /api/v1/vendors/{origin}", {}, {}, {{"origin", b64u_encode(news)}}));
        for (const char* bad : {"", "!", "_w", "aHR0cHM6Ly9uZXdzLmV4YW1wbGU="})
            assert_problem(404, "unknown-vendor", w.call("GET /api/v1/vendors/{origin}", {}, {}, {{"origin", bad}}));
        CPPUNIT_ASSERT_EQUAL(std::string("pending"), must(list_vendors(w.store(), w.clock.now()))[0].status);
        const auto certificate = must(approve_vendor(w.context, w.store(), news));
        const auto c = must(verify_certificate(certificate, issuer, w.keys(), w.clock.now()));
        CPPUNIT_ASSERT(c.key == s.key.public_key());
        CPPUNIT_ASSERT_EQUAL(news + "/h", c.handoff);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, listed(w));
        CPPUNIT_ASSERT_EQUAL(certificate, must(certificate_of(w.context, w.store(), news)));
        const auto again = w.call("POST /api/v1/vendors", w.registration(s, news + "/h"), w.account());
        CPPUNIT_ASSERT_EQUAL(std::string("approved"), member(again, "status"));
    }

    void origin_and_handoff_are_checked() {
        World w;
        const auto token = w.account();
        const auto enrol = [&](const std::string& origin, const std::string& handoff) {
            return w.call("POST /api/v1/vendors", w.registration({origin, new_key()}, handoff), token);
        };
        assert_problem(422, "origin", enrol("https://news.example/", "https://news.example/h"));
        assert_problem(422, "origin", enrol("https://NEWS.example", "https://NEWS.example/h"));
        assert_problem(422, "origin", enrol("http://news.example", "http://news.example/h"));
        assert_problem(422, "origin", enrol("ftp://news.example", "https://news.example/h"));
        assert_problem(422, "handoff", enrol(news, "https://evil.example/h"));
        assert_problem(422, "handoff", enrol(news, "http://news.example/h"));
        CPPUNIT_ASSERT_EQUAL(202, enrol("http://127.0.0.1:8080", "http://127.0.0.1:8080/h").status);
    }

    void registration_is_signed_by_its_key() {
        World w;
        const auto token = w.account();
        const Shop s{news, new_key()}, other{news, new_key()};
        const auto members = json::Object().set("origin", news).set("jwk", other.key.public_key().jwk()).set("handoff", news + "/h");
        assert_problem(403, "registration", w.call("POST /api/v1/vendors", w.signed_request(s, "vendors", members), token));
        auto elsewhere = members;
        elsewhere.set("origin", "https://other.example").set("jwk", s.key.public_key().jwk());
        assert_problem(400, "malformed-request", w.call("POST /api/v1/vendors", w.signed_request(s, "vendors", elsewhere), token));
        assert_problem(400, "registration", w.call("POST /api/v1/vendors", R"({"request":"a.b"})", token));
        assert_problem(400, "malformed-request", w.call("POST /api/v1/vendors", "{}", token));
    }

    void strangers_registration_needs_the_operators_word() {
        World w;
        const Shop own{news, new_key()}, stranger{news, new_key()};
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", w.registration(own, news + "/h"), w.account()).status);
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", w.registration(stranger, news + "/h"), w.account()).status);
        CPPUNIT_ASSERT(!approve_vendor(w.context, w.store(), news));
        must(approve_vendor(w.context, w.store(), news, own.key.kid()));
        CPPUNIT_ASSERT(shown(w, news).key == own.key.public_key());
        CPPUNIT_ASSERT(!approve_vendor(w.context, w.store(), "https://nobody.example"));
    }

    void suspended_is_refused_and_reinstated() {
        World w;
        const auto s = w.shop(news);
        const auto c = w.coin(w.rich());
        CPPUNIT_ASSERT_EQUAL(std::string("suspended"), must(suspend_vendor(w.context, w.store(), news)));
        assert_problem(403, "suspended-vendor", w.acquire(s, c, 1));
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, listed(w));
        CPPUNIT_ASSERT(!certificate_of(w.context, w.store(), news));
        must(approve_vendor(w.context, w.store(), news));
        assert_ok(w.acquire(s, c, 1));
        CPPUNIT_ASSERT(!suspend_vendor(w.context, w.store(), "https://nobody.example"));
    }

    void reinstating_lets_no_strangers_key_in() {
        World w;
        const auto own = w.shop(news);
        const Shop stranger{news, new_key()};
        must(suspend_vendor(w.context, w.store(), news));
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", w.registration(stranger, news + "/h"), w.account()).status);
        CPPUNIT_ASSERT(!approve_vendor(w.context, w.store(), news));
        CPPUNIT_ASSERT(!approve_vendor(w.context, w.store(), news, "nobodys-kid"));
        must(approve_vendor(w.context, w.store(), news, own.key.kid()));
        CPPUNIT_ASSERT(shown(w, news).key == own.key.public_key());
    }

    void certificate_is_renewed_at_half_life() {
        World w;
        w.shop(news);
        const auto first = must(certificate_of(w.context, w.store(), news));
        w.clock.time += 90 * 86400 / 2;
        CPPUNIT_ASSERT_EQUAL(first, must(certificate_of(w.context, w.store(), news)));
        w.clock.time += 1;
        CPPUNIT_ASSERT_EQUAL(w.clock.now() + 90 * 86400, shown(w, news).exp);
        w.clock.time += 60 * 86400;
        tick(w.context, w.store());
        const auto doc = parsed(w.call("GET /api/v1/vendors"));
        const auto token = doc.root().array("certificates")->begin()->as_string().value();
        CPPUNIT_ASSERT_EQUAL(w.clock.now() + 90 * 86400, must(verify_certificate(token, issuer, w.keys(), w.clock.now())).exp);
    }

    void old_key_lasts_as_long_as_its_certificate() {
        World w;
        const auto old = w.shop(news);
        const Shop renewed{news, new_key()};
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", w.registration(renewed, news + "/h"), w.account()).status);
        must(approve_vendor(w.context, w.store(), news, renewed.key.kid()));
        const auto token = w.rich();
        assert_ok(w.acquire(renewed, w.coin(token), 1));
        assert_ok(w.acquire(old, w.coin(token), 1));
        w.clock.time += 90 * 86400 + 1;
        assert_problem(403, "request-forged", w.acquire(old, w.coin(token), 1));
    }

    void request_is_used_once() {
        World w;
        const auto s = w.shop(news);
        const auto c = w.coin(w.rich());
        const auto body = w.signed_request(s, "custody/acquire", json::Object().set("coin", c.coin).set("index", std::uint64_t{1}).set("payword", encode_payword(c.at(1))));
        assert_ok(w.call("POST /api/v1/custody/acquire", body));
        assert_problem(403, "request-replayed", w.call("POST /api/v1/custody/acquire", body));
    }

    void refused_request_is_used_too() {
        World w;
        const auto s = w.shop(news);
        auto c = w.coin(w.rich());
        c.coin = "AAAAAAAAAAAAAAAAAAAAAA";
        const auto body = w.signed_request(s, "custody/acquire", json::Object().set("coin", c.coin).set("index", std::uint64_t{1}).set("payword", encode_payword(c.at(1))));
        assert_problem(404, "unknown-coin", w.call("POST /api/v1/custody/acquire", body));
        assert_problem(403, "request-replayed", w.call("POST /api/v1/custody/acquire", body));
        w.clock.time += 121;
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM nonces"));
    }

    void request_faults() {
        World w;
        const auto s = w.shop(news);
        const auto post = [&](const std::string& body) { return w.call("POST /api/v1/custody/acquire", body); };
        assert_problem(403, "request-elsewhere", post(w.signed_request(s, "custody/renew", {})));
        assert_problem(403, "request-forged", post(w.signed_request({news, new_key()}, "custody/acquire", {})));
        assert_problem(403, "unknown-vendor", post(w.signed_request({"https://nobody.example", new_key()}, "custody/acquire", {})));
        const auto stale = w.signed_request(s, "custody/acquire", {});
        w.clock.time += 61;
        assert_problem(403, "request-stale", post(stale));
        assert_problem(400, "malformed-request", post(w.signed_request(s, "custody/acquire", {})));
        assert_problem(400, "malformed-request", post(R"({"request":"nonsense"})"));
        assert_problem(400, "malformed-request", post(R"({"request":1})"));
        assert_problem(400, "malformed-json", post(""));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerVendorsTest);

}  // namespace
}  // namespace netpay::broker::test
