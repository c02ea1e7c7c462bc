#include "core/certificate.h"

#include "core/jws.h"
#include "core_support.h"
#include "token_fields.h"

namespace netpay::test {
namespace {

constexpr auto issuer = "https://broker.example"sv;

class CertificateTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(CertificateTest);
    CPPUNIT_TEST(comes_back);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(members_are_judged);
    CPPUNIT_TEST(times);
    CPPUNIT_TEST_SUITE_END();

    SigningKey broker_ = signing_key('b');
    SigningKey vendor_ = signing_key('v');

    Certificate sample() const {
        return {std::string(issuer), "https://news.example", vendor_.public_key(), "https://news.example/handoff", 1000, 2000};
    }
    Result<Certificate> verify(const std::string& token, UnixTime now = 1500) const {
        return verify_certificate(token, issuer, key_set(broker_), now);
    }
    // fields_of() leaves objects out.
    Fields good() const {
        auto f = fields_of(sign_certificate(sample(), broker_));
        f["cnf"] = "{\"jwk\":" + vendor_.public_key().jwk().jcs() + "}";
        return f;
    }

    void comes_back() {
        const auto c = verify(sign_certificate(sample(), broker_));
        CPPUNIT_ASSERT(c.ok());
        CPPUNIT_ASSERT(c->iss == issuer && c->sub == "https://news.example" && c->key == vendor_.public_key());
        CPPUNIT_ASSERT(c->handoff == "https://news.example/handoff" && c->iat == 1000 && c->exp == 2000);
    }

    void members_are_needed() {
        check_members(jws::vendor, good(), {"iss", "sub", "handoff", "iat", "exp", "cnf"}, broker_,
                      [this](const std::string& t) { return verify(t).ok(); });
    }

    void members_are_judged() {
        const auto jwk = vendor_.public_key().jwk().jcs();
        const std::pair<const char*, std::string> bad[] = {
            {"iss", "\"https://other.example\""},
            {"sub", "\"https://news.example/\""},
            {"sub", "\"news.example\""},
            {"sub", "\"https://evil.example\""},
            {"handoff", "\"https://evil.example/handoff\""},
            {"handoff", "\"http://news.example/handoff\""},
            {"handoff", "\"/handoff\""},
            {"cnf", "{}"},
            {"cnf", "{\"jwk\":[]}"},
            {"cnf", "{\"jwk\":{}}"},
            {"cnf", "{\"kid\":\"x\"}"},
            {"cnf", "{\"jwk\":" + jwk.substr(0, jwk.size() - 1) + ",\"d\":\"AA\"}}"}};
        for (const auto& [name, value] : bad) {
            auto f = good();
            f[name] = value;
            CPPUNIT_ASSERT_MESSAGE(value, !verify(token_of(jws::vendor, f, broker_)));
        }
        CPPUNIT_ASSERT(verify(sign_certificate(sample(), vendor_)).error().code == Code::unknown_key);  // no vendor certifies itself
    }

    void times() {
        const auto token = sign_certificate(sample(), broker_);
        CPPUNIT_ASSERT(verify(token, 2000).ok() && verify(token, 940).ok());
        CPPUNIT_ASSERT(verify(token, 2001).error().code == Code::expired);
        CPPUNIT_ASSERT(verify(token, 939).error().code == Code::mismatch);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CertificateTest);

}  // namespace
}  // namespace netpay::test
