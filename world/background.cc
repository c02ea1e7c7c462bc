#include "world/background.h"

#include <signal.h>

#include <cerrno>
#include <utility>

namespace netpay::world {
namespace {

using Clock = std::chrono::steady_clock;  // CLOCK_MONOTONIC

timespec from_now(std::chrono::milliseconds time) {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    const auto ns = t.tv_nsec + static_cast<long>(time.count() % 1000) * 1000000;
    t.tv_sec += static_cast<time_t>(time.count() / 1000) + ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

}  // namespace

Background::Background() { sem_init(&bell_, 0, 0); }

Background::~Background() {
    end();
    sem_destroy(&bell_);
}

bool Background::start(std::function<void()> run) {
    run_ = std::move(run);
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    // Not a std::thread: that cannot be joined with an end to the waiting.
    running_ = pthread_create(
                   &thread_, nullptr,
                   [](void* self) -> void* {
                       static_cast<Background*>(self)->run_();
                       return nullptr;
                   },
                   this) == 0;
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return running_;
}

// False: the time is over.
bool Background::rung_until(const timespec& until) noexcept {
    while (sem_clockwait(&bell_, CLOCK_MONOTONIC, &until) != 0)
        if (errno != EINTR) return false;
    return true;
}

bool Background::pause(std::chrono::milliseconds time) {
    if (!ending_.load()) rung_until(from_now(time));
    while (sem_trywait(&bell_) == 0) {  // one waking is as good as many
    }
    return !ending_.load();
}

bool Background::rest(std::chrono::milliseconds time) {
    const auto until = from_now(time);
    // While the bell rings nobody looks at `until`.
    for (const auto end = Clock::now() + time; !ending_.load() && Clock::now() < end;) rung_until(until);
    return !ending_.load();
}

void Background::wake() noexcept { sem_post(&bell_); }

void Background::ask_to_end() noexcept {
    ending_.store(true);
    sem_post(&bell_);
}

bool Background::end_within(std::chrono::milliseconds time) noexcept {
    ask_to_end();
    if (!running_) return true;
    const auto until = from_now(time);
    if (pthread_clockjoin_np(thread_, nullptr, CLOCK_MONOTONIC, &until) != 0) return false;
    running_ = false;
    return true;
}

void Background::end() noexcept {
    ask_to_end();
    if (running_) pthread_join(thread_, nullptr);
    running_ = false;
}

}  // namespace netpay::world
