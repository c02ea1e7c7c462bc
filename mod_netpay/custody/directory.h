// The copy of a broker's list of vendors (PROTOCOL.md sections 7 and 9): with
// it a coin changes vendors without a call to the broker, and signed indices
// are verified by every key their signer is certified for.
//
// Nothing in the list is believed but what the broker's keys have signed. It
// is kept in DIR/brokers/ beside those keys; one process fetches it for all.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "core/certificate.h"
#include "mod_netpay/custody/broker_keys.h"

namespace netpay::custody {

struct Listed {
    std::string token;        // the certificate as signed
    Certificate certificate;
};

struct Vendors {
    std::map<std::string, std::vector<Listed>, std::less<>> of;  // by origin, newest first
    std::uint32_t count = 0;                                     // certificates
    UnixTime fetched = 0;                                        // 0: never
};

// This vendor.
struct Self {
    std::string vendor;                  // origin
    std::shared_ptr<const SigningKey> key;
    std::string certificate;             // as configured; empty: from the list
};

class Directory {
public:
    Directory(Self self, BrokerKeys& keys, std::string directory, std::uint32_t refresh_s, World world);

    // Never null; what it points to does not change.
    std::shared_ptr<const Vendors> known() const;
    // Of that vendor, unexpired, the newest.
    std::optional<Listed> find(std::string_view vendor) const;
    // A certificate that another party showed, if this broker signed it.
    Result<Listed> verify(std::string_view token);
    // Every key by which what the vendor signed `at` that time is judged: of the
    // certificates that are good still, those that covered it, as the broker will
    // judge it. `shown`: and this one's, verified by the caller, unless the list
    // shows that it was revoked before `at`.
    KeySet keys_of(std::string_view vendor, const Certificate* shown, UnixTime at) const;
    // This vendor's own certificate; where neither the configuration nor the
    // list has it the broker is asked, at most once in 30 s. Empty: it has none.
    std::string own();

    // Takes up what another process fetched. True if something changed.
    bool reread();
    // Rereads, and fetches if that is due and no other process does. Seconds until it is due again.
    std::uint32_t refresh();

    // Whether the broker had withdrawn the key by then: the vendor is listed, and not with it.
    bool is_withdrawn(const Certificate& c, UnixTime at) const { return is_withdrawn(*known(), c, at); }

private:
    static bool is_withdrawn(const Vendors& all, const Certificate& c, UnixTime at);
    Vendors read(const json::Value& certificates, UnixTime fetched);
    Result<Vendors> read_kept();
    Result<Vendors> fetch(std::string& text);
    void attempt();
    void publish(Vendors v);
    std::string ask_for_own();
    UnixTime due() const;
    bool asked_lately(std::int64_t seconds);

    const Self self_;
    BrokerKeys& keys_;
    const std::string lock_path_, kept_path_, tried_path_;
    const std::uint32_t refresh_s_;
    const World world_;

    mutable std::mutex mutex_;             // all below
    std::shared_ptr<const Vendors> known_ = std::make_shared<Vendors>();
    std::optional<Disk::Stamp> stamp_;
    std::uint32_t failures_ = 0;
    UnixTime next_try_ = 0;
    std::string own_;                      // as the broker gave it
    UnixTime own_asked_ = 0;
};

}  // namespace netpay::custody
