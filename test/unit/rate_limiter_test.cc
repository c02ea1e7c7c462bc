// Token buckets of addresses.
#include <cppunit/TestAssert.h>
#include <cppunit/extensions/HelperMacros.h>

#include <string>

#include "world/rate_limiter.h"

namespace netpay::world {
namespace {

class RateLimiterTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(RateLimiterTest);
    CPPUNIT_TEST(burst_then_rate);
    CPPUNIT_TEST(peers_and_routes_apart);
    CPPUNIT_TEST(bounded);
    CPPUNIT_TEST(subnets);
    CPPUNIT_TEST_SUITE_END();

    void burst_then_rate() {
        RateLimiter l;
        for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT_EQUAL(0L, l.take("p", 0, 0.5, 3, 100));
        CPPUNIT_ASSERT_EQUAL(2L, l.take("p", 0, 0.5, 3, 100));
        CPPUNIT_ASSERT_EQUAL(1L, l.take("p", 0, 0.5, 3, 101));
        CPPUNIT_ASSERT_EQUAL(0L, l.take("p", 0, 0.5, 3, 102));
        CPPUNIT_ASSERT_EQUAL(0L, l.take("p", 0, 0.5, 3, 1000));
        CPPUNIT_ASSERT_EQUAL(3600L, RateLimiter().take("p", 0, 0, 0, 1));
    }
    void peers_and_routes_apart() {
        RateLimiter l;
        CPPUNIT_ASSERT_EQUAL(0L, l.take("p", 0, 1, 1, 5));
        CPPUNIT_ASSERT_EQUAL(0L, l.take("p", 1, 1, 1, 5));
        CPPUNIT_ASSERT_EQUAL(0L, l.take("q", 0, 1, 1, 5));
        CPPUNIT_ASSERT_EQUAL(1L, l.take("p", 0, 1, 1, 5));
    }
    void bounded() {
        RateLimiter l(10);
        for (int i = 0; i < 100; ++i) l.take(std::to_string(i), 0, 1, 1, 5);
        CPPUNIT_ASSERT_EQUAL(std::size_t{10}, l.size());
        CPPUNIT_ASSERT_EQUAL(1L, l.take("99", 0, 1, 1, 5));
        CPPUNIT_ASSERT_EQUAL(0L, l.take("0", 0, 1, 1, 5));
    }
    void subnets() {
        CPPUNIT_ASSERT_EQUAL(rate_key("2001:db8::1"), rate_key("2001:db8:0:0:ffff::2"));
        CPPUNIT_ASSERT(rate_key("2001:db8:0:1::1") != rate_key("2001:db8::1"));
        CPPUNIT_ASSERT_EQUAL(std::string("10.0.0.1"), rate_key("10.0.0.1"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(RateLimiterTest);

}  // namespace
}  // namespace netpay::world
