// The threads that run handlers, which may wait for the store.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace netpay::broker {

class Workers {
public:
    Workers(unsigned threads, std::size_t queue);
    // Runs what is queued, then joins.
    ~Workers();
    Workers(const Workers&) = delete;
    Workers& operator=(const Workers&) = delete;

    using Job = std::function<void()>;  // throws nothing
    // False if the queue is full: the caller answers 503.
    bool offer(Job job);
    // For the next piece of a call that is under way; such calls are bounded
    // by the number of connections.
    void push(Job job);
    // Forgets what has not begun; what runs is finished.
    void abandon();

private:
    void run();

    const std::size_t limit_;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<Job> queue_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace netpay::broker
