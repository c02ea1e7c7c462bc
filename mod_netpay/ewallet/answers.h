// What brokers said of grants, known for a while: the newest answer of each. Of
// those that need one at the same time one asks, and the others wait for it.
#pragma once

#include <array>
#include <chrono>
#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "core/bytes.h"

namespace netpay::ewallet {

// Grants go by their names (Wallet::binding). Safe from several threads.
template <class Answer>
class Answers {
public:
    // Held while the broker is asked of a grant; whoever gets it looks first
    // whether the one before has an answer. Without the lock: that one takes
    // longer than a call to the broker and a little, and nothing is known.
    std::unique_lock<std::timed_mutex> turn(const std::string& binding) {
        return std::unique_lock(lanes_[std::hash<std::string>()(binding) % lanes_.size()], std::chrono::seconds(4));
    }

    // Nothing: there is none, or its time is over.
    std::optional<Answer> of(const std::string& binding, UnixTime now) {
        const std::lock_guard g(mutex_);
        for (const auto& k : kept_)
            if (k.binding == binding && k.until >= now) return k.answer;
        return std::nullopt;
    }

    // In place of the one before; known up to `until`, if there are not too many newer ones.
    void keep(const std::string& binding, Answer answer, UnixTime until) {
        const std::lock_guard g(mutex_);
        std::erase_if(kept_, [&](const Kept& k) { return k.binding == binding; });
        kept_.push_front({binding, std::move(answer), until});
        if (kept_.size() > most_kept) kept_.pop_back();
    }

private:
    static constexpr std::size_t most_kept = 1024;
    struct Kept {
        std::string binding;
        Answer answer;
        UnixTime until;
    };

    std::array<std::timed_mutex, 64> lanes_;  // several grants may share one
    std::mutex mutex_;
    std::list<Kept> kept_;                    // the newest first; one a grant
};

}  // namespace netpay::ewallet
