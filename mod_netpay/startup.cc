#include "mod_netpay/startup.h"

#include <ap_mpm.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unixd.h>
#include <util_cfgtree.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <set>

#include "core/jws.h"
#include "core/key.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/framing.h"
#include "mod_netpay/handoff.h"
#include "mod_netpay/metrics.h"
#include "mod_netpay/payment_log.h"
#include "mod_netpay/reader_checks.h"
#include "mod_netpay/text.h"
#include "mod_netpay/vendor.h"

namespace netpay::glue {
namespace {

// A field line must hold "Authorization: Payment " and 4 KB of credential (PROTOCOL.md section 5).
constexpr int least_field_bytes = 4096 + 64;
constexpr std::size_t most_unreported = 10000;           // shown in the metrics; more are as bad
constexpr std::int64_t certificate_soon_s = 14 * 86400;  // a broker's operator may need a week

std::vector<Vendor*>* vendors = nullptr;  // of this configuration
bool trusted_proxy = false;

void complain(server_rec* s, const std::string& text) {
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_EMERG, 0, s, "%s", text.c_str());
}

void warn(server_rec* s, const std::string& text) {
    ap_log_error(APLOG_MARK, APLOG_STARTUP | APLOG_WARNING, 0, s, "%s", text.c_str());
}

std::string read_text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

std::string where(const ap_directive_t* d) {
    return std::string(d->filename ? d->filename : "") + ":" + std::to_string(d->line_num);
}

// --- what the tree of directives says ---

struct Seen {
    const ap_directive_t* gate = nullptr;  // the first AuthType NetPay or Require netpay
    bool price = false;
};

bool asks_for_payment(const ap_directive_t* d) {
    const auto words = split(d->args ? d->args : "", ' ');
    if (words.empty()) return false;
    return (equal_nocase(d->directive, "AuthType") && equal_nocase(words[0], "NetPay")) ||
           (equal_nocase(d->directive, "Require") && equal_nocase(words[0], "netpay"));
}

// Every directive below d, except in virtual hosts, which `each_host` gets.
template <class F>
void look(const ap_directive_t* d, Seen& seen, F&& each_host) {
    for (; d; d = d->next) {
        if (equal_nocase(d->directive, "<VirtualHost")) {
            each_host(d);
            continue;
        }
        if (asks_for_payment(d) && !seen.gate) seen.gate = d;
        if (equal_nocase(d->directive, "NetPayPrice") || equal_nocase(d->directive, "NetPayPriceExpr")) seen.price = true;
        if (equal_nocase(d->directive, "RemoteIPHeader") || equal_nocase(d->directive, "RemoteIPProxyProtocol"))
            trusted_proxy = true;
        if (d->first_child) look(d->first_child, seen, each_host);
    }
}

bool check_tree() {
    trusted_proxy = false;
    Seen global;
    std::vector<const ap_directive_t*> hosts;
    look(ap_conftree, global, [&](const ap_directive_t* host) { hosts.push_back(host); });
    bool good = true;
    bool any_price = global.price;
    const auto none_above = [](const ap_directive_t*) {};
    for (const auto* host : hosts) {
        Seen seen;
        look(host->first_child, seen, none_above);
        any_price = any_price || seen.price;
        if (!seen.gate || seen.price || global.price) continue;
        complain(nullptr, where(seen.gate) + ": payment is required here, but no NetPayPrice in this virtual host names a price: add one like NetPayPrice 0.02 usd");
        good = false;
    }
    if (global.gate && !any_price) {
        complain(nullptr, where(global.gate) + ": payment is required here, but no NetPayPrice names a price: add one like NetPayPrice 0.02 usd");
        good = false;
    }
    return good;
}

// --- what a virtual host's own configuration says ---

// What is missing or does not fit, as one text; empty: nothing.
std::string faults(const ServerConfig& c) {
    if (c.key.kind == SecretSource::Kind::none)
        return "NetPayVendorKey is missing: make a key with `openssl genpkey -algorithm ed25519` and name its file";
    if (c.brokers.empty()) return "NetPayBroker is missing: name the issuer of a broker whose coins are taken, like https://broker.example";
    if (c.secret.kind == SecretSource::Kind::none)
        return "NetPayChallengeSecret is missing: name a file with 32 random bytes, like file:/etc/netpay/challenge.secret";
    if (c.till_directory.empty()) return "NetPayTill is missing: name a directory for the till, like /var/lib/netpay/news";
    std::string ca;
    for (const auto& b : c.brokers) {
        if (!b.ca.empty() && !ca.empty() && ca != b.ca) return "NetPayBroker: one ca= file for all brokers of a vendor; put the certificates into one file";
        if (!b.ca.empty()) ca = b.ca;
        if (b.keys.empty()) continue;
        const auto keys = KeySet::parse(read_text(b.keys));
        if (!keys) return "NetPayBroker " + b.issuer + ": " + b.keys + " is not a JWK set (the broker's jwks_uri answers one): " + keys.error().detail;
        if (keys->empty()) return "NetPayBroker " + b.issuer + ": " + b.keys + " holds no Ed25519 key";
    }
    return {};
}

Result<std::shared_ptr<const SigningKey>> vendor_key(const ServerConfig& c) {
    auto pem = read_secret(c.key);
    if (!pem) return Error{pem.error().code, "NetPayVendorKey: " + pem.error().detail};
    auto key = SigningKey::from_pem(*pem);
    if (!key) return Error{key.error().code, "NetPayVendorKey: " + c.key.value + ": not an Ed25519 private key in PEM; make one with `openssl genpkey -algorithm ed25519`"};
    return std::shared_ptr<const SigningKey>(std::make_shared<SigningKey>(std::move(*key)));
}

// The token in the certificate's file; empty: there is none.
std::string certificate_of(const ServerConfig& c) {
    if (c.certificate.empty()) return {};
    const std::string text = read_text(c.certificate);
    const auto lines = split(text, '\n');
    return lines.empty() ? std::string() : std::string(lines.front());
}

// The certificate speaks of this vendor and this key. Who signed it is for
// those it is shown to.
std::string certificate_faults(const ServerConfig& c, const SigningKey& key) {
    if (c.certificate.empty()) return {};
    const auto claims = jws::peek(certificate_of(c));
    if (!claims) return "NetPayVendorCertificate: " + c.certificate + " holds no certificate";
    if (claims->root().string("sub") != c.vendor) return "NetPayVendorCertificate: " + c.certificate + " is another vendor's";
    const auto* cnf = claims->root().object("cnf");
    const auto* jwk = cnf ? cnf->object("jwk") : nullptr;
    const auto certified = jwk ? PublicKey::from_jwk(*jwk) : Result<PublicKey>(Code::malformed, "no key");
    if (!certified || !(*certified == key.public_key()))
        return "NetPayVendorCertificate: " + c.certificate + " is for another key than NetPayVendorKey's";
    return {};
}

// What does not keep the server from starting, but other vendors from taking
// coins over from it, or it from them.
std::string certificate_warning(const ServerConfig& c) {
    const auto claims = jws::peek(certificate_of(c));
    if (!claims) return {};
    const auto& p = claims->root();
    const std::string issuer(p.string("iss").value_or("")), handoff(p.string("handoff").value_or(""));
    const auto exp = p.uint("exp");
    const auto now = apr_time_sec(apr_time_now());
    const std::string at = "NetPayVendorCertificate " + c.certificate + ": ";
    const std::string renew = "; get the new one with `netpay-brokerd vendor certificate " + c.vendor + "`";
    if (exp && static_cast<UnixTime>(*exp) < now) return at + "it has expired: other vendors release no coin for it" + renew;
    if (exp && static_cast<UnixTime>(*exp) < now + certificate_soon_s)
        return at + "it expires in " + std::to_string((static_cast<UnixTime>(*exp) - now) / 86400) + " days" + renew;
    if (std::none_of(c.brokers.begin(), c.brokers.end(), [&](const BrokerLine& b) { return b.issuer == issuer; }))
        return at + "it is of the broker " + issuer + ", which no NetPayBroker names: coins of the others need that broker's own certificate for this vendor, as in its list";
    if (handoff != c.vendor + std::string(handoff_path))
        return at + "it sends other vendors to " + handoff + " for hand-overs, but this server answers at " + c.vendor + std::string(handoff_path);
    return {};
}

bool same_vendor(const ServerConfig& a, const ServerConfig& b) {
    const auto issuers = [](const ServerConfig& c) {
        std::vector<std::string> out;
        for (const auto& x : c.brokers) out.push_back(x.issuer);
        return out;
    };
    return a.vendor == b.vendor && a.key.kind == b.key.kind && a.key.value == b.key.value && issuers(a) == issuers(b) &&
           a.secret.kind == b.secret.kind && a.secret.value == b.secret.value && a.wallet_secret.kind == b.wallet_secret.kind &&
           a.wallet_secret.value == b.wallet_secret.value;
}

bool check_server(server_rec* s, std::map<std::string, const ServerConfig*>& tills) {
    const auto& c = server_config(s);
    const std::string at = c.vendor_place.str() + ": NetPayVendor " + c.vendor + ": ";
    const auto refuse = [&](const std::string& why) {
        complain(s, at + why);
        return false;
    };
    if (const auto why = faults(c); !why.empty()) return refuse(why);
    if (c.key.kind == SecretSource::Kind::file) {
        const auto key = vendor_key(c);
        if (!key) return refuse(key.error().detail);
        if (const auto why = certificate_faults(c, **key); !why.empty()) return refuse(why);
    }
    if (s->limit_req_fieldsize < least_field_bytes)
        return refuse("LimitRequestFieldSize " + std::to_string(s->limit_req_fieldsize) + " leaves no room for a payment: at least " + std::to_string(least_field_bytes) + " is needed");
    if (const auto text = certificate_warning(c); !text.empty()) warn(s, at + text);
    const auto [it, first] = tills.emplace(c.till_directory, &c);
    if (!first && !same_vendor(c, *it->second))
        return refuse("NetPayTill " + c.till_directory + " is also the till of " + it->second->vendor_place.str() + " with another vendor, key, secret or broker: give each its own directory");
    // The broker leaves a coin with the vendor, not with a till: in two of them it would be spent twice.
    for (const auto& [directory, other] : tills)
        if (other->vendor == c.vendor && directory != c.till_directory)
            return refuse("NetPayTill " + c.till_directory + " is a second till: at " + other->vendor_place.str() + " this vendor has " + directory + "; name one and the same, or every coin could be spent in both");
    return true;
}

// --- making ready ---

bool first_pass() { return ap_state_query(AP_SQ_MAIN_STATE) == AP_SQ_MS_CREATE_PRE_CONFIG; }

bool make_parents(const std::string& path) {
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1))
        if (::mkdir(path.substr(0, at).c_str(), 0755) != 0 && errno != EEXIST) return false;
    return true;
}

// The till's directory: made for the User the children run as, and his alone.
std::string make_directory(std::string path) {
    while (path.size() > 1 && path.back() == '/') path.pop_back();
    const bool root = ::geteuid() == 0;
    const uid_t user = root ? ap_unixd_config.user_id : ::geteuid();
    const gid_t group = root ? ap_unixd_config.group_id : ::getegid();
    struct stat st {};
    if (::lstat(path.c_str(), &st) != 0) {
        if (errno != ENOENT || !make_parents(path) || ::mkdir(path.c_str(), 0700) != 0)
            return "NetPayTill " + path + ": " + std::strerror(errno);
        if (root && ::lchown(path.c_str(), user, group) != 0) return "NetPayTill " + path + ": " + std::strerror(errno);
        return {};
    }
    if (!S_ISDIR(st.st_mode)) return "NetPayTill " + path + " is not a directory";
    if (st.st_uid != user) return "NetPayTill " + path + " does not belong to the User this server runs as: chown it";
    if (st.st_mode & 077) return "NetPayTill " + path + " is open to others: chmod 700 it";
    return {};
}

// The keys of what is sealed for readers: what the operator says, else the
// vendor's key, which all hosts of the vendor share as well.
Result<bool> read_wallet_keys(Vendor& v, const ServerConfig& c, const SigningKey& key) {
    const auto add = [&](const Secret& secret) { v.wallet_keys.emplace_back(as_view(Hmac(secret).mac("netpay/wallet/1"))); };
    if (c.wallet_secret.kind == SecretSource::Kind::none) {
        add(key.to_pem());
        return true;
    }
    for (const auto* source : {&c.wallet_secret, &c.older_wallet_secret}) {
        if (source->kind == SecretSource::Kind::none) continue;
        const auto secret = read_secret(*source);
        if (!secret) return Error{secret.error().code, "NetPayWalletSecret: " + secret.error().detail};
        add(*secret);
    }
    return true;
}

Result<bool> fill(Vendor& v, const ServerConfig& c) {
    auto key = vendor_key(c);
    if (!key) return key.error();
    if (const auto why = certificate_faults(c, **key); !why.empty()) return {Code::mismatch, why};
    auto secret = read_secret(c.secret);
    if (!secret) return Error{secret.error().code, "NetPayChallengeSecret: " + secret.error().detail};
    v.secrets = std::make_unique<ChallengeSecrets>(ChallengeSecrets{Hmac(*secret), std::nullopt});
    if (c.older_secret.kind != SecretSource::Kind::none) {
        auto older = read_secret(c.older_secret);
        if (!older) return Error{older.error().code, "NetPayChallengeSecret: " + older.error().detail};
        v.secrets->previous.emplace(*older);
    }
    if (const auto read = read_wallet_keys(v, c, **key); !read) return read;
    // Copies of two vendors in one memcached never pass for each other's; the
    // hosts of one vendor share its key and so its copies.
    const Secret pem = (*key)->to_pem();
    v.cache_key = Secret(as_view(Hmac(pem).mac("netpay/cache/1")));
    v.origin = c.vendor;
    v.key = std::move(*key);
    for (const auto& b : c.brokers) {
        v.issuers.push_back(b.issuer);
        v.brokers.push_back({b.issuer, b.keys, b.ca});
    }
    v.connect_timeout_ms = c.connect_timeout_ms.value_or(v.connect_timeout_ms);
    v.call_timeout_ms = c.call_timeout_ms.value_or(v.call_timeout_ms);
    v.certificate = certificate_of(c);
    v.unconfirmed_pages = c.unconfirmed_pages.value_or(v.unconfirmed_pages);
    v.private_peers = c.private_peers.value_or(v.private_peers);
    v.till.directory = c.till_directory;
    v.till.slots = c.till_slots;
    v.till.sync = c.sync;
    v.cache.servers = c.memcached;
    v.cache.vendor = c.vendor;
    v.cache.timeout_ms = c.memcached_timeout_ms.value_or(v.cache.timeout_ms);
    v.cache.prefix = c.memcached_prefix.value_or(v.cache.prefix);
    return true;
}

bool prepare_vendor(apr_pool_t* pconf, server_rec* s, std::map<std::string, Vendor*>& made) {
    auto& c = server_config(s);
    if (c.vendor.empty()) return true;
    auto*& v = made[c.till_directory];
    if (!v) {
        v = pool_new<Vendor>(pconf);
        v->server = s;
        const auto filled = fill(*v, c);
        const std::string why = filled ? make_directory(c.till_directory) : filled.error().detail;
        if (!why.empty()) {
            complain(s, c.vendor_place.str() + ": NetPayVendor " + c.vendor + ": " + why);
            return false;
        }
        vendors->push_back(v);
    }
    c.resolved = v;
    c.framing_policy = framing_policy(pconf, s);
    c.programs_for_pages = programs_for_pages(s);
    return true;
}

apr_status_t stop_counters(void*) {
    if (!vendors) return APR_SUCCESS;
    // prefork ends its children inside the handler of SIGTERM; the threaded
    // MPMs have joined their workers by now.
    int threaded = AP_MPMQ_NOT_SUPPORTED;
    ap_mpm_query(AP_MPMQ_IS_THREADED, &threaded);
    for (auto* v : *vendors)
        if (v->counter) v->counter->ask_to_stop();
    for (auto* v : *vendors) {
        if (!v->counter) continue;
        guarded(nullptr, 0, [&] {
            v->counter->stop(threaded == AP_MPMQ_NOT_SUPPORTED);
            return 0;
        });
    }
    return APR_SUCCESS;
}

}  // namespace

std::vector<VendorGauges> vendor_gauges() {
    std::vector<VendorGauges> out;
    if (!vendors) return out;
    for (const auto* v : *vendors) {
        if (!v->counter) continue;
        const auto& desk = v->counter->desk();
        const auto h = desk.keeper.health();
        // Counted in the till, whichever process took the coins over.
        const auto unreported = static_cast<std::uint32_t>(desk.till.unreported(most_unreported).size());
        out.push_back({v->origin, unreported, h.skew_s, h.clock_good, h.vendors_known,
                       h.list_fetched ? apr_time_sec(apr_time_now()) - h.list_fetched : -1});
    }
    return out;
}

bool trusted_proxy_configured() { return trusted_proxy; }

int check_configuration(apr_pool_t*, apr_pool_t*, apr_pool_t*, server_rec* main) {
    return guarded(nullptr, HTTP_INTERNAL_SERVER_ERROR, [&]() -> int {
        bool good = check_tree();
        std::map<std::string, const ServerConfig*> tills;
        std::set<std::string> seen;  // one message for a vendor that several hosts inherit
        const ServerConfig* orphan = nullptr;
        for (server_rec* s = main; s; s = s->next) {
            const auto& c = server_config(s);
            if (c.vendor.empty()) {
                if (c.first_place.file && !orphan) orphan = &c;
                continue;
            }
            if (good || seen.insert(c.vendor_place.str()).second) good = check_server(s, tills) && good;
            seen.insert(c.vendor_place.str());
        }
        if (seen.empty() && orphan) {
            complain(main, orphan->first_place.str() + ": NetPayVendor is missing: name this vendor's origin, like https://news.example");
            good = false;
        }
        check_for_readers(main);
        return good ? OK : HTTP_INTERNAL_SERVER_ERROR;
    });
}

int open_logs(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*, server_rec* main) {
    return guarded(nullptr, HTTP_INTERNAL_SERVER_ERROR, [&]() -> int {
        if (first_pass()) return OK;
        std::map<std::string, PayLog*> open;
        for (server_rec* s = main; s; s = s->next) {
            auto& c = server_config(s);
            if (c.log.empty()) continue;
            auto*& log = open[c.log];
            if (!log && !(log = open_payment_log(pconf, s, c.log))) return HTTP_INTERNAL_SERVER_ERROR;
            c.paylog = log;
        }
        return OK;
    });
}

int prepare(apr_pool_t* pconf, apr_pool_t*, apr_pool_t*, server_rec* main) {
    return guarded(nullptr, HTTP_INTERNAL_SERVER_ERROR, [&]() -> int {
        if (first_pass()) return OK;
        if (!make_counters(main)) return HTTP_INTERNAL_SERVER_ERROR;
        vendors = pool_new<std::vector<Vendor*>>(pconf);
        std::map<std::string, Vendor*> made;
        for (server_rec* s = main; s; s = s->next)
            if (!prepare_vendor(pconf, s, made)) return HTTP_INTERNAL_SERVER_ERROR;
        return OK;
    });
}

void start_child(apr_pool_t* pchild, server_rec*) {
    guarded(nullptr, 0, [&] {
        if (!vendors || vendors->empty()) return 0;
        for (auto* v : *vendors) {
            auto opened = open_counter(*v);
            if (opened) v->counter = std::move(*opened).release();
            else ap_log_error(APLOG_MARK, APLOG_ALERT, 0, v->server, "%s sells nothing: %s", v->origin.c_str(), opened.error().detail.c_str());
        }
        // Before the pool's memory goes, while every thread can still end.
        apr_pool_pre_cleanup_register(pchild, nullptr, stop_counters);
        return 0;
    });
}

}  // namespace netpay::glue
