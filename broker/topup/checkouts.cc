#include "broker/topup/checkouts.h"

#include <algorithm>

#include "broker/ledger/ledger.h"
#include "core/base64url.h"

namespace netpay::broker::topup {
namespace {

constexpr std::int64_t day_s = 86400;

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

Refusal wrong_amount(const Checkout& c, const Payment& p) {
    return {422, "checkout-amount", "The amount is not the checkout's",
            "Checkout " + std::to_string(c.id) + " is over " + std::to_string(c.amount) + " " + c.cur + " and not " +
                p.amount.str() + " " + std::string(p.currency.str()) + "; nothing was booked."};
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
    if (!c->is_over(p.currency) || amount(c->amount) != p.amount) return wrong_amount(*c, p);
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
    if (!c->is_over(p.currency) || p.amount > amount(c->amount)) return wrong_amount(*c, p);
    // Providers name the sum of all refunds; one that comes late names less.
    const auto fresh = p.amount.minus(amount(c->refunded));
    if (!fresh || fresh->micro() == 0) return Booking::nothing;
    const auto customer = ledger::customer(c->account);
    const auto covered = std::min(*fresh, ledger::balance(sql, customer, p.currency));
    const auto lost = fresh->minus(covered).value_or(Amount());
    const auto posted = ledger::post(sql, {"card-refund", c->name(), p.currency,
                                           {{ledger::Side::debit, customer, covered},
                                            {ledger::Side::credit, std::string(ledger::cash), covered},
                                            {ledger::Side::debit, std::string(ledger::card_losses), lost},
                                            {ledger::Side::credit, std::string(ledger::own_money), lost}},
                                           now});
    if (!posted) return posted.refusal();
    run(sql, "UPDATE checkouts SET refunded = :r, lost = lost + :l, state = :s WHERE id = :i", p.amount.micro(), lost.micro(),
        p.amount == amount(c->amount) ? "refunded" : "paid", c->id);
    return Booking::booked;
}

}  // namespace netpay::broker::topup
