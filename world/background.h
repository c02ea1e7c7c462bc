// A thread that keeps house beside the requests, and its end: also from inside
// a signal handler, where prefork ends its children.
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <time.h>

#include <atomic>
#include <chrono>
#include <functional>

namespace netpay::world {

class Background {
public:
    Background();
    ~Background();  // end()
    Background(const Background&) = delete;
    Background& operator=(const Background&) = delete;

    // Starts the thread, once. It takes no signals: those are for the threads
    // that were there before. `run` returns soon after pause() was false, and
    // throws nothing. False: no thread can be had.
    bool start(std::function<void()> run);

    // In the thread: waits so long, or until somebody wakes it; false if it is to end.
    bool pause(std::chrono::milliseconds time);
    // The same, and nobody wakes it: wakings up to its end are lost.
    bool rest(std::chrono::milliseconds time);
    bool ending() const noexcept { return ending_.load(); }

    // From any thread. What is woken before it pauses does not pause.
    void wake() noexcept;

    // Takes no lock and allocates nothing (POSIX: sem_post is safe in a signal handler).
    void ask_to_end() noexcept;
    // Asks, and waits until it has ended: true; or so long: false. True if it does not run.
    bool end_within(std::chrono::milliseconds time) noexcept;
    void end() noexcept;  // however long it takes

private:
    bool rung_until(const timespec& until) noexcept;

    std::function<void()> run_;
    pthread_t thread_{};
    bool running_ = false;
    std::atomic<bool> ending_{false};
    sem_t bell_;
};

}  // namespace netpay::world
