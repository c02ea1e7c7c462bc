#include <algorithm>
#include <atomic>

#include "core/jws.h"
#include "core/origin.h"
#include "core/payword.h"
#include "mod_netpay/custody/acquisition.h"
#include "mod_netpay/custody/flights.h"
#include "mod_netpay/custody/handover.h"
#include "mod_netpay/custody/leases.h"
#include "mod_netpay/custody/line.h"
#include "mod_netpay/custody/lock.h"
#include "mod_netpay/custody/release.h"
#include "mod_netpay/custody/reports.h"

namespace netpay::custody {
namespace {

class BrokerKeeper : public Keeper {
public:
    BrokerKeeper(Options options, till::Till& till, World world, Transport& peers)
        : o_(std::move(options)),
          till_(till),
          world_(world),
          peers_(self(), world, peers),
          flights_(world.clock, waiting_),
          confirmations_(world.clock, waiting_),
          leases_(o_.vendor, till, world),
          reports_(o_.vendor, o_.directory, till, lines_, world),
          handover_(o_.vendor, o_.unconfirmed_pages, till, peers_, world),
          release_(o_, till, lines_, handover_, reports_, world) {}

    Result<bool> start();

    Acquired acquire(const PaymentPayload& p, std::uint32_t max_hop) override;
    Acquired regain(const PaymentPayload& p, std::uint32_t max_hop) override;
    bool confirm(const Tag16& coin) override;
    HandoffAnswer hand_over(std::string_view body) override { return release_.answer(body); }
    Reply ask(std::string_view issuer, std::string_view call, const json::Object& members) override;
    Result<Touchstone> read_touchstone(std::string_view issuer, const std::string& token) override;
    bool clock_good() const override { return lines_.clock_good(); }
    Health health() override;
    void on_urgent(std::function<void()> wake) override { reports_.on_urgent(std::move(wake)); }
    bool ready() override;
    std::uint32_t housekeeping() override;

private:
    Self self() const { return {o_.vendor, o_.key, o_.certificate}; }
    std::chrono::milliseconds call_time() const { return std::chrono::milliseconds(o_.call_timeout_ms); }
    std::string lock_path() const { return o_.directory + "/custody.lock"; }
    Result<Touchstone> read_touchstone(Line& line, const std::string& token);
    std::optional<Acquired> judge_against_root(const PaymentPayload& p, const Touchstone& t, std::uint32_t max_hop);
    Acquired obtain(Line& line, const Wanted& w, std::uint32_t max_hop);
    bool holds(const Tag16& coin) { return till_holds(till_, coin, world_.clock.now()); }
    void renew_leases();

    const Options o_;
    till::Till& till_;
    const World world_;
    Lines lines_;
    PeerClient peers_;
    std::atomic<std::uint32_t> waiting_ = 0;
    Flights flights_, confirmations_;
    Leases leases_;
    Reports reports_;
    Handover handover_;
    Release release_;
    const Acquisition::Parts parts_{o_, till_, handover_, reports_, leases_, world_};
    std::atomic<bool> ready_ = false;
    std::mutex long_walk_;       // one at a time: bounds what strangers can make this process hash
    std::mutex housekeeping_;    // one round at a time
};

Result<bool> BrokerKeeper::start() {
    if (!is_origin(o_.vendor)) return {Code::malformed, "vendor \"" + o_.vendor + "\" is no origin such as https://news.example"};
    if (!o_.key) return {Code::malformed, "no vendor key"};
    for (const auto& b : o_.brokers) {
        if (!is_origin(b.issuer)) return {Code::malformed, "broker \"" + b.issuer + "\" is no origin such as https://broker.example"};
        if (b.issuer.starts_with("http:") && !is_loopback(b.issuer))
            return {Code::malformed, "broker " + b.issuer + ": plain http is for loopback addresses only, use https"};
        Line line;
        line.clock = std::make_unique<ClockWatch>(b.issuer, kept_name(o_.directory, b.issuer) + ".clock", world_);
        const World watched{world_.clock, *line.clock, world_.log, world_.random, world_.disk};
        line.keys = std::make_unique<BrokerKeys>(b, o_.directory, o_.key_refresh_s, watched);
        if (auto loaded = line.keys->load(); !loaded) return loaded;
        line.client = std::make_unique<BrokerClient>(o_.vendor, o_.key, *line.keys, watched);
        line.directory = std::make_unique<Directory>(self(), *line.keys, o_.directory, o_.key_refresh_s, watched);
        line.directory->reread();
        line.clock->reread();
        lines_.all.insert_or_assign(b.issuer, std::move(line));
    }
    return true;
}

Result<Touchstone> BrokerKeeper::read_touchstone(Line& line, const std::string& token) {
    auto t = verify_touchstone(token, line.keys->issuer(), line.keys->known()->keys, world_.clock.now());
    if (t || t.error().code != Code::unknown_key) return t;
    // Another process may have fetched the key already. Nobody is asked.
    line.keys->want_refresh();
    if (!line.keys->reread()) return t;
    return verify_touchstone(token, line.keys->issuer(), line.keys->known()->keys, world_.clock.now());
}

// Section 6 steps 2 and 3 for a coin of which only the root is known, or that
// may have been spent elsewhere since.
std::optional<Acquired> BrokerKeeper::judge_against_root(const PaymentPayload& p, const Touchstone& t,
                                                         std::uint32_t max_hop) {
    if (p.index < 1 || p.index > t.n) return Acquired{Taken::forged, "index outside the chain"};
    const auto j = static_cast<std::uint32_t>(p.index);
    // A long way from the root need not be a long hop: the coin may have been
    // spent elsewhere. Whether it is one shows once it is known where the
    // custody starts.
    std::unique_lock walk(long_walk_, std::defer_lock);
    if (j > max_hop && !walk.try_lock()) return Acquired{Taken::unavailable, "another long chain is being checked", 2};
    if (walk_down(t.salt, j, p.payword, 0) != t.root) return Acquired{Taken::forged, "the payword is not of this chain"};
    return std::nullopt;
}

// Where the payer says the coin was spent last, if that can be asked for.
Wanted wanted(const PaymentPayload& p, const Touchstone& t, const std::string& touchstone, std::uint32_t index,
              const Payword& word, const std::string& vendor) {
    Wanted w{t, touchstone, index, word};
    if (p.holder && p.held && *p.holder != vendor && *p.held >= 1 && *p.held <= index) {
        w.holder = p.holder;
        w.held = static_cast<std::uint32_t>(*p.held);
    }
    return w;
}

Acquired BrokerKeeper::acquire(const PaymentPayload& p, std::uint32_t max_hop) {
    if (!p.touchstone) return {Taken::touchstone, "a coin not known here came without its touchstone"};
    const auto peeked = jws::peek(*p.touchstone);
    const auto issuer = peeked ? peeked->root().string("iss") : std::nullopt;
    if (!issuer) return {Taken::touchstone, "the touchstone cannot be read"};
    Line* line = lines_.find(*issuer);
    if (!line) return {Taken::broker, "a coin of a broker not accepted here"};
    if (line->keys->known()->keys.empty() && !line->keys->reread())
        return {Taken::unavailable, "the keys of broker " + line->keys->issuer() + " are not known yet"};
    const auto t = read_touchstone(*line, *p.touchstone);
    if (!t) return {t.error().code == Code::expired ? Taken::expired : Taken::touchstone, t.error().detail};
    if (t->tag != p.tag) return {Taken::touchstone, "the touchstone is of another coin"};
    if (const auto bad = judge_against_root(p, *t, max_hop)) return *bad;
    return obtain(*line, wanted(p, *t, *p.touchstone, static_cast<std::uint32_t>(p.index), p.payword, o_.vendor), max_hop);
}

Acquired BrokerKeeper::regain(const PaymentPayload& p, std::uint32_t max_hop) {
    const auto e = till_.find(p.tag);
    if (!e) return acquire(p, max_hop);
    const auto& terms = e->coin.terms;
    const auto& s = e->state;
    Line* line = lines_.find(terms.iss);
    if (!line) return {Taken::broker, "a coin of a broker not accepted here any more"};
    if (world_.clock.now() > terms.exp) return {Taken::expired, "touchstone expired"};
    if (holds(p.tag)) return {Taken::held, {}};
    if (const auto bad = judge_against_root(p, terms, max_hop)) return *bad;
    // The highest payword known proves the most to whoever is asked.
    const auto j = static_cast<std::uint32_t>(p.index);
    const bool shown = j > s.revealed || e->damaged;
    return obtain(*line, wanted(p, terms, e->coin.touchstone, shown ? j : s.revealed, shown ? p.payword : s.word, o_.vendor),
                  max_hop);
}

Acquired BrokerKeeper::obtain(Line& line, const Wanted& w, std::uint32_t max_hop) {
    if (!clock_good()) return {Taken::unavailable, "this server's clock is not to be trusted now", 30};
    if (holds(w.terms.tag)) return {Taken::held, {}};
    return flights_.join(w.terms.tag, w.index, 3 * call_time(), [&]() -> Flights::Outcome {
        const auto lock = ByteLock::take(lock_path(), lock_byte_of_coin(w.terms.tag), call_time());
        if (!lock && lock.error().code != Code::limit) {
            world_.log.write(Log::Level::error, lock.error().detail);
            return {{Taken::unavailable, "custody cannot be locked"}};
        }
        if (holds(w.terms.tag)) return {{Taken::held, {}}};  // another process was faster
        if (!lock) return {{Taken::unavailable, "another process is asking for this coin"}};
        return Acquisition(parts_, line, w, max_hop, std::chrono::steady_clock::now() + 2 * call_time()).run();
    });
}

bool BrokerKeeper::confirm(const Tag16& coin) {
    const auto confirmed = [&] {
        const auto e = till_.find(coin);
        return e && e->standing == till::Standing::held && e->coin.indices.empty();
    };
    if (confirmed()) return true;
    const auto got = confirmations_.join(coin, 0, 2 * call_time(), [&]() -> Flights::Outcome {
        (void)reports_.report(coin, call_time());
        return {{confirmed() ? Taken::held : Taken::unavailable, {}, 1}};
    });
    return got.taken == Taken::held;
}

bool BrokerKeeper::ready() {
    if (ready_.load(std::memory_order_acquire)) return true;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(o_.connect_timeout_ms);
    for (auto& [issuer, line] : lines_.all) {
        const auto left = until - std::chrono::steady_clock::now();
        if (!line.keys->wait_for_keys(std::chrono::duration_cast<std::chrono::milliseconds>(left))) return false;
    }
    ready_.store(true, std::memory_order_release);
    return true;
}

Reply BrokerKeeper::ask(std::string_view issuer, std::string_view call, const json::Object& members) {
    if (Line* line = lines_.find(issuer)) return line->client->call(call, members);
    Reply none;
    none.status = 404;
    none.detail = "a broker not accepted here";
    return none;
}

Result<Touchstone> BrokerKeeper::read_touchstone(std::string_view issuer, const std::string& token) {
    Line* line = lines_.find(issuer);
    if (!line) return {Code::mismatch, "of a broker not accepted here"};
    return read_touchstone(*line, token);
}

Health BrokerKeeper::health() {
    Health h;
    h.clock_good = clock_good();
    h.unreported = reports_.unreported();
    h.reports_failed = reports_.failed();
    h.dropped = reports_.dropped();
    for (auto& [issuer, line] : lines_.all) {
        if (std::llabs(line.clock->skew_s()) > std::llabs(h.skew_s)) h.skew_s = line.clock->skew_s();
        const auto vendors = line.directory->known();
        h.vendors_known += vendors->count;
        const bool first = &line == &lines_.all.begin()->second;
        h.list_fetched = first ? vendors->fetched : std::min(h.list_fetched, vendors->fetched);
    }
    return h;
}

void BrokerKeeper::renew_leases() {
    const auto stamp_path = o_.directory + "/brokers/leases.checked";
    const auto recently = [&] {
        const auto s = world_.disk.stamp(stamp_path);
        const auto ago = s ? world_.clock.now() - s->changed_ns / 1000000000 : -1;
        return ago >= 0 && ago < leases_.interval_s();
    };
    if (recently()) return;
    const auto lock = ByteLock::take(lock_path(), lock_byte_of_task(Task::leases, o_.vendor), std::chrono::milliseconds(0));
    if (!lock || recently()) return;
    if (const auto set = world_.disk.set_time(stamp_path, world_.clock.now()); !set) {
        world_.log.write(Log::Level::error, set.error().detail);
        return;
    }
    std::map<std::string, BrokerClient*, std::less<>> clients;
    for (auto& [issuer, line] : lines_.all) clients.emplace(issuer, line.client.get());
    leases_.round(clients);
}

std::uint32_t BrokerKeeper::housekeeping() {
    const std::lock_guard g(housekeeping_);
    std::uint32_t next = 10;
    for (auto& [issuer, line] : lines_.all) {
        line.clock->reread();
        // A clock that was wrong is looked at again soon: selling has stopped for it.
        if (!line.clock->good()) line.keys->want_refresh();
        next = std::min({next, line.keys->refresh(), line.directory->refresh()});
    }
    // Signed by a clock that is wrong, no call would be believed.
    if (clock_good()) {
        next = std::min(next, reports_.round());
        renew_leases();
    }
    return std::clamp<std::uint32_t>(std::min(next, leases_.interval_s()), 1, 10);
}

}  // namespace

Result<std::unique_ptr<Keeper>> Keeper::make(Options options, till::Till& till, World world, Transport& peers) {
    auto k = std::make_unique<BrokerKeeper>(std::move(options), till, world, peers);
    if (const auto started = k->start(); !started) return started.error();
    return std::unique_ptr<Keeper>(std::move(k));
}

}  // namespace netpay::custody
