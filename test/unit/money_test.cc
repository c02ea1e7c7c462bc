#include "core/money.h"

#include "core_support.h"

namespace netpay::test {
namespace {

Amount micro(std::uint64_t m) { return *Amount::from(m); }

class MoneyTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(MoneyTest);
    CPPUNIT_TEST(currencies);
    CPPUNIT_TEST(range);
    CPPUNIT_TEST(sums_and_differences_say_when_they_leave_the_range);
    CPPUNIT_TEST(products_say_when_they_leave_the_range);
    CPPUNIT_TEST(decimal_strings_of_challenges);
    CPPUNIT_TEST(prices_of_people);
    CPPUNIT_TEST(pretty);
    CPPUNIT_TEST(units_round_up);
    CPPUNIT_TEST_SUITE_END();

    void currencies() {
        CPPUNIT_ASSERT_EQUAL("uusd"sv, uusd().str());
        CPPUNIT_ASSERT_EQUAL("USD"s, uusd().iso());
        for (const auto bad : {""sv, "u"sv, "usd"sv, "uUSD"sv, "uus"sv, "uusdx"sv, "xusd"sv, "uu$d"sv, "uus\0"sv, "u1sd"sv})
            CPPUNIT_ASSERT_MESSAGE(std::string(bad), !Currency::parse(bad));
        CPPUNIT_ASSERT(*Currency::parse("ueur") < uusd());
        CPPUNIT_ASSERT(!(*Currency::parse("ueur") == uusd()));
    }

    void range() {
        CPPUNIT_ASSERT(Amount::from(limits::max_amount));
        CPPUNIT_ASSERT(!Amount::from(limits::max_amount + 1));
        CPPUNIT_ASSERT(!Amount::from(UINT64_MAX));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, Amount().micro());
    }

    void sums_and_differences_say_when_they_leave_the_range() {
        const auto most = micro(limits::max_amount);
        CPPUNIT_ASSERT(micro(2).plus(micro(3)) == micro(5));
        CPPUNIT_ASSERT(most.plus(Amount()) == most);
        CPPUNIT_ASSERT(!most.plus(micro(1)) && !most.plus(most));
        CPPUNIT_ASSERT(micro(5).minus(micro(5)) == Amount());
        CPPUNIT_ASSERT(!micro(4).minus(micro(5)) && !Amount().minus(most));
    }

    void products_say_when_they_leave_the_range() {
        const auto most = micro(limits::max_amount);
        CPPUNIT_ASSERT(micro(1000).times(1u << 20) == micro(1048576000));
        CPPUNIT_ASSERT(most.times(1) == most && most.times(0) == Amount() && Amount().times(UINT64_MAX) == Amount());
        CPPUNIT_ASSERT(!most.times(2) && !most.times(UINT64_MAX));
        CPPUNIT_ASSERT(!micro(1ull << 32).times(1ull << 32));  // would wrap to nought
        CPPUNIT_ASSERT(!micro(1ull << 27).times(1ull << 26) && micro(1ull << 26).times((1ull << 27) - 1));
    }

    void decimal_strings_of_challenges() {
        CPPUNIT_ASSERT(Amount::parse("0") == Amount() && Amount::parse("20000") == micro(20000));
        CPPUNIT_ASSERT(Amount::parse("9007199254740991") == micro(limits::max_amount));
        for (const auto bad : {""sv, "00"sv, "01"sv, "-1"sv, "+1"sv, " 1"sv, "1 "sv, "1.0"sv, "1e3"sv, "0x1"sv, "1\0"sv,
                               "9007199254740992"sv, "18446744073709551617"sv, "99999999999999999999999999"sv, "\xd9\xa1"sv})
            CPPUNIT_ASSERT_MESSAGE(std::string(bad), !Amount::parse(bad));
    }

    void prices_of_people() {
        const std::pair<const char*, std::uint64_t> good[] = {
            {"0.02", 20000}, {"1", 1000000}, {"1.5", 1500000}, {"0.000001", 1}, {"0", 0}, {"0.1", 100000},
            {"100.00", 100000000}, {"9007199254.740991", limits::max_amount}};
        for (const auto& [text, want] : good) CPPUNIT_ASSERT_MESSAGE(text, parse_decimal(text) == micro(want));
        for (const auto bad : {""sv, "."sv, "1."sv, ".5"sv, "1.0000001"sv, "-1"sv, "1,5"sv, "1.5.0"sv, "1.5e2"sv, " 1"sv, "1 "sv,
                               "$1"sv, "0.+1"sv, "0.-1"sv, "9007199254.740992"sv, "9007199255"sv, "18446744073710"sv,
                               "99999999999999999999"sv, "1\0"sv})
            CPPUNIT_ASSERT_MESSAGE(std::string(bad), !parse_decimal(bad));
    }

    void pretty() {
        CPPUNIT_ASSERT_EQUAL("0.02 USD"s, micro(20000).pretty(uusd()));
        CPPUNIT_ASSERT_EQUAL("0.00 USD"s, micro(0).pretty(uusd()));
        CPPUNIT_ASSERT_EQUAL("100.00 USD"s, micro(100000000).pretty(uusd()));
        CPPUNIT_ASSERT_EQUAL("0.000001 USD"s, micro(1).pretty(uusd()));
        CPPUNIT_ASSERT_EQUAL("0.001 USD"s, micro(1000).pretty(uusd()));
        CPPUNIT_ASSERT_EQUAL("9007199254.740991 USD"s, micro(limits::max_amount).pretty(uusd()));
    }

    void units_round_up() {
        CPPUNIT_ASSERT(units_for(micro(20000), micro(1000)) == 20u);
        CPPUNIT_ASSERT(units_for(micro(20001), micro(1000)) == 21u);
        CPPUNIT_ASSERT(units_for(micro(1), micro(1000)) == 1u);
        CPPUNIT_ASSERT(units_for(micro(1), micro(limits::max_amount)) == 1u);
        CPPUNIT_ASSERT(units_for(micro(limits::max_chain), micro(1)) == limits::max_chain);
        CPPUNIT_ASSERT(!units_for(micro(limits::max_chain + 1), micro(1)));
        CPPUNIT_ASSERT(!units_for(micro(limits::max_amount), micro(1)));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(MoneyTest);

}  // namespace
}  // namespace netpay::test
