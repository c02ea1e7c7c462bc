// netpay-audit: the command line, and what it prints.
#include <unistd.h>

#include <boost/program_options.hpp>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <sstream>

#include "audit/audit.h"
#include "config.h"
#include "core/json.h"

namespace po = boost::program_options;
using namespace netpay;
using audit::Counts;
using audit::Fault;

namespace {

// Documented in netpay-audit(8), EXIT STATUS.
constexpr int clean = 0, faulty = 1, no_verdict = 2;

struct CommandLine {
    std::string store, keys;
    std::vector<std::string> tills;
    bool json = false, progress = false, quiet = false, help = false, version = false;
};

po::options_description options(CommandLine& c) {
    po::options_description d("Options");
    d.add_options()
        ("store", po::value(&c.store)->value_name("FILE"), "the broker's store, broker.db")
        ("keys", po::value(&c.keys)->value_name("PATH"),
         "the broker's public keys: a JWK set as its jwks_uri gives it, or its key directory; default: keys beside the store")
        ("till", po::value(&c.tills)->value_name("DIR"), "a vendor's till, repeatable: it is compared with the store")
        ("json", po::bool_switch(&c.json), "print the findings as one JSON object")
        ("progress", po::bool_switch(&c.progress), "show how far it is on standard error; on a terminal that is the default")
        ("quiet,q", po::bool_switch(&c.quiet), "print faults and nothing else, and show no progress")
        ("help,h", po::bool_switch(&c.help), "print this and exit")
        ("version", po::bool_switch(&c.version), "print the version and exit");
    return d;
}

int usage_error(const std::string& what) {
    std::fprintf(stderr, "netpay-audit: %s; see: netpay-audit --help\n", what.c_str());
    return no_verdict;
}

// Names in the store come from others: no control character reaches a terminal.
std::string printable(std::string_view text) {
    std::string out;
    for (const char c : text) out += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
    return out;
}

std::string thousands(std::uint64_t n) {
    auto s = std::to_string(n);
    for (auto at = static_cast<std::ptrdiff_t>(s.size()) - 3; at > 0; at -= 3) s.insert(static_cast<std::size_t>(at), ",");
    return s;
}

std::string money(std::int64_t micro, const Currency& cur) {
    const auto amount = Amount::from(static_cast<std::uint64_t>(micro < 0 ? -micro : micro)).value_or(Amount());
    return (micro < 0 ? "-" : "") + amount.pretty(cur);
}

json::Object as_json(const Fault& f) {
    json::Object o;
    o.set("code", f.code).set("coin", f.coin).set("subject", f.subject).set("amount", f.amount).set("currency", f.currency);
    return o.set("sentence", f.sentence);
}

// Speed and progress are measured by the monotonic clock; nothing is judged by it.
class Meter {
public:
    explicit Meter(bool show) : show_(show) {}

    void at(const char* stage, std::uint64_t done, std::uint64_t all, const Counts& counts) {
        if (!show_) return;
        const auto now = seconds();
        if (now - shown_ < 0.5) return;
        shown_ = now;
        std::fprintf(stderr, "\r\033[K%s %s%s%s, %s signatures/s, %s faults", stage, thousands(done).c_str(), all ? " of " : "",
                     all ? thousands(all).c_str() : "", thousands(rate(counts)).c_str(), thousands(counts.faults).c_str());
        std::fflush(stderr);
        dirty_ = true;
    }
    void clear() {
        if (dirty_) std::fputs("\r\033[K", stderr);
        dirty_ = false;
    }
    double seconds() const { return std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count(); }
    std::uint64_t rate(const Counts& counts) const { return static_cast<std::uint64_t>(static_cast<double>(counts.signatures) / std::max(seconds(), 1e-3)); }

private:
    const bool show_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
    double shown_ = -1;
    bool dirty_ = false;
};

// Prints findings as they come: their number costs no memory. In JSON the
// object begins with them and ends with the sums.
class Printer final : public audit::Listener {
public:
    Printer(const CommandLine& c, Meter& meter) : c_(c), meter_(meter) {
        if (c_.json) std::fputs("{\"findings\":[", stdout);
    }

    void fault(const Fault& f) override { print("fault", f); }
    void note(const Fault& n) override {
        if (!c_.quiet) print("note", n);
    }
    void progress(const char* stage, std::uint64_t done, std::uint64_t all, const Counts& counts) override {
        meter_.at(stage, done, all, counts);
    }

    void close(const Result<audit::Summary>& s) {
        meter_.clear();
        if (c_.json) close_json(s);
        else if (s && !c_.quiet) close_text(*s);
    }

private:
    void print(const char* what, const Fault& f) {
        meter_.clear();
        if (c_.json) {
            std::printf("%s%s", printed_ ? ",\n" : "\n", as_json(f).set("kind", what).jcs().c_str());
        } else {
            std::printf("%s %s", what, f.code.c_str());
            if (!f.coin.empty()) std::printf(" coin %s", printable(f.coin).c_str());
            else if (!f.subject.empty()) std::printf(" %s", printable(f.subject).c_str());
            const auto cur = Currency::parse(f.currency);
            const auto amount = Amount::from(f.amount);
            if (cur && amount) std::printf(" %s", amount->pretty(*cur).c_str());
            std::printf(": %s\n", printable(f.sentence).c_str());
        }
        printed_ = true;
    }

    static json::Object counts_json(const Counts& n) {
        json::Object o;
        o.set("coins", n.coins).set("epochs", n.epochs).set("indices", n.indices).set("credits", n.credits).set("batches", n.batches);
        o.set("movements", n.movements).set("entries", n.entries).set("vouchers", n.vouchers).set("certificates", n.certificates);
        o.set("till_coins", n.till_coins).set("signatures", n.signatures).set("hashes", n.hashes).set("notes", n.notes);
        return o.set("faults", n.faults);
    }

    // As decimal strings: what does not add up may be below zero.
    static json::Object money_json(const audit::Money& m) {
        json::Object o;
        const std::pair<const char*, std::int64_t> members[] = {
            {"in", m.in},     {"vouchers", m.vouchers}, {"customers", m.customers}, {"coins", m.coins},       {"vendors", m.vendors},
            {"owed", m.owed}, {"paid", m.paid},         {"sold", m.sold},           {"credited", m.credited}, {"refunded", m.refunded},
            {"lost", m.lost}};
        for (const auto& [name, value] : members) o.set(name, std::to_string(value));
        return o;
    }

    void close_json(const Result<audit::Summary>& s) {
        json::Object rest;
        if (s) {
            json::Object money;
            for (const auto& [cur, m] : s->money) money.set(cur.str(), money_json(m));
            rest.set("verdict", s->clean() ? "clean" : "faults").set("broker", s->broker).set("counts", counts_json(s->counts));
            rest.set("money", money).set("seconds", static_cast<std::uint64_t>(meter_.seconds())).set("signatures_per_second", meter_.rate(s->counts));
        } else {
            rest.set("verdict", "none").set("error", s.error().detail);
        }
        std::printf("\n],%s\n", rest.jcs().c_str() + 1);
    }

    void close_text(const audit::Summary& s) {
        const auto& n = s.counts;
        std::printf("%s: %s coins, %s epochs, %s signed indices, %s credited ranges, %s batches, %s movements", s.broker.empty() ? "store" : printable(s.broker).c_str(),
                    thousands(n.coins).c_str(), thousands(n.epochs).c_str(), thousands(n.indices).c_str(), thousands(n.credits).c_str(),
                    thousands(n.batches).c_str(), thousands(n.movements).c_str());
        if (n.till_coins) std::printf(", %s coins in tills", thousands(n.till_coins).c_str());
        std::printf("\n");
        for (const auto& [cur, m] : s.money) {
            std::printf("%s: %s came in = %s in vouchers + %s of customers + %s in coins + %s of vendors", std::string(cur.iso()).c_str(),
                        money(m.in, cur).c_str(), money(m.vouchers, cur).c_str(), money(m.customers, cur).c_str(), money(m.coins, cur).c_str(),
                        money(m.vendors, cur).c_str());
            if (m.owed) std::printf(" - %s owed by vendors", money(m.owed, cur).c_str());
            std::printf(" + %s paid out", money(m.paid, cur).c_str());
            if (m.lost) std::printf(" (and %s lost to cards)", money(m.lost, cur).c_str());
            std::printf("; coins for %s sold = %s unspent + %s credited + %s refunded\n",
                        money(m.sold, cur).c_str(), money(m.coins, cur).c_str(), money(m.credited, cur).c_str(), money(m.refunded, cur).c_str());
        }
        std::printf("%s signatures and %s hashes in %.1f s (%s signatures/s): ", thousands(n.signatures).c_str(), thousands(n.hashes).c_str(),
                    meter_.seconds(), thousands(meter_.rate(n)).c_str());
        if (s.clean()) std::printf("no fault");
        else std::printf("%s fault%s", thousands(n.faults).c_str(), n.faults == 1 ? "" : "s");
        if (n.notes) std::printf(", %s note%s", thousands(n.notes).c_str(), n.notes == 1 ? "" : "s");
        std::printf("\n");
    }

    const CommandLine& c_;
    Meter& meter_;
    bool printed_ = false;
};

int run(const CommandLine& c) {
    if (c.store.empty()) return usage_error("--store is needed");
    const auto slash = c.store.rfind('/');
    const auto beside = (slash == std::string::npos ? std::string() : c.store.substr(0, slash + 1)) + "keys";
    auto keys = audit::read_keys(c.keys.empty() ? beside : c.keys);
    if (!keys) return usage_error(keys.error().detail + (c.keys.empty() ? "; name the broker's public keys with --keys" : ""));
    Meter meter(!c.quiet && (c.progress || isatty(STDERR_FILENO)));
    Printer printer(c, meter);
    const auto summary = audit::run({c.store, std::move(*keys), c.tills, std::time(nullptr)}, printer);
    printer.close(summary);
    if (!summary) {
        std::fprintf(stderr, "netpay-audit: %s\n", summary.error().detail.c_str());
        return no_verdict;
    }
    if (std::fflush(stdout) != 0 || std::ferror(stdout)) {
        std::fprintf(stderr, "netpay-audit: standard output could not be written\n");
        return no_verdict;
    }
    return summary->clean() ? clean : faulty;
}

}  // namespace

// Boost.Program_options reports by exceptions, and memory may run out; both end here.
int main(int argc, char** argv) try {
    CommandLine c;
    auto described = options(c);
    po::variables_map values;
    po::store(po::command_line_parser(argc, argv).options(described).positional(po::positional_options_description()).run(), values);
    po::notify(values);
    if (c.help) {
        std::ostringstream out;
        out << "usage: netpay-audit --store FILE [--keys PATH] [--till DIR]... [--json] [--progress]\n"
               "Verifies a broker's store, and vendors' tills against it, from the signatures up.\n"
               "Reads only; broker and vendors may go on. See netpay-audit(8).\n\n"
            << described << "\nExit status: 0 no fault, 1 faults, 2 no verdict (wrong usage, or something cannot be read).\n";
        std::fputs(out.str().c_str(), stdout);
        return clean;
    }
    if (c.version) return std::printf("netpay-audit %s\n", PACKAGE_VERSION), clean;
    return run(c);
} catch (const po::error& e) {
    return usage_error(e.what());
} catch (const std::exception& e) {
    std::fprintf(stderr, "netpay-audit: %s\n", e.what());
    return no_verdict;
}
