// Challenges offered and taken back (PROTOCOL.md section 5), as the gate does it.
#include "core_support.h"
#include "mod_netpay/offer.h"
#include "mod_netpay/verified.h"

namespace netpay::test {
namespace {

const std::vector<std::string> brokers = {"https://broker.example"};
const std::vector<std::string_view> both = {intent_session, intent_charge};
const std::vector<std::string_view> charge_only = {intent_charge};

Ask article(std::string_view target = "/articles/1.html?x=1") {
    Ask a;
    a.realm = "news";
    a.vendor = "https://news.example";
    a.brokers = &brokers;
    a.price = {*Amount::from(20000), uusd()};
    a.intents = &both;
    a.method = "GET";
    a.target = target;
    return a;
}

class GateOfferTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(GateOfferTest);
    CPPUNIT_TEST(own_challenges_come_back);
    CPPUNIT_TEST(a_session_is_for_the_realm);
    CPPUNIT_TEST(a_charge_is_for_one_resource_at_one_price);
    CPPUNIT_TEST(others_challenges_are_refused);
    CPPUNIT_TEST(the_field_is_part_of_the_challenge);
    CPPUNIT_TEST(two_secrets);
    CPPUNIT_TEST(the_end_is_inclusive);
    CPPUNIT_TEST(what_is_remembered_is_the_whole_challenge);
    CPPUNIT_TEST(a_realm_with_a_bar_makes_no_challenge);
    CPPUNIT_TEST(targets_in_origin_form);
    CPPUNIT_TEST_SUITE_END();

    ChallengeSecrets secrets{Hmac(Secret("a secret of thirty-two characters"sv)), std::nullopt};
    static constexpr UnixTime now = 1795348800;

    std::vector<Challenge> offer(const Ask& a) { return *make_challenges(a, both, secrets, now); }
    std::string verdict(const Challenge& c, const Ask& a, bool own_field = false, UnixTime at = now) {
        const auto r = check_challenge(c, own_field, a, secrets, at);
        return r ? std::string(r->problem) : "ok";
    }

    void own_challenges_come_back() {
        const auto made = offer(article());
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, made.size());
        for (const auto& c : made) CPPUNIT_ASSERT_EQUAL("ok"s, verdict(c, article()));
        CPPUNIT_ASSERT(!made[0].opaque && made[1].opaque && !made[0].header && !made[0].digest);
    }

    void a_session_is_for_the_realm() {
        const auto session = offer(article())[0];
        auto other = article("/other");
        other.price.amount = *Amount::from(50000);
        CPPUNIT_ASSERT_EQUAL("ok"s, verdict(session, other));
        other.realm = "sports";
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(session, other));
    }

    void a_charge_is_for_one_resource_at_one_price() {
        const auto charge = offer(article())[1];
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(charge, article("/articles/1.html?x=2")));
        auto a = article();
        a.method = "POST";
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(charge, a));
        a = article();
        a.price.amount = *Amount::from(20001);
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(charge, a));
    }

    void others_challenges_are_refused() {
        auto c = offer(article())[0];
        auto a = article();
        a.vendor = "https://other.example";
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(c, a));
        a = article();
        a.intents = &charge_only;
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(c, a));
        for (auto member : {&Challenge::id, &Challenge::realm, &Challenge::request, &Challenge::intent}) {
            auto changed = c;
            changed.*member += "x";
            CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(changed, article()));
        }
        auto later = c;
        later.expires = "2030-01-01T00:00:00Z";
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(later, article()));
        auto digest = c;
        digest.digest = "sha-256=:x:";
        digest.id = *challenge_id(digest, secrets.current);
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(digest, article()));
    }

    void the_field_is_part_of_the_challenge() {
        auto own = article();
        own.own_field = true;
        const auto plain = offer(article())[0], with_header = offer(own)[0];
        CPPUNIT_ASSERT_EQUAL("Payment-Authorization"s, *with_header.header);
        CPPUNIT_ASSERT_EQUAL("ok"s, verdict(with_header, own, true));
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(with_header, own, false));
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(plain, own, true));
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(with_header, article(), false));
        CPPUNIT_ASSERT_EQUAL("invalid-challenge"s, verdict(plain, article(), true));
    }

    void two_secrets() {
        const auto old = offer(article())[0];
        ChallengeSecrets next{Hmac(Secret("the next secret, also quite long"sv)), secrets.current};
        CPPUNIT_ASSERT(!check_challenge(old, false, article(), next, now));
        next.previous.reset();
        CPPUNIT_ASSERT(check_challenge(make_challenges(article(), both, secrets, now + 300)->front(), false, article(), next, now));
    }

    void the_end_is_inclusive() {
        const auto c = offer(article())[0];
        const UnixTime end = challenge_expires(now, limits::default_session_s);
        CPPUNIT_ASSERT_EQUAL("ok"s, verdict(c, article(), false, end));
        CPPUNIT_ASSERT_EQUAL("payment-expired"s, verdict(c, article(), false, end + 1));
    }

    void what_is_remembered_is_the_whole_challenge() {
        const auto c = offer(article())[0];
        VerifiedChallenge{now}.remember(c, &secrets);
        VerifiedChallenge found;
        CPPUNIT_ASSERT(VerifiedChallenge::recall(c, &secrets, found));
        CPPUNIT_ASSERT_EQUAL(now, found.expires);
        CPPUNIT_ASSERT(!VerifiedChallenge::recall(c, &now, found));
        for (auto member : {&Challenge::expires, &Challenge::digest, &Challenge::opaque, &Challenge::header}) {
            auto changed = c;
            changed.*member = "-";
            CPPUNIT_ASSERT(!VerifiedChallenge::recall(changed, &secrets, found));
        }
        auto shifted = c;
        shifted.id.pop_back();
        shifted.realm.insert(0, 1, c.id.back());
        CPPUNIT_ASSERT(!VerifiedChallenge::recall(shifted, &secrets, found));
        auto huge = c;
        huge.realm.assign(5000, 'r');
        VerifiedChallenge{now}.remember(huge, &secrets);
        CPPUNIT_ASSERT(!VerifiedChallenge::recall(huge, &secrets, found));
        CPPUNIT_ASSERT(!VerifiedChallenge::recall(c, &secrets, found));
    }

    void a_realm_with_a_bar_makes_no_challenge() {
        auto a = article();
        a.realm = "a|b";
        CPPUNIT_ASSERT(!make_challenges(a, both, secrets, now));
    }

    void targets_in_origin_form() {
        CPPUNIT_ASSERT_EQUAL("/a?b"sv, origin_form("/a?b"));
        CPPUNIT_ASSERT_EQUAL("/a?b"sv, origin_form("http://news.example:80/a?b"));
        CPPUNIT_ASSERT_EQUAL("/"sv, origin_form("http://news.example"));
        CPPUNIT_ASSERT_EQUAL("*"sv, origin_form("*"));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(GateOfferTest);

}  // namespace
}  // namespace netpay::test
