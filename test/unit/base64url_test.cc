#include "core_support.h"

namespace netpay::test {
namespace {

class Base64urlTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(Base64urlTest);
    CPPUNIT_TEST(rfc4648_examples);
    CPPUNIT_TEST(every_length_comes_back);
    CPPUNIT_TEST(url_alphabet);
    CPPUNIT_TEST(padding_and_foreign_characters_are_refused);
    CPPUNIT_TEST(impossible_lengths_are_refused);
    CPPUNIT_TEST(one_text_for_one_value);
    CPPUNIT_TEST(arrays_want_their_exact_length);
    CPPUNIT_TEST_SUITE_END();

    void rfc4648_examples() {
        const std::pair<const char*, const char*> pairs[] = {{"", ""},         {"f", "Zg"},        {"fo", "Zm8"},
                                                             {"foo", "Zm9v"},  {"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"},
                                                             {"foobar", "Zm9vYmFy"}};
        for (const auto& [plain, coded] : pairs) {
            CPPUNIT_ASSERT_EQUAL(std::string(coded), b64u_encode(std::string_view(plain)));
            CPPUNIT_ASSERT_EQUAL(std::string(plain), *b64u_decode(coded));
        }
    }

    void every_length_comes_back() {
        Random random(1);
        for (std::size_t n = 0; n <= 200; ++n) {
            const std::string bytes = random.bytes(n);
            const std::string text = b64u_encode(bytes);
            CPPUNIT_ASSERT_EQUAL((n * 4 + 2) / 3, text.size());
            CPPUNIT_ASSERT(b64u_decode(text) == bytes);
        }
    }

    void url_alphabet() {
        CPPUNIT_ASSERT_EQUAL("-_-_"s, b64u_encode("\xfb\xff\xbf"sv));
        CPPUNIT_ASSERT(b64u_decode("-_-_") == "\xfb\xff\xbf"s);
        CPPUNIT_ASSERT(!b64u_decode("+/+/"));
    }

    void padding_and_foreign_characters_are_refused() {
        for (const auto text : {"Zg=="sv, "Zm8="sv, "Zm9v="sv, "Zm9v "sv, " Zm9v"sv, "Zm\n9v"sv, "Zm9v\n"sv, "Zm*v"sv,
                                "Zm\0v"sv, "Z\x80gg"sv, "Z\xffgg"sv, "Zm9v.Zm9v"sv})
            CPPUNIT_ASSERT_MESSAGE(hex(text), !b64u_decode(text));
        for (int c = 0; c < 256; ++c) {
            const bool letter = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
            for (std::size_t at = 0; at < 4; ++at) {
                std::string text = "AAAA";
                text[at] = static_cast<char>(c);
                CPPUNIT_ASSERT_EQUAL(letter, b64u_decode(text).has_value());
            }
        }
    }

    void impossible_lengths_are_refused() {
        for (std::size_t n = 1; n < 40; n += 4) CPPUNIT_ASSERT(!b64u_decode(std::string(n, 'A')));
    }

    // Of the 64 last characters only those with clear low bits are canonical.
    void one_text_for_one_value() {
        static constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        int two = 0, three = 0;
        for (std::size_t i = 0; i < 64; ++i) {
            two += b64u_decode("A"s + alphabet[i]).has_value();
            three += b64u_decode("AA"s + alphabet[i]).has_value();
        }
        CPPUNIT_ASSERT_EQUAL(4, two);
        CPPUNIT_ASSERT_EQUAL(16, three);
    }

    void arrays_want_their_exact_length() {
        CPPUNIT_ASSERT((b64u_decode_array<16>(std::string(22, 'A')).has_value()));
        for (const std::size_t n : {0u, 20u, 21u, 23u, 24u, 43u}) CPPUNIT_ASSERT(!b64u_decode_array<16>(std::string(n, 'A')));
        std::uint8_t untouched[4] = {9, 9, 9, 9};
        CPPUNIT_ASSERT(!b64u_decode_into("AAAA", untouched, 4));
        CPPUNIT_ASSERT_EQUAL(9, int{untouched[0]});
        CPPUNIT_ASSERT(b64u_decode_into("", untouched, 0));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(Base64urlTest);

}  // namespace
}  // namespace netpay::test
