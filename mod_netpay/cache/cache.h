// Copies of spent indices in memcached. The till is the truth; a copy can
// save a read of the till's store, and that is all.
//
// What a copy may be used for: the set of used tickets only ever grows, so a
// ticket found in the copy of a coin that is not hot (Till::hot()) was used,
// and the answer `already-spent` needs no store. Not, however, where the same
// request might be due a free replay (PROTOCOL.md section 6, step 4): that is
// for the till alone to say, unless the copy was written longer ago than the
// grace time, since every ticket in it was used before that.
// The payword shown is checked against the copy as the till would check it, so
// that the answer is the till's own, to the letter of section 6.
// What a copy may not be used for: anything else. A miss means unknown, never
// unspent; spent and revealed of a copy may be old.
//
// Values are sealed with AES-256-GCM under a key derived from a secret that
// the caller has, and bound to their own key and format: one that was forged,
// swapped with another coin's or truncated is rejected, and W_r, which the
// check needs, is not to be read off a server.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/result.h"
#include "core/spend.h"

namespace netpay::cache {

struct Copy {
    std::uint32_t spent = 0, revealed = 0;
    Salt salt{};
    Payword word;                 // W_revealed
    TicketSet used;
    std::uint32_t start = 0;      // tickets ≤ start are used too
    UnixTime exp = 0, lease = 0;  // as in SpendState
    std::uint64_t version = 0;    // of the till
    UnixTime written = 0;

    bool has_used(std::uint32_t ticket) const { return ticket <= start || used.contains(ticket); }

    // Whether the till is sure to judge this payment `already-spent`: it is in
    // time, its payword is right, its ticket is used, and no replay is due.
    bool proves_spent(const Payment& p, const SpendRules& rules) const;
};

struct Server {
    std::string host;             // empty: `path` is a unix socket
    std::uint16_t port = 11211;
    std::string path;
    std::uint32_t weight = 1;     // 1 … 1000
};

// "host", "host:port", "[v6]:port" or "unix:/path", each with "*weight" if
// wanted. Errors: malformed, with what would be right.
Result<Server> parse_server(std::string_view text);

struct Options {
    std::vector<Server> servers;           // at least one; keys are spread by consistent hashing
    std::string prefix = "netpay:";        // of every key; at most max_prefix bytes, no blanks
    std::string vendor;                    // origin; part of what is hashed into keys
    std::uint32_t timeout_ms = 100;        // for connecting, sending and an answer, each
    std::uint32_t life_s = 86400;          // how long the servers keep a copy
    std::uint32_t queue = 8192;            // coins waiting to be written; more are dropped
    std::uint32_t batch_ms = 1000;         // copies wait so long: a coin that pays often is then written once for
                                           // many payments, and a copy is of no use before the grace time is over
    std::uint32_t open_ms = 5000;          // circuit: first pause after three failures in a row …
    std::uint32_t open_max_ms = 60000;     // … doubling up to this
};
inline constexpr std::size_t max_prefix = 100;

struct Counters {
    std::uint64_t hits = 0, misses = 0;
    std::uint64_t rejected = 0;            // values whose seal or form was wrong
    std::uint64_t errors = 0;              // calls that failed or timed out
    std::uint64_t skipped = 0;             // gets not tried because the server's circuit was open
    std::uint64_t stored = 0;              // copies handed to a server
    std::uint64_t dropped = 0;             // copies given up: queue full, circuit open, write failed
    std::uint64_t queued = 0;              // waiting now
    std::uint32_t open_circuits = 0;       // servers given up for the moment, of …
    std::uint32_t servers = 0;
};

class Cache {
public:
    // Starts the writing thread: call it in the process that uses it, after
    // fork(). No server is contacted; one that is down is no error.
    // secret: any length ≥ 16, the same in all processes of the vendor.
    static Result<std::unique_ptr<Cache>> open(const Options& options, const Secret& secret);
    // Writes what is queued if the servers take it, within a few time-outs.
    virtual ~Cache() = default;

    // One round trip, or timeout_ms at worst; nothing at all while the
    // server's circuit is open. nullopt: unknown.
    virtual std::optional<Copy> get(const Tag16& coin) = 0;
    // Queues a copy; a newer one of the same coin replaces an older. Never
    // waits for a server. From any thread; fits till::Observer.
    virtual void put(const Tag16& coin, const SpendState& state, std::uint64_t version) = 0;

    virtual Counters counters() const = 0;

    // Asks the writing thread to end without taking a lock, as is needed
    // inside a signal handler, and waits so long at most. False: it still runs.
    virtual bool end_within(std::chrono::milliseconds time) noexcept = 0;
};

}  // namespace netpay::cache
