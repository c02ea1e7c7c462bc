#include "core/index.h"

#include "core/jws.h"
#include "core_support.h"
#include "token_fields.h"

namespace netpay::test {
namespace {

class IndexTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(IndexTest);
    CPPUNIT_TEST(custody_comes_back);
    CPPUNIT_TEST(index_comes_back);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(index_may_name_its_broker);
    CPPUNIT_TEST(members_are_judged);
    CPPUNIT_TEST(one_is_not_the_other);
    CPPUNIT_TEST_SUITE_END();

    SigningKey key_ = signing_key('i');

    static Custody custody() {
        Custody c;
        c.iss = "https://broker.example";
        c.sub = "https://news.example";
        c.coin = coin_id(salt_of(1), word_of(2));
        c.epoch = 3;
        c.index = 40;
        c.payword = word_of(5);
        c.iat = 1000;
        c.exp = 2000;
        return c;
    }
    static SignedIndex index() {
        SignedIndex i;
        i.iss = "https://news.example";
        i.aud = "https://sport.example";
        i.coin = coin_id(salt_of(1), word_of(2));
        i.epoch = 3;
        i.index = 60;
        i.payword = word_of(6);
        i.iat = 1500;
        i.exp = 2000;
        return i;
    }

    void custody_comes_back() {
        const auto c = verify_custody(sign_custody(custody(), key_), key_set(key_));
        CPPUNIT_ASSERT(c.ok());
        const auto w = custody();
        CPPUNIT_ASSERT(c->iss == w.iss && c->sub == w.sub && c->coin == w.coin && c->epoch == w.epoch && c->index == w.index);
        CPPUNIT_ASSERT(c->payword == w.payword && c->iat == w.iat && c->exp == w.exp);
    }

    void index_comes_back() {
        const auto i = verify_index(sign_index(index(), key_), key_set(key_));
        CPPUNIT_ASSERT(i.ok());
        const auto w = index();
        CPPUNIT_ASSERT(i->iss == w.iss && i->aud == w.aud && i->coin == w.coin && i->epoch == w.epoch && i->index == w.index);
        CPPUNIT_ASSERT(i->payword == w.payword && i->iat == w.iat && i->exp == w.exp);
        CPPUNIT_ASSERT(i->broker.empty() && i->speaks_to("https://broker.example"));
    }

    void index_may_name_its_broker() {
        auto w = index();
        w.broker = "https://broker.example";
        const auto i = verify_index(sign_index(w, key_), key_set(key_));
        CPPUNIT_ASSERT(i.ok());
        CPPUNIT_ASSERT_EQUAL(w.broker, i->broker);
        CPPUNIT_ASSERT(i->speaks_to("https://broker.example") && !i->speaks_to("https://other.example"));
    }

    void members_are_needed() {
        check_members(jws::custody, fields_of(sign_custody(custody(), key_)),
                      {"iss", "sub", "coin", "epoch", "index", "payword", "iat", "exp"}, key_,
                      [this](const std::string& t) { return verify_custody(t, key_set(key_)).ok(); });
        check_members(jws::index, fields_of(sign_index(index(), key_)),
                      {"iss", "aud", "coin", "epoch", "index", "payword", "iat", "exp"}, key_,
                      [this](const std::string& t) { return verify_index(t, key_set(key_)).ok(); });
    }

    void members_are_judged() {
        const std::pair<const char*, const char*> bad[] = {
            {"epoch", "0"}, {"index", "1048577"}, {"index", "4294967296"}, {"coin", "\"short\""}, {"payword", "\"short\""}};
        for (const auto& [name, value] : bad) {
            auto f = fields_of(sign_index(index(), key_));
            f[name] = value;
            CPPUNIT_ASSERT_MESSAGE(name, !verify_index(token_of(jws::index, f, key_), key_set(key_)));
        }
        auto f = fields_of(sign_custody(custody(), key_));
        f["index"] = "0";
        CPPUNIT_ASSERT(verify_custody(token_of(jws::custody, f, key_), key_set(key_)).ok());
    }

    void one_is_not_the_other() {
        CPPUNIT_ASSERT(!verify_index(sign_custody(custody(), key_), key_set(key_)));
        CPPUNIT_ASSERT(!verify_custody(sign_index(index(), key_), key_set(key_)));
        CPPUNIT_ASSERT(verify_index(sign_index(index(), signing_key('o')), key_set(key_)).error().code == Code::unknown_key);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(IndexTest);

}  // namespace
}  // namespace netpay::test
