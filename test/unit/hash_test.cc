#include "core/hash.h"

#include "core_support.h"

namespace netpay::test {
namespace {

class HashTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(HashTest);
    CPPUNIT_TEST(fips_180_examples);
    CPPUNIT_TEST(parts_are_concatenated);
    CPPUNIT_TEST(streams);
    CPPUNIT_TEST(rfc4231);
    CPPUNIT_TEST(one_key_for_many_texts);
    CPPUNIT_TEST(equal_in_constant_time);
    CPPUNIT_TEST(secrets);
    CPPUNIT_TEST_SUITE_END();

    void fips_180_examples() {
        CPPUNIT_ASSERT_EQUAL("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"s, hex(as_view(sha256(""))));
        CPPUNIT_ASSERT_EQUAL("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"s, hex(as_view(sha256("abc"))));
        CPPUNIT_ASSERT_EQUAL("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"s,
                             hex(as_view(sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))));
        CPPUNIT_ASSERT_EQUAL("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"s,
                             hex(as_view(sha256(std::string(1000000, 'a')))));
    }

    void parts_are_concatenated() {
        CPPUNIT_ASSERT(sha256({"a", "", "b", "c"}) == sha256("abc"));
        CPPUNIT_ASSERT(hex(as_view(first16(sha256("abc")))) == "ba7816bf8f01cfea414140de5dae2223");
    }

    void streams() {
        Random random(6);
        const auto text = random.bytes(1000);
        for (const std::size_t step : {1u, 7u, 63u, 64u, 65u, 1000u}) {
            Sha256 h;
            for (std::size_t at = 0; at < text.size(); at += step) h.update(std::string_view(text).substr(at, step));
            CPPUNIT_ASSERT(h.finish() == sha256(text));
        }
    }

    void rfc4231() {
        struct Case { std::string key, text, mac; };
        const Case cases[] = {
            {std::string(20, '\x0b'), "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
            {"Jefe", "what do ya want for nothing?", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
            {std::string(20, '\xaa'), std::string(50, '\xdd'), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
            {unhex("0102030405060708090a0b0c0d0e0f10111213141516171819"), std::string(50, '\xcd'),
             "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
            {std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First",
             "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
            {std::string(131, '\xaa'),
             "This is a test using a larger than block-size key and a larger than block-size data. "
             "The key needs to be hashed before being used by the HMAC algorithm.",
             "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"}};
        for (const auto& c : cases) CPPUNIT_ASSERT_EQUAL(c.mac, hex(as_view(Hmac(Secret(c.key)).mac(c.text))));
        CPPUNIT_ASSERT_EQUAL("b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"s,
                             hex(as_view(Hmac(Secret(""sv)).mac(""))));
    }

    void one_key_for_many_texts() {
        const Hmac mac(Secret("key"sv));
        const Hmac copy = mac;
        const auto a = mac.mac("a");
        CPPUNIT_ASSERT(mac.mac("b") != a);
        CPPUNIT_ASSERT(mac.mac("a") == a && copy.mac("a") == a);
        CPPUNIT_ASSERT(Hmac(Secret(std::string(64, 'k'))).mac("a") != Hmac(Secret(std::string(65, 'k'))).mac("a"));
    }

    void equal_in_constant_time() {
        CPPUNIT_ASSERT(equal_ct("", "") && equal_ct("abc", "abc"));
        CPPUNIT_ASSERT(!equal_ct("abc", "abd") && !equal_ct("abc", "ab") && !equal_ct("bbc", "abc"));
    }

    void secrets() {
        Secret a("topsecret"sv);
        const Secret copy = a.clone();
        Secret b = std::move(a);
        CPPUNIT_ASSERT(b.expose() == "topsecret" && copy.expose() == "topsecret" && b.size() == 9);
        a = std::move(b);
        CPPUNIT_ASSERT(a.expose() == "topsecret" && b.empty());
        static_assert(!std::is_copy_constructible_v<Secret> && !std::is_copy_assignable_v<Secret>);
        std::uint8_t memory[16];
        std::memset(memory, 0xee, sizeof memory);
        cleanse(memory, sizeof memory);
        for (const auto m : memory) CPPUNIT_ASSERT_EQUAL(0, int{m});
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(HashTest);

}  // namespace
}  // namespace netpay::test
