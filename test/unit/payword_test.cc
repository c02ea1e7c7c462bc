#include "core/payword.h"

#include "core/hash.h"
#include "core/limits.h"
#include "core_support.h"

namespace netpay::test {
namespace {

// Section 3 as it is written, with the general hash.
Payword naive_previous(const Salt& salt, std::uint32_t i, const Payword& w) {
    const std::uint8_t be[4] = {static_cast<std::uint8_t>(i >> 24), static_cast<std::uint8_t>(i >> 16),
                                static_cast<std::uint8_t>(i >> 8), static_cast<std::uint8_t>(i)};
    return Payword{sha256({as_view(salt), as_view(be, 4), as_view(w.bytes)})};
}

class PaywordTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(PaywordTest);
    CPPUNIT_TEST(one_link);
    CPPUNIT_TEST(walks);
    CPPUNIT_TEST(coin_names);
    CPPUNIT_TEST(wire_form);
    CPPUNIT_TEST(comparison_sees_every_byte);
    CPPUNIT_TEST_SUITE_END();

    void one_link() {
        Random random(3);
        for (const std::uint32_t i : {1u, 2u, 255u, 256u, 65535u, 65536u, limits::max_chain - 1, limits::max_chain}) {
            const auto salt = random.array<Salt>();
            const Payword w{random.array<Digest>()};
            CPPUNIT_ASSERT(previous(salt, i, w) == naive_previous(salt, i, w));
        }
    }

    void walks() {
        Random random(4);
        const auto salt = random.array<Salt>();
        const Payword top{random.array<Digest>()};
        Payword w = top;
        for (std::uint32_t i = 300; i > 0; --i) {
            CPPUNIT_ASSERT(walk_down(salt, 300, top, i) == w);
            w = naive_previous(salt, i, w);
        }
        CPPUNIT_ASSERT(walk_down(salt, 300, top, 0) == w);
        CPPUNIT_ASSERT(walk_down(salt, 7, top, 7) == top);
        CPPUNIT_ASSERT(walk_down(salt, 0, top, 0) == top);
        CPPUNIT_ASSERT(!(walk_down(salt, 8, top, 7) == walk_down(salt, 9, top, 8)));  // position counts
    }

    void coin_names() {
        const auto salt = salt_of(1);
        const auto root = word_of(2);
        const auto id = coin_id(salt, root);
        CPPUNIT_ASSERT_EQUAL(std::size_t{22}, id.size());
        CPPUNIT_ASSERT(b64u_decode_array<16>(id) == coin_tag(salt, root));
        CPPUNIT_ASSERT(coin_tag(salt, root) ==
                       first16(sha256({"netpay/coin/1", as_view(salt), as_view(root.bytes)})));
        CPPUNIT_ASSERT(id != coin_id(salt_of(3), root) && id != coin_id(salt, word_of(3)));
    }

    void wire_form() {
        const auto w = word_of(0xa5);
        const auto text = encode_payword(w);
        CPPUNIT_ASSERT_EQUAL(std::size_t{43}, text.size());
        CPPUNIT_ASSERT(decode_payword(text) == w);
        for (const auto& bad : {""s, text + "A", text.substr(1), text + "=", text.substr(0, 42) + "B"})
            CPPUNIT_ASSERT(!decode_payword(bad));
    }

    void comparison_sees_every_byte() {
        for (std::size_t i = 0; i < 32; ++i) {
            auto w = word_of(0);
            w.bytes[i] = 1;
            CPPUNIT_ASSERT(!(w == word_of(0)));
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PaywordTest);

class ChainTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ChainTest);
    CPPUNIT_TEST(every_word_is_the_naive_one);
    CPPUNIT_TEST(restores_from_its_checkpoints);
    CPPUNIT_TEST(a_wrong_number_of_checkpoints_is_refused);
    CPPUNIT_TEST(longest_chain);
    CPPUNIT_TEST_SUITE_END();

    // Lengths around the spacing of the checkpoints, where one too few or too many would show.
    static constexpr std::uint32_t lengths[] = {1, 2, 5, 1000, 1023, 1024, 1025, 2047, 2048, 2049, 3000};

    void every_word_is_the_naive_one() {
        Random random(5);
        for (const std::uint32_t n : lengths) {
            const auto salt = random.array<Salt>();
            const Payword seed{random.array<Digest>()};
            const Chain chain(salt, seed, n);
            Payword w = seed;
            for (std::uint32_t i = n;; --i) {
                if (n < 1100 || i % 97 == 0 || i % Chain::spacing < 2 || i % Chain::spacing == Chain::spacing - 1)
                    CPPUNIT_ASSERT_MESSAGE(std::to_string(n) + " " + std::to_string(i), chain.at(i) == w);
                if (i == 0) break;
                w = naive_previous(salt, i, w);
            }
            CPPUNIT_ASSERT_EQUAL(n, chain.n());
            CPPUNIT_ASSERT(chain.salt() == salt);
        }
    }

    void restores_from_its_checkpoints() {
        for (const std::uint32_t n : lengths) {
            const Chain chain(salt_of(9), word_of(7), n);
            const auto again = Chain::restore(salt_of(9), n, chain.checkpoints());
            CPPUNIT_ASSERT(again.has_value());
            for (std::uint32_t i = 0; i <= n; i += n < 100 ? 1 : 61) CPPUNIT_ASSERT(again->at(i) == chain.at(i));
            CPPUNIT_ASSERT(again->at(n) == word_of(7));
        }
    }

    void a_wrong_number_of_checkpoints_is_refused() {
        for (const std::uint32_t n : lengths) {
            auto points = Chain(salt_of(9), word_of(7), n).checkpoints();
            auto more = points;
            more.push_back(word_of(1));
            points.pop_back();
            CPPUNIT_ASSERT(!Chain::restore(salt_of(9), n, more));
            CPPUNIT_ASSERT(!Chain::restore(salt_of(9), n, points));
        }
        CPPUNIT_ASSERT(!Chain::restore(salt_of(9), 0, {}));
        CPPUNIT_ASSERT(!Chain::restore(salt_of(9), limits::max_chain + 1, std::vector<Payword>(1026)));
    }

    void longest_chain() {
        const Chain chain(salt_of(1), word_of(2), limits::max_chain);
        CPPUNIT_ASSERT(chain.at(limits::max_chain) == word_of(2));
        CPPUNIT_ASSERT(walk_down(salt_of(1), 1030, chain.at(1030), 0) == chain.at(0));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1025}, chain.checkpoints().size());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ChainTest);

}  // namespace
}  // namespace netpay::test
