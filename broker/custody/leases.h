// Acquiring a coin and renewing its lease (PROTOCOL.md section 7).
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "broker/context.h"
#include "broker/custody/epochs.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/vendors.h"

namespace netpay::broker::custody {

// Whether another vendor than this, or a return, waits for the coin: no lease
// goes beyond its end then. A vendor waits while it is approved, for the length
// of a lease and its margin after it last asked: one that is gone for good must
// not keep the holder from renewing.
bool others_wait(const Context& context, Sql& sql, const issue::Coin& coin, Int vendor, UnixTime now);

// The end of a lease that begins now.
UnixTime lease_end(const Context& context, const issue::Coin& coin, UnixTime now);

// How an epoch begins.
struct Beginning {
    Int epoch = 0;
    Mark start;
    UnixTime exp = 0;          // of its first lease
    std::string signed_index;  // that founds it, or empty
};
// Makes a vendor the holder and gives the custody token. Precondition: the
// epoch before it, if there is one, is the coin's last and closed at the start.
std::string begin_epoch(Context& context, Sql& sql, const vendors::Vendor& vendor, const issue::Coin& coin,
                        const Beginning& beginning, UnixTime now);

// The vendor holds the coin.
struct Granted {
    std::string touchstone, custody;
};
// Another vendor does.
struct Held {
    std::string touchstone, holder;  // its certificate
    std::uint64_t epoch = 0;
    std::uint32_t index = 0;         // where its custody started
};
using Acquired = std::variant<Granted, Held>;

// Whether `shown` is a payword of the coin above its start: what everybody
// must show who wants to know anything of it. To be asked before the store is
// locked, for it may hash the whole chain. Refuses with 404 unknown-coin, 410
// gone, 422 payword.
Outcome<Done> may_ask(Sql& sql, const std::string& coin, const Mark& shown, UnixTime now);

// Refuses with 404 unknown-coin, 410 gone, 422 payword. `shown` passed may_ask().
//
// The holder gets the same custody again. If its lease is over and the epoch
// is not, and nobody else waits, it gets the same epoch with a new lease:
// that is what it asks for ("the vendor first tries to get it again").
//
// The payword by which a coin was got is kept: by it the broker itself can ask
// the holder for the coin, when it is returned.
Outcome<Acquired> acquire(Context& context, Sql& sql, const vendors::Vendor& vendor, const std::string& coin,
                          const Mark& shown, UnixTime now);

struct RenewalItem {
    std::string coin;
    std::uint64_t epoch = 0;
    Mark mark;            // how far the vendor says it is spent
    bool proven = false;  // set by prove()
};
struct Unrenewed {
    std::string coin, reason;  // "unknown-coin", "gone", "not-held", "over", "waiting", "payword"
};
struct Renewed {
    std::vector<std::string> custody;
    std::vector<Unrenewed> refused;
};

// Verifies the paywords, before the store is locked.
void prove(Sql& sql, std::vector<RenewalItem>& items);
// Same epoch, new exp; the broker knows the index from now on, also where the
// lease is not extended because somebody waits: what was sold stays claimable.
Outcome<Renewed> renew(Context& context, Sql& sql, const vendors::Vendor& vendor,
                       const std::vector<RenewalItem>& items, UnixTime now);

}  // namespace netpay::broker::custody
