// The releasing side of a hand-over (PROTOCOL.md section 7): POST {handoff} from
// callers of all kinds.
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include "test/unit/custody_travel.h"

namespace netpay::custody_test {
namespace {

using custody::Taken;
using till::Standing;

class ReleaseTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(ReleaseTest);
    CPPUNIT_TEST(malformed_requests);
    CPPUNIT_TEST(callers_not_believed);
    CPPUNIT_TEST(paywords);
    CPPUNIT_TEST(a_request_counts_once);
    CPPUNIT_TEST(given_elsewhere);
    CPPUNIT_TEST(the_broker_takes_a_coin_back);
    CPPUNIT_TEST(payments_under_way);
    CPPUNIT_TEST(an_index_shown_to_the_holder_changes_nothing);
    CPPUNIT_TEST(an_index_that_no_broker_would_take_for_evidence);
    CPPUNIT_TEST(no_index_opens_the_limit_anew);
    CPPUNIT_TEST(long_chains_are_checked_one_at_a_time);
    CPPUNIT_TEST_SUITE_END();

    TestClock clock_;
    TravelBroker broker_{clock_};
    Network net_;
    std::unique_ptr<Site> a_, b_, c_;
    std::unique_ptr<TestCoin> coin_;

public:
    void setUp() override {
        a_ = std::make_unique<Site>("a", 11, clock_, broker_, net_);
        b_ = std::make_unique<Site>("b", 12, clock_, broker_, net_);
        c_ = std::make_unique<Site>("c", 13, clock_, broker_, net_);
        coin_ = std::make_unique<TestCoin>(1, 50000, broker_.signing);
        broker_.sell(*coin_);
        CPPUNIT_ASSERT(a_->pay(coin_->shown(5)).taken == Taken::held);
        sell_at(*a_->till, *coin_, 5, 2, clock_.now());
    }
    void tearDown() override {
        for (auto* s : {&a_, &b_, &c_}) s->reset();
    }

private:
    RequestHead head() { return {b_->origin, a_->origin, "handoff", clock_.now(), *custody::fresh_name(custody::system_random())}; }
    json::Object members(std::uint32_t index) {
        return json::Object().set("coin", coin_->terms.coin).set("epoch", std::uint64_t{1}).set("index", std::uint64_t{index})
            .set("payword", encode_payword(coin_->chain.at(index)));
    }
    std::string body(const std::string& request, const std::string& certificate) {
        return json::Object().set("request", request).set("certificate", certificate).jcs();
    }
    custody::HandoffAnswer ask(const RequestHead& h, const json::Object& m, const SigningKey& key, const std::string& certificate) {
        return a_->keeper->hand_over(body(sign_request(h, m, key), certificate));
    }
    custody::HandoffAnswer ask(const json::Object& m) { return ask(head(), m, b_->key, broker_.certificate(b_->origin)); }
    void refused(int status, const custody::HandoffAnswer& a, const std::string& what = {}) {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(what + a.body, status, a.status);
        CPPUNIT_ASSERT(a.body.find("urn:netpay:problem:") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(status == 503, a.retry_after_s > 0);
        const auto e = a_->entry(*coin_);
        CPPUNIT_ASSERT(e->standing == Standing::held);
        CPPUNIT_ASSERT_EQUAL(5u, e->state.revealed);
    }

    void malformed_requests() {
        const auto certificate = broker_.certificate(b_->origin);
        for (const std::string& junk : {std::string(), std::string("{"), std::string("[]"), std::string("{}"), std::string(R"({"request":7})"),
                                        std::string(R"({"request":"a.b.c"})"), std::string(R"({"request":"x","certificate":[]})"),
                                        body("a.b.c", certificate), body("", ""), std::string(16000, '[')})
            refused(400, a_->keeper->hand_over(junk), junk);
        refused(413, a_->keeper->hand_over(std::string(16385, ' ')));
        auto m = members(3);
        refused(400, ask(json::Object(m).set("coin", "short")));
        refused(400, ask(json::Object(m).set("epoch", "1")));
        refused(400, ask(json::Object(m).set("payword", "junk")));
        refused(400, ask(json::Object(m).set("index", "3")));
        refused(400, ask(json::Object().set("coin", coin_->terms.coin)));
        refused(400, ask(head(), m, b_->key, "junk"));
    }

    void callers_not_believed() {
        const auto m = members(3);
        const auto good = broker_.certificate(b_->origin);
        refused(403, ask(head(), m, key_of(99), good), "another key");
        refused(403, ask(head(), m, b_->key, broker_.certificate(c_->origin)), "another's certificate");
        const Certificate cert{broker_origin, b_->origin, b_->key.public_key(), handoff_of(b_->origin), clock_.now(), clock_.now() + 1000};
        refused(403, ask(head(), m, b_->key, sign_certificate(cert, key_of(99))), "a certificate the broker did not sign");
        auto foreign = cert;
        foreign.iss = "https://other.example";
        refused(403, ask(head(), m, b_->key, sign_certificate(foreign, broker_.signing)), "a certificate of another broker");
        refused(403, ask(head(), m, b_->key, broker_.certificate(b_->origin, b_->key, clock_.now() - 31 * 86400)), "expired");
        auto h = head();
        h.aud = c_->origin;
        refused(403, ask(h, m, b_->key, good), "aud");
        h = head();
        h.call = "custody/acquire";
        refused(403, ask(h, m, b_->key, good), "call");
        for (const std::int64_t off : {-61, 61}) {
            h = head();
            h.iat += off;
            refused(403, ask(h, m, b_->key, good), "iat");
        }
        h = head();
        h.iss = c_->origin;
        refused(403, ask(h, m, b_->key, good), "iss");
        h = head();
        h.iss = broker_origin;
        refused(403, ask(h, m, b_->key, ""), "the broker's name without its key");
        h.iss = a_->origin;
        refused(403, ask(h, m, a_->key, broker_.certificate(a_->origin)), "itself");
        CPPUNIT_ASSERT_EQUAL(200, ask(m).status);
    }

    void paywords() {
        for (const std::uint32_t i : {1u, 4u, 5u, 6u, 40000u}) {
            auto wrong = members(i);
            wrong.set("payword", encode_payword(coin_->chain.at(i + 1)));
            refused(422, ask(wrong), std::to_string(i) + " ");
        }
        refused(422, ask(members(1).set("index", std::uint64_t{0})));
        refused(422, ask(members(1).set("index", std::uint64_t{50001})));
        refused(422, ask(members(1).set("index", std::uint64_t{1} << 40)));
        refused(422, ask(members(3).set("epoch", std::uint64_t{2})));
        const TestCoin stranger(9, 10, broker_.signing);
        refused(404, ask(members(3).set("coin", stranger.terms.coin)));
        const auto given = ask(members(40000));   // above what was revealed: no payment, but proof enough
        CPPUNIT_ASSERT_EQUAL_MESSAGE(given.body, 200, given.status);
        CPPUNIT_ASSERT_EQUAL(5u, a_->entry(*coin_)->state.revealed);
        const auto doc = json::Document::parse(given.body);
        const auto i = verify_index(*doc->root().string("index"), KeySet({a_->key.public_key()}));
        CPPUNIT_ASSERT(i.ok());
        CPPUNIT_ASSERT_EQUAL(2u, i->index);
        CPPUNIT_ASSERT(i->payword == coin_->chain.at(2));
        CPPUNIT_ASSERT_EQUAL(b_->origin, i->aud);
        CPPUNIT_ASSERT_EQUAL(a_->entry(*coin_)->coin.lease, i->exp);
        CPPUNIT_ASSERT_EQUAL(coin_->touchstone, std::string(*doc->root().string("touchstone")));
    }

    void a_request_counts_once() {
        const auto h = head();
        const auto request = sign_request(h, members(3).set("epoch", std::uint64_t{2}), b_->key);
        const auto whole = body(request, broker_.certificate(b_->origin));
        refused(422, a_->keeper->hand_over(whole));
        refused(403, a_->keeper->hand_over(whole));
        const auto second = a_->make();
        refused(403, second->hand_over(whole));
        a_->reopen();
        clock_.t += 59;
        refused(403, a_->keeper->hand_over(whole));
        refused(403, ask(h, members(3), b_->key, broker_.certificate(b_->origin)), "the same name for another request");
    }

    void given_elsewhere() {
        const auto first = ask(members(3));
        CPPUNIT_ASSERT_EQUAL(200, first.status);
        CPPUNIT_ASSERT(first.outcome == "given");
        const auto again = ask(members(4));
        CPPUNIT_ASSERT_EQUAL(first.body, again.body);
        CPPUNIT_ASSERT(again.outcome == "again");
        RequestHead h = head();
        h.iss = c_->origin;
        const auto other = ask(h, members(3), c_->key, broker_.certificate(c_->origin));
        CPPUNIT_ASSERT_EQUAL(410, other.status);
        CPPUNIT_ASSERT(other.outcome == "elsewhere");
        const auto doc = json::Document::parse(other.body);
        const auto cert = verify_certificate(*doc->root().string("certificate"), broker_origin, KeySet({broker_.signing.public_key()}), clock_.now());
        CPPUNIT_ASSERT(cert.ok());
        CPPUNIT_ASSERT_EQUAL(b_->origin, cert->sub);
        CPPUNIT_ASSERT(first.body.find(std::string(*doc->root().string("index"))) != std::string::npos);
        // Who holds it is told only for a payword.
        h = head();
        h.iss = c_->origin;
        CPPUNIT_ASSERT_EQUAL(422, ask(h, members(3).set("payword", encode_payword(coin_->chain.at(4))), c_->key, broker_.certificate(c_->origin)).status);
    }

    void the_broker_takes_a_coin_back() {
        const auto by_broker = [&](const json::Object& m) {
            auto h = head();
            h.iss = broker_origin;
            return a_->keeper->hand_over(json::Object().set("request", sign_request(h, m, broker_.signing)).jcs());
        };
        refused(422, by_broker(members(3).set("payword", encode_payword(coin_->chain.at(4)))));
        const auto given = by_broker(json::Object().set("coin", coin_->terms.coin));
        CPPUNIT_ASSERT_EQUAL_MESSAGE(given.body, 200, given.status);
        CPPUNIT_ASSERT_EQUAL(given.body, by_broker(members(3)).body);
        const auto doc = json::Document::parse(given.body);
        const auto i = verify_index(*doc->root().string("index"), KeySet({a_->key.public_key()}));
        CPPUNIT_ASSERT_EQUAL(broker_origin, i->aud);
        CPPUNIT_ASSERT_EQUAL(2u, i->index);
        const auto other = ask(members(3));
        CPPUNIT_ASSERT_EQUAL(410, other.status);
        CPPUNIT_ASSERT(other.body.find("certificate") == std::string::npos);
    }

    // By an index for an epoch it never held a vendor could make the holder
    // sign one for an epoch that never was.
    void an_index_shown_to_the_holder_changes_nothing() {
        const auto lie = sign_index({c_->origin, a_->origin, coin_->terms.coin, 7, 4, coin_->chain.at(4), clock_.now(), clock_.now() + 1000}, c_->key);
        const auto enclosing = [&](std::uint64_t epoch) {
            const auto m = members(5).set("epoch", epoch);
            return a_->keeper->hand_over(json::Object().set("request", sign_request(head(), m, b_->key))
                                             .set("certificate", broker_.certificate(b_->origin)).set("index", lie)
                                             .set("releaser", broker_.certificate(c_->origin)).jcs());
        };
        refused(422, enclosing(8));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, a_->entry(*coin_)->coin.epoch);
        // Nor once it has handed the coin over in that very epoch.
        const auto given = ask(members(3));
        const auto same = sign_index({c_->origin, a_->origin, coin_->terms.coin, 1, 4, coin_->chain.at(4), clock_.now(), clock_.now() + 1000}, c_->key);
        const auto answer = a_->keeper->hand_over(json::Object().set("request", sign_request(head(), members(5), b_->key))
                                                      .set("certificate", broker_.certificate(b_->origin)).set("index", same)
                                                      .set("releaser", broker_.certificate(c_->origin)).jcs());
        CPPUNIT_ASSERT_EQUAL(given.body, answer.body);
    }

    // C asks B, which never had the coin, enclosing an index of A's.
    custody::HandoffAnswer ask_by(const SignedIndex& i, std::uint32_t shown, bool true_word = true) {
        const RequestHead h{c_->origin, b_->origin, "handoff", clock_.now(), *custody::fresh_name(custody::system_random())};
        auto m = members(shown).set("epoch", i.epoch + 1);
        if (!true_word) m.set("payword", encode_payword(coin_->chain.at(shown + 1)));
        return b_->keeper->hand_over(json::Object().set("request", sign_request(h, m, c_->key)).set("certificate", broker_.certificate(c_->origin))
                                         .set("index", sign_index(i, a_->key)).set("releaser", broker_.certificate(a_->origin))
                                         .set("touchstone", coin_->touchstone).jcs());
    }
    SignedIndex lie(std::uint64_t epoch, std::uint32_t index) {
        return {a_->origin, b_->origin, coin_->terms.coin, epoch, index, coin_->chain.at(index), clock_.now(), clock_.now() + 100};
    }

    // Such a one could never be decided: the coin would stay stranded, its pages unpaid.
    void an_index_that_no_broker_would_take_for_evidence() {
        auto early = lie(7, 4);
        early.iat -= 10000;  // before its key was certified
        CPPUNIT_ASSERT_EQUAL(403, ask_by(early, 5).status);
        CPPUNIT_ASSERT_EQUAL(403, ask_by(lie((1u << 30) + 1, 4), 5).status);
        CPPUNIT_ASSERT(!b_->entry(*coin_));
    }

    // The longest walk there is, by two dozen requests at once: most are told so, and hash nothing.
    void long_chains_are_checked_one_at_a_time() {
        coin_ = std::make_unique<TestCoin>(2, 1u << 20, broker_.signing);
        broker_.sell(*coin_);
        auto i = lie(7, 1u << 20);
        i.payword = coin_->chain.at(4);
        const auto index = sign_index(i, a_->key);
        const auto m = members(5).set("epoch", std::uint64_t{8});
        std::vector<std::string> bodies;
        for (int k = 0; k < 24; ++k) {
            const RequestHead h{c_->origin, b_->origin, "handoff", clock_.now(), *custody::fresh_name(custody::system_random())};
            bodies.push_back(json::Object().set("request", sign_request(h, m, c_->key)).set("certificate", broker_.certificate(c_->origin))
                                 .set("index", index).set("releaser", broker_.certificate(a_->origin))
                                 .set("touchstone", coin_->touchstone).jcs());
        }
        std::atomic<int> checked = 0, refused_unseen = 0;
        std::vector<std::thread> threads;
        for (const auto& b : bodies)
            threads.emplace_back([&] {
                const auto a = b_->keeper->hand_over(b);
                checked += a.body.find("not of this chain") != std::string::npos;
                refused_unseen += a.body.find("long chain is being checked") != std::string::npos;
            });
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(24, checked + refused_unseen);
        CPPUNIT_ASSERT(checked > 0 && refused_unseen > 0);
        CPPUNIT_ASSERT(!b_->entry(*coin_));
    }

    void no_index_opens_the_limit_anew() {
        broker_.down = true;
        CPPUNIT_ASSERT_EQUAL(422, ask_by(lie(7, 4), 6, false).status);  // B has it, and keeps it
        for (std::uint32_t j = 5; j < 9; ++j) sell_at(*b_->till, *coin_, j, 1, clock_.now());
        CPPUNIT_ASSERT_EQUAL(6u, b_->entry(*coin_)->pages_left);
        const auto told = b_->entry(*coin_)->coin.indices;
        clock_.t += 101;
        CPPUNIT_ASSERT_EQUAL(503, ask_by(lie(9, 9), 11, false).status);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{8}, b_->entry(*coin_)->coin.epoch);
        CPPUNIT_ASSERT(told == b_->entry(*coin_)->coin.indices);
        // However it comes to another one, it has no more pages than were left.
        auto next = b_->entry(*coin_)->coin;
        next.epoch = 10;
        next.lease += 1000;
        next.indices = {"another"};
        CPPUNIT_ASSERT(*b_->till->take(next));
        CPPUNIT_ASSERT_EQUAL(6u, b_->entry(*coin_)->pages_left);
    }

    void payments_under_way() {
        static const std::vector<std::string> brokers = {broker_origin};
        till::Charge charge;
        charge.coin = coin_->terms.tag;
        charge.payment.index = 6;
        charge.payment.word = coin_->chain.at(6);
        charge.payment.now = clock_.now();
        charge.price = *Amount::from(1000);
        charge.currency = coin_->terms.cur;
        charge.brokers = brokers;
        auto out = a_->till->reserve(charge);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid);
        const auto busy = ask(members(3));
        CPPUNIT_ASSERT_EQUAL(503, busy.status);
        CPPUNIT_ASSERT_EQUAL(1u, busy.retry_after_s);
        CPPUNIT_ASSERT(a_->till->settle(charge, out));
        const auto given = ask(members(3));
        CPPUNIT_ASSERT_EQUAL(200, given.status);
        const auto doc = json::Document::parse(given.body);
        CPPUNIT_ASSERT_EQUAL(3u, verify_index(*doc->root().string("index"), KeySet({a_->key.public_key()}))->index);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(ReleaseTest);

}  // namespace
}  // namespace netpay::custody_test
