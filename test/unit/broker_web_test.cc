// The broker's site: passphrases, sessions, forms, coins kept and moved.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <set>

#include "broker/web/kept_coins.h"
#include "broker/web/passphrase.h"
#include "broker/web/site.h"
#include "broker/web/table.h"
#include "test/unit/broker_browser.h"
#include "wallet/backup.h"

namespace netpay::broker::test {
namespace {

constexpr std::int64_t day = 86400, hour = 3600;

std::unique_ptr<wallet::Store> wallet_store(const TempDir& dir, const std::string& name) {
    auto store = wallet::Store::open(dir / name);
    CPPUNIT_ASSERT(store);
    return std::move(*store);
}

class BrokerWebTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerWebTest);
    CPPUNIT_TEST(passphrases_are_seven_words_of_the_list);
    CPPUNIT_TEST(a_passphrase_is_read_as_people_type_it);
    CPPUNIT_TEST(the_site_key_is_made_once_and_checked);
    CPPUNIT_TEST(signs_up_in_and_out);
    CPPUNIT_TEST(the_passphrase_is_nowhere_in_the_store_or_log);
    CPPUNIT_TEST(every_failed_sign_in_reads_alike);
    CPPUNIT_TEST(a_planted_session_is_worth_nothing);
    CPPUNIT_TEST(sessions_end);
    CPPUNIT_TEST(signing_out_everywhere_ends_every_session);
    CPPUNIT_TEST(signing_up_ends_what_was_there);
    CPPUNIT_TEST(forms_are_taken_from_this_site_only);
    CPPUNIT_TEST(next_leads_nowhere_else);
    CPPUNIT_TEST(pages_carry_their_policy);
    CPPUNIT_TEST(the_navigation_marks_the_page_it_is_on);
    CPPUNIT_TEST(wide_tables_have_labels_for_phones);
    CPPUNIT_TEST(tokens_are_made_and_withdrawn);
    CPPUNIT_TEST(buys_a_coin_once_for_a_form_sent_twice);
    CPPUNIT_TEST(buying_renews_the_session);
    CPPUNIT_TEST(a_coin_that_cannot_be_paid_is_not_sold);
    CPPUNIT_TEST(returns_a_coin);
    CPPUNIT_TEST(members_see_and_return_their_own_coins_only);
    CPPUNIT_TEST(shows_where_a_coin_is);
    CPPUNIT_TEST(an_export_is_what_a_wallet_imports);
    CPPUNIT_TEST(a_coin_is_exported_once);
    CPPUNIT_TEST(an_export_brings_the_account_if_asked);
    CPPUNIT_TEST(imports_what_a_wallet_moved);
    CPPUNIT_TEST(refuses_exports_that_are_not_whole);
    CPPUNIT_TEST(seeds_without_a_coin_go_after_a_day);
    CPPUNIT_TEST(without_the_site_key_nothing_opens);
    CPPUNIT_TEST_SUITE_END();

public:
    void passphrases_are_seven_words_of_the_list() {
        SystemRandom random;
        std::set<std::string> seen;
        for (int i = 0; i < 200; ++i) {
            const auto p = web::new_passphrase(random);
            const std::string text(p.expose());
            CPPUNIT_ASSERT_EQUAL(6, static_cast<int>(std::count(text.begin(), text.end(), ' ')));
            CPPUNIT_ASSERT(seen.insert(text).second);
            const auto again = web::normalise_passphrase(text);
            CPPUNIT_ASSERT_EQUAL(text, std::string(std::get<Secret>(again).expose()));
        }
        std::set<std::string_view> fours;
        for (const auto word : web::words) CPPUNIT_ASSERT(fours.insert(word.substr(0, 4)).second);
    }

    void a_passphrase_is_read_as_people_type_it() {
        const auto meant = [](std::string_view typed) {
            const auto m = web::normalise_passphrase(typed);
            return std::holds_alternative<Secret>(m) ? std::string(std::get<Secret>(m).expose()) : "?" + std::get<std::string>(m);
        };
        const std::string good = "abandon ability able about above absent absorb";
        CPPUNIT_ASSERT_EQUAL(good, meant(good));
        CPPUNIT_ASSERT_EQUAL(good, meant("  Abandon-ABILITY,  able\r\nabout\tabove absent - absorb "));
        for (const std::string bad : {"", "abandon", "abandon ability able about above absent", "abandon ability able about above absent absorb able"})
            CPPUNIT_ASSERT(meant(bad).starts_with("?A passphrase has 7 words"));
        for (const std::string bad : {"abandon ability able about above absent absorp", "abandon ability able about above absent abs0rb",
                                      "abandon ability able about above absent \xC3\xA4" "ble"}) {
            CPPUNIT_ASSERT_MESSAGE(meant(bad), meant(bad).starts_with("?Word 7 is not one"));
            CPPUNIT_ASSERT(meant(bad).find("abs") == std::string::npos);
        }
    }

    void the_site_key_is_made_once_and_checked() {
        TempDir dir;
        SystemRandom random;
        std::filesystem::permissions(dir / "", std::filesystem::perms::owner_all);
        const auto first = must(web::WebKeys::open(dir / "", random)), second = must(web::WebKeys::open(dir / "", random));
        const auto sealed = first->sealer().seal(random.bytes<16>(), "x", "text");
        CPPUNIT_ASSERT_EQUAL(std::string("text"), std::string(second->sealer().open("x", sealed)->plain.expose()));
        const auto perms = std::filesystem::status(dir / "web.key").permissions();
        CPPUNIT_ASSERT(perms == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
        std::filesystem::resize_file(dir / "web.key", 20);
        CPPUNIT_ASSERT(!web::WebKeys::open(dir / "", random).ok());
        std::filesystem::permissions(dir / "web.key", std::filesystem::perms::group_read, std::filesystem::perm_options::add);
        CPPUNIT_ASSERT(!web::WebKeys::open(dir / "", random).ok());
    }

    void signs_up_in_and_out() {
        World w;
        Browser b(w);
        CPPUNIT_ASSERT_EQUAL(303, b.get("/account").status);
        CPPUNIT_ASSERT_EQUAL(std::string("/sign-in?next=%2Faccount"), header(b.get("/account"), "Location"));
        const auto passphrase = b.sign_up();
        CPPUNIT_ASSERT(b.member());
        CPPUNIT_ASSERT_EQUAL(303, b.post("/sign-out", {{"csrf", b.csrf("/account")}}).status);
        CPPUNIT_ASSERT(!b.member());
        CPPUNIT_ASSERT_EQUAL(std::string(), b.session());
        Browser other(w);
        const auto in = other.sign_in(passphrase, "/coins?x=1");
        CPPUNIT_ASSERT_EQUAL(303, in.status);
        CPPUNIT_ASSERT_EQUAL(std::string("/coins?x=1"), header(in, "Location"));
        CPPUNIT_ASSERT(other.member());
        CPPUNIT_ASSERT_EQUAL(Int(1), w.count("SELECT COUNT(*) FROM web_logins"));
    }

    void the_passphrase_is_nowhere_in_the_store_or_log() {
        World w;
        Member m(w);
        m.coin();
        const auto read = [&](const std::string& name) {
            std::string out;
            for (const auto& suffix : {"", "-wal"}) {
                std::ifstream in(*w.dir() / (name + suffix), std::ios::binary);
                out.append(std::istreambuf_iterator<char>(in), {});
            }
            return out;
        };
        for (const auto& file : {read("broker.db"), read("log")}) {
            CPPUNIT_ASSERT(file.find(m.passphrase) == std::string::npos);
            CPPUNIT_ASSERT(file.find(m.browser.session()) == std::string::npos);
        }
    }

    void every_failed_sign_in_reads_alike() {
        World w;
        Browser b(w);
        b.sign_up();
        b.cookies.clear();
        const auto wrong = b.sign_in("abandon ability able about above absent absorb");
        const auto other = b.sign_in("zoo zone zero youth young you yellow");
        CPPUNIT_ASSERT_EQUAL(403, wrong.status);
        CPPUNIT_ASSERT_EQUAL(wrong.body, other.body);
        CPPUNIT_ASSERT(!has(wrong, "abandon"));
        CPPUNIT_ASSERT_EQUAL(std::string(), b.session());
    }

    void a_planted_session_is_worth_nothing() {
        World w;
        Browser thief(w), reader(w);
        thief.sign_up();
        const auto passphrase = reader.sign_up();
        const auto planted = thief.session();
        reader.cookies["__Host-netpay-site"] = planted;
        CPPUNIT_ASSERT_EQUAL(303, reader.sign_in(passphrase).status);
        CPPUNIT_ASSERT(reader.session() != planted);
        CPPUNIT_ASSERT(!thief.member());  // what was planted has ended
        reader.cookies["__Host-netpay-site"] = std::string(43, 'A');
        CPPUNIT_ASSERT(!reader.member());
        reader.sign_in(passphrase);
        CPPUNIT_ASSERT(reader.session() != std::string(43, 'A'));
    }

    void sessions_end() {
        World w;
        Browser idle(w), busy(w);
        idle.sign_up();
        busy.sign_up();
        w.clock.time += 12 * hour - 1;
        CPPUNIT_ASSERT(busy.member());
        w.clock.time += 1;
        CPPUNIT_ASSERT(!idle.member());
        for (int i = 0; i < 65; ++i) {
            w.clock.time += 11 * hour;
            CPPUNIT_ASSERT_EQUAL(w.clock.time < start_of_time + 30 * day, busy.member());
        }
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int(0), w.count("SELECT COUNT(*) FROM web_sessions"));
    }

    void signing_out_everywhere_ends_every_session() {
        World w;
        Browser one(w), two(w), stranger(w);
        const auto passphrase = one.sign_up();
        two.sign_in(passphrase);
        stranger.sign_up();
        CPPUNIT_ASSERT(two.member());
        one.post("/sign-out", {{"csrf", one.csrf("/account")}, {"all", "1"}});
        CPPUNIT_ASSERT(!one.member());
        CPPUNIT_ASSERT(!two.member());
        CPPUNIT_ASSERT(stranger.member());
    }

    void signing_up_ends_what_was_there() {
        World w;
        Browser b(w);
        b.sign_up();
        const auto before = b.cookies;
        b.sign_up();
        CPPUNIT_ASSERT(b.member());
        b.cookies = before;
        CPPUNIT_ASSERT(!b.member());
    }

    void forms_are_taken_from_this_site_only() {
        World w;
        Member m(w);
        Browser& b = m.browser;
        Browser other(w);
        other.sign_up();
        const auto csrf = b.csrf("/coins"), foreign = other.csrf("/coins");
        const auto refused = [&](const std::string& route, const std::string& token, const std::string& origin) {
            b.origin = origin;
            const auto r = b.post(route, {{"csrf", token}, {"terms", "uusd.1000.1000"}, {"once", "a"}, {"all", "1"}});
            b.origin = issuer;
            return r.status == 403;
        };
        for (const std::string route : {"/coins", "/coins/return", "/export", "/import", "/sign-out", "/account/token", "/account/tokens/withdraw"}) {
            for (const std::string origin : {"", "null", "https://evil.example", "http://broker.example", "https://broker.example:444",
                                             "https://broker.example.evil.example"})
                CPPUNIT_ASSERT_MESSAGE(route + " " + origin, refused(route, csrf, origin));
            for (const std::string& token : {std::string(), foreign, csrf.substr(1), csrf + "A", std::string("0")})
                CPPUNIT_ASSERT_MESSAGE(route + " " + token, refused(route, token, issuer));
        }
        CPPUNIT_ASSERT_EQUAL(Int(0), w.count("SELECT COUNT(*) FROM coins"));
        CPPUNIT_ASSERT(b.member());
        // Forms of people who are not signed in carry a token, too.
        Browser anybody(w);
        const auto token = anybody.csrf("/sign-up");
        anybody.origin = "https://evil.example";
        CPPUNIT_ASSERT_EQUAL(403, anybody.post("/sign-up", {{"csrf", token}}).status);
        anybody.origin = issuer;
        CPPUNIT_ASSERT_EQUAL(403, anybody.post("/sign-up", {{"csrf", csrf}}).status);
        anybody.cookies.clear();
        CPPUNIT_ASSERT_EQUAL(403, anybody.post("/sign-up", {{"csrf", token}}).status);
    }

    void next_leads_nowhere_else() {
        for (const std::string good : {"/", "/coins", "/coins?x=1&y=%2F", "/vendor/site?origin=https%3A%2F%2Fa.example"})
            CPPUNIT_ASSERT_EQUAL(good, web::own_path(good));
        for (const std::string& bad : {std::string(), std::string("//evil.example"), std::string("/\\evil.example"), std::string("https://evil.example"),
                                      std::string("/x\r\nSet-Cookie: a=b"), std::string("/\t/evil.example"), std::string("evil"), std::string("javascript:alert(1)"),
                                      std::string("/a#b"), "/" + std::string(3000, 'x'), std::string("/\0x", 3), std::string("/\xC3\xA4")})
            CPPUNIT_ASSERT_EQUAL(std::string("/"), web::own_path(bad));
        World w;
        Browser b(w);
        const auto passphrase = b.sign_up();
        CPPUNIT_ASSERT_EQUAL(std::string("/"), header(b.sign_in(passphrase, "//evil.example/"), "Location"));
        const auto page = b.get("/sign-in", {{"next", "/\"><b>x"}});
        CPPUNIT_ASSERT(!has(page, "<b>"));
    }

    void pages_carry_their_policy() {
        World w;
        Member m(w);
        for (const std::string path : {"/", "/sign-up", "/sign-in", "/account", "/coins", "/import"}) {
            const auto r = m.browser.get(path);
            assert_ok(r);
            const auto policy = header(r, "Content-Security-Policy");
            CPPUNIT_ASSERT_MESSAGE(policy, policy.starts_with("default-src 'none'; style-src 'sha256-"));
            CPPUNIT_ASSERT(policy.find("frame-ancestors 'none'") != std::string::npos);
            CPPUNIT_ASSERT(policy.find("unsafe") == std::string::npos);
            CPPUNIT_ASSERT_EQUAL(std::string("DENY"), header(r, "X-Frame-Options"));
            CPPUNIT_ASSERT_EQUAL(std::string("no-store"), header(r, "Cache-Control"));
            CPPUNIT_ASSERT_EQUAL(std::string("same-origin"), header(r, "Referrer-Policy"));
            CPPUNIT_ASSERT(!has(r, "<script") && !has(r, " style=\"") && !has(r, "http://") && !has(r, " src="));
        }
    }

    void the_navigation_marks_the_page_it_is_on() {
        World w;
        Browser b(w);
        assert_has(b.get("/sign-up"), "<a href=\"/sign-up\" aria-current=\"page\">");
        b.sign_up();
        for (const char* path : {"/account", "/topup", "/coins", "/limits", "/history", "/vendor"}) {
            const auto page = b.get(path);
            const auto nav = between(page.body, "<nav", "</nav>");
            const auto mark = nav.find("aria-current=\"page\"");
            CPPUNIT_ASSERT_MESSAGE(path, nav.find("\"" + std::string(path) + "\" aria-current=\"page\"") != std::string::npos);
            CPPUNIT_ASSERT_EQUAL(mark, nav.rfind("aria-current=\"page\""));
        }
        CPPUNIT_ASSERT(!has(b.get("/"), "aria-current=\"page\""));
    }

    void wide_tables_have_labels_for_phones() {
        const auto two = web::table("t", "Two", {{"A"}, {"B", true}}, {{"1", "2"}}, "none");
        CPPUNIT_ASSERT(two.find("<tr><td>1</td><td class=\"number\">2</td></tr>") != std::string::npos);
        const auto three = web::table("t", "Three", {{"A"}, {"B", true}, {"C"}}, {{"1", "2", ""}}, "none");
        CPPUNIT_ASSERT(three.find("<table class=\"stack\" role=\"table\">") != std::string::npos);
        CPPUNIT_ASSERT(three.find("<td role=\"cell\" class=\"number\" data-label=\"B\">2</td>") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(std::string("<code>short</code>"), web::short_name("short"));
        CPPUNIT_ASSERT_EQUAL(std::string("<code title=\"abcdefgh&lt;jklm\">abcdefgh…</code>"), web::short_name("abcdefgh<jklm"));
    }

    void tokens_are_made_and_withdrawn() {
        World w;
        Member m(w);
        const auto made = m.browser.post("/account/token", {{"csrf", m.browser.csrf("/account")}});
        assert_ok(made);
        const auto token = between(made.body, "<strong class=\"phrase\">", "</strong>");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000000}, w.balance(token));
        assert_has(m.browser.get("/account"), "One is given out");
        for (Int i = 1; i < accounts::most_tokens; ++i)
            CPPUNIT_ASSERT_EQUAL(200, m.browser.post("/account/token", {{"csrf", m.browser.csrf("/account")}}).status);
        CPPUNIT_ASSERT_EQUAL(409, m.browser.post("/account/token", {{"csrf", m.browser.csrf("/account")}}).status);
        CPPUNIT_ASSERT_EQUAL(303, m.browser.post("/account/tokens/withdraw", {{"csrf", m.browser.csrf("/account")}}).status);
        CPPUNIT_ASSERT_EQUAL(401, w.call("GET /api/v1/accounts/me", {}, token).status);
    }

    void buys_a_coin_once_for_a_form_sent_twice() {
        World w;
        Member m(w);
        const auto page = m.browser.get("/coins").body;
        const std::map<std::string, std::string> fields{{"csrf", between(page, "name=\"csrf\" value=\"", "\"")},
                                                        {"once", between(page, "name=\"once\" value=\"", "\"")},
                                                        {"terms", "uusd.1000.1000"}};
        const auto before = m.browser.cookies;
        CPPUNIT_ASSERT_EQUAL(303, m.browser.post("/coins", fields).status);
        m.browser.cookies = before;  // the second click was sent before the first was answered
        CPPUNIT_ASSERT_EQUAL(303, m.browser.post("/coins", fields).status);
        CPPUNIT_ASSERT(m.browser.member());
        CPPUNIT_ASSERT_EQUAL(Int(1), w.count("SELECT COUNT(*) FROM coins"));
        m.browser.cookies = before;
        auto others = fields;
        others["terms"] = "uusd.1000.10";
        CPPUNIT_ASSERT_EQUAL(422, m.browser.post("/coins", others).status);
        w.assert_sound();
    }

    void buying_renews_the_session() {
        World w;
        Member m(w);
        const auto before = m.browser.cookies;
        CPPUNIT_ASSERT_EQUAL(303, m.buy().status);
        const auto after = m.browser.cookies;
        CPPUNIT_ASSERT(before != after);
        m.browser.cookies = before;
        CPPUNIT_ASSERT(m.browser.member());
        w.clock.time += 61;
        CPPUNIT_ASSERT(!m.browser.member());
        m.browser.cookies = after;
        CPPUNIT_ASSERT(m.browser.member());
    }

    void a_coin_that_cannot_be_paid_is_not_sold() {
        World w;
        Member m(w, 500000);
        const auto poor = m.buy();
        CPPUNIT_ASSERT_EQUAL(409, poor.status);
        CPPUNIT_ASSERT_EQUAL(422, m.buy("uusd.1000.999").status);
        CPPUNIT_ASSERT_EQUAL(422, m.buy("ueur.1000.1000").status);
        CPPUNIT_ASSERT_EQUAL(422, m.buy("").status);
        CPPUNIT_ASSERT_EQUAL(Int(0), w.count("SELECT COUNT(*) FROM coins"));
        w.assert_sound();
    }

    void returns_a_coin() {
        World w;
        Member m(w);
        const auto coin = m.coin();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, w.ledger("coins:outstanding"));
        const auto returned = m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", coin}});
        assert_ok(returned);
        assert_has(returned, "$1.00 went back to your account");
        assert_has(m.browser.get("/coins"), "Returned; $1.00 went back");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, w.ledger("coins:outstanding"));
        w.assert_sound();
    }

    void members_see_and_return_their_own_coins_only() {
        World w;
        Member m(w), other(w);
        const auto coin = m.coin();
        CPPUNIT_ASSERT(!has(other.browser.get("/coins"), coin.substr(0, 8)));
        CPPUNIT_ASSERT_EQUAL(404, other.browser.post("/coins/return", {{"csrf", other.browser.csrf("/coins")}, {"coin", coin}}).status);
        CPPUNIT_ASSERT_EQUAL(409, other.take_out(coin).status);
        CPPUNIT_ASSERT_EQUAL(404, m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", "<b>x"}}).status);
        const auto odd = m.take_out("<b>x");
        CPPUNIT_ASSERT_EQUAL(409, odd.status);
        CPPUNIT_ASSERT(!has(odd, "<b>"));
    }

    void shows_where_a_coin_is() {
        World w;
        Member m(w);
        const auto news = w.shop("https://news.example");
        const auto made = m.browser.post("/account/token", {{"csrf", m.browser.csrf("/account")}});
        const auto c = w.coin(between(made.body, "<strong class=\"phrase\">", "</strong>"));
        CPPUNIT_ASSERT(!has(m.browser.get("/coins"), "press “Return”"));
        assert_has(m.browser.get("/coins", {{"from", "site"}}), "press “Return” or “Give back” at its coin below");
        CPPUNIT_ASSERT(!has(m.browser.get("/coins", {{"from", "<b>"}}), "<b>"));
        assert_has(m.browser.get("/coins"), "No site holds it");
        assert_has(m.browser.get("/coins"), "They do so within a day");
        assert_ok(w.acquire(news, c, 20));
        assert_ok(w.redeem(news, "b1", World::claim(c, 0, 20)));
        const auto page = m.browser.get("/coins");
        assert_has(page, "At https://news.example");
        assert_has(page, "<dt>Spent</dt><dd>2 ¢</dd>");
        assert_has(page, "in a wallet");
    }

    void an_export_is_what_a_wallet_imports() {
        World w;
        Member m(w);
        const auto news = w.shop("https://news.example");
        const auto coin = m.coin();
        const auto file = m.take_out(coin);
        assert_ok(file);
        CPPUNIT_ASSERT_EQUAL(std::string("no-store"), header(file, "Cache-Control"));
        CPPUNIT_ASSERT(header(file, "Content-Disposition").starts_with("attachment"));
        const auto store = wallet_store(*w.dir(), "wallet");
        const auto imported = wallet::import_text(*store, file.body, false);
        CPPUNIT_ASSERT_MESSAGE(imported ? std::string() : imported.failure().message, bool(imported));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, imported->coins);
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, imported->accounts);
        const auto taken = store->coin(coin);
        CPPUNIT_ASSERT(taken);
        CPPUNIT_ASSERT(!taken->restored);
        const auto chain = store->chain(*taken);
        CPPUNIT_ASSERT(chain);
        // It can be spent.
        WalletCoin c{coin, taken->touchstone, taken->salt, std::make_shared<Chain>(*chain)};
        assert_ok(w.acquire(news, c, 20));
        assert_ok(w.redeem(news, "b1", World::claim(c, 0, 20)));
        assert_has(m.browser.get("/coins"), "in your wallet, since ");
        w.assert_sound();
    }

    void a_coin_is_exported_once() {
        World w;
        Member m(w);
        const auto coin = m.coin();
        assert_ok(m.take_out(coin));
        CPPUNIT_ASSERT_EQUAL(409, m.take_out(coin).status);
        CPPUNIT_ASSERT_EQUAL(Int(0), w.count("SELECT COUNT(*) FROM web_coins WHERE sealed <> ''"));
        // A lost file is no lost money.
        assert_has(m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", coin}}), "$1.00 went back");
        CPPUNIT_ASSERT_EQUAL(422, m.browser.post("/export", {{"csrf", m.browser.csrf("/coins")}}).status);
        const auto second = m.coin();
        m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", second}});
        CPPUNIT_ASSERT_EQUAL(409, m.take_out(second).status);
        w.assert_sound();
    }

    void an_export_brings_the_account_if_asked() {
        World w;
        Member m(w);
        const auto file = m.take_out(m.coin(), true);
        assert_ok(file);
        const auto store = wallet_store(*w.dir(), "wallet");
        const auto imported = wallet::import_text(*store, file.body, false);
        CPPUNIT_ASSERT(imported);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, imported->accounts);
        const auto account = store->account(issuer);
        CPPUNIT_ASSERT(account);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{9000000}, w.balance(std::string(account->token.expose())));
    }

    void imports_what_a_wallet_moved() {
        World w;
        Member m(w);
        const auto news = w.shop("https://news.example");
        const auto coin = m.coin();
        const auto store = wallet_store(*w.dir(), "wallet");
        CPPUNIT_ASSERT(bool(wallet::import_text(*store, m.take_out(coin).body, false)));
        const auto taken = store->coin(coin);
        WalletCoin c{coin, taken->touchstone, taken->salt, std::make_shared<Chain>(*store->chain(*taken))};
        assert_ok(w.acquire(news, c, 20));
        CPPUNIT_ASSERT(bool(store->write_off(coin, 25)));
        const auto moved = wallet::make_export(*store, {}, true, false);
        CPPUNIT_ASSERT(moved);
        CPPUNIT_ASSERT(bool(wallet::mark_moved(*store, moved->coins)));
        // As a browser sends it.
        std::string text;
        for (const char ch : moved->text.expose()) text += ch == '\n' ? std::string("\r\n") : std::string(1, ch);
        const auto in = m.browser.post("/import", {{"csrf", m.browser.csrf("/import")}, {"export", text}});
        assert_ok(in);
        assert_has(in, "One coin is kept here now.");
        assert_has(in, "<dt>Spent</dt><dd>2.5 ¢</dd>");
        assert_has(in, "<dt>Kept</dt><dd>here</dd>");
        assert_has(m.browser.post("/import", {{"csrf", m.browser.csrf("/import")}, {"export", text}}), "0 coins are kept here now.");
        // A site has it that does not let it go: a wallet that got it now would not know what is spent.
        const auto held = m.take_out(coin);
        CPPUNIT_ASSERT_EQUAL(409, held.status);
        assert_has(held, "Nothing was exported");
        // And out again once its lease is over: the wallet knows it is its own.
        w.pass(86400 + limits::lease_margin_s + 100);
        m.browser.sign_in(m.passphrase);
        const auto again = m.take_out(coin);
        assert_ok(again);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, wallet::import_text(*store, again.body, false)->coins);
        CPPUNIT_ASSERT_EQUAL(std::uint32_t{25}, store->coin(coin)->spent);
        const auto fresh = wallet_store(*w.dir(), "second");
        CPPUNIT_ASSERT(bool(wallet::import_text(*fresh, again.body, false)));
        const auto there = fresh->coin(coin);
        CPPUNIT_ASSERT(there->holder.empty());
        CPPUNIT_ASSERT(there->restored);  // the site may still claim more
        w.assert_sound();
    }

    void refuses_exports_that_are_not_whole() {
        World w, elsewhere;
        Member m(w), o(elsewhere);
        const auto coin = m.coin();
        const auto text = m.take_out(coin).body;
        const auto import = [&](const std::string& export_text) {
            return m.browser.post("/import", {{"csrf", m.browser.csrf("/import")}, {"export", export_text}});
        };
        const auto bad = [&](const std::string& export_text, const std::string& why) {
            const auto r = import(export_text);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(r.body, 422, r.status);
            assert_has(r, why);
        };
        const auto replaced = [&](const std::string& what, const std::string& with) {
            auto out = text;
            return out.replace(out.find(what), what.size(), with);
        };
        bad("", "not an export");
        bad("hello", "not an export");
        bad(text.substr(0, text.size() / 2), "");
        bad(text.substr(0, text.find("{\"sha256\"")), "Its end is missing");
        bad(text + text, "not an export");
        bad(replaced("\"n\":1000", "\"n\":1001"), "damaged");
        bad(replaced("\"n\":1000", "\"n\":1048576"), "damaged");
        bad(replaced("\"kind\":\"move\"", "\"kind\":\"backup\""), "netpay export --move");
        bad(replaced(issuer, "https://other.example"), "another broker");
        bad(replaced("\"spent\":0", "\"spent\":1"), "damaged");
        bad(o.take_out(o.coin()).body, "never sold");  // another broker that calls itself by this one's name
        CPPUNIT_ASSERT_EQUAL(Int(0), w.count("SELECT COUNT(*) FROM web_coins WHERE sealed <> ''"));
        assert_ok(import(text));
        CPPUNIT_ASSERT_EQUAL(Int(1), w.count("SELECT COUNT(*) FROM web_coins WHERE sealed <> ''"));
        const auto again = m.take_out(coin).body;
        m.browser.post("/coins/return", {{"csrf", m.browser.csrf("/coins")}, {"coin", coin}});
        bad(again, "was returned");
    }

    void seeds_without_a_coin_go_after_a_day() {
        World w;
        Member m(w, 500000);
        m.buy();
        CPPUNIT_ASSERT_EQUAL(Int(1), w.count("SELECT COUNT(*) FROM web_coins"));
        Member rich(w);
        rich.coin();
        w.clock.time += day;
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int(2), w.count("SELECT COUNT(*) FROM web_coins"));
        w.clock.time += 1;
        tick(w.context, w.store());
        CPPUNIT_ASSERT_EQUAL(Int(1), w.count("SELECT COUNT(*) FROM web_coins"));
    }

    void without_the_site_key_nothing_opens() {
        const auto dir = std::make_shared<TempDir>();
        std::string passphrase, coin;
        {
            World w(dir);
            Member m(w);
            passphrase = m.passphrase;
            coin = m.coin();
        }
        {
            World w(dir);  // a restart loses nobody
            Browser b(w);
            CPPUNIT_ASSERT_EQUAL(303, b.sign_in(passphrase).status);
        }
        std::filesystem::remove(*dir / "keys/web.key");
        World w(dir);
        Browser b(w);
        CPPUNIT_ASSERT_EQUAL(403, b.sign_in(passphrase).status);
        const auto account = w.count("SELECT account FROM web_logins");
        const auto taken = web::export_coins(w.context, w.store(), {account, ""}, {coin}, false, w.clock.now());
        CPPUNIT_ASSERT_EQUAL(503, taken.refusal().status);
        CPPUNIT_ASSERT_EQUAL(Int(1), w.count("SELECT COUNT(*) FROM web_coins WHERE sealed <> ''"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(BrokerWebTest);

}  // namespace
}  // namespace netpay::broker::test
