#include "mod_netpay/ewallet/debits.h"

#include <algorithm>

#include "mod_netpay/ewallet/orders.h"
#include "mod_netpay/ewallet/permission.h"
#include "mod_netpay/ewallet/standing.h"

namespace netpay::ewallet {

using till::Entry;

PaymentPayload Debits::payload(const GrantedCoin& c, std::uint32_t index) {
    PaymentPayload p;
    p.coin = c.name;
    p.tag = c.tag;
    p.index = index;
    p.payword = h_.chains.at(c.tag, c.salt, c.granted, c.word, index);
    p.touchstone = c.touchstone;
    p.holder = c.holder;
    if (c.holder) p.held = c.held;
    return p;
}

Debit Debits::debit(const Visit& v, const Held& w, PaymentPayload payload) const {
    Debit d{std::move(payload), {}, w, false};
    if (auto done = order_done(h_.cookies, v.cookies, v.target); !done.empty()) d.cookies.push_back(std::move(done));
    return d;
}

std::optional<Debit> Debits::read_again(const Visit& v, const Held& w) {
    const auto& c = w->document.coin;
    if (auto d = read_again(v, w, past_of(c), h_.till.find(c.tag))) return d;
    const auto& past = w->document.past;
    return past ? read_again(v, w, *past, h_.till.find(past->tag)) : std::nullopt;
}

std::optional<Debit> Debits::read_again(const Visit& v, const Held& w, const PastCoin& c, const std::optional<Entry>& e) {
    if (!held(e, v.now)) return std::nullopt;
    for (const auto& t : e->state.recent) {
        if (!t.index || t.resource != v.resource || v.now - t.used_at > v.grace_s || t.index > c.granted) continue;
        PaymentPayload p;
        p.coin = c.name;
        p.tag = c.tag;
        p.index = t.index;
        p.payword = h_.chains.at(c.tag, c.salt, c.granted, c.word, t.index);
        auto d = debit(v, w, std::move(p));
        d.again = true;
        return d;
    }
    return std::nullopt;
}

Result<Debits::Ticketed> Debits::with_ticket(const Visit& v, const Held& w, const Entry& e, std::uint32_t units,
                                             std::uint32_t least) {
    const auto& c = w->document.coin;
    Picks::Wish wish;
    wish.coin = c.tag;
    wish.resource = v.resource;
    wish.state = &e.state;
    // The till lets nothing hop further.
    wish.granted = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(c.granted, std::uint64_t{e.state.revealed} + v.max_hop));
    wish.units = units;
    wish.least = least;
    wish.target = v.target;
    wish.price = v.price;
    wish.now = v.now;
    wish.grace_s = v.grace_s;
    if (!asked(h_, v, *w)) wish.unasked = {reader_tag(w->document), w->document.per_day};
    const auto ticket = h_.picks->pick(wish);
    if (!ticket) {
        h_.say(custody::Log::Level::error, ticket.error().detail);
        return ticket.error();
    }
    if (!ticket->ticket) return Ticketed{std::nullopt, ticket->over};
    auto p = payload(c, *ticket->ticket);
    p.holder.reset();  // it is held here
    p.held.reset();
    return Ticketed{debit(v, w, std::move(p))};
}

}  // namespace netpay::ewallet
