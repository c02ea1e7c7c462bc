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
// Same epoch, new exp; the broker knows the index from now on.
Outcome<Renewed> renew(Context& context, Sql& sql, const vendors::Vendor& vendor,
                       const std::vector<RenewalItem>& items, UnixTime now);

}  // namespace netpay::broker::custody
