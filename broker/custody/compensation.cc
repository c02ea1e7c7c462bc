#include "broker/custody/compensation.h"

#include <algorithm>

#include "broker/custody/epochs.h"
#include "broker/custody/frauds.h"
#include "broker/ledger/ledger.h"
#include "broker/vendors/vendors.h"
#include "core/money.h"

namespace netpay::broker::custody {
namespace {

// A vendor's right to be paid by another: for units above lo.
struct Right {
    Int culprit = 0, signed_index = 0;
};

// By the newest index that lies at or below the first unit.
std::optional<Right> right_to(Sql& sql, Int coin, Int vendor, Int from) {
    const auto row = one<Int, Int>(sql,
                                   "SELECT culprit, signed_index FROM receivers WHERE coin = :c AND vendor = :v AND "
                                   "lo <= :f ORDER BY lo DESC, signed_index DESC LIMIT 1",
                                   coin, vendor, from);
    if (!row) return std::nullopt;
    return Right{std::get<0>(*row), std::get<1>(*row)};
}

// A unit is paid to a vendor once at the most: not if it was compensated for
// it, and not if it may claim it as its own.
bool is_paid_for(Sql& sql, Int coin, Int vendor, Int from, Int to) {
    return number(sql, "SELECT COUNT(*) FROM compensations WHERE coin = :c AND vendor = :v AND lo < :t AND hi > :f", coin,
                  vendor, to, from) > 0 ||
           number(sql,
                  "SELECT COUNT(*) FROM epochs WHERE coin = :c AND vendor = :v AND start < :t AND "
                  "(released > :f OR released = -1)",
                  coin, vendor, to, from) > 0;
}

struct Open {
    Int id = 0, culprit = 0, vendor = 0;
    Amount due;  // what is left of it
    Currency currency;
    std::string coin;
};

// What a culprit's balance reaches for: payable, and what is pending less what
// it owes already. The latter is advanced and repaid when it becomes payable.
Amount reach(Sql& sql, const std::string& culprit, const Currency& cur) {
    const auto payable = ledger::balance(sql, ledger::vendor_payable(culprit), cur);
    const auto pending = ledger::balance(sql, ledger::vendor_pending(culprit), cur);
    const auto free = pending.minus(ledger::balance(sql, ledger::vendor_owes(culprit), cur)).value_or(Amount());
    return payable.plus(free).value_or(payable);
}

// Whether nothing speaks against the culprit but that it never held the coin,
// and that has been said too lately to be sure.
bool may_be_cleared(Sql& sql, const Open& o, UnixTime now) {
    const auto proofs = all<std::string, Int>(
        sql,
        "SELECT f.kind, f.at FROM frauds f JOIN coins c ON c.id = f.coin WHERE f.vendor = :v AND c.coin = :c AND f.cleared = 0",
        o.culprit, o.coin);
    const bool sure = std::any_of(proofs.begin(), proofs.end(), [](const auto& p) { return std::get<0>(p) != fraud::never_held; });
    return !sure && std::any_of(proofs.begin(), proofs.end(), [&](const auto& p) {
        const auto at = std::get<1>(p);
        return now - at - downtime_s(sql, at, now) < accusation_stands_s;
    });
}

// Gives whether anything was paid.
Outcome<bool> pay(Sql& sql, const Open& o, UnixTime now) {
    if (may_be_cleared(sql, o, now)) return false;
    const auto culprit = vendors::find(sql, o.culprit).value().origin;
    const auto receiver = vendors::find(sql, o.vendor).value().origin;
    const auto amount = std::min(o.due, reach(sql, culprit, o.currency));
    if (amount.micro() == 0) return false;
    auto postings = ledger::take_from_vendor(sql, culprit, o.currency, amount);
    for (auto& p : ledger::give_vendor(sql, receiver, o.currency, amount)) postings.push_back(std::move(p));
    auto posted = ledger::post(
        sql, {"compensation", o.coin + " " + std::to_string(o.id), o.currency, std::move(postings), now});
    if (!posted) return posted.refusal();
    run(sql, "UPDATE compensations SET paid = paid + :p WHERE id = :i", amount.micro(), o.id);
    return true;
}

Outcome<Done> pay_for(Sql& sql, Int coin, Int vendor, Int from, Int to, const std::string& payword, UnixTime now) {
    const auto right = right_to(sql, coin, vendor, from);
    if (!right || is_paid_for(sql, coin, vendor, from, to)) return Done{};
    const auto row = one<std::string, std::string, Int>(sql, "SELECT coin, cur, unit FROM coins WHERE id = :c", coin);
    const auto& [name, cur, unit] = row.value();
    const auto each = Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount());
    const auto due = each.times(static_cast<std::uint64_t>(to - from)).value_or(Amount());
    const auto id = one<Int>(sql,
                             "INSERT INTO compensations (coin, vendor, culprit, signed_index, lo, hi, payword, cur, due, "
                             "at) VALUES (:c, :v, :u, :s, :l, :h, :p, :cur, :d, :t) RETURNING id",
                             coin, vendor, right->culprit, right->signed_index, from, to, payword, cur, due.micro(), now);
    const auto paid = pay(sql, {std::get<0>(id.value()), right->culprit, vendor, due,
                                Currency::parse(cur).value_or(Currency()), name}, now);
    if (!paid) return paid.refusal();
    return Done{};
}

// Another vendor that held the coin where the range begins; 0: none.
Int holder_at(Sql& sql, Int coin, Int vendor, Int from) {
    return number(sql,
                  "SELECT vendor FROM epochs WHERE coin = :c AND vendor <> :v AND start <= :f AND "
                  "(released > :g OR released = -1) ORDER BY epoch DESC LIMIT 1",
                  coin, vendor, from, from);
}

bool has_room(Sql& sql, Int coin, Int vendor) {
    return number(sql, "SELECT COUNT(*) FROM disputes WHERE coin = :c AND vendor = :v", coin, vendor) < disputes_kept;
}

}  // namespace

Outcome<Done> dispute(Sql& sql, const Dispute& d, UnixTime now) {
    if (has_room(sql, d.coin, d.vendor))
        run(sql,
            "INSERT INTO disputes (coin, vendor, lo, hi, payword, reason, against, batch, at) "
            "VALUES (:c, :v, :l, :h, :p, :r, :g, :b, :t) ON CONFLICT DO NOTHING",
            d.coin, d.vendor, d.from, d.to, d.payword, d.reason, holder_at(sql, d.coin, d.vendor, d.from), d.batch, now);
    return pay_for(sql, d.coin, d.vendor, d.from, d.to, d.payword, now);
}

Outcome<Done> compensate(Sql& sql, Int coin, Int vendor, UnixTime now) {
    const auto rows = all<Int, Int, std::string>(
        sql, "SELECT lo, hi, payword FROM disputes WHERE coin = :c AND vendor = :v ORDER BY id", coin, vendor);
    for (const auto& [lo, hi, payword] : rows)
        if (auto paid = pay_for(sql, coin, vendor, lo, hi, payword, now); !paid) return paid;
    return Done{};
}

Outcome<Int> pay_open(Sql& sql, UnixTime now, Int limit) {
    Int count = 0;
    const auto culprits = all<Int, std::string>(
        sql, "SELECT DISTINCT culprit, cur FROM compensations WHERE paid < due ORDER BY culprit, cur");
    for (const auto& [culprit, cur] : culprits) {
        const auto rows = all<Int, Int, Int, std::string>(
            sql,
            "SELECT m.id, m.vendor, m.due - m.paid, c.coin FROM compensations m JOIN coins c ON c.id = m.coin "
            "WHERE m.culprit = :v AND m.cur = :u AND m.paid < m.due ORDER BY m.id LIMIT :m",
            culprit, cur, limit - count);
        for (const auto& [id, vendor, due, coin] : rows) {
            const auto left = Amount::from(static_cast<std::uint64_t>(due)).value_or(Amount());
            const auto paid = pay(sql, {id, culprit, vendor, left, Currency::parse(cur).value_or(Currency()), coin}, now);
            if (!paid) return paid.refusal();
            if (*paid) ++count;
        }
        if (count == limit) break;
    }
    return count;
}

}  // namespace netpay::broker::custody
