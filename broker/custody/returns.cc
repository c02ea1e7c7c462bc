#include "broker/custody/returns.h"

#include "broker/custody/epochs.h"
#include "broker/issue/coins.h"
#include "broker/ledger/ledger.h"
#include "core/limits.h"

namespace netpay::broker::custody {
namespace {

using issue::Coin;

Refunded worth(const Coin& c, std::uint32_t units) { return {c.unit.times(units).value_or(Amount()), c.currency}; }

Outcome<Done> book(Sql& sql, const Coin& c, const std::string& owner, Amount amount, UnixTime now) {
    if (amount.micro() == 0) return Done{};
    return ledger::post(sql, {"refund", c.coin, c.currency,
                              {{ledger::Side::debit, std::string(ledger::coins_outstanding), amount},
                               {ledger::Side::credit, ledger::customer(owner), amount}},
                              now});
}

// Nobody holds the coin: what lies above the highest index known goes back.
Outcome<Refunded> refund(Context& context, Sql& sql, const Coin& c, const std::optional<Epoch>& last, UnixTime now) {
    const std::uint32_t units = c.n - known_mark(c, last).index;
    const auto refunded = worth(c, units);
    if (last)
        if (auto closed = close(sql, c, *last, now); !closed) return closed.refusal();
    const auto owner = one<std::string>(sql, "SELECT name FROM accounts WHERE id = :i", c.account);
    if (auto booked = book(sql, c, std::get<0>(owner.value()), refunded.amount, now); !booked) return booked.refusal();
    run(sql, "UPDATE coins SET state = 'returned', refunded = :u WHERE id = :i", units, c.id);
    run(sql, "DELETE FROM due_work WHERE coin = :c AND kind = 'return'", c.id);
    context.metrics.coin_returned(refunded.currency, refunded.amount);
    return refunded;
}

Waiting postpone(Sql& sql, const Coin& c, const Epoch& e) {
    const UnixTime due = e.exp + limits::lease_margin_s;
    run(sql, "UPDATE coins SET state = 'returning' WHERE id = :i", c.id);
    run(sql,
        "INSERT INTO due_work (coin, kind, due) VALUES (:c, 'return', :d) "
        "ON CONFLICT (coin, kind) DO UPDATE SET due = excluded.due",
        c.id, due);
    return {due};
}

}  // namespace

Outcome<Returned> give_back(Context& context, Sql& sql, const accounts::Account& account, const std::string& name,
                            UnixTime now) {
    const auto coin = issue::find_coin(sql, name);
    if (!coin || coin->account != account.id)
        return Refusal{404, "unknown-coin", "Not a coin of this account", "This account bought no coin of that name."};
    if (coin->state == "returned") return Returned(worth(*coin, coin->refunded));
    if (now > coin->exp + issue::claims_after_exp_s)
        return Refusal{410, "gone", "The coin cannot be returned any more",
                       "A coin can be returned until 90 days after it expires."};
    const auto last = last_epoch(sql, coin->id);
    if (last && !is_over(sql, *last, now)) return Returned(postpone(sql, *coin, *last));
    auto refunded = refund(context, sql, *coin, last, now);
    if (!refunded) return refunded.refusal();
    return Returned(*refunded);
}

Outcome<Int> finish_returns(Context& context, Sql& sql, UnixTime now, Int limit) {
    const auto due = all<std::string>(sql,
                                      "SELECT c.coin FROM due_work d JOIN coins c ON c.id = d.coin "
                                      "WHERE d.kind = 'return' AND d.due < :t ORDER BY d.due LIMIT :m",
                                      now, limit);
    Int finished = 0;
    for (const auto& [name] : due) {
        const auto coin = issue::find_coin(sql, name);
        const auto last = last_epoch(sql, coin->id);
        if (last && !is_over(sql, *last, now)) continue;
        if (auto refunded = refund(context, sql, *coin, last, now); !refunded) return refunded.refusal();
        ++finished;
    }
    return finished;
}

}  // namespace netpay::broker::custody
