#include "broker/options.h"

#include <arpa/inet.h>

#include <boost/program_options.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <sstream>
#include <thread>

#include "broker/topup/minor.h"
#include "config.h"
#include "core/limits.h"
#include "core/origin.h"

namespace netpay::broker {
namespace {

namespace po = boost::program_options;
using Strings = std::vector<std::string>;

constexpr char default_config[] = NETPAY_SYSCONFDIR "/netpay/broker.conf";

// Where a value stands, for messages: "FILE:LINE" or "-o".
struct Given {
    std::string place, value;
};
using GivenByKey = std::map<std::string, std::vector<Given>>;

Error wrong(const std::string& place, const std::string& what) { return {Code::malformed, place + ": " + what}; }

struct Key {
    const char* name;
    bool repeatable;
    const char* help;
};

// Every key of the configuration, in the order of the manual.
constexpr Key all_keys[] = {
    {"issuer", false, "this broker's origin, e.g. https://broker.example"},
    {"listen", true, "HOST:PORT, [IPV6]:PORT or unix:/PATH; repeatable"},
    {"tls-certificate", false, "PEM chain for the TCP listeners"},
    {"tls-key", false, "PEM key of that certificate"},
    {"metrics-listen", false, "where GET /metrics is answered (loopback or unix)"},
    {"store", false, "the database file"},
    {"keys", false, "the directory of signing keys"},
    {"currency", true, "u + ISO 4217 code; repeatable (uusd)"},
    {"denomination", true, "UNIT:N, micro-units a payword and paywords; repeatable"},
    {"coin-days", false, "days a coin may be accepted (365)"},
    {"lease", false, "seconds of a custody (86400)"},
    {"certificate-days", false, "days of a vendor certificate (90)"},
    {"allow-http-vendors", false, "yes: http origins on loopback may register (no)"},
    {"private-vendors", false, "yes: vendors at private addresses are called for returned coins (no)"},
    {"log", false, "- for standard error, or a file (-)"},
    {"site", false, "no: no pages for people, the API alone (yes)"},
    {"card-key", false, "file with the secret key for the card provider's API"},
    {"card-webhook-secret", false, "file with the secret that the provider signs its events with"},
    {"card-amount", true, "AMOUNT or AMOUNT:CURRENCY that may be paid in by card, e.g. 10.00:uusd; repeatable"},
    {"card-api", false, "origin of the card provider's API (https://api.stripe.com)"},
    {"threads", false, "worker threads (one a core, at least 4)"},
    {"queue", false, "calls that wait for a worker (16 a thread)"},
    {"max-connections", false, "connections at a time (1024)"},
    {"trusted-proxy", true, "peer address whose X-Forwarded-For is believed; repeatable"},
    {"header-timeout", false, "seconds for a request's header (10)"},
    {"idle-timeout", false, "seconds between requests (30)"},
    {"body-rate", false, "slowest body that is waited for, bytes a second (1024)"},
    {"stop-timeout", false, "seconds for requests under way at a stop (10)"},
    {"rate-scale", false, "multiplies every rate limit but those of rate=; 0: none (1)"},
    {"rate", true, "METHOD PATH:PER_SECOND:BURST, one route's limit; repeatable"},
};

po::options_description key_descriptions() {
    po::options_description d;
    for (const auto& k : all_keys) d.add_options()(k.name, po::value<Strings>()->composing(), k.help);
    return d;
}

std::string nearest_key(const std::string& name);

std::string trim(const std::string& s) {
    const auto b = s.find_first_not_of(" \t\r");
    if (b == std::string::npos) return {};
    return s.substr(b, s.find_last_not_of(" \t\r") - b + 1);
}

// One line of configuration, parsed by itself so that its number is known.
Result<bool> read_line(const std::string& line, const std::string& place, GivenByKey& out) {
    const std::string text = trim(line.substr(0, line.find('#')));
    if (text.empty()) return true;
    if (text.front() == '[') return wrong(place, "sections are not used; write KEY=VALUE lines only");
    const auto eq = text.find('=');
    if (eq == std::string::npos) return wrong(place, "expected KEY=VALUE, found: " + text.substr(0, 60));
    const std::string key = trim(text.substr(0, eq));
    try {
        std::istringstream in(text);
        const auto parsed = po::parse_config_file(in, key_descriptions(), false);
        for (const auto& o : parsed.options)
            for (const auto& v : o.value) {
                if (trim(v).empty()) return wrong(place, key + " has no value");
                out[o.string_key].push_back({place, trim(v)});
            }
    } catch (const po::unknown_option&) {
        const auto near = nearest_key(key);
        return wrong(place, "unknown key \"" + key + "\"" + (near.empty() ? "" : "; did you mean \"" + near + "\"?") +
                                " --help lists all keys");
    } catch (const po::error& e) {
        return wrong(place, e.what());
    }
    return true;
}

std::size_t edit_distance(const std::string& a, const std::string& b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1])});
            diagonal = above;
        }
    }
    return row[b.size()];
}

std::string nearest_key(const std::string& name) {
    std::string best;
    std::size_t least = 4;  // further away is another word
    for (const auto& k : all_keys) {
        const auto d = name.size() > 64 ? least : edit_distance(name, k.name);
        if (d < least) {
            least = d;
            best = k.name;
        }
    }
    return best;
}

// Reads and checks the values of one configuration; keeps the first error.
class Reader {
public:
    explicit Reader(const GivenByKey& given) : given_(given) {}

    const Given* last(const char* key) const {
        const auto i = given_.find(key);
        return i == given_.end() ? nullptr : &i->second.back();
    }
    const std::vector<Given>& all(const char* key) const {
        static const std::vector<Given> none;
        const auto i = given_.find(key);
        return i == given_.end() ? none : i->second;
    }
    void fail(const Given& g, const std::string& what) {
        if (!error_) error_ = wrong(g.place, what);
    }
    void fail(const std::string& what) {
        if (!error_) error_ = Error{Code::malformed, what};
    }
    void text(const char* key, std::string& out) const {
        if (const auto* g = last(key)) out = g->value;
    }
    template <class Int>
    void number(const char* key, Int& out, std::uint64_t least, std::uint64_t most, const char* unit) {
        const auto* g = last(key);
        if (!g) return;
        const auto n = whole(g->value);
        if (!n || *n < least || *n > most)
            return fail(*g, std::string(key) + " is a whole number of " + unit + " from " + std::to_string(least) +
                                " to " + std::to_string(most) + ", not \"" + g->value + "\"");
        out = static_cast<Int>(*n);
    }
    void yes_no(const char* key, bool& out) {
        const auto* g = last(key);
        if (!g) return;
        if (g->value != "yes" && g->value != "no")
            return fail(*g, std::string(key) + " is yes or no, not \"" + g->value + "\"");
        out = g->value == "yes";
    }
    const std::optional<Error>& error() const { return error_; }

    static std::optional<std::uint64_t> whole(const std::string& s) {
        if (s.empty() || s.size() > 15 || s.find_first_not_of("0123456789") != std::string::npos) return std::nullopt;
        return std::stoull(s);
    }
    static std::optional<double> decimal(const std::string& s) {
        std::istringstream in(s);
        in.imbue(std::locale::classic());
        double d = 0;
        if (!(in >> d) || !in.eof() || !std::isfinite(d) || d < 0 || d > 1e9) return std::nullopt;
        return d;
    }

private:
    const GivenByKey& given_;
    std::optional<Error> error_;
};

bool is_address(const std::string& text) {
    std::array<unsigned char, 16> a;
    return inet_pton(AF_INET, text.c_str(), a.data()) == 1 || inet_pton(AF_INET6, text.c_str(), a.data()) == 1;
}

void read_issuer(Reader& r, Options& o) {
    const auto* g = r.last("issuer");
    if (!g) return r.fail("issuer is missing; it is this broker's origin, e.g. issuer=https://broker.example");
    o.issuer = g->value;
    if (is_origin(o.issuer)) return;
    const auto origin = origin_of(o.issuer);
    r.fail(*g, "issuer is an origin: https:// (http:// on loopback), lower-case host, a port only if it is not the "
               "default, no path; not \"" + o.issuer + "\"" + (origin.empty() ? "" : "; write issuer=" + origin));
}

void read_listeners(Reader& r, Options& o) {
    for (const auto& g : r.all("listen")) {
        const auto e = parse_endpoint(g.value);
        if (!e) return r.fail(g, "listen: " + e.error().detail);
        o.listen.push_back(*e);
    }
    if (o.listen.empty()) r.fail("listen is missing; e.g. listen=127.0.0.1:8090 or listen=unix:/run/netpay/broker.sock");
    if (const auto* g = r.last("metrics-listen")) {
        const auto e = parse_endpoint(g->value);
        if (!e) return r.fail(*g, "metrics-listen: " + e.error().detail);
        if (!e->is_loopback())
            return r.fail(*g, "metrics-listen is plain HTTP and takes a loopback address or unix:/PATH, not " + e->str());
        o.metrics_listen = *e;
    }
    for (const auto& g : r.all("trusted-proxy")) {
        if (!is_address(g.value)) return r.fail(g, "trusted-proxy is an IP address, not \"" + g.value + "\"");
        o.trusted_proxies.push_back(g.value);
    }
}

void read_money(Reader& r, Options& o) {
    for (const auto& g : r.all("currency")) {
        const auto c = Currency::parse(g.value);
        if (!c) return r.fail(g, "currency is u and a lower-case ISO 4217 code like uusd, not \"" + g.value + "\"");
        if (std::find(o.currencies.begin(), o.currencies.end(), *c) == o.currencies.end()) o.currencies.push_back(*c);
    }
    if (o.currencies.empty()) o.currencies.push_back(*Currency::parse("uusd"));
    for (const auto& g : r.all("denomination")) {
        const auto colon = g.value.find(':');
        const auto unit = Reader::whole(g.value.substr(0, colon));
        const auto n = Reader::whole(colon == std::string::npos ? "" : g.value.substr(colon + 1));
        const auto amount = unit ? Amount::from(*unit) : std::nullopt;
        if (!amount || !n || *unit < 1 || *n < 1 || *n > limits::max_chain || !amount->times(*n))
            return r.fail(g, "denomination is UNIT:N, micro-units a payword (1 or more) and paywords (1 to 1048576), "
                             "e.g. 1000:10000; not \"" + g.value + "\"");
        const Denomination d{*amount, static_cast<std::uint32_t>(*n)};
        if (std::find(o.denominations.begin(), o.denominations.end(), d) == o.denominations.end())
            o.denominations.push_back(d);
    }
    if (!o.denominations.empty()) return;
    // A dollar, ten and a hundred in tenths of a cent; ten in cents; one in
    // hundredths of a cent; ten in hundredths of a cent.
    for (const auto& [unit, n] : std::initializer_list<std::pair<std::uint64_t, std::uint32_t>>{
             {1000, 1000}, {1000, 10000}, {1000, 100000}, {10000, 1000}, {100, 10000}, {100, 100000}})
        o.denominations.push_back({*Amount::from(unit), n});
}

std::string configured(const Options& o) {
    std::string list;
    for (const auto& c : o.currencies) list.append(list.empty() ? "" : ", ").append(c.str());
    return list;
}

void read_card_amounts(Reader& r, Options& o) {
    for (const auto& g : r.all("card-amount")) {
        const auto colon = g.value.find(':');
        const auto amount = parse_decimal(g.value.substr(0, colon));
        if (!amount || amount->micro() == 0)
            return r.fail(g, "card-amount is AMOUNT or AMOUNT:CURRENCY, in whole currency units, e.g. 10.00:uusd; not \"" +
                                 g.value + "\"");
        const auto currency =
            colon == std::string::npos ? std::optional(o.currencies.front()) : Currency::parse(g.value.substr(colon + 1));
        if (!currency || std::find(o.currencies.begin(), o.currencies.end(), *currency) == o.currencies.end())
            return r.fail(g, "card-amount is in one of this broker's currencies (" + configured(o) + "); not \"" + g.value + "\"");
        if (!topup::to_minor(*amount, *currency))
            return r.fail(g, "card-amount is a whole number of the smallest coins of " + currency->iso() + ", not \"" + g.value +
                                 "\"");
        const CardAmount a{*amount, *currency};
        if (std::find(o.card_amounts.begin(), o.card_amounts.end(), a) == o.card_amounts.end()) o.card_amounts.push_back(a);
    }
}

void read_cards(Reader& r, Options& o) {
    r.text("card-key", o.card_key);
    r.text("card-webhook-secret", o.card_webhook_secret);
    r.text("card-api", o.card_api);
    read_card_amounts(r, o);
    const auto* api = r.last("card-api");
    if (api && (!is_origin(o.card_api) || (!o.card_api.starts_with("https://") && !is_loopback(o.card_api))))
        return r.fail(*api, "card-api is an origin: https://, or http:// on loopback, without a path; not \"" + o.card_api + "\"");
}

void read_rates(Reader& r, Options& o) {
    if (const auto* g = r.last("rate-scale")) {
        const auto d = Reader::decimal(g->value);
        if (!d) return r.fail(*g, "rate-scale is a decimal number of 0 or more, not \"" + g->value + "\"");
        o.rate_scale = *d;
    }
    for (const auto& g : r.all("rate")) {
        const auto second = g.value.rfind(':');
        const auto first = second == std::string::npos || second == 0 ? std::string::npos : g.value.rfind(':', second - 1);
        const auto rate = first == std::string::npos ? std::nullopt
                                                     : Reader::decimal(g.value.substr(first + 1, second - first - 1));
        const auto burst = first == std::string::npos ? std::nullopt : Reader::decimal(g.value.substr(second + 1));
        if (!rate || !burst || *burst < 1)
            return r.fail(g, "rate is \"METHOD PATH:PER_SECOND:BURST\" with a burst of 1 or more, e.g. "
                             "POST /api/v1/accounts:0.5:10; not \"" + g.value + "\"");
        o.rate_overrides.push_back({g.value.substr(0, first), *rate, *burst});
    }
}

void read_server(Reader& r, Options& o) {
    r.number("threads", o.threads, 1, 256, "threads");
    r.number("queue", o.queue, 1, 65536, "calls");
    r.number("max-connections", o.max_connections, 1, 60000, "connections");
    r.number("header-timeout", o.header_timeout_s, 1, 600, "seconds");
    r.number("idle-timeout", o.idle_timeout_s, 1, 3600, "seconds");
    r.number("body-rate", o.body_bytes_per_second, 1, 1000000, "bytes a second");
    r.number("stop-timeout", o.stop_timeout_s, 0, 600, "seconds");
    if (o.threads == 0) o.threads = std::max(4u, std::thread::hardware_concurrency());
    if (o.queue == 0) o.queue = o.threads * 16;
}

void read_files(Reader& r, Options& o) {
    r.text("tls-certificate", o.tls_certificate);
    r.text("tls-key", o.tls_key);
    r.text("store", o.store);
    r.text("keys", o.keys);
    r.text("log", o.log);
    if (o.store.empty()) r.fail("store is missing; e.g. store=/var/lib/netpay-broker/broker.db");
    if (o.keys.empty()) r.fail("keys is missing; e.g. keys=/var/lib/netpay-broker/keys");
}

// Cards are taken with all that they need, or not at all.
void check_cards(Reader& r, const Options& o) {
    for (const auto& [given, needed] : std::initializer_list<std::pair<const char*, const char*>>{
             {"card-key", "card-webhook-secret"}, {"card-webhook-secret", "card-key"}, {"card-key", "card-amount"},
             {"card-amount", "card-key"}, {"card-api", "card-key"}})
        if (r.last(given) && !r.last(needed))
            return r.fail(*r.last(given), std::string(given) + " without " + needed +
                                              "; cards need card-key, card-webhook-secret and card-amount");
    if (o.cards() && !o.site) r.fail(*r.last("card-key"), "card-key with site=no; cards are taken on the site alone");
}

// What must hold between keys.
void cross_check(Reader& r, const Options& o) {
    if (o.tls_certificate.empty() != o.tls_key.empty()) {
        const char* there = o.tls_key.empty() ? "tls-certificate" : "tls-key";
        const char* missing = o.tls_key.empty() ? "tls-key" : "tls-certificate";
        return r.fail(*r.last(there), std::string(there) + " without " + missing + "; TLS needs both");
    }
    const bool https = o.issuer.starts_with("https://");
    if (!https && !is_loopback(o.issuer))
        return r.fail(*r.last("issuer"), "issuer is http:// on a host that is not loopback; other parties only believe "
                                         "an https:// broker");
    if (!https && o.tls())
        return r.fail(*r.last("issuer"), "issuer is http:// but tls-certificate is set; write https://");
    for (std::size_t i = 0; i < o.listen.size(); ++i) {
        if (o.tls() || o.listen[i].is_loopback()) continue;
        return r.fail(r.all("listen")[i], "listen on " + o.listen[i].str() +
                                              " needs tls-certificate and tls-key; plain HTTP is for loopback "
                                              "addresses and unix:/PATH only");
    }
}

Result<Options> options_from(const GivenByKey& given, const std::string& name) {
    for (const auto& k : all_keys) {
        const auto i = given.find(k.name);
        if (k.repeatable || i == given.end()) continue;
        // -o comes last and replaces; twice in the file is a mistake.
        const auto& places = i->second;
        for (std::size_t n = 1; n < places.size(); ++n)
            if (places[n].place != "-o")
                return wrong(places[n].place, std::string(k.name) + " was already given at " + places[0].place);
    }
    Options o;
    Reader r(given);
    read_issuer(r, o);
    read_listeners(r, o);
    read_files(r, o);
    read_money(r, o);
    r.number("coin-days", o.coin_days, 1, 3650, "days");
    r.number("lease", o.lease_s, 60, limits::longest_lease_s, "seconds");
    r.number("certificate-days", o.certificate_days, 1, 3650, "days");
    r.yes_no("allow-http-vendors", o.allow_http_vendors);
    r.yes_no("private-vendors", o.private_vendors);
    r.yes_no("site", o.site);
    read_cards(r, o);
    read_server(r, o);
    read_rates(r, o);
    if (!r.error()) check_cards(r, o);
    if (!r.error()) cross_check(r, o);
    if (!r.error()) return o;
    Error e = *r.error();
    // What is missing has no line.
    if (e.detail.find(" is missing;") != std::string::npos) e.detail = name + ": " + e.detail;
    return e;
}

Result<bool> read_config(const std::string& text, const std::string& name, GivenByKey& out) {
    std::istringstream in(text);
    std::string line;
    for (int number = 1; std::getline(in, line); ++number) {
        const auto ok = read_line(line, name + ":" + std::to_string(number), out);
        if (!ok) return ok.error();
    }
    return true;
}

Result<bool> read_overrides(const Strings& pairs, GivenByKey& out) {
    GivenByKey given;
    for (const auto& p : pairs) {
        const auto ok = read_line(p, "-o", given);
        if (!ok) return ok.error();
    }
    for (auto& [key, values] : given) out[key] = std::move(values);  // in place of the file's
    return true;
}

// ---- command line ----

struct Command {
    const char* words;    // "voucher mint"
    const char* operand;  // null: none
    Strings flags;
    const char* help;
};

const std::vector<Command>& commands() {
    static const std::vector<Command> all{
        {"serve", nullptr, {}, "serve in the foreground (also without a command)"},
        {"init", nullptr, {"json"}, "make the store and the first signing key where they are missing"},
        {"migrate", nullptr, {"json"}, "bring the store to this program's schema"},
        {"check", nullptr, {"json"}, "prove the ledger: exit 0 if every invariant holds, else 1"},
        {"voucher mint", nullptr, {"amount", "currency", "count", "expires", "json"}, "mint vouchers, one code a line"},
        {"voucher list", nullptr, {"json"}, "vouchers by number; codes are not kept"},
        {"vendor list", nullptr, {"json"}, "vendors, their state and what they are owed"},
        {"vendor approve", "ORIGIN", {"kid", "revoke", "json"}, "approve a registration, after checking who controls the origin"},
        {"vendor suspend", "ORIGIN", {"json"}, "suspend a vendor: no new custody; it may redeem what it holds"},
        {"vendor certificate", "ORIGIN", {"json"}, "print a vendor's certificate"},
        {"vendor payout", "ORIGIN", {"currency", "force", "json"}, "book that a vendor was paid what is payable"},
        {"fraud list", nullptr, {"json"}, "proofs of fraud against vendors"},
        {"evidence", "COIN", {}, "print a coin's chain of custody with every signature, as JSON"},
        {"keys list", nullptr, {"json"}, "signing keys and their states"},
        {"keys add", nullptr, {"json"}, "make the next key and list it"},
        {"keys activate", "KID", {"force", "json"}, "sign with a listed key from now on"},
        {"keys retire", "KID", {"force", "json"}, "take a key out of the set"},
    };
    return all;
}

po::options_description general_options() {
    po::options_description d("Options");
    d.add_options()
        ("config,c", po::value<std::string>()->default_value(default_config), "the configuration file")
        ("option,o", po::value<Strings>()->composing(), "KEY=VALUE in place of the file's; repeatable")
        ("help,h", "this text")
        ("version,V", "the version");
    return d;
}

po::options_description command_options() {
    po::options_description d("Options of commands");
    d.add_options()
        ("json", "JSON instead of text")
        ("force", "keys activate, keys retire: although it is too early; vendor payout: although it was proven a fraud")
        ("kid", po::value<std::string>(), "vendor approve: the vendor's key, where several were registered, it is a new "
                                          "one, or the vendor was proven a fraud")
        ("revoke", "vendor approve: the vendor's other keys count no more, because one leaked")
        ("amount", po::value<std::string>(), "voucher mint: value of each, e.g. 100.00")
        ("currency", po::value<std::string>(), "voucher mint: e.g. uusd (the first configured); vendor payout: only this")
        ("count", po::value<std::string>(), "voucher mint: how many (1)")
        ("expires", po::value<std::string>(), "voucher mint: days until they expire (365)");
    return d;
}

const Command* find_command(const Strings& words) {
    for (const auto& c : commands()) {
        std::istringstream in(c.words);
        Strings wanted{std::istream_iterator<std::string>(in), {}};
        if (words.size() >= wanted.size() && std::equal(wanted.begin(), wanted.end(), words.begin())) return &c;
    }
    return nullptr;
}

std::string join(const Strings& words) {
    std::string out;
    for (const auto& w : words) out.append(out.empty() ? "" : " ").append(w);
    return out;
}

Result<bool> check_command(Invocation& inv) {
    if (inv.command.empty()) inv.command = {"serve"};
    const auto* c = find_command(inv.command);
    if (!c)
        return Error{Code::malformed, "unknown command \"" + join(inv.command) + "\"; --help lists the commands"};
    const auto words = static_cast<std::size_t>(std::count(c->words, c->words + std::char_traits<char>::length(c->words), ' ')) + 1;
    const std::size_t operands = inv.command.size() - words;
    if (c->operand && operands == 0) return Error{Code::malformed, std::string(c->words) + " needs " + c->operand};
    if (operands > (c->operand ? 1u : 0u))
        return Error{Code::malformed, std::string(c->words) + " does not take \"" + inv.command.back() + "\""};
    for (const auto& [flag, value] : inv.flags)
        if (std::find(c->flags.begin(), c->flags.end(), flag) == c->flags.end())
            return Error{Code::malformed, "--" + flag + " is not an option of \"" + c->words + "\""};
    return true;
}

Result<std::string> read_text(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream text;
    if (!in || !(text << in.rdbuf()))
        return {Code::malformed, "cannot read the configuration " + path + "; --config FILE names another"};
    return text.str();
}

Result<Invocation> invocation_from(const po::variables_map& vm) {
    Invocation inv;
    if (vm.count("help")) inv.kind = Invocation::Kind::help;
    else if (vm.count("version")) inv.kind = Invocation::Kind::version;
    if (inv.kind != Invocation::Kind::run) return inv;
    inv.config = vm["config"].as<std::string>();
    if (vm.count("command")) inv.command = vm["command"].as<Strings>();
    for (const char* flag : {"amount", "currency", "count", "expires", "kid"})
        if (vm.count(flag)) inv.flags[flag] = vm[flag].as<std::string>();
    for (const char* flag : {"json", "force", "revoke"})
        if (vm.count(flag)) inv.flags[flag] = "yes";
    const auto known = check_command(inv);
    if (!known) return known.error();
    const auto text = read_text(inv.config);
    if (!text) return text.error();
    GivenByKey given;
    auto ok = read_config(*text, inv.config, given);
    if (ok && vm.count("option")) ok = read_overrides(vm["option"].as<Strings>(), given);
    if (!ok) return ok.error();
    auto options = options_from(given, inv.config);
    if (!options) return options.error();
    inv.options = std::move(*options);
    return inv;
}

}  // namespace

bool Endpoint::is_loopback() const {
    return is_unix() || netpay::is_loopback("http://" + (host.find(':') == std::string::npos ? host : "[" + host + "]"));
}

std::string Endpoint::str() const {
    if (is_unix()) return "unix:" + path;
    return (host.find(':') == std::string::npos ? host : "[" + host + "]") + ":" + std::to_string(port);
}

Result<Endpoint> parse_endpoint(std::string_view text) {
    const Error bad{Code::malformed, "an address is HOST:PORT with an IP address or localhost, [IPV6]:PORT or "
                                     "unix:/PATH, not \"" + std::string(text) + "\""};
    Endpoint e;
    if (text.starts_with("unix:")) {
        e.path = text.substr(5);
        if (!e.path.starts_with('/') || e.path.size() < 2) return bad;
        return e;
    }
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos) return bad;
    std::string host(text.substr(0, colon));
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    else if (host.find(':') != std::string::npos) return bad;
    if (host == "localhost") host = "127.0.0.1";
    const auto port = Reader::whole(std::string(text.substr(colon + 1)));
    if (!is_address(host) || !port || *port > 65535) return bad;
    e.host = std::move(host);
    e.port = static_cast<std::uint16_t>(*port);
    return e;
}

Result<Options> parse_config(const std::string& text, const std::string& name) {
    GivenByKey given;
    const auto ok = read_config(text, name, given);
    if (!ok) return ok.error();
    return options_from(given, name);
}

namespace {

// A coin's name may begin with a hyphen, and is no option all the same.
Strings words_of(int argc, const char* const* argv) {
    constexpr std::size_t coin_characters = 22;
    Strings words(argv + std::min(argc, 1), argv + argc);
    const auto evidence = std::find(words.begin(), words.end(), "evidence");
    if (evidence == words.end() || evidence + 1 == words.end()) return words;
    const auto coin = *(evidence + 1);
    if (coin.size() != coin_characters || coin.front() != '-') return words;
    words.erase(evidence + 1);
    words.insert(words.end(), {"--", coin});
    return words;
}

}  // namespace

Result<Invocation> parse_invocation(int argc, const char* const* argv) {
    try {
        po::options_description hidden;
        hidden.add_options()("command", po::value<Strings>());
        po::options_description all;
        all.add(general_options()).add(command_options()).add(hidden);
        po::positional_options_description words;
        words.add("command", -1);
        // Abbreviations are off: a new option must not change what an old script means.
        using namespace po::command_line_style;
        const int style = unix_style & ~allow_guessing;
        po::variables_map vm;
        po::store(po::command_line_parser(words_of(argc, argv)).options(all).positional(words).style(style).run(), vm);
        return invocation_from(vm);
    } catch (const po::error& e) {
        return {Code::malformed, std::string(e.what()) + "; see --help"};
    }
}

std::string help_text() {
    std::ostringstream out;
    out << "netpay-brokerd sells e-coins, signs touchstones and redeems claims.\n\n"
           "Usage: netpay-brokerd [--config FILE] [-o KEY=VALUE]... [COMMAND]\n\nCommands:\n";
    const auto line = [&out](std::string left, const char* help) {
        left.resize(std::max<std::size_t>(left.size() + 2, 30), ' ');
        out << left << help << '\n';
    };
    for (const auto& c : commands())
        line(std::string("  ") + c.words + (c.operand ? std::string(" ") + c.operand : ""), c.help);
    out << '\n' << general_options() << '\n' << command_options()
        << "\nConfiguration keys, one KEY=VALUE a line of the file, or with -o:\n";
    for (const auto& k : all_keys) line(std::string("  ") + k.name + "=", k.help);
    out << "\nExit codes: 0 done; 1 failed, or the ledger does not hold; 2 wrong usage or configuration.\n";
    return out.str();
}

std::string version_text() { return std::string("netpay-brokerd ") + PACKAGE_VERSION + "\n"; }

}  // namespace netpay::broker
