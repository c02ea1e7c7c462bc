#include "core/touchstone.h"

#include "core/jws.h"
#include "core_support.h"
#include "token_fields.h"

namespace netpay::test {
namespace {

constexpr auto issuer = "https://broker.example"sv;

class TouchstoneTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TouchstoneTest);
    CPPUNIT_TEST(comes_back);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(members_are_judged);
    CPPUNIT_TEST(expiry_is_inclusive);
    CPPUNIT_TEST(another_type_or_key_is_refused);
    CPPUNIT_TEST_SUITE_END();

    SigningKey key_ = signing_key('b');

    static Touchstone sample() {
        Touchstone t;
        t.iss = issuer;
        t.cur = uusd();
        t.unit = *Amount::from(1000);
        t.n = 1000;
        t.salt = salt_of(1);
        t.root = word_of(2);
        t.coin = coin_id(t.salt, t.root);
        t.iat = 1000;
        t.exp = 2000;
        return t;
    }
    Result<Touchstone> verify(const std::string& token, UnixTime now = 1500) const {
        return verify_touchstone(token, issuer, key_set(key_), now);
    }
    Fields good() const { return fields_of(sign_touchstone(sample(), key_)); }
    void refuse(const Fields& f, Code code) const {
        const auto t = verify(token_of(jws::touchstone, f, key_));
        CPPUNIT_ASSERT_MESSAGE("taken: " + text_of(f), !t.ok());
        CPPUNIT_ASSERT_MESSAGE(t.error().detail, t.error().code == code);
    }

    void comes_back() {
        const auto t = verify(sign_touchstone(sample(), key_));
        CPPUNIT_ASSERT(t.ok());
        const auto s = sample();
        CPPUNIT_ASSERT(t->iss == s.iss && t->coin == s.coin && t->tag == coin_tag(s.salt, s.root) && t->cur == s.cur);
        CPPUNIT_ASSERT(t->unit == s.unit && t->n == s.n && t->salt == s.salt && t->root == s.root);
        CPPUNIT_ASSERT(t->iat == s.iat && t->exp == s.exp);
    }

    void members_are_needed() {
        check_members(jws::touchstone, good(), {"iss", "coin", "cur", "unit", "n", "salt", "root", "iat", "exp"}, key_,
                      [this](const std::string& t) { return verify(t).ok(); });
    }

    void members_are_judged() {
        const std::pair<const char*, const char*> malformed[] = {
            {"cur", "\"usd\""}, {"cur", "\"uUSD\""}, {"unit", "0"}, {"unit", "9007199254740992"}, {"n", "0"}, {"n", "1048577"},
            {"n", "1e3"}, {"salt", "\"AAAA\""}, {"root", "\"AAAA\""}, {"exp", "1e9"}};
        for (const auto& [name, value] : malformed) {
            auto f = good();
            f[name] = value;
            refuse(f, Code::malformed);
        }
        auto f = good();
        f["salt"] = "\"" + b64u_encode(salt_of(9)) + "\"";
        refuse(f, Code::mismatch);
        f = good();
        f["coin"] = "\"" + coin_id(salt_of(9), word_of(9)) + "\"";
        refuse(f, Code::mismatch);
        f = good();
        f["iss"] = "\"https://other.example\"";
        refuse(f, Code::mismatch);
        f = good();
        f["n"] = "1048576";
        CPPUNIT_ASSERT(verify(token_of(jws::touchstone, f, key_)).ok());
    }

    void expiry_is_inclusive() {
        const auto token = sign_touchstone(sample(), key_);
        CPPUNIT_ASSERT(verify(token, 2000).ok());
        const auto late = verify(token, 2001);
        CPPUNIT_ASSERT(!late && late.error().code == Code::expired);
    }

    void another_type_or_key_is_refused() {
        CPPUNIT_ASSERT(!verify(token_of(jws::custody, good(), key_)));
        CPPUNIT_ASSERT(verify(sign_touchstone(sample(), signing_key('o'))).error().code == Code::unknown_key);
        CPPUNIT_ASSERT(!verify(""));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TouchstoneTest);

}  // namespace
}  // namespace netpay::test
