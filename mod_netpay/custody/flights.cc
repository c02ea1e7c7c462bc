#include "mod_netpay/custody/flights.h"

#include <algorithm>

namespace netpay::custody {
namespace {

// Long enough that a client retrying at once costs nothing, short enough
// that nobody waits for a broker that is back.
constexpr std::int64_t remembered_s = 2;
// A call normally takes less.
constexpr std::uint32_t crowded_s = 1;
// A coin costs 200 bytes here; beyond this the oldest knowledge is dropped.
constexpr std::size_t most_memories = 4096;

// For metrics a coin is taken over once.
Acquired of_another(Acquired a) {
    a.way = {};
    return a;
}

bool worth_remembering(Taken t) { return t == Taken::refused || t == Taken::unavailable; }

// Lands a flight even where memory ran out on the way: waiters must not be left.
class Landing {
public:
    explicit Landing(std::function<void()> f) : f_(std::move(f)) {}
    ~Landing() { f_(); }
    Landing(const Landing&) = delete;
    Landing& operator=(const Landing&) = delete;
private:
    std::function<void()> f_;
};

}  // namespace

std::optional<Acquired> Flights::remembered(const Tag16& coin, std::uint32_t index) {
    const auto m = memories_.find(coin);
    if (m == memories_.end()) return std::nullopt;
    const auto left = m->second.until - clock_.now();
    if (left > 0 && left <= remembered_s) {
        if (index <= m->second.outcome.up_to) return m->second.outcome.acquired;
        return std::nullopt;
    }
    memories_.erase(m);
    return std::nullopt;
}

void Flights::remember(const Tag16& coin, const Outcome& o) {
    if (!worth_remembering(o.acquired.taken)) return;
    const auto now = clock_.now();
    if (memories_.size() >= most_memories) std::erase_if(memories_, [&](const auto& m) { return m.second.until <= now; });
    if (memories_.size() >= most_memories) memories_.clear();
    const auto kept = std::min<std::int64_t>(remembered_s, o.acquired.retry_after_s);  // not beyond what the customer is told
    memories_.insert_or_assign(coin, Memory{o, now + kept});
}

// Nothing: the flight has landed. Else what is to be said to who cannot wait (longer).
std::optional<Acquired> Flights::wait_for(Flight& flight, std::unique_lock<std::mutex>& g,
                                          std::chrono::steady_clock::time_point until) {
    struct Place {
        Flight& flight;
        std::atomic<std::uint32_t>& all;
        const bool mine = ++all <= most_waiting && flight.waiting < most_waiting_for_a_coin;
        Place(Flight& f, std::atomic<std::uint32_t>& a) : flight(f), all(a) { ++flight.waiting; }
        ~Place() {
            --flight.waiting;
            --all;
        }
    } const place(flight, waiting_);
    if (!place.mine) return Acquired{Taken::unavailable, "too many requests wait for coins that are asked for", crowded_s};
    if (landed_.wait_until(g, until, [&] { return flight.outcome.has_value(); })) return std::nullopt;
    return Acquired{Taken::unavailable, "another request for this coin has been waiting for its broker too long", 2};
}

Acquired Flights::join(const Tag16& coin, std::uint32_t index, std::chrono::milliseconds wait,
                       const std::function<Outcome()>& work) {
    std::unique_lock g(mutex_);
    const auto until = std::chrono::steady_clock::now() + wait;
    for (;;) {
        if (const auto known = remembered(coin, index)) return *known;
        const auto other = under_way_.find(coin);
        if (other == under_way_.end()) break;
        const auto flight = other->second;
        if (auto turned_away = wait_for(*flight, g, until)) return std::move(*turned_away);
        if (index <= flight->outcome->up_to) return of_another(flight->outcome->acquired);
    }
    const auto flight = std::make_shared<Flight>();
    under_way_[coin] = flight;
    g.unlock();
    const Landing landing([&] {
        const std::lock_guard h(mutex_);
        if (!flight->outcome) flight->outcome = Outcome{};
        under_way_.erase(coin);
        landed_.notify_all();
    });
    Outcome outcome = work();
    {
        const std::lock_guard h(mutex_);
        flight->outcome = outcome;
        remember(coin, outcome);
    }
    return outcome.acquired;
}

}  // namespace netpay::custody
