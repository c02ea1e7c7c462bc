#include "core/key.h"

#include "core_support.h"

namespace netpay::test {
namespace {

// RFC 8037 appendix A.
constexpr auto d_text = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"sv;
constexpr auto x_text = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"sv;
constexpr auto thumbprint = "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"sv;
constexpr auto signing_input = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc"sv;
constexpr auto signature_text =
    "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"sv;

SigningKey rfc_key() { return *SigningKey::from_bytes(Secret(*b64u_decode(d_text))); }

class KeyTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(KeyTest);
    CPPUNIT_TEST(rfc8037);
    CPPUNIT_TEST(a_changed_text_or_signature_does_not_verify);
    CPPUNIT_TEST(pem_comes_back);
    CPPUNIT_TEST(what_is_no_private_key);
    CPPUNIT_TEST(jwk);
    CPPUNIT_TEST(jwk_refused);
    CPPUNIT_TEST(keys_of_small_order_are_refused);
    CPPUNIT_TEST(sets);
    CPPUNIT_TEST(sets_refused);
    CPPUNIT_TEST_SUITE_END();

    void rfc8037() {
        const auto key = rfc_key();
        CPPUNIT_ASSERT_EQUAL(std::string(x_text), b64u_encode(key.public_key().bytes()));
        CPPUNIT_ASSERT_EQUAL(std::string(thumbprint), key.kid());
        CPPUNIT_ASSERT_EQUAL(std::string(signature_text), b64u_encode(key.sign(signing_input)));
        CPPUNIT_ASSERT(key.public_key().verify(signing_input, *b64u_decode_array<64>(signature_text)));
    }

    void a_changed_text_or_signature_does_not_verify() {
        const auto key = rfc_key();
        const auto good = key.sign("text");
        CPPUNIT_ASSERT(!key.public_key().verify("texT", good) && !key.public_key().verify("", good));
        for (std::size_t i = 0; i < good.size(); ++i) {
            auto bad = good;
            bad[i] ^= 1;
            CPPUNIT_ASSERT(!key.public_key().verify("text", bad));
        }
        CPPUNIT_ASSERT(!signing_key('k').public_key().verify("text", good));
        // s + L: the same signature in another form.
        static constexpr std::uint8_t order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                                   0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                                   0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
        auto malleated = good;
        unsigned carry = 0;
        for (std::size_t i = 0; i < 32; ++i) {
            carry += malleated[32 + i] + order[i];
            malleated[32 + i] = static_cast<std::uint8_t>(carry);
            carry >>= 8;
        }
        CPPUNIT_ASSERT(!key.public_key().verify("text", malleated));
    }

    void pem_comes_back() {
        const auto pem = rfc_key().to_pem();
        CPPUNIT_ASSERT(pem.expose().substr(0, 27) == "-----BEGIN PRIVATE KEY-----");
        const auto again = SigningKey::from_pem(pem);
        CPPUNIT_ASSERT(again.ok());
        CPPUNIT_ASSERT_EQUAL(std::string(thumbprint), again->kid());
    }

    void what_is_no_private_key() {
        CPPUNIT_ASSERT(!SigningKey::from_bytes(Secret(std::string(31, 'x'))));
        CPPUNIT_ASSERT(!SigningKey::from_bytes(Secret(std::string(33, 'x'))));
        CPPUNIT_ASSERT(!SigningKey::from_bytes(Secret()));
        CPPUNIT_ASSERT(!SigningKey::from_pem(Secret()));
        CPPUNIT_ASSERT(!SigningKey::from_pem(Secret("not a key"sv)));
        const auto pem = std::string(rfc_key().to_pem().expose());
        CPPUNIT_ASSERT(!SigningKey::from_pem(Secret(pem.substr(0, 60))));
        // An X25519 key in the same clothes: PKCS #8, object identifier 1.3.101.110.
        CPPUNIT_ASSERT(!SigningKey::from_pem(
            Secret("-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UduSwq\n"
                   "-----END PRIVATE KEY-----\n"sv)));
    }

    static Result<PublicKey> jwk_of(const std::string& text) {
        const auto doc = json::Document::parse(text);
        CPPUNIT_ASSERT_MESSAGE(text, doc.ok());
        return PublicKey::from_jwk(doc->root());
    }
    static std::string member(std::string_view x, std::string_view more = "") {
        return R"({"kty":"OKP","crv":"Ed25519","x":")" + std::string(x) + "\"" + std::string(more) + "}";
    }

    void jwk() {
        const auto k = jwk_of(member(x_text, R"(,"alg":"EdDSA","use":"sig","kid":"whatever","ext":[true])"));
        CPPUNIT_ASSERT(k.ok());
        CPPUNIT_ASSERT_EQUAL(std::string(thumbprint), k->kid());
        CPPUNIT_ASSERT_EQUAL(R"({"crv":"Ed25519","kty":"OKP","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"})"s,
                             k->jwk().jcs());
        CPPUNIT_ASSERT(*k == rfc_key().public_key());
    }

    void jwk_refused() {
        const auto x = std::string(x_text);
        for (const auto& text :
             {member(x.substr(1)), member(x + "A"), member(x + "="), member(""), member(x, R"(,"d":"AA")"),
              member(x, R"(,"alg":"ES256")"), member(x, R"(,"alg":1)"), member(x, R"(,"use":"enc")"), "{}"s, "[]"s,
              R"({"kty":"OKP","crv":"Ed25519"})"s, R"({"kty":"OKP","crv":"Ed25519","x":7})"s,
              R"({"kty":"OKP","crv":"X25519","x":")" + x + "\"}", R"({"kty":"EC","crv":"Ed25519","x":")" + x + "\"}"})
            CPPUNIT_ASSERT_MESSAGE(text, !jwk_of(text));
    }

    void keys_of_small_order_are_refused() {
        const std::string ff(30, '\xff');
        for (const auto& y :
             {std::string(32, '\0'), "\x01"s + std::string(31, '\0'),
              unhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),
              unhex("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"), "\xec"s + ff + "\x7f", "\xed"s + ff + "\x7f",
              "\xee"s + ff + "\x7f"})
            for (const unsigned sign : {0u, 0x80u}) {
                PublicBytes x;
                std::memcpy(x.data(), y.data(), 32);
                x[31] = static_cast<std::uint8_t>(x[31] | sign);
                CPPUNIT_ASSERT(!PublicKey::from_bytes(x));
            }
    }

    void sets() {
        const auto a = rfc_key(), b = signing_key('b');
        const KeySet set({a.public_key(), b.public_key()});
        CPPUNIT_ASSERT(set.find(a.kid()) && *set.find(b.kid()) == b.public_key());
        CPPUNIT_ASSERT(!set.find("") && !set.find("unknown") && !KeySet().find(a.kid()) && KeySet().empty());
        const auto again = KeySet::parse(set.jwks());
        CPPUNIT_ASSERT(again.ok() && again->keys().size() == 2 && again->find(b.kid()));
        const auto mixed = KeySet::parse(R"({"keys":[{"kty":"RSA","n":"x","e":"AQAB"},{"kty":"EC"},{},3,)" + member(x_text) + "]}");
        CPPUNIT_ASSERT(mixed.ok() && mixed->keys().size() == 1);
        CPPUNIT_ASSERT(KeySet::parse(R"({"keys":[]})")->empty());
    }

    void sets_refused() {
        for (const auto& text : {""s, "[]"s, "{}"s, R"({"keys":{}})"s, R"({"keys":[)" + member(x_text, R"(,"kid":"other")") + "]}",
                                 R"({"keys":[)" + member(x_text, R"(,"kid":1)") + "]}", R"({"keys":[)" + member("AAAA") + "]}"})
            CPPUNIT_ASSERT_MESSAGE(text, !KeySet::parse(text));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(KeyTest);

}  // namespace
}  // namespace netpay::test
