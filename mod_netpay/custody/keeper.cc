#include <algorithm>
#include <atomic>
#include <map>

#include "core/certificate.h"
#include "core/index.h"
#include "core/jws.h"
#include "core/origin.h"
#include "core/payword.h"
#include "core/touchstone.h"
#include "mod_netpay/custody/broker_client.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/custody/flights.h"
#include "mod_netpay/custody/leases.h"
#include "mod_netpay/custody/lock.h"

namespace netpay::custody {
namespace {

// What a coin is asked for with.
struct Wanted {
    Touchstone terms;
    std::string touchstone;
    std::uint32_t index = 0;  // W_index is of the chain
    Payword word;
};

std::string short_name(const std::string& coin) { return "coin " + coin.substr(0, 8); }

struct Line {
    std::unique_ptr<BrokerKeys> keys;
    std::unique_ptr<BrokerClient> client;
};

class BrokerKeeper : public Keeper {
public:
    BrokerKeeper(Options options, till::Till& till, World world)
        : o_(std::move(options)), till_(till), world_(world), flights_(world.clock), leases_(o_.vendor, till, world) {}

    Result<bool> start();

    Acquired acquire(const PaymentPayload& p, std::uint32_t max_hop) override;
    Acquired regain(const PaymentPayload& p, std::uint32_t max_hop) override;
    bool ready() override;
    std::uint32_t housekeeping() override;

private:
    std::chrono::milliseconds call_time() const { return std::chrono::milliseconds(o_.call_timeout_ms); }
    Line* line_of(std::string_view issuer);
    Result<Touchstone> read_touchstone(Line& line, const std::string& token);
    std::optional<Acquired> judge_against_root(const PaymentPayload& p, const Touchstone& t, std::uint32_t max_hop);
    Acquired obtain(Line& line, const Wanted& w, std::uint32_t max_hop);
    Flights::Outcome ask(Line& line, const Wanted& w, std::uint32_t max_hop);
    Acquired take(Line& line, const Wanted& w, std::string_view custody, std::uint32_t max_hop);
    Acquired held_elsewhere(Line& line, const Wanted& w, const Reply& reply);
    bool holds(const Tag16& coin);
    void renew_leases();

    const Options o_;
    till::Till& till_;
    const World world_;
    Flights flights_;
    std::map<std::string, Line, std::less<>> lines_;
    std::atomic<bool> ready_ = false;
    std::mutex long_walk_;       // one at a time: bounds what strangers can make this process hash
    std::mutex housekeeping_;    // one round at a time
    Leases leases_;
};

Result<bool> BrokerKeeper::start() {
    if (!is_origin(o_.vendor)) return {Code::malformed, "vendor \"" + o_.vendor + "\" is no origin such as https://news.example"};
    if (!o_.key) return {Code::malformed, "no vendor key"};
    for (const auto& b : o_.brokers) {
        if (!is_origin(b.issuer)) return {Code::malformed, "broker \"" + b.issuer + "\" is no origin such as https://broker.example"};
        if (b.issuer.starts_with("http:") && !is_loopback(b.issuer))
            return {Code::malformed, "broker " + b.issuer + ": plain http is for loopback addresses only, use https"};
        Line line;
        line.keys = std::make_unique<BrokerKeys>(b, o_.directory, o_.key_refresh_s, world_);
        if (auto loaded = line.keys->load(); !loaded) return loaded;
        line.client = std::make_unique<BrokerClient>(o_.vendor, o_.key, *line.keys, world_);
        lines_.insert_or_assign(b.issuer, std::move(line));
    }
    return true;
}

Line* BrokerKeeper::line_of(std::string_view issuer) {
    const auto i = lines_.find(issuer);
    return i == lines_.end() ? nullptr : &i->second;
}

bool BrokerKeeper::holds(const Tag16& coin) {
    const auto e = till_.find(coin);
    return e && e->coin.lease >= world_.clock.now();
}

Result<Touchstone> BrokerKeeper::read_touchstone(Line& line, const std::string& token) {
    auto t = verify_touchstone(token, line.keys->issuer(), line.keys->known()->keys, world_.clock.now());
    if (t || t.error().code != Code::unknown_key) return t;
    // Another process may have fetched the key already. Nobody is asked.
    line.keys->want_refresh();
    if (!line.keys->reread()) return t;
    return verify_touchstone(token, line.keys->issuer(), line.keys->known()->keys, world_.clock.now());
}

// Section 6 steps 2 and 3 for a coin of which only the root is known.
std::optional<Acquired> BrokerKeeper::judge_against_root(const PaymentPayload& p, const Touchstone& t,
                                                         std::uint32_t max_hop) {
    if (p.index < 1 || p.index > t.n) return Acquired{Taken::forged, "index outside the chain"};
    const auto j = static_cast<std::uint32_t>(p.index);
    // A long way from the root need not be a long hop: the coin may have been
    // spent elsewhere. Whether it is one shows once the broker has said where
    // the custody starts.
    std::unique_lock walk(long_walk_, std::defer_lock);
    if (j > max_hop && !walk.try_lock()) return Acquired{Taken::unavailable, "another long chain is being checked", 2};
    if (walk_down(t.salt, j, p.payword, 0) != t.root) return Acquired{Taken::forged, "the payword is not of this chain"};
    return std::nullopt;
}

Acquired BrokerKeeper::acquire(const PaymentPayload& p, std::uint32_t max_hop) {
    if (!p.touchstone) return {Taken::touchstone, "a coin not known here came without its touchstone"};
    const auto peeked = jws::peek(*p.touchstone);
    const auto issuer = peeked ? peeked->root().string("iss") : std::nullopt;
    if (!issuer) return {Taken::touchstone, "the touchstone cannot be read"};
    Line* line = line_of(*issuer);
    if (!line) return {Taken::broker, "a coin of a broker not accepted here"};
    if (line->keys->known()->keys.empty() && !line->keys->reread())
        return {Taken::unavailable, "the keys of broker " + line->keys->issuer() + " are not known yet"};
    auto t = read_touchstone(*line, *p.touchstone);
    if (!t) return {t.error().code == Code::expired ? Taken::expired : Taken::touchstone, t.error().detail};
    if (t->tag != p.tag) return {Taken::touchstone, "the touchstone is of another coin"};
    if (const auto bad = judge_against_root(p, *t, max_hop)) return *bad;
    return obtain(*line, {std::move(*t), *p.touchstone, static_cast<std::uint32_t>(p.index), p.payword}, max_hop);
}

Acquired BrokerKeeper::regain(const PaymentPayload& p, std::uint32_t max_hop) {
    const auto e = till_.find(p.tag);
    if (!e) return acquire(p, max_hop);
    const auto& terms = e->coin.terms;
    const auto& s = e->state;
    Line* line = line_of(terms.iss);
    if (!line) return {Taken::broker, "a coin of a broker not accepted here any more"};
    if (world_.clock.now() > terms.exp) return {Taken::expired, "touchstone expired"};
    if (holds(p.tag)) return {Taken::held, {}};
    if (p.index < 1 || p.index > s.n) return {Taken::forged, "index outside the chain"};
    const auto j = static_cast<std::uint32_t>(p.index);
    const auto high = std::max(j, s.revealed), low = std::min(j, s.revealed);
    if (high - low > max_hop) return {Taken::hop_too_long, "index too far from the one known"};
    const auto& high_word = j > s.revealed ? p.payword : s.word;
    const auto& low_word = j > s.revealed ? s.word : p.payword;
    if (walk_down(s.salt, high, high_word, low) != low_word) return {Taken::forged, "the payword is not of this chain"};
    return obtain(*line, {terms, e->coin.touchstone, high, high_word}, max_hop);
}

Acquired BrokerKeeper::obtain(Line& line, const Wanted& w, std::uint32_t max_hop) {
    if (holds(w.terms.tag)) return {Taken::held, {}};
    return flights_.join(w.terms.tag, w.index, 3 * call_time(), [&]() -> Flights::Outcome {
        const auto lock = ByteLock::take(o_.directory + "/custody.lock", lock_byte_of_coin(w.terms.tag), call_time());
        if (!lock && lock.error().code != Code::limit) {
            world_.log.write(Log::Level::error, lock.error().detail);
            return {{Taken::unavailable, "custody cannot be locked"}};
        }
        if (holds(w.terms.tag)) return {{Taken::held, {}}};  // another process was faster
        if (!lock) return {{Taken::unavailable, "another process is asking the broker for this coin"}};
        return ask(line, w, max_hop);
    });
}

Flights::Outcome BrokerKeeper::ask(Line& line, const Wanted& w, std::uint32_t max_hop) {
    const auto members = json::Object()
                             .set("coin", w.terms.coin)
                             .set("index", std::uint64_t{w.index})
                             .set("payword", encode_payword(w.word));
    const auto reply = line.client->call("custody/acquire", members);
    switch (reply.status) {
        case 0: return {{Taken::unavailable, reply.detail, reply.retry_after_s}};
        case 200: {
            const auto custody = reply.body->root().string("custody");
            // Whether a hop is too long depends on the index shown.
            auto taken = take(line, w, custody.value_or(""), max_hop);
            const bool this_index = taken.taken == Taken::hop_too_long;
            return {std::move(taken), this_index ? 0 : UINT32_MAX};
        }
        case 404:
        case 410: return {{Taken::refused, reply.detail}};
        case 409: return {held_elsewhere(line, w, reply)};
        case 422: return {{Taken::refused, reply.detail}, w.index};  // spent elsewhere beyond this payword
        default:
            // The broker does not take this vendor's word (not approved, suspended, clock wrong), or does
            // not understand it: nothing the customer could mend.
            world_.log.write(Log::Level::error, reply.detail);
            return {{Taken::unavailable, reply.detail, 30}};
    }
}

// The touchstone in the answer is passed over: the customer's has been
// verified, and a coin's name commits to its chain.
Acquired BrokerKeeper::take(Line& line, const Wanted& w, std::string_view custody, std::uint32_t max_hop) {
    const auto now = world_.clock.now();
    auto c = accept_custody(custody, line.keys->known()->keys, o_.vendor, w.terms, now);
    if (!c && c.error().code == Code::unknown_key) {
        line.keys->want_refresh();
        if (line.keys->reread()) c = accept_custody(custody, line.keys->known()->keys, o_.vendor, w.terms, now);
    }
    if (!c) {
        const auto detail = "broker " + line.keys->issuer() + ", custody/acquire: " + c.error().detail;
        world_.log.write(Log::Level::error, detail);
        return {Taken::unavailable, detail};
    }
    till::Coin coin{w.terms, w.touchstone, std::string(custody), c->epoch, c->index, c->payword, c->exp};
    const auto taken = till_.take(coin);
    if (!taken || !*taken) {
        const std::string why = taken ? "it knows a later epoch" : taken.error().detail;
        world_.log.write(Log::Level::error, "the till cannot take " + short_name(w.terms.coin) + ": " + why);
        return {Taken::unavailable, "the till cannot take the coin"};
    }
    leases_.note(c->exp - c->iat);
    world_.log.write(Log::Level::info, short_name(w.terms.coin) + " taken into custody, epoch " + std::to_string(c->epoch));
    if (w.index > c->index && w.index - c->index > max_hop)
        return {Taken::hop_too_long, "index too far from the start of the custody"};
    return {Taken::held, {}};
}

// 409: another vendor holds the coin. Here the hand-over of section 7 step 2
// begins, with the holder's certificate and the start of its custody from
// this answer; until this server hands over, the customer waits for the
// holder's lease to end.
Acquired BrokerKeeper::held_elsewhere(Line& line, const Wanted& w, const Reply& reply) {
    std::string holder = "another vendor";
    const auto token = reply.body ? reply.body->root().string("holder") : std::nullopt;
    if (token)
        if (const auto c = verify_certificate(*token, line.keys->issuer(), line.keys->known()->keys, world_.clock.now()))
            holder = c->sub;
    return {Taken::unavailable, short_name(w.terms.coin) + " is held by " + holder, 60};
}

bool BrokerKeeper::ready() {
    if (ready_.load(std::memory_order_acquire)) return true;
    const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(o_.connect_timeout_ms);
    for (auto& [issuer, line] : lines_) {
        const auto left = until - std::chrono::steady_clock::now();
        if (!line.keys->wait_for_keys(std::chrono::duration_cast<std::chrono::milliseconds>(left))) return false;
    }
    ready_.store(true, std::memory_order_release);
    return true;
}

void BrokerKeeper::renew_leases() {
    const auto stamp_path = o_.directory + "/brokers/leases.checked";
    const auto recently = [&] {
        const auto s = world_.disk.stamp(stamp_path);
        const auto ago = s ? world_.clock.now() - s->changed_ns / 1000000000 : -1;
        return ago >= 0 && ago < leases_.interval_s();
    };
    if (recently()) return;
    const auto lock = ByteLock::take(o_.directory + "/custody.lock", lock_byte_of_task(Task::leases, o_.vendor),
                                     std::chrono::milliseconds(0));
    if (!lock || recently()) return;
    if (const auto set = world_.disk.set_time(stamp_path, world_.clock.now()); !set) {
        world_.log.write(Log::Level::error, set.error().detail);
        return;
    }
    std::map<std::string, BrokerClient*, std::less<>> clients;
    for (auto& [issuer, line] : lines_) clients.emplace(issuer, line.client.get());
    leases_.round(clients);
}

std::uint32_t BrokerKeeper::housekeeping() {
    const std::lock_guard g(housekeeping_);
    std::uint32_t next = 10;
    for (auto& [issuer, line] : lines_) next = std::min(next, line.keys->refresh());
    renew_leases();
    return std::clamp<std::uint32_t>(std::min(next, leases_.interval_s()), 1, 10);
}

}  // namespace

Result<std::unique_ptr<Keeper>> Keeper::make(Options options, till::Till& till, Clock& clock, Transport& transport,
                                             Log& log, Random& random, Disk& disk) {
    auto k = std::make_unique<BrokerKeeper>(std::move(options), till, World{clock, transport, log, random, disk});
    if (const auto started = k->start(); !started) return started.error();
    return std::unique_ptr<Keeper>(std::move(k));
}

}  // namespace netpay::custody
