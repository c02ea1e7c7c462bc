// A broker killed at any moment: what it answered is kept, what it did not
// answer happened wholly or not at all, and the books are right.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example";

class BrokerCrashTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerCrashTest);
    CPPUNIT_TEST(killed_during_topups_and_purchases);
    CPPUNIT_TEST(killed_during_redemptions);
    CPPUNIT_TEST_SUITE_END();

    static constexpr int rounds = 6;

    // Runs f in another process and kills it there `delay` after it got
    // somewhere, so that it is in the midst of its work on a slow machine too.
    template <class F, class Progress>
    static void run_and_kill(std::chrono::microseconds delay, Progress got_somewhere, F f) {
        const pid_t child = fork();
        CPPUNIT_ASSERT(child >= 0);
        if (child == 0) {
            try {
                f();
            } catch (...) {
                _exit(3);
            }
            _exit(0);
        }
        const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(30);
        while (!got_somewhere() && std::chrono::steady_clock::now() < give_up)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::this_thread::sleep_for(delay);
        kill(child, SIGKILL);
        int status = 0;
        CPPUNIT_ASSERT_EQUAL(child, waitpid(child, &status, 0));
        CPPUNIT_ASSERT_MESSAGE("the child ended by itself", WIFSIGNALED(status));
    }

    static std::vector<std::string> lines(const std::string& file) {
        std::ifstream in(file);
        std::vector<std::string> list;
        for (std::string line; std::getline(in, line);) list.push_back(line);
        return list;
    }

public:
    void killed_during_topups_and_purchases() {
        const auto dir = std::make_shared<TempDir>();
        std::string token;
        {
            World w(dir);
            token = w.account();
        }
        for (int round = 0; round < rounds; ++round) {
            const auto before = lines(*dir / "answered").size();
            const auto more = [&] { return lines(*dir / "answered").size() > before + 2; };
            run_and_kill(std::chrono::microseconds(700 * round), more, [&] {
                World w(dir);
                std::ofstream answered(*dir / "answered", std::ios::app);
                for (;;) {
                    assert_ok(w.top_up(token, w.voucher(20000)));
                    answered << "topup" << std::endl;
                    assert_ok(w.buy(token, World::order(10)));
                    answered << "coin" << std::endl;
                }
            });
            World w(dir);
            w.assert_sound();
            Int topups = 0, coins = 0;
            for (const auto& line : lines(*dir / "answered")) ++(line == "topup" ? topups : coins);
            CPPUNIT_ASSERT(w.count("SELECT COUNT(*) FROM vouchers WHERE used > 0") >= topups);
            CPPUNIT_ASSERT(w.count("SELECT COUNT(*) FROM coins") >= coins);
        }
    }

    void killed_during_redemptions() {
        const auto dir = std::make_shared<TempDir>();
        const auto [shop, coin] = prepare(dir);
        const auto body_of = [&c = coin](std::uint32_t batch) {
            std::string body;
            for (std::uint32_t i = 0; i < 50; ++i) body += World::claim(c, batch * 50 + i, batch * 50 + i + 1);
            return body;
        };
        const auto answer_file = [&](std::uint32_t batch) { return *dir / ("answer" + std::to_string(batch)); };
        for (int round = 0; round < rounds; ++round) {
            const auto next = static_cast<std::uint32_t>(round) * 10;
            const auto more = [&] { return std::filesystem::exists(answer_file(next)); };
            run_and_kill(std::chrono::microseconds(1300 * round), more, [&, &s = shop] {
                World w(dir);
                for (std::uint32_t batch = 0; batch < batches; ++batch) {
                    const auto r = w.redeem(s, "b" + std::to_string(batch), body_of(batch));
                    assert_ok(r);
                    std::ofstream(answer_file(batch) + ".new") << r.body << std::endl;
                    std::filesystem::rename(answer_file(batch) + ".new", answer_file(batch));
                }
            });
            World(dir).assert_sound();
        }
        // Every batch sent again, as a vendor does that never heard: answered as before, credited once.
        World w(dir);
        for (std::uint32_t batch = 0; batch < batches; ++batch) {
            const auto r = w.redeem(shop, "b" + std::to_string(batch), body_of(batch));
            const auto before = lines(answer_file(batch));
            if (!before.empty()) CPPUNIT_ASSERT_EQUAL(before[0], r.body);
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{50}, w.receipt(shop, r).accepted);
        }
        CPPUNIT_ASSERT_EQUAL(Int{batches * 50}, w.count("SELECT credited FROM coins"));
        w.assert_sound();
    }

private:
    static constexpr std::uint32_t batches = 200;

    // No connection of this process stays open over a fork.
    static std::pair<Shop, WalletCoin> prepare(const std::shared_ptr<TempDir>& dir) {
        World w(dir);
        auto shop = w.shop(news);
        auto coin = w.coin(w.rich(), 10000);
        assert_ok(w.acquire(shop, coin, 1));
        return {std::move(shop), std::move(coin)};
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerCrashTest);

}  // namespace
}  // namespace netpay::broker::test
