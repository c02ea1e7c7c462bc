#include "mod_netpay/ewallet/permission.h"

#include "mod_netpay/ewallet/orders.h"

namespace netpay::ewallet {
namespace {

// Whether the page was paid within the grace time. The till replays a coin's
// latest payments (limits::recent_tickets); an older one, and a page that was
// given back, would be paid once more, which she does not expect: she is asked.
bool paid_lately(Holdings& h, const Visit& v, const Wallet& w) {
    const auto by = [&](const Tag16& coin) {
        const auto page = h.picks->of(coin, v.resource);
        if (!page || v.now - page->at > v.grace_s) return false;
        const auto e = h.till.find(coin);
        return e && e->state.tickets.contains(page->ticket);
    };
    const auto& d = w.document;
    return by(d.coin.tag) || (d.past && by(d.past->tag));
}

}  // namespace

bool asked(Holdings& h, const Visit& v, const Wallet& w) {
    return v.ordered_ok && ordered(h.cookies, v.cookies, {w.binding, v.target, v.price}, v.now);
}

bool allowed(Holdings& h, const Visit& v, const Wallet& w) {
    const auto& d = w.document;
    if (v.price.currency != d.currency) return false;
    return asked(h, v, w) || (v.unasked && d.automatic && v.price.amount <= d.per_page && !paid_lately(h, v, w));
}

bool within_day(Holdings& h, const Visit& v, const Wallet& w) {
    const auto& d = w.document;
    return asked(h, v, w) || h.picks->taken(reader_tag(d), v.now).micro() + v.price.amount.micro() <= d.per_day.micro();
}

}  // namespace netpay::ewallet
