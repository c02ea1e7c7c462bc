// Custody (PROTOCOL.md section 7): how a vendor comes to hold a coin, and
// keeps it. Cold path: once per coin and lease, never per page.
//
// Every process of the vendor makes its own Keeper over the one till
// directory. What is asked of the broker is asked once: threads meet in the
// Keeper, processes at byte-range locks in DIR/custody.lock. Keys and API
// address of each broker lie in DIR/brokers/, so that a start with the broker
// down still serves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "core/credential.h"
#include "core/key.h"
#include "core/result.h"
#include "mod_netpay/custody/world.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody {

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
    std::string ca_file;                 // for https brokers that name none; empty: the system's
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
    unavailable,   // broker or holder out of reach, or the coin is held elsewhere → 503
};

struct Acquired {
    Taken taken = Taken::unavailable;
    std::string detail;          // for the log and the problem; no secrets
    std::uint32_t retry_after_s = 2;
};

class Keeper {
public:
    // Reads pinned and kept keys; asks nobody. The references must outlive
    // the Keeper. Make it in the process that uses it (after fork, as the
    // User of httpd). Errors: an issuer or vendor that is no origin, pinned
    // keys that cannot be read, a directory that cannot be written.
    static Result<std::unique_ptr<Keeper>> make(Options options, till::Till& till, Clock& clock,
                                                Transport& transport, Log& log, Random& random = system_random(),
                                                Disk& disk = system_disk());
    virtual ~Keeper() = default;

    // The coin's issuer read off its (verified) touchstone, and custody taken
    // for it if the till does not hold it. Asked for one coin by several
    // threads and processes at once, one asks the broker and the others wait.
    // max_hop: hashes this may cost; a coin already spent further than that
    // elsewhere is walked once, one at a time.
    // Takes up to about three times call_timeout_ms. Safe from several threads.
    virtual Acquired acquire(const PaymentPayload& payload, std::uint32_t max_hop) = 0;

    // For a coin the till knows whose lease is over: acquired again, which
    // keeps the till's state. Needs no touchstone in the payload.
    virtual Acquired regain(const PaymentPayload& payload, std::uint32_t max_hop) = 0;

    // Whether at least one key of every configured broker is known. Cheap
    // once it is true. Waits up to connect_timeout_ms for a first fetch.
    // False: no challenge may be made, 503.
    virtual bool ready() = 0;

    // Runs one round of what is due: keys reread or refreshed, leases renewed
    // in batches, coins past their use forgotten. One process does each at a
    // time, elected by a lock in the directory. Returns seconds (1 … 10) until
    // it wants to be called again. Called by the module's housekeeping thread;
    // may block for as long as its calls to brokers take.
    virtual std::uint32_t housekeeping() = 0;
};

// The libcurl transport: no redirects, bounded time and size, TLS verified.
std::unique_ptr<Transport> make_curl_transport(const Options& options);

}  // namespace netpay::custody
