#include "core/request.h"

#include "core/jws.h"
#include "core_support.h"
#include "token_fields.h"

namespace netpay::test {
namespace {

constexpr auto broker = "https://broker.example"sv;

class RequestTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(RequestTest);
    CPPUNIT_TEST(comes_back_with_its_own_members);
    CPPUNIT_TEST(the_head_wins);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(another_call_or_audience_is_refused);
    CPPUNIT_TEST(sixty_seconds_either_way);
    CPPUNIT_TEST(jti_has_1_to_64_characters);
    CPPUNIT_TEST_SUITE_END();

    SigningKey key_ = signing_key('v');

    static RequestHead head() { return {"https://news.example", std::string(broker), "custody/acquire", 1000, "jti-1"}; }
    Result<Request> verify(const std::string& token, UnixTime now = 1000) const {
        return verify_request(token, broker, "custody/acquire", key_set(key_), now);
    }
    std::string sign(const RequestHead& h) const { return sign_request(h, json::Object().set("index", std::uint64_t{7}), key_); }

    void comes_back_with_its_own_members() {
        const auto r = verify(sign(head()));
        CPPUNIT_ASSERT(r.ok());
        CPPUNIT_ASSERT(r->head.iss == "https://news.example" && r->head.jti == "jti-1" && r->head.iat == 1000);
        CPPUNIT_ASSERT(r->head.aud == broker && r->head.call == "custody/acquire");
        CPPUNIT_ASSERT(r->payload.root().uint("index") == 7u);
    }

    void the_head_wins() {
        const auto t = sign_request(head(), json::Object().set("iss", "https://evil.example").set("call", "return"), key_);
        const auto r = verify(t);
        CPPUNIT_ASSERT(r.ok() && r->head.iss == "https://news.example");
    }

    void members_are_needed() {
        check_members(jws::request, fields_of(sign(head())), {"iss", "aud", "call", "iat", "jti"}, key_,
                      [this](const std::string& t) { return verify(t).ok(); });
    }

    void another_call_or_audience_is_refused() {
        auto h = head();
        h.aud = "https://other.example";
        CPPUNIT_ASSERT(verify(sign(h)).error().code == Code::mismatch);
        h = head();
        h.call = "custody/renew";
        CPPUNIT_ASSERT(verify(sign(h)).error().code == Code::mismatch);
        CPPUNIT_ASSERT(!verify_request(sign(head()), broker, "custody/acquire", key_set(signing_key('o')), 1000));
    }

    void sixty_seconds_either_way() {
        const auto t = sign(head());
        CPPUNIT_ASSERT(verify(t, 1060).ok() && verify(t, 940).ok());
        CPPUNIT_ASSERT(verify(t, 1061).error().code == Code::expired);
        CPPUNIT_ASSERT(verify(t, 939).error().code == Code::expired);
        auto f = fields_of(t);
        f["iat"] = "9007199254740991";
        CPPUNIT_ASSERT(!verify(token_of(jws::request, f, key_)));
    }

    void jti_has_1_to_64_characters() {
        auto h = head();
        h.jti = std::string(64, 'x');
        CPPUNIT_ASSERT(verify(sign(h)).ok());
        h.jti += 'x';
        CPPUNIT_ASSERT(!verify(sign(h)));
        h.jti.clear();
        CPPUNIT_ASSERT(!verify(sign(h)));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RequestTest);

}  // namespace
}  // namespace netpay::test
