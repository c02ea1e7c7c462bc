#include "broker/custody/leases.h"

#include <algorithm>

#include "broker/redeem/crediting.h"
#include "core/index.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay::broker::custody {
namespace {

using issue::Coin;

Refusal unknown_coin() {
    return {404, "unknown-coin", "Not a coin of this broker", "This broker sold no coin of that name."};
}
Refusal gone(const Coin& c, UnixTime now) {
    if (now > c.exp) return {410, "gone", "The coin has expired", "No vendor may accept it any more; use another coin."};
    return {410, "gone", "The coin was returned", "Its owner gave it back; it needs another coin."};
}
Refusal bad_payword() {
    return {422, "payword", "The payword does not prove the coin",
            "Show a payword of this coin above the index it is known to be spent to."};
}

bool is_gone(const Coin& c, UnixTime now) { return now > c.exp || c.state != "live"; }

// The index a caller's payword has to lie above: the holder's start, or where
// the next epoch would start.
std::uint32_t start_of(Sql& sql, const Coin& c, const std::optional<Epoch>& last, UnixTime now) {
    const bool held = last && !is_over(sql, *last, now);
    return held ? last->start : known_mark(c, last).index;
}

std::string sign(Context& context, const Coin& c, const vendors::Vendor& vendor, Int epoch, const Mark& start,
                 UnixTime now, UnixTime exp) {
    netpay::Custody t;
    t.iss = context.options.issuer;
    t.sub = vendor.origin;
    t.coin = c.coin;
    t.epoch = static_cast<std::uint64_t>(epoch);
    t.index = start.index;
    t.payword = start.payword;
    t.iat = now;
    t.exp = exp;
    return sign_custody(t, *context.keys.current());
}

void keep(Sql& sql, const Coin& c, const Mark& shown) {
    run(sql, "INSERT INTO known_paywords (coin, idx, payword) VALUES (:c, :i, :w) ON CONFLICT DO NOTHING", c.id,
        shown.index, encode_payword(shown.payword));
}

Outcome<Acquired> next_epoch(Context& context, Sql& sql, const vendors::Vendor& vendor, const Coin& c,
                             const std::optional<Epoch>& last, const Mark& shown, UnixTime now) {
    if (last)
        if (auto closed = close(sql, c, *last, now); !closed) return closed.refusal();
    keep(sql, c, shown);
    const Beginning b{last ? last->epoch + 1 : 1, known_mark(c, last), lease_end(context, c, now), {}};
    auto custody = begin_epoch(context, sql, vendor, c, b, now);
    // It may have sold above that index before, by the word of somebody whom the broker could not believe then.
    if (auto late = redeem::credit_late(sql, c.id, vendor, now); !late) return late.refusal();
    return Acquired(Granted{c.touchstone, std::move(custody)});
}

// The start of an epoch as its first custody named it.
Mark start_mark(Sql& sql, const Epoch& e) {
    const auto row = one<std::string>(sql, "SELECT start_payword FROM epochs WHERE coin = :c AND epoch = :e", e.coin, e.epoch);
    return {e.start, decode_payword(std::get<0>(row.value())).value_or(Payword{})};
}

std::string extend(Context& context, Sql& sql, const vendors::Vendor& vendor, const Coin& c, const Epoch& e,
                   UnixTime now) {
    const auto exp = lease_end(context, c, now);
    auto token = sign(context, c, vendor, e.epoch, start_mark(sql, e), now, exp);
    run(sql, "UPDATE epochs SET custody = :t, iat = :i, exp = :x WHERE coin = :c AND epoch = :e", token, now, exp,
        c.id, e.epoch);
    return token;
}

Acquired again(Context& context, Sql& sql, const vendors::Vendor& vendor, const Coin& c, const Epoch& e, UnixTime now) {
    const bool lapsed = now > e.exp && now <= c.exp;
    if (lapsed && !others_wait(context, sql, c, vendor.id, now))
        return Granted{c.touchstone, extend(context, sql, vendor, c, e, now)};
    return Granted{c.touchstone, e.custody};
}

Acquired held_elsewhere(Context& context, Sql& sql, const vendors::Vendor& vendor, const Coin& c, const Epoch& e,
                        UnixTime now) {
    run(sql, "INSERT INTO waiting (coin, vendor, since) VALUES (:c, :v, :t) "
             "ON CONFLICT (coin, vendor) DO UPDATE SET since = excluded.since", c.id, vendor.id, now);
    const auto holder = vendors::find(sql, e.vendor).value();
    return Held{c.touchstone, vendors::last_certificate(context, sql, holder, now), static_cast<std::uint64_t>(e.epoch),
                e.start};
}

// Somebody else waits: the one objection that leaves the vendor the coin's holder.
constexpr const char* waiting = "waiting";

// Why an epoch is not renewed; empty if it is.
std::string objection(const Context& context, Sql& sql, const vendors::Vendor& vendor, const RenewalItem& item, const std::optional<Coin>& coin,
                      const std::optional<Epoch>& last, UnixTime now) {
    if (!coin) return "unknown-coin";
    if (now > coin->exp || coin->state == "returned") return "gone";
    if (!last || last->vendor != vendor.id || static_cast<std::uint64_t>(last->epoch) != item.epoch) return "not-held";
    if (is_over(sql, *last, now)) return "over";
    if (!item.proven || item.mark.index < last->start) return "payword";
    if (others_wait(context, sql, *coin, vendor.id, now)) return waiting;
    return {};
}

}  // namespace

bool others_wait(const Context& context, Sql& sql, const Coin& c, Int vendor, UnixTime now) {
    if (c.state != "live") return true;
    // The lease that ran when it asked is over by then, and the coin was to be had.
    UnixTime since = now - context.options.lease_s - limits::lease_margin_s;
    since -= downtime_s(sql, since, now);
    return number(sql,
                  "SELECT COUNT(*) FROM waiting w JOIN vendors v ON v.id = w.vendor "
                  "WHERE w.coin = :c AND w.vendor <> :v AND w.since >= :s AND v.status = 'approved'",
                  c.id, vendor, since) > 0;
}

UnixTime lease_end(const Context& context, const Coin& c, UnixTime now) {
    return std::min(now + context.options.lease_s, c.exp);
}

std::string begin_epoch(Context& context, Sql& sql, const vendors::Vendor& vendor, const Coin& c, const Beginning& b,
                        UnixTime now) {
    auto token = sign(context, c, vendor, b.epoch, b.start, now, b.exp);
    const auto word = encode_payword(b.start.payword);
    run(sql,
        "INSERT INTO epochs (coin, epoch, vendor, start, start_payword, known, known_payword, custody, iat, exp, "
        "signed_index) VALUES (:coin, :epoch, :vendor, :start, :word, :known, :kword, :custody, :iat, :exp, :index)",
        c.id, b.epoch, vendor.id, b.start.index, word, b.start.index, word, token, now, b.exp, b.signed_index);
    return token;
}

Outcome<Done> may_ask(Sql& sql, const std::string& name, const Mark& shown, UnixTime now) {
    const auto coin = issue::find_coin(sql, name);
    if (!coin) return unknown_coin();
    if (now > coin->exp || coin->state == "returned") return gone(*coin, now);
    const auto last = last_epoch(sql, coin->id);
    if (shown.index <= start_of(sql, *coin, last, now)) return bad_payword();
    if (!belongs(*coin, known_mark(*coin, last), shown)) return bad_payword();
    return Done{};
}

Outcome<Acquired> acquire(Context& context, Sql& sql, const vendors::Vendor& vendor, const std::string& name,
                          const Mark& shown, UnixTime now) {
    const auto coin = issue::find_coin(sql, name);
    if (!coin) return unknown_coin();
    const auto last = last_epoch(sql, coin->id);
    const bool held = last && !is_over(sql, *last, now);
    // Its own coin's holder may go on until the lease ends, return or not.
    if (held && last->vendor == vendor.id && now <= coin->exp) return again(context, sql, vendor, *coin, *last, now);
    if (is_gone(*coin, now)) return gone(*coin, now);
    // It may have changed hands since may_ask().
    if (shown.index <= start_of(sql, *coin, last, now)) return bad_payword();
    if (held) return held_elsewhere(context, sql, vendor, *coin, *last, now);
    return next_epoch(context, sql, vendor, *coin, last, shown, now);
}

void prove(Sql& sql, std::vector<RenewalItem>& items) {
    for (auto& item : items) {
        const auto coin = issue::find_coin(sql, item.coin);
        if (!coin) continue;
        item.proven = belongs(*coin, known_mark(*coin, last_epoch(sql, coin->id)), item.mark);
    }
}

Outcome<Renewed> renew(Context& context, Sql& sql, const vendors::Vendor& vendor,
                       const std::vector<RenewalItem>& items, UnixTime now) {
    Renewed result;
    for (const auto& item : items) {
        const auto coin = issue::find_coin(sql, item.coin);
        const auto last = coin ? last_epoch(sql, coin->id) : std::nullopt;
        if (auto why = objection(context, sql, vendor, item, coin, last, now); !why.empty()) {
            if (why == waiting) learn(sql, *last, item.mark, now);
            result.refused.push_back({item.coin, std::move(why)});
            continue;
        }
        learn(sql, *last, item.mark, now);
        result.custody.push_back(extend(context, sql, vendor, *coin, *last, now));
    }
    return result;
}

}  // namespace netpay::broker::custody
