#include "core/credential.h"

#include "core/limits.h"
#include "core_support.h"
#include "token_fields.h"

namespace netpay::test {
namespace {

const std::string coin = coin_id(salt_of(1), word_of(2));
const std::string word = encode_payword(word_of(3));

Fields challenge_fields() {
    return {{"id", "\"id\""}, {"realm", "\"news\""}, {"method", "\"netpay\""}, {"intent", "\"session\""}, {"request", "\"cmVx\""},
            {"expires", "\"2026-11-22T12:05:00Z\""}};
}
Fields payload_fields() { return {{"coin", json::quote(coin)}, {"index", "20"}, {"payword", json::quote(word)}}; }

std::string credential(const std::string& challenge, const std::string& payload, const std::string& more = "") {
    return b64u_encode("{\"challenge\":" + challenge + ",\"payload\":" + payload + more + "}");
}
std::string with_challenge(const std::string& name, const std::string& value) {
    auto f = challenge_fields();
    if (value.empty()) f.erase(name);
    else f[name] = value;
    return credential(text_of(f), text_of(payload_fields()));
}
std::string with_payload(const std::string& name, const std::string& value) {
    auto f = payload_fields();
    if (value.empty()) f.erase(name);
    else f[name] = value;
    return credential(text_of(challenge_fields()), text_of(f));
}

class CredentialTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(CredentialTest);
    CPPUNIT_TEST(every_member_comes_back);
    CPPUNIT_TEST(source_and_unknown_members_are_passed_over);
    CPPUNIT_TEST(form_refused);
    CPPUNIT_TEST(challenge_members_refused);
    CPPUNIT_TEST(another_method);
    CPPUNIT_TEST(payload_members_refused);
    CPPUNIT_TEST(max_and_held);
    CPPUNIT_TEST(four_kilobytes_fit);
    CPPUNIT_TEST(an_error_text_carries_no_secret);
    CPPUNIT_TEST_SUITE_END();

    static void refuse(const std::string& token, Code code) {
        const auto c = parse_credential(token);
        CPPUNIT_ASSERT_MESSAGE("taken: " + b64u_decode(token).value_or(token), !c.ok());
        CPPUNIT_ASSERT_MESSAGE(b64u_decode(token).value_or(token) + ": " + c.error().detail, c.error().code == code);
    }

    void every_member_comes_back() {
        Credential c;
        c.challenge = {"id", "a realm", "netpay", "charge", "cmVx", "2026-11-22T12:05:00Z", "d", "o", "Payment-Authorization"};
        c.payload.coin = coin;
        c.payload.tag = coin_tag(salt_of(1), word_of(2));
        c.payload.index = 1u << 20;
        c.payload.payword = word_of(3);
        c.payload.touchstone = "a.b.c";
        c.payload.max = Amount::from(20000);
        c.payload.holder = "https://sport.example";
        c.payload.held = 7;
        const auto again = parse_credential(format_credential(c));
        CPPUNIT_ASSERT(again.ok());
        const auto& p = again->payload;
        CPPUNIT_ASSERT(again->challenge.id == "id" && again->challenge.realm == "a realm" && again->challenge.intent == "charge");
        CPPUNIT_ASSERT(again->challenge.digest == "d" && again->challenge.opaque == "o" && again->challenge.header == "Payment-Authorization");
        CPPUNIT_ASSERT(again->challenge.expires == "2026-11-22T12:05:00Z");
        CPPUNIT_ASSERT(p.coin == coin && p.tag == c.payload.tag && p.index == 1u << 20 && p.payword == word_of(3));
        CPPUNIT_ASSERT(p.touchstone == "a.b.c" && p.max == Amount::from(20000) && p.holder == "https://sport.example" && p.held == 7u);
    }

    void source_and_unknown_members_are_passed_over() {
        CPPUNIT_ASSERT(parse_credential(credential(text_of(challenge_fields()), text_of(payload_fields()), R"(,"source":"did:x:1","y":{"z":[]})")).ok());
        CPPUNIT_ASSERT(parse_credential(with_challenge("description", "{\"x\":1}")).ok());
        CPPUNIT_ASSERT(parse_credential(with_payload("later", "[1,2]")).ok());
    }

    void form_refused() {
        const auto good = credential(text_of(challenge_fields()), text_of(payload_fields()));
        CPPUNIT_ASSERT(parse_credential(good).ok());
        for (const auto& t : {""s, good + "=", good + " ", "!"s + good, good + "A", "Payment "s + good, b64u_encode(""sv), b64u_encode("x"sv),
                              b64u_encode("[]"sv), b64u_encode("null"sv), b64u_encode("{}"sv), b64u_encode("{\"challenge\":{}}"sv),
                              b64u_encode("{\"payload\":{}}"sv), credential("[]", "{}"), credential("null", "{}"),
                              credential(text_of(challenge_fields()), text_of(payload_fields()), ",\"payload\":{}"),
                              credential(text_of(challenge_fields()), text_of(payload_fields()), ",\"x\":[[[[[[[[1]]]]]]]]"),
                              b64u_encode(*b64u_decode(good) + "x"), b64u_encode(*b64u_decode(good) + "\0"s), good.substr(0, good.size() / 8 * 4)})
            refuse(t, Code::malformed);
        refuse(std::string(limits::credential_bytes + 1, 'A'), Code::limit);
    }

    void challenge_members_refused() {
        for (const char* name : {"id", "realm", "method", "intent", "request"})
            for (const char* value : {"", "null", "1", "[]", "{}", "true"}) refuse(with_challenge(name, value), Code::malformed);
        for (const char* name : {"expires", "digest", "opaque", "header"})
            for (const char* value : {"null", "1", "[]", "{}"}) refuse(with_challenge(name, value), Code::malformed);
        CPPUNIT_ASSERT(parse_credential(with_challenge("expires", "")).ok());
    }

    void another_method() {
        refuse(with_challenge("method", "\"tempo\""), Code::mismatch);
        refuse(with_challenge("method", "\"NetPay\""), Code::mismatch);
        refuse(with_challenge("method", "\"\""), Code::mismatch);
    }

    void payload_members_refused() {
        for (const char* payload : {"null", "[]", "1", "\"x\"", "{}"})
            refuse(credential(text_of(challenge_fields()), payload), Code::malformed_payload);
        const std::pair<const char*, std::string> bad[] = {
            {"coin", ""}, {"coin", "null"}, {"coin", "7"}, {"coin", "\"\""}, {"coin", json::quote(coin.substr(1))}, {"coin", json::quote(coin + "A")},
            {"coin", json::quote(coin.substr(0, 21) + "B")}, {"index", ""}, {"index", "\"20\""}, {"index", "20.0"}, {"index", "2e1"},
            {"index", "-1"}, {"index", "-0"}, {"index", "9007199254740992"}, {"index", "null"}, {"payword", ""}, {"payword", "7"},
            {"payword", json::quote(word.substr(1))}, {"payword", json::quote(word + "=")}, {"payword", json::quote(word.substr(0, 42) + "B")},
            {"touchstone", "null"}, {"touchstone", "{}"}, {"max", "null"}, {"max", "\"\""}, {"max", "\"1.5\""}, {"max", "1.5"}, {"max", "-1"},
            {"max", "\"9007199254740992\""}, {"holder", "1"}, {"holder", "\"\""}, {"holder", "\"news.example\""},
            {"holder", "\"https://news.example/\""}, {"held", "null"}, {"held", "\"1\""}, {"held", "1.0"}};
        for (const auto& [name, value] : bad) refuse(with_payload(name, value), Code::malformed_payload);
    }

    void max_and_held() {
        CPPUNIT_ASSERT(parse_credential(with_payload("max", "\"20000\""))->payload.max == Amount::from(20000));
        CPPUNIT_ASSERT(parse_credential(with_payload("max", "20000"))->payload.max == Amount::from(20000));
        CPPUNIT_ASSERT(parse_credential(with_payload("held", "0"))->payload.held == 0u);
        CPPUNIT_ASSERT(!parse_credential(with_payload("index", "0"))->payload.max);
        CPPUNIT_ASSERT(parse_credential(with_payload("index", "9007199254740991"))->payload.index == limits::max_amount);
    }

    void four_kilobytes_fit() {
        const auto t = with_payload("touchstone", json::quote(std::string(3000, 'x')));
        CPPUNIT_ASSERT(t.size() >= 4096 && t.size() < limits::credential_bytes);
        CPPUNIT_ASSERT(parse_credential(t).ok());
    }

    void an_error_text_carries_no_secret() {
        for (const auto& t : {with_payload("index", "1.0"), with_payload("holder", "\"x\""), with_payload("payword", json::quote(word + "A")),
                              b64u_encode("{\"payload\":{\"payword\":\"" + word + "\"},}")}) {
            const auto c = parse_credential(t);
            CPPUNIT_ASSERT(!c && c.error().detail.find(word) == std::string::npos);
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CredentialTest);

}  // namespace
}  // namespace netpay::test
