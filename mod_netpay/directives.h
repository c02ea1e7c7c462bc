// The configuration: one table of directives with their help texts, the
// structures they fill, and how those merge. conf/netpay.conf is the manual
// of the same directives; a test compares the two.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/limits.h"
#include "mod_netpay/cache/cache.h"
#include "mod_netpay/give_back.h"
#include "mod_netpay/httpd_api.h"
#include "mod_netpay/price.h"
#include "mod_netpay/secret.h"
#include "mod_netpay/template.h"
#include "mod_netpay/till/till.h"

namespace netpay::glue {

struct Vendor;
struct PayLog;

// A value and where it was written, for messages.
struct Place {
    const char* file = nullptr;  // as long as the configuration
    int line = 0;
    std::string str() const { return file ? std::string(file) + ":" + std::to_string(line) : "the configuration"; }
};

struct BrokerLine {
    std::string issuer, keys, ca;
};

// Who may show this server's pages in frames: itself and those origins, or anybody.
struct Framing {
    bool any = false;
    std::vector<std::string> origins;
};

// Server and virtual host scope. A virtual host has what it does not set
// itself from the main server.
struct ServerConfig {
    std::string vendor;  // origin; empty: this server sells nothing
    Place vendor_place;
    SecretSource key;
    std::string certificate;
    std::vector<BrokerLine> brokers;
    SecretSource secret, older_secret;
    SecretSource wallet_secret, older_wallet_secret;
    std::string till_directory;
    std::uint32_t till_slots = 0;
    till::Sync sync = till::Sync::interval;
    std::vector<cache::Server> memcached;
    std::optional<std::uint32_t> memcached_timeout_ms;
    std::optional<std::string> memcached_prefix;
    std::optional<std::uint32_t> connect_timeout_ms, call_timeout_ms;
    std::optional<std::uint32_t> unconfirmed_pages;
    std::optional<bool> private_peers;
    std::optional<GiveBackRules> give_back;
    std::optional<Framing> framing;
    std::string log;
    Place first_place;     // of the first directive here

    Vendor* resolved = nullptr;  // by startup; shared by servers of one till
    PayLog* paylog = nullptr;
    const char* framing_policy = nullptr;  // by startup; null: none
    bool programs_for_pages = false;       // by startup: see programs_for_pages()
};

// Where a page's title and teaser come from, beside NetPayTitle and NetPayTeaser.
enum class TeaserFrom { none, file, page };

// The e-wallets that browsers are offered in a place: kept here for the reader,
// or by her browser in a cookie.
struct WalletKinds {
    bool server = true, cookie = false;
    bool any() const { return server || cookie; }
};

// Directory, location, files and <If> scope. httpd merges these for every
// request: nothing in it costs to copy or to destroy, and what it points to
// lives as long as the configuration it was read from.
struct DirConfig {
    std::vector<PriceRule>* prices = nullptr;
    ap_expr_info_t* price_expr = nullptr;
    Currency price_expr_currency;
    bool priced = false;         // prices or price_expr were set here or above
    Place price_place;
    const std::vector<std::string_view>* intents = nullptr;  // views of literals
    std::optional<std::int64_t> life_s, grace_s;
    std::optional<std::uint32_t> grace_count, max_hop;
    std::optional<bool> require_tls, dry_run, own_field;
    const ap_expr_info_t *title = nullptr, *teaser = nullptr;
    std::optional<TeaserFrom> teaser_from;
    std::uint32_t teaser_characters = 0;  // of TeaserFrom::file
    const Template* paywall = nullptr;
    std::optional<WalletKinds> wallets;
};

extern const command_rec directive_table[];

void* create_server_config(apr_pool_t* pool, server_rec* s);
void* merge_server_config(apr_pool_t* pool, void* base, void* add);
void* create_dir_config(apr_pool_t* pool, char* dir);
void* merge_dir_config(apr_pool_t* pool, void* base, void* add);

static_assert(std::is_trivially_destructible_v<DirConfig>);

inline ServerConfig& server_config(const server_rec* s) {
    return *static_cast<ServerConfig*>(ap_get_module_config(s->module_config, &netpay_module));
}
inline const DirConfig& dir_config(const request_rec* r) {
    return *static_cast<const DirConfig*>(ap_get_module_config(r->per_dir_config, &netpay_module));
}

}  // namespace netpay::glue
