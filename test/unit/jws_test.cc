#include "core/jws.h"

#include "core/limits.h"
#include "core_support.h"

namespace netpay::test {
namespace {

const SigningKey& key() {
    static const SigningKey k = signing_key('j');
    return k;
}

// A token with any header, correctly signed over whatever it says.
std::string token(const std::string& header, const std::string& payload, const SigningKey& by = key()) {
    const auto text = b64u_encode(header) + "." + b64u_encode(payload);
    return text + "." + b64u_encode(by.sign(text));
}
std::string header(const std::string& more = "", const std::string& alg = "\"EdDSA\"", const std::string& typ = "\"t+jwt\"") {
    return R"({"alg":)" + alg + R"(,"kid":")" + key().kid() + R"(","typ":)" + typ + more + "}";
}

class JwsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(JwsTest);
    CPPUNIT_TEST(signs_and_verifies);
    CPPUNIT_TEST(unknown_header_members_are_ignored);
    CPPUNIT_TEST(headers_refused);
    CPPUNIT_TEST(keys_refused);
    CPPUNIT_TEST(signatures_refused);
    CPPUNIT_TEST(forms_refused);
    CPPUNIT_TEST(payloads_refused);
    CPPUNIT_TEST(every_changed_character_is_noticed);
    CPPUNIT_TEST(peek_believes_nothing);
    CPPUNIT_TEST_SUITE_END();

    static void refuse(const std::string& t, Code code, const KeySet& keys = key_set(key())) {
        const auto v = jws::verify(t, "t+jwt", keys);
        CPPUNIT_ASSERT_MESSAGE("taken: " + t, !v.ok());
        CPPUNIT_ASSERT_MESSAGE(v.error().detail, v.error().code == code);
    }

    void signs_and_verifies() {
        const auto t = jws::sign("t+jwt", json::Object().set("a", std::uint64_t{1}), key());
        CPPUNIT_ASSERT_EQUAL(token(header(), R"({"a":1})"), t);
        const auto v = jws::verify(t, "t+jwt", key_set(key()));
        CPPUNIT_ASSERT(v.ok() && v->payload.root().uint("a") == 1u && v->kid == key().kid());
    }

    void unknown_header_members_are_ignored() {
        CPPUNIT_ASSERT(jws::verify(token(header(R"(,"x":[1],"jwk":{"kty":"OKP"},"jku":"https://evil.example")"), "{}"), "t+jwt",
                                   key_set(key()))
                           .ok());
    }

    void headers_refused() {
        refuse(token(header(R"(,"crit":["b64"])"), "{}"), Code::malformed);
        refuse(token(header(R"(,"crit":[])"), "{}"), Code::malformed);
        refuse(token(header(R"(,"crit":null)"), "{}"), Code::malformed);
        for (const char* alg : {"\"none\"", "\"HS256\"", "\"ES256\"", "\"eddsa\"", "\"Ed25519\"", "null", "1", "[\"EdDSA\"]"})
            refuse(token(header("", alg), "{}"), Code::malformed);
        for (const char* typ : {"\"JWT\"", "\"T+JWT\"", "\"netpay-index+jwt\"", "\"application/t+jwt\"", "null", "1"})
            refuse(token(header("", "\"EdDSA\"", typ), "{}"), Code::malformed);
        refuse(token(R"({"alg":"EdDSA","typ":"t+jwt"})", "{}"), Code::malformed);
        refuse(token(R"({"alg":"EdDSA","typ":"t+jwt","kid":1})", "{}"), Code::malformed);
        refuse(token(R"({"alg":"EdDSA","kid":")" + key().kid() + "\"}", "{}"), Code::malformed);
        refuse(token(header(R"(,"alg":"EdDSA")"), "{}"), Code::malformed);
        refuse(token("[]", "{}"), Code::malformed);
        refuse(token("", "{}"), Code::malformed);
    }

    void keys_refused() {
        refuse(token(R"({"alg":"EdDSA","kid":"other","typ":"t+jwt"})", "{}"), Code::unknown_key);
        refuse(token(header(), "{}"), Code::unknown_key, KeySet());
        refuse(token(header(), "{}"), Code::unknown_key, key_set(signing_key('o')));
        refuse(token(header(), "{}", signing_key('o')), Code::forged);
    }

    void signatures_refused() {
        const auto good = token(header(), "{}");
        const auto unsigned_part = good.substr(0, good.rfind('.') + 1);
        refuse(unsigned_part, Code::malformed);
        refuse(unsigned_part + "AAAA", Code::malformed);
        refuse(good + "A", Code::malformed);
        refuse(good + "==", Code::malformed);
        refuse(unsigned_part + std::string(86, 'A'), Code::forged);
    }

    void forms_refused() {
        const auto good = token(header(), "{}");
        for (const auto& t : {""s, "."s, ".."s, "a.b"s, good + "."s, "."s + good, " "s + good, good + "\n"s, "eyJ9.e30.e30.AA"s})
            refuse(t, Code::malformed);
        refuse(std::string(limits::token_bytes + 1, 'A'), Code::limit);
        refuse(token(header(), "{\"a\":\"" + std::string(limits::token_bytes, 'x') + "\"}"), Code::limit);
    }

    void payloads_refused() {
        for (const char* payload : {"[]", "1", "\"x\"", "null", "", "{", "{}{}", R"({"a":1,"a":2})"})
            refuse(token(header(), payload), Code::malformed);
        refuse(token(header(), "{\"a\":[[[[[[[[1]]]]]]]]}"), Code::limit);
        const auto text = b64u_encode(header()) + ".!!!!";
        refuse(text + "." + b64u_encode(key().sign(text)), Code::malformed);
    }

    void every_changed_character_is_noticed() {
        const auto good = token(header(), R"({"a":1})");
        for (std::size_t i = 0; i < good.size(); ++i) {
            auto bad = good;
            bad[i] = bad[i] == 'A' ? 'B' : 'A';
            CPPUNIT_ASSERT_MESSAGE(bad, !jws::verify(bad, "t+jwt", key_set(key())));
            bad.erase(i, 1);
            CPPUNIT_ASSERT_MESSAGE(bad, !jws::verify(bad, "t+jwt", key_set(key())));
        }
    }

    void peek_believes_nothing() {
        const auto p = jws::peek("x." + b64u_encode(R"({"iss":"https://a.example"})"sv) + ".y");
        CPPUNIT_ASSERT(p.ok() && p->root().string("iss") == "https://a.example"sv);
        for (const auto* t : {"", "a.b", "a.!.c", "a.W10.c", "a.e30.c.d"}) CPPUNIT_ASSERT_MESSAGE(t, !jws::peek(t));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(JwsTest);

}  // namespace
}  // namespace netpay::test
