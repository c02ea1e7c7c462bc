// What a vendor knows of other vendors, and how it calls them: the copy of the
// broker's list, breaker and bulkhead.
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include <condition_variable>

#include "mod_netpay/custody/directory.h"
#include "mod_netpay/custody/peer_client.h"
#include "test/unit/custody_travel.h"

namespace netpay::custody_test {
namespace {

class DirectoryTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(DirectoryTest);
    CPPUNIT_TEST(is_fetched_kept_and_reread);
    CPPUNIT_TEST(a_directory_that_lies);
    CPPUNIT_TEST(bad_documents);
    CPPUNIT_TEST(own_certificate);
    CPPUNIT_TEST_SUITE_END();

    TempDir dir_;
    TestClock clock_;
    TestLog log_;
    TravelBroker broker_{clock_};
    std::unique_ptr<custody::BrokerKeys> keys_;
    const std::string a_ = "https://a.example", b_ = "https://b.example";

public:
    void setUp() override {
        broker_.enrol(a_, 11);
        broker_.enrol(b_, 12);
        keys_ = std::make_unique<custody::BrokerKeys>(custody::Broker{broker_origin, {}}, dir_.path, 300, world());
        CPPUNIT_ASSERT(keys_->load().ok());
        keys_->refresh();
        broker_.calls.clear();
    }

private:
    custody::World world() { return {clock_, broker_, log_, custody::system_random(), custody::system_disk()}; }
    custody::Directory make(const std::string& certificate = {}) {
        return {{a_, std::make_shared<const SigningKey>(key_of(11)), certificate}, *keys_, dir_.path, 300, world()};
    }
    static std::string list_of(const std::vector<std::string>& tokens) { return json::Object().set("certificates", tokens).jcs(); }

    void is_fetched_kept_and_reread() {
        auto one = make(), two = make();
        CPPUNIT_ASSERT(!one.find(b_));
        one.refresh();
        two.refresh();
        CPPUNIT_ASSERT_EQUAL(1, broker_.calls["GET"]);
        CPPUNIT_ASSERT(two.find(b_).has_value());
        CPPUNIT_ASSERT_EQUAL(handoff_of(b_), two.find(b_)->certificate.handoff);
        clock_.t += 299;
        one.refresh();
        CPPUNIT_ASSERT_EQUAL(1, broker_.calls["GET"]);
        clock_.t += 1;
        two.refresh();
        one.refresh();
        CPPUNIT_ASSERT_EQUAL(2, broker_.calls["GET"]);
        CPPUNIT_ASSERT_EQUAL(clock_.now(), one.known()->fetched);
        // With the broker down the copy serves, as long as the certificates last.
        broker_.down = true;
        clock_.t += 10 * 86400;
        auto three = make();
        three.refresh();
        CPPUNIT_ASSERT(three.find(b_).has_value());
        clock_.t += 21 * 86400;
        CPPUNIT_ASSERT(!three.find(b_));
        CPPUNIT_ASSERT(three.keys_of(b_, nullptr, clock_.now()).empty());
    }

    void a_directory_that_lies() {
        const Certificate evil{broker_origin, b_, key_of(66).public_key(), handoff_of(b_), clock_.now(), clock_.now() + 1000};
        auto foreign = evil, expired = evil;
        foreign.iss = "https://other.example";
        expired.exp = clock_.now() - 1;
        broker_.list = json::Object()
                           .set("certificates", {sign_certificate(evil, key_of(66)), sign_certificate(foreign, broker_.signing),
                                                 sign_certificate(expired, broker_.signing), "junk", broker_.certificate(a_)})
                           .jcs();
        auto d = make();
        d.refresh();
        CPPUNIT_ASSERT(!d.find(b_));
        CPPUNIT_ASSERT(d.find(a_).has_value());
        CPPUNIT_ASSERT_EQUAL(1u, d.known()->count);
        CPPUNIT_ASSERT(log_.has("3 certificates of its list do not verify"));
        // What lies on the disk is believed no more than what came from the broker.
        broker_.down = true;
        custody::system_disk().replace(keys_->kept_name() + ".vendors",
                                       json::Object().set("certificates", {sign_certificate(evil, key_of(66))})
                                           .set("fetched", std::uint64_t(clock_.now())).set("issuer", broker_origin).jcs()).ok();
        auto next = make();
        next.reread();
        CPPUNIT_ASSERT(!next.find(b_));
    }

    void bad_documents() {
        auto d = make();
        d.refresh();
        for (const char* text : {"", "{", "[]", "{}", R"({"certificates":7})"}) {
            broker_.list = text;
            clock_.t += 400;
            const int before = broker_.calls["GET"];
            d.refresh();
            CPPUNIT_ASSERT_EQUAL(before + 1, broker_.calls["GET"]);
            CPPUNIT_ASSERT(d.find(b_).has_value());
            d.refresh();
            CPPUNIT_ASSERT_EQUAL(before + 1, broker_.calls["GET"]);
        }
    }

    void own_certificate() {
        const auto configured = broker_.certificate(a_);
        CPPUNIT_ASSERT_EQUAL(configured, make(configured).own());
        CPPUNIT_ASSERT_EQUAL(0, broker_.calls["GET"]);
        auto d = make("junk");
        d.refresh();
        CPPUNIT_ASSERT_EQUAL(broker_.certificate(a_), d.own());
        CPPUNIT_ASSERT_EQUAL(0, broker_.calls["certificate"]);
        broker_.list = list_of({});
        auto unlisted = make();
        clock_.t += 301;
        unlisted.refresh();
        for (int i = 0; i < 5; ++i) CPPUNIT_ASSERT(!unlisted.own().empty());
        CPPUNIT_ASSERT_EQUAL(1, broker_.calls["certificate"]);
        // One for another key is none.
        broker_.vendors[a_].keys.push_back(key_of(44));
        clock_.t += 31;
        CPPUNIT_ASSERT(unlisted.own().empty());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(DirectoryTest);

class PeerClientTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(PeerClientTest);
    CPPUNIT_TEST(breaker);
    CPPUNIT_TEST(bulkhead);
    CPPUNIT_TEST_SUITE_END();

    struct Slow : custody::Transport {
        HttpAnswer get(const std::string&) override { return {}; }
        HttpAnswer post(const std::string&, const std::string&) override {
            std::unique_lock g(mutex);
            ++calls;
            most = std::max(most, ++inside);
            changed.notify_all();
            changed.wait(g, [&] { return !hold; });
            --inside;
            return answer;
        }
        std::mutex mutex;
        std::condition_variable changed;
        bool hold = false;
        int calls = 0, inside = 0, most = 0;
        HttpAnswer answer;
    };

    TestClock clock_;
    TestLog log_;
    Slow net_;
    custody::PeerClient client_{{"https://me.example", std::make_shared<const SigningKey>(key_of(7)), {}},
                                {clock_, net_, log_, custody::system_random(), custody::system_disk()}, net_};
    Certificate vendor(int n) {
        const std::string origin = "https://v" + std::to_string(n) + ".example";
        return {broker_origin, origin, key_of(1).public_key(), handoff_of(origin), 0, 0};
    }
    custody::Reply call(int n) { return client_.hand_over(vendor(n), json::Object().set("coin", "x"), {}); }

    void breaker() {
        net_.answer = {0, {}, "timeout", 0, 0};
        for (int i = 0; i < 10; ++i) CPPUNIT_ASSERT_EQUAL(0, call(1).status);
        CPPUNIT_ASSERT_EQUAL(1, net_.calls);
        CPPUNIT_ASSERT_EQUAL(0, call(2).status);   // each vendor for itself
        CPPUNIT_ASSERT_EQUAL(2, net_.calls);
        net_.calls = 0;
        std::uint32_t retry = 0;
        for (int s = 0; s < 100; ++s) {
            clock_.t += 1;
            const auto r = call(1);
            CPPUNIT_ASSERT(r.retry_after_s >= retry || r.retry_after_s >= 2);
            retry = std::max(retry, r.retry_after_s);
        }
        CPPUNIT_ASSERT_EQUAL(60u, retry);
        CPPUNIT_ASSERT_MESSAGE(std::to_string(net_.calls), net_.calls >= 5 && net_.calls <= 10);
        clock_.t += 17;
        net_.answer = {503, "{}", {}, 1, 0};   // busy is an answer
        CPPUNIT_ASSERT_EQUAL(1u, call(1).retry_after_s);
        CPPUNIT_ASSERT_EQUAL(1u, call(1).retry_after_s);
        CPPUNIT_ASSERT(log_.has("answers again"));
        net_.answer = {200, "{}", {}, 0, 0};
        CPPUNIT_ASSERT_EQUAL(200, call(1).status);
    }

    void bulkhead() {
        net_.hold = true;
        net_.answer = {200, "{}", {}, 0, 0};
        std::atomic<int> ok = 0, turned_away = 0;
        std::vector<std::thread> threads;
        for (int i = 0; i < 24; ++i)
            threads.emplace_back([&, i] {
                const auto r = call(i < 12 ? 1 : i);
                r.status == 200 ? ++ok : ++turned_away;
                if (r.status != 200) CPPUNIT_ASSERT_EQUAL(1u, r.retry_after_s);
            });
        const auto inside = [&] {
            const std::lock_guard g(net_.mutex);
            return net_.inside;
        };
        while (turned_away < 16 || inside() < 8) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        {
            const std::lock_guard g(net_.mutex);
            net_.hold = false;
            net_.changed.notify_all();
        }
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(8, ok.load());
        CPPUNIT_ASSERT_EQUAL(8, net_.most);
        CPPUNIT_ASSERT_EQUAL(200, call(1).status);
        // Of one vendor, four.
        net_.hold = true;
        net_.most = 0;
        turned_away = 0;
        threads.clear();
        for (int i = 0; i < 6; ++i)
            threads.emplace_back([&] { turned_away += call(1).status != 200; });
        while (turned_away < 2 || inside() < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        {
            const std::lock_guard g(net_.mutex);
            net_.hold = false;
            net_.changed.notify_all();
        }
        for (auto& t : threads) t.join();
        CPPUNIT_ASSERT_EQUAL(4, net_.most);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(PeerClientTest);

}  // namespace
}  // namespace netpay::custody_test
