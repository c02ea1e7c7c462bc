// A vendor as this server sells for it: what the configuration says, made
// ready in the parent, and what each child opens for itself.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/key.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/httpd_api.h"
#include "mod_netpay/offer.h"
#include "mod_netpay/purchase.h"
#include "mod_netpay/till/till.h"

namespace netpay::glue {

class Counter;  // what a child opens: till, keeper, cache and their threads

// Everything servers of one till have in common. Made in post_config, as long
// as the configuration; children inherit it over fork().
struct Vendor {
    std::string origin;
    std::vector<std::string> issuers;
    std::shared_ptr<const SigningKey> key;
    std::vector<custody::Broker> brokers;
    std::string ca_file;
    std::uint32_t connect_timeout_ms = 1000, call_timeout_ms = 3000;
    std::string certificate;          // the broker's for this vendor, a JWS; empty: as in the broker's list
    std::uint32_t unconfirmed_pages = 10;
    bool private_peers = false;
    till::Options till;
    cache::Options cache;             // without servers: none
    std::unique_ptr<ChallengeSecrets> secrets;
    std::vector<Secret> wallet_keys;  // that readers' e-wallets, orders and forms are sealed with, the current one first
    Secret cache_key;                 // authenticates the copies; derived from the vendor's key
    server_rec* server = nullptr;     // the first that sells for it, for messages

    Counter* counter = nullptr;       // in a child; null: it could not be opened
};

// The open counter of a vendor in this child.
class Counter {
public:
    virtual ~Counter() = default;
    virtual const Desk& desk() = 0;
    // At the end of a child, of all its counters first, so that their threads end side by side; takes no lock.
    virtual void ask_to_stop() = 0;
    // At the end of a child; takes a few seconds at most. in_signal: perhaps
    // inside a signal handler, where nothing may be freed or locked; else no
    // request is under way.
    virtual void stop(bool in_signal) = 0;
};

// Opens till, keeper and cache and starts their threads. Called in the child,
// as the User of httpd. Errors name the file and what is wrong.
Result<std::unique_ptr<Counter>> open_counter(const Vendor& vendor);

}  // namespace netpay::glue
