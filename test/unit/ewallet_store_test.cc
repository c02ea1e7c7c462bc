// E-wallets at rest: on the server and in a cookie, against whoever has the
// disk, the vendor's key, an old copy or a forged one; and which ticket goes
// to which page.
#include <cppunit/extensions/HelperMacros.h>

#include "core/base64url.h"
#include "ewallet_support.h"
#include "mod_netpay/ewallet/cookies.h"
#include "mod_netpay/ewallet/document.h"
#include "mod_netpay/ewallet/notes.h"
#include "mod_netpay/ewallet/picks.h"
#include "mod_netpay/ewallet/sealed_store.h"

namespace netpay::test {
namespace {

using namespace ewallet_test;
using ewallet::Picks;
using ewallet::SealedStore;

class EwalletStoreTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(EwalletStoreTest);
    CPPUNIT_TEST(the_disk_tells_nothing);
    CPPUNIT_TEST(an_old_name_opens_for_a_minute);
    CPPUNIT_TEST(keys_roll_over);
    CPPUNIT_TEST(what_is_over_is_swept);
    CPPUNIT_TEST(a_cookie_pays);
    CPPUNIT_TEST(a_cookie_that_was_bent);
    CPPUNIT_TEST(an_old_cookie_buys_nothing_twice);
    CPPUNIT_TEST(a_cookie_that_is_too_long);
    CPPUNIT_TEST(kinds_that_are_not_offered);
    CPPUNIT_TEST(after_a_restart);
    CPPUNIT_TEST(documents);
    CPPUNIT_TEST(cookie_names);
    CPPUNIT_TEST(tickets);
    CPPUNIT_TEST(pages_given_back_are_counted_by_reader);
    CPPUNIT_TEST(ways_back_are_used_once);
    CPPUNIT_TEST_SUITE_END();

public:
    void setUp() override { shop_ = std::make_unique<Shop>(); }
    void tearDown() override { shop_.reset(); }

    void the_disk_tells_nothing() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        const auto records = custody_test::read_whole(shop_->dir.path + "/ewallets/records.mdb");
        const auto word = shop_->coin.chain.at(50);
        for (const auto& secret : {std::string(as_view(word.bytes)), encode_payword(word), shop_->keeper.grant, b.wallet(),
                                   *b64u_decode(b.wallet())})
            CPPUNIT_ASSERT(records.find(secret) == std::string::npos);
        // With the vendor's key and another name: nothing.
        Browser guess;
        guess.wallet() = b64u_encode(sha256("guess"));
        CPPUNIT_ASSERT(shop_->serve(guess, "/b").standing.kind == Standing::Kind::none);
        CPPUNIT_ASSERT(!guess.has_wallet());
        // With the name and another key.
        shop_->keys = {std::string(32, 'x')};
        shop_->open();
        CPPUNIT_ASSERT(shop_->serve(b, "/b").standing.kind == Standing::Kind::none);
    }

    void an_old_name_opens_for_a_minute() {
        Browser b, old;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        old = b;
        shop_->sign_in(b, "/b");
        CPPUNIT_ASSERT(old.wallet() != b.wallet());
        CPPUNIT_ASSERT(shop_->serve(old, "/c").paid);  // a tab under way
        shop_->clock.t += 61;
        CPPUNIT_ASSERT(!shop_->serve(old, "/d").paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/d").paid);
    }

    void keys_roll_over() {
        Browser server, cookie;
        shop_->sign_in(server, "/a");
        shop_->sign_in(cookie, "/a", 10, true);
        const auto before = cookie.wallet();
        const auto old = shop_->keys[0];
        shop_->keys = {std::string(32, 'n'), old};
        shop_->open();
        CPPUNIT_ASSERT(shop_->serve(server, "/b").paid);
        CPPUNIT_ASSERT(shop_->serve(cookie, "/c").paid);
        CPPUNIT_ASSERT(cookie.wallet() != before);
        shop_->keys = {std::string(32, 'n')};
        shop_->open();
        CPPUNIT_ASSERT(shop_->serve(server, "/d").paid);
        CPPUNIT_ASSERT(shop_->serve(cookie, "/e").paid);
        cookie.wallet() = before;  // never opened while both keys were there
        CPPUNIT_ASSERT(shop_->serve(cookie, "/f").standing.kind == Standing::Kind::none);
    }

    void what_is_over_is_swept() {
        Browser live, over, moved;
        shop_->sign_in(moved, "/a");
        shop_->serve(moved, "/a");
        shop_->hand_over(1);
        const TestCoin second(2, Shop::n, shop_->keeper.key);
        shop_->keeper.sell(second);
        shop_->sign_in(live, "/a");
        shop_->keeper.until = start_of_time + 100;
        shop_->sign_in(over, "/a");
        auto store = SealedStore::open(shop_->dir.path + "/ewallets", vendor_origin, keys(), custody::system_random());
        CPPUNIT_ASSERT(store.ok());
        const auto there = [&](Browser& b) { return (*store)->get(Secret(b.wallet()), start_of_time)->has_value(); };
        CPPUNIT_ASSERT(there(live) && there(over) && there(moved));
        shop_->wallets->sweep(start_of_time + 50);
        CPPUNIT_ASSERT(there(live) && there(over) && !there(moved));
        shop_->wallets->sweep(start_of_time + 101);  // a moment later: it was just done
        CPPUNIT_ASSERT(there(over));
        shop_->wallets->sweep(start_of_time + 111);
        CPPUNIT_ASSERT(there(live) && !there(over));
    }

    void a_cookie_pays() {
        Browser b;
        shop_->sign_in(b, "/a", 10, true);
        CPPUNIT_ASSERT(b.wallet().starts_with("c."));
        CPPUNIT_ASSERT(b.wallet().size() < 3900);
        CPPUNIT_ASSERT(shop_->serve(b, "/a").paid);
        CPPUNIT_ASSERT(shop_->serve(b, "/a").replayed);
        for (int i = 0; i < 4; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        const auto before = b.wallet();
        shop_->keeper.granted = 70;
        CPPUNIT_ASSERT(shop_->serve(b, "/more").paid);
        CPPUNIT_ASSERT(b.wallet() != before);
        CPPUNIT_ASSERT_EQUAL(60u, shop_->spent());
        CPPUNIT_ASSERT(shop_->wallets->look(b.field(), shop_->clock.now(), 100)->in_cookie);
        b.take(shop_->wallets->leave(b.field(), shop_->clock.now()).cookies);
        CPPUNIT_ASSERT(!b.has_wallet());
    }

    void a_cookie_that_was_bent() {
        Browser b;
        shop_->sign_in(b, "/a", 10, true);
        const auto good = b.wallet();
        const auto rejected = [&](const std::string& value) {
            Browser bent;
            bent.wallet() = value;
            const auto s = shop_->serve(bent, "/a");
            CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::none);
        };
        for (std::size_t i = 0; i < good.size(); ++i) {
            auto bad = good;
            bad[i] = bad[i] == 'A' ? 'Q' : 'A';
            rejected(bad);
        }
        for (std::size_t i = 0; i < good.size(); i += 7) rejected(good.substr(0, i));
        rejected(good + "A");
        rejected("c." + good);
        // Sealed for another purpose, or by another vendor under the same key.
        const ewallet::Cookies ours(vendor_origin, keys(), custody::system_random());
        const ewallet::Cookies others("https://other.example", keys(), custody::system_random());
        const auto plain = ours.open("wallet", good.substr(2));
        CPPUNIT_ASSERT(plain);
        rejected("c." + ours.seal("order", plain->plain.expose()));
        rejected("c." + others.seal("wallet", plain->plain.expose()));
        rejected("c." + ours.seal("wallet", "{}"));
        CPPUNIT_ASSERT_EQUAL(0u, shop_->spent());
        CPPUNIT_ASSERT(shop_->serve(b, "/a").paid);
    }

    void an_old_cookie_buys_nothing_twice() {
        Browser b, copy;
        shop_->sign_in(b, "/0", 10, true);
        copy = b;
        for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(shop_->serve(b, "/" + std::to_string(i)).paid);
        CPPUNIT_ASSERT_EQUAL(50u, shop_->spent());
        shop_->keeper.status = 409;
        shop_->keeper.kind = "day-limit";
        const auto s = shop_->serve(copy, "/5");
        CPPUNIT_ASSERT(!s.paid && s.standing.kind == Standing::Kind::day_limit);
        CPPUNIT_ASSERT_EQUAL(50u, shop_->spent());
        // And after the grant grew, the older copy spends from the same units.
        shop_->clock.t += 61;
        shop_->keeper.status = 200;
        shop_->keeper.granted = 60;
        CPPUNIT_ASSERT(shop_->serve(b, "/5").paid);
        shop_->keeper.status = 409;
        CPPUNIT_ASSERT(!shop_->serve(copy, "/6").paid);
        CPPUNIT_ASSERT_EQUAL(60u, shop_->spent());
    }

    void a_cookie_that_is_too_long() {
        const std::string issuer = broker_origin;
        auto terms = shop_->coin;
        // A touchstone with members nobody knows yet.
        terms.touchstone = jws::sign(jws::touchstone,
                                     json::Object()
                                         .set("iss", issuer).set("coin", terms.terms.coin).set("cur", "uusd")
                                         .set("unit", std::uint64_t{1000}).set("n", std::uint64_t{Shop::n})
                                         .set("salt", b64u_encode(terms.terms.salt))
                                         .set("root", encode_payword(terms.terms.root))
                                         .set("iat", static_cast<std::uint64_t>(terms.terms.iat))
                                         .set("exp", static_cast<std::uint64_t>(terms.terms.exp))
                                         .set("future", std::string(2000, 'f')),
                                     shop_->keeper.key);
        shop_->keeper.sell(terms);
        Browser b;
        shop_->sign_in(b, "/a", 10, true);
        CPPUNIT_ASSERT_EQUAL(std::size_t{43}, b.wallet().size());  // kept on the server instead
        CPPUNIT_ASSERT(shop_->serve(b, "/a").paid);
        Browser strict;
        auto v = shop_->visit(strict, "/b");
        v.server = false;
        const auto begun = shop_->wallets->begin(v, broker_origin, true);
        strict.take(begun->cookies);
        strict.take(shop_->wallets->finish(strict.field(), {{"state", Shop::state_of(begun->location)}, {"iss", broker_origin}, {"code", code}},
                                           peer, shop_->clock.now()).cookies);
        CPPUNIT_ASSERT(strict.jar.empty());
    }

    void kinds_that_are_not_offered() {
        Browser server, cookie;
        shop_->sign_in(server, "/a");
        shop_->sign_in(cookie, "/a", 10, true);
        auto v = shop_->visit(server, "/a");
        v.server = false;
        CPPUNIT_ASSERT(!shop_->serve(server, v).paid && server.has_wallet());
        v = shop_->visit(cookie, "/a");
        v.cookie = false;
        CPPUNIT_ASSERT(!shop_->serve(cookie, v).paid && cookie.has_wallet());
    }

    void after_a_restart() {
        Browser b;
        shop_->sign_in(b, "/a");
        shop_->serve(b, "/a");
        shop_->open();
        CPPUNIT_ASSERT(shop_->serve(b, "/a").replayed);
        CPPUNIT_ASSERT(shop_->serve(b, "/b").paid);
        // The notes of picks are gone, as after the machine failed: no money is.
        shop_->wallets.reset();
        std::filesystem::remove(shop_->dir.path + "/ewallets/picks.boot");
        shop_->open();
        CPPUNIT_ASSERT(shop_->serve(b, "/b").replayed);
        CPPUNIT_ASSERT(shop_->serve(b, "/c").paid);
        CPPUNIT_ASSERT_EQUAL(30u, shop_->spent());
        // E-wallets of a directory that was lost are fetched again by a click.
        shop_->wallets.reset();
        std::filesystem::remove_all(shop_->dir.path + "/ewallets");
        shop_->open();
        CPPUNIT_ASSERT(shop_->serve(b, "/d").standing.kind == Standing::Kind::none);
        shop_->sign_in(b, "/d");
        CPPUNIT_ASSERT(shop_->serve(b, "/d").paid);
        CPPUNIT_ASSERT_EQUAL(40u, shop_->spent());
    }

    void documents() {
        ewallet::Document d;
        d.issuer = broker_origin;
        d.grant = Secret(std::string(43, 'g'));
        d.reader = "r";
        d.until = 5;
        d.per_page = *Amount::from(7);
        d.automatic = true;
        d.coin.name = shop_->coin.terms.coin;
        d.coin.tag = shop_->coin.terms.tag;
        d.coin.salt = shop_->coin.terms.salt;
        d.coin.n = 100;
        d.coin.unit = *Amount::from(1000);
        d.coin.touchstone = "t";
        d.coin.spent = 3;
        d.coin.granted = 9;
        d.coin.word = shop_->coin.chain.at(9);
        d.coin.epoch = 4;
        const auto text = ewallet::encode_document(d);
        const auto back = ewallet::decode_document(text.expose());
        CPPUNIT_ASSERT(back && back->reader == "r" && back->coin.word == d.coin.word && back->coin.epoch == 4 && back->coin.tag == d.coin.tag);
        CPPUNIT_ASSERT(back->automatic && !back->past && !back->coin.holder && back->until == 5);
        d.coin.holder = "https://a.example";
        d.coin.held = 4;
        d.past = ewallet::PastCoin{d.coin.name, d.coin.tag, d.coin.salt, 8, shop_->coin.chain.at(8)};
        const auto more = ewallet::decode_document(ewallet::encode_document(ewallet::copy_document(d)).expose());
        CPPUNIT_ASSERT(more && more->past && more->past->granted == 8 && more->coin.holder == d.coin.holder && more->coin.held == 4);
        for (const auto* bad : {"", "[]", "{}", "{\"grant\":\"g\"}"}) CPPUNIT_ASSERT(!ewallet::decode_document(bad).ok());
    }

    void cookie_names() {
        const ewallet::Cookies plain("https://a.example", keys(), custody::system_random());
        const ewallet::Cookies ported("http://127.0.0.2:8402", keys(), custody::system_random());
        CPPUNIT_ASSERT_EQUAL(std::string("__Host-netpay-x-8402=v; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=9"), ported.set("x", "v", 9));
        const std::string field = "a=b; __Host-netpay-login-12345678-8402=1; __Host-netpay-login-abcdefgh=2;__Host-netpay-login-=3; q";
        CPPUNIT_ASSERT(ported.stems(field, "login-") == std::vector<std::string>{"login-12345678"});
        CPPUNIT_ASSERT(plain.stems(field, "login-") == std::vector<std::string>{"login-abcdefgh"});
        CPPUNIT_ASSERT(plain.stems("", "login-").empty());
    }

    void pages_given_back_are_counted_by_reader() {
        using Noted = ewallet::Notes::Noted;
        custody_test::TempDir dir;
        auto notes = ewallet::Notes::open(dir.path);
        CPPUNIT_ASSERT(notes.ok());
        const Tag16 ann{1}, bob{2};
        const auto give = [&](const Tag16& who, const char* page, UnixTime at = start_of_time) {
            const auto noted = (*notes)->give_back(who, Shop::resource(page), 2, at);
            CPPUNIT_ASSERT(noted.ok());
            return *noted;
        };
        CPPUNIT_ASSERT(give(ann, "/a") == Noted::noted);
        CPPUNIT_ASSERT(give(ann, "/a") == Noted::again);
        CPPUNIT_ASSERT(give(ann, "/b") == Noted::noted);
        notes->reset();
        notes = ewallet::Notes::open(dir.path);
        CPPUNIT_ASSERT(give(ann, "/a") == Noted::again);
        CPPUNIT_ASSERT(give(ann, "/c") == Noted::too_many);
        CPPUNIT_ASSERT(give(bob, "/a") == Noted::noted);
        const auto gave = [&](const Tag16& who, const char* page, UnixTime at) {
            const auto is = (*notes)->gave_back(who, Shop::resource(page), at);
            CPPUNIT_ASSERT(is.ok());
            return *is;
        };
        CPPUNIT_ASSERT(gave(ann, "/a", start_of_time) && !gave(ann, "/c", start_of_time) && !gave(bob, "/b", start_of_time));
        CPPUNIT_ASSERT(!gave(ann, "/a", start_of_time + 86400));
        CPPUNIT_ASSERT((*notes)->forget_give_back(ann, Shop::resource("/a"), start_of_time).ok());
        CPPUNIT_ASSERT(!gave(ann, "/a", start_of_time));
        CPPUNIT_ASSERT((*notes)->sweep(start_of_time).ok());
        CPPUNIT_ASSERT(give(ann, "/b") == Noted::again);
        CPPUNIT_ASSERT(give(ann, "/c") == Noted::noted);
        CPPUNIT_ASSERT(give(ann, "/d") == Noted::too_many);
        CPPUNIT_ASSERT(give(ann, "/d", start_of_time + 86400) == Noted::noted);
        CPPUNIT_ASSERT((*notes)->sweep(start_of_time + 86400).ok());
        CPPUNIT_ASSERT(give(ann, "/d", start_of_time + 86400) == Noted::again);
    }

    void ways_back_are_used_once() {
        custody_test::TempDir dir;
        auto notes = ewallet::Notes::open(dir.path);
        CPPUNIT_ASSERT(notes.ok());
        CPPUNIT_ASSERT(*(*notes)->use_state("s", 1000));
        CPPUNIT_ASSERT(!*(*notes)->use_state("s", 1000));
        CPPUNIT_ASSERT(*(*notes)->use_state("t", 1000));
        CPPUNIT_ASSERT((*notes)->forget_state("t").ok());
        CPPUNIT_ASSERT(*(*notes)->use_state("t", 1000));
        CPPUNIT_ASSERT((*notes)->sweep(1000).ok());
        CPPUNIT_ASSERT(!*(*notes)->use_state("s", 1000));
        CPPUNIT_ASSERT((*notes)->sweep(1001).ok());
        CPPUNIT_ASSERT(*(*notes)->use_state("s", 2000));
    }

    void tickets() {
        custody_test::TempDir dir;
        auto picks = Picks::open(dir.path);
        CPPUNIT_ASSERT(picks.ok());
        auto state = SpendState::taken_over({}, 100, 5, {}, 0, 0);
        Picks::Wish w;
        w.coin = shop_->coin.terms.tag;
        w.state = &state;
        w.granted = 20;
        w.units = 4;
        w.price = {*Amount::from(4000), *Currency::parse("uusd")};
        w.now = start_of_time;
        const auto pick = [&](const char* page) {
            w.target = page;
            w.resource = Shop::resource(page);
            const auto t = (*picks)->pick(w);
            CPPUNIT_ASSERT(t && !t->over);
            return t->ticket.value_or(0);
        };
        CPPUNIT_ASSERT_EQUAL(9u, pick("/a"));
        CPPUNIT_ASSERT_EQUAL(9u, pick("/a"));
        CPPUNIT_ASSERT_EQUAL(13u, pick("/b"));
        CPPUNIT_ASSERT_EQUAL(17u, pick("/c"));
        CPPUNIT_ASSERT_EQUAL(20u, pick("/d"));  // the grant ends before 21
        CPPUNIT_ASSERT_EQUAL(19u, pick("/e"));
        state.tickets.insert(9);
        state.spent = 9;
        CPPUNIT_ASSERT_EQUAL(18u, pick("/a"));  // used: another
        w.least = 19;
        CPPUNIT_ASSERT_EQUAL(0u, pick("/f"));
        w.least = 0;
        w.now += Picks::hold_s;                  // the first ones are given up
        CPPUNIT_ASSERT_EQUAL(20u, pick("/f"));
        const auto all = (*picks)->of(w.coin);
        CPPUNIT_ASSERT_EQUAL(std::size_t{6}, all.size());
        CPPUNIT_ASSERT((*picks)->of(Tag16{}).empty());
        CPPUNIT_ASSERT((*picks)->sweep(w.now + Picks::kept_s).ok());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, (*picks)->of(w.coin).size());
        CPPUNIT_ASSERT((*picks)->sweep(w.now + Picks::kept_s + 1).ok());
        CPPUNIT_ASSERT((*picks)->of(w.coin).empty());
    }

private:
    std::vector<Secret> keys() const {
        std::vector<Secret> out;
        for (const auto& k : shop_->keys) out.emplace_back(k);
        return out;
    }
    std::unique_ptr<Shop> shop_;
};

CPPUNIT_TEST_SUITE_REGISTRATION(EwalletStoreTest);

}  // namespace
}  // namespace netpay::test
