// Custody (PROTOCOL.md section 7): how a vendor comes to hold a coin, keeps
// it, and lets it go to the next. Cold path: once per coin and lease, never
// per page.
//
// Every process of the vendor makes its own Keeper over the one till
// directory. What is asked of the broker is asked once: threads meet in the
// Keeper, processes at byte-range locks in DIR/custody.lock. Keys, API address
// and list of vendors of each broker lie in DIR/brokers/, so that a start with
// the broker down still serves.
//
// As a takeover flows through: keeper (whom to ask) → handover (ask, follow,
// verify) → till → reports (tell the broker). Letting go: release → till.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/credential.h"
#include "core/json.h"
#include "core/key.h"
#include "core/result.h"
#include "world/world.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody {

// The world's interfaces, by the names this room and its users know them.
using world::Clock;
using world::Disk;
using world::FileTransport;
using world::HttpAnswer;
using world::Log;
using world::Random;
using world::Transport;
using world::World;
using world::fresh_name;
using world::make_system_clock;
using world::system_disk;
using world::system_random;

// Where the broker is and how its keys are known.
struct Broker {
    std::string issuer;        // an origin; plain http only on loopback
    std::string pinned_keys;   // file with a JWK set; empty: fetched from the issuer and refreshed
    std::string ca_file = {};  // certificate authorities for its https; empty: those of Options
};

struct Options {
    std::string vendor;                  // this vendor's origin
    std::shared_ptr<const SigningKey> key;
    std::vector<Broker> brokers;
    std::string directory;               // the till's; what is known of brokers is kept here for the next start
    std::uint32_t connect_timeout_ms = 1000;
    std::uint32_t call_timeout_ms = 3000;
    std::uint32_t key_refresh_s = 300;
    std::string ca_file;                 // for https brokers that name none, and for vendors; empty: the system's
    std::string certificate;             // this vendor's own, a JWS; empty: as in the broker's list
    std::uint32_t unconfirmed_pages = 10;  // sold of a coin before the broker confirms its hand-over; 0: none
    bool private_peers = false;          // vendors may have addresses that are not globally routed
    std::uint32_t release_wait_ms = 500; // how long a hand-over waits for payments under way before it answers 503
};

enum class Taken {
    held,          // the till holds the coin now
    touchstone,    // the touchstone is absent or does not verify → verification-failed, reason touchstone
    expired,       // the touchstone is good but past its exp → reason expired
    broker,        // of a broker not configured here → reason broker
    forged,        // the payword shown does not fit the touchstone → reason forged
    hop_too_long,  // it lies too far from the coin's start → reason hop-too-long
    refused,       // the broker does not know it, it was returned or has expired, or was spent elsewhere beyond
                   // the payword shown (404, 410, 422) → reason lease-over
    unavailable,   // broker or holder out of reach, or the holder does not let it go yet → 503
};

struct Acquired {
    Taken taken = Taken::unavailable;
    std::string detail;          // for the log and the problem; no secrets
    std::uint32_t retry_after_s = 2;
    std::string_view way = "";   // for metrics: "direct", "broker", "chain", "regain": how this call took the coin over
                                 // from another vendor; empty: the broker gave it, or another call took it
};

// An answer to POST {handoff}.
struct HandoffAnswer {
    int status = 500;
    std::string body;                // JSON; application/problem+json where status is not 200 or 410
    std::uint32_t retry_after_s = 0; // of 503
    std::string_view outcome;        // for metrics: "given", "again", "elsewhere", "busy", "refused", "unknown", "unavailable"
};

// How the vendor stands with its brokers, for metrics and the log.
struct Health {
    std::int64_t skew_s = 0;         // own clock minus the broker's, the worst of the last answers
    bool clock_good = true;          // |skew_s| ≤ limits::request_skew_s
    std::uint32_t unreported = 0;    // hand-overs the broker has not confirmed, as last counted
    std::uint64_t reports_failed = 0, dropped = 0;  // by this process
    std::uint32_t vendors_known = 0; // certificates in the copies of the brokers' lists
    UnixTime list_fetched = 0;       // the oldest copy; 0: none yet
};

struct Reply;  // what another server answered (reply.h)

class Keeper {
public:
    // Reads pinned and kept keys; asks nobody. The references must outlive
    // the Keeper. Make it in the process that uses it (after fork, as the
    // User of httpd). Errors: an issuer or vendor that is no origin, pinned
    // keys that cannot be read, a directory that cannot be written.
    // `peers` carries the calls to other vendors, world.transport those to brokers.
    static Result<std::unique_ptr<Keeper>> make(Options options, till::Till& till, World world, Transport& peers);
    virtual ~Keeper() = default;

    // The coin's issuer read off its (verified) touchstone, and custody taken
    // for it if the till does not hold it: from the holder the payer names and
    // the broker's list knows, else from the broker, else from the holder that
    // the broker names. Asked for one coin by several threads and processes at
    // once, one asks and the others wait.
    // max_hop: hashes this may cost; a coin already spent further than that
    // elsewhere is walked once, one at a time.
    // Takes up to about three times call_timeout_ms. Safe from several threads.
    virtual Acquired acquire(const PaymentPayload& payload, std::uint32_t max_hop) = 0;

    // For a coin the till knows but does not hold: its lease is over, it was
    // handed over or dropped. Acquired again, which keeps the till's state.
    // Needs no touchstone in the payload.
    virtual Acquired regain(const PaymentPayload& payload, std::uint32_t max_hop) = 0;

    // For a coin of which all is sold that may be before the broker confirms
    // its hand-over: reports it now. True: it is confirmed.
    virtual bool confirm(const Tag16& coin) = 0;

    // The releasing side of a hand-over (section 7 step 2): `body` as posted.
    // Durable before it returns. Safe from several threads.
    virtual HandoffAnswer hand_over(std::string_view body) = 0;

    // A call of another room to a broker: POST {api}/`call` with a signed
    // request of these members. Status 404 where the issuer is none of ours.
    // Takes up to call_timeout_ms.
    virtual Reply ask(std::string_view issuer, std::string_view call, const json::Object& members) = 0;
    // A touchstone of one of our brokers, verified. Asks nobody.
    virtual Result<Touchstone> read_touchstone(std::string_view issuer, const std::string& token) = 0;

    // Whether the clock agrees with the brokers' within the tolerance. False:
    // nothing is sold (503). Cheap.
    virtual bool clock_good() const = 0;
    virtual Health health() = 0;

    // Called, from any thread, when housekeeping() has something to do at
    // once: a hand-over to report. Set before the first acquire(); must not block.
    virtual void on_urgent(std::function<void()> wake) = 0;

    // Whether at least one key of every configured broker is known. Cheap
    // once it is true. Waits up to connect_timeout_ms for a first fetch.
    // False: no challenge may be made, 503.
    virtual bool ready() = 0;

    // Runs one round of what is due: keys and the broker's list of vendors
    // reread or refreshed, hand-overs reported (with backoff and jitter where
    // that fails), leases renewed in batches, coins past their use forgotten. One process does each at a
    // time, elected by a lock in the directory. Returns seconds (1 … 10) until
    // it wants to be called again. Called by the module's housekeeping thread;
    // may block for as long as its calls to brokers take.
    virtual std::uint32_t housekeeping() = 0;
};

// libcurl's transports: no redirects, bounded time and size, TLS verified.
// Peers: small answers, and no address within this server's own network.
std::unique_ptr<Transport> make_broker_transport(const Options& options);
std::unique_ptr<Transport> make_peer_transport(const Options& options);

}  // namespace netpay::custody
