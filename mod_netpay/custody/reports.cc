#include "mod_netpay/custody/reports.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/index.h"
#include "mod_netpay/custody/leases.h"

namespace netpay::custody {
namespace {

constexpr std::int64_t longest_backoff_s = 300;
// A report the broker answered and did not take is no matter of seconds:
// 60 s doubling to 300 s: so long the broker waits for what clears a vendor
// that is accused of never having held a coin (accusation_stands_s there, twice that).
constexpr std::int64_t first_deferral_s = 60, longest_deferral_s = 300;
// Coins looked at in one round, and how long one may last: the thread has
// leases to renew too.
constexpr std::size_t most_in_round = 1000;
constexpr auto longest_round = std::chrono::seconds(5);
constexpr std::uint32_t idle_s = 10;
constexpr std::size_t file_bytes = 1024;

// Between 1 s and `most`, evenly.
std::int64_t jittered(Random& random, std::int64_t most) {
    std::uint16_t r = 0;
    random.fill(reinterpret_cast<std::uint8_t*>(&r), sizeof r);
    return 1 + (most - 1) * r / UINT16_MAX;
}

}  // namespace

std::optional<SharedBackoff::State> SharedBackoff::read() {
    if (!world_.disk.stamp(path_)) return std::nullopt;
    const auto text = world_.disk.read(path_, file_bytes);
    const auto doc = text ? json::Document::parse(*text) : Result<json::Document>(text.error());
    if (!doc) return std::nullopt;
    const auto next = doc->root().uint("next"), tries = doc->root().uint("tries");
    if (!next || !tries) return std::nullopt;
    return State{static_cast<UnixTime>(*next), *tries};
}

bool SharedBackoff::due() {
    const auto s = read();
    const UnixTime now = world_.clock.now();
    return !s || s->next <= now || s->next > now + longest_backoff_s;  // the last: the clock was set back
}

void SharedBackoff::failed() {
    const auto before = read().value_or(State{});
    const auto most = std::min(longest_backoff_s, std::int64_t{1} << std::min<std::uint64_t>(before.tries, 10));
    const auto next = world_.clock.now() + jittered(world_.random, most);
    const auto text = json::Object().set("next", static_cast<std::uint64_t>(next)).set("tries", before.tries + 1).jcs();
    if (const auto kept = world_.disk.replace(path_, text); !kept)
        world_.log.write(Log::Level::error, kept.error().detail);
}

void SharedBackoff::succeeded() {
    if (world_.disk.stamp(path_)) (void)world_.disk.remove(path_);
}

Reports::Reports(std::string vendor, std::string directory, till::Till& till, Lines& lines, World world)
    : vendor_(std::move(vendor)), lock_path_(directory + "/custody.lock"), till_(till), lines_(lines), world_(world) {}

void Reports::note(const Tag16& coin) {
    {
        const std::lock_guard g(mutex_);
        // More than that the till's own list brings up.
        if (fresh_.size() < most_in_round) fresh_.push_back(coin);
    }
    if (wake_) wake_();
}

Reports::Told Reports::report(const Tag16& coin, std::chrono::milliseconds wait) {
    const auto lock = ByteLock::take(lock_path_, lock_byte_of_coin(coin), wait);
    return lock ? tell(coin) : Told::busy;
}

Reports::Told Reports::tell(const Tag16& coin) {
    const auto e = till_.find(coin);
    if (!e) return till_.usable() ? Told::confirmed : Told::later;
    if (e->coin.indices.empty()) return e->standing == till::Standing::dropped ? Told::dropped : Told::confirmed;
    auto* line = lines_.find(e->coin.terms.iss);
    if (!line) return Told::refused;
    const auto ask = [&](const std::vector<std::string>& indices) {
        return line->client->call("custody/transfer", json::Object().set("coin", e->coin.terms.coin),
                                  json::Object().set("index", indices));
    };
    auto reply = ask(e->coin.indices);
    // What others enclosed may be worth nothing; the one by which the coin came counts by itself.
    if ((reply.status == 400 || reply.status == 422) && e->coin.indices.size() > 1) reply = ask({e->coin.indices.back()});
    switch (reply.status) {
        case 200: return confirm(*line, *e, reply);
        // 422: the broker does not know its signature, and never will.
        case 409: case 404: case 410: case 422: return drop(*e, reply);
        case 0: ++failed_; return Told::later;
        default:
            ++failed_;
            world_.log.write(Log::Level::error, "the hand-over of " + short_name(e->coin.terms.coin) + " is not confirmed: " + reply.detail);
            return Told::refused;
    }
}

Reports::Told Reports::confirm(Line& line, const till::Entry& e, const Reply& reply) {
    const auto token = reply.body->root().string("custody").value_or("");
    const auto read = [&] { return read_custody(token, line.keys->known()->keys, vendor_, e.coin.terms); };
    auto c = read();
    if (!c && c.error().code == Code::unknown_key) {
        line.keys->want_refresh();
        if (line.keys->reread()) c = read();
    }
    if (c && (c->epoch != e.coin.epoch || c->index != e.coin.start))
        c = Result<Custody>(Code::mismatch, "custody: of another epoch or index than the hand-over");
    if (!c) {
        ++failed_;
        world_.log.write(Log::Level::error, "broker " + line.keys->issuer() + ", custody/transfer: " + c.error().detail);
        return Told::refused;
    }
    line.clock->heard(c->iat);
    auto coin = e.coin;
    coin.custody = std::string(token);
    coin.indices.clear();
    coin.lease = c->exp;
    const auto taken = till_.take(coin);
    if (!taken) {
        world_.log.write(Log::Level::error, "the till cannot confirm " + short_name(coin.terms.coin) + ": " + taken.error().detail);
        return Told::later;
    }
    world_.log.write(Log::Level::info, short_name(coin.terms.coin) + ": the broker confirms epoch " + std::to_string(c->epoch));
    return Told::confirmed;
}

// The index on file binds whoever signed it; this vendor was deceived, and is
// paid for what it sold from the signer's balance.
Reports::Told Reports::drop(const till::Entry& e, const Reply& reply) {
    const auto dropped = till_.drop(e.coin.terms.tag, e.coin.epoch);
    ++dropped_;
    world_.log.write(Log::Level::error, short_name(e.coin.terms.coin) + " is dropped, epoch " + std::to_string(e.coin.epoch) +
                                            ": the broker decided for another. " + reply.detail);
    if (!dropped) world_.log.write(Log::Level::error, "the till cannot drop it: " + dropped.error().detail);
    return dropped ? Told::dropped : Told::later;
}

std::vector<Tag16> Reports::taken_here() {
    const std::lock_guard g(mutex_);
    return std::exchange(fresh_, {});
}

void Reports::defer(const Tag16& coin) {
    auto& d = deferred_[coin];
    const auto most = std::min(longest_deferral_s, first_deferral_s << std::min(d.tries++, 6u));
    d.next = world_.clock.now() + most / 2 + jittered(world_.random, most / 2);
}

// Of all processes one does this at a time.
void Reports::retry_all() {
    const auto lock = ByteLock::take(lock_path_, lock_byte_of_task(Task::reports, vendor_), std::chrono::milliseconds(0));
    if (!lock) return;
    const auto coins = till_.unreported(most_in_round + deferred_.size());
    unreported_ = static_cast<std::uint32_t>(coins.size());
    const auto end = std::chrono::steady_clock::now() + longest_round;
    std::map<std::string, bool> open;  // brokers: whether they may be asked in this round
    for (const auto& coin : coins) {
        if (std::chrono::steady_clock::now() > end) return;
        if (const auto d = deferred_.find(coin); d != deferred_.end() && d->second.next > world_.clock.now()) continue;
        const auto e = till_.find(coin);
        if (!e || e->coin.indices.empty()) continue;
        const auto& issuer = e->coin.terms.iss;
        auto* line = lines_.find(issuer);
        if (!line) continue;
        auto& backoff = backoffs_.try_emplace(issuer, line->keys->kept_name() + ".reports", world_).first->second;
        const auto may = open.try_emplace(issuer, true);
        if (may.second) may.first->second = backoff.due();
        if (!may.first->second) continue;
        const auto told = report(coin, std::chrono::milliseconds(0));
        if (told == Told::later) {
            backoff.failed();
            may.first->second = false;
        } else if (told == Told::refused) {
            defer(coin);
        } else if (told != Told::busy) {
            backoff.succeeded();
            deferred_.erase(coin);
            --unreported_;
        }
    }
}

std::uint32_t Reports::round() {
    for (const auto& coin : taken_here()) (void)report(coin, std::chrono::milliseconds(0));
    if (till_.unreported(1).empty()) {
        unreported_ = 0;
        deferred_.clear();
        return idle_s;
    }
    retry_all();
    return 1;
}

}  // namespace netpay::custody
