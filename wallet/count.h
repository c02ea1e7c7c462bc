// The wallet's own count of one coin at one vendor (PROTOCOL.md section 3:
// "a wallet keeps its own count"). Pure: no store, no clock, no network.
//
// The argument, in units of the coin:
//
//   S         units spent, by this wallet's own count. It grows in three ways
//             only: by a receipt, at most by what the owner accepted for that
//             page; by a vendor's `spent`, at most by payments the owner
//             accepted whose outcome never arrived; by the owner's own word
//             (the write-off command).
//   live      what the owner accepted for payments that are on their way now.
//   unknown   what the owner accepted for payments whose outcome is not known
//             (the network died, the process was killed). One ticket buys one
//             page, so payments on the same ticket count once.
//   R         the highest index this vendor may have seen. It is raised in
//             the store, durably, before a request leaves.
//
//   A new payment of p units may use an index up to L = max(R, S + live + p).
//   Nothing a vendor says enters L, except through S as above. So whenever R
//   rises it rises to units spent plus prices accepted and under way, and a
//   vendor that lies about `spent`, `needed`, the price or in a receipt can
//   keep what was accepted for the pages it was asked for, and nothing more.
//   S + live + unknown never grows by a vendor's answer.
//
//   A page that is given back lowers S, at most by what it cost, whatever the
//   vendor says it gave. R and the used tickets stay, so that nothing new can
//   be shown by it; a vendor that took nothing back after all claims more
//   than S at the next page, and is not believed.
//
//   What was revealed and not spent (R > S + live) is used first: then
//   S + live + p ≤ R and nothing new is revealed.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace netpay::wallet {

// A payment the owner accepted and that is not finished.
struct OpenPayment {
    std::int64_t id = 0;
    std::uint32_t ticket = 0;
    std::uint32_t units = 0;
    bool live = false;  // under way in a running process; otherwise its outcome is unknown
    bool here = true;   // at the vendor this count is for
};

struct Count {
    std::uint32_t n = 0;         // length of the chain
    std::uint32_t spent = 0;     // S
    std::uint32_t revealed = 0;  // R, to this vendor
    std::uint32_t base = 0;      // tickets up to here do not count as free (units spent elsewhere before)
    std::vector<OpenPayment> open;  // oldest first
    std::set<std::uint32_t> used;   // tickets used at this vendor, the highest ones

    std::uint32_t live_units() const;
    std::uint32_t unknown_units() const;  // one payment a ticket
};

// Used tickets kept for one coin and vendor. Payments move upwards, so that
// only the latest can ever be candidates again.
inline constexpr std::size_t most_used = 512;
// Used tickets as the store and exports have them: "20,40". Reading stops at
// what is no number.
std::string write_used(const std::set<std::uint32_t>& used);
std::set<std::uint32_t> read_used(std::string_view text);
// Those of both, as many as are kept.
std::set<std::uint32_t> join_used(std::set<std::uint32_t> here, const std::set<std::uint32_t>& there);

// Which index goes out as the ticket of a payment.
struct Choice {
    std::uint32_t ticket = 0;
    bool reused = false;  // an unconfirmed ticket is tried again: nothing new is revealed
};

enum class Refusal {
    coin_short,     // the coin has fewer units left than the price
    beyond,         // the vendor asks for an index above what the owner accepted
    no_ticket,      // every index that may be shown is used or under way
};

struct Chosen {
    std::optional<Choice> choice;
    Refusal why = Refusal::coin_short;  // if there is no choice
};

// The index for a new payment of `units` ≥ 1; the payment itself is not in
// c.open. `needed`: what the vendor said would suffice, 0 if it said nothing.
// Cost: the tickets in c.used.
Chosen choose(const Count& c, std::uint32_t units, std::uint32_t needed = 0);

// The payment is in c.open from here on and R is raised.
void open_payment(Count& c, const OpenPayment& p);

// What became of an open payment. Each takes it out of c.open, but for doubt.
// paid: charged is cut down to what was accepted; other payments on the same
// ticket were never charged and go, too; their ids are returned.
std::vector<std::int64_t> paid(Count& c, std::int64_t id, std::uint32_t charged);
void not_charged(Count& c, std::int64_t id);
void doubt(Count& c, std::int64_t id);

// A vendor says that `claimed` units are spent. What exceeds S + live is
// moved from unknown to S, the payments on `ticket` first, then the oldest.
// `allowance`: units beyond the wallet's own knowledge that the owner accepts
// as spent; 0 but for a coin restored from an older backup.
struct Absorbed {
    bool believed = false;               // false: more than was ever accepted; nothing changed
    std::vector<std::int64_t> settled;   // payments now known to have been charged
};
Absorbed absorb(Count& c, std::uint32_t claimed, std::uint32_t ticket = 0, std::uint32_t allowance = 0);

// The page that a used ticket paid is given back. The units that count, which
// S is lower by: 0 if the ticket is not known to be used here.
std::uint32_t given_back(Count& c, std::uint32_t ticket, std::uint32_t units);

// The vendor says the ticket is used: it will not be chosen again. Open
// payments of unknown outcome on it are dropped; call absorb() first.
std::vector<std::int64_t> ticket_used(Count& c, std::uint32_t ticket);

}  // namespace netpay::wallet
