#include "mod_netpay/directives.h"

#include <ap_expr.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <fstream>

#include "core/challenge.h"
#include "core/origin.h"
#include "mod_netpay/excerpt.h"
#include "mod_netpay/text.h"

namespace netpay::glue {
namespace {

// Bounds of operators' numbers, each with its reason.
constexpr std::uint32_t least_life_s = 60, most_life_s = 86400;  // a wallet must have time to answer; a day-old price list is stale
constexpr std::uint32_t most_grace_s = 86400;                    // a replay is a gift: at most for a day
constexpr std::uint32_t most_grace_count = 1000000;              // ranges of a long video
constexpr std::uint32_t most_timeout_ms = 60000;                 // a page waits for it
constexpr std::uint32_t most_unconfirmed = 1000000;              // no limit, as good as
constexpr std::uint32_t least_slots = 64, most_slots = 4194304;  // 512 KiB … 32 GiB of mapped memory
constexpr std::uint32_t most_given_to_programs = 10000;          // they are noted in one record of 16 bytes each
constexpr std::uint32_t standard_excerpt = 300;                  // a paragraph
constexpr std::size_t least_secret_bytes = 16;                   // 128 bits, if they are random

const char* wrong(const cmd_parms* cmd, const std::string& text) {
    return pool_string(cmd->pool, std::string(cmd->cmd->name) + ": " + text);
}

Place place(const cmd_parms* cmd) {
    Place p;
    if (cmd->directive) {
        p.file = cmd->directive->filename;
        p.line = cmd->directive->line_num;
    }
    return p;
}

ServerConfig& server(const cmd_parms* cmd) {
    auto& c = server_config(cmd->server);
    if (!c.first_place.file) c.first_place = place(cmd);
    return c;
}
DirConfig& dir(void* d) { return *static_cast<DirConfig*>(d); }

std::optional<std::uint32_t> number(std::string_view s, std::uint32_t least, std::uint32_t most) {
    std::uint32_t v = 0;
    const auto [end, ec] = std::from_chars(s.data(), s.data() + s.size(), v);
    if (ec != std::errc{} || end != s.data() + s.size() || v < least || v > most) return std::nullopt;
    return v;
}
std::string range(std::uint32_t least, std::uint32_t most) {
    return "a whole number from " + std::to_string(least) + " to " + std::to_string(most);
}

std::string path(const cmd_parms* cmd, std::string_view p) {
    const char* full = ap_server_root_relative(cmd->pool, pool_string(cmd->pool, p));
    return full ? full : std::string(p);
}

// A source whose file is relative to the ServerRoot.
Result<SecretSource> source(const cmd_parms* cmd, std::string_view argument, bool bare_path, bool bare_text) {
    auto s = SecretSource::parse(argument, bare_path, bare_text);
    if (s && s->kind == SecretSource::Kind::file) s->value = path(cmd, s->value);
    return s;
}

// Where httpd itself allows a directive: not inside <Directory> and the like.
const char* server_only(const cmd_parms* cmd) { return ap_check_cmd_context(const_cast<cmd_parms*>(cmd), NOT_IN_DIR_CONTEXT); }

template <class F>
const char* setting(cmd_parms* cmd, F&& f) noexcept {
    return guarded(nullptr, static_cast<const char*>("internal error"), [&]() -> const char* {
        if (const char* context = server_only(cmd)) return context;
        return f(server(cmd));
    });
}

const char* set_vendor(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        if (!is_origin(w) || std::string_view(w).size() > limits::origin_bytes)
            return wrong(cmd, std::string("'") + w + "' is not an origin: write scheme and host in lower case, without path or default port, like https://news.example");
        c.vendor = w;
        c.vendor_place = place(cmd);
        return nullptr;
    });
}

const char* set_key(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        auto s = source(cmd, w, true, false);
        if (!s) return wrong(cmd, s.error().detail);
        if (const auto good = check_secret(*s); !good)
            return wrong(cmd, good.error().detail + ": an Ed25519 private key in PEM is needed, as `openssl genpkey -algorithm ed25519` writes it");
        c.key = std::move(*s);
        return nullptr;
    });
}

const char* set_certificate(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        c.certificate = path(cmd, w);
        if (::access(c.certificate.c_str(), R_OK) != 0)
            return wrong(cmd, c.certificate + " cannot be read: name the file with the certificate the broker gave this vendor");
        return nullptr;
    });
}

const char* add_broker(cmd_parms* cmd, void*, int argc, char* const argv[]) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        if (argc < 1) return wrong(cmd, "the broker's issuer is needed, like NetPayBroker https://broker.example");
        BrokerLine b;
        b.issuer = argv[0];
        if (!is_origin(b.issuer))
            return wrong(cmd, "'" + b.issuer + "' is not an origin: write the broker's issuer, like https://broker.example");
        if (b.issuer.starts_with("http:") && !is_loopback(b.issuer))
            return wrong(cmd, "'" + b.issuer + "' is plain http, which is for brokers on this machine only: use https");
        for (const auto& known : c.brokers)
            if (known.issuer == b.issuer) return wrong(cmd, b.issuer + " is named twice");
        for (int i = 1; i < argc; ++i) {
            const std::string_view option = argv[i];
            std::string* file = option.starts_with("keys=") ? &b.keys : option.starts_with("ca=") ? &b.ca : nullptr;
            if (!file) return wrong(cmd, "'" + std::string(option) + "' is neither keys=/path nor ca=/path");
            *file = path(cmd, option.substr(option.find('=') + 1));
            if (::access(file->c_str(), R_OK) != 0)
                return wrong(cmd, *file + " cannot be read: keys= names a JWK set, ca= a file of certificates in PEM");
        }
        c.brokers.push_back(std::move(b));
        return nullptr;
    });
}

const char* read_server_secret(cmd_parms* cmd, const char* w, SecretSource& into) {
    auto s = source(cmd, w, false, true);
    if (!s) return wrong(cmd, s.error().detail);
    if (s->kind == SecretSource::Kind::text) {
        if (s->text.size() < least_secret_bytes)
            return wrong(cmd, "the secret is shorter than " + std::to_string(least_secret_bytes) + " characters: use 32 random ones");
        const auto here = place(cmd);
        if (here.file && world_readable(here.file))
            return wrong(cmd, "a secret stands in " + std::string(here.file) + ", which every user of this machine can read: chmod 640 that file, or use file:/path or exec:/program");
    } else if (const auto good = check_secret(*s); !good) {
        return wrong(cmd, good.error().detail);
    }
    into = std::move(*s);
    return nullptr;
}

const char* set_secret(cmd_parms* cmd, void*, const char* current, const char* previous) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        if (const char* e = read_server_secret(cmd, current, c.secret)) return e;
        return previous ? read_server_secret(cmd, previous, c.older_secret) : nullptr;
    });
}

const char* set_wallet_secret(cmd_parms* cmd, void*, const char* current, const char* previous) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        if (const char* e = read_server_secret(cmd, current, c.wallet_secret)) return e;
        return previous ? read_server_secret(cmd, previous, c.older_wallet_secret) : nullptr;
    });
}

const char* set_till(cmd_parms* cmd, void*, int argc, char* const argv[]) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        if (argc < 1) return wrong(cmd, "a directory is needed, like NetPayTill /var/lib/netpay/news");
        c.till_directory = path(cmd, argv[0]);
        while (c.till_directory.size() > 1 && c.till_directory.ends_with('/')) c.till_directory.pop_back();
        struct stat st {};
        if (::stat(c.till_directory.c_str(), &st) == 0 && !S_ISDIR(st.st_mode))
            return wrong(cmd, c.till_directory + " is not a directory: name one for this vendor alone; it is made if it is not there");
        for (int i = 1; i < argc; ++i) {
            const std::string_view option = argv[i];
            if (option.starts_with("slots=")) {
                const auto n = number(option.substr(6), least_slots, most_slots);
                if (!n) return wrong(cmd, "slots= wants " + range(least_slots, most_slots));
                c.till_slots = *n;
            } else if (option == "sync=interval") {
                c.sync = till::Sync::interval;
            } else if (option == "sync=always") {
                c.sync = till::Sync::always;
            } else {
                return wrong(cmd, "'" + std::string(option) + "' is none of slots=N, sync=interval, sync=always");
            }
        }
        return nullptr;
    });
}

const char* add_memcached(cmd_parms* cmd, void*, int argc, char* const argv[]) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        if (argc < 1) return wrong(cmd, "a server is needed, like NetPayMemcached 127.0.0.1:11211");
        for (int i = 0; i < argc; ++i) {
            auto parsed = cache::parse_server(argv[i]);
            if (!parsed) return wrong(cmd, parsed.error().detail);
            c.memcached.push_back(std::move(*parsed));
        }
        return nullptr;
    });
}

const char* set_memcached_timeout(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        c.memcached_timeout_ms = number(w, 1, most_timeout_ms);
        return c.memcached_timeout_ms ? nullptr : wrong(cmd, "milliseconds are needed, " + range(1, most_timeout_ms));
    });
}

const char* set_memcached_prefix(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        const std::string_view s = w;
        for (const char ch : s)
            if (ch <= ' ' || ch >= 0x7f) return wrong(cmd, "only printable characters without blanks go into a memcached key");
        if (s.size() > cache::max_prefix) return wrong(cmd, "at most " + std::to_string(cache::max_prefix) + " characters: a memcached key has 250");
        c.memcached_prefix = s;
        return nullptr;
    });
}

const char* set_broker_timeout(cmd_parms* cmd, void*, const char* connect, const char* call) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        c.connect_timeout_ms = number(connect, 1, most_timeout_ms);
        c.call_timeout_ms = number(call, 1, most_timeout_ms);
        if (!c.connect_timeout_ms || !c.call_timeout_ms)
            return wrong(cmd, "two times in milliseconds are needed, to connect and for the whole call, each " + range(1, most_timeout_ms));
        if (*c.connect_timeout_ms > *c.call_timeout_ms) return wrong(cmd, "the whole call cannot be shorter than connecting");
        return nullptr;
    });
}

const char* set_unconfirmed(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        c.unconfirmed_pages = number(w, 0, most_unconfirmed);
        return c.unconfirmed_pages ? nullptr : wrong(cmd, "a number of pages is needed, " + range(0, most_unconfirmed));
    });
}

const char* set_private_peers(cmd_parms* cmd, void*, int on) {
    return setting(cmd, [&](ServerConfig& c) -> const char* { c.private_peers = on != 0; return nullptr; });
}

const char* set_log(cmd_parms* cmd, void*, const char* w) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        c.log = *w == '|' ? std::string(w) : path(cmd, w);
        const auto directory = c.log.substr(0, c.log.rfind('/') + 1);
        if (*w != '|' && ::access(directory.c_str(), W_OK) != 0)
            return wrong(cmd, "there is no directory " + directory + " to write to: name a file in one that is there, or |program");
        return nullptr;
    });
}

const char* set_give_back(cmd_parms* cmd, void*, const char* seconds, const char* per_day, const char* programs) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        GiveBackRules g;
        const auto s = number(seconds, 0, limits::longest_give_back_s);
        if (!s) return wrong(cmd, "seconds are needed, " + range(0, limits::longest_give_back_s));
        const auto n = per_day ? number(per_day, 1, till::Till::most_given_back) : g.per_day;
        if (!n) return wrong(cmd, "the second number is how many pages of a coin in a day, " + range(1, till::Till::most_given_back));
        const auto p = programs ? number(programs, 0, most_given_to_programs) : g.programs;
        if (!p)
            return wrong(cmd, "the third number is how many pages of programs and extensions in a day, of all together, " +
                                  range(0, most_given_to_programs));
        g.within_s = *s;
        g.per_day = *n;
        g.programs = *p;
        c.give_back = g;
        return nullptr;
    });
}

const char* set_framing(cmd_parms* cmd, void*, int argc, char* const argv[]) {
    return setting(cmd, [&](ServerConfig& c) -> const char* {
        Framing f;
        const std::string_view who = argc < 1 ? "" : argv[0];
        f.any = who == "any";
        if ((!f.any && who != "self") || (f.any && argc > 1))
            return wrong(cmd, "write self, and the origins of other sites that may show these pages in frames, or any alone");
        for (int i = 1; i < argc; ++i) {
            if (!is_origin(argv[i])) return wrong(cmd, std::string("'") + argv[i] + "' is not an origin: write scheme and host, like https://www.example");
            f.origins.emplace_back(argv[i]);
        }
        c.framing = std::move(f);
        return nullptr;
    });
}

template <class F>
const char* per_dir(void* d, F&& f) noexcept {
    return guarded(nullptr, static_cast<const char*>("internal error"), [&]() -> const char* {
        return f(dir(d));
    });
}

const char* add_price(cmd_parms* cmd, void* d, int argc, char* const argv[]) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        auto rule = parse_price_rule(std::vector<std::string>(argv, argv + argc));
        if (!rule) return wrong(cmd, rule.error().detail);
        if (!c.prices) c.prices = pool_new<std::vector<PriceRule>>(cmd->pool);
        c.prices->push_back(std::move(*rule));
        c.priced = true;
        c.price_place = place(cmd);
        return nullptr;
    });
}

const char* set_price_expr(cmd_parms* cmd, void* d, const char* expr, const char* currency) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        const auto cur = parse_currency(currency ? currency : "usd");
        if (!cur) return wrong(cmd, std::string("'") + currency + "' is not a currency: write an ISO 4217 code like usd or eur");
        const char* error = nullptr;
        c.price_expr = ap_expr_parse_cmd(cmd, expr, AP_EXPR_FLAG_STRING_RESULT, &error, nullptr);
        if (error) return wrong(cmd, std::string("the expression cannot be parsed: ") + error);
        c.price_expr_currency = *cur;
        c.priced = true;
        c.price_place = place(cmd);
        return nullptr;
    });
}

const char* set_intents(cmd_parms* cmd, void* d, int argc, char* const argv[]) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        std::vector<std::string_view> out;
        for (int i = 0; i < argc; ++i) {
            const std::string_view w = argv[i];
            const std::string_view intent = w == intent_session ? intent_session : w == intent_charge ? intent_charge : "";
            if (intent.empty()) return wrong(cmd, "'" + std::string(w) + "' is not an intent: write session, charge or both");
            for (const auto known : out)
                if (known == intent) return wrong(cmd, std::string(w) + " is named twice");
            out.push_back(intent);
        }
        if (out.empty()) return wrong(cmd, "write session, charge or both");
        c.intents = pool_new<std::vector<std::string_view>>(cmd->pool, std::move(out));
        return nullptr;
    });
}

const char* set_life(cmd_parms* cmd, void* d, const char* w) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        c.life_s = number(w, least_life_s, most_life_s);
        return c.life_s ? nullptr : wrong(cmd, "seconds are needed, " + range(least_life_s, most_life_s));
    });
}

const char* set_grace(cmd_parms* cmd, void* d, const char* seconds, const char* count) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        c.grace_s = number(seconds, 0, most_grace_s);
        if (!c.grace_s) return wrong(cmd, "seconds are needed, " + range(0, most_grace_s));
        c.grace_count = number(count, 0, most_grace_count);
        return c.grace_count ? nullptr : wrong(cmd, "the second number is how often, " + range(0, most_grace_count));
    });
}

const char* set_max_hop(cmd_parms* cmd, void* d, const char* w) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        c.max_hop = number(w, 1, limits::max_chain);
        return c.max_hop ? nullptr : wrong(cmd, "a number of units is needed, " + range(1, limits::max_chain));
    });
}

const char* set_require_tls(cmd_parms*, void* d, int on) {
    return per_dir(d, [&](DirConfig& c) -> const char* { c.require_tls = on != 0; return nullptr; });
}

const char* set_dry_run(cmd_parms*, void* d, int on) {
    return per_dir(d, [&](DirConfig& c) -> const char* { c.dry_run = on != 0; return nullptr; });
}

const char* set_header(cmd_parms* cmd, void* d, const char* w) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        if (equal_nocase(w, "Authorization")) c.own_field = false;
        else if (equal_nocase(w, payment_header)) c.own_field = true;
        else return wrong(cmd, std::string("'") + w + "' is neither Authorization nor Payment-Authorization");
        return nullptr;
    });
}

// A string for readers. Who may write .htaccess may not have files of the server read.
const char* set_text(cmd_parms* cmd, const char* w, const ap_expr_info_t*& into) {
    const bool htaccess = ap_check_cmd_context(cmd, NOT_IN_HTACCESS) != nullptr;
    const char* error = nullptr;
    into = ap_expr_parse_cmd(cmd, w, AP_EXPR_FLAG_STRING_RESULT | (htaccess ? AP_EXPR_FLAG_RESTRICTED : 0u), &error, nullptr);
    return error ? wrong(cmd, std::string("the expression cannot be parsed: ") + error) : nullptr;
}

const char* set_title(cmd_parms* cmd, void* d, const char* w) {
    return per_dir(d, [&](DirConfig& c) { return set_text(cmd, w, c.title); });
}

const char* set_teaser(cmd_parms* cmd, void* d, const char* w) {
    return per_dir(d, [&](DirConfig& c) { return set_text(cmd, w, c.teaser); });
}

const char* set_teaser_from(cmd_parms* cmd, void* d, const char* source, const char* characters) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        const bool file = equal_nocase(source, "file");
        if (!file && !equal_nocase(source, "page") && !equal_nocase(source, "none"))
            return wrong(cmd, std::string("'") + source + "' is none of none, file [CHARACTERS], page");
        if (characters && !file) return wrong(cmd, "a number of characters goes with file only");
        const auto most = static_cast<std::uint32_t>(teaser_characters);
        const auto n = characters ? number(characters, 1, most) : standard_excerpt;
        if (!n) return wrong(cmd, "a number of characters is needed, " + range(1, most));
        c.teaser_from = file ? TeaserFrom::file : equal_nocase(source, "page") ? TeaserFrom::page : TeaserFrom::none;
        c.teaser_characters = *n;
        return nullptr;
    });
}

const char* set_paywall(cmd_parms* cmd, void* d, const char* w) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        const std::string file = path(cmd, w);
        std::ifstream in(file, std::ios::binary);
        const std::string text{std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
        if (!in.is_open() || in.bad()) return wrong(cmd, file + " cannot be read: name a file of HTML with placeholders like {{title}} and {{pay}}");
        auto parsed = Template::parse(text);
        if (!parsed) return wrong(cmd, file + ": " + parsed.error().detail);
        c.paywall = pool_new<Template>(cmd->pool, std::move(*parsed));
        return nullptr;
    });
}

const char* set_wallets(cmd_parms* cmd, void* d, int argc, char* const argv[]) {
    return per_dir(d, [&](DirConfig& c) -> const char* {
        WalletKinds kinds{false, false};
        bool none = false;
        for (int i = 0; i < argc; ++i) {
            const std::string_view w = argv[i];
            if (w != "server" && w != "cookie" && w != "none") return wrong(cmd, "'" + std::string(w) + "' is none of server, cookie, none");
            bool& said = w == "server" ? kinds.server : w == "cookie" ? kinds.cookie : none;
            if (said) return wrong(cmd, std::string(w) + " is named twice");
            said = true;
        }
        if (argc < 1 || none == kinds.any()) return wrong(cmd, "write server, cookie or both, or none alone");
        c.wallets = kinds;
        return nullptr;
    });
}

constexpr int here = RSRC_CONF;                  // server and virtual host
constexpr int dirs = ACCESS_CONF | RSRC_CONF | OR_AUTHCFG;   // sections, and .htaccess under AllowOverride AuthConfig
constexpr int guarded_dirs = ACCESS_CONF | RSRC_CONF;  // sections, but never .htaccess


// In C++ httpd takes every handler as a function without arguments.
template <class F>
cmd_func handler(F f) { return reinterpret_cast<cmd_func>(reinterpret_cast<void (*)()>(f)); }

template <class T>
const T& pick(const T& add, const T& base, bool set) { return set ? add : base; }

}  // namespace

const command_rec directive_table[] = {
    {"NetPayVendor", handler(set_vendor), nullptr, here, TAKE1, "this vendor's origin, like https://news.example"},
    {"NetPayVendorKey", handler(set_key), nullptr, here, TAKE1, "the vendor's Ed25519 private key (PEM): file:/path, /path or exec:/program"},
    {"NetPayVendorCertificate", handler(set_certificate), nullptr, here, TAKE1, "file with the certificate the broker gave this vendor"},
    {"NetPayBroker", handler(add_broker), nullptr, here, TAKE_ARGV, "a broker whose coins are taken: ISSUER [keys=/path/jwks.json] [ca=/path.pem]; repeatable"},
    {"NetPayChallengeSecret", handler(set_secret), nullptr, here, TAKE12, "the secret of challenge ids, and the one before it: file:/path, exec:/program or the secret itself"},
    {"NetPayWalletSecret", handler(set_wallet_secret), nullptr, here, TAKE12, "the secret that readers' e-wallets are sealed with, and the one before it: file:/path, exec:/program or the secret itself"},
    {"NetPayTill", handler(set_till), nullptr, here, TAKE_ARGV, "directory of the durable till: DIR [slots=N] [sync=interval|always]"},
    {"NetPayMemcached", handler(add_memcached), nullptr, here, TAKE_ARGV, "memcached servers: host[:port][*weight] or unix:/path[*weight]; repeatable"},
    {"NetPayMemcachedTimeout", handler(set_memcached_timeout), nullptr, here, TAKE1, "longest wait for memcached, in milliseconds"},
    {"NetPayMemcachedPrefix", handler(set_memcached_prefix), nullptr, here, TAKE1, "what the keys in memcached begin with"},
    {"NetPayBrokerTimeout", handler(set_broker_timeout), nullptr, here, TAKE2, "longest time to connect to a broker or another vendor, and for a whole call, in milliseconds"},
    {"NetPayUnconfirmed", handler(set_unconfirmed), nullptr, here, TAKE1, "pages sold of a coin taken over from another vendor before the broker confirms it; 0: none"},
    {"NetPayPrivatePeers", handler(set_private_peers), nullptr, here, FLAG, "on: other vendors may have addresses in private networks"},
    {"NetPayGiveBack", handler(set_give_back), nullptr, here, TAKE123, "how long, in seconds, readers may give a page back that they opened by mistake; [pages of a coin in a day [of all programs and extensions in a day]]"},
    {"NetPayFraming", handler(set_framing), nullptr, here, TAKE_ARGV, "who may show pages of this server in frames: self [ORIGIN ...], or any"},
    {"NetPayLog", handler(set_log), nullptr, here, TAKE1, "payment log, one JSON object a line: a file, or |program"},
    {"NetPayPrice", handler(add_price), nullptr, dirs, TAKE_ARGV, "the price: AMOUNT CUR [methods=GET,POST] [type=text/html], or free; repeatable"},
    {"NetPayPriceExpr", handler(set_price_expr), nullptr, dirs, TAKE12, "the price as an expression giving an amount, an amount and a currency, or free; [CUR]"},
    {"NetPayIntents", handler(set_intents), nullptr, dirs, TAKE_ARGV, "the challenges offered, in order: session, charge or both"},
    {"NetPayChallengeLife", handler(set_life), nullptr, dirs, TAKE1, "how long a challenge is good, in seconds"},
    {"NetPayGrace", handler(set_grace), nullptr, dirs, TAKE2, "how long, in seconds, and how often a paid page is served again free"},
    {"NetPayMaxHop", handler(set_max_hop), nullptr, dirs, TAKE1, "the farthest a payword may lie from the last one, in units"},
    {"NetPayTitle", handler(set_title), nullptr, dirs, TAKE1, "what the paywall says the page is: an expression giving a string"},
    {"NetPayTeaser", handler(set_teaser), nullptr, dirs, TAKE1, "what the paywall tells of the page: an expression giving a string"},
    {"NetPayTeaserFrom", handler(set_teaser_from), nullptr, dirs, TAKE12, "where title and teaser come from: none, file [CHARACTERS] or page"},
    {"NetPayPaywall", handler(set_paywall), nullptr, guarded_dirs, TAKE1, "file of the paywall page: HTML with placeholders"},
    {"NetPayWallets", handler(set_wallets), nullptr, dirs, TAKE_ARGV, "the e-wallets that browsers are offered: server, cookie or both; or none"},
    {"NetPayCredentialHeader", handler(set_header), nullptr, dirs, TAKE1, "the field the credential comes in: Authorization or Payment-Authorization"},
    {"NetPayRequireTLS", handler(set_require_tls), nullptr, guarded_dirs, FLAG, "whether payments are refused over plain HTTP from other machines"},
    {"NetPayDryRun", handler(set_dry_run), nullptr, guarded_dirs, FLAG, "on: nobody pays, everyone is let in, and the log says what would have been charged"},
    {nullptr, nullptr, nullptr, 0, RAW_ARGS, nullptr},
};

void* create_server_config(apr_pool_t* pool, server_rec*) { return pool_new<ServerConfig>(pool); }

void* merge_server_config(apr_pool_t* pool, void* base, void* add) {
    const auto& b = *static_cast<ServerConfig*>(base);
    const auto& a = *static_cast<ServerConfig*>(add);
    auto* c = pool_new<ServerConfig>(pool);
    c->vendor = pick(a.vendor, b.vendor, !a.vendor.empty());
    c->vendor_place = pick(a.vendor_place, b.vendor_place, !a.vendor.empty());
    c->key = (a.key.kind != SecretSource::Kind::none ? a : b).key.clone();
    c->certificate = pick(a.certificate, b.certificate, !a.certificate.empty());
    c->brokers = pick(a.brokers, b.brokers, !a.brokers.empty());
    const bool own_secret = a.secret.kind != SecretSource::Kind::none;
    c->secret = (own_secret ? a : b).secret.clone();
    c->older_secret = (own_secret ? a : b).older_secret.clone();
    const bool own_wallet_secret = a.wallet_secret.kind != SecretSource::Kind::none;
    c->wallet_secret = (own_wallet_secret ? a : b).wallet_secret.clone();
    c->older_wallet_secret = (own_wallet_secret ? a : b).older_wallet_secret.clone();
    const bool own_till = !a.till_directory.empty();
    c->till_directory = pick(a.till_directory, b.till_directory, own_till);
    c->till_slots = pick(a.till_slots, b.till_slots, own_till);
    c->sync = pick(a.sync, b.sync, own_till);
    c->memcached = pick(a.memcached, b.memcached, !a.memcached.empty());
    c->memcached_timeout_ms = pick(a.memcached_timeout_ms, b.memcached_timeout_ms, a.memcached_timeout_ms.has_value());
    c->memcached_prefix = pick(a.memcached_prefix, b.memcached_prefix, a.memcached_prefix.has_value());
    c->connect_timeout_ms = pick(a.connect_timeout_ms, b.connect_timeout_ms, a.connect_timeout_ms.has_value());
    c->call_timeout_ms = pick(a.call_timeout_ms, b.call_timeout_ms, a.call_timeout_ms.has_value());
    c->unconfirmed_pages = pick(a.unconfirmed_pages, b.unconfirmed_pages, a.unconfirmed_pages.has_value());
    c->private_peers = pick(a.private_peers, b.private_peers, a.private_peers.has_value());
    c->give_back = pick(a.give_back, b.give_back, a.give_back.has_value());
    c->framing = pick(a.framing, b.framing, a.framing.has_value());
    c->log = pick(a.log, b.log, !a.log.empty());
    c->first_place = pick(a.first_place, b.first_place, a.first_place.file != nullptr);
    return c;
}

void* create_dir_config(apr_pool_t* pool, char*) { return pool_new<DirConfig>(pool); }

void* merge_dir_config(apr_pool_t* pool, void* base, void* add) {
    const auto& b = *static_cast<DirConfig*>(base);
    const auto& a = *static_cast<DirConfig*>(add);
    auto* c = pool_new<DirConfig>(pool);
    const auto& price = a.priced ? a : b;  // a section's prices replace those above it, all together
    c->prices = price.prices;
    c->price_expr = price.price_expr;
    c->price_expr_currency = price.price_expr_currency;
    c->priced = price.priced;
    c->price_place = price.price_place;
    c->intents = pick(a.intents, b.intents, a.intents != nullptr);
    c->life_s = pick(a.life_s, b.life_s, a.life_s.has_value());
    c->grace_s = pick(a.grace_s, b.grace_s, a.grace_s.has_value());
    c->grace_count = pick(a.grace_count, b.grace_count, a.grace_count.has_value());
    c->max_hop = pick(a.max_hop, b.max_hop, a.max_hop.has_value());
    c->require_tls = pick(a.require_tls, b.require_tls, a.require_tls.has_value());
    c->dry_run = pick(a.dry_run, b.dry_run, a.dry_run.has_value());
    c->own_field = pick(a.own_field, b.own_field, a.own_field.has_value());
    c->title = pick(a.title, b.title, a.title != nullptr);
    c->teaser = pick(a.teaser, b.teaser, a.teaser != nullptr);
    c->teaser_from = pick(a.teaser_from, b.teaser_from, a.teaser_from.has_value());
    c->teaser_characters = pick(a.teaser_characters, b.teaser_characters, a.teaser_from.has_value());
    c->paywall = pick(a.paywall, b.paywall, a.paywall != nullptr);
    c->wallets = pick(a.wallets, b.wallets, a.wallets.has_value());
    return c;
}

}  // namespace netpay::glue
