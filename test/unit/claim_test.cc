#include "core/claim.h"

#include "core/hash.h"
#include "core/jws.h"
#include "core/limits.h"
#include "core_support.h"
#include "token_fields.h"

namespace netpay::test {
namespace {

const std::string coin = coin_id(salt_of(1), word_of(2));
const std::string word = encode_payword(word_of(3));

std::string line(const std::string& from, const std::string& to, const std::string& more = "") {
    return R"({"coin":")" + coin + R"(","from":)" + from + R"(,"to":)" + to + R"(,"payword":")" + word + "\"" + more + "}";
}

class ClaimTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ClaimTest);
    CPPUNIT_TEST(comes_back);
    CPPUNIT_TEST(order_and_unknown_members_do_not_matter);
    CPPUNIT_TEST(ranges_are_read_not_judged);
    CPPUNIT_TEST(lines_refused);
    CPPUNIT_TEST(digests_of_rfc9530);
    CPPUNIT_TEST_SUITE_END();

    void comes_back() {
        const Claim c{coin, 20, 40, word_of(3)};
        const auto text = format_claim(c);
        CPPUNIT_ASSERT_EQUAL(R"({"coin":")" + coin + R"(","from":20,"payword":")" + word + R"(","to":40})", text);
        const auto again = parse_claim(text);
        CPPUNIT_ASSERT(again.ok() && again->coin == coin && again->from == 20 && again->to == 40 && again->payword == word_of(3));
    }

    void order_and_unknown_members_do_not_matter() {
        CPPUNIT_ASSERT(parse_claim("  " + line("1", "2", R"(,"note":{"a":[1]})") + "\r").ok());
    }

    void ranges_are_read_not_judged() {
        for (const auto& [from, to] : {std::pair("0", "0"), {"5", "4"}, {"0", "4294967295"}, {"1048577", "1048578"}, {"0", "4294967296"}, {"9007199254740990", "9007199254740991"}})
            CPPUNIT_ASSERT(parse_claim(line(from, to)).ok());
    }

    void lines_refused() {
        for (const auto& text :
             {""s, "{}"s, "[]"s, "null"s, line("1", "2") + line("1", "2"), line("1", "2") + "\n" + line("1", "2"), line("-1", "2"),
              line("1.0", "2"), line("1", "2e0"), line("\"1\"", "2"), line("1", "null"),
              line("18446744073709551617", "2"), line("1", "2", R"(,"to":2)"), line("1", "2").substr(1),
              R"({"from":1,"to":2,"payword":")" + word + "\"}", R"({"coin":")" + coin + R"(","from":1,"to":2})",
              R"({"coin":"short","from":1,"to":2,"payword":")" + word + "\"}",
              R"({"coin":")" + coin + R"(","from":1,"to":2,"payword":"short"})", line("1", "2", R"(,"x":[[[[[[[[[1]]]]]]]]])"),
              line("1", "2", R"(,"x":")" + std::string(limits::claim_line_bytes, 'x') + "\"")}) {
            const auto c = parse_claim(text);
            CPPUNIT_ASSERT_MESSAGE(text, !c);
            CPPUNIT_ASSERT(c.error().code == Code::malformed);
            CPPUNIT_ASSERT_MESSAGE("an error text carries no payword", c.error().detail.find(word) == std::string::npos);
        }
    }

    void digests_of_rfc9530() {
        // Appendix of RFC 9530: {"hello": "world"} with a line feed.
        CPPUNIT_ASSERT_EQUAL("sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"s,
                             content_digest(sha256("{\"hello\": \"world\"}\n")));
        CPPUNIT_ASSERT_EQUAL("sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"s, content_digest(sha256("")));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ClaimTest);

class BatchTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BatchTest);
    CPPUNIT_TEST(comes_back);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(refused);
    CPPUNIT_TEST_SUITE_END();

    SigningKey key_ = signing_key('v');
    static Batch sample() { return {"https://news.example", "https://broker.example", "b-1", content_digest(sha256("")), 1000}; }
    Result<Batch> verify(const std::string& t) const { return verify_batch(t, "https://broker.example", key_set(key_)); }

    void comes_back() {
        const auto b = verify(sign_batch(sample(), key_));
        CPPUNIT_ASSERT(b.ok());
        CPPUNIT_ASSERT(b->iss == "https://news.example" && b->aud == "https://broker.example" && b->batch == "b-1");
        CPPUNIT_ASSERT(b->digest == sample().digest && b->iat == 1000);
    }
    void members_are_needed() {
        check_members(jws::batch, fields_of(sign_batch(sample(), key_)), {"iss", "aud", "batch", "digest", "iat"}, key_,
                      [this](const std::string& t) { return verify(t).ok(); });
    }
    void refused() {
        auto b = sample();
        b.aud = "https://other.example";
        CPPUNIT_ASSERT(verify(sign_batch(b, key_)).error().code == Code::mismatch);
        b = sample();
        b.batch = "";
        CPPUNIT_ASSERT(!verify(sign_batch(b, key_)));
        b.batch = std::string(65, 'b');
        CPPUNIT_ASSERT(!verify(sign_batch(b, key_)));
        b.batch.pop_back();
        CPPUNIT_ASSERT(verify(sign_batch(b, key_)).ok());
        CPPUNIT_ASSERT(!verify(sign_batch(sample(), signing_key('o'))));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BatchTest);

class RedeemedTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(RedeemedTest);
    CPPUNIT_TEST(comes_back);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(credited_is_judged);
    CPPUNIT_TEST_SUITE_END();

    SigningKey key_ = signing_key('b');
    static Redeemed sample() {
        Redeemed r;
        r.iss = "https://broker.example";
        r.aud = "https://news.example";
        r.batch = "b-1";
        r.digest = content_digest(sha256(""));
        r.accepted = 3;
        r.rejected = 1;
        r.credited = {{uusd(), *Amount::from(60000)}, {*Currency::parse("ueur"), *Amount::from(1)}};
        r.iat = 1000;
        return r;
    }
    Result<Redeemed> verify(const std::string& t) const { return verify_redeemed(t, "https://news.example", key_set(key_)); }
    Fields good() const {
        auto f = fields_of(sign_redeemed(sample(), key_));
        f["credited"] = R"({"ueur":1,"uusd":60000})";
        return f;
    }

    void comes_back() {
        const auto r = verify(sign_redeemed(sample(), key_));
        CPPUNIT_ASSERT(r.ok());
        CPPUNIT_ASSERT(r->accepted == 3 && r->rejected == 1 && r->credited == sample().credited && r->batch == "b-1");
        auto none = sample();
        none.credited.clear();
        CPPUNIT_ASSERT(verify(sign_redeemed(none, key_))->credited.empty());
    }
    void members_are_needed() {
        check_members(jws::redeemed, good(), {"iss", "aud", "batch", "digest", "accepted", "rejected", "credited", "iat"}, key_,
                      [this](const std::string& t) { return verify(t).ok(); });
    }
    void credited_is_judged() {
        for (const char* bad : {R"({"usd":1})", R"({"uusd":"1"})", R"({"uusd":-1})", R"({"uusd":1.0})", R"({"uusd":9007199254740992})"}) {
            auto f = good();
            f["credited"] = bad;
            CPPUNIT_ASSERT_MESSAGE(bad, !verify(token_of(jws::redeemed, f, key_)));
        }
        auto other = sample();
        other.aud = "https://sport.example";
        CPPUNIT_ASSERT(verify(sign_redeemed(other, key_)).error().code == Code::mismatch);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RedeemedTest);

}  // namespace
}  // namespace netpay::test
