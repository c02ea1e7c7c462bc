#include "mod_netpay/ewallet/wallets.h"

#include <algorithm>
#include <chrono>

#include "mod_netpay/custody/lock.h"
#include "mod_netpay/ewallet/holdings.h"
#include "mod_netpay/ewallet/journey.h"
#include "mod_netpay/ewallet/orders.h"
#include "mod_netpay/ewallet/paying.h"
#include "mod_netpay/ewallet/standing.h"

namespace netpay::ewallet {
namespace {

using GivenBack = till::Till::GivenBack;

constexpr std::int64_t sweep_s = 60;

class StoredWallets final : public Wallets {
public:
    explicit StoredWallets(std::unique_ptr<Holdings> holdings)
        : holdings_(std::move(holdings)), h_(*holdings_), paying_(h_), journey_(h_) {}

    Considered consider(const Visit& v) override { return paying_.consider(v); }
    std::optional<Debit> next(const Visit& v, const Debit& debit, const Refusal& refusal) override {
        return paying_.next(v, debit, refusal);
    }
    std::string form_token(const Visit& v) override;
    std::optional<Price> form_token_ok(const Visit& v, std::string_view token) override;
    std::string order(const Visit& v) override;
    Result<Begun> begin(const Visit& v, const std::string& issuer, bool cookie_kind) override {
        return journey_.begin(v, issuer, cookie_kind);
    }
    Begun finish(std::string_view cookies, const form::Fields& query, std::string_view peer, UnixTime now) override {
        return journey_.finish(cookies, query, peer, now);
    }
    Begun leave(std::string_view cookies, UnixTime now) override { return journey_.leave(cookies, now); }
    std::optional<Sight> look(std::string_view cookies, UnixTime now, std::int64_t window_s) override;
    GivenBack note_given_back(const Tag16& reader, const Tag16& page, std::uint32_t most, UnixTime now) override;
    bool noted_given_back(const Tag16& reader, const Tag16& page, UnixTime now) override;
    void forget_given_back(const Tag16& reader, const Tag16& page, UnixTime now) override;
    void sweep(UnixTime now) override;

private:
    std::string binding(const Visit& v);
    void add_paid(std::vector<Paid>& out, const Tag16& coin, UnixTime since);

    const std::unique_ptr<Holdings> holdings_;
    Holdings& h_;
    Paying paying_;
    Journey journey_;
};

// Of the browser's e-wallet; empty: it has none.
std::string StoredWallets::binding(const Visit& v) {
    const auto o = h_.open_wallet(v.cookies, v.now, v.server, v.cookie);
    return o.wallet ? o.wallet->binding : std::string();
}

std::string StoredWallets::form_token(const Visit& v) {
    return ewallet::form_token(h_.cookies, {binding(v), v.target, v.price}, v.now);
}

std::optional<Price> StoredWallets::form_token_ok(const Visit& v, std::string_view token) {
    return form_token_price(h_.cookies, binding(v), v.target, token, v.now);
}

std::string StoredWallets::order(const Visit& v) {
    return order_cookie(h_.cookies, {binding(v), v.target, v.price}, v.now);
}

void StoredWallets::add_paid(std::vector<Paid>& out, const Tag16& coin, UnixTime since) {
    const auto e = h_.till.find(coin);
    if (!e) return;
    const auto picked = h_.picks->of(coin);
    for (const auto& t : e->state.recent) {
        if (!t.index || t.used_at < since) continue;
        const auto p = std::find_if(picked.begin(), picked.end(), [&](const Picks::Picked& q) {
            return q.resource == t.resource && q.ticket == t.index && !q.target.empty();
        });
        if (p != picked.end()) out.push_back({p->target, coin, t.index, t.resource, p->units, p->price, t.used_at});
    }
}

std::optional<Sight> StoredWallets::look(std::string_view cookies, UnixTime now, std::int64_t window_s) {
    const auto o = h_.open_wallet(cookies, now, true, true, Holdings::Over::left_there);
    Sight s;
    if (!o.moved_from.empty()) {
        s.standing = moved_from(o.moved_from);
        return s;
    }
    if (!o.wallet) return std::nullopt;
    const auto& d = o.wallet->document;
    s.standing = standing_of(*o.wallet, h_.till.find(d.coin.tag));
    s.until = d.until;
    s.in_cookie = o.wallet->in_cookie();
    s.reader = reader_tag(d);
    add_paid(s.paid, d.coin.tag, now - window_s);
    if (d.past) add_paid(s.paid, d.past->tag, now - window_s);
    std::stable_sort(s.paid.begin(), s.paid.end(), [](const Paid& a, const Paid& b) { return a.at > b.at; });
    return s;
}

GivenBack StoredWallets::note_given_back(const Tag16& reader, const Tag16& page, std::uint32_t most, UnixTime now) {
    const auto noted = h_.notes->give_back(reader, page, most, now);
    if (!noted) h_.say(custody::Log::Level::error, noted.error().detail);
    if (!noted) return GivenBack::unavailable;
    switch (*noted) {
        case Notes::Noted::noted: return GivenBack::given;
        case Notes::Noted::again: return GivenBack::again;
        case Notes::Noted::too_many: break;
    }
    return GivenBack::too_many;
}

bool StoredWallets::noted_given_back(const Tag16& reader, const Tag16& page, UnixTime now) {
    const auto noted = h_.notes->gave_back(reader, page, now);
    if (!noted) h_.say(custody::Log::Level::error, noted.error().detail);
    return noted && *noted;
}

void StoredWallets::forget_given_back(const Tag16& reader, const Tag16& page, UnixTime now) {
    if (const auto gone = h_.notes->forget_give_back(reader, page, now); !gone)
        h_.say(custody::Log::Level::error, gone.error().detail);
}

void StoredWallets::sweep(UnixTime now) {
    const auto stamp_path = h_.directory + "/swept";
    const auto recently = [&] {
        const auto s = h_.world.disk.stamp(stamp_path);
        const auto ago = s ? now - s->changed_ns / 1000000000 : -1;
        return ago >= 0 && ago < sweep_s;
    };
    if (recently()) return;
    const auto lock = custody::ByteLock::take(h_.directory + "/lock", 1, std::chrono::milliseconds(0));
    if (!lock || recently()) return;
    if (const auto set = h_.world.disk.set_time(stamp_path, now); !set) return h_.say(custody::Log::Level::error, set.error().detail);
    const auto gone = [&](const SealedStore::Label& l) { return is_gone(h_.till.find(l.coin), l.epoch); };
    if (const auto done = h_.store->sweep(now, gone); !done) h_.say(custody::Log::Level::error, done.error().detail);
    if (const auto done = h_.picks->sweep(now); !done) h_.say(custody::Log::Level::error, done.error().detail);
    if (const auto done = h_.notes->sweep(now); !done) h_.say(custody::Log::Level::error, done.error().detail);
    journey_.tell_brokers();
}

}  // namespace

Result<std::unique_ptr<Wallets>> Wallets::open(Options options, till::Till& till, custody::Keeper& keeper,
                                               custody::World world) {
    auto holdings = Holdings::open(std::move(options), till, keeper, world);
    if (!holdings) return holdings.error();
    return std::unique_ptr<Wallets>(std::make_unique<StoredWallets>(std::move(*holdings)));
}

}  // namespace netpay::ewallet
