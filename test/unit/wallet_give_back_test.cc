// Giving pages back: what the site is asked, what of its answer is believed,
// and what can be spent afterwards.
#include <cppunit/TestAssert.h>
#include <cppunit/TestFixture.h>
#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>
#include <string>
#include <vector>

#include <soci/soci.h>

#include "core/base64url.h"
#include "core/json.h"
#include "test/unit/wallet_support.h"
#include "wallet/give_back.h"
#include "wallet/purse.h"
#include "wallet/store.h"

namespace netpay::wallet {
namespace {

const std::string issuer = "https://broker.example", vendor = "https://news.example", other = "https://times.example";
const std::string page = vendor + "/a?x=1";

// Status 0: the connection breaks.
class Site : public Transport {
public:
    HttpOutcome send(const HttpRequest& r, AnswerSink& sink) override {
        asked.push_back(r);
        HttpOutcome out;
        out.trouble = "the connection broke";
        if (status == 0) return out;
        HttpHead head;
        head.status = status;
        out.complete = sink.head(head) && sink.data(body);
        return out;
    }
    int status = 0;
    std::string body;
    std::vector<HttpRequest> asked;
};

class WalletGiveBack : public StoreFixture {
    CPPUNIT_TEST_SUITE(WalletGiveBack);
    CPPUNIT_TEST(a_page_is_given_back_and_spent_again);
    CPPUNIT_TEST(only_what_can_be_given_back_is_asked_for);
    CPPUNIT_TEST(refusals_change_nothing);
    CPPUNIT_TEST(a_lost_answer_is_asked_for_again);
    CPPUNIT_TEST(a_lying_site_is_believed_up_to_the_price);
    CPPUNIT_TEST(two_at_once_count_once);
    CPPUNIT_TEST(a_store_of_version_1_is_brought_up);
    CPPUNIT_TEST_SUITE_END();

public:
    void setUp() override {
        StoreFixture::setUp();
        clock_.at = 1800000000;
        site_ = Site();
        begin("w");
    }

private:
    MovingClock clock_;
    Site site_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<Purse> purse_;
    std::string coin_;

    // A wallet with one coin of 1000 units.
    void begin(const std::string& name) {
        store_ = open(name);
        purse_ = std::make_unique<Purse>(*store_, clock_, this_process());
        coin_ = add_coin(*store_, issuer, 1, 1000, clock_.at + 1000000);
    }
    static Want want(const std::string& url) {
        return {url.substr(0, url.find('/', 8)), "GET", url, *Amount::from(20000), *Amount::from(20000), *Currency::parse("uusd"), {issuer}};
    }
    std::uint32_t buy(const std::string& url, std::uint32_t give_back_s = 60) {
        const auto t = purse_->reserve(want(url));
        CPPUNIT_ASSERT_MESSAGE(t ? "" : t.failure().message, static_cast<bool>(t));
        CPPUNIT_ASSERT(purse_->paid(*t, want(url).vendor, t->amount, 0, give_back_s));
        return t->index;
    }
    Coin coin() {
        const auto c = store_->coin(coin_);
        CPPUNIT_ASSERT(c);
        return *c;
    }
    void says(int status, const json::Object& o) {
        site_.status = status;
        site_.body = o.jcs();
    }
    void gives(std::uint64_t units) { says(200, json::Object().set("coin", coin_).set("units", units)); }
    Outcome<GivenBack> back(const std::string& url = page) { return give_back(site_, *purse_, url, 60); }
    void assert_fails(Exit exit, const std::string& words, const std::string& url = page) {
        const auto done = back(url);
        CPPUNIT_ASSERT_MESSAGE(words, !done);
        CPPUNIT_ASSERT_EQUAL_MESSAGE(done.failure().message, static_cast<int>(exit), static_cast<int>(done.failure().exit));
        CPPUNIT_ASSERT_MESSAGE(done.failure().message, done.failure().message.find(words) != std::string::npos);
    }

    void a_page_is_given_back_and_spent_again() {
        CPPUNIT_ASSERT(store_->set_budget({vendor, *Currency::parse("uusd"), Amount::from(40000), {}}));
        CPPUNIT_ASSERT_EQUAL(20u, buy(page));
        CPPUNIT_ASSERT_EQUAL(40u, buy(vendor + "/b"));
        CPPUNIT_ASSERT(!purse_->reserve(want(vendor + "/c")));  // the budget is used up
        gives(20);
        const auto done = back();
        CPPUNIT_ASSERT_MESSAGE(done ? "" : done.failure().message, static_cast<bool>(done));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, done->amount.amount.micro());
        CPPUNIT_ASSERT_EQUAL(980u, done->coin.left());
        const auto& asked = site_.asked.at(0);
        CPPUNIT_ASSERT_EQUAL(std::string("POST"), asked.method);
        CPPUNIT_ASSERT_EQUAL(vendor + "/.well-known/netpay/give-back", asked.url);
        const auto body = json::Document::parse(*asked.body);
        CPPUNIT_ASSERT(body && body->root().string("coin") == coin_ && body->root().uint("index") == 20u &&
                       body->root().string("target") == "/a?x=1");
        CPPUNIT_ASSERT(body->root().string("payword") == b64u_encode(store_->chain(coin())->at(20).bytes));
        CPPUNIT_ASSERT_EQUAL(20u, coin().spent);
        CPPUNIT_ASSERT_EQUAL(0u, coin().held);
        const auto lines = store_->history("", 0);
        CPPUNIT_ASSERT(lines && lines->at(0).state == "given-back" && lines->at(0).amount.micro() == 20000 &&
                       lines->at(0).back.micro() == 20000);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, store_->spent_since("*", *Currency::parse("uusd"), 0)->micro());
        assert_fails(Exit::usage, "given back already");
        CPPUNIT_ASSERT(!*purse_->reread(vendor, page));
        // There is room in the budget again; the units are spent by a ticket that shows nothing new.
        const auto index = buy(vendor + "/c");
        CPPUNIT_ASSERT(index < 40 && index != 20);
        CPPUNIT_ASSERT_EQUAL(40u, coin().spent);
        CPPUNIT_ASSERT_EQUAL(40u, *store_->revealed(coin()));
        CPPUNIT_ASSERT(!purse_->reserve(want(vendor + "/d")));
    }

    void only_what_can_be_given_back_is_asked_for() {
        assert_fails(Exit::usage, "nothing was bought");
        assert_fails(Exit::usage, "https only", "http://news.example/a");
        const auto open_one = purse_->reserve(want(page));
        CPPUNIT_ASSERT(open_one);
        assert_fails(Exit::usage, "nothing was bought");
        CPPUNIT_ASSERT(purse_->not_charged(*open_one));
        buy(page, 0);
        assert_fails(Exit::payment, "does not offer");
        buy(page, 60);
        clock_.at += 61;
        assert_fails(Exit::payment, "was over");
        buy(page, 60);
        buy(other + "/a");  // the coin went there
        assert_fails(Exit::usage, "not at https://news.example");
        buy(page, 60);
        CPPUNIT_ASSERT(store_->set_state(coin_, CoinState::returning));
        assert_fails(Exit::usage, "not at https://news.example");
        CPPUNIT_ASSERT(site_.asked.empty());
        // However long a site says, a day is the most.
        CPPUNIT_ASSERT(store_->set_state(coin_, CoinState::live));
        buy(page, 4000000000u);
        clock_.at += 86401;
        assert_fails(Exit::payment, "was over");
    }

    void refusals_change_nothing() {
        buy(page);
        struct { int status; const char* reason; const char* words; } const all[] = {
            {404, "", "does not offer that to programs"}, {409, "opened", "opened again"},   {409, "too-late", "time for it is over"},
            {409, "booked", "booked already"},            {409, "too-many", "no more pages"}, {409, "busy", "try again"},
            {409, "unknown", "no such payment"},          {409, "x\x1b[2J", "in its own words"}, {503, "", "in its own words"}};
        for (const auto& a : all) {
            says(a.status, json::Object().set("reason", a.reason).set("detail", "in its own words"));
            assert_fails(Exit::payment, a.words);
        }
        for (const std::string& body : {std::string(), std::string("[]"), json::Object().set("coin", "x").set("units", std::uint64_t{20}).jcs(),
                                        json::Object().set("coin", coin_).jcs(),
                                        json::Object().set("coin", coin_).set("units", "20").jcs()}) {
            site_.status = 200;
            site_.body = body;
            assert_fails(Exit::payment, "nonsense");
        }
        CPPUNIT_ASSERT_EQUAL(20u, coin().spent);
        CPPUNIT_ASSERT_EQUAL(20u, coin().held);
    }

    void a_lost_answer_is_asked_for_again() {
        buy(page);
        says(409, json::Object().set("reason", "again"));
        assert_fails(Exit::payment, "that payment was given back already");  // not by this payment: the site had not been asked
        begin("lost");
        buy(page);
        site_.status = 0;
        assert_fails(Exit::network, "Run the same command again");
        CPPUNIT_ASSERT_EQUAL(20u, coin().spent);
        says(409, json::Object().set("reason", "again"));
        CPPUNIT_ASSERT(back());
        CPPUNIT_ASSERT_EQUAL(0u, coin().spent);
        // Where an earlier payment of the page was given back, it may speak of that one.
        buy(page);
        site_.status = 0;
        assert_fails(Exit::network, "no answer");
        says(409, json::Object().set("reason", "again"));
        assert_fails(Exit::payment, "that payment was given back already");
        CPPUNIT_ASSERT_EQUAL(20u, coin().spent);
    }

    void a_lying_site_is_believed_up_to_the_price() {
        int round = 0;
        for (const std::uint64_t units : {0ull, 5ull, 20ull, 21ull, 900ull, 1048576ull, 1ull << 40}) {
            begin("liar" + std::to_string(++round));
            for (const auto* path : {"/a?x=1", "/b", "/c"}) buy(vendor + path);
            gives(units);
            const auto done = back();
            CPPUNIT_ASSERT_EQUAL(units <= 1048576, static_cast<bool>(done));
            const auto expected = units > 1048576 ? 60u : 60u - static_cast<std::uint32_t>(std::min<std::uint64_t>(units, 20));
            CPPUNIT_ASSERT_EQUAL(expected, coin().spent);
            CPPUNIT_ASSERT_EQUAL(60u, *store_->revealed(coin()));
            // It gave nothing back after all: what it claims is not believed, and no more is shown to it.
            const auto t = purse_->reserve(want(vendor + "/d"));
            CPPUNIT_ASSERT(t && t->index <= expected + 20);
            if (expected == 60) continue;
            const auto again = purse_->reserve_again(want(vendor + "/d"), *t, {60u, 80u, false});
            CPPUNIT_ASSERT(!again && again.failure().exit == Exit::disputed);
        }
    }

    void two_at_once_count_once() {
        buy(page);
        buy(vendor + "/b");
        const auto first = purse_->ask_back(page), second = purse_->ask_back(page);
        CPPUNIT_ASSERT(first && second && !first->perhaps_done && second->perhaps_done);
        CPPUNIT_ASSERT(purse_->gave_back(*first, 20));
        CPPUNIT_ASSERT(!purse_->gave_back(*second, 20));
        CPPUNIT_ASSERT_EQUAL(20u, coin().spent);
    }

    void a_store_of_version_1_is_brought_up() {
        buy(page);
        for (const auto* column : {"back", "give_back_until", "asked_back"})
            store_->sql() << std::string("ALTER TABLE payments DROP COLUMN ") + column;
        store_->sql() << "PRAGMA user_version = 1";
        auto again = Store::open(dir_ + "/w");
        CPPUNIT_ASSERT_MESSAGE(again ? "" : again.failure().message, static_cast<bool>(again));
        store_ = std::move(*again);
        purse_ = std::make_unique<Purse>(*store_, clock_, this_process());
        assert_fails(Exit::payment, "does not offer");
        CPPUNIT_ASSERT_EQUAL(20u, coin().spent);
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(WalletGiveBack);

}  // namespace
}  // namespace netpay::wallet
