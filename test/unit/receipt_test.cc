#include "core/receipt.h"

#include "core/problem.h"
#include "core/timestamp.h"
#include "core_support.h"

namespace netpay::test {
namespace {

const std::string coin = coin_id(salt_of(1), word_of(2));

class ReceiptTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ReceiptTest);
    CPPUNIT_TEST(written_form);
    CPPUNIT_TEST(comes_back);
    CPPUNIT_TEST(refused);
    CPPUNIT_TEST_SUITE_END();

    static Receipt sample() { return {1780000000, coin, 40, *Amount::from(20000), uusd(), 40, 60}; }

    void written_form() {
        CPPUNIT_ASSERT_EQUAL(R"({"amount":"20000","currency":"uusd","method":"netpay","reference":")" + coin +
                                 R"(:40","revealed":60,"spent":40,"status":"success","timestamp":"2026-05-28T20:26:40Z"})",
                             *b64u_decode(format_receipt(sample())));
    }

    void comes_back() {
        const auto r = parse_receipt(format_receipt(sample()));
        CPPUNIT_ASSERT(r.ok());
        CPPUNIT_ASSERT(r->timestamp == 1780000000 && r->coin == coin && r->index == 40 && r->spent == 40 && r->revealed == 60);
        CPPUNIT_ASSERT(r->amount == *Amount::from(20000) && r->currency == uusd());
    }

    void refused() {
        const std::string good = *b64u_decode(format_receipt(sample()));
        auto changed = [&](std::string_view from, std::string_view to) {
            auto text = good;
            const auto at = text.find(from);
            CPPUNIT_ASSERT(at != std::string::npos);
            return b64u_encode(text.replace(at, from.size(), to));
        };
        for (const auto& bad :
             {""s, "!"s, b64u_encode("{}"sv), b64u_encode("[]"sv), format_receipt(sample()) + "=", changed("\"netpay\"", "\"tempo\""),
              changed("success", "failed"), changed(coin, "short"), changed(":40\"", ":x\""), changed(":40\"", "\""), changed(":40\"", ":\""), changed(":40\"", ":-1\""),
              changed(":40\"", ":99999999999\""), changed(":40\"", ":40 \""), changed("\"revealed\":60", "\"revealed\":\"60\""),
              changed("\"spent\":40", "\"spent\":4.0"), changed("\"spent\":40", "\"spent\":1048577"), changed("20:26:40Z", "20:26:40"),
              changed("\"20000\"", "20000"), changed("uusd", "usd"), changed("\"status\"", "\"state\"")})
            CPPUNIT_ASSERT_MESSAGE(b64u_decode(bad).value_or(bad), !parse_receipt(bad));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ReceiptTest);

class ProblemTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ProblemTest);
    CPPUNIT_TEST(documents);
    CPPUNIT_TEST_SUITE_END();

    void documents() {
        CPPUNIT_ASSERT_EQUAL(
            R"({"detail":"d","status":402,"title":"t","type":"https://paymentauth.org/problems/payment-required"})"s,
            problem_document(problem::payment_required, 402, "t", "d").jcs());
        CPPUNIT_ASSERT_EQUAL(R"({"status":404,"title":"t","type":"urn:netpay:problem:coin"})"s,
                             problem_document("urn:netpay:problem:coin", 404, "t", "").jcs());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ProblemTest);

class TimestampTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TimestampTest);
    CPPUNIT_TEST(known_times);
    CPPUNIT_TEST(every_time_comes_back);
    CPPUNIT_TEST(other_forms_are_refused);
    CPPUNIT_TEST_SUITE_END();

    void known_times() {
        const std::pair<UnixTime, const char*> pairs[] = {{0, "1970-01-01T00:00:00Z"}, {951782399, "2000-02-28T23:59:59Z"},
                                                          {951782400, "2000-02-29T00:00:00Z"}, {1780000000, "2026-05-28T20:26:40Z"},
                                                          {4107542400, "2100-03-01T00:00:00Z"}, {253402300799, "9999-12-31T23:59:59Z"}};
        for (const auto& [t, text] : pairs) {
            CPPUNIT_ASSERT_EQUAL(std::string(text), format_rfc3339(t));
            CPPUNIT_ASSERT(parse_rfc3339(text) == t);
        }
    }
    void every_time_comes_back() {
        Random random(8);
        for (int i = 0; i < 3000; ++i) {
            const UnixTime t = static_cast<UnixTime>(random.below(UINT32_MAX)) * 59;
            CPPUNIT_ASSERT(parse_rfc3339(format_rfc3339(t)) == t);
        }
    }
    void other_forms_are_refused() {
        for (const auto bad : {""sv, "2026-05-28"sv, "2026-05-28T20:26:40"sv, "2026-05-28t20:26:40Z"sv, "2026-05-28T20:26:40z"sv,
                               "2026-05-28 20:26:40Z"sv, "2026-05-28T20:26:40.0Z"sv, "2026-05-28T20:26:40+00:00"sv, "2026-02-29T00:00:00Z"sv,
                               "2026-13-01T00:00:00Z"sv, "2026-00-01T00:00:00Z"sv, "2026-01-00T00:00:00Z"sv, "2026-04-31T00:00:00Z"sv,
                               "2026-01-01T24:00:00Z"sv, "2026-01-01T00:60:00Z"sv, "2026-01-01T00:00:60Z"sv, "-026-01-01T00:00:00Z"sv,
                               "2026-1-01T00:00:000Z"sv, "2026-05-28T20:26:40Z "sv, "2026-05-28T20:26:4\0Z"sv})
            CPPUNIT_ASSERT_MESSAGE(std::string(bad), !parse_rfc3339(bad));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TimestampTest);

}  // namespace
}  // namespace netpay::test
