// The spend machine (PROTOCOL.md section 6): what a vendor keeps for a coin
// it holds, and what becomes of it when a payment arrives. Pure: the state
// comes in, the state goes out; time is an argument.
//
// A payment is reserved before the resource's handler runs and settled when a
// 2xx is about to leave. SpendState is what must be durable; Reservations are
// what is under way and is void after a crash.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "core/bytes.h"
#include "core/limits.h"

namespace netpay {

// Used indices as ranges of adjacent ones, ascending. When a new range does
// not fit, the lowest two merge and the gap between them counts as used.
class TicketSet {
public:
    bool contains(std::uint32_t i) const;
    void insert(std::uint32_t i);
    std::uint32_t size() const { return count_; }
    struct Range { std::uint32_t first, last; };
    const Range& operator[](std::uint32_t k) const { return ranges_[k]; }
    // For a store that reads a state back. Precondition: ascending, disjoint, not adjacent; k < ticket_ranges.
    void append(Range r) { ranges_[count_++] = r; }
    // Whether the ranges are in order, disjoint and within 1 … n: a stored state is checked before it is believed.
    bool valid(std::uint32_t n) const;

private:
    std::uint32_t count_ = 0;
    std::array<Range, limits::ticket_ranges> ranges_;
};

// A ticket that was used, with what it bought, for replays within the grace time.
struct RecentTicket {
    std::uint32_t index = 0;       // 0: empty
    std::uint32_t replays = 0;
    UnixTime used_at : 43 = 0;     // until the year 280,000
    std::uint64_t units : 21 = 0;  // what it cost; 0: written before that was kept, or given back
    Tag16 resource{};              // resource_binding() of what it bought; zeros: given back
};
static_assert(sizeof(RecentTicket) == 32 && limits::max_chain < 1u << 21);

// What is durable for one coin. Trivially copyable, so that a store can map it.
struct SpendState {
    // Terms, fixed for the custody.
    Salt salt{};
    std::uint32_t n = 0;
    std::uint32_t start = 0;     // the custody's start index: tickets ≤ start are used
    UnixTime exp = 0;            // the touchstone's, inclusive
    UnixTime lease = 0;          // the custody's, inclusive
    // The state proper.
    std::uint32_t spent = 0;     // s, counted from the chain's beginning
    std::uint32_t revealed = 0;  // r ≥ s
    Payword word;                // W_r
    TicketSet tickets;
    std::uint32_t recent_at = 0; // where the next recent ticket goes
    std::array<RecentTicket, limits::recent_tickets> recent{};

    // A coin taken over at index `start` with its payword.
    static SpendState taken_over(const Salt& salt, std::uint32_t n, std::uint32_t start, const Payword& word,
                                 UnixTime exp, UnixTime lease);
};
static_assert(std::is_trivially_copyable_v<SpendState>);

// A payment under way.
struct Reservation {
    std::uint32_t index = 0;  // 0: empty
    std::uint32_t units = 0;
    std::uint64_t owner = 0;  // for the store: who would settle it
};

struct Reservations {
    std::array<Reservation, limits::open_reservations> open{};
    std::uint32_t units() const;                       // sum
    const Reservation* find(std::uint32_t index) const;
    bool add(const Reservation& r);                    // false: full
    void remove(std::uint32_t index);
    bool empty() const;
};

enum class Verdict {
    paid,           // reserved, to be settled or released
    replayed,       // served again, free
    insufficient,   // r - s < p; what was revealed stays the customer's
    already_spent,
    forged,
    hop_too_long,
    expired,        // past the touchstone's exp
    lease_over,     // past the custody's lease
    busy,           // depends on a payment still under way: ask again when it is settled or released
};

struct Payment {
    std::uint64_t index = 0;   // j
    Payword word;              // P
    std::uint32_t units = 0;   // p ≥ 1
    Tag16 resource{};          // method, host and raw request-target with query
    bool is_get = false;
    UnixTime now = 0;
};

struct SpendRules {
    std::uint32_t max_hop = limits::default_max_hop;
    std::int64_t grace_s = limits::default_grace_s;
    std::uint32_t grace_count = limits::default_grace_count;
};

struct Judgement {
    Verdict verdict;
    std::uint32_t needed = 0;  // insufficient: the index that would suffice
    bool changed = false;      // the state did: r and W_r rose, or a replay was counted
};

// Steps 1 to 5, and the reservation of step 6. May raise r and W_r and count
// a replay in `state`; on `paid` adds a reservation of `owner` and leaves s
// and the tickets alone. Costs |j - r| hashes, at most max_hop.
Judgement reserve(SpendState& state, Reservations& open, const Payment& p, const SpendRules& rules,
                  std::uint64_t owner);

// Step 6: s rises by the reservation's units and its ticket is used. The
// reservation is gone. False, with nothing charged, if there is no such
// reservation or its units are no longer there.
bool settle(SpendState& state, Reservations& open, const Payment& p);

// The handler's answer was no 2xx, or the owner died: nothing is charged.
void release(Reservations& open, std::uint32_t index);

// A page bought by mistake: what its ticket cost is the customer's again.
enum class Unspent {
    done,
    unknown,    // the ticket is not among the recent ones, or bought something else
    reread,     // it was replayed more than once
    too_late,   // it was used before `not_before`
    below,      // s would fall below `floor`
};
struct Unspending {
    std::uint32_t index = 0;
    Tag16 resource{};
    UnixTime not_before = 0;
    std::uint32_t floor = 0;  // nobody may have been told of an s above it
};
// On `done` s falls by `units`. The ticket stays used, and replays no more.
Unspent unspend(SpendState& state, const Unspending& page, std::uint32_t& units);

}  // namespace netpay
