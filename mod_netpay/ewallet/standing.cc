#include "mod_netpay/ewallet/standing.h"

#include <algorithm>

namespace netpay::ewallet {
namespace {

using till::Entry;

Amount worth(const GrantedCoin& c, std::uint32_t to, std::uint32_t from) {
    return to > from ? c.unit.times(to - from).value_or(Amount()) : Amount();
}

}  // namespace

bool held(const std::optional<Entry>& e, UnixTime now) {
    return e && e->standing == till::Standing::held && e->coin.lease >= now;
}

std::uint32_t spent_of(const GrantedCoin& c, const std::optional<Entry>& e) {
    if (!e) return c.spent;
    return e->standing == till::Standing::held ? e->state.spent : std::max(e->state.spent, c.spent);
}

bool suffices(const GrantedCoin& c, const std::optional<Entry>& e, std::uint32_t units) {
    return std::uint64_t{spent_of(c, e)} + units <= c.granted;
}

bool is_gone(const std::optional<Entry>& e, std::uint64_t epoch) {
    return e && e->standing == till::Standing::handed_over && e->coin.epoch > epoch;
}

std::uint64_t ended_epoch(const std::optional<Entry>& e) {
    return e && e->standing == till::Standing::handed_over ? e->coin.epoch : 0;
}

PastCoin past_of(const GrantedCoin& c) { return {c.name, c.tag, c.salt, c.granted, c.word}; }

Standing standing_of(const Wallet& w, const std::optional<Entry>& e) {
    const auto& d = w.document;
    const auto spent = spent_of(d.coin, e);
    Standing s;
    s.kind = Standing::Kind::held;
    s.issuer = d.issuer;
    s.currency = d.currency;
    s.balance = worth(d.coin, d.coin.n, spent);
    s.today = worth(d.coin, d.coin.granted, spent);
    s.per_page = d.per_page;
    s.per_day = d.per_day;
    s.automatic = d.automatic;
    return s;
}

Standing moved_from(const std::string& issuer) {
    Standing s;
    s.kind = Standing::Kind::moved;
    s.issuer = issuer;
    return s;
}

}  // namespace netpay::ewallet
