// Custody at the vendor (PROTOCOL.md section 7): acquisition, lease, keys.
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mod_netpay/custody/broker_keys.h"
#include "mod_netpay/custody/leases.h"
#include "mod_netpay/custody/lock.h"
#include "test/unit/custody_support.h"

namespace netpay::custody_test {
namespace {

using custody::Acquired;
using custody::Keeper;
using custody::Taken;

constexpr std::uint32_t hop = 1000;

class CustodyTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(CustodyTest);
    CPPUNIT_TEST(takes_a_coin_nobody_holds);
    CPPUNIT_TEST(bad_touchstones_ask_nobody);
    CPPUNIT_TEST(bad_paywords_ask_nobody);
    CPPUNIT_TEST(a_coin_spent_far_elsewhere);
    CPPUNIT_TEST(every_answer);
    CPPUNIT_TEST(too_many_of_one_call_stops_no_other);
    CPPUNIT_TEST(held_by_another_vendor_is_named);
    CPPUNIT_TEST(bad_custodies_are_refused);
    CPPUNIT_TEST(a_refusal_is_remembered_for_a_moment);
    CPPUNIT_TEST(a_low_payword_does_not_shut_out_a_higher_one);
    CPPUNIT_TEST(a_broker_out_of_reach_is_left_alone);
    CPPUNIT_TEST(eight_threads_make_one_call);
    CPPUNIT_TEST(few_wait_for_one_coin);
    CPPUNIT_TEST(few_wait_in_one_process);
    CPPUNIT_TEST(two_processes_make_one_call);
    CPPUNIT_TEST(regains_a_coin_with_its_state);
    CPPUNIT_TEST(regain_judges_by_what_is_known);
    CPPUNIT_TEST(wrong_options);
    CPPUNIT_TEST_SUITE_END();

    std::unique_ptr<TempDir> dir_;
    TestClock clock_;
    TestLog log_;
    std::unique_ptr<TestBroker> broker_;
    std::unique_ptr<till::Till> till_;
    std::unique_ptr<Keeper> keeper_;

public:
    void setUp() override {
        dir_ = std::make_unique<TempDir>();
        broker_ = std::make_unique<TestBroker>();
        broker_->clock = &clock_;
        clock_.t = start_of_time;
        till_ = open_till(dir_->path);
        keeper_ = make();
        keeper_->housekeeping();
        CPPUNIT_ASSERT(keeper_->ready());
    }
    void tearDown() override {
        keeper_.reset();
        till_.reset();
        broker_.reset();
        dir_.reset();
    }

private:
    custody::World world() { return {clock_, *broker_, log_, custody::system_random(), custody::system_disk()}; }
    custody::Options options() const {
        custody::Options o;
        o.vendor = vendor_origin;
        o.key = std::make_shared<const SigningKey>(key_of(7));
        o.brokers = {{broker_origin, {}}};
        o.directory = dir_->path;
        o.connect_timeout_ms = 100;
        o.call_timeout_ms = 20000;  // waiters wait so long at the most; nothing here takes it
        return o;
    }
    std::unique_ptr<Keeper> make() {
        auto k = Keeper::make(options(), *till_, world(), *broker_);
        CPPUNIT_ASSERT_MESSAGE(k ? "" : k.error().detail, k.ok());
        return std::move(*k);
    }
    TestCoin coin(std::uint32_t number, std::uint32_t n = 100) { return TestCoin(number, n, broker_->keys.front()); }
    void expect(Taken want, const Acquired& got) {
        CPPUNIT_ASSERT_EQUAL_MESSAGE(got.detail, static_cast<int>(want), static_cast<int>(got.taken));
    }

    void takes_a_coin_nobody_holds() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, keeper_->acquire(c.shown(3), hop));
        const auto e = till_->find(c.terms.tag);
        CPPUNIT_ASSERT(e.has_value());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, e->coin.epoch);
        CPPUNIT_ASSERT_EQUAL(start_of_time + 86400, e->coin.lease);
        CPPUNIT_ASSERT_EQUAL(0u, e->state.spent);
        CPPUNIT_ASSERT_EQUAL(c.touchstone, e->coin.touchstone);
        expect(Taken::held, keeper_->acquire(c.shown(4), hop));
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
        for (const auto& line : log_.lines) CPPUNIT_ASSERT(line.find(encode_payword(c.chain.at(3))) == std::string::npos);
    }

    void bad_touchstones_ask_nobody() {
        const auto good = coin(1), other = coin(2);
        broker_->sell(good);
        auto p = good.shown(1);
        p.touchstone.reset();
        expect(Taken::touchstone, keeper_->acquire(p, hop));
        for (const std::string& junk : {std::string(), std::string("a.b.c"), std::string(9000, 'a'), good.touchstone + "A"}) {
            p.touchstone = junk;
            expect(Taken::touchstone, keeper_->acquire(p, hop));
        }
        p.touchstone = other.touchstone;
        expect(Taken::touchstone, keeper_->acquire(p, hop));
        p.touchstone = TestCoin(1, 100, key_of(99)).touchstone;  // a kid nobody knows
        expect(Taken::touchstone, keeper_->acquire(p, hop));
        p.touchstone = TestCoin(1, 100, broker_->keys.front(), "https://elsewhere.example").touchstone;
        expect(Taken::broker, keeper_->acquire(p, hop));
        const TestCoin old(3, 100, broker_->keys.front(), broker_origin, start_of_time - 1);
        expect(Taken::expired, keeper_->acquire(old.shown(1), hop));
        CPPUNIT_ASSERT_EQUAL(0, broker_->posts.load());
        CPPUNIT_ASSERT_EQUAL(3, broker_->gets.load());  // of setUp: discovery, keys, list of vendors
    }

    void bad_paywords_ask_nobody() {
        const auto c = coin(1);
        broker_->sell(c);
        auto p = c.shown(5);
        p.payword = c.chain.at(6);
        expect(Taken::forged, keeper_->acquire(p, hop));
        for (const std::uint64_t j : {std::uint64_t{0}, std::uint64_t{101}, std::uint64_t{1} << 52}) {
            p = c.shown(1);
            p.index = j;
            expect(Taken::forged, keeper_->acquire(p, hop));
        }
        CPPUNIT_ASSERT_EQUAL(0, broker_->posts.load());
    }

    void a_coin_spent_far_elsewhere() {
        const auto c = coin(1, 10000), fresh = coin(2, 10000);
        broker_->sell(c);
        broker_->sell(fresh);
        broker_->starts[c.terms.coin] = 8000;
        broker_->epochs[c.terms.coin] = 4;
        auto wrong = c.shown(8003);
        wrong.payword = c.chain.at(8004);
        expect(Taken::forged, keeper_->acquire(wrong, hop));
        expect(Taken::held, keeper_->acquire(c.shown(8003), hop));
        CPPUNIT_ASSERT_EQUAL(8000u, till_->find(c.terms.tag)->state.start);
        expect(Taken::hop_too_long, keeper_->acquire(fresh.shown(8003), hop));
    }

    void every_answer() {
        struct Case { HttpAnswer answer; Taken want; };
        const std::vector<Case> cases = {
            {{404, "{}", {}, 0}, Taken::refused},
            {{410, R"({"type":"urn:netpay:problem:gone"})", {}, 0}, Taken::refused},
            {{422, "{}", {}, 0}, Taken::refused},
            {{409, R"({"touchstone":"x","holder":"y","epoch":1,"index":0})", {}, 0}, Taken::unavailable},
            {{400, "{}", {}, 0}, Taken::unavailable},
            {{401, "{}", {}, 0}, Taken::unavailable},
            {{403, "not json", {}, 0}, Taken::unavailable},
            {{429, "{}", {}, 7}, Taken::unavailable},
            {{500, "oops", {}, 0}, Taken::unavailable},
            {{503, "{}", {}, 7}, Taken::unavailable},
            {{302, "", {}, 0}, Taken::unavailable},
            {{204, "", {}, 0}, Taken::unavailable},
            {{0, "", "timeout", 0}, Taken::unavailable},
            {{200, "", {}, 0}, Taken::unavailable},
            {{200, "[]", {}, 0}, Taken::unavailable},
            {{200, "{", {}, 0}, Taken::unavailable},
            {{200, "{}", {}, 0}, Taken::unavailable},
            {{200, R"({"custody":7})", {}, 0}, Taken::unavailable},
            {{200, R"({"custody":"a.b.c"})", {}, 0}, Taken::unavailable},
            {{200, std::string(500000, '['), {}, 0}, Taken::unavailable},
        };
        const auto c = coin(1);
        broker_->sell(c);
        for (const auto& k : cases) {
            clock_.t += 100;
            const int before = broker_->posts;
            broker_->answer = k.answer;
            const auto got = keeper_->acquire(c.shown(1), hop);
            CPPUNIT_ASSERT_EQUAL_MESSAGE("status " + std::to_string(k.answer.status) + ": " + got.detail,
                                         static_cast<int>(k.want), static_cast<int>(got.taken));
            CPPUNIT_ASSERT_EQUAL(before + 1, broker_->posts.load());
            CPPUNIT_ASSERT(!got.detail.empty() && got.detail.size() < 1000);
            if (k.answer.retry_after_s) CPPUNIT_ASSERT_EQUAL(7u, got.retry_after_s);
            CPPUNIT_ASSERT(!till_->find(c.terms.tag));
        }
        clock_.t += 100;
        broker_->answer.reset();
        expect(Taken::held, keeper_->acquire(c.shown(1), hop));
    }

    void too_many_of_one_call_stops_no_other() {
        const auto c = coin(1);
        broker_->sell(c);
        broker_->answer = HttpAnswer{429, "{}", {}, 7};
        CPPUNIT_ASSERT(keeper_->ask(broker_origin, "ewallet/token", {}).too_many);
        broker_->answer.reset();
        const int before = broker_->posts;
        const auto refused = keeper_->ask(broker_origin, "ewallet/token", {});
        CPPUNIT_ASSERT(refused.status == 0 && refused.retry_after_s == 7);
        CPPUNIT_ASSERT_EQUAL(before, broker_->posts.load());
        expect(Taken::held, keeper_->acquire(c.shown(1), hop));
        clock_.t += 7;
        (void)keeper_->ask(broker_origin, "ewallet/token", {});
        CPPUNIT_ASSERT_EQUAL(before + 2, broker_->posts.load());
    }

    void held_by_another_vendor_is_named() {
        const auto c = coin(1);
        const Certificate holder{broker_origin, "https://paper.example", key_of(8).public_key(),
                                 "https://paper.example/.well-known/netpay/handoff", start_of_time, start_of_time + 1000};
        const auto say = [&](const std::string& token) {
            broker_->answer = HttpAnswer{409, json::Object().set("touchstone", c.touchstone).set("holder", token)
                                                  .set("epoch", std::uint64_t{1}).set("index", std::uint64_t{0}).jcs(), {}, 0};
            clock_.t += 10;
            return keeper_->acquire(c.shown(1), hop);
        };
        auto got = say(sign_certificate(holder, broker_->signing_key()));
        expect(Taken::unavailable, got);
        CPPUNIT_ASSERT(got.detail.find("https://paper.example") != std::string::npos);
        got = say(sign_certificate(holder, key_of(50)));
        expect(Taken::unavailable, got);
        CPPUNIT_ASSERT(got.detail.find("paper.example") == std::string::npos);
    }

    void bad_custodies_are_refused() {
        const auto c = coin(1), other = coin(2);
        broker_->sell(c);
        const std::map<std::string, std::function<void(Custody&)>> bends = {
            {"another issuer", [](Custody& k) { k.iss = "https://evil.example"; }},
            {"another vendor", [](Custody& k) { k.sub = "https://paper.example"; }},
            {"another coin", [&](Custody& k) { k.coin = other.terms.coin; }},
            {"lease over", [](Custody& k) { k.exp = start_of_time - 1; }},
            {"index beyond the chain", [](Custody& k) { k.index = 101; }},
            {"payword of another index", [&](Custody& k) { k.index = 1; }},
            {"payword of another chain", [&](Custody& k) { k.payword = other.chain.at(0); }},
            {"epoch 0", [](Custody& k) { k.epoch = 0; }},
        };
        for (const auto& [name, bend] : bends) {
            broker_->bend = bend;
            clock_.t += 10;
            CPPUNIT_ASSERT_EQUAL_MESSAGE(name, static_cast<int>(Taken::unavailable),
                                         static_cast<int>(keeper_->acquire(c.shown(2), hop).taken));
            CPPUNIT_ASSERT_MESSAGE(name, !till_->find(c.terms.tag));
            clock_.t = start_of_time + 10;
        }
        broker_->bend = {};
        for (const std::uint8_t signer : {std::uint8_t{42}, std::uint8_t{7}}) {
            broker_->sign = [signer](const Custody& k) { return sign_custody(k, key_of(signer)); };
            clock_.t += 10;
            expect(Taken::unavailable, keeper_->acquire(c.shown(2), hop));
        }
        broker_->sign = [&](const Custody& k) {
            auto t = sign_custody(k, broker_->signing_key());
            t.back() = t.back() == 'A' ? 'Q' : 'A';
            return t;
        };
        clock_.t += 10;
        expect(Taken::unavailable, keeper_->acquire(c.shown(2), hop));
        CPPUNIT_ASSERT(!till_->find(c.terms.tag));
    }

    void a_refusal_is_remembered_for_a_moment() {
        const auto c = coin(1);
        expect(Taken::refused, keeper_->acquire(c.shown(1), hop));
        for (int i = 0; i < 20; ++i) expect(Taken::refused, keeper_->acquire(c.shown(2), hop));
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
        clock_.t += 2;
        broker_->sell(c);
        expect(Taken::held, keeper_->acquire(c.shown(1), hop));
    }

    void a_low_payword_does_not_shut_out_a_higher_one() {
        const auto c = coin(1);
        broker_->sell(c);
        broker_->starts[c.terms.coin] = 50;
        expect(Taken::refused, keeper_->acquire(c.shown(50), hop));
        expect(Taken::refused, keeper_->acquire(c.shown(40), hop));
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
        expect(Taken::held, keeper_->acquire(c.shown(51), hop));
    }

    void a_broker_out_of_reach_is_left_alone() {
        std::vector<TestCoin> coins;
        for (std::uint32_t i = 0; i < 10; ++i) coins.push_back(coin(i));
        for (const auto& c : coins) broker_->sell(c);
        broker_->down = true;
        for (const auto& c : coins) expect(Taken::unavailable, keeper_->acquire(c.shown(1), hop));
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
        clock_.t += 3;
        broker_->down = false;
        for (const auto& c : coins) expect(Taken::held, keeper_->acquire(c.shown(1), hop));
        CPPUNIT_ASSERT(log_.has("answers again"));
    }

    void eight_threads_make_one_call() {
        const auto c = coin(1);
        broker_->sell(c);
        broker_->delay = std::chrono::milliseconds(100);
        std::atomic<int> held = 0;
        std::vector<std::thread> threads;
        for (std::uint32_t i = 1; i <= 8; ++i)
            threads.emplace_back([&, i] { held += keeper_->acquire(c.shown(i), hop).taken == Taken::held; });
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(8, held.load());
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
    }

    // Requests for coins that the broker is being asked for; those who may not wait are counted.
    struct Flood {
        std::atomic<int> held = 0, turned_away = 0;
        std::vector<std::jthread> threads;
        void join() { threads.clear(); }
        void await(int want) {
            const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(30);
            while (turned_away < want && std::chrono::steady_clock::now() < until)
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
        }
    };
    void pour(Flood& f, const TestCoin& c, int requests) {
        for (int i = 0; i < requests; ++i)
            f.threads.emplace_back([this, &f, &c] {
                const auto got = keeper_->acquire(c.shown(1), hop);
                f.held += got.taken == Taken::held;
                f.turned_away += got.taken == Taken::unavailable && got.retry_after_s == 1;
            });
    }

    void few_wait_for_one_coin() {
        const auto c = coin(1);
        broker_->sell(c);
        broker_->hold = true;
        Flood f;
        pour(f, c, 30);
        f.await(21);
        CPPUNIT_ASSERT_EQUAL(21, f.turned_away.load());  // at once: nobody has the coin yet
        CPPUNIT_ASSERT_EQUAL(0, f.held.load());
        broker_->hold = false;
        f.join();
        CPPUNIT_ASSERT_EQUAL(9, f.held.load());          // who asks, and eight who wait
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
    }

    void few_wait_in_one_process() {
        std::vector<TestCoin> coins;
        for (std::uint32_t i = 0; i < 4; ++i) coins.push_back(coin(i));
        for (const auto& c : coins) broker_->sell(c);
        broker_->hold = true;
        Flood f;
        for (const auto& c : coins) pour(f, c, 7);
        f.await(8);
        CPPUNIT_ASSERT_EQUAL(8, f.turned_away.load());
        CPPUNIT_ASSERT_EQUAL(0, f.held.load());
        broker_->hold = false;
        f.join();
        CPPUNIT_ASSERT_EQUAL(4 + 16, f.held.load());
        CPPUNIT_ASSERT_EQUAL(4, broker_->posts.load());
        const auto later = coin(9);
        broker_->sell(later);
        pour(f, later, 5);
        f.join();
        CPPUNIT_ASSERT_EQUAL(4 + 16 + 5, f.held.load());  // the places are free again
    }

    void two_processes_make_one_call() {
        const auto c = coin(1);
        broker_->sell(c);
        broker_->delay = std::chrono::milliseconds(200);
        keeper_.reset();
        till_.reset();
        auto* calls = static_cast<std::atomic<int>*>(
            mmap(nullptr, sizeof(std::atomic<int>), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        std::vector<pid_t> children;
        for (int i = 0; i < 4; ++i) {
            const pid_t child = fork();
            if (child == 0) {
                till_ = open_till(dir_->path);
                keeper_ = make();
                const bool held = keeper_->acquire(c.shown(1), hop).taken == Taken::held;
                *calls += broker_->posts;
                keeper_.reset();
                till_.reset();
                _exit(held ? 0 : 1);
            }
            children.push_back(child);
        }
        for (const auto child : children) {
            int status = 0;
            CPPUNIT_ASSERT_EQUAL(child, waitpid(child, &status, 0));
            CPPUNIT_ASSERT_EQUAL(0, status);
        }
        CPPUNIT_ASSERT_EQUAL(1, calls->load());
        munmap(calls, sizeof *calls);
    }

    void regains_a_coin_with_its_state() {
        const auto c = coin(1);
        broker_->sell(c);
        expect(Taken::held, keeper_->acquire(c.shown(3), hop));
        sell_at(*till_, c, 5, 3, clock_.now());
        clock_.t += 86401;
        broker_->epochs[c.terms.coin] = 2;
        auto p = c.shown(7);
        p.touchstone.reset();
        expect(Taken::held, keeper_->regain(p, hop));
        const auto e = till_->find(c.terms.tag);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, e->coin.epoch);
        CPPUNIT_ASSERT_EQUAL(clock_.now() + 86400, e->coin.lease);
        CPPUNIT_ASSERT_EQUAL(3u, e->state.spent);
        CPPUNIT_ASSERT_EQUAL(5u, e->state.revealed);
        expect(Taken::held, keeper_->regain(p, hop));
        CPPUNIT_ASSERT_EQUAL(2, broker_->posts.load());
    }

    void regain_judges_by_what_is_known() {
        const auto c = coin(1, 5000);
        broker_->sell(c);
        expect(Taken::held, keeper_->acquire(c.shown(3), hop));
        sell_at(*till_, c, 5, 3, clock_.now());
        clock_.t += 86401;
        auto p = c.shown(4);
        p.payword = c.chain.at(3);
        expect(Taken::forged, keeper_->regain(p, hop));
        p = c.shown(6);
        p.payword = c.chain.at(7);
        expect(Taken::forged, keeper_->regain(p, hop));
        CPPUNIT_ASSERT_EQUAL(1, broker_->posts.load());
        // The broker gives the ended custody again: not taken for a living one.
        broker_->bend = [](Custody& k) { k.exp = start_of_time + 86400; };
        expect(Taken::unavailable, keeper_->regain(c.shown(6), hop));
        broker_->bend = {};
        clock_.t += 3;
        // A ticket below what was revealed: the till shows the broker what it knows.
        expect(Taken::held, keeper_->regain(c.shown(4), hop));
        // It may have been spent far elsewhere meanwhile; that it was not shows once it is here.
        clock_.t += 86401;
        expect(Taken::hop_too_long, keeper_->regain(c.shown(1006), hop));
        expect(Taken::held, keeper_->regain(c.shown(6), hop));
        clock_.t = c.terms.exp + 1;
        expect(Taken::expired, keeper_->regain(c.shown(6), hop));
    }

    void wrong_options() {
        auto o = options();
        o.vendor = "news.example";
        CPPUNIT_ASSERT(!Keeper::make(o, *till_, world(), *broker_).ok());
        o = options();
        o.brokers = {{"http://broker.example", {}}};
        CPPUNIT_ASSERT(!Keeper::make(o, *till_, world(), *broker_).ok());
        o.brokers = {{"http://127.0.0.1:8080", {}}};
        CPPUNIT_ASSERT(Keeper::make(o, *till_, world(), *broker_).ok());
        o.brokers = {{broker_origin, dir_->path + "/none"}};
        CPPUNIT_ASSERT(!Keeper::make(o, *till_, world(), *broker_).ok());
        o = options();
        o.key.reset();
        CPPUNIT_ASSERT(!Keeper::make(o, *till_, world(), *broker_).ok());
        o = options();
        o.directory = "/proc/nowhere";
        CPPUNIT_ASSERT(!Keeper::make(o, *till_, world(), *broker_).ok());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CustodyTest);

class LeasesTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(LeasesTest);
    CPPUNIT_TEST(renews_in_batches_what_was_used);
    CPPUNIT_TEST(what_a_renewal_tells_is_not_given_back);
    CPPUNIT_TEST(one_bad_coin_costs_the_others_nothing);
    CPPUNIT_TEST(a_broker_out_of_reach_is_asked_once_a_round);
    CPPUNIT_TEST(bad_answers_change_nothing);
    CPPUNIT_TEST(forgets_coins_past_their_use);
    CPPUNIT_TEST(one_process_does_it);
    CPPUNIT_TEST(the_largest_renewal_fits_a_token);
    CPPUNIT_TEST_SUITE_END();

    TempDir dir_;
    TestClock clock_;
    TestLog log_;
    TestBroker broker_;
    std::unique_ptr<till::Till> till_;
    std::unique_ptr<Keeper> keeper_;
    std::vector<std::unique_ptr<TestCoin>> coins_;

public:
    void setUp() override {
        broker_.clock = &clock_;
        till_ = open_till(dir_.path);
        keeper_ = make();
        keeper_->housekeeping();
    }
    void tearDown() override {
        keeper_.reset();
        till_.reset();
    }

private:
    custody::World world() { return {clock_, broker_, log_, custody::system_random(), custody::system_disk()}; }
    std::unique_ptr<Keeper> make() {
        custody::Options o;
        o.vendor = vendor_origin;
        o.key = std::make_shared<const SigningKey>(key_of(7));
        o.brokers = {{broker_origin, {}}};
        o.directory = dir_.path;
        return std::move(*Keeper::make(o, *till_, world(), broker_));
    }
    const TestCoin& add(bool used) {
        coins_.push_back(std::make_unique<TestCoin>(static_cast<std::uint32_t>(coins_.size()), 20, broker_.keys.front()));
        const auto& c = *coins_.back();
        put(*till_, broker_, c);
        if (used) sell_at(*till_, c, 5, 2, clock_.now() + 1);
        return c;
    }
    UnixTime lease_of(const TestCoin& c) { return till_->find(c.terms.tag)->coin.lease; }

    void renews_in_batches_what_was_used() {
        for (int i = 0; i < 40; ++i) add(true);
        const auto& idle = add(false);
        clock_.t += 86400 / 2;
        keeper_->housekeeping();
        CPPUNIT_ASSERT(broker_.renewals.empty());
        clock_.t += 86400 / 4 + 1;
        keeper_->housekeeping();
        CPPUNIT_ASSERT((broker_.renewals == std::vector<std::size_t>{16, 16, 8}));
        for (int i = 0; i < 40; ++i) {
            CPPUNIT_ASSERT_EQUAL(clock_.now() + 86400, lease_of(*coins_[static_cast<std::size_t>(i)]));
            CPPUNIT_ASSERT_EQUAL(2u, broker_.renewed_at[coins_[static_cast<std::size_t>(i)]->terms.coin]);
        }
        CPPUNIT_ASSERT_EQUAL(start_of_time + 86400, lease_of(idle));
        // Not used since: let go.
        clock_.t += 86000;
        keeper_->housekeeping();
        CPPUNIT_ASSERT_EQUAL(std::size_t{3}, broker_.renewals.size());
    }

    void what_a_renewal_tells_is_not_given_back() {
        using enum till::Till::GivenBack;
        const auto& c = add(true);
        sell_at(*till_, c, 6, 1, clock_.now() + 2);
        CPPUNIT_ASSERT(give_back(*till_, c, 6, clock_.now() + 2) == given);
        clock_.t += 80000;
        // The broker does not answer: it may have heard all the same.
        broker_.down = true;
        keeper_->housekeeping();
        CPPUNIT_ASSERT(give_back(*till_, c, 5, clock_.now()) == booked && till_->find(c.terms.tag)->shown == 2);
        sell_at(*till_, c, 7, 3, clock_.now());
        broker_.down = false;
        clock_.t += 300;
        keeper_->housekeeping();
        CPPUNIT_ASSERT_EQUAL(5u, broker_.renewed_at[c.terms.coin]);
        CPPUNIT_ASSERT_EQUAL(clock_.now() + 86400, lease_of(c));
        CPPUNIT_ASSERT(give_back(*till_, c, 7, clock_.now()) == booked);
        sell_at(*till_, c, 8, 1, clock_.now());
        CPPUNIT_ASSERT(give_back(*till_, c, 8, clock_.now()) == given && till_->find(c.terms.tag)->state.spent == 5);
    }

    void one_bad_coin_costs_the_others_nothing() {
        for (int i = 0; i < 5; ++i) add(true);
        broker_.not_renewed.insert(coins_[2]->terms.coin);
        clock_.t += 80000;
        keeper_->housekeeping();
        for (std::size_t i = 0; i < 5; ++i)
            CPPUNIT_ASSERT_EQUAL(i == 2 ? start_of_time + 86400 : clock_.now() + 86400, lease_of(*coins_[i]));
        const auto asked = broker_.renewals.size();
        clock_.t += 601;
        keeper_->housekeeping();
        CPPUNIT_ASSERT_EQUAL(asked, broker_.renewals.size());
        clock_.t += 601;
        broker_.not_renewed.clear();
        keeper_->housekeeping();
        CPPUNIT_ASSERT_EQUAL(clock_.now() + 86400, lease_of(*coins_[2]));
    }

    void a_broker_out_of_reach_is_asked_once_a_round() {
        for (int i = 0; i < 40; ++i) add(true);
        clock_.t += 80000;
        broker_.down = true;
        keeper_->housekeeping();
        CPPUNIT_ASSERT_EQUAL(1, broker_.posts.load());
        clock_.t += 120;
        broker_.down = false;
        keeper_->housekeeping();
        CPPUNIT_ASSERT_EQUAL(clock_.now() + 86400, lease_of(*coins_[39]));
    }

    void bad_answers_change_nothing() {
        const auto& c = add(true);
        const auto& other = add(false);
        const auto before = lease_of(c);
        const std::vector<std::function<void(Custody&)>> bends = {
            [](Custody& k) { k.iss = "https://evil.example"; },
            [](Custody& k) { k.sub = "https://paper.example"; },
            [&](Custody& k) { k.coin = other.terms.coin; },
            [](Custody& k) { k.epoch = 2; },
            [](Custody& k) { k.exp = start_of_time + 100; },
            [](Custody& k) { k.payword.bytes[0] ^= 1; },
        };
        clock_.t += 76000;
        for (const auto& bend : bends) {
            clock_.t += 950;
            broker_.bend = bend;
            const auto asked = broker_.renewals.size();
            keeper_->housekeeping();
            CPPUNIT_ASSERT_EQUAL(asked + 1, broker_.renewals.size());
            CPPUNIT_ASSERT_EQUAL(before, lease_of(c));
        }
        broker_.bend = {};
        for (const char* body : {"{}", R"({"custody":7})", R"({"custody":[1,"x",null]})"}) {
            clock_.t += 950;
            broker_.answer = HttpAnswer{200, body, {}, 0};
            keeper_->housekeeping();
            CPPUNIT_ASSERT_EQUAL(before, lease_of(c));
        }
    }

    void forgets_coins_past_their_use() {
        const auto& unclaimed = add(true);
        const auto& claimed = add(true);
        CPPUNIT_ASSERT(till_->claim(claimed.terms.tag, 2).ok());
        const auto exp = claimed.terms.exp;
        clock_.t = exp + custody::claims_after_exp_s;
        keeper_->housekeeping();
        CPPUNIT_ASSERT(till_->find(claimed.terms.tag));
        clock_.t = exp + custody::claims_after_exp_s + 601;
        keeper_->housekeeping();
        CPPUNIT_ASSERT(!till_->find(claimed.terms.tag));
        CPPUNIT_ASSERT(till_->find(unclaimed.terms.tag));
    }

    void one_process_does_it() {
        add(true);
        clock_.t += 80000;
        const auto second = make();
        const auto lock = custody::ByteLock::take(dir_.path + "/custody.lock",
                                                  custody::lock_byte_of_task(custody::Task::leases, vendor_origin),
                                                  std::chrono::milliseconds(0));
        CPPUNIT_ASSERT(lock.ok());
        keeper_->housekeeping();
        second->housekeeping();
        CPPUNIT_ASSERT(broker_.renewals.empty());
    }

    void the_largest_renewal_fits_a_token() {
        const std::string host(200, 'a');
        std::vector<json::Object> coins;
        for (std::size_t i = 0; i < custody::renewal_coins; ++i)
            coins.push_back(json::Object().set("coin", std::string(22, 'A')).set("epoch", std::uint64_t{9999})
                                .set("index", std::uint64_t{1} << 20).set("payword", std::string(43, 'A')));
        const auto token = sign_request({"https://" + host, "https://" + host, "custody/renew", start_of_time, std::string(22, 'A')},
                                        json::Object().set("coins", coins), key_of(7));
        CPPUNIT_ASSERT_MESSAGE(std::to_string(token.size()), token.size() <= limits::token_bytes);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(LeasesTest);

class BrokerKeysTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerKeysTest);
    CPPUNIT_TEST(fetched_keys_outlive_a_restart);
    CPPUNIT_TEST(one_process_fetches_for_all);
    CPPUNIT_TEST(rotation);
    CPPUNIT_TEST(an_unknown_kid_brings_the_refresh_forward);
    CPPUNIT_TEST(bad_documents_are_refused);
    CPPUNIT_TEST(failures_are_spaced);
    CPPUNIT_TEST(pinned_keys);
    CPPUNIT_TEST(damaged_files_are_fetched_again);
    CPPUNIT_TEST_SUITE_END();

    TempDir dir_;
    TestClock clock_;
    TestLog log_;
    TestBroker broker_;

    custody::World world() { return {clock_, broker_, log_, custody::system_random(), custody::system_disk()}; }
    std::unique_ptr<custody::BrokerKeys> make(const std::string& pinned = {}) {
        auto k = std::make_unique<custody::BrokerKeys>(custody::Broker{broker_origin, pinned}, dir_.path, 300, world());
        const auto loaded = k->load();
        CPPUNIT_ASSERT_MESSAGE(loaded ? "" : loaded.error().detail, loaded.ok());
        return k;
    }
    std::string kept_file() {
        for (const auto& f : std::filesystem::directory_iterator(dir_.path + "/brokers"))
            if (f.path().extension() == ".json") return f.path();
        return {};
    }

    void fetched_keys_outlive_a_restart() {
        auto k = make();
        CPPUNIT_ASSERT(k->known()->keys.empty());
        CPPUNIT_ASSERT(!k->wait_for_keys(std::chrono::milliseconds(20)));
        k->refresh();
        CPPUNIT_ASSERT(k->known()->keys.find(broker_.signing_key().kid()));
        CPPUNIT_ASSERT_EQUAL(broker_origin + "/api/v1", k->known()->api);
        struct stat s {};
        CPPUNIT_ASSERT_EQUAL(0, stat(kept_file().c_str(), &s));
        CPPUNIT_ASSERT_EQUAL(mode_t{0600}, static_cast<mode_t>(s.st_mode & 0777));
        broker_.down = true;
        clock_.t += 100000;
        k = make();
        CPPUNIT_ASSERT(k->known()->keys.find(broker_.signing_key().kid()));
        k->refresh();
        CPPUNIT_ASSERT(k->known()->keys.find(broker_.signing_key().kid()));
    }

    void one_process_fetches_for_all() {
        const auto a = make(), b = make();
        a->refresh();
        b->refresh();
        CPPUNIT_ASSERT_EQUAL(2, broker_.gets.load());
        CPPUNIT_ASSERT(b->known()->keys.find(broker_.signing_key().kid()));
        clock_.t += 301;
        b->refresh();
        a->refresh();
        CPPUNIT_ASSERT_EQUAL(4, broker_.gets.load());
        CPPUNIT_ASSERT_EQUAL(clock_.now(), a->known()->fetched);
    }

    void rotation() {
        const auto k = make();
        k->refresh();
        const auto old = broker_.signing_key().kid();
        broker_.keys.push_back(key_of(2));
        clock_.t += 200;
        k->refresh();
        CPPUNIT_ASSERT(!k->known()->keys.find(broker_.signing_key().kid()));
        clock_.t += 101;
        k->refresh();
        CPPUNIT_ASSERT(k->known()->keys.find(broker_.signing_key().kid()));
        CPPUNIT_ASSERT(k->known()->keys.find(old));
    }

    void an_unknown_kid_brings_the_refresh_forward() {
        const auto k = make();
        k->refresh();
        broker_.keys.push_back(key_of(2));
        clock_.t += 10;
        k->want_refresh();
        k->refresh();
        CPPUNIT_ASSERT_EQUAL(2, broker_.gets.load());
        clock_.t += 20;
        k->refresh();
        CPPUNIT_ASSERT_EQUAL(4, broker_.gets.load());
        CPPUNIT_ASSERT(k->known()->keys.find(broker_.signing_key().kid()));
    }

    void bad_documents_are_refused() {
        const std::string place = broker_origin + "/.well-known/netpay", jwks = broker_origin + "/jwks.json";
        const auto doc = [](const std::string& issuer, const std::string& keys, const std::string& api) {
            return TestBroker::ok(json::Object().set("issuer", issuer).set("jwks_uri", keys).set("api", api).jcs());
        };
        const std::string api = broker_origin + "/api/v1";
        const std::vector<std::map<std::string, HttpAnswer>> bad = {
            {{place, {302, "", {}, 0}}},
            {{place, {404, "{}", {}, 0}}},
            {{place, {0, "", "timeout", 0}}},
            {{place, TestBroker::ok("")}},
            {{place, TestBroker::ok("[]")}},
            {{place, TestBroker::ok("{}")}},
            {{place, TestBroker::ok(std::string(300000, ' ') + "{}")}},
            {{place, doc("https://evil.example", jwks, api)}},
            {{place, doc(broker_origin, "https://evil.example/jwks.json", api)}},
            {{place, doc(broker_origin, jwks, "https://evil.example/api")}},
            {{place, doc(broker_origin, jwks, "http://broker.example/api")}},
            {{place, doc(broker_origin, jwks, broker_origin + "@evil.example/")}},
            {{place, doc(broker_origin, jwks, api + "?x=1")}},
            {{jwks, {500, "", {}, 0}}},
            {{jwks, TestBroker::ok("{}")}},
            {{jwks, TestBroker::ok(R"({"keys":[]})")}},
            {{jwks, TestBroker::ok(R"({"keys":[{"kty":"RSA","n":"x","e":"AQAB"}]})")}},
            {{jwks, TestBroker::ok(R"({"keys":[{"kty":"OKP","crv":"Ed25519","x":"short"}]})")}},
        };
        const auto k = make();
        for (const auto& answers : bad) {
            broker_.overridden = answers;
            clock_.t += 1000;
            const int before = broker_.gets;
            k->refresh();
            CPPUNIT_ASSERT(broker_.gets > before);
            CPPUNIT_ASSERT(k->known()->keys.empty());
            CPPUNIT_ASSERT(kept_file().empty());
        }
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, log_.lines.size());
        broker_.overridden.clear();
        clock_.t += 1000;
        k->refresh();
        CPPUNIT_ASSERT(!k->known()->keys.empty());
    }

    void failures_are_spaced() {
        const auto k = make();
        broker_.down = true;
        int asked = 0;
        for (int s = 0; s < 600; ++s) {
            const int before = broker_.gets;
            k->refresh();
            asked += broker_.gets - before;
            clock_.t += 1;
        }
        CPPUNIT_ASSERT_MESSAGE(std::to_string(asked), asked >= 10 && asked <= 20);
        CPPUNIT_ASSERT(!k->fetch_now());
    }

    void pinned_keys() {
        const auto path = dir_.path + "/pinned.json";
        std::ofstream(path) << KeySet({key_of(3).public_key()}).jwks();
        const auto k = make(path);
        CPPUNIT_ASSERT(k->known()->keys.find(key_of(3).kid()));
        CPPUNIT_ASSERT_EQUAL(0, broker_.gets.load());
        k->refresh();
        CPPUNIT_ASSERT_EQUAL(1, broker_.gets.load());  // for the API's address alone
        CPPUNIT_ASSERT(k->known()->keys.find(key_of(3).kid()));
        CPPUNIT_ASSERT(!k->known()->keys.find(broker_.signing_key().kid()));
        std::ofstream(path + ".new") << KeySet({key_of(4).public_key()}).jwks();
        std::filesystem::rename(path + ".new", path);
        k->refresh();
        CPPUNIT_ASSERT(k->known()->keys.find(key_of(4).kid()));
        std::ofstream(path + ".new") << "{}";
        std::filesystem::rename(path + ".new", path);
        k->refresh();
        CPPUNIT_ASSERT(k->known()->keys.find(key_of(4).kid()));
        CPPUNIT_ASSERT(log_.has("stay in use"));
    }

    void damaged_files_are_fetched_again() {
        make()->refresh();
        const auto path = kept_file();
        for (const char* text : {"", "{", "{}", R"({"issuer":"https://evil.example","api":"https://evil.example","jwks":"{}","fetched":1})"}) {
            std::ofstream(path, std::ios::trunc) << text;
            const auto k = make();
            CPPUNIT_ASSERT(k->known()->keys.empty());
            clock_.t += 10;
            k->refresh();
            CPPUNIT_ASSERT(!k->known()->keys.empty());
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerKeysTest);

}  // namespace
}  // namespace netpay::custody_test
