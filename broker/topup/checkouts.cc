#include "broker/topup/checkouts.h"

#include <algorithm>

#include "broker/ledger/ledger.h"
#include "core/base64url.h"

namespace netpay::broker::topup {
namespace {

constexpr std::int64_t day_s = 86400;
// Between the clocks of a provider's machines, and ours.
constexpr std::int64_t clocks_differ_s = 60;

struct Checkout {
    Int id = 0;
    std::string account, cur;
    Int amount = 0, refunded = 0, lost = 0;
    std::string state;

    bool is_over(const Currency& currency) const { return cur == currency.str(); }
    bool has_been_paid() const { return state == "paid" || state == "refunded"; }
    std::string name() const { return "checkout " + std::to_string(id); }
};

Amount amount(Int micro) { return Amount::from(static_cast<std::uint64_t>(micro)).value_or(Amount()); }

constexpr const char* columns = "SELECT c.id, a.name, c.cur, c.amount, c.refunded, c.lost, c.state FROM checkouts c "
                                "JOIN accounts a ON a.id = c.account WHERE c.provider = :p AND ";

std::optional<Checkout> find(Sql& sql, std::string_view provider, const char* column, std::string_view value) {
    if (value.empty()) return std::nullopt;
    const auto row = one<Int, std::string, std::string, Int, Int, Int, std::string>(
        sql, std::string(columns) + "c." + column + " = :v", provider, value);
    if (!row) return std::nullopt;
    return std::make_from_tuple<Checkout>(*row);
}

Refusal wrong_amount(const Checkout& c, Amount found, const Currency& currency) {
    return {422, "checkout-amount", "The amount is not the checkout's",
            "Checkout " + std::to_string(c.id) + " is over " + std::to_string(c.amount) + " " + c.cur + " and not " +
                found.str() + " " + std::string(currency.str()) + "; nothing was booked."};
}

Refusal refund_unknown() {
    return {409, "refund-unknown", "The refund is not known to have been made",
            "Its failure came first; send it again when the refund has been told of."};
}

// By all that was told of, see checkouts.h; below 0 where more failed than was told to have been begun.
Int given_back(Sql& sql, const Checkout& c) {
    const Int begun = number(sql,
                             "SELECT COALESCE(MAX(r.total + COALESCE((SELECT SUM(f.amount) FROM checkout_failures f "
                             "WHERE f.checkout = r.checkout AND f.at < r.at), 0)), 0) FROM checkout_refunds r WHERE r.checkout = :c",
                             c.id);
    return begun - number(sql, "SELECT COALESCE(SUM(amount), 0) FROM checkout_failures WHERE checkout = :c", c.id);
}

Outcome<Booking> book(Sql& sql, const Checkout& c, Int refunded, Int lost, const ledger::Movement& movement) {
    const auto posted = ledger::post(sql, movement);
    if (!posted) return posted.refusal();
    run(sql, "UPDATE checkouts SET refunded = :r, lost = :l, state = :s WHERE id = :i", refunded, lost,
        refunded == c.amount ? "refunded" : "paid", c.id);
    return Booking::booked;
}

// Books what is between what was given back by the books and by what was told of.
Outcome<Booking> settle(Sql& sql, const Checkout& c, Int refunded, UnixTime now) {
    using ledger::Side;
    const auto currency = Currency::parse(c.cur).value_or(Currency());
    const auto customer = ledger::customer(c.account);
    const std::string cash(ledger::cash), losses(ledger::card_losses), own_money(ledger::own_money);
    if (refunded > c.refunded) {
        const auto fresh = amount(refunded - c.refunded);
        const auto covered = std::min(fresh, ledger::balance(sql, customer, currency));
        const auto lost = fresh.minus(covered).value_or(Amount());
        return book(sql, c, refunded, c.lost + static_cast<Int>(lost.micro()),
                    {"card-refund", c.name(), currency,
                     {{Side::debit, customer, covered}, {Side::credit, cash, covered},
                      {Side::debit, losses, lost}, {Side::credit, own_money, lost}},
                     now});
    }
    if (refunded < c.refunded) {
        // The loss first: as long as there is one, the customer has spent what is given back.
        const auto found = amount(std::min(c.lost, c.refunded - refunded));
        const auto returned = amount(c.refunded - refunded).minus(found).value_or(Amount());
        return book(sql, c, refunded, c.lost - static_cast<Int>(found.micro()),
                    {"card-refund-failed", c.name(), currency,
                     {{Side::debit, cash, returned}, {Side::credit, customer, returned},
                      {Side::debit, own_money, found}, {Side::credit, losses, found}},
                     now});
    }
    return Booking::nothing;
}

}  // namespace

Outcome<std::string> begin_checkout(Sql& sql, Random& random, std::string_view provider, const accounts::Account& account,
                                    const CardAmount& wanted, UnixTime now) {
    const Int unfinished = number(
        sql, "SELECT COUNT(*) FROM checkouts WHERE account = :a AND created > :t AND state IN ('open', 'failed')", account.id,
        now - day_s);
    if (unfinished >= unfinished_checkouts)
        return Refusal{429, "too-many-checkouts", "Too many payments were begun and not finished",
                       "Finish one of them, or try again tomorrow."};
    auto reference = b64u_encode(random.bytes<16>());
    run(sql,
        "INSERT INTO checkouts (account, provider, reference, cur, amount, state, created) "
        "VALUES (:a, :p, :r, :c, :m, 'open', :t)",
        account.id, provider, reference, wanted.currency.str(), wanted.amount.micro(), now);
    return reference;
}

bool first_time(Sql& sql, std::string_view provider, std::string_view event, UnixTime now) {
    return run(sql, "INSERT INTO checkout_events (provider, event, at) VALUES (:p, :e, :t) ON CONFLICT DO NOTHING", provider,
               event, now) > 0;
}

Outcome<Done> forget_events(Sql& sql, UnixTime now) {
    run(sql, "DELETE FROM checkout_events WHERE at < :t", now - events_kept_s);
    return Done{};
}

Outcome<Booking> pay(Sql& sql, std::string_view provider, const Payment& p, UnixTime now) {
    const auto c = find(sql, provider, "reference", p.reference);
    if (!c) return Booking::foreign;
    if (c->has_been_paid()) return Booking::nothing;
    if (!c->is_over(p.currency) || amount(c->amount) != p.amount) return wrong_amount(*c, p.amount, p.currency);
    const auto posted = ledger::post(sql, {"card", c->name(), p.currency,
                                           {{ledger::Side::debit, std::string(ledger::cash), p.amount},
                                            {ledger::Side::credit, ledger::customer(c->account), p.amount}},
                                           now});
    if (!posted) return posted.refusal();
    run(sql, "UPDATE checkouts SET state = 'paid', payment = :p WHERE id = :i", p.id, c->id);
    return Booking::booked;
}

Outcome<Done> forget_checkout(Sql& sql, std::string_view provider, std::string_view reference) {
    run(sql, "DELETE FROM checkouts WHERE provider = :p AND reference = :r AND state = 'open'", provider, reference);
    return Done{};
}

Outcome<Booking> fail(Sql& sql, std::string_view provider, std::string_view reference) {
    const auto c = find(sql, provider, "reference", reference);
    if (!c) return Booking::foreign;
    if (c->state == "open") run(sql, "UPDATE checkouts SET state = 'failed' WHERE id = :i", c->id);
    return Booking::nothing;
}

Outcome<Booking> refund(Sql& sql, std::string_view provider, const Payment& p, UnixTime now) {
    auto c = find(sql, provider, "payment", p.id);
    if (!c) c = find(sql, provider, "reference", p.reference);
    if (!c) return Booking::foreign;
    if (!c->has_been_paid())
        return Refusal{409, "checkout-unpaid", "The payment is not known to have been made",
                       "Its refund came first; send it again when the payment has been told of."};
    if (!c->is_over(p.currency) || p.amount > amount(c->amount)) return wrong_amount(*c, p.amount, p.currency);
    run(sql, "INSERT INTO checkout_refunds (checkout, at, total) VALUES (:c, :a, :m) ON CONFLICT DO NOTHING", c->id, p.at,
        p.amount.micro());
    return settle(sql, *c, given_back(sql, *c), now);
}

Outcome<Booking> refund_failed(Sql& sql, std::string_view provider, const FailedRefund& f, UnixTime now) {
    const auto c = find(sql, provider, "payment", f.payment);
    if (!c) {
        // The payment may be one of those that have not been told of yet; a refund names no reference of ours.
        const Int unpaid = number(sql,
                                  "SELECT COUNT(*) FROM checkouts WHERE provider = :p AND state IN ('open', 'failed') "
                                  "AND cur = :c AND amount >= :m AND created <= :t",
                                  provider, f.currency.str(), f.amount.micro(), f.begun + clocks_differ_s);
        if (unpaid > 0) return refund_unknown();
        return Booking::foreign;
    }
    if (!c->is_over(f.currency) || f.amount > amount(c->amount)) return wrong_amount(*c, f.amount, f.currency);
    // Several events tell of one failure; it was over when the first of them was made.
    run(sql,
        "INSERT INTO checkout_failures (checkout, refund, amount, at) VALUES (:c, :r, :m, :t) "
        "ON CONFLICT (checkout, refund) DO UPDATE SET at = MIN(at, excluded.at)",
        c->id, f.id, f.amount.micro(), f.failed);
    const Int told = number(sql, "SELECT COUNT(*) FROM checkout_refunds WHERE checkout = :c AND at >= :t", c->id,
                            f.begun - clocks_differ_s);
    const Int left = given_back(sql, *c);
    if (told == 0 || left < 0) return refund_unknown();
    return settle(sql, *c, left, now);
}

}  // namespace netpay::broker::topup
