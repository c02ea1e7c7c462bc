// E-wallets at a vendor: what is paid, what is not, and by whose word.
#include <cppunit/extensions/HelperMacros.h>

#include "core/base64url.h"
#include "core/hash.h"
#include "ewallet_support.h"

namespace netpay::test {
namespace {

using namespace ewallet_test;

class EwalletTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(EwalletTest);
    CPPUNIT_TEST(from_nothing_to_a_page);
    CPPUNIT_TEST(what_pays_without_asking);
    CPPUNIT_TEST(an_order_pays_one_page_once);
    CPPUNIT_TEST(a_page_is_read_again_free);
    CPPUNIT_TEST(a_page_that_failed_keeps_its_ticket);
    CPPUNIT_TEST(ten_tabs);
    CPPUNIT_TEST(paid_by_another_tab_meanwhile);
    CPPUNIT_TEST(all_that_was_granted_is_spent);
    CPPUNIT_TEST(more_is_granted);
    CPPUNIT_TEST(a_limit_is_said_once);
    CPPUNIT_TEST(a_broker_that_is_silent);
    CPPUNIT_TEST(another_coin);
    CPPUNIT_TEST(moved_away);
    CPPUNIT_TEST(moved_back);
    CPPUNIT_TEST(granted_anew_and_moved_away);
    CPPUNIT_TEST(ended_while_the_coin_was_away);
    CPPUNIT_TEST(custody_is_fetched_once);
    CPPUNIT_TEST(spent_elsewhere);
    CPPUNIT_TEST(another_currency);
    CPPUNIT_TEST(forms);
    CPPUNIT_TEST(the_way_to_the_broker);
    CPPUNIT_TEST(the_way_back);
    CPPUNIT_TEST(her_word_is_asked_about_again);
    CPPUNIT_TEST(a_copy_ends_when_she_signs_out);
    CPPUNIT_TEST(a_day_at_the_site);
    CPPUNIT_TEST(brokers_that_lie);
    CPPUNIT_TEST(leaving);
    CPPUNIT_TEST(left_while_the_broker_is_silent);
    CPPUNIT_TEST(who_comes_back_too_often_waits);
    CPPUNIT_TEST(more_pages_than_are_replayed);
    CPPUNIT_TEST(the_readers_page);
    CPPUNIT_TEST(units_without_tickets);
    CPPUNIT_TEST(what_the_broker_was_told_stays_spent);
    CPPUNIT_TEST(signed_out_while_the_broker_is_asked);
    CPPUNIT_TEST_SUITE_END();

public:
    void setUp() override { shop_ = std::make_unique<Shop>(); }
    void tearDown() override { shop_.reset(); }

    void from_nothing_to_a_page() {
        Browser b;
        auto first = shop_->serve(b, "/a");
        CPPUNIT_ASSERT(first.standing.kind == Standing::Kind::none && !first.paid);
        const auto done = shop_->sign_in(b, "/a");
        CPPUNIT_ASSERT_EQUAL(vendor_origin + "/a", done.location);
        CPPUNIT_ASSERT(b.has_wallet());
        // Back from the broker: a navigation of another site's making, paid by the order alone.
        auto v = shop_->visit(b, "/a");
        v.unasked = false;
        const auto s = shop_->serve(b, v);
        CPPUNIT_ASSERT(s.paid);
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, b.jar.size());  // order and login are done with
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.acquired);
    }

    till::Till::GivenBack give_back(std::string_view target, std::uint32_t ticket) {
        return shop_->till->give_back({shop_->coin.terms.tag, ticket, Shop::resource(target), shop_->clock.now(), 60, 3}).result;
    }

    // Pages given back leave units, and their tickets are used: more is asked
    // for, and where there is no more today she is told so.
    void units_without_tickets() {
        Browser b;
        auto& k = shop_->keeper;
        k.granted = 3;
        shop_->sign_in(b, "/1", 1);
        for (const auto* page : {"/1", "/2", "/3"}) CPPUNIT_ASSERT(shop_->serve(b, page, 1).paid);
        CPPUNIT_ASSERT(give_back("/3", 3) == till::Till::GivenBack::given);
        CPPUNIT_ASSERT(give_back("/2", 2) == till::Till::GivenBack::given);
        CPPUNIT_ASSERT_EQUAL(1u, shop_->spent());
        CPPUNIT_ASSERT(shop_->serve(b, "/3", 1).standing.kind == Standing::Kind::held);  // given back a moment ago: she is asked
        auto s = shop_->serve(b, "/5", 1);
        CPPUNIT_ASSERT(!s.paid && !s.refusal && s.standing.kind == Standing::Kind::day_limit);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2000}, s.standing.today.micro());
        k.granted = 10;
        s = shop_->serve(b, "/5", 1);
        CPPUNIT_ASSERT(s.paid && s.ticket > 3);
        CPPUNIT_ASSERT_EQUAL(2u, shop_->spent());
        CPPUNIT_ASSERT(shop_->serve(b, "/4", 8).paid);
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent());
        CPPUNIT_ASSERT(shop_->serve(b, "/1", 1).replayed);  // the one that she kept is still hers
    }

    void what_the_broker_was_told_stays_spent() {
        Browser b;
        auto& k = shop_->keeper;
        k.granted = 20;
        shop_->sign_in(b, "/a");
        const auto a = shop_->serve(b, "/a"), c = shop_->serve(b, "/c");
        // Given back while she opens the next page: the broker hears of what is left.
        bool given = false;
        k.granted = 40;
        k.on_ask = [&] {
            if (std::exchange(given, true)) return;
            CPPUNIT_ASSERT(k.asked.back().second.find("\"spent\":20") != std::string::npos);
            CPPUNIT_ASSERT(give_back("/c", c.ticket) == till::Till::GivenBack::booked);
        };
        CPPUNIT_ASSERT(shop_->serve(b, "/d").paid && given);
        CPPUNIT_ASSERT(give_back("/a", a.ticket) == till::Till::GivenBack::given);  // this page's price is in no one's books
        CPPUNIT_ASSERT_EQUAL(20u, shop_->spent());
        CPPUNIT_ASSERT(give_back("/c", c.ticket) == till::Till::GivenBack::booked);
    }

    void signed_out_while_the_broker_is_asked() {
        Browser b, thief;
        auto& k = shop_->keeper;
        k.granted = 10;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        thief.jar = b.jar;
        k.granted = 50;
        bool left = false;
        k.on_ask = [&] {
            if (!std::exchange(left, true)) b.take(shop_->wallets->leave(b.field(), shop_->clock.now()).cookies);
        };
        CPPUNIT_ASSERT(!shop_->serve(thief, "/b").paid && left);
        CPPUNIT_ASSERT(shop_->serve(thief, "/b").standing.kind == Standing::Kind::none);
        CPPUNIT_ASSERT(!shop_->serve(thief, "/c").paid);
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent());
    }

    void what_pays_without_asking() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        CPPUNIT_ASSERT(shop_->serve(b, "/b").paid);
        auto by_other_site = shop_->visit(b, "/c");
        by_other_site.unasked = false;
        const auto s = shop_->serve(b, by_other_site);
        CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::held);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{80000}, s.standing.balance.micro());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{30000}, s.standing.today.micro());
        CPPUNIT_ASSERT(!shop_->serve(b, "/dear", 51).paid);  // above the limit for a page
        shop_->keeper.automatic = false;
        shop_->sign_in(b, "/d");
        CPPUNIT_ASSERT(shop_->serve(b, "/d").paid);
        CPPUNIT_ASSERT(!shop_->serve(b, "/e").paid);
    }

    void an_order_pays_one_page_once() {
        Browser b;
        shop_->keeper.automatic = false;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        b.take({shop_->wallets->order(shop_->visit(b, "/b"))});
        CPPUNIT_ASSERT(!shop_->serve(b, "/c").paid);        // another page
        CPPUNIT_ASSERT(!shop_->serve(b, "/b", 11).paid);    // dearer than what she saw
        auto framed = shop_->visit(b, "/b");
        framed.ordered_ok = false;
        CPPUNIT_ASSERT(!shop_->serve(b, framed).paid);
        Browser other;                                       // the order alone, with another's e-wallet or none
        other.jar = b.jar;
        other.jar.erase("__Host-netpay-wallet");
        CPPUNIT_ASSERT(!shop_->serve(other, "/b").paid);
        shop_->keeper.grant = std::string(43, 'h');
        shop_->sign_in(other, "/z");
        CPPUNIT_ASSERT(!shop_->serve(other, "/b").paid);
        Browser late;
        late.jar = b.jar;
        shop_->clock.t += 61;
        CPPUNIT_ASSERT(!shop_->serve(late, "/b").paid);
        shop_->clock.t -= 61;
        CPPUNIT_ASSERT(shop_->serve(b, "/b").paid);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, b.jar.size());
        CPPUNIT_ASSERT(shop_->serve(b, "/b").replayed);
        CPPUNIT_ASSERT_EQUAL(20u, shop_->spent());
    }

    void a_page_is_read_again_free() {
        Browser b;
        shop_->sign_in(b, "/a");
        const auto first = shop_->serve(b, "/a");
        auto v = shop_->visit(b, "/a");
        v.unasked = v.ordered_ok = false;  // a reload after the broker's chain, or the back button
        const auto again = shop_->serve(b, v);
        CPPUNIT_ASSERT(again.replayed);
        CPPUNIT_ASSERT_EQUAL(first.ticket, again.ticket);
        shop_->clock.t += limits::default_grace_s + 1;
        v.now = shop_->clock.now();
        CPPUNIT_ASSERT(!shop_->serve(b, v).replayed);
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent());
        // Fifty times, and then she is asked.
        for (int i = 0; i < 50; ++i) shop_->serve(b, "/b");
        CPPUNIT_ASSERT_EQUAL(20u, shop_->spent());
        CPPUNIT_ASSERT(shop_->serve(b, "/b").replayed);
        CPPUNIT_ASSERT(shop_->serve(b, "/b").standing.kind == Standing::Kind::held);
        CPPUNIT_ASSERT_EQUAL(20u, shop_->spent());
    }

    void a_page_that_failed_keeps_its_ticket() {
        Browser b;
        shop_->sign_in(b, "/a");
        const auto failed = shop_->serve(b, shop_->visit(b, "/a"), false);
        CPPUNIT_ASSERT(!failed.paid);
        CPPUNIT_ASSERT_EQUAL(0u, shop_->spent());
        // Nobody asked for it this time: a ticket that was picked is no leave to use it.
        auto v = shop_->visit(b, "/a");
        v.unasked = v.ordered_ok = false;
        CPPUNIT_ASSERT(!shop_->serve(b, v).paid);
        const auto s = shop_->serve(b, "/a");
        CPPUNIT_ASSERT(s.paid);
        CPPUNIT_ASSERT_EQUAL(failed.ticket, s.ticket);
    }

    void ten_tabs() {
        Browser b;
        shop_->sign_in(b, "/a", 1);
        std::vector<std::thread> threads;
        std::atomic<int> paid = 0, replayed = 0;
        std::vector<Visit> visits;
        for (int i = 0; i < 10; ++i) visits.push_back(shop_->visit(b, i < 5 ? "/a" : "/t" + std::to_string(i), 1));
        std::vector<std::string> targets;
        for (int i = 0; i < 10; ++i) targets.push_back(i < 5 ? "/a" : "/t" + std::to_string(i));
        for (std::size_t i = 0; i < 10; ++i) {
            visits[i].target = targets[i];
            threads.emplace_back([&, i] {
                Browser tab = b;
                const auto s = shop_->serve(tab, visits[i]);
                paid += s.paid;
                replayed += s.replayed;
            });
        }
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(6, paid.load());
        CPPUNIT_ASSERT_EQUAL(4, replayed.load());
        CPPUNIT_ASSERT_EQUAL(6u, shop_->spent());
    }

    // Between the look whether the page was paid and the choice of a ticket.
    void paid_by_another_tab_meanwhile() {
        Browser b;
        shop_->sign_in(b, "/a");
        Shop::Served first;
        shop_->keeper.on_acquire = [&] {
            Browser tab = b;
            first = shop_->serve(tab, "/a");
        };
        const auto s = shop_->serve(b, "/a");
        CPPUNIT_ASSERT(first.paid && s.replayed);
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent());
    }

    // Released tickets leave gaps; the last unit granted is still reached.
    void all_that_was_granted_is_spent() {
        Browser b;
        shop_->sign_in(b, "/a");
        for (int i = 0; i < 7; ++i) shop_->serve(b, shop_->visit(b, "/404/" + std::to_string(i)), false);
        for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        CPPUNIT_ASSERT_EQUAL(50u, shop_->spent());
    }

    void more_is_granted() {
        Browser b;
        shop_->sign_in(b, "/0");
        for (int i = 0; i < 5; ++i) shop_->serve(b, "/" + std::to_string(i));
        shop_->keeper.granted = 70;
        CPPUNIT_ASSERT(shop_->serve(b, "/5").paid);
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/refresh"));
        const auto& said = shop_->keeper.asked.back().second;
        CPPUNIT_ASSERT_EQUAL("{\"grant\":\"" + std::string(43, 'g') + "\",\"price\":10000,\"spent\":50}", said);
        CPPUNIT_ASSERT(shop_->serve(b, "/6").paid);  // the record has it, nobody is asked
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/refresh"));
        CPPUNIT_ASSERT(shop_->serve(b, "/4").replayed);
    }

    void a_limit_is_said_once() {
        Browser b;
        shop_->sign_in(b, "/0");
        for (int i = 0; i < 5; ++i) shop_->serve(b, "/" + std::to_string(i));
        shop_->keeper.status = 409;
        shop_->keeper.kind = "day-limit";
        for (int i = 0; i < 3; ++i)
            CPPUNIT_ASSERT(shop_->serve(b, "/x").standing.kind == Standing::Kind::day_limit);
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/refresh"));
        auto unasked = shop_->visit(b, "/x");
        unasked.unasked = false;
        CPPUNIT_ASSERT(shop_->serve(b, unasked).standing.kind == Standing::Kind::day_limit);
        shop_->clock.t += 61;
        shop_->keeper.kind = "insufficient";
        CPPUNIT_ASSERT(shop_->serve(b, "/x").standing.kind == Standing::Kind::too_little);
        // Without a click nobody is asked at all.
        shop_->clock.t += 61;
        unasked.now = shop_->clock.now();
        shop_->serve(b, unasked);
        CPPUNIT_ASSERT_EQUAL(2, shop_->keeper.calls("ewallet/refresh"));
        // She raised it: a new grant.
        shop_->keeper.status = 200;
        shop_->keeper.granted = 80;
        shop_->keeper.grant = std::string(43, 'h');
        shop_->sign_in(b, "/x");
        CPPUNIT_ASSERT(shop_->serve(b, "/x").paid);
        shop_->keeper.status = 410;
        CPPUNIT_ASSERT(shop_->serve(b, "/y").paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/z").paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/end").standing.kind == Standing::Kind::moved);
        CPPUNIT_ASSERT(!b.has_wallet());
    }

    void a_broker_that_is_silent() {
        Browser b;
        shop_->sign_in(b, "/0");
        shop_->keeper.status = 0;
        for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        const auto s = shop_->serve(b, "/5");
        CPPUNIT_ASSERT(!s.paid && !s.refusal && s.standing.broker_silent);
        CPPUNIT_ASSERT(s.standing.kind == Standing::Kind::held && b.has_wallet());
    }

    void another_coin() {
        Browser b;
        shop_->sign_in(b, "/0");
        for (int i = 0; i < 5; ++i) shop_->serve(b, "/" + std::to_string(i));
        const TestCoin second(2, Shop::n, shop_->keeper.key);
        shop_->keeper.sell(second);
        CPPUNIT_ASSERT(shop_->serve(b, "/5").paid);
        CPPUNIT_ASSERT_EQUAL(50u, shop_->spent());
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent(second));
        CPPUNIT_ASSERT(shop_->serve(b, "/4").replayed);  // bought by the first
        CPPUNIT_ASSERT(shop_->serve(b, "/5").replayed);
        // And she signs in anew: still.
        shop_->sign_in(b, "/6");
        CPPUNIT_ASSERT(shop_->serve(b, "/6").paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/4").replayed);
    }

    void moved_away() {
        Browser b, tab;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        shop_->hand_over(1);
        tab = b;
        CPPUNIT_ASSERT(shop_->serve(b, "/b").standing.kind == Standing::Kind::moved);
        CPPUNIT_ASSERT(!b.has_wallet());
        CPPUNIT_ASSERT(!shop_->serve(tab, "/a").replayed);
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.acquired);  // nobody took it back
    }

    void moved_back() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        shop_->hand_over(1);
        // The till says handed over, of an epoch before this grant.
        shop_->keeper.epoch = 3;
        shop_->keeper.start = shop_->keeper.spent = 20;
        shop_->keeper.holder = "https://other.example";
        shop_->keeper.held = 11;
        shop_->sign_in(b, "/b");
        CPPUNIT_ASSERT(shop_->serve(b, "/b").paid);
        CPPUNIT_ASSERT_EQUAL(30u, shop_->spent());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{50}, shop_->keeper.shown.index);
        CPPUNIT_ASSERT_EQUAL(std::string("https://other.example"), shop_->keeper.shown.holder.value_or(""));
        CPPUNIT_ASSERT(shop_->serve(b, "/c").paid);
        shop_->hand_over(3);
        CPPUNIT_ASSERT(shop_->serve(b, "/d").standing.kind == Standing::Kind::moved);
    }

    // A grant that began while the coin was here knows of no earlier end either.
    void granted_anew_and_moved_away() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        shop_->keeper.grant = std::string(43, 'h');
        shop_->sign_in(b, "/b");
        CPPUNIT_ASSERT(shop_->serve(b, "/b").paid);
        shop_->hand_over(1);
        CPPUNIT_ASSERT(shop_->serve(b, "/c").standing.kind == Standing::Kind::moved);
        CPPUNIT_ASSERT(!b.has_wallet());
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.acquired);
    }

    // The lease here ran out and she took the coin elsewhere: nothing pulls it
    // back but her click.
    void ended_while_the_coin_was_away() {
        Browser b, idle;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        shop_->keeper.status = 410;
        shop_->clock.t += 86401;
        const auto s = shop_->serve(b, "/b");
        CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::moved && !b.has_wallet());
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.acquired);
        // Where it is still good the coin is fetched.
        shop_->keeper.status = 200;
        shop_->sign_in(idle, "/c");
        shop_->clock.t += 61;
        CPPUNIT_ASSERT(shop_->serve(idle, "/c").paid);
        CPPUNIT_ASSERT_EQUAL(1 + 1, shop_->keeper.acquired);
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/limits"));
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/refresh"));
    }

    void custody_is_fetched_once() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->keeper.refuse_custody = custody::Taken::unavailable;
        auto s = shop_->serve(b, "/a");
        CPPUNIT_ASSERT(!s.paid && s.refusal && s.refusal->status == 503);
        CPPUNIT_ASSERT(b.has_wallet());
        shop_->keeper.refuse_custody.reset();
        CPPUNIT_ASSERT(shop_->serve(b, "/a").paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/b").paid);
        CPPUNIT_ASSERT_EQUAL(2, shop_->keeper.acquired);
        // A hop no longer than the till allows.
        Shop other;
        Browser c;
        other.sign_in(c, "/a");
        auto v = other.visit(c, "/a");
        v.max_hop = 12;
        CPPUNIT_ASSERT(other.serve(c, v).paid);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{12}, other.keeper.shown.index);
    }

    void spent_elsewhere() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->keeper.refuse_custody = custody::Taken::refused;
        const TestCoin second(2, Shop::n, shop_->keeper.key);
        auto s = shop_->serve(b, "/a");
        CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::moved);
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/refresh"));
        CPPUNIT_ASSERT(!b.has_wallet());  // as the paywall says
        // The broker has another coin for her.
        shop_->keeper.sell(second);
        shop_->keeper.refuse_custody.reset();
        shop_->sign_in(b, "/a");
        CPPUNIT_ASSERT(shop_->serve(b, "/a").paid);
        CPPUNIT_ASSERT_EQUAL(10u, shop_->spent(second));
        // While the broker is silent nothing is known, and nothing is taken from her.
        const TestCoin third(3, Shop::n, shop_->keeper.key);
        Browser c;
        shop_->keeper.sell(third);
        shop_->keeper.grant = std::string(43, 'h');
        shop_->sign_in(c, "/c");
        shop_->keeper.refuse_custody = custody::Taken::refused;
        shop_->keeper.status = 0;
        s = shop_->serve(c, "/c");
        CPPUNIT_ASSERT(!s.paid && s.refusal && c.has_wallet());
    }

    void another_currency() {
        Browser b;
        shop_->sign_in(b, "/a");
        auto v = shop_->visit(b, "/a");
        v.price.currency = *Currency::parse("ueur");
        const auto s = shop_->serve(b, v);
        CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::none && b.has_wallet());
    }

    void forms() {
        Browser none, b;
        auto& w = *shop_->wallets;
        shop_->sign_in(b, "/a");
        auto v = shop_->visit(b, "/a");
        const auto token = w.form_token(v);
        const auto price = w.form_token_ok(v, token);
        CPPUNIT_ASSERT(price && price->amount == v.price.amount && price->currency == v.price.currency);
        CPPUNIT_ASSERT(!w.form_token_ok(shop_->visit(b, "/b"), token));
        CPPUNIT_ASSERT(!w.form_token_ok(shop_->visit(none, "/a"), token));
        CPPUNIT_ASSERT(!w.form_token_ok(v, w.form_token(shop_->visit(none, "/a"))));
        for (std::size_t i = 0; i < token.size(); ++i) {
            auto bad = token;
            bad[i] = bad[i] == '1' ? '2' : '1';
            CPPUNIT_ASSERT(!w.form_token_ok(v, bad));
            CPPUNIT_ASSERT(!w.form_token_ok(v, token.substr(0, i)));
        }
        v.now += 3601;
        CPPUNIT_ASSERT(!w.form_token_ok(v, token));
        // What another vendor's server made is nothing here.
        Shop other;
        other.keys = {std::string(32, 'o')};
        other.open();
        CPPUNIT_ASSERT(!w.form_token_ok(shop_->visit(none, "/a"), other.wallets->form_token(other.visit(none, "/a"))));
    }

    void the_way_to_the_broker() {
        Browser b;
        auto v = shop_->visit(b, "/a?x=%20&y");
        const auto begun = shop_->wallets->begin(v, broker_origin, false);
        CPPUNIT_ASSERT(begun.ok());
        const auto& l = begun->location;
        CPPUNIT_ASSERT(l.starts_with(broker_origin + "/authorize?response_type=code&client_id=https%3A%2F%2Fnews.example&redirect_uri="
                                     "https%3A%2F%2Fnews.example%2F.well-known%2Fnetpay%2Fwallet%2Fcallback&state="));
        CPPUNIT_ASSERT(l.ends_with("&code_challenge_method=S256&scope=server&amount=10000&currency=uusd"));
        CPPUNIT_ASSERT(begun->cookies[0].ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600"));
        CPPUNIT_ASSERT(!shop_->wallets->begin(v, "https://evil.example", false).ok());
        v.cookie = false;
        CPPUNIT_ASSERT(!shop_->wallets->begin(v, broker_origin, true).ok());
        CPPUNIT_ASSERT(!shop_->wallets->begin(shop_->visit(b, "/" + std::string(1500, 'a')), broker_origin, false).ok());
        // The proof that is shown is the hash of what is kept.
        b.take(begun->cookies);
        shop_->wallets->finish(b.field(), {{"state", Shop::state_of(l)}, {"iss", broker_origin}, {"code", code}}, peer, v.now);
        const auto said = json::Document::parse(shop_->keeper.asked.back().second);
        const std::string verifier(said->root().string("code_verifier").value_or(""));
        CPPUNIT_ASSERT(l.find("&code_challenge=" + b64u_encode(sha256(verifier)) + "&") != std::string::npos);
        // Begun often and never finished: the cookies do not pile up.
        Browser tired;
        for (int i = 0; i < 20; ++i) tired.take(shop_->wallets->begin(shop_->visit(tired, "/a"), broker_origin, false)->cookies);
        CPPUNIT_ASSERT(tired.jar.size() <= 3);
    }

    void the_way_back() {
        auto& w = *shop_->wallets;
        Browser b, other;
        const auto begun = w.begin(shop_->visit(b, "/a"), broker_origin, false);
        b.take(begun->cookies);
        const form::Fields good{{"state", Shop::state_of(begun->location)}, {"iss", broker_origin}, {"code", code}};
        const auto nothing = [&](Browser& who, form::Fields query, UnixTime now) {
            const auto before = shop_->keeper.asked.size();
            const auto done = w.finish(who.field(), query, peer, now);
            CPPUNIT_ASSERT_EQUAL(vendor_origin + "/.well-known/netpay/wallet", done.location);
            CPPUNIT_ASSERT(done.cookies.empty());
            CPPUNIT_ASSERT_EQUAL(before, shop_->keeper.asked.size());
        };
        nothing(other, good, start_of_time);  // began in another browser: nobody is signed in to a stranger's e-wallet
        auto query = good;
        query["state"] = good.at("state").substr(0, 42) + (good.at("state")[42] == 'A' ? "B" : "A");
        nothing(b, query, start_of_time);
        query = good;
        query["iss"] = "https://evil.example";
        nothing(b, query, start_of_time);
        query.erase("iss");
        nothing(b, query, start_of_time);
        nothing(b, good, start_of_time + 601);
        // The broker is away: the same address does it later.
        shop_->keeper.status = 0;
        auto done = w.finish(b.field(), good, peer, start_of_time);
        CPPUNIT_ASSERT(done.refusal && done.refusal->status == 503 && done.cookies.empty());
        // She said no.
        Browser refusing = b;
        query = good;
        query.erase("code");
        query["error"] = "access_denied";
        done = w.finish(refusing.field(), query, peer, start_of_time);
        refusing.take(done.cookies);
        CPPUNIT_ASSERT_EQUAL(vendor_origin + "/a", done.location);
        CPPUNIT_ASSERT(refusing.jar.empty());
        // The broker said no to the code.
        Browser late;
        shop_->keeper.status = 400;
        done = shop_->sign_in(late, "/a");
        CPPUNIT_ASSERT(late.jar.empty());
        CPPUNIT_ASSERT(done.refusal && done.refusal->status == 409 && done.location == vendor_origin + "/a");
        shop_->keeper.status = 409;
        for (const auto& [kind, word] : {std::pair("day-limit", "day"), std::pair("insufficient", "too little")}) {
            shop_->keeper.kind = kind;
            done = shop_->sign_in(late, "/a");
            CPPUNIT_ASSERT(done.refusal && done.refusal->detail.find(word) != std::string::npos && !late.has_wallet());
        }
        // What is no code is not asked about, and uses nothing up.
        const auto calls = shop_->keeper.asked.size();
        for (const auto& bad : {std::string(), std::string("K"), std::string(42, 'c'), std::string(44, 'c'), std::string(42, 'c') + "+"}) {
            query = good;
            query["code"] = bad;
            done = w.finish(Browser(b).field(), query, peer, start_of_time);
            CPPUNIT_ASSERT(done.refusal && done.refusal->status == 409);
        }
        CPPUNIT_ASSERT_EQUAL(calls, shop_->keeper.asked.size());
        // It works once.
        shop_->keeper.status = 200;
        const Browser twin = b;
        b.take(w.finish(b.field(), good, peer, start_of_time).cookies);
        CPPUNIT_ASSERT(b.has_wallet());
        // For who has the login's cookie too.
        done = w.finish(twin.field(), good, peer, start_of_time);
        CPPUNIT_ASSERT(!done.refusal && done.location == vendor_origin + "/a");
        CPPUNIT_ASSERT_EQUAL(calls + 1, shop_->keeper.asked.size());
        nothing(b, good, start_of_time);
    }

    void her_word_is_asked_about_again() {
        for (const bool cookie : {false, true}) {
            shop_ = std::make_unique<Shop>();
            auto& keeper = shop_->keeper;
            const auto asked = [&] { return keeper.calls("ewallet/limits"); };
            Browser b;
            shop_->sign_in(b, "/0", 1, cookie);
            for (int i = 0; i < 3; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i), 1).paid);
            shop_->clock.t += 300;
            CPPUNIT_ASSERT(shop_->serve(b, "/3", 1).paid);
            CPPUNIT_ASSERT_EQUAL(0, asked());
            shop_->clock.t += 1;
            auto again = shop_->visit(b, "/3", 1);
            CPPUNIT_ASSERT(shop_->serve(b, again).replayed);  // takes nothing
            CPPUNIT_ASSERT_EQUAL(0, asked());
            // Once, and then it is known again for a while.
            const auto before = b.wallet();
            for (int i = 4; i < 7; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i), 1).paid);
            CPPUNIT_ASSERT_EQUAL(1, asked());
            CPPUNIT_ASSERT_EQUAL(std::string("{\"grant\":\"") + std::string(43, 'g') + "\"}", keeper.asked.back().second);
            CPPUNIT_ASSERT_EQUAL(cookie, b.wallet() != before);
            // A broker that is away stops nobody, and is left alone for a minute.
            shop_->clock.t += 301;
            keeper.status = 0;
            for (int i = 7; i < 9; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i), 1).paid);
            CPPUNIT_ASSERT_EQUAL(2, asked());
            shop_->clock.t += 61;
            // Her limits are other ones now.
            keeper.status = 200;
            keeper.per_page = 1500;
            CPPUNIT_ASSERT(!shop_->serve(b, "/9", 2).paid);
            CPPUNIT_ASSERT(shop_->serve(b, "/9", 1).paid);
            shop_->clock.t += 301;
            keeper.automatic = false;
            const auto s = shop_->serve(b, "/10", 1);
            CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::held && !s.standing.automatic);
            b.take({shop_->wallets->order(shop_->visit(b, "/10", 1))});
            CPPUNIT_ASSERT(shop_->serve(b, "/10", 1).paid);
            CPPUNIT_ASSERT_EQUAL(4, asked());
            // She signed out at her broker.
            shop_->clock.t += 301;
            keeper.status = 410;
            b.take({shop_->wallets->order(shop_->visit(b, "/11", 1))});
            const auto over = shop_->serve(b, "/11", 1);
            CPPUNIT_ASSERT(!over.paid && over.standing.kind == Standing::Kind::moved && !b.has_wallet());
            CPPUNIT_ASSERT_EQUAL(11u, shop_->spent());
        }
    }

    void a_copy_ends_when_she_signs_out() {
        Browser b;
        shop_->sign_in(b, "/a", 1, true);
        const Browser thief = b;
        shop_->keeper.status = 410;  // she is out
        Browser quick = thief;
        CPPUNIT_ASSERT(shop_->serve(quick, "/a", 1).paid);
        shop_->clock.t += 301;
        for (int i = 0; i < 3; ++i) {
            Browser late = i ? thief : quick;
            CPPUNIT_ASSERT(!shop_->serve(late, "/b", 1).paid && !late.has_wallet());
        }
        CPPUNIT_ASSERT_EQUAL(1, shop_->keeper.calls("ewallet/limits"));
        CPPUNIT_ASSERT_EQUAL(1u, shop_->spent());
    }

    // An old grant with more in it than she allows for a day.
    void a_day_at_the_site() {
        shop_->keeper.granted = 100;
        shop_->keeper.per_day = 30000;
        Browser b;
        shop_->sign_in(b, "/a", 10, true);
        CPPUNIT_ASSERT(shop_->serve(b, "/a").paid);  // she said so, and it counts for nothing
        const Browser early = b;
        CPPUNIT_ASSERT(!shop_->serve(b, shop_->visit(b, "/failed", 10), false).paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/failed").paid);  // counted once
        for (int i = 1; i < 3; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        Browser old = early;  // an older copy of the cookie
        for (Browser* who : {&b, &old}) {
            const auto s = shop_->serve(*who, "/3");
            CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::held);
        }
        CPPUNIT_ASSERT(shop_->serve(b, "/2").replayed);
        shop_->sign_in(b, "/3");  // nor another grant
        CPPUNIT_ASSERT(shop_->serve(b, "/3").paid);
        CPPUNIT_ASSERT(!shop_->serve(b, "/4").paid);
        b.take({shop_->wallets->order(shop_->visit(b, "/4"))});
        CPPUNIT_ASSERT(shop_->serve(b, "/4").paid);
        CPPUNIT_ASSERT_EQUAL(60u, shop_->spent());
        shop_->clock.t += 86400 - shop_->clock.t % 86400;
        for (int i = 5; i < 8; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        CPPUNIT_ASSERT(!shop_->serve(b, "/8").paid);
        CPPUNIT_ASSERT_EQUAL(90u, shop_->spent());
    }

    void brokers_that_lie() {
        const auto tries = [&](std::function<void(json::Object&, json::Object&)> bend) {
            Browser b;
            shop_->keeper.bend = std::move(bend);
            shop_->sign_in(b, "/a");
            return b.has_wallet();
        };
        CPPUNIT_ASSERT(tries(nullptr));
        const TestCoin second(2, Shop::n, shop_->keeper.key), forged(3, Shop::n, custody_test::key_of(9));
        const auto coin = [](auto name, auto value) {
            return [=](json::Object& o, json::Object& c) { o.set("coin", c.set(name, value)); };
        };
        CPPUNIT_ASSERT(!tries(coin("payword", encode_payword(shop_->coin.chain.at(49)))));
        CPPUNIT_ASSERT(!tries(coin("payword", encode_payword(second.chain.at(50)))));
        CPPUNIT_ASSERT(!tries(coin("payword", "short")));
        CPPUNIT_ASSERT(!tries(coin("touchstone", second.touchstone)));
        CPPUNIT_ASSERT(!tries(coin("touchstone", forged.touchstone)));
        CPPUNIT_ASSERT(!tries(coin("granted", std::uint64_t{101})));
        CPPUNIT_ASSERT(!tries(coin("granted", std::uint64_t{0})));
        CPPUNIT_ASSERT(!tries(coin("spent", std::uint64_t{101})));
        CPPUNIT_ASSERT(!tries([](json::Object& o, json::Object& c) { o.set("coin", c.set("holder", "not an origin").set("held", std::uint64_t{1})); }));
        CPPUNIT_ASSERT(!tries([](json::Object& o, json::Object&) { o.set("currency", "ueur"); }));
        CPPUNIT_ASSERT(!tries([](json::Object& o, json::Object&) { o.set("until", std::uint64_t{start_of_time}); }));
        CPPUNIT_ASSERT(!tries([](json::Object& o, json::Object&) { o.set("grant", "short"); }));
        CPPUNIT_ASSERT(!tries([](json::Object& o, json::Object&) { o.set("automatic", "yes"); }));
        CPPUNIT_ASSERT(!tries([](json::Object& o, json::Object&) { o.set_null("coin"); }));
        // At a refresh it leaves her what she has.
        Browser b;
        shop_->keeper.bend = nullptr;
        shop_->sign_in(b, "/0");
        for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        shop_->keeper.bend = coin("payword", "short");
        const auto s = shop_->serve(b, "/5");
        CPPUNIT_ASSERT(!s.paid && s.standing.broker_silent && b.has_wallet());
        for (const auto& line : shop_->log.lines) {
            CPPUNIT_ASSERT(line.find(encode_payword(shop_->coin.chain.at(50))) == std::string::npos);
            CPPUNIT_ASSERT(line.find(shop_->keeper.grant) == std::string::npos);
        }
    }

    void leaving() {
        Browser b, thief;
        shop_->sign_in(b, "/a");
        thief = b;
        const auto done = shop_->wallets->leave(b.field(), shop_->clock.now());
        b.take(done.cookies);
        CPPUNIT_ASSERT_EQUAL(vendor_origin + "/.well-known/netpay/wallet", done.location);
        CPPUNIT_ASSERT(!b.has_wallet());
        CPPUNIT_ASSERT_EQUAL("{\"grant\":\"" + std::string(43, 'g') + "\"}", shop_->keeper.asked.back().second);
        CPPUNIT_ASSERT(!shop_->serve(thief, "/a").paid);
        CPPUNIT_ASSERT(!thief.has_wallet());
        CPPUNIT_ASSERT(shop_->wallets->leave("", 1).cookies.empty());
    }

    // Signed out while the broker is away: no copy is good from then on, and the broker hears of it later.
    void left_while_the_broker_is_silent() {
        for (const bool cookie : {true, false}) {
            setUp();
            auto& k = shop_->keeper;
            Browser b;
            shop_->sign_in(b, "/a", 1, cookie);
            CPPUNIT_ASSERT(shop_->serve(b, "/a", 1).paid);
            const Browser thief = b;
            k.status = 0;
            b.take(shop_->wallets->leave(b.field(), shop_->clock.now()).cookies);
            CPPUNIT_ASSERT(!b.has_wallet());
            for (int day = 0; day < 3; ++day) {
                Browser copy = thief;
                CPPUNIT_ASSERT(!shop_->serve(copy, "/b" + std::to_string(day), 1).paid && !copy.has_wallet());
                shop_->clock.t += 86400;
                shop_->wallets->sweep(shop_->clock.now());
            }
            const auto told = k.calls("ewallet/leave");
            CPPUNIT_ASSERT(told >= 4);
            k.status = 200;
            shop_->open();  // another process
            shop_->clock.t += 61;
            shop_->wallets->sweep(shop_->clock.now());
            CPPUNIT_ASSERT_EQUAL(told + 1, k.calls("ewallet/leave"));
            CPPUNIT_ASSERT_EQUAL("{\"grant\":\"" + k.grant + "\"}", k.asked.back().second);
            shop_->clock.t += 61;
            shop_->wallets->sweep(shop_->clock.now());
            CPPUNIT_ASSERT_EQUAL(told + 1, k.calls("ewallet/leave"));
            Browser copy = thief;
            CPPUNIT_ASSERT(!shop_->serve(copy, "/a", 1).replayed);
            CPPUNIT_ASSERT_EQUAL(1u, shop_->spent());
            // Nor does a copy bring along what was read by it.
            Browser other = thief;
            k.grant = std::string(43, 'h');
            shop_->sign_in(other, "/c", 1, cookie);
            CPPUNIT_ASSERT(shop_->wallets->look(other.field(), shop_->clock.now(), 100));
        }
    }

    void who_comes_back_too_often_waits() {
        Browser b;
        auto& w = *shop_->wallets;
        auto& k = shop_->keeper;
        const auto back = [&](const std::string& from) {
            const auto begun = w.begin(shop_->visit(b, "/a"), broker_origin, false);
            CPPUNIT_ASSERT(begun.ok());
            b.take(begun->cookies);
            const auto done = w.finish(b.field(), {{"state", Shop::state_of(begun->location)}, {"iss", broker_origin}, {"code", code}}, from,
                                       shop_->clock.now());
            b.take(done.cookies);
            return done.refusal && done.refusal->retry_after_s > 0;
        };
        k.status = 400;
        int waits = 0;
        for (int i = 0; i < 60; ++i) waits += back("192.0.2.1");
        CPPUNIT_ASSERT_EQUAL(40, waits);
        CPPUNIT_ASSERT_EQUAL(20, k.calls("ewallet/token"));
        CPPUNIT_ASSERT(!back("192.0.2.2"));
        shop_->clock.t += 3;
        CPPUNIT_ASSERT(!back("192.0.2.1"));
    }

    // The till replays a coin's latest payments alone; what it has forgotten within the grace time is not paid again unasked.
    void more_pages_than_are_replayed() {
        Browser b;
        shop_->keeper.granted = Shop::n;
        shop_->sign_in(b, "/0", 1);
        for (std::uint32_t i = 0; i <= limits::recent_tickets; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i), 1).paid);
        const auto spent = shop_->spent();
        CPPUNIT_ASSERT(shop_->serve(b, "/1", 1).replayed);
        const auto s = shop_->serve(b, "/0", 1);
        CPPUNIT_ASSERT(!s.paid && !s.replayed && s.standing.kind == Standing::Kind::held);
        CPPUNIT_ASSERT_EQUAL(spent, shop_->spent());
        auto v = shop_->visit(b, "/0", 1);
        b.take({shop_->wallets->order(v)});
        CPPUNIT_ASSERT(shop_->serve(b, "/0", 1).paid);  // she said so
        shop_->clock.t += limits::default_grace_s + 1;
        CPPUNIT_ASSERT(shop_->serve(b, "/2", 1).paid);
    }

    void the_readers_page() {
        Browser b;
        auto& w = *shop_->wallets;
        CPPUNIT_ASSERT(!w.look("", shop_->clock.now(), 100));
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        shop_->clock.t += 5;
        shop_->serve(b, "/b?q", 3);
        auto s = w.look(b.field(), shop_->clock.now(), 100);
        CPPUNIT_ASSERT(s && !s->in_cookie && s->until == shop_->keeper.until);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{87000}, s->standing.balance.micro());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{37000}, s->standing.today.micro());
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, s->paid.size());
        CPPUNIT_ASSERT_EQUAL(std::string("/b?q"), s->paid[0].target);
        CPPUNIT_ASSERT_EQUAL(3u, s->paid[0].units);
        CPPUNIT_ASSERT(s->paid[1].ticket == 10 && s->paid[1].price.amount.micro() == 10000);
        s = w.look(b.field(), shop_->clock.now(), 4);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, s->paid.size());
        shop_->hand_over(1);
        CPPUNIT_ASSERT(w.look(b.field(), shop_->clock.now(), 100)->standing.kind == Standing::Kind::moved);
        CPPUNIT_ASSERT(w.look(b.field(), shop_->clock.now(), 100)->standing.issuer == broker_origin);  // looking changes nothing
    }

private:
    std::unique_ptr<Shop> shop_;
};

CPPUNIT_TEST_SUITE_REGISTRATION(EwalletTest);

}  // namespace
}  // namespace netpay::test
