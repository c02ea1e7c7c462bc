// Epochs (PROTOCOL.md section 7): who holds a coin, since which index, until
// when, and how far the broker knows it to be spent.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/issue/coins.h"
#include "broker/store/outcome.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"

namespace netpay::broker::custody {

struct Epoch {
    Int coin = 0, epoch = 0, vendor = 0;
    std::uint32_t start = 0;
    std::uint32_t known = 0;  // the highest index credited, renewed or signed; at first the start
    Payword known_payword;
    std::string custody;      // the newest token of this epoch
    UnixTime exp = 0;         // of the lease
    std::string status;       // "held", "ended"
    Int released = -1;        // where it was closed; -1: it is the coin's last
    bool settled = false;     // its credits are payable
    std::string signed_index; // that founded it; empty: the broker gave the coin itself
};

std::optional<Epoch> last_epoch(Sql& sql, Int coin);
std::optional<Epoch> epoch_at(Sql& sql, Int coin, Int epoch);

// An index with the payword that proves it.
struct Mark {
    std::uint32_t index = 0;
    Payword payword;
};
// How far a coin is known to be spent: its last epoch's mark, or the root.
Mark known_mark(const issue::Coin& coin, const std::optional<Epoch>& last);

// More of an epoch is known to be spent from now on. Nothing if it was known already.
void learn(Sql& sql, const Epoch& epoch, const Mark& mark, UnixTime now);

// The statement that books, for the account that bought the coin, what is known
// beyond what was known before; to be run before `known` is written, with
// (day since 1970, known, coin, epoch, known). relation: of what was known to
// what is now, "<", or "<>" where it may be less.
std::string booking_of_day(std::string_view relation);
inline constexpr Int booked_day_s = 86400;

// Whether a payword belongs to the chain at that index. Hashes from the mark
// where it lies below, else from the root, at most n times.
bool belongs(const issue::Coin& coin, const Mark& known, const Mark& shown);

// A lease is over 10 minutes of this broker's being there after its exp: what
// it was down since then does not count.
bool is_over(Sql& sql, const Epoch& epoch, UnixTime now);
// The coin's last epoch is there and is not over.
bool is_held(Sql& sql, const std::optional<Epoch>& last, UnixTime now);
// Seconds within [from, to] in which the broker was down.
std::int64_t downtime_s(Sql& sql, UnixTime from, UnixTime to);

// Notes that the broker is there. A gap longer than three ticks was downtime.
Outcome<Done> heartbeat(Sql& sql, UnixTime now);

// Ends epochs that are over and makes their credits payable, at most `limit`;
// gives how many. An epoch that ended stays open to its vendor's claims until
// the coin goes to another or is returned.
Outcome<Int> end_epochs(Sql& sql, UnixTime now, Int limit);

// Closes the coin's last epoch at an index at or above its start and everything
// credited in it; no claim goes beyond it any more, and the coin is known to be
// spent to there and no further. Its credits become payable; nobody waits for
// the coin any more.
Outcome<Done> close_at(Sql& sql, const issue::Coin& coin, const Epoch& epoch, const Mark& end, UnixTime now);
// The same at the highest index known.
Outcome<Done> close(Sql& sql, const issue::Coin& coin, const Epoch& epoch, UnixTime now);

}  // namespace netpay::broker::custody
