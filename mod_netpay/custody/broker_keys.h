// What a vendor knows of a broker: its keys, and where its API is
// (PROTOCOL.md section 9, discovery). Read by every acquisition, written once
// in minutes.
//
// Keys are pinned by the operator, or fetched: {issuer}/.well-known/netpay
// names the JWK set and the API, both on the issuer's own origin. What was
// fetched is kept in DIR/brokers/, where the vendor's other processes and the
// next start find it: one process fetches for all.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>

#include "core/key.h"
#include "mod_netpay/custody/custody.h"

namespace netpay::custody {

struct Known {
    KeySet keys;             // empty: none known yet
    std::string api;         // URL without a slash at its end; empty: not known yet
    UnixTime fetched = 0;    // 0: never
};

// DIR/brokers/NAME: the names of all that is kept of a broker begin so.
std::string kept_name(const std::string& directory, const std::string& issuer);

class BrokerKeys {
public:
    BrokerKeys(Broker broker, std::string directory, std::uint32_t refresh_s, World world);

    // Pinned keys and what lies in the directory. Errors: pinned keys that
    // cannot be read or hold no Ed25519 key.
    Result<bool> load();

    // Never null; what it points to does not change.
    std::shared_ptr<const Known> known() const;
    const std::string& issuer() const { return broker_.issuer; }
    const std::string& kept_name() const { return kept_name_; }

    // A kid was met that is not known: fetches at the next refresh(), unless
    // the keys were fetched within the last 30 s. Asks nobody now.
    void want_refresh();
    // Takes up what another process fetched, or the operator pinned, meanwhile.
    // True if something changed.
    bool reread();
    // Rereads, and fetches if that is due and no other process does. Seconds until it is due again.
    std::uint32_t refresh();
    // Fetches now, for a caller that cannot go on without. False: it failed, or failed a moment ago.
    bool fetch_now();
    // Waits at most `wait` until a key is known, or the first fetch of this process has failed.
    bool wait_for_keys(std::chrono::milliseconds wait);

private:
    struct Watched { std::string path; std::optional<Disk::Stamp> stamp; };

    Result<KeySet> read_pinned();
    Result<Known> read_kept();
    Result<Known> fetch();
    Result<std::string> get(const std::string& url);
    bool attempt();
    void publish(Known k);
    void note_failure(const std::string& why);
    UnixTime due() const;
    bool changed(Watched& w);
    bool asked_lately(std::int64_t seconds);

    const Broker broker_;
    const std::string directory_, folder_, kept_name_, kept_path_, tried_path_;
    const std::uint32_t refresh_s_;
    const World world_;

    mutable std::mutex mutex_;             // all below
    std::condition_variable published_;
    std::shared_ptr<const Known> known_ = std::make_shared<Known>();
    Watched pinned_, kept_;
    bool wanted_ = false, attempted_ = false;
    std::uint32_t failures_ = 0, jitter_s_ = 0;
    UnixTime next_try_ = 0;
    std::mutex fetching_;                  // one fetch at a time in this process
};

}  // namespace netpay::custody
