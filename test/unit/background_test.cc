#include <cppunit/extensions/HelperMacros.h>
#include <signal.h>

#include <atomic>
#include <semaphore>
#include <thread>

#include "world/background.h"

namespace netpay::world {
namespace {

using namespace std::chrono_literals;

class BackgroundTest : public CppUnit::TestFixture {
    CPPUNIT_TEST_SUITE(BackgroundTest);
    CPPUNIT_TEST(rounds_until_it_ends);
    CPPUNIT_TEST(woken_while_busy);
    CPPUNIT_TEST(rest_is_not_cut_short);
    CPPUNIT_TEST(an_end_to_the_waiting);
    CPPUNIT_TEST(never_started);
    CPPUNIT_TEST(takes_no_signals);
    CPPUNIT_TEST_SUITE_END();

    void rounds_until_it_ends() {
        std::atomic<int> rounds{0};
        Background b;
        CPPUNIT_ASSERT(b.start([&] {
            while (b.pause(1ms)) ++rounds;
        }));
        while (rounds < 3) std::this_thread::yield();
        b.end();
        const int after = rounds;
        CPPUNIT_ASSERT(b.ending() && b.end_within(0ms) && rounds == after);
    }

    // A waking that comes before the pause is not lost, and several are one.
    void woken_while_busy() {
        std::binary_semaphore go(0), done(0);
        std::atomic<int> rounds{0};
        Background b;
        CPPUNIT_ASSERT(b.start([&] {
            go.acquire();
            while (b.pause(1h)) {
                ++rounds;
                done.release();
            }
        }));
        for (int k = 0; k < 5; ++k) b.wake();
        go.release();
        done.acquire();
        CPPUNIT_ASSERT(!done.try_acquire_for(50ms));
        b.wake();
        done.acquire();
        CPPUNIT_ASSERT_EQUAL(2, rounds.load());
        b.end();
    }

    void rest_is_not_cut_short() {
        using Clock = std::chrono::steady_clock;
        std::atomic<bool> rested{false}, ended{false};
        Clock::duration time{};
        Background b;
        CPPUNIT_ASSERT(b.start([&] {
            const auto begun = Clock::now();
            const bool goes_on = b.rest(50ms);
            time = Clock::now() - begun;
            rested = goes_on;
            ended = !b.rest(1h);
        }));
        while (!rested) b.wake();
        b.end();
        CPPUNIT_ASSERT(ended && time >= 50ms);
    }

    void an_end_to_the_waiting() {
        std::binary_semaphore go(0);
        Background b;
        CPPUNIT_ASSERT(b.start([&] { go.acquire(); }));
        CPPUNIT_ASSERT(!b.end_within(20ms));
        go.release();
        CPPUNIT_ASSERT(b.end_within(10min));
    }

    void never_started() {
        Background b;
        b.wake();
        CPPUNIT_ASSERT(b.end_within(0ms));
        b.end();
    }

    void takes_no_signals() {
        sigset_t mask;
        sigemptyset(&mask);
        Background b;
        CPPUNIT_ASSERT(b.start([&] { pthread_sigmask(SIG_SETMASK, nullptr, &mask); }));
        b.end();
        for (const int s : {SIGTERM, SIGHUP, SIGUSR1, SIGWINCH, SIGINT}) CPPUNIT_ASSERT_EQUAL(1, sigismember(&mask, s));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(BackgroundTest);

}  // namespace
}  // namespace netpay::world
