// netpay-brokerd: serves, and carries out the operator's commands on the same
// store while another process serves from it.
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iostream>
#include <mutex>
#include <thread>

#include "broker/api/api.h"
#include "broker/api/operator.h"
#include "broker/custody/handoff.h"
#include "broker/http/server.h"
#include "broker/topup/card.h"
#include "broker/web/keys.h"
#include "core/timestamp.h"

namespace netpay::broker {
namespace {

constexpr int exit_failed = 1, exit_usage = 2;
constexpr std::int64_t day_s = 86400;

// A retired key stays listed while a coin it signed can be accepted, and 90
// days more for its claims (PROTOCOL.md section 8).
std::int64_t coin_life_s(const Options& o) { return (o.coin_days + 90) * day_s; }

int fail(const Error& e) {
    std::cerr << "netpay-brokerd: " << e.detail << '\n';
    return exit_failed;
}

// ---- what every command stands on ----

struct World {
    const Invocation& invocation;
    SystemClock clock;
    SystemRandom random;
    Metrics metrics;
    std::unique_ptr<Log> log;
    std::unique_ptr<KeyStore> keys;
    std::unique_ptr<Store> store;
    std::unique_ptr<web::WebKeys> web;  // of a daemon that has pages for people
    std::unique_ptr<Context> context;

    const Options& options() const { return invocation.options; }
    bool json() const { return invocation.flags.contains("json"); }
    bool force() const { return invocation.flags.contains("force"); }
    const std::string& operand() const { return invocation.command.back(); }
    std::string flag(const char* name, std::string_view otherwise) const {
        const auto i = invocation.flags.find(name);
        return i == invocation.flags.end() ? std::string(otherwise) : i->second;
    }
};

// An operator's command run by root must not leave files in the store's
// directory that the daemon, who owns it, cannot write.
Result<bool> become_owner_of(const std::string& store) {
    struct stat st{};
    if (::geteuid() != 0) return true;
    const auto parent = std::filesystem::path(store).parent_path();
    if (::stat(store.c_str(), &st) != 0 && ::stat(parent.empty() ? "." : parent.c_str(), &st) != 0) return true;
    if (st.st_uid == 0) return true;
    if (::setgroups(0, nullptr) == 0 && ::setgid(st.st_gid) == 0 && ::setuid(st.st_uid) == 0) return true;
    return {Code::malformed, "cannot become the owner of " + store + ": " + std::strerror(errno)};
}

bool exists(const std::string& path) {
    struct stat st{};
    return ::stat(path.c_str(), &st) == 0;
}

Result<bool> open_log(World& w, bool serving) {
    // A command talks to its terminal by itself.
    const auto& target = w.options().log;
    auto log = Log::open(!serving && target == "-" ? "/dev/null" : target, w.clock);
    if (!log) return log.error();
    w.log = std::move(*log);
    return true;
}

Result<bool> open_world(World& w, bool serving) {
    const auto& o = w.options();
    const auto owner = become_owner_of(o.store);
    if (!owner) return owner.error();
    const auto log = open_log(w, serving);
    if (!log) return log.error();
    for (const auto& path : {o.store, o.keys})
        if (!exists(path))
            return Error{Code::malformed, path + " is not there; run: netpay-brokerd --config " + w.invocation.config +
                                              " init"};
    auto keys = KeyStore::open(o.keys, w.clock.now());
    if (!keys) return keys.error();
    w.keys = std::move(*keys);
    auto store = Store::open(o.store);
    if (!store) return store.error();
    w.store = std::move(*store);
    if (serving && o.site) {
        auto web = web::WebKeys::open(o.keys, w.random);
        if (!web) return web.error();
        w.web = std::move(*web);
    }
    w.context.reset(new Context{o, *w.keys, *w.log, w.metrics, w.clock, w.random, nullptr, w.web.get()});
    return true;
}

// ---- terminal output ----

std::string day(UnixTime t) { return t ? format_rfc3339(t) : "-"; }

std::string pad(std::string s, std::size_t width) {
    s.resize(std::max(s.size(), width), ' ');
    return s;
}

void print(const json::Object& o) { std::cout << o.jcs() << '\n'; }

json::Object amounts(const std::map<Currency, Amount>& m) {
    json::Object o;
    for (const auto& [cur, amount] : m) o.set(cur.str(), amount.micro());
    return o;
}

std::string pretty(const std::map<Currency, Amount>& m) {
    std::string out;
    for (const auto& [cur, amount] : m) out.append(out.empty() ? "" : " + ").append(amount.pretty(cur));
    return out.empty() ? "0" : out;
}

// ---- commands ----

int run_init(World& w) {
    const auto& o = w.options();
    const auto owner = become_owner_of(o.store);
    if (!owner) return fail(owner.error());
    const auto log = open_log(w, false);
    if (!log) return fail(log.error());
    std::error_code ec;
    for (const auto& path : {o.store, o.keys}) {
        const auto parent = std::filesystem::path(path).parent_path();
        if (parent.empty() || std::filesystem::exists(parent, ec)) continue;
        std::filesystem::create_directories(parent, ec);
        if (ec) return fail({Code::malformed, "cannot make " + parent.string() + ": " + ec.message()});
        std::filesystem::permissions(parent, std::filesystem::perms::owner_all, ec);
    }
    const auto keys = KeyStore::init(o.keys, w.clock.now());
    if (!keys) return fail(keys.error());
    const auto store = Store::open(o.store);
    if (!store) return fail(store.error());
    const std::string kid = (*keys)->current()->kid();
    if (w.json()) print(json::Object().set("store", o.store).set("keys", o.keys).set("kid", kid));
    else std::cout << "store " << o.store << "\nkeys  " << o.keys << "\nsigns with " << kid << '\n';
    return 0;
}

int run_migrate(World& w) {
    const auto owner = become_owner_of(w.options().store);
    if (!owner) return fail(owner.error());
    const auto m = migrate_store(w.options().store);
    if (!m) return fail(m.error());
    if (w.json())
        print(json::Object().set("from", static_cast<std::uint64_t>(m->from)).set("to", static_cast<std::uint64_t>(m->to)));
    else if (m->from == m->to) std::cout << "the store has schema " << m->to << " already\n";
    else std::cout << "the store was brought from schema " << m->from << " to " << m->to << '\n';
    return 0;
}

int run_check(World& w) {
    const auto r = check_ledger(*w.store);
    if (!r) return fail(r.error());
    json::Object totals;
    for (const auto& [cur, t] : r->totals) {
        json::Object o;
        o.set("issued", t.issued).set("spent", t.spent).set("unspent", t.unspent).set("refunded", t.refunded);
        totals.set(cur.str(), o.set("debits", t.debits).set("credits", t.credits));
        if (!w.json())
            std::cout << cur.str() << ": issued " << t.issued << " = spent " << t.spent << " + unspent " << t.unspent
                      << " + refunded " << t.refunded << "; debits " << t.debits << ", credits " << t.credits << '\n';
    }
    if (w.json()) {
        json::Object o;
        o.set("ok", r->ok()).set("movements", r->movements).set("entries", r->entries);
        print(o.set("totals", totals).set("faults", r->faults));
    } else {
        std::cout << r->movements << " movements, " << r->entries << " entries: "
                  << (r->ok() ? "every invariant holds" : "THE LEDGER DOES NOT HOLD") << '\n';
        for (const auto& f : r->faults) std::cout << "  " << f << '\n';
    }
    return r->ok() ? 0 : exit_failed;
}

std::optional<std::uint64_t> whole(const std::string& s) {
    const auto a = Amount::parse(s);
    if (!a) return std::nullopt;
    return a->micro();
}

Result<MintOrder> mint_order(const World& w) {
    MintOrder order;
    const auto amount = parse_decimal(w.flag("amount", ""));
    if (!amount || amount->micro() == 0)
        return {Code::malformed, "voucher mint needs --amount, the value of each in whole currency units, e.g. 100.00"};
    order.amount = *amount;
    const auto& configured = w.options().currencies;
    const auto cur = Currency::parse(w.flag("currency", configured.front().str()));
    if (!cur || std::find(configured.begin(), configured.end(), *cur) == configured.end())
        return {Code::malformed, "--currency is one of the configured ones, e.g. " + std::string(configured.front().str())};
    order.currency = *cur;
    const auto count = whole(w.flag("count", "1")), days = whole(w.flag("expires", "365"));
    if (!count || *count < 1 || *count > 10000) return {Code::malformed, "--count is a whole number from 1 to 10000"};
    if (!days || *days < 1 || *days > 3650) return {Code::malformed, "--expires is a number of days from 1 to 3650"};
    order.count = static_cast<std::uint32_t>(*count);
    order.days = static_cast<std::int64_t>(*days);
    return order;
}

int run_voucher_mint(World& w) {
    const auto order = mint_order(w);
    if (!order) {
        fail(order.error());
        return exit_usage;
    }
    const auto minted = mint_vouchers(*w.context, *w.store, *order);
    if (!minted) return fail(minted.error());
    for (const auto& v : *minted) {
        if (!w.json()) std::cout << v.code << '\n';
        else print(json::Object()
                       .set("code", v.code)
                       .set("amount", v.amount.micro())
                       .set("currency", v.currency.str())
                       .set("expires", format_rfc3339(v.expires)));
    }
    return 0;
}

int run_voucher_list(World& w) {
    const auto rows = list_vouchers(*w.store);
    if (!rows) return fail(rows.error());
    if (!w.json()) std::cout << pad("number", 8) << pad("value", 16) << pad("minted", 22) << pad("expires", 22) << "used\n";
    for (const auto& v : *rows) {
        if (!w.json()) {
            std::cout << pad(std::to_string(v.id), 8) << pad(v.amount.pretty(v.currency), 16) << pad(day(v.minted), 22)
                      << pad(day(v.expires), 22) << day(v.used) << '\n';
            continue;
        }
        json::Object o;
        o.set("id", static_cast<std::uint64_t>(v.id)).set("amount", v.amount.micro()).set("currency", v.currency.str());
        o.set("minted", day(v.minted)).set("expires", day(v.expires));
        if (v.used) o.set("used", day(v.used)).set("account", v.account);
        print(o);
    }
    return 0;
}

std::string status_of(const VendorRow& v) {
    if (v.suspended_for.empty()) return v.frauds > 0 ? v.status + ", fraud proven" : v.status;
    return v.status + " (" + v.suspended_for + ")";
}

int run_vendor_list(World& w) {
    const auto rows = list_vendors(*w.store, w.clock.now());
    if (!rows) return fail(rows.error());
    if (!w.json())
        std::cout << pad("origin", 34) << pad("status", 22) << pad("certificate until", 22) << pad("pending", 16)
                  << pad("payable", 16) << pad("paid", 16) << "owes\n";
    for (const auto& v : *rows) {
        if (!w.json()) {
            std::cout << pad(v.origin, 33) << ' ' << pad(status_of(v), 21) << ' ' << pad(day(v.certificate_exp), 22)
                      << pad(pretty(v.pending), 15) << ' ' << pad(pretty(v.payable), 15) << ' ' << pad(pretty(v.paid), 15)
                      << ' ' << pretty(v.owes) << '\n';
            continue;
        }
        json::Object o;
        o.set("origin", v.origin).set("handoff", v.handoff).set("kid", v.kid).set("status", v.status);
        o.set("account", v.account).set("registered", day(v.registered));
        if (v.certificate_exp) o.set("certificate_exp", day(v.certificate_exp));
        if (!v.suspended_for.empty()) o.set("suspended_for", v.suspended_for);
        if (v.frauds > 0) o.set("frauds", static_cast<std::uint64_t>(v.frauds));
        o.set("paid", amounts(v.paid)).set("owes", amounts(v.owes));
        print(o.set("pending", amounts(v.pending)).set("payable", amounts(v.payable)));
    }
    return 0;
}

int run_vendor(const World& w, const Result<std::string>& r, const char* member, const std::string& sentence) {
    if (!r) return fail(r.error());
    if (w.json()) print(json::Object().set("origin", w.operand()).set(member, *r));
    else std::cout << sentence << *r << '\n';
    return 0;
}

int run_vendor_approve(World& w) {
    const auto& origin = w.operand();
    const auto proofs = frauds_of(*w.store, origin);
    const bool revoke = w.invocation.flags.contains("revoke");
    const auto certificate = approve_vendor(*w.context, *w.store, origin, w.flag("kid", ""), revoke);
    if (certificate && proofs && *proofs > 0)
        std::cerr << "netpay-brokerd: " << origin << " is approved although it was proven a fraud; `fraud list` shows "
                  << *proofs << (*proofs == 1 ? " proof\n" : " proofs\n");
    return run_vendor(w, certificate, "certificate", "");
}

int run_vendor_payout(World& w) {
    std::optional<Currency> only;
    if (w.invocation.flags.contains("currency")) {
        only = Currency::parse(w.flag("currency", ""));
        if (!only) {
            fail({Code::malformed, "--currency is u and a lower-case ISO 4217 code, e.g. uusd"});
            return exit_usage;
        }
    }
    const auto paid = pay_out(*w.context, *w.store, w.operand(), only, w.force());
    if (!paid) return fail(paid.error());
    w.log->info("vendor-paid", json::Object().set("origin", w.operand()).set("paid", amounts(*paid)));
    if (w.json()) print(json::Object().set("origin", w.operand()).set("paid", amounts(*paid)));
    else if (paid->empty()) std::cout << "nothing is payable to " << w.operand() << '\n';
    else std::cout << pretty(*paid) << " is booked as paid to " << w.operand() << '\n';
    return 0;
}

int run_fraud_list(World& w) {
    const auto rows = list_frauds(*w.store);
    if (!rows) return fail(rows.error());
    if (!w.json())
        std::cout << pad("proven", 22) << pad("kind", 14) << pad("coin", 24) << pad("epoch", 7) << "vendor\n";
    for (const auto& f : *rows) {
        if (!w.json()) {
            std::cout << pad(day(f.at), 22) << pad(f.kind, 14) << pad(f.coin, 24) << pad(std::to_string(f.epoch), 7)
                      << f.vendor << (f.cleared ? " (cleared)" : "") << '\n';
            continue;
        }
        json::Object o;
        o.set("at", day(f.at)).set("vendor", f.vendor).set("kind", f.kind).set("coin", f.coin).set("epoch", f.epoch);
        print(o.set("cleared", f.cleared).set("tokens", f.tokens));
    }
    return 0;
}

int run_evidence(World& w) {
    const auto text = evidence_of(*w.context, *w.store, w.operand());
    if (!text) return fail(text.error());
    std::cout << *text << '\n';
    return 0;
}

int run_keys_list(World& w) {
    if (!w.json()) std::cout << pad("kid", 45) << pad("state", 9) << pad("created", 22) << "listed until\n";
    const auto now = w.clock.now();
    for (const auto& k : w.keys->entries()) {
        if (!w.json()) {
            const std::string until = k.state != KeyState::retired ? "-" : k.listed(now) ? day(k.listed_until) : "no more";
            std::cout << pad(k.kid, 45) << pad(std::string(name_of(k.state)), 9) << pad(day(k.created), 22) << until << '\n';
            continue;
        }
        json::Object o;
        o.set("kid", k.kid).set("state", name_of(k.state)).set("listed", k.listed(now));
        o.set("created", day(k.created));
        if (k.listed_until) o.set("listed_until", day(k.listed_until));
        print(o);
    }
    return 0;
}

int print_kid(const World& w, const std::string& kid, const char* text) {
    if (w.json()) print(json::Object().set("kid", kid));
    else std::cout << kid << ' ' << text << '\n';
    return 0;
}

int run_keys_add(World& w) {
    const auto kid = w.keys->add(w.clock.now());
    if (!kid) return fail(kid.error());
    w.log->info("key-added", json::Object().set("kid", *kid));
    return print_kid(w, *kid, "is the next key; activate it when it has been listed for an hour");
}

int run_keys_activate(World& w) {
    const auto r = w.keys->activate(w.operand(), w.clock.now(), coin_life_s(w.options()), w.force());
    if (!r) return fail(r.error());
    w.log->info("key-activated", json::Object().set("kid", w.operand()));
    return print_kid(w, w.operand(), "signs from now on");
}

int run_keys_retire(World& w) {
    const auto r = w.keys->retire(w.operand(), w.clock.now(), w.force());
    if (!r) return fail(r.error());
    w.log->info("key-retired", json::Object().set("kid", w.operand()));
    return print_kid(w, w.operand(), "is out of the set");
}

// ---- the daemon ----

// Rereads the keys and does the domain's periodic work, on its own thread.
class Housekeeper {
public:
    explicit Housekeeper(World& w) : world_(w), thread_([this] { run(); }) {}
    ~Housekeeper() {
        {
            const std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        thread_.join();
    }

private:
    void run() {
        std::unique_lock lock(mutex_);
        while (!wake_.wait_for(lock, std::chrono::seconds(tick_period_s), [this] { return stopping_; })) once();
    }
    void once();

    World& world_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool stopping_ = false;
    std::thread thread_;
};

void reload_keys(World& w) {
    const auto r = w.keys->reload(w.clock.now());
    if (!r) w.log->error("keys-not-reloaded", json::Object().set("reason", printable(r.error().detail)));
    else if (*r) w.log->info("keys-reloaded", json::Object().set("kid", w.keys->current()->kid()));
}

void safe_tick(World& w) {
    try {
        tick(*w.context, *w.store);
    } catch (const std::exception&) {
        w.log->error("tick-failed");
    }
}

void Housekeeper::once() {
    reload_keys(world_);
    safe_tick(world_);
}

std::vector<Binding> bindings(const Options& o, const Router& api, const Router& metrics) {
    std::vector<Binding> out;
    for (const auto& e : o.listen) out.push_back({e, &api, o.tls()});
    if (o.metrics_listen) out.push_back({*o.metrics_listen, &metrics, false});
    return out;
}

Result<bool> set_rates(const Options& o, Router& api) {
    api.scale_rates(o.rate_scale);
    for (const auto& r : o.rate_overrides) {
        if (api.set_rate(r.route, r.per_second, r.burst)) continue;
        std::string known;
        for (const auto& route : api.routes()) known += "\n  " + route.name();
        return Error{Code::malformed, "rate: there is no route \"" + r.route + "\"; the routes are:" + known};
    }
    return true;
}

int run_serve(World& w) {
    const auto& o = w.options();
    Router api, metrics;
    register_api(api, *w.context, *w.store);
    metrics.add("GET", "/metrics", [&w](Request&) {
        Response r;
        r.content_type = "text/plain; version=0.0.4; charset=utf-8";
        r.body = w.metrics.text();
        return r;
    });
    const auto rates = set_rates(o, api);
    if (!rates) return fail(rates.error());
    const auto cards = topup::CardShop::open(o);
    if (!cards) return fail(cards.error());
    w.context->cards = cards->get();
    safe_tick(w);
    const auto peers = custody::make_peers(o);
    w.context->peers = peers.get();
    auto server = Server::create(*w.context, bindings(o, api, metrics));
    if (!server) {
        w.log->error("not-started", json::Object().set("reason", printable(server.error().detail)));
        return fail(server.error());
    }
    {
        const Housekeeper housekeeper(w);
        (*server)->run([&w] {
            w.log->reopen();
            reload_keys(w);
        });
    }
    server->reset();
    w.context->peers = nullptr;
    w.context->cards = nullptr;
    w.log->info("stopped");
    return 0;
}

int run_command(World& w) {
    const auto& c = w.invocation.command;
    if (c[0] == "init") return run_init(w);
    if (c[0] == "migrate") return run_migrate(w);
    const auto open = open_world(w, c[0] == "serve");
    if (!open) return fail(open.error());
    if (c[0] == "serve") return run_serve(w);
    if (c[0] == "check") return run_check(w);
    if (c[0] == "voucher") return c[1] == "mint" ? run_voucher_mint(w) : run_voucher_list(w);
    if (c[0] == "keys") {
        if (c[1] == "list") return run_keys_list(w);
        if (c[1] == "add") return run_keys_add(w);
        return c[1] == "activate" ? run_keys_activate(w) : run_keys_retire(w);
    }
    if (c[0] == "fraud") return run_fraud_list(w);
    if (c[0] == "evidence") return run_evidence(w);
    if (c[1] == "list") return run_vendor_list(w);
    auto& context = *w.context;
    const auto& origin = w.operand();
    if (c[1] == "approve") return run_vendor_approve(w);
    if (c[1] == "payout") return run_vendor_payout(w);
    if (c[1] == "suspend") return run_vendor(w, suspend_vendor(context, *w.store, origin), "status", origin + " is ");
    return run_vendor(w, certificate_of(context, *w.store, origin), "certificate", "");
}

int run_program(int argc, const char* const* argv) {
    const auto invocation = parse_invocation(argc, argv);
    if (!invocation) {
        fail(invocation.error());
        return exit_usage;
    }
    if (invocation->kind == Invocation::Kind::help) std::cout << help_text();
    if (invocation->kind == Invocation::Kind::version) std::cout << version_text();
    if (invocation->kind != Invocation::Kind::run) return 0;
    World w{*invocation, {}, {}, {}, {}, {}, {}, {}, {}};
    return run_command(w);
}

}  // namespace
}  // namespace netpay::broker

int main(int argc, char** argv) {
    try {
        const int status = netpay::broker::run_program(argc, argv);
        return std::cout.flush() ? status : 1;
    } catch (const std::exception& e) {
        std::fprintf(stderr, "netpay-brokerd: %s\n", e.what());
        return 1;
    }
}
