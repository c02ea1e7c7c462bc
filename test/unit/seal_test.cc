// core/seal: what was sealed opens for its context and under a known key, and
// nothing else does.
#include "core/base64url.h"
#include "core/seal.h"
#include "core_support.h"

namespace netpay::test {
namespace {

Sealer sealer(std::initializer_list<char> keys) {
    std::vector<Secret> all;
    for (const char k : keys) all.emplace_back(std::string(32, k));
    return Sealer(all);
}

class SealTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(SealTest);
    CPPUNIT_TEST(what_was_sealed_opens);
    CPPUNIT_TEST(every_changed_bit_is_noticed);
    CPPUNIT_TEST(every_truncation_is_noticed);
    CPPUNIT_TEST(keys_roll_over);
    CPPUNIT_TEST(the_context_matters);
    CPPUNIT_TEST(macs_hold_for_context_and_text);
    CPPUNIT_TEST_SUITE_END();

    const Salt salt_{1, 2, 3};

    void what_was_sealed_opens() {
        const auto s = sealer({'a'});
        for (const std::size_t n : {0, 1, 15, 16, 17, 3000}) {
            const std::string plain(n, 'p');
            const auto text = s.seal(salt_, "coin|x", plain);
            const auto opened = s.open("coin|x", text);
            CPPUNIT_ASSERT(opened.has_value());
            CPPUNIT_ASSERT_EQUAL(plain, std::string(opened->plain.expose()));
            CPPUNIT_ASSERT(!opened->old_key);
        }
        CPPUNIT_ASSERT(s.seal(salt_, "c", "x") != s.seal(Salt{9}, "c", "x"));
        CPPUNIT_ASSERT(s.seal(salt_, "c", "seed seed seed").find("seed") == std::string::npos);
    }

    void every_changed_bit_is_noticed() {
        const auto s = sealer({'a'});
        const auto bytes = *b64u_decode(s.seal(salt_, "c", "plain"));
        for (std::size_t i = 0; i < bytes.size() * 8; ++i) {
            auto other = bytes;
            other[i / 8] = static_cast<char>(other[i / 8] ^ (1 << i % 8));
            CPPUNIT_ASSERT(!s.open("c", b64u_encode(other)));
        }
    }

    void every_truncation_is_noticed() {
        const auto s = sealer({'a'});
        const auto text = s.seal(salt_, "c", "plain");
        for (std::size_t n = 0; n < text.size(); ++n) CPPUNIT_ASSERT(!s.open("c", text.substr(0, n)));
        CPPUNIT_ASSERT(!s.open("c", text + "AAAA"));
        CPPUNIT_ASSERT(!s.open("c", "not base64url!"));
    }

    void keys_roll_over() {
        const auto old = sealer({'a'}), both = sealer({'b', 'a'}), now = sealer({'b'});
        const auto text = old.seal(salt_, "c", "plain");
        const auto opened = both.open("c", text);
        CPPUNIT_ASSERT(opened.has_value() && opened->old_key);
        const auto renewed = both.seal(salt_, "c", opened->plain.expose());
        CPPUNIT_ASSERT(now.open("c", renewed) && !now.open("c", renewed)->old_key);
        CPPUNIT_ASSERT(!now.open("c", text));
        CPPUNIT_ASSERT(both.mac_ok("f", "t", old.mac("f", "t")));
        CPPUNIT_ASSERT(!now.mac_ok("f", "t", old.mac("f", "t")));
    }

    void the_context_matters() {
        const auto s = sealer({'a'});
        const auto text = s.seal(salt_, "coin|x", "plain");
        for (const char* other : {"coin|y", "coin|", "", "coin|x "}) CPPUNIT_ASSERT(!s.open(other, text));
    }

    void macs_hold_for_context_and_text() {
        const auto s = sealer({'a'});
        const auto m = s.mac("form", "text");
        CPPUNIT_ASSERT(s.mac_ok("form", "text", m));
        CPPUNIT_ASSERT(!s.mac_ok("form", "texu", m));
        CPPUNIT_ASSERT(!s.mac_ok("forms", "text", m));
        CPPUNIT_ASSERT(!s.mac_ok("form", "text", ""));
        CPPUNIT_ASSERT(!s.mac_ok("form", "text", m.substr(1)));
        CPPUNIT_ASSERT(s.mac("a", "bc") != s.mac("ab", "c"));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SealTest);

}  // namespace
}  // namespace netpay::test
