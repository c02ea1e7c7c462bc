// The daemon's options: configuration file and command line, checked.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/money.h"
#include "core/result.h"

namespace netpay::broker {

struct Denomination {
    Amount unit;          // micro-units a payword, ≥ 1
    std::uint32_t n = 0;  // paywords, 1 … 2^20
    friend bool operator==(const Denomination&, const Denomination&) = default;
};

// HOST:PORT, [IPV6]:PORT or unix:/PATH.
struct Endpoint {
    std::string host;  // empty for a unix socket; an IPv6 literal without brackets
    std::uint16_t port = 0;
    std::string path;  // of a unix socket
    bool is_unix() const { return !path.empty(); }
    bool is_loopback() const;
    std::string str() const;
};
Result<Endpoint> parse_endpoint(std::string_view text);

// One route's rate for one peer, in place of the route's own.
struct RateOverride {
    std::string route;  // "POST /api/v1/accounts"
    double per_second = 0, burst = 0;
};

// What a customer may pay in by card at a time.
struct CardAmount {
    Amount amount;
    Currency currency;
    friend bool operator==(const CardAmount&, const CardAmount&) = default;
};

struct Options {
    std::string issuer;  // an origin
    std::vector<Endpoint> listen;
    std::string tls_certificate, tls_key;  // PEM files; both or neither
    std::optional<Endpoint> metrics_listen;
    std::string store, keys;
    std::vector<Currency> currencies;
    std::vector<Denomination> denominations;
    std::int64_t coin_days = 365;
    std::int64_t lease_s = 86400;
    std::int64_t certificate_days = 90;
    bool allow_http_vendors = false;  // http origins on loopback
    bool private_vendors = false;     // vendors at addresses that are not globally routed are called, too
    bool site = true;                 // the pages for people: accounts, coins, vendors
    std::string log = "-";

    std::string card_api = "https://api.stripe.com";  // origin of the card provider's API
    std::string card_key, card_webhook_secret;        // files; both, or no cards are taken
    std::vector<CardAmount> card_amounts;             // in the order of the page

    unsigned threads = 0;  // workers; 0 in the file means: one for each core, at least 4
    unsigned queue = 0;    // calls waiting for a worker; 0 in the file means: 16 for each worker
    unsigned max_connections = 1024;
    std::vector<std::string> trusted_proxies;  // peer addresses whose X-Forwarded-For is believed
    std::int64_t header_timeout_s = 10;
    std::int64_t idle_timeout_s = 30;
    std::int64_t body_bytes_per_second = 1024;  // the slowest body that is waited for
    std::int64_t stop_timeout_s = 10;
    double rate_scale = 1;  // multiplies every route's own rate; 0: no rate limits
    std::vector<RateOverride> rate_overrides;

    std::string api() const { return issuer + "/api/v1"; }
    std::string jwks_uri() const { return issuer + "/jwks.json"; }
    bool tls() const { return !tls_certificate.empty(); }
    bool cards() const { return !card_key.empty(); }
};

// What the command line asks for.
struct Invocation {
    enum class Kind { run, help, version };
    Kind kind = Kind::run;
    std::string config;
    Options options;                     // complete and checked when kind is run
    std::vector<std::string> command;    // ["serve"], ["voucher","mint"], …
    std::map<std::string, std::string> flags;  // of the command, e.g. {"amount": "100.00"}; switches map to "yes"
};

// Errors: malformed; the detail names file and line, or flag, what is wrong
// and what would be right.
Result<Invocation> parse_invocation(int argc, const char* const* argv);
// The configuration text alone; `name` is the file's, for messages.
Result<Options> parse_config(const std::string& text, const std::string& name);

std::string help_text();
std::string version_text();

}  // namespace netpay::broker
