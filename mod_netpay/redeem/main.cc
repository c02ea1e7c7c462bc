// netpay-redeem: redeems at the broker what a vendor's till has sold.
// See redeemer.h for how, and netpay-redeem(1) for the manual.
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <iostream>
#include <memory>
#include <optional>

#include "config.h"
#include "core/json.h"
#include "core/origin.h"
#include "world/curl_transport.h"
#include "mod_netpay/custody/lock.h"
#include "mod_netpay/redeem/options.h"
#include "mod_netpay/redeem/redeemer.h"

namespace netpay::redeem {
namespace {

enum Exit { ok = 0, some_rejected = 1, usage_error = 2, try_again = 3, permanent = 4 };

// The broker's largest answer names 4000 rejected claims of 90 bytes each.
constexpr std::size_t answer_bytes = 4u << 20;
constexpr std::uint32_t connect_timeout_ms = 5000;
constexpr std::size_t key_file_bytes = 65536;

int fail(int code, const std::string& why) {
    std::cerr << "netpay-redeem: " << why << "\n";
    return code;
}

struct TerminalLog : custody::Log {
    void write(Level level, const std::string& text) override {
        if (level != Level::info) std::cerr << "netpay-redeem: " << text << "\n";
    }
};

// The till belongs to the user httpd runs as. Files that root left in it
// would stop the server, so root becomes that user.
Result<bool> become_owner(const std::string& directory) {
    struct stat s {};
    if (stat(directory.c_str(), &s) != 0) return {Code::malformed, directory + ": " + std::strerror(errno)};
    if (!S_ISDIR(s.st_mode)) return {Code::malformed, directory + ": not a directory"};
    if (geteuid() == s.st_uid) return true;
    if (geteuid() != 0) {
        std::cerr << "netpay-redeem: warning: " << directory << " belongs to user " << s.st_uid
                  << "; run this as that user\n";
        return true;
    }
    if (setgroups(0, nullptr) != 0 || setgid(s.st_gid) != 0 || setuid(s.st_uid) != 0)
        return {Code::malformed, "cannot become the till's owner: " + std::string(std::strerror(errno))};
    return true;
}

// A mistyped directory must not become a new till with nothing to redeem.
Result<bool> is_till(const std::string& directory) {
    for (const char* file : {"/vendor.json", "/coins.mdb"})
        if (access((directory + file).c_str(), F_OK) == 0) return true;
    return {Code::malformed, directory + " is not a till: httpd makes one when it starts, where NetPayTill says"};
}

// What the server wrote down about itself, where the command line does not say it.
Result<bool> fill_in(CommandLine& c) {
    if (!c.vendor.empty() && !c.brokers.empty()) return true;
    const auto path = c.till + "/vendor.json";
    const auto text = custody::system_disk().read(path, 65536);
    if (!text) return {Code::malformed, text.error().detail + "; name --vendor and --broker"};
    const auto doc = json::Document::parse(*text);
    const auto vendor = doc ? doc->root().string("vendor") : std::nullopt;
    const auto* brokers = doc ? doc->root().array("brokers") : nullptr;
    if (!vendor || !brokers) return {Code::malformed, path + ": no \"vendor\" or no \"brokers\" in it"};
    if (c.vendor.empty()) c.vendor = *vendor;
    if (!c.brokers.empty()) return true;
    for (const auto& b : *brokers)
        if (const auto issuer = b.as_string()) c.brokers.emplace_back(*issuer);
    return true;
}

Result<bool> check(const CommandLine& c) {
    if (!is_origin(c.vendor)) return {Code::malformed, "vendor \"" + c.vendor + "\" is no origin such as https://news.example"};
    if (c.brokers.empty()) return {Code::malformed, "no broker is named"};
    for (const auto& b : c.brokers) {
        if (!is_origin(b)) return {Code::malformed, "broker \"" + b + "\" is no origin such as https://broker.example"};
        if (b.starts_with("http:") && !is_loopback(b))
            return {Code::malformed, "broker " + b + ": plain http is for loopback addresses only, use https"};
    }
    if (!c.broker_keys.empty() && c.brokers.size() != 1)
        return {Code::malformed, "--broker-keys goes with exactly one broker"};
    return true;
}

Result<std::shared_ptr<const SigningKey>> read_key(const CommandLine& c) {
    if (c.key.empty()) return std::shared_ptr<const SigningKey>();
    auto text = custody::system_disk().read(c.key, key_file_bytes);
    if (!text) return text.error();
    const Secret pem{std::string_view(*text)};
    cleanse(text->data(), text->size());
    auto key = SigningKey::from_pem(pem);
    if (!key) return {Code::malformed, c.key + ": " + key.error().detail + " in PEM"};
    return std::make_shared<const SigningKey>(std::move(*key));
}

std::string money(const std::map<Currency, Amount>& sums) {
    std::string out;
    for (const auto& [cur, amount] : sums) out += (out.empty() ? "" : ", ") + amount.pretty(cur);
    return out.empty() ? "nothing" : out;
}

void print_text(const Report& r, bool dry_run) {
    if (dry_run) {
        std::cout << "would claim " << r.units << " units of " << r.claims << " coins in " << r.batches
                  << " batches, worth " << money(r.credited) << "; " << r.pending << " batches wait in the outbox\n";
    } else {
        std::cout << r.batches << " batches, " << r.claims << " claims, " << r.units << " units: credited "
                  << money(r.credited) << ", " << r.rejected_claims() << " claims rejected\n";
        for (const auto& [reason, count] : r.rejected) std::cout << "rejected as " << reason << ": " << count << "\n";
        for (const auto& x : r.rejections)
            std::cout << "  coin " << x.coin << ", units " << x.from + 1 << " to " << x.to << ": " << x.reason
                      << (x.standing.empty() ? "" : " (here the coin is: " + x.standing + ")") << "\n";
        if (r.rejected.contains("not-held"))
            std::cout << "not-held: the broker knows no custody of this vendor for these units. The claims stay on its\n"
                         "file as disputes; a loss by another vendor's false index is paid without another claim.\n";
        if (r.pending) std::cout << r.pending << " batches wait in the outbox\n";
    }
    if (r.unconfirmed)
        std::cout << r.unconfirmed << " coins have units that wait until the broker has confirmed their custody\n";
    if (r.foreign) std::cout << r.foreign << " coins are of brokers not configured here and were passed over\n";
}

void print_json(const Report& r, bool dry_run) {
    json::Object credited, reasons;
    for (const auto& [cur, amount] : r.credited) credited.set(cur.str(), amount.micro());
    for (const auto& [reason, count] : r.rejected) reasons.set(reason, count);
    std::vector<json::Object> rejections;
    for (const auto& x : r.rejections)
        rejections.push_back(json::Object().set("batch", x.batch).set("coin", x.coin).set("from", std::uint64_t{x.from})
                                 .set("reason", x.reason).set("standing", x.standing).set("to", std::uint64_t{x.to}));
    std::cout << json::Object()
                     .set("accepted", r.accepted)
                     .set("batches", r.batches)
                     .set("claims", r.claims)
                     .set("credited", credited)
                     .set("dry_run", dry_run)
                     .set("errors", r.permanent)
                     .set("exit", static_cast<std::uint64_t>(r.exit_code()))
                     .set("foreign", r.foreign)
                     .set("pending", r.pending)
                     .set("rejected", r.rejected_claims())
                     .set("rejected_by_reason", reasons)
                     .set("rejections", rejections)
                     .set("temporary", r.temporary)
                     .set("unconfirmed", r.unconfirmed)
                     .set("units", r.units)
                     .jcs()
              << "\n";
}

int run(int argc, const char* const* argv) {
    auto parsed = read_command_line(argc, argv);
    if (!parsed) return fail(usage_error, parsed.error().detail + " (netpay-redeem --help)");
    CommandLine& c = *parsed;
    if (c.help) { std::cout << usage(); return ok; }
    if (c.version) { std::cout << "netpay-redeem " PACKAGE_VERSION "\n"; return ok; }
    const auto key = read_key(c);  // before root's rights are given up
    if (!key) return fail(usage_error, key.error().detail);
    for (const auto& step : {become_owner(c.till), is_till(c.till), fill_in(c), check(c)})
        if (!step) return fail(usage_error, step.error().detail);

    std::optional<custody::ByteLock> alone;
    if (!c.dry_run) {
        auto lock = custody::ByteLock::take(c.till + "/redeem.lock", 0, std::chrono::milliseconds(0));
        if (!lock && lock.error().code == Code::limit)
            return fail(try_again, "another netpay-redeem is at work on " + c.till);
        if (!lock) return fail(usage_error, lock.error().detail);
        alone.emplace(std::move(*lock));
    }
    till::Options till_options;
    till_options.directory = c.till;
    const auto till = till::Till::open(till_options);
    if (!till) return fail(try_again, "the till: " + till.error().detail);

    Settings s{c.vendor, *key, {}, c.till, c.max_claims, c.min_units, c.dry_run};
    for (const auto& b : c.brokers) s.brokers.push_back({b, c.broker_keys});
    const auto clock = custody::make_system_clock();
    TerminalLog log;
    world::CurlTransport transport({connect_timeout_ms, c.timeout_s * 1000, answer_bytes}, c.ca);
    Redeemer redeemer(std::move(s), **till, transport,
                      {*clock, transport, log, custody::system_random(), custody::system_disk()});
    const bool terminal = isatty(STDERR_FILENO) && !c.json;
    const auto report = redeemer.run([terminal](const std::string& line) {
        if (terminal) std::cerr << "\r\033[K" << line << std::flush;
    });
    if (terminal && report.batches) std::cerr << "\r\033[K";
    c.json ? print_json(report, c.dry_run) : print_text(report, c.dry_run);
    for (const auto& t : report.temporary) fail(0, t + " (run it again)");
    for (const auto& p : report.permanent) fail(0, p);
    std::cout.flush();
    return std::cout ? report.exit_code() : fail(permanent, "the summary could not be written");
}

}  // namespace
}  // namespace netpay::redeem

int main(int argc, char** argv) {
    try {
        return netpay::redeem::run(argc, argv);
    } catch (const std::exception& e) {  // bad_alloc
        std::cerr << "netpay-redeem: " << e.what() << "\n";
        return 3;
    }
}
