// The audit of a broker's store, and of vendors' tills against it: everything
// is verified again from the signatures up. It trusts the broker's public keys
// and nothing in the store, and shares no code with what keeps the store.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/key.h"
#include "core/money.h"
#include "core/result.h"

namespace netpay::audit {

struct Options {
    std::string store;
    KeySet keys;                     // the broker's
    std::vector<std::string> tills;  // directories
    UnixTime now = 0;                // the time of day
};

// Something that is wrong. `code` is stable and documented in netpay-audit(8).
struct Fault {
    std::string code;
    std::string coin;         // its name; empty: it is of no single coin
    std::string subject;      // else: the movement, account, batch or vendor it is about
    std::uint64_t amount = 0; // micro-units concerned; 0: none can be named
    std::string currency;     // "uusd"; empty with amount 0
    std::string sentence;     // for people; no secret
};

// Money of one currency by the ledger, in micro-units, when all is well:
//   in = vouchers + customers + coins + vendors - owed + paid
//   lost to cards = what the broker's own money stands for
//   sold = coins + credited + refunded
struct Money {
    std::int64_t in = 0;         // vouchers sold and cards paid, less what went back to cards out of balances
    std::int64_t lost = 0;       // went back to cards after it had been spent
    std::int64_t vouchers = 0;   // unused
    std::int64_t customers = 0;  // balances
    std::int64_t coins = 0;      // units neither credited nor refunded
    std::int64_t vendors = 0;    // pending and payable
    std::int64_t owed = 0;       // by vendors
    std::int64_t paid = 0;       // out to vendors
    std::int64_t sold = 0, credited = 0, refunded = 0;  // coins, by the records
};

struct Counts {
    std::uint64_t coins = 0, epochs = 0, indices = 0, credits = 0, batches = 0, movements = 0, entries = 0, vouchers = 0;
    std::uint64_t certificates = 0, till_coins = 0;
    std::uint64_t signatures = 0, hashes = 0;
    std::uint64_t faults = 0, notes = 0;
};

struct Summary {
    std::string broker;  // issuer; empty: nothing in the store names it
    Counts counts;
    std::map<Currency, Money> money;
    bool clean() const { return counts.faults == 0; }
};

// Whom findings are told as they are made, so that their number costs no memory.
class Listener {
public:
    virtual ~Listener() = default;
    virtual void fault(const Fault& f) = 0;
    // Worth knowing, and nobody's fault: hand-overs the broker has still to be told of.
    virtual void note(const Fault& n) = 0;
    // `done` of `all` (0: not known) in a stage; called often.
    virtual void progress(const char* stage, std::uint64_t done, std::uint64_t all, const Counts& counts) = 0;
};

// Errors: store or till cannot be read, or have a form this program does not know.
Result<Summary> run(const Options& options, Listener& listener);

// The broker's public keys: a JWK set, or its key directory (keys.json there;
// no private key is read). Errors: cannot be read, or holds no key.
Result<KeySet> read_keys(const std::string& path);

}  // namespace netpay::audit
