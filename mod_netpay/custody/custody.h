// Custody (PROTOCOL.md section 7): how a vendor comes to hold a coin, and
// keeps it. Cold path: once per coin and lease, never per page.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/credential.h"
#include "core/key.h"
#include "core/result.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody {

// Where the broker is and how its keys are known.
struct Broker {
    std::string issuer;        // an origin
    std::string pinned_keys;   // file with a JWK set; empty: fetched from the issuer and refreshed
};

struct Options {
    std::string vendor;                  // this vendor's origin
    std::shared_ptr<const SigningKey> key;
    std::vector<Broker> brokers;
    std::string directory;               // the till's; fetched keys are kept here for the next start
    std::uint32_t connect_timeout_ms = 1000;
    std::uint32_t call_timeout_ms = 3000;
    std::uint32_t key_refresh_s = 300;
    std::string ca_file;                 // for https brokers; empty: the system's
};

// Injected, so that tests can stop, skew and cut them.
struct Clock {
    virtual ~Clock() = default;
    virtual UnixTime now() const = 0;
};
struct HttpAnswer {
    int status = 0;          // 0: no answer; error says why
    std::string body;
    std::string error;
    long retry_after_s = 0;
};
struct Transport {
    virtual ~Transport() = default;
    virtual HttpAnswer get(const std::string& url) = 0;
    virtual HttpAnswer post(const std::string& url, const std::string& json) = 0;
};

enum class Taken {
    held,          // the till holds the coin now
    touchstone,    // the touchstone is absent or does not verify → verification-failed, reason touchstone
    expired,       // the touchstone is good but past its exp → reason expired
    broker,        // of a broker not configured here → reason broker
    forged,        // the payword shown does not fit the touchstone → reason forged
    hop_too_long,  // it lies too far from the coin's start → reason hop-too-long
    refused,       // the broker does not know it, or it was returned (404, 410) → reason lease-over
    unavailable,   // broker or holder out of reach, or the coin is held elsewhere → 503
};

struct Acquired {
    Taken taken = Taken::unavailable;
    std::string detail;          // for the log and the problem; no secrets
    std::uint32_t retry_after_s = 2;
};

struct Log {
    enum class Level { info, warning, error };
    virtual ~Log() = default;
    virtual void write(Level level, const std::string& text) = 0;
};

class Keeper {
public:
    static Result<std::unique_ptr<Keeper>> make(Options options, till::Till& till, Clock& clock,
                                                Transport& transport, Log& log);
    virtual ~Keeper() = default;

    // The coin's issuer read off its (verified) touchstone, and custody taken
    // for it if the till does not hold it. Asked for one coin by several
    // threads and processes at once, one asks the broker and the others wait.
    // max_hop: hashes this may cost.
    virtual Acquired acquire(const PaymentPayload& payload, std::uint32_t max_hop) = 0;

    // For a coin the till knows whose lease is over: renewed or acquired again.
    virtual Acquired regain(const PaymentPayload& payload, std::uint32_t max_hop) = 0;

    // Whether at least one key of every configured broker is known. Waits up
    // to a first fetch under way (connect_timeout_ms). False: no challenge may
    // be made, 503.
    virtual bool ready() = 0;

    // Runs one round of what is due: key refresh, lease renewal (batched).
    // One process does it at a time, elected by a lock in the directory.
    // Returns seconds until it wants to be called again. Called by the
    // module's housekeeping thread.
    virtual std::uint32_t housekeeping() = 0;
};

// The libcurl transport: no redirects, bounded time and size, TLS verified.
std::unique_ptr<Transport> make_curl_transport(const Options& options);
std::unique_ptr<Clock> make_system_clock();

}  // namespace netpay::custody
