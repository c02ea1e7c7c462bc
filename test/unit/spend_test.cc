#include "core/spend.h"

#include <algorithm>
#include <map>
#include <set>
#include <vector>

#include "core/challenge.h"
#include "core_support.h"

namespace netpay::test {
namespace {

constexpr UnixTime never = 1ll << 40;

Tag16 resource(unsigned k) { return resource_binding("GET", "https://news.example/" + std::to_string(k)); }

class TicketSetTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TicketSetTest);
    CPPUNIT_TEST(neighbours_join);
    CPPUNIT_TEST(inserting_twice_changes_nothing);
    CPPUNIT_TEST(overflow_merges_the_lowest_two);
    CPPUNIT_TEST(overflow_by_the_lowest_and_second_lowest);
    CPPUNIT_TEST(never_unuses);
    CPPUNIT_TEST(agrees_with_a_set_while_it_fits);
    CPPUNIT_TEST(stored_sets_are_checked);
    CPPUNIT_TEST_SUITE_END();

    static std::string text(const TicketSet& t) {
        std::string out;
        for (std::uint32_t k = 0; k < t.size(); ++k) out += std::to_string(t[k].first) + "-" + std::to_string(t[k].last) + " ";
        return out;
    }
    // 10, 20, 30, … : as many ranges as fit.
    static TicketSet full() {
        TicketSet t;
        for (std::uint32_t k = 1; k <= limits::ticket_ranges; ++k) t.insert(10 * k);
        CPPUNIT_ASSERT_EQUAL(limits::ticket_ranges, std::size_t{t.size()});
        return t;
    }

    void neighbours_join() {
        TicketSet t;
        for (const std::uint32_t i : {5u, 1u, 3u}) t.insert(i);
        CPPUNIT_ASSERT_EQUAL("1-1 3-3 5-5 "s, text(t));
        t.insert(4);
        CPPUNIT_ASSERT_EQUAL("1-1 3-5 "s, text(t));
        t.insert(2);
        CPPUNIT_ASSERT_EQUAL("1-5 "s, text(t));
        t.insert(6);
        CPPUNIT_ASSERT_EQUAL("1-6 "s, text(t));
        CPPUNIT_ASSERT(t.contains(1) && t.contains(6) && !t.contains(0) && !t.contains(7));
    }

    void inserting_twice_changes_nothing() {
        auto t = full();
        const auto before = text(t);
        t.insert(10);
        t.insert(640);
        CPPUNIT_ASSERT_EQUAL(before, text(t));
    }

    void overflow_merges_the_lowest_two() {
        auto t = full();
        t.insert(5000);
        CPPUNIT_ASSERT_EQUAL(limits::ticket_ranges, std::size_t{t.size()});
        CPPUNIT_ASSERT(t[0].first == 10 && t[0].last == 20 && t[1].first == 30);
        for (std::uint32_t i = 10; i <= 20; ++i) CPPUNIT_ASSERT_MESSAGE("the gap counts as used", t.contains(i));
        CPPUNIT_ASSERT(!t.contains(9) && !t.contains(21) && t.contains(5000) && t.valid(5000));
        t.insert(35);
        CPPUNIT_ASSERT(t[0].first == 10 && t[0].last == 30 && t[1].first == 35 && t[2].first == 40 && t.valid(5000));
    }

    void overflow_by_the_lowest_and_second_lowest() {
        auto t = full();
        t.insert(3);  // the lowest two are then 3 and 10
        CPPUNIT_ASSERT(t[0].first == 3 && t[0].last == 10 && t[1].first == 20 && t.valid(5000));
        t = full();
        t.insert(13);  // 10 and 13
        CPPUNIT_ASSERT(t[0].first == 10 && t[0].last == 13 && t[1].first == 20 && t.valid(5000));
    }

    void never_unuses() {
        for (std::uint32_t seed = 0; seed < 40; ++seed) {
            Random random(seed);
            TicketSet t;
            std::set<std::uint32_t> used;
            for (int i = 0; i < 1500; ++i) {
                const auto ticket = 1 + random.below(20000);
                t.insert(ticket);
                used.insert(ticket);
                CPPUNIT_ASSERT(t.valid(20000));
            }
            for (const auto u : used) CPPUNIT_ASSERT_MESSAGE("seed " + std::to_string(seed), t.contains(u));
            // What is not used but counts as used lies in the lowest range alone.
            for (std::uint32_t i = t[0].last + 1; i <= 20000; ++i) CPPUNIT_ASSERT_EQUAL(used.count(i) == 1, t.contains(i));
        }
    }

    void agrees_with_a_set_while_it_fits() {
        for (std::uint32_t seed = 100; seed < 140; ++seed) {
            Random random(seed);
            TicketSet t;
            std::set<std::uint32_t> used;
            for (int i = 0; i < 400; ++i) {
                const auto ticket = 1 + random.below(250);  // at most 125 ranges
                t.insert(ticket);
                used.insert(ticket);
            }
            for (std::uint32_t i = 0; i <= 251; ++i) CPPUNIT_ASSERT_EQUAL(used.count(i) == 1, t.contains(i));
        }
    }

    void stored_sets_are_checked() {
        auto make = [](std::vector<TicketSet::Range> ranges) {
            TicketSet t;
            for (const auto& r : ranges) t.append(r);
            return t;
        };
        CPPUNIT_ASSERT(make({}).valid(10) && make({{1, 10}}).valid(10) && make({{1, 1}, {3, 3}}).valid(3));
        CPPUNIT_ASSERT(!make({{0, 1}}).valid(10) && !make({{1, 11}}).valid(10) && !make({{5, 4}}).valid(10));
        CPPUNIT_ASSERT(!make({{1, 2}, {3, 4}}).valid(10) && !make({{1, 5}, {4, 6}}).valid(10) && !make({{5, 6}, {1, 2}}).valid(10));
        CPPUNIT_ASSERT(!make({{1, UINT32_MAX}, {1, 2}}).valid(UINT32_MAX));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TicketSetTest);

// One chain for all: making it costs more than the tests.
const Chain& chain() {
    static const Chain c(salt_of(1), word_of(2), 4000);
    return c;
}

class SpendTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(SpendTest);
    CPPUNIT_TEST(reserved_is_not_spent);
    CPPUNIT_TEST(released_costs_nothing_and_can_be_tried_again);
    CPPUNIT_TEST(settling_needs_a_reservation);
    CPPUNIT_TEST(one_ticket_under_way_is_busy);
    CPPUNIT_TEST(money_under_way_is_busy_not_insufficient);
    CPPUNIT_TEST(too_many_under_way_are_busy);
    CPPUNIT_TEST(a_forged_word_changes_nothing);
    CPPUNIT_TEST(order_of_the_refusals);
    CPPUNIT_TEST(indices_outside_the_chain);
    CPPUNIT_TEST(start_index_and_below_are_used);
    CPPUNIT_TEST(hops);
    CPPUNIT_TEST(times_are_inclusive);
    CPPUNIT_TEST(replays_of_the_same_resource_by_get);
    CPPUNIT_TEST(replays_without_grace);
    CPPUNIT_TEST(the_oldest_recent_ticket_is_forgotten_not_unused);
    CPPUNIT_TEST(balance_is_spent_page_by_page);
    CPPUNIT_TEST(a_state_that_spent_more_meanwhile_is_not_overdrawn);
    CPPUNIT_TEST(a_page_given_back_costs_nothing_and_buys_nothing);
    CPPUNIT_TEST(what_is_not_given_back);
    CPPUNIT_TEST(agrees_with_a_naive_model);
    CPPUNIT_TEST(interleavings_never_oversell);
    CPPUNIT_TEST_SUITE_END();

    SpendState s_ = fresh();
    Reservations open_;
    SpendRules rules_;

    static SpendState fresh(std::uint32_t start = 0) {
        return SpendState::taken_over(chain().salt(), chain().n(), start, chain().at(start), never, never);
    }
    static Payment pay(std::uint64_t index, std::uint32_t units, unsigned key = 0, UnixTime now = 0) {
        Payment p;
        p.index = index;
        p.word = index <= chain().n() ? chain().at(static_cast<std::uint32_t>(index)) : word_of(9);
        p.units = units;
        p.resource = resource(key);
        p.is_get = true;
        p.now = now;
        return p;
    }
    Verdict reserve_(const Payment& p, std::uint64_t owner = 1) { return reserve(s_, open_, p, rules_, owner).verdict; }
    Verdict sell(const Payment& p) {
        const auto v = reserve_(p);
        if (v == Verdict::paid) CPPUNIT_ASSERT(settle(s_, open_, p));
        return v;
    }
    static bool same(const SpendState& a, const SpendState& b) {
        bool tickets = a.tickets.size() == b.tickets.size();
        for (std::uint32_t k = 0; tickets && k < a.tickets.size(); ++k)
            tickets = a.tickets[k].first == b.tickets[k].first && a.tickets[k].last == b.tickets[k].last;
        return tickets && a.spent == b.spent && a.revealed == b.revealed && a.word == b.word;
    }

    void reserved_is_not_spent() {
        const auto p = pay(20, 20);
        CPPUNIT_ASSERT(reserve_(p) == Verdict::paid);
        CPPUNIT_ASSERT(s_.spent == 0 && s_.revealed == 20 && s_.word == chain().at(20) && !s_.tickets.contains(20));
        CPPUNIT_ASSERT(open_.units() == 20 && open_.find(20)->owner == 1 && !open_.empty());
        CPPUNIT_ASSERT(settle(s_, open_, p));
        CPPUNIT_ASSERT(s_.spent == 20 && s_.tickets.contains(20) && open_.empty());
    }

    void released_costs_nothing_and_can_be_tried_again() {
        const auto p = pay(20, 20);
        CPPUNIT_ASSERT(reserve_(p) == Verdict::paid);
        release(open_, 20);
        CPPUNIT_ASSERT(open_.empty() && s_.spent == 0 && !s_.tickets.contains(20));
        release(open_, 20);
        release(open_, 0);
        CPPUNIT_ASSERT(sell(p) == Verdict::paid && s_.spent == 20);
    }

    void settling_needs_a_reservation() {
        CPPUNIT_ASSERT(!settle(s_, open_, pay(20, 20)) && !settle(s_, open_, pay(0, 1)));
        CPPUNIT_ASSERT(sell(pay(20, 20)) == Verdict::paid);
        CPPUNIT_ASSERT_MESSAGE("not twice", !settle(s_, open_, pay(20, 20)));
        CPPUNIT_ASSERT(s_.spent == 20);
    }

    void one_ticket_under_way_is_busy() {
        CPPUNIT_ASSERT(reserve_(pay(20, 10)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(20, 10)) == Verdict::busy);
        CPPUNIT_ASSERT(reserve_(pay(20, 10, 7)) == Verdict::busy);
        CPPUNIT_ASSERT(settle(s_, open_, pay(20, 10)));
        CPPUNIT_ASSERT(reserve_(pay(20, 10)) == Verdict::replayed);
        CPPUNIT_ASSERT(reserve_(pay(20, 10, 7)) == Verdict::already_spent);
    }

    void money_under_way_is_busy_not_insufficient() {
        CPPUNIT_ASSERT(reserve_(pay(20, 20)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(19, 5)) == Verdict::busy);
        CPPUNIT_ASSERT(reserve_(pay(19, 21)) == Verdict::insufficient);  // whatever becomes of the other
        CPPUNIT_ASSERT(reserve_(pay(25, 5)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(24, 1)) == Verdict::busy);
        release(open_, 20);
        CPPUNIT_ASSERT(reserve_(pay(19, 5)) == Verdict::paid);
        CPPUNIT_ASSERT(open_.units() == 10);
    }

    void too_many_under_way_are_busy() {
        for (std::uint32_t i = 1; i <= limits::open_reservations; ++i) CPPUNIT_ASSERT(reserve_(pay(i, 1)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(100, 1)) == Verdict::busy);
        CPPUNIT_ASSERT_EQUAL(100u, s_.revealed);
        release(open_, 5);
        CPPUNIT_ASSERT(reserve_(pay(100, 1)) == Verdict::paid);
    }

    void a_forged_word_changes_nothing() {
        CPPUNIT_ASSERT(sell(pay(20, 10)) == Verdict::paid);
        const auto before = s_;
        for (const std::uint64_t j : {5u, 19u, 20u, 21u, 500u}) {
            for (const std::size_t byte : {0u, 31u}) {
                auto p = pay(j, 1);
                p.word.bytes[byte] ^= 1;
                const auto judged = reserve(s_, open_, p, rules_, 1);
                CPPUNIT_ASSERT(judged.verdict == Verdict::forged && !judged.changed);
            }
        }
        auto shifted = pay(30, 1);
        shifted.word = chain().at(31);
        CPPUNIT_ASSERT(reserve_(shifted) == Verdict::forged);
        CPPUNIT_ASSERT(same(before, s_) && open_.empty());
    }

    void order_of_the_refusals() {
        s_.lease = s_.exp = 100;
        auto p = pay(5000, 1, 0, 101);
        CPPUNIT_ASSERT(reserve_(p) == Verdict::lease_over);
        s_.lease = never;
        CPPUNIT_ASSERT(reserve_(p) == Verdict::expired);
        p.now = 100;
        CPPUNIT_ASSERT(reserve_(p) == Verdict::forged);
        rules_.max_hop = 10;
        auto far = pay(11, 1);
        far.word = word_of(9);
        CPPUNIT_ASSERT_MESSAGE("without hashing", reserve_(far) == Verdict::hop_too_long);
        CPPUNIT_ASSERT(reserve_(pay(5, 6)) == Verdict::insufficient);
        CPPUNIT_ASSERT_EQUAL(5u, s_.revealed);
    }

    void indices_outside_the_chain() {
        rules_.max_hop = UINT32_MAX;
        for (const std::uint64_t j : {std::uint64_t{0}, std::uint64_t{chain().n()} + 1, std::uint64_t{UINT32_MAX}, std::uint64_t{1} << 32,
                                      (std::uint64_t{1} << 32) + 5, (std::uint64_t{1} << 53) - 1, UINT64_MAX})
            CPPUNIT_ASSERT(reserve_(pay(j, 1)) == Verdict::forged);
        CPPUNIT_ASSERT(sell(pay(chain().n(), chain().n())) == Verdict::paid);
        CPPUNIT_ASSERT_EQUAL(chain().n(), s_.spent);
        const auto j = reserve(s_, open_, pay(7, 1), rules_, 1);
        CPPUNIT_ASSERT(j.verdict == Verdict::insufficient && j.needed == chain().n() + 1);
    }

    void start_index_and_below_are_used() {
        s_ = fresh(50);
        CPPUNIT_ASSERT(s_.spent == 50 && s_.revealed == 50);
        CPPUNIT_ASSERT(reserve_(pay(50, 1)) == Verdict::already_spent && reserve_(pay(1, 1)) == Verdict::already_spent);
        CPPUNIT_ASSERT(sell(pay(51, 1)) == Verdict::paid && s_.spent == 51);
    }

    void hops() {
        rules_.max_hop = 100;
        CPPUNIT_ASSERT(reserve_(pay(101, 1)) == Verdict::hop_too_long);
        CPPUNIT_ASSERT(sell(pay(100, 1)) == Verdict::paid);
        CPPUNIT_ASSERT(sell(pay(200, 1)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(99, 1)) == Verdict::hop_too_long);
        rules_.max_hop = 101;
        CPPUNIT_ASSERT(sell(pay(99, 1)) == Verdict::paid);
    }

    void times_are_inclusive() {
        s_.lease = 50;
        s_.exp = 40;
        CPPUNIT_ASSERT(sell(pay(1, 1, 0, 40)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(2, 1, 0, 41)) == Verdict::expired);
        CPPUNIT_ASSERT(reserve_(pay(2, 1, 0, 51)) == Verdict::lease_over);
        CPPUNIT_ASSERT_MESSAGE("not even a replay", reserve_(pay(1, 1, 0, 41)) == Verdict::expired);
    }

    void replays_of_the_same_resource_by_get() {
        CPPUNIT_ASSERT(sell(pay(20, 20, 1, 1000)) == Verdict::paid);
        auto post = pay(20, 20, 1, 1000);
        post.is_get = false;
        CPPUNIT_ASSERT(reserve_(post) == Verdict::already_spent);
        CPPUNIT_ASSERT(reserve_(pay(20, 20, 2, 1000)) == Verdict::already_spent);
        const auto first = reserve(s_, open_, pay(20, 20, 1, 1300), rules_, 1);
        CPPUNIT_ASSERT(first.verdict == Verdict::replayed && first.changed);
        CPPUNIT_ASSERT(reserve_(pay(20, 20, 1, 1301)) == Verdict::already_spent);
        CPPUNIT_ASSERT(reserve_(pay(20, 20, 1, 1300)) == Verdict::replayed && reserve_(pay(20, 20, 1, 1300)) == Verdict::replayed);
        CPPUNIT_ASSERT(reserve_(pay(20, 20, 1, 1300)) == Verdict::already_spent);
        CPPUNIT_ASSERT(s_.spent == 20 && open_.empty());
    }

    Unspent unspend_(std::uint32_t index, unsigned key, UnixTime not_before = 0, std::uint32_t floor = 0) {
        std::uint32_t units = 0;
        const auto u = unspend(s_, {index, resource(key), not_before, floor}, units);
        if (u != Unspent::done) CPPUNIT_ASSERT_EQUAL(0u, units);
        return u;
    }

    void a_page_given_back_costs_nothing_and_buys_nothing() {
        CPPUNIT_ASSERT(sell(pay(20, 5, 1, 1000)) == Verdict::paid && sell(pay(30, 7, 2, 1001)) == Verdict::paid);
        std::uint32_t units = 0;
        CPPUNIT_ASSERT(unspend(s_, {20, resource(1), 1000, 0}, units) == Unspent::done);
        CPPUNIT_ASSERT(units == 5 && s_.spent == 7 && s_.revealed == 30 && s_.tickets.contains(20));
        CPPUNIT_ASSERT(reserve_(pay(20, 5, 1, 1001)) == Verdict::already_spent);
        CPPUNIT_ASSERT(reserve_(pay(30, 7, 2, 1001)) == Verdict::replayed);  // the other page is hers still
        CPPUNIT_ASSERT(unspend_(20, 1) == Unspent::unknown && s_.spent == 7);
        // All that was revealed is hers again, by another ticket: 30 - 7.
        CPPUNIT_ASSERT(reserve_(pay(29, 24)) == Verdict::insufficient && sell(pay(29, 23)) == Verdict::paid && s_.spent == 30);
    }

    void what_is_not_given_back() {
        CPPUNIT_ASSERT(unspend_(0, 0) == Unspent::unknown);
        CPPUNIT_ASSERT(sell(pay(20, 5, 1, 1000)) == Verdict::paid);
        CPPUNIT_ASSERT(unspend_(20, 2) == Unspent::unknown && unspend_(19, 1) == Unspent::unknown);
        CPPUNIT_ASSERT(unspend_(20, 1, 1001) == Unspent::too_late && unspend_(20, 1, 1000, 1) == Unspent::below);
        CPPUNIT_ASSERT(unspend_(20, 1, 0, 6) == Unspent::below);  // s itself is below what somebody was told
        CPPUNIT_ASSERT(reserve_(pay(20, 5, 1, 1000)) == Verdict::replayed && reserve_(pay(20, 5, 1, 1000)) == Verdict::replayed);
        CPPUNIT_ASSERT(unspend_(20, 1) == Unspent::reread && s_.spent == 5);
        // One that the store read in a form without the price.
        CPPUNIT_ASSERT(sell(pay(21, 1, 3)) == Verdict::paid);
        s_.recent[1].units = 0;
        CPPUNIT_ASSERT(unspend_(21, 3) == Unspent::unknown);
        // Nor what was sold before this custody.
        s_ = fresh(10);
        CPPUNIT_ASSERT(sell(pay(20, 10, 1)) == Verdict::paid);
        s_.start = 11;
        CPPUNIT_ASSERT(unspend_(20, 1) == Unspent::below);
        // The whole chain for one page; and as many more pages as are remembered.
        s_ = fresh();
        const auto n = chain().n();
        CPPUNIT_ASSERT(sell(pay(n, n, 1)) == Verdict::paid && unspend_(n, 1) == Unspent::done && s_.spent == 0);
        for (std::uint32_t i = 1; i <= 2 * limits::recent_tickets; ++i) {
            rules_.max_hop = n;
            CPPUNIT_ASSERT(sell(pay(i, 1, i)) == Verdict::paid);
            CPPUNIT_ASSERT(i % 3 != 0 || unspend_(i, i) == Unspent::done);
        }
        CPPUNIT_ASSERT_EQUAL(static_cast<std::uint32_t>(2 * limits::recent_tickets * 2 / 3), s_.spent);
    }

    void replays_without_grace() {
        rules_.grace_count = 0;
        CPPUNIT_ASSERT(sell(pay(20, 20)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(20, 20)) == Verdict::already_spent);
    }

    void the_oldest_recent_ticket_is_forgotten_not_unused() {
        for (std::uint32_t i = 1; i <= limits::recent_tickets + 1; ++i) CPPUNIT_ASSERT(sell(pay(i, 1)) == Verdict::paid);
        CPPUNIT_ASSERT(reserve_(pay(1, 1)) == Verdict::already_spent);
        CPPUNIT_ASSERT(reserve_(pay(2, 1)) == Verdict::replayed);
    }

    void balance_is_spent_page_by_page() {
        CPPUNIT_ASSERT(sell(pay(100, 20)) == Verdict::paid);
        for (std::uint32_t i = 96; i < 100; ++i) CPPUNIT_ASSERT(sell(pay(i, 20)) == Verdict::paid);
        CPPUNIT_ASSERT(s_.spent == 100 && s_.revealed == 100);
        const auto j = reserve(s_, open_, pay(50, 20), rules_, 1);
        CPPUNIT_ASSERT(j.verdict == Verdict::insufficient && j.needed == 120);
        CPPUNIT_ASSERT_MESSAGE("the ticket is not used", !s_.tickets.contains(50));
        CPPUNIT_ASSERT(sell(pay(120, 20)) == Verdict::paid);
    }

    void a_state_that_spent_more_meanwhile_is_not_overdrawn() {
        const auto p = pay(20, 20);
        CPPUNIT_ASSERT(reserve_(p) == Verdict::paid);
        s_.spent = 10;  // another host's copy was newer
        CPPUNIT_ASSERT_MESSAGE("no wrap of balance - reserved", reserve_(pay(19, 1)) == Verdict::busy);
        CPPUNIT_ASSERT(!settle(s_, open_, p));
        CPPUNIT_ASSERT(s_.spent == 10 && !s_.tickets.contains(20) && open_.empty());
    }

    // Section 6, written as plainly as it can be.
    struct Model {
        std::uint32_t n = 0, start = 0, s = 0, r = 0, max_hop = 0;
        struct Used { unsigned key; UnixTime at; unsigned replays; };
        std::map<std::uint32_t, Used> used;

        std::string judge(std::uint64_t j, bool genuine, std::uint32_t p, unsigned key, bool get, UnixTime now) {
            if (j < 1 || j > n) return "forged";
            if ((j > r ? j - r : r - j) > max_hop) return "hop-too-long";
            if (!genuine) return "forged";
            const auto ticket = static_cast<std::uint32_t>(j);
            r = std::max(r, ticket);
            if (ticket <= start) return "already-spent";
            if (const auto u = used.find(ticket); u != used.end()) {
                if (!get || u->second.key != key || now - u->second.at > 300 || u->second.replays >= 3) return "already-spent";
                ++u->second.replays;
                return "replayed";
            }
            if (r - s < p) return "insufficient " + std::to_string(s + p);
            s += p;
            used[ticket] = {key, now, 0};
            return "paid";
        }
    };
    static std::string name(const Judgement& j) {
        switch (j.verdict) {
            case Verdict::paid: return "paid";
            case Verdict::replayed: return "replayed";
            case Verdict::insufficient: return "insufficient " + std::to_string(j.needed);
            case Verdict::already_spent: return "already-spent";
            case Verdict::forged: return "forged";
            case Verdict::hop_too_long: return "hop-too-long";
            case Verdict::expired: return "expired";
            case Verdict::lease_over: return "lease-over";
            case Verdict::busy: return "busy";
        }
        return "?";
    }

    void agrees_with_a_naive_model() {
        for (std::uint32_t seed = 1; seed <= 150; ++seed) {
            Random random(seed);
            const auto start = random.below(3) ? 0 : random.below(200);
            s_ = fresh(start);
            open_ = {};
            rules_ = {};
            rules_.max_hop = 50 + random.below(500);
            // Few enough payments that no recent ticket is forgotten and no ranges merge: those have their own tests.
            Model m{chain().n(), start, start, start, rules_.max_hop, {}};
            UnixTime now = 0;
            for (int step = 0; step < 45; ++step) {
                now += random.below(120);
                std::uint64_t j = 0;
                switch (random.below(6)) {
                    case 0: j = random.below(chain().n() + 3); break;
                    case 1: j = m.used.empty() ? 1 : std::next(m.used.begin(), random.below(static_cast<std::uint32_t>(m.used.size())))->first; break;
                    case 2: j = m.r > 3 ? m.r - random.below(3) : 1; break;
                    default: j = m.r + 1 + random.below(40); break;
                }
                auto p = pay(j, 1 + random.below(30), random.below(3), now);
                p.is_get = random.below(5) != 0;
                const bool genuine = random.below(8) != 0;
                if (!genuine) p.word.bytes[random.below(32)] ^= static_cast<std::uint8_t>(1 + random.below(255));
                unsigned key = 0;
                while (resource(key) != p.resource) ++key;
                const auto judged = reserve(s_, open_, p, rules_, 1);
                if (judged.verdict == Verdict::paid) CPPUNIT_ASSERT(settle(s_, open_, p));
                const auto want = m.judge(j, genuine, p.units, key, p.is_get, now);
                const auto at = "seed " + std::to_string(seed) + ", step " + std::to_string(step) + ", index " + std::to_string(j);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, want, name(judged));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, m.s, s_.spent);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, m.r, s_.revealed);
                CPPUNIT_ASSERT_MESSAGE(at, s_.word == chain().at(s_.revealed));
            }
        }
    }

    // Reservations, settlements and releases in any order, many under way.
    void interleavings_never_oversell() {
        for (std::uint32_t seed = 1; seed <= 100; ++seed) {
            Random random(1000 + seed);
            s_ = fresh();
            open_ = {};
            std::vector<Payment> under_way;
            std::map<std::uint32_t, std::uint32_t> sold;
            std::uint64_t paid = 0;
            for (int step = 0; step < 400; ++step) {
                const auto at = "seed " + std::to_string(seed) + ", step " + std::to_string(step);
                if (!under_way.empty() && random.below(3) == 0) {
                    const auto k = random.below(static_cast<std::uint32_t>(under_way.size()));
                    const auto p = under_way[k];
                    under_way.erase(under_way.begin() + k);
                    if (random.below(4) == 0) {
                        release(open_, static_cast<std::uint32_t>(p.index));
                    } else {
                        CPPUNIT_ASSERT_MESSAGE(at, settle(s_, open_, p));
                        paid += p.units;
                        CPPUNIT_ASSERT_MESSAGE("a ticket sold twice: " + at, ++sold[static_cast<std::uint32_t>(p.index)] == 1);
                    }
                } else {
                    const auto p = pay(1 + random.below(std::min(chain().n(), s_.revealed + 30)), 1 + random.below(10), random.below(2));
                    const auto word_before = s_.word;
                    const auto r_before = s_.revealed;
                    const auto j = reserve(s_, open_, p, rules_, seed);
                    CPPUNIT_ASSERT_EQUAL_MESSAGE(at, j.changed, j.verdict == Verdict::replayed || s_.revealed != r_before);
                    CPPUNIT_ASSERT(s_.revealed >= r_before && (s_.revealed > r_before || s_.word == word_before));
                    if (j.verdict == Verdict::paid) under_way.push_back(p);
                }
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, paid, std::uint64_t{s_.spent});
                CPPUNIT_ASSERT_MESSAGE("s + reserved ≤ r: " + at, std::uint64_t{s_.spent} + open_.units() <= s_.revealed);
                CPPUNIT_ASSERT_MESSAGE(at, s_.tickets.valid(s_.n));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, under_way.empty(), open_.empty());
            }
            for (const auto& [ticket, times] : sold) CPPUNIT_ASSERT(times == 1 && s_.tickets.contains(ticket));
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(SpendTest);

}  // namespace
}  // namespace netpay::test
