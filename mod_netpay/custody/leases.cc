#include "mod_netpay/custody/leases.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/jws.h"
#include "core/payword.h"

namespace netpay::custody {
namespace {

// Rounds read the whole till, so they are no more frequent than a sixteenth
// of the shortest lease asks for. A minute where no lease is known yet, or the
// last round left something undone.
constexpr std::int64_t longest_interval_s = 600, eager_interval_s = 60;
// Coins looked at in one round: bounds its memory to 1 MiB. The others have
// their turn in the next, a minute later.
constexpr std::size_t most_due = 10000;
// A renewal the broker refused (another vendor waits, say) is tried again after this.
constexpr std::int64_t deferred_s = 900;

}  // namespace

Result<Custody> read_custody(std::string_view token, const KeySet& keys, const std::string& vendor,
                             const Touchstone& terms) {
    auto c = verify_custody(token, keys);
    if (!c) return c.error();
    if (c->iss != terms.iss) return {Code::mismatch, "custody: of another broker"};
    if (c->sub != vendor) return {Code::mismatch, "custody: for another vendor"};
    if (c->coin != terms.coin) return {Code::mismatch, "custody: of another coin"};
    if (c->index > terms.n) return {Code::mismatch, "custody: index beyond the chain"};
    if (walk_down(terms.salt, c->index, c->payword, 0) != terms.root)
        return {Code::forged, "custody: its payword is not of this chain"};
    return c;
}

Result<Custody> accept_custody(std::string_view token, const KeySet& keys, const std::string& vendor,
                               const Touchstone& terms, UnixTime now) {
    auto c = read_custody(token, keys, vendor, terms);
    if (c && c->exp < now) return {Code::expired, "custody: its lease has ended"};
    return c;
}

std::uint32_t Leases::interval_s() const {
    const auto shortest = shortest_lease_s_.load();
    const auto longest = shortest == 0 || unfinished_ ? eager_interval_s : longest_interval_s;
    return static_cast<std::uint32_t>(shortest == 0 ? longest : std::clamp<std::int64_t>(shortest / 16, 1, longest));
}

void Leases::note(std::int64_t lease_s) {
    auto known = shortest_lease_s_.load();
    while ((known == 0 || lease_s < known) && !shortest_lease_s_.compare_exchange_weak(known, lease_s)) {}
}

bool Leases::is_past_use(const till::Entry& e, UnixTime now) const {
    const bool nothing_owed = e.damaged || (e.owed.empty() && e.claimed >= e.state.spent);
    return now > e.coin.terms.exp + claims_after_exp_s && nothing_owed;
}

bool Leases::is_due(const till::Entry& e, UnixTime now) {
    if (e.standing != till::Standing::held) return false;
    // A lease that lasts as long as the coin cannot get longer; an unconfirmed one is not the broker's yet.
    if (e.damaged || e.coin.custody.empty() || e.coin.lease < now || e.coin.lease >= e.coin.terms.exp) return false;
    if (e.state.spent <= e.coin.start) return false;
    const auto signed_at = jws::peek(e.coin.custody);
    const auto iat = signed_at ? signed_at->root().uint("iat") : std::nullopt;
    if (!iat) return false;
    const auto begun = static_cast<UnixTime>(*iat);
    const auto whole = std::max<std::int64_t>(e.coin.lease - begun, 1);
    note(whole);
    if (e.coin.lease - now >= whole / 4) return false;
    if (e.last_used < begun) return false;
    const auto wait = deferred_.find(e.coin.terms.tag);
    return wait == deferred_.end() || now >= wait->second;
}

void Leases::round(const std::map<std::string, BrokerClient*, std::less<>>& brokers) {
    const UnixTime now = world_.clock.now();
    std::erase_if(deferred_, [&](const auto& d) { return d.second <= now; });
    shortest_lease_s_ = 0;
    unfinished_ = false;
    std::map<std::string, std::vector<Due>, std::less<>> due;
    std::vector<Tag16> past_use;
    std::size_t found = 0;
    till_.each([&](const till::Entry& e) {
        if (found >= most_due) {
            unfinished_ = true;
            return;
        }
        if (is_past_use(e, now)) {
            past_use.push_back(e.coin.terms.tag);
            ++found;
        } else if (brokers.contains(e.coin.terms.iss) && is_due(e, now)) {
            const auto& s = e.state;
            due[e.coin.terms.iss].push_back(
                {e.coin.terms.tag, e.coin.epoch, s.spent, walk_down(s.salt, s.revealed, s.word, s.spent), e.given_back});
            ++found;
        }
    });
    for (const auto& coin : past_use)
        if (const auto gone = till_.forget(coin); !gone)
            world_.log.write(Log::Level::warning, "a coin past its use stays in the till: " + gone.error().detail);
    for (auto& [issuer, coins] : due)
        if (bind(coins)) renew(*brokers.find(issuer)->second, coins);
}

// The broker is told of an s that never falls again, whatever readers give
// back: a lower one would look like a fraud. What was given back since it was
// read has its turn in the next round.
bool Leases::bind(std::vector<Due>& due) {
    std::vector<till::Till::Shown> shown;
    for (const auto& d : due) shown.push_back({d.coin, d.index, d.given_back});
    const auto stands = till_.show(shown);
    if (!stands) {
        world_.log.write(Log::Level::error, "leases are not renewed: " + stands.error().detail);
        unfinished_ = true;
        return false;
    }
    std::vector<Due> bound;
    for (std::size_t i = 0; i < due.size(); ++i)
        if ((*stands)[i]) bound.push_back(due[i]);
    if (bound.size() < due.size()) unfinished_ = true;
    due = std::move(bound);
    return true;
}

void Leases::renew(BrokerClient& broker, const std::vector<Due>& due) {
    for (std::size_t i = 0; i < due.size(); i += renewal_coins) {
        const auto count = std::min(renewal_coins, due.size() - i);
        auto sent = send(broker, &due[i], count);
        if (sent == Sent::refused && count > 1) {
            // One coin the broker will not hear of must not cost the others their lease.
            for (std::size_t k = i; k < i + count && sent != Sent::unreachable; ++k) sent = send(broker, &due[k], 1);
        }
        if (sent == Sent::unreachable) {
            unfinished_ = true;
            return;
        }
    }
}

Leases::Sent Leases::send(BrokerClient& broker, const Due* first, std::size_t count) {
    std::vector<json::Object> coins;
    for (const auto* d = first; d != first + count; ++d)
        coins.push_back(json::Object()
                            .set("coin", b64u_encode(d->coin))
                            .set("epoch", d->epoch)
                            .set("index", std::uint64_t{d->index})
                            .set("payword", encode_payword(d->word)));
    const auto reply = broker.call("custody/renew", json::Object().set("coins", coins));
    if (reply.status == 0) return Sent::unreachable;
    if (reply.status != 200) {
        if (count > 1) return Sent::refused;
        defer(first->coin);
        world_.log.write(Log::Level::warning,
                         "lease of coin " + b64u_encode(first->coin).substr(0, 8) + " not renewed: " + reply.detail);
        return Sent::refused;
    }
    const auto* answer = reply.body->root().array("custody");
    std::size_t renewed = 0;
    if (answer)
        for (const auto& token : *answer)
            if (const auto text = token.as_string(); text && take_up(broker, *text, first, count)) ++renewed;
    if (renewed < count) {
        for (const auto* d = first; d != first + count; ++d) defer(d->coin);
        world_.log.write(Log::Level::warning, "broker " + broker.issuer() + " renewed " + std::to_string(renewed) +
                                                  " of " + std::to_string(count) + " leases");
    }
    return Sent::done;
}

bool Leases::take_up(BrokerClient& broker, std::string_view token, const Due* first, std::size_t count) {
    // Which coin it is for is believed only after accept_custody() has seen the signature.
    const auto claimed = jws::peek(token);
    const auto name = claimed ? claimed->root().string("coin") : std::nullopt;
    const auto* d = std::find_if(first, first + count, [&](const Due& x) { return name == b64u_encode(x.coin); });
    if (d == first + count) return false;
    auto e = till_.find(d->coin);
    if (!e || e->coin.epoch != d->epoch) return false;
    const auto c = accept_custody(token, broker.keys().known()->keys, vendor_, e->coin.terms, world_.clock.now());
    if (!c) {
        if (c.error().code == Code::unknown_key) broker.keys().want_refresh();
        world_.log.write(Log::Level::warning, "broker " + broker.issuer() + ", custody/renew: " + c.error().detail);
        return false;
    }
    if (c->epoch != d->epoch || c->exp < e->coin.lease) return false;
    e->coin.custody = std::string(token);
    e->coin.lease = c->exp;
    const auto taken = till_.take(e->coin);
    if (!taken) world_.log.write(Log::Level::error, "a renewed lease cannot be kept: " + taken.error().detail);
    return taken && *taken;
}

void Leases::defer(const Tag16& coin) {
    const auto e = till_.find(coin);
    const auto now = world_.clock.now();
    if (e && e->coin.lease > now) deferred_[coin] = now + std::min(deferred_s, (e->coin.lease - now + 1) / 2);
}

}  // namespace netpay::custody
