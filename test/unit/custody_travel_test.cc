// Coins that travel (PROTOCOL.md section 7): two, three and four vendors with
// real tills, in one process, and a network that loses what a test says.
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include "test/unit/custody_travel.h"

namespace netpay::custody_test {
namespace {

using custody::Acquired;
using custody::Taken;
using till::Standing;

class TravelTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TravelTest);
    CPPUNIT_TEST(from_a_to_b_to_c_and_back);
    CPPUNIT_TEST(direct_hand_over_asks_no_broker);
    CPPUNIT_TEST(with_the_broker_stopped_a_coin_travels);
    CPPUNIT_TEST(a_named_holder_that_has_it_not);
    CPPUNIT_TEST(a_named_holder_that_is_dead);
    CPPUNIT_TEST(a_dead_holder_strands_a_coin_until_its_lease_ends);
    CPPUNIT_TEST(a_lost_answer_is_given_again);
    CPPUNIT_TEST(a_lost_answer_and_crashes_on_both_sides);
    CPPUNIT_TEST(back_at_the_one_whose_answer_was_lost);
    CPPUNIT_TEST(two_lost_answers_and_a_fourth_vendor);
    CPPUNIT_TEST(the_first_to_report_tells_what_was_before);
    CPPUNIT_TEST(a_void_index_is_not_signed_on);
    CPPUNIT_TEST(a_void_index_signed_on_while_the_broker_was_away);
    CPPUNIT_TEST(who_never_heard_of_it_gets_the_touchstone_from_the_broker);
    CPPUNIT_TEST(back_before_the_broker_has_heard);
    CPPUNIT_TEST(the_limit_of_unconfirmed_custody);
    CPPUNIT_TEST(no_page_before_the_confirmation);
    CPPUNIT_TEST(an_unconfirmed_coin_is_not_let_go);
    CPPUNIT_TEST(reports_are_retried_with_backoff);
    CPPUNIT_TEST(a_lost_report_is_repeated);
    CPPUNIT_TEST(the_broker_decides_for_another);
    CPPUNIT_TEST(an_unconfirmed_lease_that_ended);
    CPPUNIT_TEST(bad_answers_of_a_holder);
    CPPUNIT_TEST(bad_answers_of_a_holder_that_gave_it_away);
    CPPUNIT_TEST(given_to_ourselves);
    CPPUNIT_TEST(a_broker_that_names_a_holder_badly);
    CPPUNIT_TEST(parallel_requests_make_one_hand_over);
    CPPUNIT_TEST(a_crash_in_the_middle_of_a_call_leaves_nothing_locked);
    CPPUNIT_TEST(spent_beyond_the_payword_shown);
    CPPUNIT_TEST(a_clock_that_is_wrong);
    CPPUNIT_TEST(key_rollover);
    CPPUNIT_TEST(a_key_that_was_revoked);
    CPPUNIT_TEST(a_process_that_has_not_looked_yet);
    CPPUNIT_TEST_SUITE_END();

    std::unique_ptr<TestClock> clock_;
    std::unique_ptr<TravelBroker> broker_;
    std::unique_ptr<Network> net_;
    std::unique_ptr<Site> a_, b_, c_, d_;

public:
    void setUp() override {
        clock_ = std::make_unique<TestClock>();
        broker_ = std::make_unique<TravelBroker>(*clock_);
        net_ = std::make_unique<Network>();
        a_ = site("a", 11);
        b_ = site("b", 12);
        c_ = site("c", 13);
        d_ = site("d", 14);
        clock_->t += 301;
        for (auto* s : {a_.get(), b_.get(), c_.get(), d_.get()}) s->keeper->housekeeping();
        broker_->calls.clear();
    }
    void tearDown() override {
        for (auto* s : {&a_, &b_, &c_, &d_}) s->reset();
        net_.reset();
        broker_.reset();
        clock_.reset();
    }

private:
    std::unique_ptr<Site> site(const char* name, std::uint8_t seed) {
        return std::make_unique<Site>(name, seed, *clock_, *broker_, *net_);
    }
    TestCoin coin(std::uint32_t number, std::uint32_t n = 100) {
        return TestCoin(number, n, broker_->signing);
    }
    void expect(Taken want, const Acquired& got) {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(got.detail, static_cast<int>(want), static_cast<int>(got.taken));
    }
    static PaymentPayload from(const TestCoin& c, std::uint32_t index, const Site& holder, std::uint32_t held) {
        auto p = c.shown(index);
        p.holder = holder.origin;
        p.held = held;
        return p;
    }
    void sell(Site& s, const TestCoin& c, std::uint32_t index, std::uint32_t units) { sell_at(*s.till, c, index, units, clock_->now()); }
    void held_at(Site& s, const TestCoin& c, std::uint64_t epoch, std::uint32_t start) {
        const auto e = s.entry(c);
        CPPUNIT_ASSERT(e.has_value());
        CPPUNIT_ASSERT(e->standing == Standing::held);
        CPPUNIT_ASSERT_EQUAL(epoch, e->coin.epoch);
        CPPUNIT_ASSERT_EQUAL(start, e->coin.start);
    }
    bool confirmed(Site& s, const TestCoin& c) { return s.entry(c)->coin.indices.empty(); }
    void rounds() {
        for (auto* s : {a_.get(), b_.get(), c_.get(), d_.get()})
            if (s->keeper) s->keeper->housekeeping();
    }
    int calls(const char* call) { return broker_->calls[call]; }

    void from_a_to_b_to_c_and_back() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 2);
        auto got = b_->pay(c.shown(6));
        expect(Taken::held, got);
        CPPUNIT_ASSERT(got.way == "broker");
        held_at(*b_, c, 2, 2);
        CPPUNIT_ASSERT_EQUAL(a_->entry(c)->coin.lease, b_->entry(c)->coin.lease);
        CPPUNIT_ASSERT(a_->entry(c)->standing == Standing::handed_over);
        CPPUNIT_ASSERT(!confirmed(*b_, c));
        sell(*b_, c, 6, 4);   // what was revealed at A and not spent is hers here
        rounds();
        CPPUNIT_ASSERT(confirmed(*b_, c));
        expect(Taken::held, c_->pay(c.shown(9)));
        sell(*c_, c, 9, 3);
        rounds();
        got = a_->pay(c.shown(10));
        expect(Taken::held, got);
        held_at(*a_, c, 4, 9);
        CPPUNIT_ASSERT_EQUAL(9u, a_->entry(c)->state.spent);
        sell(*a_, c, 10, 1);
        rounds();
        const auto& epochs = broker_->epochs[c.terms.coin];
        CPPUNIT_ASSERT_EQUAL(std::size_t{4}, epochs.size());
        const std::vector<std::uint32_t> starts{0, 2, 6, 9};
        for (std::size_t i = 0; i < 4; ++i) CPPUNIT_ASSERT_EQUAL(starts[i], epochs[i].start);
        CPPUNIT_ASSERT(confirmed(*a_, c));
        for (auto* s : {a_.get(), b_.get(), c_.get()})
            for (const auto& line : s->log.lines)
                for (std::uint32_t i = 1; i <= 10; ++i) CPPUNIT_ASSERT(line.find(encode_payword(c.chain.at(i))) == std::string::npos);
    }

    void direct_hand_over_asks_no_broker() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        const auto before = calls("custody/acquire");
        const auto got = b_->pay(from(c, 5, *a_, 3));
        expect(Taken::held, got);
        CPPUNIT_ASSERT(got.way == "direct");
        held_at(*b_, c, 2, 3);
        CPPUNIT_ASSERT_EQUAL(before, calls("custody/acquire"));
        CPPUNIT_ASSERT_EQUAL(0, calls("certificate"));
        CPPUNIT_ASSERT_EQUAL(1, net_->calls[a_->origin]);
        // Asked again it does not ask again.
        expect(Taken::held, b_->pay(from(c, 6, *a_, 3)));
        CPPUNIT_ASSERT_EQUAL(1, net_->calls[a_->origin]);
        // What says where it was, but cannot be, is passed over.
        for (const std::uint64_t held : {std::uint64_t{0}, std::uint64_t{101}, std::uint64_t{1} << 50}) {
            rounds();
            auto p = c.shown(50);
            p.holder = b_->origin;
            p.held = held;
            auto& next = held == 101 ? *a_ : held == 0 ? *c_ : *d_;
            expect(Taken::held, next.pay(p));
            sell(next, c, next.entry(c)->state.spent + 1, 1);
        }
    }

    void with_the_broker_stopped_a_coin_travels() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        b_->reopen();
        broker_->down = true;
        clock_->t += 3600;
        expect(Taken::held, b_->pay(from(c, 5, *a_, 3)));
        sell(*b_, c, 5, 2);
        rounds();
        CPPUNIT_ASSERT(!confirmed(*b_, c));
        CPPUNIT_ASSERT_EQUAL(1u, b_->keeper->health().unreported);
        broker_->down = false;
        clock_->t += 301;
        rounds();
        CPPUNIT_ASSERT(confirmed(*b_, c));
        CPPUNIT_ASSERT_EQUAL(0u, b_->keeper->health().unreported);
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, broker_->epochs[c.terms.coin].size());
    }

    void a_named_holder_that_has_it_not() {
        const auto c = coin(1);
        broker_->sell(c);
        // It never heard of it: 404, and the broker is asked.
        expect(Taken::held, a_->pay(from(c, 3, *b_, 2)));
        held_at(*a_, c, 1, 0);
        // It is not in the list: the broker alone is asked.
        auto p = from(c, 4, *b_, 2);
        p.holder = "https://stranger.example";
        expect(Taken::held, b_->pay(p));
        CPPUNIT_ASSERT_EQUAL(0, net_->calls["https://stranger.example"]);
        CPPUNIT_ASSERT_EQUAL(0, net_->calls[""]);
        rounds();
        // It says it has never revealed that far (422): the broker knows better.
        expect(Taken::held, c_->pay(from(c, 5, *b_, 5)));
        rounds();
        // Handed on twice since the payer was there: the chain is followed.
        const auto got = d_->pay(from(c, 6, *b_, 5));
        expect(Taken::held, got);
        CPPUNIT_ASSERT(got.way == "chain");
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, d_->entry(c)->coin.indices.size());
        rounds();
        CPPUNIT_ASSERT(confirmed(*d_, c));
    }

    void a_named_holder_that_is_dead() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        net_->down.insert(a_->origin);
        std::uint32_t last = 0;
        for (int i = 0; i < 8; ++i) {
            const auto got = b_->pay(from(c, 5, *a_, 3));
            expect(Taken::unavailable, got);
            CPPUNIT_ASSERT(got.retry_after_s >= last && got.retry_after_s <= 60);
            last = got.retry_after_s;
            clock_->t += 17;
        }
        CPPUNIT_ASSERT_EQUAL(60u, last);
        CPPUNIT_ASSERT_EQUAL(8, net_->calls[a_->origin]);
        // The broker was asked each time: it is to know that somebody waits.
        CPPUNIT_ASSERT_EQUAL(9, calls("custody/acquire"));
        net_->down.clear();
        clock_->t += 17;
        expect(Taken::held, b_->pay(from(c, 5, *a_, 3)));
    }

    void a_dead_holder_strands_a_coin_until_its_lease_ends() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        net_->down.insert(a_->origin);
        expect(Taken::unavailable, b_->pay(from(c, 5, *a_, 3)));
        clock_->t += 86400 + 601;
        expect(Taken::held, b_->pay(from(c, 5, *a_, 3)));
        held_at(*b_, c, 2, 0);
        CPPUNIT_ASSERT(confirmed(*b_, c));
        // Back, the old holder does not let go what it does not hold.
        net_->down.clear();
        CPPUNIT_ASSERT_EQUAL(503, ask(*a_, *c_, c, 4, 1).status);
    }

    // A request as `by` would send it.
    json::Object members(const TestCoin& c, std::uint32_t index, std::optional<std::uint64_t> epoch) {
        auto m = json::Object().set("coin", c.terms.coin).set("index", std::uint64_t{index}).set("payword", encode_payword(c.chain.at(index)));
        if (epoch) m.set("epoch", *epoch);
        return m;
    }
    std::string body_of(const Site& to, const Site& by, const json::Object& m, json::Object body = {}) {
        const auto jti = *custody::fresh_name(custody::system_random());
        body.set("request", sign_request({by.origin, to.origin, "handoff", clock_->now(), jti}, m, by.key));
        return body.set("certificate", broker_->certificate(by.origin)).jcs();
    }
    custody::HandoffAnswer ask(Site& to, const Site& by, const TestCoin& c, std::uint32_t index,
                               std::optional<std::uint64_t> epoch) {
        return to.keeper->hand_over(body_of(to, by, members(c, index, epoch)));
    }

    void a_lost_answer_is_given_again() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        net_->lose.insert(a_->origin);
        expect(Taken::unavailable, b_->pay(c.shown(5)));
        CPPUNIT_ASSERT(a_->entry(c)->standing == Standing::handed_over);
        CPPUNIT_ASSERT(!b_->entry(c));
        const auto index = a_->entry(c)->handed_over->index;
        net_->lose.clear();
        clock_->t += 3;
        expect(Taken::held, b_->pay(c.shown(5)));
        CPPUNIT_ASSERT_EQUAL(index, b_->entry(c)->coin.indices.back());
        CPPUNIT_ASSERT_EQUAL(std::string("again"), a_->last_outcome);
        rounds();
        CPPUNIT_ASSERT(confirmed(*b_, c));
        // A duplicate of the request, overtaken by all that, changes nothing.
        const auto late = ask(*a_, *b_, c, 4, 1);
        CPPUNIT_ASSERT_EQUAL(200, late.status);
        CPPUNIT_ASSERT(late.body.find(index) != std::string::npos);
        held_at(*b_, c, 2, 3);
    }

    void a_lost_answer_and_crashes_on_both_sides() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        net_->lose.insert(a_->origin);
        expect(Taken::unavailable, b_->pay(from(c, 5, *a_, 3)));
        net_->lose.clear();
        a_->reopen();
        b_->reopen();
        clock_->t += 3;
        expect(Taken::held, b_->pay(from(c, 5, *a_, 3)));
        sell(*b_, c, 5, 1);
        // Crashed before it could report: what is durable is reported by the next start.
        b_->close();
        b_->open();
        b_->keeper->housekeeping();
        CPPUNIT_ASSERT(confirmed(*b_, c));
        held_at(*b_, c, 2, 3);
        CPPUNIT_ASSERT_EQUAL(4u, b_->entry(c)->state.spent);
    }

    void back_at_the_one_whose_answer_was_lost() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        net_->lose.insert(a_->origin);
        expect(Taken::unavailable, b_->pay(c.shown(5)));
        net_->lose.clear();
        // B never heard of it: it takes it over by what A shows, and lets it go at the same index.
        const auto got = a_->pay(c.shown(5));
        expect(Taken::held, got);
        CPPUNIT_ASSERT(got.way == "regain");
        held_at(*a_, c, 3, 3);
        CPPUNIT_ASSERT_EQUAL(3u, a_->entry(c)->state.spent);
        CPPUNIT_ASSERT_EQUAL(5u - 2u, a_->entry(c)->state.revealed);
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, a_->entry(c)->coin.indices.size());
        CPPUNIT_ASSERT(b_->entry(c)->standing == Standing::handed_over);
        sell(*a_, c, 5, 2);
        rounds();
        CPPUNIT_ASSERT(confirmed(*a_, c) && confirmed(*b_, c));
        CPPUNIT_ASSERT_EQUAL(std::size_t{3}, broker_->epochs[c.terms.coin].size());
        // The late answer of A to B, repeated: B does not become its holder by it.
        net_->lose.clear();
        clock_->t += 3;
        expect(Taken::held, b_->pay(c.shown(6)));
        held_at(*b_, c, 4, 5);
    }

    void two_lost_answers_and_a_fourth_vendor() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        net_->lose = {a_->origin};
        expect(Taken::unavailable, b_->pay(c.shown(5)));
        net_->lose = {b_->origin};
        expect(Taken::unavailable, c_->pay(c.shown(5)));   // A → 410 B → B takes and lets go, lost
        CPPUNIT_ASSERT(b_->entry(c)->standing == Standing::handed_over);
        CPPUNIT_ASSERT(!c_->entry(c));
        net_->lose.clear();
        const auto got = d_->pay(c.shown(5));              // B → 410 C → C takes and lets go
        expect(Taken::held, got);
        CPPUNIT_ASSERT(got.way == "chain");
        held_at(*d_, c, 4, 3);
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, d_->entry(c)->coin.indices.size());  // B told the broker before it let go
        CPPUNIT_ASSERT(c_->entry(c)->standing == Standing::handed_over);
        d_->keeper->housekeeping();
        CPPUNIT_ASSERT(confirmed(*d_, c));
        rounds();
        for (auto* s : {a_.get(), b_.get(), c_.get()}) CPPUNIT_ASSERT(confirmed(*s, c));
        const auto& epochs = broker_->epochs[c.terms.coin];
        CPPUNIT_ASSERT_EQUAL(std::size_t{4}, epochs.size());
        for (std::size_t i = 1; i < 4; ++i) CPPUNIT_ASSERT_EQUAL(3u, epochs[i].start);
    }

    // Whoever reports first, the broker hears by which index each of them held the coin.
    void the_first_to_report_tells_what_was_before() {
        for (const bool from_the_holder : {false, true}) {
            const auto c = coin(from_the_holder ? 2 : 1);
            broker_->sell(c);
            expect(Taken::held, a_->pay(c.shown(3)));
            sell(*a_, c, 3, 3);
            net_->lose = {a_->origin};
            expect(Taken::unavailable, b_->pay(c.shown(5)));
            net_->lose = {b_->origin};
            broker_->down = true;
            expect(Taken::unavailable, c_->pay(from(c, 5, *a_, 3)));  // A → 410 B → B takes and lets go, lost
            net_->lose.clear();
            clock_->t += 3;
            if (from_the_holder) {
                // D hears of B alone, and from B of what was before.
                expect(Taken::held, d_->pay(from(c, 5, *b_, 4)));
                CPPUNIT_ASSERT_EQUAL(std::size_t{3}, d_->entry(c)->coin.indices.size());
            } else {
                // B asks for it back: C takes it over by B's index, and has never heard of A's.
                expect(Taken::held, b_->pay(c.shown(5)));
            }
            const auto told = c_->entry(c)->coin.indices;
            CPPUNIT_ASSERT_EQUAL(std::size_t{2}, told.size());
            CPPUNIT_ASSERT_EQUAL(a_->entry(c)->handed_over->index, told[0]);
            broker_->down = false;
            clock_->t += 400;
            c_->keeper->housekeeping();
            rounds();
            CPPUNIT_ASSERT(confirmed(*c_, c));
        }
    }

    // D asks B for a coin by an index that D's friend C signed for an epoch it never held.
    custody::HandoffAnswer ask_by_a_void_index(const TestCoin& c, std::uint64_t epoch) {
        const auto lie = sign_index({c_->origin, b_->origin, c.terms.coin, epoch, 4, c.chain.at(4), clock_->now(), clock_->now() + 9000}, c_->key);
        const auto members = json::Object().set("coin", c.terms.coin).set("epoch", epoch + 1).set("index", std::uint64_t{5})
                                 .set("payword", encode_payword(c.chain.at(5)));
        const RequestHead head{d_->origin, b_->origin, "handoff", clock_->now(), *custody::fresh_name(custody::system_random())};
        return b_->keeper->hand_over(json::Object().set("request", sign_request(head, members, d_->key))
                                         .set("certificate", broker_->certificate(d_->origin)).set("index", lie)
                                         .set("releaser", broker_->certificate(c_->origin)).set("touchstone", c.touchstone).jcs());
    }

    void a_void_index_is_not_signed_on() {
        const auto c = coin(1);
        broker_->sell(c);
        CPPUNIT_ASSERT_EQUAL(404, ask_by_a_void_index(c, 7).status);
        CPPUNIT_ASSERT(b_->entry(c)->standing == Standing::dropped && !b_->entry(c)->handed_over);
        // Who deceived it once gets nothing on credit, and no signature.
        broker_->down = true;
        clock_->t += 400;
        CPPUNIT_ASSERT_EQUAL(503, ask_by_a_void_index(c, 9).status);
        CPPUNIT_ASSERT_EQUAL(0u, b_->entry(c)->pages_left);
        CPPUNIT_ASSERT(!b_->entry(c)->handed_over);
    }

    // It cannot know: and is not barred from the coin for ever by what it signed.
    void a_void_index_signed_on_while_the_broker_was_away() {
        const auto c = coin(1);
        broker_->sell(c);
        broker_->down = true;
        CPPUNIT_ASSERT_EQUAL(200, ask_by_a_void_index(c, (1u << 30) - 1).status);
        broker_->down = false;
        clock_->t += 400;
        rounds();
        CPPUNIT_ASSERT(b_->entry(c)->standing == Standing::handed_over);
        expect(Taken::held, b_->pay(c.shown(6)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, b_->entry(c)->coin.epoch);
    }

    // A caller of another make encloses what section 7 names, and no touchstone.
    void who_never_heard_of_it_gets_the_touchstone_from_the_broker() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        net_->lose = {a_->origin};
        expect(Taken::unavailable, b_->pay(c.shown(5)));
        const auto index = a_->entry(c)->handed_over->index;
        // Not without the index, and not by one that is not for B.
        CPPUNIT_ASSERT_EQUAL(404, ask(*b_, *c_, c, 4, 2).status);
        const auto forged = sign_index({a_->origin, b_->origin, c.terms.coin, 1, 3, c.chain.at(3), clock_->now(), clock_->now() + 100}, key_of(99));
        const auto elsewhere = sign_index({a_->origin, d_->origin, c.terms.coin, 1, 3, c.chain.at(3), clock_->now(), clock_->now() + 100}, a_->key);
        const auto over = sign_index({a_->origin, b_->origin, c.terms.coin, 1, 3, c.chain.at(3), clock_->now(), clock_->now() - 1}, a_->key);
        const auto wrong = sign_index({a_->origin, b_->origin, c.terms.coin, 1, 3, c.chain.at(2), clock_->now(), clock_->now() + 100}, a_->key);
        const auto before = calls("custody/acquire");
        for (const auto& bad : {forged, elsewhere})
            CPPUNIT_ASSERT_EQUAL(403, b_->keeper->hand_over(body_of(*b_, *c_, members(c, 4, 2), json::Object().set("index", bad))).status);
        CPPUNIT_ASSERT_EQUAL(before, calls("custody/acquire"));
        for (const auto& bad : {over, wrong})
            CPPUNIT_ASSERT_EQUAL(403, b_->keeper->hand_over(body_of(*b_, *c_, members(c, 4, 2), json::Object().set("index", bad))).status);
        CPPUNIT_ASSERT_EQUAL(400, b_->keeper->hand_over(body_of(*b_, *c_, members(c, 4, 2), json::Object().set("index", "junk"))).status);
        CPPUNIT_ASSERT(!b_->entry(c));
        const auto given = b_->keeper->hand_over(body_of(*b_, *c_, members(c, 4, 2), json::Object().set("index", index)));
        CPPUNIT_ASSERT_EQUAL_MESSAGE(given.body, 200, given.status);
        CPPUNIT_ASSERT(b_->entry(c)->standing == Standing::handed_over);
        CPPUNIT_ASSERT_EQUAL(3u, b_->entry(c)->state.spent);
    }

    void back_before_the_broker_has_heard() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        expect(Taken::held, b_->pay(from(c, 5, *a_, 3)));
        sell(*b_, c, 5, 2);
        // The broker still thinks that A holds it; A knows better.
        const auto got = a_->pay(c.shown(6));
        expect(Taken::unavailable, got);
        CPPUNIT_ASSERT(got.retry_after_s <= 2);
        CPPUNIT_ASSERT(a_->entry(c)->standing == Standing::handed_over);
        b_->keeper->housekeeping();
        clock_->t += 3;
        expect(Taken::held, a_->pay(c.shown(6)));
        held_at(*a_, c, 3, 5);
        // The one it was given to is dead, the broker knows nothing: nobody has it, and A least of all.
        rounds();
        expect(Taken::held, b_->pay(c.shown(7)));
        net_->down = {b_->origin};
        clock_->t += 3;
        expect(Taken::unavailable, a_->pay(c.shown(8)));
        CPPUNIT_ASSERT(a_->entry(c)->standing == Standing::handed_over);
    }

    void the_limit_of_unconfirmed_custody() {
        const auto c = coin(1);
        broker_->sell(c);
        b_->pages = 2;
        b_->reopen();
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        broker_->down = true;
        expect(Taken::held, b_->pay(from(c, 3, *a_, 1)));
        sell(*b_, c, 2, 1);
        sell(*b_, c, 3, 1);
        till::Charge charge;
        static const std::vector<std::string> brokers = {broker_origin};
        charge.coin = c.terms.tag;
        charge.payment.index = 4;
        charge.payment.word = c.chain.at(4);
        charge.payment.now = clock_->now();
        charge.price = *Amount::from(1000);
        charge.currency = c.terms.cur;
        charge.brokers = brokers;
        CPPUNIT_ASSERT(b_->till->reserve(charge).answer == till::Answer::unconfirmed);
        CPPUNIT_ASSERT(!b_->keeper->confirm(c.terms.tag));
        broker_->down = false;
        clock_->t += 3;
        CPPUNIT_ASSERT(b_->keeper->confirm(c.terms.tag));
        CPPUNIT_ASSERT(b_->keeper->confirm(c.terms.tag));
        CPPUNIT_ASSERT_EQUAL(1, calls("custody/transfer"));
        sell(*b_, c, 4, 1);
    }

    void no_page_before_the_confirmation() {
        const auto c = coin(1);
        broker_->sell(c);
        b_->pages = 0;
        b_->reopen();
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        broker_->down = true;
        expect(Taken::unavailable, b_->pay(from(c, 3, *a_, 1)));
        broker_->down = false;
        clock_->t += 3;
        CPPUNIT_ASSERT(b_->keeper->confirm(c.terms.tag));
        sell(*b_, c, 3, 2);
        rounds();
        expect(Taken::held, a_->pay(from(c, 4, *b_, 3)));
        sell(*a_, c, 4, 1);
        rounds();
        // In one go, as long as the broker answers.
        expect(Taken::held, b_->pay(from(c, 5, *a_, 4)));
        CPPUNIT_ASSERT(confirmed(*b_, c));
    }

    void an_unconfirmed_coin_is_not_let_go() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        int woken = 0;
        b_->keeper->on_urgent([&] { ++woken; });
        expect(Taken::held, b_->pay(from(c, 3, *a_, 1)));
        CPPUNIT_ASSERT_EQUAL(1, woken);
        sell(*b_, c, 3, 1);
        const auto answer = ask(*b_, *c_, c, 3, std::nullopt);
        CPPUNIT_ASSERT_EQUAL(503, answer.status);
        CPPUNIT_ASSERT(answer.retry_after_s >= 1 && answer.retry_after_s <= 2);
        CPPUNIT_ASSERT(answer.body.find("urn:netpay:problem:unconfirmed") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(2, woken);
        const auto got = c_->pay(from(c, 4, *b_, 3));
        expect(Taken::unavailable, got);
        CPPUNIT_ASSERT(got.retry_after_s <= 2);
        b_->keeper->housekeeping();
        clock_->t += 3;
        expect(Taken::held, c_->pay(from(c, 4, *b_, 3)));
    }

    void reports_are_retried_with_backoff() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        broker_->down = true;
        expect(Taken::held, b_->pay(from(c, 3, *a_, 1)));
        // Counted at the log of the broker's transport: down, it counts nothing, so by what the keeper saw fail.
        for (int s = 0; s < 3600; ++s) {
            clock_->t += 1;
            b_->keeper->housekeeping();
        }
        const auto failed = b_->keeper->health().reports_failed;
        CPPUNIT_ASSERT_MESSAGE(std::to_string(failed), failed >= 15 && failed <= 80);
        broker_->down = false;
        int waited = 0;
        while (!confirmed(*b_, c)) {
            clock_->t += 1;
            b_->keeper->housekeeping();
            CPPUNIT_ASSERT(++waited <= 300);
        }
        CPPUNIT_ASSERT_EQUAL(1, calls("custody/transfer"));
    }

    void a_lost_report_is_repeated() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        expect(Taken::held, b_->pay(from(c, 3, *a_, 1)));
        broker_->lose = true;
        b_->keeper->housekeeping();
        CPPUNIT_ASSERT(!confirmed(*b_, c));
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, broker_->epochs[c.terms.coin].size());
        broker_->lose = false;
        b_->reopen();
        for (int i = 0; i < 10; ++i) {
            clock_->t += 1;
            b_->keeper->housekeeping();
        }
        CPPUNIT_ASSERT(confirmed(*b_, c));
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, broker_->epochs[c.terms.coin].size());
        held_at(*b_, c, 2, 1);
    }

    void the_broker_decides_for_another() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        // A signs for B what it has signed for C before, behind its till's back.
        const auto lie = sign_index({a_->origin, b_->origin, c.terms.coin, 1, 1, c.chain.at(1), clock_->now(), clock_->now() + 1000}, a_->key);
        expect(Taken::held, c_->pay(from(c, 2, *a_, 1)));
        c_->keeper->housekeeping();
        const auto honest = net_->sites[a_->origin];
        net_->sites[a_->origin] = [&](const std::string&) {
            return HttpAnswer{200, json::Object().set("touchstone", c.touchstone).set("index", lie).jcs(), {}, 0, 0};
        };
        expect(Taken::held, b_->pay(from(c, 3, *a_, 1)));
        sell(*b_, c, 3, 1);
        b_->keeper->housekeeping();
        CPPUNIT_ASSERT(b_->entry(c)->standing == Standing::dropped);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, b_->keeper->health().dropped);
        CPPUNIT_ASSERT(b_->log.has("is dropped"));
        CPPUNIT_ASSERT_EQUAL(404, ask(*b_, *d_, c, 3, std::nullopt).status);
        // The lie again does not bring it back; the true holder does.
        net_->sites[a_->origin] = honest;
        clock_->t += 3;
        expect(Taken::held, b_->pay(c.shown(4)));
        held_at(*b_, c, 3, 1);
    }

    void an_unconfirmed_lease_that_ended() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(1)));
        sell(*a_, c, 1, 1);
        clock_->t += 86390;
        broker_->down = true;
        expect(Taken::held, b_->pay(from(c, 3, *a_, 1)));
        sell(*b_, c, 3, 1);
        clock_->t += 60;
        broker_->down = false;
        // It is confirmed, by which it has a lease of its own.
        expect(Taken::held, b_->pay(c.shown(4)));
        held_at(*b_, c, 2, 1);
        CPPUNIT_ASSERT_EQUAL(clock_->now() + 86400, b_->entry(c)->coin.lease);
    }

    SignedIndex index_of(const TestCoin& c, const Site& by, const Site& to) {
        return {by.origin, to.origin, c.terms.coin, 1, 2, c.chain.at(2), clock_->now(), clock_->now() + 1000};
    }

    void bad_answers_of_a_holder() {
        const auto c = coin(1), other = coin(2);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        std::string answer;
        int status = 200;
        net_->sites[a_->origin] = [&](const std::string&) { return HttpAnswer{status, answer, {}, 0, 0}; };
        const auto tried = [&](const std::string& name, bool direct) {
            clock_->t += 20;
            const auto got = b_->pay(direct ? from(c, 5, *a_, 2) : c.shown(5));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name + ": " + got.detail, static_cast<int>(Taken::unavailable), static_cast<int>(got.taken));
            CPPUNIT_ASSERT_MESSAGE(name, !b_->entry(c));
        };
        const std::map<std::string, std::function<void(SignedIndex&)>> bends = {
            {"another signer", [&](SignedIndex& i) { i.iss = c_->origin; }},
            {"ourselves", [&](SignedIndex& i) { i.iss = b_->origin; }},
            {"another addressee", [&](SignedIndex& i) { i.aud = c_->origin; }},
            {"another coin", [&](SignedIndex& i) { i.coin = other.terms.coin; }},
            {"another payword", [&](SignedIndex& i) { i.payword = c.chain.at(3); }},
            {"another chain", [&](SignedIndex& i) { i.payword = other.chain.at(2); }},
            {"beyond the chain", [](SignedIndex& i) { i.index = 101; }},
            {"lease over", [&](SignedIndex& i) { i.exp = clock_->now() - 1; }},
            {"in the future", [&](SignedIndex& i) { i.iat = clock_->now() + 61; }},
            {"a lease no broker gives", [&](SignedIndex& i) { i.exp = i.iat + 30 * 86400 + 61; }},
            {"a lease beyond the coin's life", [&](SignedIndex& i) { i.exp = c.terms.exp + 1; }},
            {"a lease for ever", [&](SignedIndex& i) { i.exp = INT64_MAX; }},
        };
        for (const auto& [name, bend] : bends)
            for (const bool direct : {false, true}) {
                clock_->t += 20;
                auto i = index_of(c, *a_, *b_);
                i.iat += 20;
                i.exp += 20;
                bend(i);
                if (name == "in the future") i.iat += 40;
                answer = json::Object().set("touchstone", c.touchstone).set("index", sign_index(i, a_->key)).jcs();
                tried(name, direct);
            }
        // Against what was asked: another epoch.
        auto i = index_of(c, *a_, *b_);
        i.epoch = 7;
        answer = json::Object().set("index", sign_index(i, a_->key)).jcs();
        tried("another epoch", false);
        answer = json::Object().set("index", sign_index(index_of(c, *a_, *b_), key_of(99))).jcs();
        tried("another key", true);
        tried("another key", false);
        for (const std::string& junk : {std::string(), std::string("{}"), std::string("[]"), std::string("{"), std::string(R"({"index":7})"),
                                       std::string(R"({"index":"a.b.c"})"), std::string(100000, '[')}) {
            for (const int s : {200, 302, 400, 404, 409, 410, 422, 500, 503}) {
                answer = junk;
                status = s;
                tried("status " + std::to_string(s), s % 2);
            }
        }
    }

    void bad_answers_of_a_holder_that_gave_it_away() {
        const auto c = coin(1), other = coin(2);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        std::string index, certificate;
        net_->sites[a_->origin] = [&](const std::string&) {
            return HttpAnswer{410, json::Object().set("index", index).set("certificate", certificate).jcs(), {}, 0, 0};
        };
        const auto tried = [&](const char* name) {
            clock_->t += 20;
            net_->calls.clear();
            const auto got = b_->pay(c.shown(5));
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name + got.detail, static_cast<int>(Taken::unavailable), static_cast<int>(got.taken));
            for (const auto& [origin, n] : net_->calls) CPPUNIT_ASSERT_EQUAL_MESSAGE(name, a_->origin, origin);
            CPPUNIT_ASSERT(!b_->entry(c));
        };
        const auto good = [&] { return index_of(c, *a_, *c_); };
        certificate = broker_->certificate(d_->origin);
        index = sign_index(good(), a_->key);
        tried("a certificate of another vendor: ");
        certificate = sign_certificate({broker_origin, c_->origin, c_->key.public_key(), handoff_of(c_->origin), clock_->now(), clock_->now() + 100}, key_of(99));
        tried("a certificate the broker did not sign: ");
        certificate = broker_->certificate(c_->origin, c_->key, clock_->now() - 31 * 86400);
        tried("an expired certificate: ");
        certificate = broker_->certificate(c_->origin);
        const std::vector<std::function<void(SignedIndex&)>> bends = {
            [&](SignedIndex& i) { i.iss = d_->origin; }, [&](SignedIndex& i) { i.coin = other.terms.coin; },
            [&](SignedIndex& i) { i.epoch = 2; },        [&](SignedIndex& i) { i.payword = c.chain.at(3); }};
        for (const auto& bend : bends) {
            auto i = good();
            bend(i);
            index = sign_index(i, a_->key);
            tried("a bad index: ");
        }
        index = sign_index(good(), key_of(99));
        tried("signed by another key: ");
        // Round and round: an end is made of it.
        const auto again = [&](Site& by, Site& to) {
            net_->sites[by.origin] = [&, first = index_of(c, by, to)](const std::string& body) mutable {
                const auto doc = json::Document::parse(body);
                const auto request = jws::peek(*doc->root().string("request"));
                first.epoch = request->root().uint("epoch").value_or(1);
                return HttpAnswer{410, json::Object().set("index", sign_index(first, by.key)).set("certificate", broker_->certificate(to.origin)).jcs(), {}, 0, 0};
            };
        };
        again(*a_, *c_);
        again(*c_, *d_);
        again(*d_, *a_);
        clock_->t += 20;
        net_->calls.clear();
        expect(Taken::unavailable, b_->pay(c.shown(5)));
        int asked = 0;
        for (const auto& [origin, n] : net_->calls) asked += n;
        CPPUNIT_ASSERT_EQUAL(4, asked);
    }

    void given_to_ourselves() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        const auto index = sign_index(index_of(c, *a_, *b_), a_->key);
        net_->sites[a_->origin] = [&](const std::string&) {
            return HttpAnswer{410, json::Object().set("index", index).set("certificate", broker_->certificate(b_->origin)).jcs(), {}, 0, 0};
        };
        expect(Taken::held, b_->pay(c.shown(5)));
        held_at(*b_, c, 2, 2);
        CPPUNIT_ASSERT_EQUAL(index, b_->entry(c)->coin.indices.back());
        // Given to the broker: it was returned.
        const auto to_broker = [&] {
            auto i = index_of(c, *a_, *b_);
            i.aud = broker_origin;
            return sign_index(i, a_->key);
        }();
        net_->sites[a_->origin] = [&](const std::string&) { return HttpAnswer{410, json::Object().set("index", to_broker).jcs(), {}, 0, 0}; };
        expect(Taken::refused, c_->pay(c.shown(5)));
    }

    void a_broker_that_names_a_holder_badly() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        // The broker knows A by a key that is not in the list any more: A's certificate is in its answer.
        broker_->vendors[a_->origin].listed = false;
        clock_->t += 301;
        b_->keeper->housekeeping();
        expect(Taken::held, b_->pay(from(c, 5, *a_, 2)));
        held_at(*b_, c, 2, 2);
        rounds();
        CPPUNIT_ASSERT(confirmed(*b_, c));
    }

    void parallel_requests_make_one_hand_over() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        net_->before = [](const std::string&) { std::this_thread::sleep_for(std::chrono::milliseconds(100)); };
        const auto second = b_->make();   // as another process would have it
        std::atomic<int> held = 0, ways = 0;
        std::vector<std::thread> threads;
        for (std::uint32_t i = 0; i < 16; ++i)
            threads.emplace_back([&, i] {
                auto& k = i % 2 ? *b_->keeper : *second;
                const auto got = k.acquire(from(c, 3 + i, *a_, 2), 1000);
                held += got.taken == Taken::held;
                ways += !got.way.empty();
            });
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(16, held.load());
        CPPUNIT_ASSERT_EQUAL(1, ways.load());
        CPPUNIT_ASSERT_EQUAL(1, net_->calls[a_->origin]);
    }

    void a_crash_in_the_middle_of_a_call_leaves_nothing_locked() {
        struct Crash {};
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        net_->before = [](const std::string&) { throw Crash{}; };
        for (int i = 0; i < 10; ++i) {
            clock_->t += 3;
            CPPUNIT_ASSERT_THROW(b_->pay(from(c, 4, *a_, 2)), Crash);
        }
        net_->before = {};
        clock_->t += 3;
        expect(Taken::held, b_->pay(from(c, 4, *a_, 2)));
    }

    void spent_beyond_the_payword_shown() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(9)));
        sell(*a_, c, 9, 9);
        // An old backup of the wallet: it gets the coin here, and nothing for it.
        expect(Taken::held, b_->pay(c.shown(4)));
        held_at(*b_, c, 2, 9);
        rounds();
        expect(Taken::refused, c_->pay(c.shown(4)));
        CPPUNIT_ASSERT(!c_->entry(c));
        expect(Taken::held, c_->pay(c.shown(10)));
    }

    void a_clock_that_is_wrong() {
        const auto c = coin(1), d = coin(2);
        broker_->sell(c);
        broker_->sell(d);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        for (const std::int64_t ahead : {61, -61}) {
            broker_->clock_ahead = ahead > 0 ? 60 : -60;
            clock_->t += 301;
            a_->keeper->housekeeping();
            CPPUNIT_ASSERT(a_->keeper->clock_good());
            broker_->clock_ahead = ahead;
            clock_->t += 301;
            const auto second = a_->make();
            a_->keeper->housekeeping();
            CPPUNIT_ASSERT(!a_->keeper->clock_good());
            CPPUNIT_ASSERT(!a_->keeper->health().clock_good);
            CPPUNIT_ASSERT_EQUAL(-ahead, a_->keeper->health().skew_s);
            CPPUNIT_ASSERT(a_->log.has("clock is 61 s"));
            expect(Taken::unavailable, a_->pay(d.shown(2)));
            CPPUNIT_ASSERT_EQUAL(503, ask(*a_, *b_, c, 3, 1).status);
            // What one process measured the others know.
            second->housekeeping();
            CPPUNIT_ASSERT(!second->clock_good());
            broker_->clock_ahead = 0;
            clock_->t += 31;
            a_->keeper->housekeeping();
            CPPUNIT_ASSERT(a_->keeper->clock_good());
            second->housekeeping();
            CPPUNIT_ASSERT(second->clock_good());
        }
        expect(Taken::held, a_->pay(d.shown(2)));
        // Without a Date a token from the future tells.
        broker_->with_date = false;
        clock_->t -= 100;
        c_->reopen();
        const auto e = coin(3);
        broker_->sell(e);
        expect(Taken::held, b_->pay(e.shown(1)));
        broker_->epochs[e.terms.coin].back().vendor = c_->origin;
        broker_->epochs[e.terms.coin].back().custody =
            sign_custody({broker_origin, c_->origin, e.terms.coin, 1, 0, e.chain.at(0), clock_->now() + 61, clock_->now() + 1000}, broker_->signing);
        (void)c_->pay(e.shown(1));
        CPPUNIT_ASSERT(!c_->keeper->clock_good());
    }

    // Started before another process of its vendor had keys and list, and asked before its first round.
    void a_process_that_has_not_looked_yet() {
        const auto c = coin(1);
        broker_->sell(c);
        for (auto* s : {a_.get(), b_.get()}) std::filesystem::remove_all(s->dir.path + "/brokers");
        const auto a = a_->make(), b = b_->make();
        CPPUNIT_ASSERT(!a->ready() && !b->ready());
        clock_->t += 301;
        rounds();
        expect(Taken::held, a_->pay(c.shown(3)));
        sell(*a_, c, 3, 3);
        broker_->down = true;
        net_->sites[a_->origin] = [&](const std::string& body) {
            const auto answer = a->hand_over(body);
            return HttpAnswer{answer.status, answer.body, {}, static_cast<long>(answer.retry_after_s), 0};
        };
        expect(Taken::held, b->acquire(from(c, 5, *a_, 3), 1000));
    }

    // Whoever has the key shows the certificate over it as long as it lasts.
    void a_key_that_was_revoked() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        const auto revoked = broker_->certificate(c_->origin);
        broker_->vendors[c_->origin].keys = {};
        broker_->vendors[c_->origin].keys.push_back(key_of(31));
        clock_->t += 301;
        b_->keeper->housekeeping();
        const UnixTime list = b_->keeper->health().list_fetched;
        CPPUNIT_ASSERT_EQUAL(clock_->now(), list);
        net_->sites[a_->origin] = [&, index = sign_index(index_of(c, *a_, *c_), a_->key)](const std::string&) {
            return HttpAnswer{410, json::Object().set("index", index).set("certificate", revoked).jcs(), {}, 0, 0};
        };
        UnixTime at = 0;
        net_->sites[c_->origin] = [&](const std::string&) {
            auto i = index_of(c, *c_, *b_);
            i.epoch = 2;
            i.iat = at;
            return HttpAnswer{200, json::Object().set("touchstone", c.touchstone).set("index", sign_index(i, c_->key)).jcs(), {}, 0, 0};
        };
        for (const UnixTime after : {1, 5, 20}) {
            clock_->t += 20;
            at = list + after;
            expect(Taken::unavailable, b_->pay(c.shown(5)));
            CPPUNIT_ASSERT(!b_->entry(c));
        }
        // What was signed before may have been signed before the key was revoked: the broker will say.
        clock_->t += 20;
        at = list - 50;
        expect(Taken::held, b_->pay(c.shown(5)));
    }

    void key_rollover() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, a_->pay(c.shown(2)));
        sell(*a_, c, 2, 2);
        // A has a new key beside the old one; what the old one signs is good while its certificate lasts.
        clock_->t += 301;
        auto& keys = broker_->vendors[a_->origin].keys;
        keys.push_back(key_of(31));
        rounds();
        clock_->t += 301;
        rounds();
        expect(Taken::held, b_->pay(c.shown(4)));
        rounds();
        CPPUNIT_ASSERT(confirmed(*b_, c));
        a_->key = key_of(31);
        a_->reopen();
        expect(Taken::held, a_->pay(c.shown(5)));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TravelTest);

}  // namespace
}  // namespace netpay::custody_test
