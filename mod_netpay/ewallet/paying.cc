#include "mod_netpay/ewallet/paying.h"

#include <algorithm>
#include <span>

#include "mod_netpay/ewallet/permission.h"
#include "mod_netpay/ewallet/standing.h"

namespace netpay::ewallet {
namespace {

using custody::Taken;

constexpr std::int64_t fresh_s = 60;   // what the broker said so long ago of a grant is believed without asking
constexpr std::size_t short_coin = 8;  // of a coin's name in the log

// The same e-wallet, with what is newly known of it.
std::shared_ptr<Wallet> with_document(const Wallet& w, Document document) {
    auto fresh = std::make_shared<Wallet>();
    fresh->document = std::move(document);
    fresh->binding = w.binding;
    fresh->sid = w.sid.clone();
    return fresh;
}

}  // namespace

Considered Paying::consider(const Visit& v) {
    Considered out;
    auto o = h_.open_wallet(v.cookies, v.now, v.server, v.cookie);
    out.cookies = std::move(o.cookies);
    if (!o.moved_from.empty()) out.standing = moved_from(o.moved_from);
    if (!o.wallet) return out;
    const Wallet& w = *o.wallet;
    const auto& c = w.document.coin;
    const auto e = h_.till.find(c.tag);
    out.standing = standing_of(w, e);
    if ((out.debit = debits_.read_again(v, o.wallet))) return out;
    if (v.price.currency != w.document.currency) {
        out.standing = {};
        return out;
    }
    if (!allowed(h_, v, w) || !within_day(h_, v, w)) {
        // As it would come out, where that is known.
        const auto units = units_for(v.price.amount, c.unit);
        const bool enough = units && suffices(c, e, *units);
        const auto said = enough ? std::nullopt : refreshes_.denied(w, v.price.amount, v.now);
        if (said == Refreshes::Said::day_limit) out.standing.kind = Standing::Kind::day_limit;
        if (said == Refreshes::Said::too_little) out.standing.kind = Standing::Kind::too_little;
        return out;
    }
    Payment p{v, out, o.wallet};
    pay(p);
    return out;
}

std::optional<Debit> Paying::next(const Visit& v, const Debit& debit, const Refusal& refusal) {
    const bool spent = refusal.decision == Decision::already_spent;
    const bool short_of = refusal.decision == Decision::insufficient && refusal.needed && !debit.again;
    if ((!spent && !short_of) || !debit.wallet || !allowed(h_, v, *debit.wallet)) return std::nullopt;
    const auto& c = debit.wallet->document.coin;
    const auto e = h_.till.find(c.tag);
    const auto units = units_for(v.price.amount, c.unit);
    if (!held(e, v.now) || !units) return std::nullopt;
    if (!debit.again)
        if (auto paid = debits_.read_again(v, debit.wallet, past_of(c), e)) return paid;
    if (!suffices(c, e, *units)) return std::nullopt;
    auto other = debits_.with_ticket(v, debit.wallet, *e, *units, short_of ? *refusal.needed : 0);
    return other ? std::move(other->debit) : std::nullopt;
}

// Refreshed and acquired at most once each, a coin that came by a refresh once more.
void Paying::pay(Payment& p) {
    if (!still_stands(p)) return;
    for (;;) {
        const auto& c = p.wallet->document.coin;
        p.entry = h_.till.find(c.tag);
        p.out.standing = standing_of(*p.wallet, p.entry);
        const auto units = units_for(p.visit.price.amount, c.unit);
        if (!units) {
            p.out.standing.kind = Standing::Kind::too_little;
            return;
        }
        p.units = *units;
        // What was given back has its units and not its ticket, and other tabs
        // hold some: then there may be none, though the grant suffices.
        const bool enough = suffices(c, p.entry, p.units), here = held(p.entry, p.visit.now);
        if (enough && here && use(p)) return;
        if (!enough || here) {
            if (p.refreshed) {
                p.out.standing.kind = Standing::Kind::day_limit;
                return;
            }
            if (!refresh(p)) return;
            continue;
        }
        // The coin is elsewhere. Whether it may still be fetched is the broker's
        // to say: the reader may have taken the e-wallet to another site.
        if (!p.refreshed && p.visit.now - p.wallet->document.at > fresh_s) {
            if (!refresh(p)) return;
            continue;
        }
        if (p.acquired) {
            p.out.refusal = refuse::unavailable(Decision::custody_unavailable, busy_retry_s);
            return;
        }
        if (!acquire(p)) return;
    }
}

// Before money is taken on her word of a while ago: whether she signed out,
// took the e-wallet away or changed her limits since. A broker that does not
// answer stops nobody; what is granted is a day's at most.
bool Paying::still_stands(Payment& p) {
    const auto& d = p.wallet->document;
    if (p.visit.now - d.at <= Consents::good_s) return true;
    const auto answer = consents_.ask(*p.wallet, p.visit.now);
    if (answer.said == Consents::Said::silent) return true;
    if (answer.said == Consents::Said::ended) {
        ended(p);
        return false;
    }
    auto fresh = with_document(*p.wallet, copy_document(d));
    set_terms(fresh->document, answer.terms);
    if (!keep(p, std::move(fresh))) return false;
    p.out.standing = standing_of(*p.wallet, h_.till.find(p.wallet->document.coin.tag));
    return allowed(h_, p.visit, *p.wallet) && within_day(h_, p.visit, *p.wallet);
}

// More of the grant, or another coin.
bool Paying::refresh(Payment& p) {
    const auto& v = p.visit;
    const auto& before = p.wallet->document;
    p.refreshed = true;
    const auto enough = [&](const Document& d) {
        const auto units = units_for(v.price.amount, d.coin.unit);
        const bool more = d.coin.tag != before.coin.tag || d.coin.granted > before.coin.granted;
        return more && units && suffices(d.coin, h_.till.find(d.coin.tag), *units);
    };
    const auto spent = told_spent(p);
    auto answer = spent ? refreshes_.ask(*p.wallet, v.price.amount, *spent, v.now, enough) : Refreshes::Answer();
    auto& kind = p.out.standing.kind;
    switch (answer.said) {
        case Refreshes::Said::day_limit: kind = Standing::Kind::day_limit; return false;
        case Refreshes::Said::too_little: kind = Standing::Kind::too_little; return false;
        case Refreshes::Said::silent: p.out.standing.broker_silent = true; return false;
        case Refreshes::Said::ended: ended(p); return false;
        case Refreshes::Said::fresh: break;
    }
    auto fresh = with_document(*p.wallet, std::move(*answer.document));
    fresh->document.coin.epoch = ended_epoch(h_.till.find(fresh->document.coin.tag));
    if (fresh->document.coin.tag == before.coin.tag) {
        fresh->document.coin.epoch = before.coin.epoch;
        fresh->document.past = before.past;
    } else {
        fresh->document.past = past_of(before.coin);
        p.acquired = false;
    }
    return keep(p, std::move(fresh));
}

// What the broker is to be told is spent of the coin. It keeps that, so none
// of it is given back to the reader any more. Nothing: the till cannot say so now.
std::optional<std::uint32_t> Paying::told_spent(Payment& p) {
    const auto& c = p.wallet->document.coin;
    for (int tries = 0; p.entry && tries < 3; ++tries) {
        const till::Till::Shown shown{c.tag, p.entry->state.spent, p.entry->given_back};
        const auto stands = h_.till.show(std::span(&shown, 1));
        if (!stands) h_.say(custody::Log::Level::error, stands.error().detail);
        if (!stands) return std::nullopt;
        if (stands->front()) break;
        p.entry = h_.till.find(c.tag);
    }
    return spent_of(c, p.entry);
}

// Goes on with a document that has changed.
bool Paying::keep(Payment& p, std::shared_ptr<Wallet> fresh) {
    auto kept = h_.vault->keep(*fresh, p.visit.now);
    if (!kept && kept.error().code == Code::expired) {  // she signed out meanwhile
        p.out.standing = {};
        p.wallet = nullptr;
        return false;
    }
    if (!kept) {
        h_.say(custody::Log::Level::error, kept.error().detail);
        return false;
    }
    if (!kept->empty()) p.out.cookies = std::move(*kept);
    p.wallet = std::move(fresh);
    return true;
}

void Paying::ended(Payment& p) {
    p.out.cookies = {h_.vault->drop(*p.wallet)};
    p.out.standing = moved_from(p.wallet->document.issuer);
    p.wallet = nullptr;
}

// The coin to this till.
bool Paying::acquire(Payment& p) {
    const auto& c = p.wallet->document.coin;
    p.acquired = true;
    const auto top = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(c.granted, std::uint64_t{spent_of(c, p.entry)} + p.visit.max_hop));
    const auto wanted = debits_.payload(c, top);
    const auto a = p.entry ? h_.keeper.regain(wanted, p.visit.max_hop) : h_.keeper.acquire(wanted, p.visit.max_hop);
    const bool got = a.taken == Taken::held;
    if (auto* const counters = h_.options.counters) {
        counters->count(p.entry ? (got ? Tick::regain : Tick::regain_failed) : (got ? Tick::acquire : Tick::acquire_failed));
        if (const auto tick = takeover_tick(a.way); got && tick) counters->count(*tick);
    }
    if (got) return true;
    if (a.taken == Taken::unavailable) {
        h_.say(custody::Log::Level::warning, "coin " + c.name.substr(0, short_coin) + ": " + a.detail);
        p.out.refusal = refuse::unavailable(Decision::custody_unavailable, a.retry_after_s);
        return false;
    }
    // It was spent elsewhere, returned, or is past its time: the broker knows what there is instead.
    if (!p.refreshed && refresh(p)) {
        p.acquired = false;
        return true;
    }
    if (p.out.standing.broker_silent) p.out.refusal = refuse::unavailable(Decision::custody_unavailable, busy_retry_s);
    else if (p.out.standing.kind == Standing::Kind::held) ended(p);
    return false;
}

// False: there are units, and no ticket.
bool Paying::use(Payment& p) {
    // Another tab may have paid it since consider() looked; to the ticket's
    // choice a page that is not paid yet must look so in the same state.
    p.out.debit = debits_.read_again(p.visit, p.wallet, past_of(p.wallet->document.coin), p.entry);
    if (p.out.debit) return true;
    auto d = debits_.with_ticket(p.visit, p.wallet, *p.entry, p.units, 0);
    if (d) p.out.debit = std::move(d->debit);
    else p.out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
    return p.out.debit || p.out.refusal || d->over;
}

}  // namespace netpay::ewallet
