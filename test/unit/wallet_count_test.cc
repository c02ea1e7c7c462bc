// The wallet's own count against simulated vendors: honest ones (the spend
// machine itself), and ones that lie about everything they may say.
#include <cppunit/TestAssert.h>
#include <cppunit/TestFixture.h>
#include <cppunit/extensions/HelperMacros.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "core/payword.h"
#include "core/spend.h"
#include "wallet/count.h"

namespace netpay::wallet {
namespace {

constexpr std::uint32_t length = 4000;

Payword seed() {
    Payword w;
    w.bytes.fill(7);
    return w;
}

// A wallet of one coin at one vendor, as the purse drives the count, with a
// record of what the owner accepted and of everything that went out.
struct Purse1 {
    Count c;
    std::int64_t next_id = 1;
    std::uint32_t accepted_open = 0;  // by the test's own book: accepted and not settled
    std::uint32_t highest_out = 0;

    Purse1() { c.n = length; }

    std::optional<OpenPayment> start(std::uint32_t units, std::uint32_t needed = 0) {
        const std::uint32_t before = c.revealed, bound = c.spent + c.live_units() + units;
        const auto chosen = choose(c, units, needed);
        if (!chosen.choice) return std::nullopt;
        const OpenPayment p{next_id++, chosen.choice->ticket, units, true, true};
        CPPUNIT_ASSERT_MESSAGE("revealed more than accepted", p.ticket <= std::max(before, bound));
        open_payment(c, p);
        highest_out = std::max(highest_out, p.ticket);
        return p;
    }
};

class Vendor {
public:
    Vendor() : chain(Salt{}, seed(), length), state(SpendState::taken_over(Salt{}, length, 0, chain.at(0), 1000000, 1000000)) {}
    struct Said { Verdict verdict; std::uint32_t spent, revealed, needed; };
    Said pay(std::uint32_t ticket, std::uint32_t units, const std::string& page, bool serve = true) {
        Payment p;
        p.index = ticket;
        p.word = chain.at(ticket);
        p.units = units;
        p.resource.fill(0);
        std::copy_n(page.begin(), std::min<std::size_t>(16, page.size()), p.resource.begin());
        p.is_get = true;
        p.now = now;
        const auto j = reserve(state, open, p, SpendRules{}, 1);
        if (j.verdict == Verdict::paid) {
            if (serve) {
                CPPUNIT_ASSERT(settle(state, open, p));
                taken += units;
            } else {
                release(open, ticket);
            }
        }
        return {j.verdict, state.spent, state.revealed, j.needed};
    }
    Chain chain;
    SpendState state;
    Reservations open;
    UnixTime now = 1;
    std::uint32_t taken = 0;
};

class WalletCount : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(WalletCount);
    CPPUNIT_TEST(pages_in_a_row);
    CPPUNIT_TEST(refused_payment_is_used_first);
    CPPUNIT_TEST(unconfirmed_ticket_is_tried_again);
    CPPUNIT_TEST(lies_are_bounded);
    CPPUNIT_TEST(receipt_cannot_count_more_than_accepted);
    CPPUNIT_TEST(concurrent_tickets_differ);
    CPPUNIT_TEST(coin_runs_out);
    CPPUNIT_TEST(backup_catches_up_within_the_allowance);
    CPPUNIT_TEST(honest_vendor_random_deaths);
    CPPUNIT_TEST(lying_vendor_random);
    CPPUNIT_TEST_SUITE_END();

    void pages_in_a_row() {
        Purse1 w;
        Vendor v;
        for (int i = 1; i <= 50; ++i) {
            const auto p = w.start(20);
            CPPUNIT_ASSERT(p && p->ticket == static_cast<std::uint32_t>(20 * i));
            CPPUNIT_ASSERT(v.pay(p->ticket, 20, "page " + std::to_string(i)).verdict == Verdict::paid);
            paid(w.c, p->id, 20);
        }
        CPPUNIT_ASSERT_EQUAL(1000u, w.c.spent);
        CPPUNIT_ASSERT_EQUAL(v.state.spent, w.c.spent);
    }

    void refused_payment_is_used_first() {
        Purse1 w;
        const auto p = w.start(20);
        not_charged(w.c, p->id);
        const auto q = w.start(20);
        CPPUNIT_ASSERT(q && q->ticket == 20);
        not_charged(w.c, q->id);
        const auto small = w.start(5);
        CPPUNIT_ASSERT(small && small->ticket <= 20);
        CPPUNIT_ASSERT_EQUAL(20u, w.c.revealed);
    }

    void unconfirmed_ticket_is_tried_again() {
        Purse1 w;
        Vendor v;
        const auto p = w.start(20);
        v.pay(p->ticket, 20, "a");
        doubt(w.c, p->id);  // it was charged, but no answer came
        const auto q = w.start(20);
        CPPUNIT_ASSERT(q && q->ticket == p->ticket);
        const auto said = v.pay(q->ticket, 20, "b");
        CPPUNIT_ASSERT(said.verdict == Verdict::already_spent);
        not_charged(w.c, q->id);
        CPPUNIT_ASSERT(absorb(w.c, said.spent, q->ticket).believed);
        ticket_used(w.c, q->ticket);
        CPPUNIT_ASSERT_EQUAL(20u, w.c.spent);
        CPPUNIT_ASSERT_EQUAL(0u, w.c.unknown_units());
        const auto r = w.start(20);
        CPPUNIT_ASSERT(r && r->ticket == 40);
        CPPUNIT_ASSERT(v.pay(r->ticket, 20, "b").verdict == Verdict::paid);
    }

    void lies_are_bounded() {
        Purse1 w;
        const auto p = w.start(20);
        not_charged(w.c, p->id);
        CPPUNIT_ASSERT(!absorb(w.c, 1, p->ticket).believed);
        CPPUNIT_ASSERT(!absorb(w.c, 20, p->ticket).believed);
        CPPUNIT_ASSERT(!absorb(w.c, length + 1, p->ticket).believed);
        const auto chosen = choose(w.c, 20, 21);
        CPPUNIT_ASSERT(!chosen.choice && chosen.why == Refusal::beyond);
        CPPUNIT_ASSERT_EQUAL(0u, w.c.spent);
        CPPUNIT_ASSERT_EQUAL(20u, w.highest_out);
    }

    void receipt_cannot_count_more_than_accepted() {
        Purse1 w;
        const auto p = w.start(20);
        paid(w.c, p->id, 3000);
        CPPUNIT_ASSERT_EQUAL(20u, w.c.spent);
        const auto q = w.start(20);
        paid(w.c, q->id, 0);  // less is believed
        CPPUNIT_ASSERT_EQUAL(20u, w.c.spent);
    }

    void concurrent_tickets_differ() {
        Purse1 w;
        Vendor v;
        std::vector<OpenPayment> all;
        for (int i = 0; i < 8; ++i) all.push_back(*w.start(20));
        for (std::size_t i = 0; i < all.size(); ++i)
            for (std::size_t k = 0; k < i; ++k) CPPUNIT_ASSERT(all[i].ticket != all[k].ticket);
        std::reverse(all.begin(), all.end());  // they arrive out of order
        for (const auto& p : all) {
            CPPUNIT_ASSERT(v.pay(p.ticket, 20, std::to_string(p.id)).verdict == Verdict::paid);
            paid(w.c, p.id, 20);
        }
        CPPUNIT_ASSERT_EQUAL(160u, w.c.spent);
    }

    void coin_runs_out() {
        Purse1 w;
        w.c.spent = length - 10;
        w.c.revealed = length - 10;
        CPPUNIT_ASSERT(choose(w.c, 11).why == Refusal::coin_short);
        CPPUNIT_ASSERT(choose(w.c, 10).choice->ticket == length);
    }

    void backup_catches_up_within_the_allowance() {
        Purse1 w;
        CPPUNIT_ASSERT(!absorb(w.c, 60, 0, 40).believed);
        CPPUNIT_ASSERT(absorb(w.c, 40, 0, 40).believed);
        CPPUNIT_ASSERT_EQUAL(40u, w.c.spent);
    }

    // Pages of random prices at an honest vendor. Processes are killed before
    // they send, after they sent and after the page; handlers fail. In the
    // end every unit the vendor took is one the wallet accounts for.
    void honest_vendor_random_deaths() {
        for (unsigned s = 1; s <= 300; ++s) {
            std::mt19937 random(s);
            Purse1 w;
            Vendor v;
            for (int step = 0; step < 60; ++step) {
                ++v.now;
                const auto units = static_cast<std::uint32_t>(1 + random() % 30);
                const std::string page = std::to_string(random() % 1000000);
                std::uint32_t needed = 0;
                for (int bargain = 0; bargain < 8; ++bargain) {
                    const auto p = w.start(units, needed);
                    if (!p) break;
                    const auto fate = random() % 10;
                    if (fate == 0) { doubt(w.c, p->id); break; }  // killed before it was sent
                    const auto said = v.pay(p->ticket, units, page, fate != 2);
                    if (fate == 1) { doubt(w.c, p->id); break; }  // killed before the answer came
                    if (said.verdict == Verdict::paid || said.verdict == Verdict::replayed) {
                        fate == 2 ? not_charged(w.c, p->id) : static_cast<void>(paid(w.c, p->id, units));
                        break;
                    }
                    CPPUNIT_ASSERT(said.verdict == Verdict::insufficient || said.verdict == Verdict::already_spent);
                    not_charged(w.c, p->id);
                    const auto a = absorb(w.c, said.spent, p->ticket);
                    CPPUNIT_ASSERT_MESSAGE("an honest vendor is believed, seed " + std::to_string(s), a.believed);
                    if (said.verdict == Verdict::already_spent) ticket_used(w.c, p->ticket);
                    needed = said.verdict == Verdict::insufficient ? said.needed : 0;
                }
                CPPUNIT_ASSERT(w.c.spent <= v.taken);
                CPPUNIT_ASSERT(v.taken <= w.c.spent + w.c.unknown_units());
                CPPUNIT_ASSERT(v.state.revealed <= w.c.revealed);
            }
            CPPUNIT_ASSERT_MESSAGE("pages were sold", v.taken > 100);
        }
    }

    // A vendor that answers anything. Whatever it says, the wallet shows it
    // no more than the units of pages it accepted (one payment at a time), and
    // its own count never passes what was accepted.
    void lying_vendor_random() {
        for (unsigned s = 1; s <= 500; ++s) {
            std::mt19937 random(s);
            Purse1 w;
            std::uint64_t served = 0, in_doubt = 0;
            std::uint32_t dearest = 0;
            for (int step = 0; step < 40; ++step) {
                const auto units = static_cast<std::uint32_t>(1 + random() % 30);
                dearest = std::max(dearest, units);
                std::uint32_t needed = 0;
                for (int bargain = 0; bargain < 7; ++bargain) {
                    const auto p = w.start(units, needed);
                    if (!p) break;
                    const auto fate = random() % 6;
                    if (fate == 0) { doubt(w.c, p->id); in_doubt += units; break; }
                    if (fate == 1) { paid(w.c, p->id, static_cast<std::uint32_t>(random() % 5000)); served += units; break; }
                    if (fate == 2) { not_charged(w.c, p->id); break; }
                    not_charged(w.c, p->id);
                    const std::uint64_t before = std::uint64_t{w.c.spent} + w.c.live_units() + w.c.unknown_units();
                    absorb(w.c, static_cast<std::uint32_t>(random() % (length + 100)), random() % 2 ? p->ticket : 0);
                    CPPUNIT_ASSERT(std::uint64_t{w.c.spent} + w.c.live_units() + w.c.unknown_units() <= before);
                    if (fate == 3) ticket_used(w.c, p->ticket);
                    needed = static_cast<std::uint32_t>(random() % (length + 100));
                }
            }
            CPPUNIT_ASSERT(w.c.spent <= served + in_doubt);
            CPPUNIT_ASSERT_MESSAGE("revealed more than was accepted, seed " + std::to_string(s),
                                   w.highest_out <= served + in_doubt + dearest);
        }
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(WalletCount);

}  // namespace
}  // namespace netpay::wallet
