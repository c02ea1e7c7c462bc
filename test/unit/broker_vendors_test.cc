// Vendors: registration, approval, certificates, and their signed requests.
#include "broker/custody/handovers.h"
#include "broker/vendors/vendors.h"
#include "core/certificate.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example", blog = "https://blog.example";

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
    CPPUNIT_TEST(both_keys_are_listed_while_they_last);
    CPPUNIT_TEST(leaked_key_is_revoked);
    CPPUNIT_TEST(list_says_when_it_is_unchanged);
    CPPUNIT_TEST(registration_is_used_once);
    CPPUNIT_TEST(suspension_has_a_reason);
    CPPUNIT_TEST(proven_fraud_is_reinstated_by_name_only);
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

    void both_keys_are_listed_while_they_last() {
        World w;
        w.shop(blog);
        const auto old = w.shop(news);
        const auto list = [&] {
            std::vector<Certificate> all;
            const auto doc = parsed(w.call("GET /api/v1/vendors"));
            for (const auto& t : *doc.root().array("certificates"))
                all.push_back(must(verify_certificate(t.as_string().value(), issuer, w.keys(), w.clock.now())));
            return all;
        };
        w.clock.time += 86400;
        const Shop renewed{news, new_key()};
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", w.registration(renewed, news + "/new"), w.account()).status);
        CPPUNIT_ASSERT(!approve_vendor(w.context, w.store(), news));
        must(approve_vendor(w.context, w.store(), news, renewed.key.kid()));
        const auto both = list();
        CPPUNIT_ASSERT_EQUAL(std::size_t{3}, both.size());
        CPPUNIT_ASSERT_EQUAL(blog, both[0].sub);
        CPPUNIT_ASSERT(both[1].key == renewed.key.public_key() && both[1].handoff == news + "/new");
        CPPUNIT_ASSERT(both[2].key == old.key.public_key() && both[2].handoff == news + "/handoff");
        CPPUNIT_ASSERT(shown(w, news).key == renewed.key.public_key());
        // Both sign.
        const auto token = w.rich();
        assert_ok(w.acquire(old, w.coin(token), 1));
        assert_ok(w.acquire(renewed, w.coin(token), 1));
        w.clock.time = start_of_time + 90 * 86400 + 1;  // the first certificate's end
        for (const auto& c : list()) CPPUNIT_ASSERT(!(c.key == old.key.public_key()));
    }

    void leaked_key_is_revoked() {
        World w;
        const auto old = w.shop(news);
        const Shop renewed{news, new_key()};
        must(suspend_vendor(w.context, w.store(), news));
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", w.registration(renewed, news + "/h"), w.account()).status);
        must(approve_vendor(w.context, w.store(), news, renewed.key.kid(), true));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, listed(w));
        const auto token = w.rich();
        assert_problem(403, "request-forged", w.acquire(old, w.coin(token), 1));
        assert_ok(w.acquire(renewed, w.coin(token), 1));
    }

    void list_says_when_it_is_unchanged() {
        World w;
        w.shop(news);
        const auto get = [&](const std::string& tag) { return w.call("GET /api/v1/vendors", {}, {}, {}, {{"if-none-match", tag}}); };
        const auto tag_of = [](const Response& r) {
            for (const auto& [name, value] : r.headers)
                if (name == "ETag") return value;
            return std::string();
        };
        const auto first = get("\"other\"");
        assert_ok(first);
        const auto same = get(tag_of(first));
        CPPUNIT_ASSERT_EQUAL(304, same.status);
        CPPUNIT_ASSERT(same.body.empty());
        CPPUNIT_ASSERT_EQUAL(first.body, get("").body);
        w.shop(blog);
        assert_ok(get(tag_of(first)));
        must(suspend_vendor(w.context, w.store(), blog));
        CPPUNIT_ASSERT_EQUAL(304, get(tag_of(first)).status);
    }

    void registration_is_used_once() {
        World w;
        const auto token = w.account();
        const auto body = w.registration({news, new_key()}, news + "/h");
        CPPUNIT_ASSERT_EQUAL(202, w.call("POST /api/v1/vendors", body, token).status);
        assert_problem(403, "request-replayed", w.call("POST /api/v1/vendors", body, token));
        assert_problem(403, "request-replayed", w.call("POST /api/v1/vendors", body, w.account()));
        w.clock.time += 121;
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM registration_nonces"));
    }

    void suspension_has_a_reason() {
        World w;
        w.shop(news);
        const auto row = [&] { return must(list_vendors(w.store(), w.clock.now()))[0]; };
        const auto write = [&](auto f) { CPPUNIT_ASSERT(w.store().write([&](Sql& sql) -> Outcome<Done> { f(sql); return Done{}; }).ok()); };
        CPPUNIT_ASSERT_EQUAL(std::string(), row().suspended_for);
        Int id = 0;
        write([&](Sql& sql) { id = vendors::find(sql, news)->id; });
        write([&](Sql& sql) { CPPUNIT_ASSERT(vendors::suspend_for_fraud(sql, id)); });
        CPPUNIT_ASSERT_EQUAL(std::string("fraud"), row().suspended_for);
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, listed(w));
        write([&](Sql& sql) { CPPUNIT_ASSERT(!vendors::suspend_for_fraud(sql, id)); });
        write([&](Sql& sql) { CPPUNIT_ASSERT(vendors::lift_fraud_suspension(sql, id)); });
        CPPUNIT_ASSERT_EQUAL(std::string("approved"), row().status);
        // The operator's word stands, whatever is proven or cleared meanwhile.
        must(suspend_vendor(w.context, w.store(), news));
        CPPUNIT_ASSERT_EQUAL(std::string("operator"), row().suspended_for);
        write([&](Sql& sql) { CPPUNIT_ASSERT(!vendors::suspend_for_fraud(sql, id)); });
        write([&](Sql& sql) { CPPUNIT_ASSERT(!vendors::lift_fraud_suspension(sql, id)); });
        CPPUNIT_ASSERT_EQUAL(std::string("suspended"), row().status);
        must(approve_vendor(w.context, w.store(), news));
        CPPUNIT_ASSERT_EQUAL(std::string(), row().suspended_for);
    }

    void proven_fraud_is_reinstated_by_name_only() {
        World w;
        const auto s = w.shop(news);
        const auto c = w.coin(w.rich());
        assert_ok(w.acquire(s, c, 5));
        for (const std::uint32_t at : {2u, 3u}) {
            const auto token = sign_index({news, issuer, c.coin, 1, at, c.at(at), w.clock.now(), w.clock.now() + 10}, s.key);
            CPPUNIT_ASSERT(w.store().write([&](Sql& sql) { return show_index(w.context, sql, token, w.clock.now()); }).ok());
        }
        CPPUNIT_ASSERT_EQUAL(std::string("fraud"), must(list_vendors(w.store(), w.clock.now()))[0].suspended_for);
        assert_problem(403, "suspended-vendor", w.acquire(s, w.coin(w.rich()), 1));
        const auto refused = approve_vendor(w.context, w.store(), news);
        CPPUNIT_ASSERT(!refused && refused.error().detail.find(s.key.kid()) != std::string::npos);
        must(approve_vendor(w.context, w.store(), news, s.key.kid()));
        CPPUNIT_ASSERT_EQUAL(std::int64_t{1}, must(frauds_of(w.store(), news)));
        assert_ok(w.acquire(s, w.coin(w.rich()), 1));
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
