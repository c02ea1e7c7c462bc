// E-wallets at sites: how far coins are granted, the code flow, refreshing,
// leaving, limits, and what a site that lies or steals a code gets.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <random>

#include "broker/ewallet/authorize.h"
#include "broker/ewallet/coins.h"
#include "broker/ewallet/granted.h"
#include "broker/ewallet/grants.h"
#include "broker/ewallet/limits.h"
#include "core/base64url.h"
#include "core/hash.h"
#include "core/html.h"
#include "test/unit/broker_browser.h"

namespace netpay::broker::test {
namespace {

using ewallet::Allowance;
using ewallet::grant;
using ewallet::Grant;
using ewallet::Position;

constexpr std::int64_t day = 86400;
const std::string callback = "/.well-known/netpay/wallet/callback";

void assert_grant(const Grant& g, std::uint32_t shown, std::uint32_t granted, std::uint32_t raised, std::uint32_t moved) {
    CPPUNIT_ASSERT_EQUAL(shown, g.shown);
    CPPUNIT_ASSERT_EQUAL(granted, g.granted);
    CPPUNIT_ASSERT_EQUAL(raised, g.raised);
    CPPUNIT_ASSERT_EQUAL(moved, g.moved);
}

// A site that serves e-wallets, and what it remembers of one reader's way to the broker.
class Site {
public:
    Site(World& w, const std::string& origin) : shop(w.shop(origin)), world_(w) { fresh(); }

    void fresh() {
        state = b64u_encode(random_.bytes<32>());
        verifier = b64u_encode(random_.bytes<32>());
    }
    Browser::Query query(std::uint64_t amount = 20000) const {
        return {{"response_type", "code"}, {"client_id", shop.origin}, {"redirect_uri", shop.origin + callback}, {"state", state},
                {"code_challenge", b64u_encode(sha256(verifier))}, {"code_challenge_method", "S256"}, {"scope", "server"},
                {"amount", std::to_string(amount)}, {"currency", "uusd"}};
    }
    std::string address(std::uint64_t amount = 20000) const {
        std::string out = "/authorize";
        char before = '?';
        for (const auto& [name, value] : query(amount)) {
            out.append(1, before).append(name).append("=").append(form::encode(value));
            before = '&';
        }
        return out;
    }
    // The reader agrees; the answer to her form.
    Response confirm(Browser& b, std::map<std::string, std::string> changes = {}, std::uint64_t amount = 20000) {
        fresh();
        const auto page = b.get("/authorize", query(amount));
        assert_ok(page);
        std::map<std::string, std::string> fields{{"csrf", between(page.body, "<form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"", "\"")},
                                                  {"decision", "yes"}, {"per_page", "0.05"}, {"per_day", "1.00"}, {"days", "30"},
                                                  {"automatic", "yes"}, {"everywhere", "yes"}};
        if (has(page, "name=\"once\"")) fields["once"] = between(page.body, "name=\"once\" value=\"", "\"");
        for (auto& [name, value] : changes) fields[name] = value;
        return b.post("/authorize", fields, query(amount));
    }
    std::string code_of(const Response& r) const {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(r.body, 303, r.status);
        const auto to = header(r, "Location");
        CPPUNIT_ASSERT_MESSAGE(to, to.starts_with(shop.origin + callback + "?code="));
        CPPUNIT_ASSERT_MESSAGE(to, to.ends_with("&state=" + state + "&iss=" + form::encode(issuer)));
        return between(to, "code=", "&");
    }
    Response token(const std::string& code) { return token(code, verifier); }
    Response token(const std::string& code, const std::string& with) {
        return call("token", json::Object().set("code", code).set("redirect_uri", shop.origin + callback).set("code_verifier", with));
    }
    // A click of hers at this site after she has allowed all of them: at once, by a code.
    Response click(Browser& b, std::uint64_t amount = 20000) {
        fresh();
        return b.get("/authorize", query(amount), clicked());
    }
    static Browser::Headers clicked() {
        return {{"sec-fetch-mode", "navigate"}, {"sec-fetch-dest", "document"}, {"sec-fetch-user", "?1"}, {"sec-fetch-site", "cross-site"}};
    }
    Response take(Browser& b, std::map<std::string, std::string> changes = {}, std::uint64_t amount = 20000) {
        const auto r = token(code_of(confirm(b, std::move(changes), amount)));
        assert_ok(r);
        keep(r);
        return r;
    }
    void keep(const Response& r) {
        grant = member(r, "grant");
        shown = coin_number(r, "granted");
    }
    Response refresh(std::uint32_t spent, std::uint64_t price = 20000) {
        return call("refresh", json::Object().set("grant", grant).set("price", price).set("spent", std::uint64_t{spent}));
    }
    Response leave() { return call("leave", json::Object().set("grant", grant)); }
    Response call(const std::string& what, json::Object members) {
        return world_.call("POST /api/v1/ewallet/" + what, world_.signed_request(shop, "ewallet/" + what, std::move(members)));
    }
    static std::uint32_t coin_number(const Response& r, const std::string& name) {
        const auto doc = parsed(r);
        return static_cast<std::uint32_t>(doc.root().object("coin")->uint(name).value());
    }
    static std::string coin_text(const Response& r, const std::string& name) {
        const auto doc = parsed(r);
        return std::string(doc.root().object("coin")->string(name).value_or(""));
    }
    // The coin as this site could spend it: no payword above what it was shown.
    WalletCoin coin(const Response& r) {
        const auto t = must(verify_touchstone(coin_text(r, "touchstone"), issuer, world_.keys(), world_.clock.now()));
        const auto top = coin_number(r, "granted");
        const auto word = *decode_payword(coin_text(r, "payword"));
        CPPUNIT_ASSERT(walk_down(t.salt, top, word, 0).bytes == t.root.bytes);
        WalletCoin c;
        c.coin = t.coin;
        c.touchstone = coin_text(r, "touchstone");
        c.salt = t.salt;
        c.chain = std::make_shared<Chain>(t.salt, word, top);
        return c;
    }

    Shop shop;
    std::string state, verifier, grant;
    std::uint32_t shown = 0;

private:
    World& world_;
    SystemRandom random_;
};

class BrokerEwalletTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerEwalletTest);
    CPPUNIT_TEST(a_coin_is_granted_by_a_days_limit);
    CPPUNIT_TEST(midnight_leaves_room_again_and_what_lies_unused_is_not_added_to);
    CPPUNIT_TEST(a_moved_coin_is_shown_as_far_as_the_sites_own_limit_goes);
    CPPUNIT_TEST(a_confirmed_page_goes_beyond_by_exactly_that_page);
    CPPUNIT_TEST(no_lie_about_what_is_spent_raises_more_than_the_limits);
    CPPUNIT_TEST(a_site_gets_the_wallet_by_a_code);
    CPPUNIT_TEST(a_second_coin_gives_no_second_allowance);
    CPPUNIT_TEST(three_sites_together_get_a_days_limit);
    CPPUNIT_TEST(a_days_limit_is_there_again_at_midnight);
    CPPUNIT_TEST(codes_are_good_once);
    CPPUNIT_TEST(codes_are_bound_to_site_verifier_and_minute);
    CPPUNIT_TEST(redirects_go_to_the_sites_own_address_only);
    CPPUNIT_TEST(faults_of_the_request_go_back_to_the_site);
    CPPUNIT_TEST(one_click_is_enough_at_the_next_site);
    CPPUNIT_TEST(nothing_but_a_click_gets_a_code_unasked);
    CPPUNIT_TEST(the_wallet_moves_and_the_first_site_loses_it);
    CPPUNIT_TEST(a_sites_own_limit_holds_by_hashing);
    CPPUNIT_TEST(what_an_earlier_holder_had_spent_is_not_counted);
    CPPUNIT_TEST(coming_back_to_a_site_is_not_counted_twice);
    CPPUNIT_TEST(refreshing_raises_changes_coins_and_ends);
    CPPUNIT_TEST(leaving_returning_exporting_and_signing_out_end_it);
    CPPUNIT_TEST(a_suspended_site_gets_nothing);
    CPPUNIT_TEST(a_coin_is_bought_if_none_has_enough);
    CPPUNIT_TEST(limits_are_read_strictly_and_can_be_revoked);
    CPPUNIT_TEST(a_limit_that_is_wrong_is_named_and_kept_as_it_was_typed);
    CPPUNIT_TEST(a_revoked_site_gets_nothing_without_asking);
    CPPUNIT_TEST(confirming_at_one_site_widens_no_other);
    CPPUNIT_TEST(taking_a_coin_out_and_in_again_counts_nothing_twice);
    CPPUNIT_TEST(a_coin_on_its_way_back_is_in_no_wallet);
    CPPUNIT_TEST(what_was_granted_on_other_days_frees_nothing_today);
    CPPUNIT_TEST(a_form_whose_coin_is_gone_is_shown_anew);
    CPPUNIT_TEST(the_way_on_is_kept_through_sign_up_and_money);
    CPPUNIT_TEST(foreign_forms_decide_nothing);
    CPPUNIT_TEST(no_secret_is_in_the_store_or_the_log);
    CPPUNIT_TEST(what_is_over_is_forgotten);
    CPPUNIT_TEST(a_site_can_ask_whether_it_still_holds);
    CPPUNIT_TEST(a_page_she_confirmed_is_paid_though_more_was_spent_than_known);
    CPPUNIT_TEST(a_dear_page_makes_no_other_dearer);
    CPPUNIT_TEST(one_site_can_be_limited_beside_all);
    CPPUNIT_TEST(a_day_of_history_is_when_it_became_known);
    CPPUNIT_TEST(a_coin_given_back_leaves_its_room_in_the_day);
    CPPUNIT_TEST(several_tabs_at_once_stay_signed_in);
    CPPUNIT_TEST_SUITE_END();

public:
    void a_coin_is_granted_by_a_days_limit() {
        assert_grant(grant({1000, 0, 0, 0}, {100, 100, 100}, 2, false), 100, 100, 100, 0);
        // The stricter of both limits.
        assert_grant(grant({1000, 0, 0, 0}, {30, 30, 100}, 2, false), 30, 30, 30, 0);
        assert_grant(grant({1000, 0, 0, 0}, {30, 100, 30}, 2, false), 30, 30, 30, 0);
        // What is left of them.
        assert_grant(grant({1000, 100, 100, 100}, {100, 7, 50}, 2, false), 107, 107, 7, 0);
        assert_grant(grant({1000, 100, 100, 100}, {100, 0, 0}, 2, false), 100, 100, 0, 0);
        // Never beyond the coin.
        assert_grant(grant({1000, 990, 990, 990}, {100, 100, 100}, 2, false), 1000, 1000, 10, 0);
        CPPUNIT_ASSERT_EQUAL(0u, ewallet::units_left(*Amount::from(5), *Amount::from(6), *Amount::from(1)));
        CPPUNIT_ASSERT_EQUAL(3u, ewallet::units_left(*Amount::from(3999), Amount(), *Amount::from(1000)));
        CPPUNIT_ASSERT_EQUAL(1u << 20, ewallet::units_left(*Amount::from(limits::max_amount), Amount(), *Amount::from(1)));
    }

    void midnight_leaves_room_again_and_what_lies_unused_is_not_added_to() {
        // 40 of 100 were spent; the day after there may be 100 beyond them.
        assert_grant(grant({1000, 40, 100, 100}, {100, 100, 100}, 2, false), 140, 140, 40, 0);
        assert_grant(grant({1000, 0, 100, 100}, {100, 100, 100}, 2, false), 100, 100, 0, 0);
        assert_grant(grant({1000, 100, 100, 100}, {100, 100, 100}, 2, false), 200, 200, 100, 0);
    }

    void a_moved_coin_is_shown_as_far_as_the_sites_own_limit_goes() {
        assert_grant(grant({1000, 10, 100, 0}, {50, 50, 0}, 2, false), 60, 100, 0, 50);
        assert_grant(grant({1000, 10, 100, 0}, {100, 100, 0}, 2, false), 100, 100, 0, 90);
        assert_grant(grant({1000, 10, 100, 0}, {100, 100, 20}, 2, false), 110, 110, 10, 90);
        assert_grant(grant({1000, 10, 100, 0}, {50, 0, 100}, 2, false), 10, 100, 0, 0);
        // What it was shown before is nothing new to it.
        assert_grant(grant({1000, 10, 100, 80}, {100, 10, 0}, 2, false), 90, 100, 0, 10);
    }

    void a_confirmed_page_goes_beyond_by_exactly_that_page() {
        assert_grant(grant({1000, 100, 100, 100}, {100, 0, 0}, 7, true), 107, 107, 7, 0);
        assert_grant(grant({1000, 0, 0, 0}, {5, 5, 5}, 7, true), 7, 7, 7, 0);
        assert_grant(grant({1000, 10, 100, 0}, {50, 0, 100}, 7, true), 17, 100, 0, 7);
        assert_grant(grant({1000, 10, 100, 0}, {50, 50, 0}, 7, true), 60, 100, 0, 50);
        assert_grant(grant({1000, 995, 995, 995}, {100, 0, 0}, 7, true), 1000, 1000, 5, 0);
        // With room in the limits there is no need to.
        assert_grant(grant({1000, 0, 0, 0}, {100, 100, 100}, 7, true), 100, 100, 100, 0);
    }

    void no_lie_about_what_is_spent_raises_more_than_the_limits() {
        std::mt19937 r(7);
        const auto pick = [&](std::uint32_t most) { return std::uniform_int_distribution<std::uint32_t>(0, most)(r); };
        for (int round = 0; round < 300; ++round) {
            constexpr std::uint32_t n = 5000, limit = 100;
            std::uint32_t granted = 0, raised_today = 0, here[3] = {}, shown[3] = {}, beyond = 0, first = 0;
            for (int step = 0; step < 60; ++step) {
                const auto v = pick(2), need = 1 + pick(9);
                const bool confirmed = pick(9) == 0;
                if (pick(29) == 0) {
                    raised_today = beyond = 0;
                    std::fill(std::begin(here), std::end(here), 0);
                    first = granted;
                }
                const Allowance left{limit, limit - std::min(limit, here[v]), limit - std::min(limit, raised_today)};
                const auto g = grant({n, pick(shown[v]), granted, shown[v]}, left, need, confirmed);
                CPPUNIT_ASSERT(g.granted >= granted && g.granted <= n && g.shown >= shown[v] && g.shown <= g.granted);
                CPPUNIT_ASSERT_EQUAL(g.granted - granted, g.raised);
                if (confirmed) beyond += need;
                granted = g.granted;
                shown[v] = g.shown;
                raised_today += g.raised;
                here[v] += g.raised + g.moved;
                CPPUNIT_ASSERT(granted - first <= limit + beyond);
            }
        }
    }

    void a_site_gets_the_wallet_by_a_code() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        const auto r = a.take(m.browser);
        CPPUNIT_ASSERT_EQUAL(std::string("no-store"), header(r, "Cache-Control"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{50000}, amount_of(r, "per_page"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, amount_of(r, "per_day"));
        CPPUNIT_ASSERT_EQUAL(static_cast<std::uint64_t>(start_of_time + 30 * day), amount_of(r, "until"));
        CPPUNIT_ASSERT_EQUAL(std::string("uusd"), member(r, "currency"));
        assert_has(r, "\"automatic\":true");
        CPPUNIT_ASSERT_EQUAL(1000u, Site::coin_number(r, "granted"));
        CPPUNIT_ASSERT_EQUAL(0u, Site::coin_number(r, "spent"));
        CPPUNIT_ASSERT(!parsed(r).root().object("coin")->string("holder"));
        assert_ok(w.acquire(a.shop, a.coin(r), 20));
        // She sees where it is.
        assert_has(m.browser.get("/account"), "https://a.example");
        assert_has(m.browser.get("/coins"), "kept by https://a.example; may still spend up to");
        w.assert_sound();
    }

    void a_second_coin_gives_no_second_allowance() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        m.buy();
        m.buy();
        a.take(m.browser, {{"per_day", "0.60"}});
        CPPUNIT_ASSERT_EQUAL(600u, a.shown);
        // Spent to the last; the other site gets nothing of the other coin but the page she confirms.
        const auto r = a.refresh(600);
        assert_problem(409, "day-limit", r);
        CPPUNIT_ASSERT_EQUAL(200, b.click(m.browser).status);
        assert_has(b.click(m.browser), "used up");
        assert_ok(b.take(m.browser, {{"per_day", "0.60"}}));
        CPPUNIT_ASSERT_EQUAL(Int{620}, w.count("SELECT SUM(granted) FROM web_coins"));
        assert_problem(409, "day-limit", b.refresh(b.shown));
        CPPUNIT_ASSERT_EQUAL(Int{620000}, w.count("SELECT SUM(raised) FROM ewallet_raised"));
    }

    void three_sites_together_get_a_days_limit() {
        World w;
        Site sites[3] = {{w, "https://a.example"}, {w, "https://b.example"}, {w, "https://c.example"}};
        Member m(w);
        for (int i = 0; i < 4; ++i) m.buy();
        sites[0].take(m.browser, {{"per_day", "0.30"}});
        for (int call = 0; call < 100; ++call) {
            auto& s = sites[call % 3];
            const auto r = s.click(m.browser);
            if (r.status == 303) {
                const auto t = s.token(s.code_of(r));
                if (t.status == 200) s.keep(t);
            }
            if (!s.grant.empty()) (void)s.refresh(s.shown);
        }
        CPPUNIT_ASSERT_EQUAL(Int{300}, w.count("SELECT SUM(granted) FROM web_coins"));
        CPPUNIT_ASSERT_EQUAL(Int{300000}, w.count("SELECT SUM(raised) FROM ewallet_raised"));
    }

    void a_days_limit_is_there_again_at_midnight() {
        World w;
        w.clock.time = start_of_time - start_of_time % day + day - 60;
        Site a(w, "https://a.example");
        Member m(w);
        m.buy();
        a.take(m.browser, {{"per_day", "0.30"}});
        assert_problem(409, "day-limit", a.refresh(300));
        w.clock.time += 59;
        assert_problem(409, "day-limit", a.refresh(300));
        w.clock.time += 1;
        const auto r = a.refresh(300);
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(600u, Site::coin_number(r, "granted"));
        assert_problem(409, "day-limit", a.refresh(600));
    }

    void codes_are_good_once() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        const auto code = a.code_of(a.confirm(m.browser));
        const auto first = a.token(code);
        assert_ok(first);
        a.keep(first);
        assert_ok(a.refresh(0));
        assert_problem(400, "invalid-grant", a.token(code));
        // And what it was exchanged for is over: one of both has stolen it.
        assert_problem(410, "grant-ended", a.refresh(0));
        // A signed request is taken once.
        const auto body = w.signed_request(a.shop, "ewallet/leave", json::Object().set("grant", a.grant));
        assert_ok(w.call("POST /api/v1/ewallet/leave", body));
        assert_problem(403, "request-replayed", w.call("POST /api/v1/ewallet/leave", body));
    }

    void codes_are_bound_to_site_verifier_and_minute() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        assert_problem(400, "invalid-grant", a.token(a.code_of(a.confirm(m.browser)), b.verifier));
        assert_problem(400, "invalid-grant", a.token(a.code_of(a.confirm(m.browser)), ""));
        assert_problem(400, "invalid-grant", b.token(a.code_of(a.confirm(m.browser)), a.verifier));
        const auto code = a.code_of(a.confirm(m.browser));
        assert_problem(400, "invalid-grant", b.token(code, a.verifier));
        assert_problem(400, "invalid-grant", a.token(code));  // it was somebody else's for a moment
        const auto late = a.code_of(a.confirm(m.browser));
        w.clock.time += ewallet::code_life_s + 1;
        assert_problem(400, "invalid-grant", a.token(late));
        assert_problem(400, "invalid-grant", a.token("x"));
        assert_problem(400, "malformed-request",
                       a.call("token", json::Object().set("code", late).set("redirect_uri", "https://a.example/").set("code_verifier", a.verifier)));
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_grants"));
    }

    void redirects_go_to_the_sites_own_address_only() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        const auto refused = [&](const std::string& name, const std::string& value) {
            auto q = a.query();
            q[name] = value;
            for (const auto& r : {m.browser.get("/authorize", q), m.browser.get("/authorize", q, Site::clicked()), Browser(w).get("/authorize", q)}) {
                CPPUNIT_ASSERT_EQUAL_MESSAGE(name + "=" + value, 400, r.status);
                CPPUNIT_ASSERT_EQUAL(std::string(), header(r, "Location"));
            }
        };
        for (const char* to : {"https://a.example/.well-known/netpay/wallet/callback/", "https://a.example:8443/.well-known/netpay/wallet/callback",
                               "https://x@a.example/.well-known/netpay/wallet/callback", "HTTPS://a.example/.well-known/netpay/wallet/callback",
                               "https://A.example/.well-known/netpay/wallet/callback", "http://a.example/.well-known/netpay/wallet/callback",
                               "https://a.example/.well-known/netpay/wallet/callback?x", "https://a.example.evil.example/.well-known/netpay/wallet/callback",
                               "https://a.example/", "//a.example/.well-known/netpay/wallet/callback", "javascript:alert(1)", "",
                               "https://b.example/.well-known/netpay/wallet/callback"})
            refused("redirect_uri", to);
        for (const char* client : {"https://evil.example", "https://a.example/", "", "https://A.example", "https://b.example"})
            refused("client_id", client);
        for (const char* state : {"", "x", "'\"><script>", "AAAA"}) refused("state", state);
        must(suspend_vendor(w.context, w.store(), "https://a.example"));
        refused("scope", "server");
    }

    void faults_of_the_request_go_back_to_the_site() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        const std::pair<std::string, std::string> faults[] = {{"response_type", "token"}, {"scope", "everything"}, {"code_challenge", "short"},
                                                              {"code_challenge_method", "plain"}, {"amount", "-1"}, {"amount", "0"}, {"amount", "0.02"},
                                                              {"currency", "ueur"}, {"currency", ""}};
        for (const auto& [name, value] : faults) {
            auto q = a.query();
            q[name] = value;
            const auto r = m.browser.get("/authorize", q);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, 303, r.status);
            const auto to = header(r, "Location");
            CPPUNIT_ASSERT_MESSAGE(to, to.starts_with(a.shop.origin + callback + "?error=") && to.find("code=") == std::string::npos);
            CPPUNIT_ASSERT(to.find("&state=" + a.state) != std::string::npos);
        }
        const auto no = a.confirm(m.browser, {{"decision", "no"}});
        CPPUNIT_ASSERT(header(no, "Location").starts_with(a.shop.origin + callback + "?error=access_denied&"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_codes"));
    }

    void one_click_is_enough_at_the_next_site() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        CPPUNIT_ASSERT_EQUAL(200, a.click(m.browser).status);
        a.take(m.browser);
        const auto r = b.token(b.code_of(b.click(m.browser)));
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(1000u, Site::coin_number(r, "granted"));
        // A dearer page, a site where she set less, a time that is over: she is asked.
        CPPUNIT_ASSERT_EQUAL(200, b.click(m.browser, 50001).status);
        w.clock.time += 31 * day;
        CPPUNIT_ASSERT_EQUAL(303, b.click(m.browser).status);  // to sign in again
        CPPUNIT_ASSERT(header(b.click(m.browser), "Location").starts_with("/sign-in?next="));
        m.browser.sign_in(m.passphrase);
        CPPUNIT_ASSERT_EQUAL(200, b.click(m.browser).status);
        a.take(m.browser, {{"everywhere", ""}});
        CPPUNIT_ASSERT_EQUAL(200, b.click(m.browser).status);
    }

    void nothing_but_a_click_gets_a_code_unasked() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        a.take(m.browser);
        const auto asked = [&](Browser::Headers h) {
            CPPUNIT_ASSERT_EQUAL(200, m.browser.get("/authorize", a.query(), std::move(h)).status);
        };
        asked({});
        for (const auto& [name, value] : Browser::Headers{{"sec-fetch-mode", "no-cors"}, {"sec-fetch-dest", "iframe"}, {"sec-fetch-user", ""},
                                                          {"sec-purpose", "prefetch;prerender"}, {"purpose", "prefetch"}, {"x-moz", "prefetch"}}) {
            auto h = Site::clicked();
            h[name] = value;
            asked(h);
        }
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_codes"));
        // Nobody's click but a member's; and it is not shown in a frame.
        CPPUNIT_ASSERT(header(a.click(*std::make_unique<Browser>(w)), "Location").starts_with("/sign-in?next=%2Fauthorize%3F"));
        CPPUNIT_ASSERT_EQUAL(std::string("DENY"), header(m.browser.get("/authorize", a.query()), "X-Frame-Options"));
        CPPUNIT_ASSERT_EQUAL(303, a.click(m.browser).status);
    }

    void the_wallet_moves_and_the_first_site_loses_it() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        const auto at_a = a.take(m.browser);
        assert_ok(w.acquire(a.shop, a.coin(at_a), 20));
        const auto at_b = b.take(m.browser);
        CPPUNIT_ASSERT_EQUAL(std::string("https://a.example"), Site::coin_text(at_b, "holder"));
        CPPUNIT_ASSERT_EQUAL(1u, Site::coin_number(at_b, "held"));
        CPPUNIT_ASSERT_EQUAL(Site::coin_text(at_a, "touchstone"), Site::coin_text(at_b, "touchstone"));
        assert_problem(410, "grant-ended", a.refresh(20));
        // §7: the coin goes from site to site, and is sold on there.
        const auto c = b.coin(at_b);
        assert_ok(w.transfer(b.shop, c, {w.hand_over(a.shop, b.shop.origin, c, 1, 60)}));
        const auto again = b.refresh(60);
        assert_ok(again);
        CPPUNIT_ASSERT_EQUAL(std::string(), Site::coin_text(again, "holder"));
        CPPUNIT_ASSERT_EQUAL(60u, Site::coin_number(again, "spent"));
        w.assert_sound();
    }

    void a_sites_own_limit_holds_by_hashing() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        assert_ok(w.acquire(a.shop, a.coin(a.take(m.browser)), 20));
        const auto r = b.take(m.browser, {{"everywhere", ""}, {"per_day", "0.10"}});
        // The coin lies at A with all of a day's limit: of it B is shown ten cents.
        CPPUNIT_ASSERT_EQUAL(100u, Site::coin_number(r, "granted"));
        CPPUNIT_ASSERT_EQUAL(Int{1000}, w.count("SELECT SUM(granted) FROM web_coins"));
        assert_problem(409, "day-limit", b.refresh(100));
        // A fresh coin is taken rather than one whose holder may have sold more than that.
        m.buy();
        const auto fresh = b.take(m.browser, {{"everywhere", ""}, {"per_day", "0.10"}});
        CPPUNIT_ASSERT(Site::coin_text(fresh, "holder").empty());
        CPPUNIT_ASSERT_EQUAL(20u, Site::coin_number(fresh, "granted"));  // the page that she confirmed
    }

    void what_an_earlier_holder_had_spent_is_not_counted() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        assert_ok(w.acquire(a.shop, a.coin(a.take(m.browser)), 20));
        const auto c = b.coin(b.take(m.browser));
        CPPUNIT_ASSERT_EQUAL(Int{1000000}, w.count("SELECT SUM(moved) FROM ewallet_raised"));
        assert_ok(w.transfer(b.shop, c, {w.hand_over(a.shop, b.shop.origin, c, 1, 700)}));
        assert_ok(b.refresh(700));
        CPPUNIT_ASSERT_EQUAL(Int{300000}, w.count("SELECT SUM(moved) FROM ewallet_raised"));
        assert_ok(b.refresh(700));
        CPPUNIT_ASSERT_EQUAL(Int{300000}, w.count("SELECT SUM(moved) FROM ewallet_raised"));
    }

    void coming_back_to_a_site_is_not_counted_twice() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        a.take(m.browser);
        assert_ok(a.leave());
        for (Site* s : {&a, &b, &a, &b, &a}) {
            const auto r = s->take(m.browser);
            CPPUNIT_ASSERT_EQUAL(1000u, Site::coin_number(r, "granted"));
        }
        CPPUNIT_ASSERT_EQUAL(Int{1000000}, w.count("SELECT SUM(raised) FROM ewallet_raised"));
        CPPUNIT_ASSERT_EQUAL(Int{1000000}, w.count("SELECT SUM(moved) FROM ewallet_raised"));
    }

    void refreshing_raises_changes_coins_and_ends() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        const auto first = a.take(m.browser, {{"per_day", "2.00"}});
        CPPUNIT_ASSERT_EQUAL(1000u, a.shown);
        assert_problem(409, "insufficient", a.refresh(990));
        m.buy();
        const auto next = a.refresh(990);
        assert_ok(next);
        CPPUNIT_ASSERT(!parsed(next).root().string("grant"));
        CPPUNIT_ASSERT(Site::coin_text(next, "touchstone") != Site::coin_text(first, "touchstone"));
        CPPUNIT_ASSERT_EQUAL(0u, Site::coin_number(next, "spent"));
        // Not from another site's e-wallet: that takes a click of hers.
        assert_ok(b.take(m.browser, {{"per_day", "2.00"}}));
        assert_problem(410, "grant-ended", a.refresh(10));
        // Nonsense and other sites' grants.
        assert_problem(400, "malformed-request", b.refresh(1u << 21));
        assert_problem(400, "malformed-request", b.call("refresh", json::Object().set("grant", b.grant).set("spent", std::uint64_t{0})));
        std::swap(a.grant, b.grant);
        assert_problem(410, "grant-ended", a.refresh(10));
        std::swap(a.grant, b.grant);
        w.clock.time += 30 * day;
        assert_problem(410, "grant-ended", b.refresh(10));
    }

    void leaving_returning_exporting_and_signing_out_end_it() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        a.take(m.browser);
        assert_ok(b.call("leave", json::Object().set("grant", a.grant)));  // not its own
        assert_ok(a.refresh(0));
        assert_ok(a.leave());
        assert_ok(a.leave());
        assert_problem(410, "grant-ended", a.refresh(0));

        a.take(m.browser);
        const auto coin = between(m.browser.get("/coins").body, "name=\"coin\" value=\"", "\"");
        assert_has(m.browser.get("/coins"), "aria-label=\"Give back coin ");
        assert_ok(m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", coin}}));
        assert_problem(410, "grant-ended", a.refresh(0));

        a.take(m.browser);
        const auto kept = between(m.browser.get("/coins").body, "name=\"coin.", "\"");
        assert_ok(m.take_out(kept));
        assert_problem(410, "grant-ended", a.refresh(0));

        a.take(m.browser);
        const auto code = a.code_of(a.click(m.browser));
        const auto out = m.browser.post("/sign-out", {{"csrf", m.browser.csrf("/account")}, {"all", "1"}});
        assert_ok(out);
        assert_has(out, "stop within five minutes");
        CPPUNIT_ASSERT(!m.browser.member());
        assert_problem(410, "grant-ended", a.refresh(0));
        assert_problem(400, "invalid-grant", a.token(code));
        w.assert_sound();
    }

    void a_suspended_site_gets_nothing() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        a.take(m.browser);
        const auto code = a.code_of(a.click(m.browser));
        must(suspend_vendor(w.context, w.store(), "https://a.example"));
        assert_problem(410, "grant-ended", a.refresh(0));
        assert_problem(403, "suspended-vendor", a.token(code));
        assert_ok(a.leave());
        a.shop.key = new_key();
        assert_problem(403, "request-forged", a.leave());
    }

    void a_coin_is_bought_if_none_has_enough() {
        World w;
        Site a(w, "https://a.example");
        Member m(w, 500000);
        assert_has(m.browser.get("/authorize", a.query()), "That is too little for this page.");  // $1 is the next
        CPPUNIT_ASSERT_EQUAL(409, a.confirm(m.browser).status);
        const auto page = m.browser.get("/authorize", a.query(5000));
        assert_has(page, "1 ¢ of your balance goes into the e-wallet");
        const auto r = a.token(a.code_of(a.confirm(m.browser, {}, 5000)));
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(10u, Site::coin_number(r, "granted"));
        assert_has(m.browser.get("/account"), "49 ¢");
        a.keep(r);
        assert_problem(409, "insufficient", a.refresh(10, 5000));
        // A form that is sent twice buys one coin.
        for (int i = 0; i < 2; ++i) CPPUNIT_ASSERT_EQUAL(303, a.confirm(m.browser, {{"once", "1"}}, 5000).status);
        CPPUNIT_ASSERT_EQUAL(Int{2}, w.count("SELECT COUNT(*) FROM coins"));
        w.assert_sound();
    }

    void limits_are_read_strictly_and_can_be_revoked() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        const std::pair<std::string, std::string> wrong[] = {{"per_page", "x"}, {"per_day", "-1"}, {"days", "366"}, {"days", "0"}, {"days", ""}};
        for (const auto& [name, value] : wrong) CPPUNIT_ASSERT_EQUAL_MESSAGE(name, 422, a.confirm(m.browser, {{name, value}}).status);
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_limits"));
        a.take(m.browser, {{"everywhere", ""}, {"per_day", "0.25"}, {"automatic", ""}});
        const auto page = m.browser.get("/limits");
        assert_has(page, "<h2><a href=\"https://a.example/.well-known/netpay/wallet\">https://a.example</a></h2>");
        assert_has(page, "<h2>All sites together</h2>");
        const auto csrf = m.browser.csrf("/limits");
        const auto set = [&](std::map<std::string, std::string> f) {
            f["csrf"] = csrf;
            f["currency"] = "uusd";
            return m.browser.post("/limits", f).status;
        };
        CPPUNIT_ASSERT_EQUAL(303, set({{"site", "https://a.example"}, {"do", "save"}, {"per_page", "0.01"}, {"per_day", "0.30"}, {"days", "5"}}));
        CPPUNIT_ASSERT_EQUAL(422, set({{"site", "https://b.example"}, {"do", "save"}, {"per_page", "0.01"}, {"per_day", "0.30"}, {"days", "5"}}));
        CPPUNIT_ASSERT_EQUAL(422, set({{"site", "*"}, {"do", "save"}, {"per_page", "much"}, {"per_day", "0.30"}, {"days", "5"}}));
        const auto r = a.refresh(200);
        assert_ok(r);
        assert_problem(409, "day-limit", a.refresh(290));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, amount_of(r, "per_page"));
        assert_has(r, "\"automatic\":false");
        CPPUNIT_ASSERT_EQUAL(300u, Site::coin_number(r, "granted"));
        CPPUNIT_ASSERT_EQUAL(303, set({{"site", "https://a.example"}, {"do", "revoke"}}));
        assert_problem(410, "grant-ended", a.refresh(240));
        assert_has(m.browser.get("/limits"), "It may have nothing");
    }

    void a_limit_that_is_wrong_is_named_and_kept_as_it_was_typed() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        struct Wrong {
            std::map<std::string, std::string> typed;
            std::string said, marked;
        };
        const Wrong wrong[] = {{{{"per_page", "2\"<"}}, "“At most for a page” is not an amount", "name=\"per_page\" value=\"2&quot;&lt;\" aria-invalid"},
                               {{{"per_day", "1,50"}}, "“At most a day” is not an amount", "name=\"per_day\" value=\"1,50\" aria-invalid"},
                               {{{"days", "366"}}, "“For so many days” is a number from 1 to 365", "name=\"days\" value=\"366\" aria-invalid"},
                               {{{"per_page", "0.50"}, {"per_day", "0.40"}}, "“At most for a page” is more than “At most a day”",
                                "name=\"per_page\" value=\"0.50\" aria-invalid"}};
        for (const auto& one : wrong) {
            const auto r = a.confirm(m.browser, one.typed);
            CPPUNIT_ASSERT_EQUAL(422, r.status);
            for (const auto& part : {one.said, one.marked}) assert_has(r, part);
            for (const auto& [name, value] : one.typed) assert_has(r, "name=\"" + name + "\" value=\"" + html::escape(value));
        }
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_limits"));
        a.take(m.browser, {{"everywhere", ""}, {"per_day", "0.25"}});
        // On the page of limits: in the form that it was, and in no other.
        const auto r = m.browser.post("/limits", {{"csrf", m.browser.csrf("/limits")}, {"site", "https://a.example"}, {"currency", "uusd"},
                                                  {"do", "save"}, {"per_page", "0.70"}, {"per_day", "0.60"}, {"days", "5"}});
        CPPUNIT_ASSERT_EQUAL(422, r.status);
        assert_has(r, "“At most for a page” is more than “At most a day”");
        assert_has(r, "value=\"0.70\" aria-invalid=\"true\"");
        assert_has(r, "name=\"per_day\" value=\"0.60\"");
        assert_has(r, "name=\"per_page\" value=\"0.05\"");
        CPPUNIT_ASSERT(r.body.find("aria-invalid") == r.body.rfind("aria-invalid"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM ewallet_limits WHERE per_day = 250000"));
        // A day that is lowered for all sites leaves no form that would not be taken.
        CPPUNIT_ASSERT_EQUAL(303, m.browser.post("/limits", {{"csrf", m.browser.csrf("/limits")}, {"site", "*"}, {"currency", "uusd"},
                                                            {"do", "save"}, {"per_page", "0.02"}, {"per_day", "0.03"}, {"days", "5"}}).status);
        CPPUNIT_ASSERT(!has(m.browser.get("/limits"), "value=\"0.05\""));
    }

    void a_revoked_site_gets_nothing_without_asking() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        a.take(m.browser);
        // Confirmed, and the code not used yet; then she thinks again. The site has no limits of its own.
        const auto code = b.code_of(b.confirm(m.browser));
        const auto revoke = [&](const std::string& site) {
            return m.browser.post("/limits", {{"csrf", m.browser.csrf("/limits")}, {"site", site}, {"currency", "uusd"}, {"do", "revoke"}}).status;
        };
        b.token(b.code_of(b.click(m.browser)));
        CPPUNIT_ASSERT_EQUAL(303, revoke("https://b.example"));
        assert_problem(400, "invalid-grant", b.token(code));
        // All sites may have the e-wallet by one click, and this one asks.
        CPPUNIT_ASSERT_EQUAL(303, a.click(m.browser).status);
        CPPUNIT_ASSERT_EQUAL(200, b.click(m.browser).status);
        w.clock.time += 29 * day;
        m.browser.sign_in(m.passphrase);
        CPPUNIT_ASSERT_EQUAL(200, b.click(m.browser).status);
        // Asked, it is offered what other sites have.
        assert_has(m.browser.get("/authorize", b.query()), "name=\"per_day\" value=\"1.00\"");
        b.take(m.browser, {{"everywhere", ""}, {"per_day", "0.10"}});
        CPPUNIT_ASSERT_EQUAL(Int{100000}, w.count("SELECT per_day FROM ewallet_limits WHERE site = 'https://b.example'"));
        assert_ok(b.refresh(0));
    }

    void confirming_at_one_site_widens_no_other() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example"), c(w, "https://c.example");
        Member m(w, 30000000);
        m.buy("uusd.1000.10000");
        a.take(m.browser, {{"per_page", "0.05"}, {"per_day", "0.10"}, {"days", "7"}});
        b.take(m.browser, {{"everywhere", ""}, {"per_page", "1.50"}, {"per_day", "2.00"}, {"days", "300"}});
        const auto at = [&](const std::string& site) {
            return *w.store().read([&](Sql& sql) -> Outcome<ewallet::Rules> {
                return ewallet::rules_at(sql, number(sql, "SELECT MIN(account) FROM ewallet_limits"), site, *Currency::parse("uusd"),
                                         w.clock.time)
                    .value();
            });
        };
        for (const auto* site : {"https://a.example", "https://c.example"}) {
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{100000}, at(site).here.per_day.micro());
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{50000}, at(site).here.per_page.micro());
            CPPUNIT_ASSERT_EQUAL(w.clock.time + 7 * day, at(site).here.until);
        }
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2000000}, at("https://b.example").here.per_day.micro());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2000000}, at("https://a.example").per_day_all.micro());
        // Confirmed once more as the form is shown: still a word about that site alone.
        const auto save = [&](const std::string& site, const std::string& per_day) {
            return m.browser.post("/limits", {{"csrf", m.browser.csrf("/limits")}, {"site", site}, {"currency", "uusd"}, {"do", "save"},
                                              {"per_page", "0.05"}, {"per_day", per_day}, {"days", "7"}, {"automatic", "yes"},
                                              {"everywhere", "yes"}}).status;
        };
        CPPUNIT_ASSERT_EQUAL(303, save("*", "0.10"));
        // She lowered what all of them may have together: the other site's day with it.
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{100000}, at("https://b.example").here.per_day.micro());
        CPPUNIT_ASSERT_EQUAL(303, save("https://b.example", "2.00"));
        const auto page = m.browser.get("/authorize", b.query());
        assert_has(page, "name=\"everywhere\" value=\"yes\">");
        assert_has(m.browser.get("/authorize", c.query()), "name=\"everywhere\" value=\"yes\" checked>");
        w.assert_sound();
    }

    void taking_a_coin_out_and_in_again_counts_nothing_twice() {
        World w;
        Site a(w, "https://a.example");
        Member m(w, 30000000);
        m.buy("uusd.1000.10000");
        a.take(m.browser);
        const auto coin = a.coin(a.refresh(0)).coin;
        for (int round = 0; round < 3; ++round) {
            const auto file = m.take_out(coin);
            assert_ok(file);
            assert_problem(410, "grant-ended", a.refresh(0));
            assert_ok(m.browser.post("/import", {{"csrf", m.browser.csrf("/import")}, {"export", file.body}}));
            CPPUNIT_ASSERT_EQUAL(Int{1000}, w.count("SELECT granted FROM web_coins WHERE coin = '" + coin + "'"));
            a.keep(a.token(a.code_of(a.click(m.browser))));
            CPPUNIT_ASSERT_EQUAL(1000u, a.shown);
            CPPUNIT_ASSERT_EQUAL(Int{1000000}, w.count("SELECT SUM(raised) FROM ewallet_raised"));
            CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT SUM(moved) FROM ewallet_raised"));
        }
        // Whatever stands in the sums, they never wrap into room for more.
        assert_grant(grant({1000, 0, 0, 500}, {100, 0, 0}, 10, false), 500, 500, 0, 0);
        w.assert_sound();
    }

    void a_coin_on_its_way_back_is_in_no_wallet() {
        World w;
        Site a(w, "https://a.example");
        Member m(w, 30000000);
        const auto first = m.coin();
        m.buy();
        a.take(m.browser);
        const auto coin = a.coin(a.refresh(0)).coin;
        const auto page = m.browser.post("/account/token", {{"csrf", m.browser.csrf("/account")}});
        assert_ok(w.give_back(between(page.body, "\"phrase\">", "<"), coin));
        assert_problem(410, "grant-ended", a.refresh(0));
        assert_problem(410, "grant-ended", a.call("limits", json::Object().set("grant", a.grant)));
    }

    void what_was_granted_on_other_days_frees_nothing_today() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w, 30000000);
        m.buy();
        a.take(m.browser);
        const auto old = a.coin(a.refresh(0)).coin;
        w.clock.time += day;
        m.browser.sign_in(m.passphrase);
        m.buy("uusd.1000.10000");
        b.take(m.browser, {}, 1200000);
        CPPUNIT_ASSERT(b.coin(b.refresh(0)).coin != old);
        CPPUNIT_ASSERT_EQUAL(Int{1200000}, w.count("SELECT SUM(raised) FROM ewallet_raised WHERE day = " + std::to_string(w.clock.time / day)));
        assert_ok(m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", old}}));
        CPPUNIT_ASSERT_EQUAL(Int{1200000}, w.count("SELECT SUM(raised) FROM ewallet_raised WHERE day = " + std::to_string(w.clock.time / day)));
        assert_problem(409, "day-limit", b.refresh(1190));
    }

    void a_form_whose_coin_is_gone_is_shown_anew() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        a.fresh();
        const auto page = m.browser.get("/authorize", a.query());
        const auto once = between(page.body, "name=\"once\" value=\"", "\"");
        a.keep(a.token(a.code_of(a.confirm(m.browser, {{"once", once}}))));
        const auto coin = a.coin(a.refresh(0)).coin;
        assert_ok(m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", coin}}));
        const auto again = a.confirm(m.browser, {{"once", once}});
        CPPUNIT_ASSERT_EQUAL(409, again.status);
        assert_has(again, "confirm once more");
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM coins"));
        a.take(m.browser);
        CPPUNIT_ASSERT_EQUAL(Int{2}, w.count("SELECT COUNT(*) FROM coins"));
    }

    void the_way_on_is_kept_through_sign_up_and_money() {
        World w;
        Site a(w, "https://a.example");
        Browser b(w);
        const auto to = header(b.get("/authorize", a.query()), "Location");
        CPPUNIT_ASSERT_EQUAL("/sign-in?next=" + form::encode(a.address()), to);
        const std::string own = "form-action 'self' https://a.example;", none = "form-action 'self';";
        const auto allows = [&](const Response& r, const std::string& what) {
            const auto policy = header(r, "Content-Security-Policy");
            CPPUNIT_ASSERT_MESSAGE(policy, policy.find(what) != std::string::npos);
        };
        allows(b.get("/sign-in", {{"next", a.address()}}), own);
        assert_has(b.get("/sign-in", {{"next", a.address()}}), "/sign-up?next=" + form::encode(a.address()));
        const auto r = b.post("/sign-up", {{"csrf", b.csrf("/sign-up")}, {"next", a.address()}});
        assert_has(r, "href=\"/topup?next=" + form::encode(a.address()) + "\"");
        const auto topup = b.get("/topup", {{"next", a.address()}});
        allows(topup, own);
        assert_has(topup, "name=\"next\" value=\"/authorize?amount=20000&amp;");
        const auto paid = b.post("/topup", {{"csrf", b.csrf("/topup")}, {"provider", "voucher"}, {"voucher", w.voucher(5000000)}, {"next", a.address()}});
        CPPUNIT_ASSERT_EQUAL(303, paid.status);
        CPPUNIT_ASSERT_EQUAL(a.address(), header(paid, "Location"));
        allows(b.get("/authorize", a.query()), own);

        // Strangers' addresses are left out.
        for (const char* next : {"//evil.example/", "https://evil.example/", "/\\evil.example", "/authorize?client_id=https%3A%2F%2Fevil.example"})
            allows(b.get("/topup", {{"next", next}}), none);
        const Browser::Query back{{"client", "https://a.example"}, {"target", "/x?y=1"}};
        assert_has(b.get("/topup", back), "class=\"quiet\" href=\"https://a.example/x?y=1\">");
        // Once there is money, going on is the one thing to do.
        const auto rich = b.post("/topup", {{"csrf", b.csrf("/topup")}, {"provider", "voucher"}, {"voucher", w.voucher(5000000)},
                                            {"client", "https://a.example"}, {"target", "/x?y=1"}});
        assert_has(rich, "<a class=\"button\" href=\"https://a.example/x?y=1\">Back to https://a.example</a></p>\n<div class=\"later\">");
        assert_has(b.get("/topup", {{"client", "https://a.example"}, {"target", "/x?y=1"}}), "href=\"https://a.example/x?y=1\">Back to https://a.example<");
        CPPUNIT_ASSERT(!has(b.get("/topup", {{"client", "https://evil.example"}, {"target", "/"}}), "evil"));
        assert_has(b.get("/topup", {{"client", "https://a.example"}, {"target", "//evil.example"}}), "href=\"https://a.example/\"");
    }

    void foreign_forms_decide_nothing() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        m.browser.origin = "https://a.example";
        CPPUNIT_ASSERT_EQUAL(403, a.confirm(m.browser).status);
        m.browser.origin = "null";
        CPPUNIT_ASSERT_EQUAL(403, a.confirm(m.browser).status);
        m.browser.origin = issuer;
        CPPUNIT_ASSERT_EQUAL(403, a.confirm(m.browser, {{"csrf", "x"}}).status);
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_codes"));
        // A session that was known before is not the one that goes on.
        const auto before = m.browser.session();
        CPPUNIT_ASSERT_EQUAL(303, a.confirm(m.browser).status);
        CPPUNIT_ASSERT(before != m.browser.session());
    }

    void no_secret_is_in_the_store_or_the_log() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        const auto code = a.code_of(a.confirm(m.browser));
        const auto r = a.token(code);
        a.keep(r);
        for (const auto& secret : {code, a.grant, a.verifier, Site::coin_text(r, "payword")})
            for (const char* name : {"broker.db", "broker.db-wal", "log"}) {
                std::ifstream in(*w.dir() / name, std::ios::binary);
                const std::string text{std::istreambuf_iterator<char>(in), {}};
                CPPUNIT_ASSERT_MESSAGE(name, text.find(secret) == std::string::npos);
            }
    }

    void what_is_over_is_forgotten() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        a.take(m.browser);
        (void)a.code_of(a.click(m.browser));
        assert_ok(a.leave());
        w.pass(2 * day);
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_codes"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_raised"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM ewallet_grants"));
        w.clock.time += 40 * day;
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_grants"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM ewallet_limits"));
    }

    void a_site_can_ask_whether_it_still_holds() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        m.buy();
        m.buy();
        const auto reader = member(a.take(m.browser), "reader");
        CPPUNIT_ASSERT_EQUAL(std::size_t{22}, reader.size());
        CPPUNIT_ASSERT_EQUAL(reader, member(a.refresh(0), "reader"));
        const auto held = a.call("limits", json::Object().set("grant", a.grant));
        assert_ok(held);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{50000}, amount_of(held, "per_page"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, amount_of(held, "per_day"));
        CPPUNIT_ASSERT_EQUAL(static_cast<std::uint64_t>(start_of_time + 30 * day), amount_of(held, "until"));
        CPPUNIT_ASSERT_EQUAL(std::string("uusd"), member(held, "currency"));
        assert_has(held, "\"automatic\":true");
        assert_problem(410, "grant-ended", b.call("limits", json::Object().set("grant", a.grant)));
        CPPUNIT_ASSERT(reader != member(b.take(m.browser), "reader"));
        CPPUNIT_ASSERT_EQUAL(reader, member(a.take(m.browser), "reader"));
        m.browser.post("/sign-out", {{"csrf", m.browser.csrf("/account")}, {"all", "1"}});
        assert_problem(410, "grant-ended", a.call("limits", json::Object().set("grant", a.grant)));
    }

    // The broker knows of nothing that a sold; b learns it with the coin.
    static void move_late(World& w, Site& a, Site& b, Browser& reader, bool asked) {
        assert_ok(w.acquire(a.shop, a.coin(a.take(reader)), 20));
        const auto r = b.token(b.code_of(asked ? b.confirm(reader) : b.click(reader)));
        assert_ok(r);
        b.keep(r);
        const auto c = b.coin(r);
        assert_ok(w.transfer(b.shop, c, {w.hand_over(a.shop, b.shop.origin, c, 1, 990)}));
    }

    void a_page_she_confirmed_is_paid_though_more_was_spent_than_known() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        move_late(w, a, b, m.browser, true);
        assert_problem(409, "insufficient", b.refresh(990, 30000));
        const auto r = b.refresh(990);
        assert_ok(r);
        // The page and no more of a coin that was bought: the day is used up.
        CPPUNIT_ASSERT_EQUAL(20u, Site::coin_number(r, "granted"));
        CPPUNIT_ASSERT_EQUAL(Int{2}, w.count("SELECT COUNT(*) FROM coins"));
        assert_problem(409, "day-limit", b.refresh(20));
        w.assert_sound();

        // Not later, and not for a click that she was not asked about.
        for (const bool asked : {true, false}) {
            World v;
            Site c(v, "https://a.example"), d(v, "https://b.example");
            Member n(v);
            move_late(v, c, d, n.browser, asked);
            if (asked) v.clock.time += 121;
            assert_problem(409, "insufficient", d.refresh(990));
            CPPUNIT_ASSERT_EQUAL(Int{1}, v.count("SELECT COUNT(*) FROM coins"));
        }
    }

    void a_dear_page_makes_no_other_dearer() {
        World w;
        Site a(w, "https://a.example");
        Member m(w);
        assert_has(m.browser.get("/authorize", a.query(80000)), "name=\"per_page\" value=\"0.05\"");
        assert_ok(a.token(a.code_of(a.confirm(m.browser, {{"per_page", "0.03"}}, 80000))));
        assert_has(m.browser.get("/authorize", a.query(80000)), "name=\"per_page\" value=\"0.03\"");
    }

    void one_site_can_be_limited_beside_all() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        a.take(m.browser);
        const auto page = m.browser.get("/limits");
        assert_has(page, "Limit this site");
        const auto csrf = between(page.body, "name=\"csrf\" value=\"", "\"");
        const auto save = [&](const std::string& site) {
            return m.browser.post("/limits", {{"csrf", csrf}, {"site", site}, {"currency", "uusd"}, {"do", "save"},
                                              {"per_page", "0.02"}, {"per_day", "0.10"}, {"days", "9"}}).status;
        };
        CPPUNIT_ASSERT_EQUAL(303, save("https://a.example"));
        CPPUNIT_ASSERT_EQUAL(422, save("https://b.example"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM ewallet_limits WHERE site = '*' AND everywhere = 1 AND per_day = 1000000"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM ewallet_limits WHERE site = 'https://a.example' AND per_day = 100000"));
        CPPUNIT_ASSERT(!has(m.browser.get("/limits"), "Limit this site"));
    }

    void a_day_of_history_is_when_it_became_known() {
        World w;
        w.clock.time = start_of_time - start_of_time % day + day - 120;
        const auto first = w.clock.time / day;
        Site a(w, "https://a.example");
        Member m(w);
        const auto c = a.coin(a.take(m.browser));
        assert_ok(w.acquire(a.shop, c, 20));
        assert_ok(w.renew(a.shop, c, 1, 20));
        w.pass(240);
        assert_ok(w.renew(a.shop, c, 1, 20));
        assert_ok(w.renew(a.shop, c, 1, 50));
        w.receipt(a.shop, w.redeem(a.shop, "batch-1-batch-1-batch1", World::claim(c, 0, 60)));
        const auto on = [&](Int d) { return w.count("SELECT COALESCE(SUM(micro), 0) FROM spent_days WHERE day = " + std::to_string(d)); };
        CPPUNIT_ASSERT_EQUAL(Int{20000}, on(first));
        CPPUNIT_ASSERT_EQUAL(Int{40000}, on(first + 1));
        const auto page = m.browser.get("/history", {{"by", "day"}});
        assert_has(page, "2 ¢");
        assert_has(page, "4 ¢");
    }

    void a_coin_given_back_leaves_its_room_in_the_day() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        m.buy();
        m.buy();
        a.take(m.browser);
        CPPUNIT_ASSERT_EQUAL(Int{1000000}, w.count("SELECT SUM(raised) FROM ewallet_raised"));
        const auto c = a.coin(a.refresh(0)).coin;
        assert_ok(m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", c}}));
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT SUM(raised) FROM ewallet_raised"));
        b.take(m.browser);
        CPPUNIT_ASSERT_EQUAL(1000u, b.shown);
    }

    void several_tabs_at_once_stay_signed_in() {
        World w;
        Site a(w, "https://a.example"), b(w, "https://b.example");
        Member m(w);
        // The form of a second tab, shown before the first one's was sent.
        const auto page = m.browser.get("/authorize", b.query());
        a.take(m.browser);
        const auto csrf = between(page.body, "<form method=\"post\"><input type=\"hidden\" name=\"csrf\" value=\"", "\"");
        CPPUNIT_ASSERT_EQUAL(303, b.confirm(m.browser, {{"csrf", csrf}}).status);
        const auto before = m.browser.cookies;
        for (int tab = 0; tab < 3; ++tab) {
            m.browser.cookies = before;
            (void)a.code_of(a.click(m.browser));
            CPPUNIT_ASSERT(before != m.browser.cookies);
        }
        CPPUNIT_ASSERT(m.browser.member());
        const auto now = m.browser.cookies;
        w.clock.time += 31;
        m.browser.cookies = before;
        CPPUNIT_ASSERT(!m.browser.member());
        m.browser.cookies = now;
        CPPUNIT_ASSERT(m.browser.member());
        // Signing out ends what they were renewed to, all of them.
        m.browser.post("/sign-out", {{"csrf", m.browser.csrf("/account")}});
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM web_sessions"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(BrokerEwalletTest);

}  // namespace
}  // namespace netpay::broker::test
