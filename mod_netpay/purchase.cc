#include "mod_netpay/purchase.h"

#include <string>

#include "core/jws.h"

namespace netpay {
namespace {

using custody::Acquired;
using custody::Taken;
using till::Answer;
using till::Outcome;

constexpr std::size_t short_coin = 8;          // of a coin's name in the log
constexpr std::uint32_t handed_on_retry_s = 1; // another vendor was quicker: ask again
constexpr std::uint32_t clock_retry_s = 60;    // an operator has to set it
constexpr std::uint32_t keys_retry_s = 2;      // they are being fetched
constexpr std::uint32_t confirm_retry_s = 5;   // a report is under way or waits for its next try

constexpr const char* unknown_coin = "This vendor does not know the coin: a touchstone that verifies is needed.";

Refusal not_taken(const Acquired& a, const SpendRules& rules) {
    switch (a.taken) {
        case Taken::touchstone:
            return refuse::verification_failed(Decision::touchstone, unknown_coin);
        case Taken::expired:
            return refuse::verification_failed(Decision::expired, "The coin is past its last day.");
        case Taken::broker:
            return refuse::verification_failed(Decision::broker, "The coin is of a broker that is not accepted here.");
        case Taken::forged:
            return refuse::verification_failed(Decision::forged, "The payword does not belong to this coin at this index.");
        case Taken::hop_too_long: {
            Refusal r = refuse::verification_failed(Decision::hop_too_long,
                                                    "The index lies too far from where this vendor takes the coin over.");
            r.max_hop = rules.max_hop;
            return r;
        }
        case Taken::refused:
            return refuse::verification_failed(Decision::lease_over,
                                               "The broker does not leave this coin with this vendor.");
        case Taken::held:
        case Taken::unavailable: break;
    }
    return refuse::unavailable(Decision::custody_unavailable, a.retry_after_s);
}

void count(const Desk& d, Tick t) {
    if (d.counters) d.counters->count(t);
}

// The most the payer accepts, judged before anything is looked at or revealed
// to the till: a dearer resource takes nothing from her.
std::optional<Refusal> dearer_than_accepted(const Desk& d, const PaymentPayload& payload, const till::Charge& charge) {
    if (!payload.max || charge.price <= *payload.max) return std::nullopt;
    std::uint32_t spent = 0, revealed = 0;
    std::optional<Amount> unit;
    if (const auto entry = d.till.find(payload.tag)) {
        spent = entry->state.spent;
        revealed = entry->state.revealed;
        unit = entry->coin.terms.unit;
    } else if (payload.touchstone) {
        // A coin not held here: what its owner says of it serves to tell her the index, and for nothing else.
        if (const auto claims = jws::peek(*payload.touchstone))
            if (const auto u = claims->root().uint("unit")) unit = Amount::from(*u);
    }
    if (!unit || !unit->micro())
        return refuse::verification_failed(Decision::touchstone, unknown_coin);
    const auto units = units_for(charge.price, *unit);
    const std::uint32_t needed = spent + units.value_or(limits::max_chain + 1);
    return refuse::insufficient(payload.coin, spent, revealed, needed,
                                "The price is higher than the most this payment allows.");
}

// A coin that is not hot may be known to be used at this index from a copy,
// which spares a read of the till's store. Not while a free replay may be due.
std::optional<Refusal> used_by_copy(const Desk& d, const PaymentPayload& payload, const till::Charge& charge) {
    const auto& p = charge.payment;
    if (!d.cache || p.index < 1 || p.index > limits::max_chain || d.till.hot(charge.coin)) return std::nullopt;
    const auto copy = d.cache->get(charge.coin);
    if (!copy || !copy->proves_spent(p, charge.rules)) return std::nullopt;
    return refuse::judged(Verdict::already_spent, payload.coin, copy->spent, copy->revealed, 0, 0);
}

// Gets the coin that the till does not hold or holds no longer. Nothing: it is there now.
std::optional<Refusal> fetch(const Desk& d, const PaymentPayload& payload, const till::Charge& charge, bool known) {
    const Acquired a = known ? d.keeper.regain(payload, charge.rules.max_hop)
                             : d.keeper.acquire(payload, charge.rules.max_hop);
    const bool held = a.taken == Taken::held;
    count(d, known ? (held ? Tick::regain : Tick::regain_failed) : (held ? Tick::acquire : Tick::acquire_failed));
    if (const auto tick = takeover_tick(a.way); held && tick) count(d, *tick);
    if (held) return std::nullopt;
    if (a.taken == Taken::unavailable && d.log)
        d.log->write(custody::Log::Level::warning, "coin " + payload.coin.substr(0, short_coin) + ": " + a.detail);
    return not_taken(a, charge.rules);
}

// All is sold that may be before the broker confirms the hand-over: reported
// now, in the customer's time. Nothing: it is confirmed.
std::optional<Refusal> confirm(const Desk& d, const PaymentPayload& payload) {
    const bool confirmed = d.keeper.confirm(payload.tag);
    count(d, confirmed ? Tick::confirm : Tick::confirm_failed);
    if (confirmed) return std::nullopt;
    if (d.log)
        d.log->write(custody::Log::Level::warning,
                     "coin " + payload.coin.substr(0, short_coin) + ": every page is sold that may be (NetPayUnconfirmed) before the broker confirms its hand-over");
    return refuse::unavailable(Decision::custody_unavailable, confirm_retry_s);
}

bool lease_over(const Outcome& o) { return o.answer == Answer::judged && o.verdict == Verdict::lease_over; }

std::variant<Purchase, Refusal> answer(const Desk& d, const PaymentPayload& payload, const till::Charge& charge,
                                       const Outcome& o) {
    switch (o.answer) {
        case Answer::judged:
            if (o.verdict == Verdict::paid || o.verdict == Verdict::replayed) return Purchase{o};
            return refuse::judged(o.verdict, payload.coin, o.spent, o.revealed, o.needed, charge.rules.max_hop);
        case Answer::currency:
            return refuse::verification_failed(Decision::currency, "The coin is of another currency than the price.");
        case Answer::broker:
            return refuse::verification_failed(Decision::broker, "The coin is of a broker that is not accepted here.");
        case Answer::not_held: return refuse::unavailable(Decision::custody_unavailable, handed_on_retry_s);
        case Answer::unconfirmed: return refuse::unavailable(Decision::custody_unavailable, confirm_retry_s);
        case Answer::unknown:
        case Answer::unavailable: break;
    }
    count(d, Tick::till_failure);
    if (d.log) d.log->write(custody::Log::Level::error, std::string("till: ") + (*o.why ? o.why : "cannot answer"));
    return refuse::unavailable(Decision::till_unavailable, 1);
}

}  // namespace

std::variant<Purchase, Refusal> purchase(const Desk& d, const PaymentPayload& payload, till::Charge& charge) {
    if (!d.keeper.clock_good()) return refuse::unavailable(Decision::clock, clock_retry_s);
    if (auto r = dearer_than_accepted(d, payload, charge)) return std::move(*r);
    if (auto r = used_by_copy(d, payload, charge)) return std::move(*r);
    Outcome o = d.till.reserve(charge);
    // A strange coin first comes into custody; one that was here is asked for
    // again. Once: whatever the till says after that is the answer.
    const bool known = o.answer == Answer::not_held || lease_over(o);
    if (known || o.answer == Answer::unknown) {
        if (auto r = fetch(d, payload, charge, known)) return std::move(*r);
        o = d.till.reserve(charge);
    }
    if (o.answer == Answer::unconfirmed) {
        if (auto r = confirm(d, payload)) return std::move(*r);
        o = d.till.reserve(charge);
    }
    return answer(d, payload, charge, o);
}

std::optional<Refusal> closed(const Desk& d) {
    if (!d.keeper.ready()) return refuse::unavailable(Decision::custody_unavailable, keys_retry_s);
    if (!d.keeper.clock_good()) return refuse::unavailable(Decision::clock, clock_retry_s);
    return std::nullopt;
}

}  // namespace netpay
