#include "core/challenge.h"

#include "core/json.h"
#include "core_support.h"

namespace netpay::test {
namespace {

Challenge sample() {
    Challenge c;
    c.id = "id";
    c.realm = "news";
    c.method = "netpay";
    c.intent = "session";
    c.request = "cmVx";
    c.expires = "2026-11-22T12:05:00Z";
    return c;
}
bool same(const Challenge& a, const Challenge& b) {
    return a.id == b.id && a.realm == b.realm && a.method == b.method && a.intent == b.intent && a.request == b.request &&
           a.expires == b.expires && a.digest == b.digest && a.opaque == b.opaque && a.header == b.header;
}

class ChallengeIdTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ChallengeIdTest);
    CPPUNIT_TEST(text_under_the_mac);
    CPPUNIT_TEST(every_parameter_counts);
    CPPUNIT_TEST(slots_cannot_be_moved);
    CPPUNIT_TEST(a_bar_is_refused_everywhere);
    CPPUNIT_TEST(current_and_previous_secret);
    CPPUNIT_TEST(ids_that_are_none);
    CPPUNIT_TEST_SUITE_END();

    Hmac secret_{Secret("current"sv)};

    std::string id_of(const Challenge& c) const { return *challenge_id(c, secret_); }

    void text_under_the_mac() {
        auto c = sample();
        CPPUNIT_ASSERT_EQUAL(b64u_encode(secret_.mac("news|netpay|session|cmVx|2026-11-22T12:05:00Z||")), id_of(c));
        c.expires.reset();
        c.digest = "d";
        c.opaque = "o";
        CPPUNIT_ASSERT_EQUAL(b64u_encode(secret_.mac("news|netpay|session|cmVx||d|o")), id_of(c));
        c.header = "Payment-Authorization";
        CPPUNIT_ASSERT_EQUAL(b64u_encode(secret_.mac("news|netpay|session|cmVx||d|o|Payment-Authorization")), id_of(c));
    }

    void every_parameter_counts() {
        const auto good = id_of(sample());
        auto differs = [&](auto change) {
            auto c = sample();
            change(c);
            CPPUNIT_ASSERT(id_of(c) != good);
        };
        differs([](Challenge& c) { c.realm = "sport"; });
        differs([](Challenge& c) { c.method = "other"; });
        differs([](Challenge& c) { c.intent = "charge"; });
        differs([](Challenge& c) { c.request += 'x'; });
        differs([](Challenge& c) { c.expires = "2026-11-22T12:10:00Z"; });
        differs([](Challenge& c) { c.expires.reset(); });
        differs([](Challenge& c) { c.digest = "x"; });
        differs([](Challenge& c) { c.opaque = "x"; });
        differs([](Challenge& c) { c.header = "Payment-Authorization"; });
        differs([](Challenge& c) { c.header = ""; });  // an eighth slot, though an empty one
    }

    void slots_cannot_be_moved() {
        auto a = sample(), b = sample();
        a.digest = "x";
        b.opaque = "x";
        CPPUNIT_ASSERT(id_of(a) != id_of(b));
    }

    void a_bar_is_refused_everywhere() {
        std::vector<Challenge> all(8, sample());
        all[0].realm = "a|b";
        all[1].method = "|";
        all[2].intent = "session|";
        all[3].request = "|x";
        all[4].expires = "|";
        all[5].digest = "|";
        all[6].opaque = "a|";
        all[7].header = "|";
        for (auto& c : all) {
            const auto id = challenge_id(c, secret_);
            CPPUNIT_ASSERT(!id && id.error().code == Code::malformed);
            c.id = b64u_encode(secret_.mac(""));
            CPPUNIT_ASSERT(!verify_challenge_id(c, secret_, nullptr));
        }
        // The one that would be confused with another.
        Challenge blur = sample();
        blur.realm = "news|netpay";
        blur.method = "session";
        blur.intent = "cmVx";
        blur.request = "2026-11-22T12:05:00Z";
        blur.expires.reset();
        blur.id = id_of(sample());
        CPPUNIT_ASSERT(!verify_challenge_id(blur, secret_, nullptr));
    }

    void current_and_previous_secret() {
        const Hmac next(Secret("next"sv)), old(Secret("old"sv));
        auto c = sample();
        c.id = id_of(c);
        CPPUNIT_ASSERT(verify_challenge_id(c, secret_, nullptr));
        CPPUNIT_ASSERT(verify_challenge_id(c, next, &secret_));
        CPPUNIT_ASSERT(!verify_challenge_id(c, next, &old) && !verify_challenge_id(c, next, nullptr));
    }

    void ids_that_are_none() {
        auto c = sample();
        const auto good = id_of(c);
        for (const auto& id : {""s, good.substr(1), good + "A", good + "=", "x|y"s, std::string(43, 'A')}) {
            c.id = id;
            CPPUNIT_ASSERT_MESSAGE(id, !verify_challenge_id(c, secret_, nullptr));
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ChallengeIdTest);

class ChallengeFieldTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ChallengeFieldTest);
    CPPUNIT_TEST(written_form);
    CPPUNIT_TEST(every_parameter_comes_back);
    CPPUNIT_TEST(quoting);
    CPPUNIT_TEST(among_other_schemes);
    CPPUNIT_TEST(spaces_case_and_tokens);
    CPPUNIT_TEST(incomplete_ones_are_passed_over);
    CPPUNIT_TEST(parameters_given_twice_are_passed_over);
    CPPUNIT_TEST(nasty_values_end);
    CPPUNIT_TEST(thirty_two_at_most);
    CPPUNIT_TEST_SUITE_END();

    void written_form() {
        CPPUNIT_ASSERT_EQUAL(
            R"(Payment id="id", realm="news", method="netpay", intent="session", request="cmVx", expires="2026-11-22T12:05:00Z")"s,
            format_challenge(sample()));
    }

    void every_parameter_comes_back() {
        auto c = sample();
        c.digest = "sha-256=:x:";
        c.opaque = "eyJiIjoi";
        c.header = std::string(payment_header);
        const auto again = parse_challenges(format_challenge(c));
        CPPUNIT_ASSERT(again.size() == 1 && same(again[0], c));
    }

    void quoting() {
        auto c = sample();
        c.realm = "a \"quoted\" \\ realm, with = and Payment id=\"x\"";
        const auto again = parse_challenges("Basic realm=\"x\", " + format_challenge(c) + ", Digest realm=\"y\"");
        CPPUNIT_ASSERT(again.size() == 1 && same(again[0], c));
        c.realm = "caf\xc3\xa9";
        CPPUNIT_ASSERT(same(parse_challenges(format_challenge(c)).at(0), c));
    }

    void among_other_schemes() {
        const auto p = format_challenge(sample());
        for (const auto& field :
             {p, "Basic realm=\"a\", " + p, p + ", Basic realm=\"a\"", "Negotiate, " + p, p + ", Negotiate",
              "Negotiate abc==, " + p, "Negotiate abc=, " + p, "Negotiate abc/+-._~, " + p, ", ,\t" + p + " , ,",
              "Digest realm=\"d\", qop=\"auth, auth-int\", nonce=\"Payment id=\\\"n\\\"\", " + p, "Basic, Bearer, " + p}) {
            const auto found = parse_challenges(field);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(field, std::size_t{1}, found.size());
            CPPUNIT_ASSERT_MESSAGE(field, same(found[0], sample()));
        }
        auto second = sample();
        second.intent = "charge";
        const auto two = parse_challenges(p + ", " + format_challenge(second));
        CPPUNIT_ASSERT(two.size() == 2 && two[0].intent == "session" && two[1].intent == "charge");
    }

    void spaces_case_and_tokens() {
        const auto c = parse_challenges(
            "PAYMENT  ID=id ,Realm\t=\t\"news\",METHOD=netpay,, intent = session , request=cmVx,expires=\"2026-11-22T12:05:00Z\"");
        CPPUNIT_ASSERT(c.size() == 1 && same(c[0], sample()));
        const auto unknown = parse_challenges("Payment id=i, realm=r, x-new=\"1, 2\", method=netpay, intent=session, request=q");
        CPPUNIT_ASSERT(unknown.size() == 1 && unknown[0].request == "q");
    }

    void incomplete_ones_are_passed_over() {
        for (const char* f : {"", "Payment", "Payment ", "Payment abc==", "Payment id=\"x\"", "Paymentx id=a, realm=b, method=c, intent=d, request=e",
                              "Payment realm=b, method=c, intent=d, request=e", "Payment id=a, realm=b, method=c, intent=d",
                              "Payment id=\"\", realm=b, method=c, intent=d, request=e", "Basic id=a, realm=b, method=c, intent=d, request=e"})
            CPPUNIT_ASSERT_MESSAGE(f, parse_challenges(f).empty());
    }

    void parameters_given_twice_are_passed_over() {
        for (const char* f : {"Payment id=a, realm=b, method=c, intent=d, request=e, id=f",
                              "Payment id=a, realm=b, method=c, intent=d, request=e, Request=f",
                              "Payment id=a, realm=b, method=c, intent=d, request=e, opaque=x, opaque=x"})
            CPPUNIT_ASSERT_MESSAGE(f, parse_challenges(f).empty());
    }

    void nasty_values_end() {
        for (const auto f : {"Payment id=\"open"sv, "Payment id=\"open\\"sv, "Payment id="sv, "Payment =a"sv, "Payment id=@"sv, "@"sv, "\""sv,
                             "Payment \0=1"sv, "Payment id=\0"sv, "==="sv, ",,,,"sv, "Payment id=\"a\" realm=\"b\""sv, "\xff\xfe"sv})
            CPPUNIT_ASSERT(parse_challenges(f).empty());
        CPPUNIT_ASSERT(parse_challenges(std::string(100000, '"')).empty());
        CPPUNIT_ASSERT(parse_challenges(std::string(100000, '=')).empty());
        CPPUNIT_ASSERT(parse_challenges("Payment " + std::string(100000, 'a')).empty());
        Random random(7);
        static constexpr auto pieces = {"Payment "sv, "id="sv, "\"a\""sv, ","sv, " "sv, "\\"sv, "\""sv, "="sv, "realm=x"sv, "Basic"sv, "\t"sv, "method"sv};
        for (int round = 0; round < 2000; ++round) {
            std::string f;
            for (auto n = random.below(30); n > 0; --n) f += *(pieces.begin() + random.below(pieces.size()));
            parse_challenges(f);
        }
    }

    void thirty_two_at_most() {
        std::string f;
        for (int i = 0; i < 100; ++i) f += (i ? ", " : "") + format_challenge(sample());
        CPPUNIT_ASSERT_EQUAL(std::size_t{32}, parse_challenges(f).size());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ChallengeFieldTest);

class ChallengeTermsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ChallengeTermsTest);
    CPPUNIT_TEST(terms_come_back);
    CPPUNIT_TEST(terms_refused);
    CPPUNIT_TEST(bindings);
    CPPUNIT_TEST(opaque);
    CPPUNIT_TEST(expiry_is_rounded_up);
    CPPUNIT_TEST_SUITE_END();

    void terms_come_back() {
        const PaymentTerms t{*Amount::from(20000), uusd(), "https://news.example", {"https://a.example", "https://b.example"}};
        const auto again = parse_terms(encode_terms(t));
        CPPUNIT_ASSERT(again.ok());
        CPPUNIT_ASSERT(again->amount == t.amount && again->currency == t.currency && again->recipient == t.recipient);
        CPPUNIT_ASSERT(again->brokers == t.brokers);
    }

    void terms_refused() {
        auto request = [](const std::string& amount, const std::string& currency = "\"uusd\"", const std::string& recipient = "\"https://n.example\"",
                          const std::string& details = R"({"brokers":["https://b.example"]})") {
            return b64u_encode("{\"amount\":" + amount + ",\"currency\":" + currency + ",\"recipient\":" + recipient +
                               ",\"methodDetails\":" + details + "}");
        };
        CPPUNIT_ASSERT(parse_terms(request("\"1\"")).ok());
        for (const auto& bad : {request("\"0\""), request("20000"), request("\"01\""), request("\"-1\""), request("\"1.5\""), request("\"\""),
                                request("\"9007199254740992\""), request("null"), request("\"1\"", "\"usd\""), request("\"1\"", "1"),
                                request("\"1\"", "\"uusd\"", "null"), request("\"1\"", "\"uusd\"", "\"x\"", "{}"),
                                request("\"1\"", "\"uusd\"", "\"x\"", "[]"), request("\"1\"", "\"uusd\"", "\"x\"", R"({"brokers":"x"})"),
                                request("\"1\"", "\"uusd\"", "\"x\"", R"({"brokers":[1]})"), "!"s, ""s, b64u_encode("[]"sv),
                                request("\"1\"") + "="}) {
            const auto t = parse_terms(bad);
            CPPUNIT_ASSERT_MESSAGE(bad, !t && t.error().code == Code::malformed);
        }
    }

    void bindings() {
        const auto b = resource_binding("GET", "https://news.example/a?x=1");
        CPPUNIT_ASSERT(b == first16(sha256("GET https://news.example/a?x=1")));
        for (const auto& [method, uri] : {std::pair("POST", "https://news.example/a?x=1"), {"GET", "https://news.example/a?x=2"},
                                          {"GET", "https://news.example/a"}, {"GET", "http://news.example/a?x=1"}})
            CPPUNIT_ASSERT(resource_binding(method, uri) != b);
    }

    void opaque() {
        const auto b = resource_binding("GET", "https://news.example/a");
        CPPUNIT_ASSERT(parse_opaque(encode_opaque(b)) == b);
        const auto text = b64u_encode(b);
        CPPUNIT_ASSERT(parse_opaque(b64u_encode("{\"n\":\"random\",\"b\":\"" + text + "\"}")) == b);
        for (const auto& bad : {""s, "!"s, b64u_encode("{}"sv), b64u_encode("[]"sv), b64u_encode("{\"b\":1}"sv), b64u_encode("{\"b\":\"AA\"}"sv),
                                b64u_encode("{\"b\":\"" + text + "\",\"b\":\"" + text + "\"}")})
            CPPUNIT_ASSERT_MESSAGE(bad, !parse_opaque(bad));
    }

    void expiry_is_rounded_up() {
        CPPUNIT_ASSERT_EQUAL(UnixTime{3600}, challenge_expires(0, 3600));
        CPPUNIT_ASSERT_EQUAL(UnixTime{3900}, challenge_expires(1, 3600));
        CPPUNIT_ASSERT_EQUAL(UnixTime{3900}, challenge_expires(300, 3600));
        for (UnixTime now = 1780000000; now < 1780000700; ++now) {
            const auto e = challenge_expires(now, 60);
            CPPUNIT_ASSERT(e % 300 == 0 && e >= now + 60 && e < now + 360);
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ChallengeTermsTest);

}  // namespace
}  // namespace netpay::test
