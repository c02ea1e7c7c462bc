#include "broker/custody/epochs.h"

#include <map>

#include "broker/api/api.h"
#include "broker/ledger/ledger.h"
#include "core/limits.h"
#include "core/payword.h"
#include "core/rules.h"

namespace netpay::broker::custody {
namespace {

using EpochColumns = std::tuple<Int, Int, Int, Int, Int, std::string, std::string, Int, std::string, Int, Int, std::string>;

constexpr const char* epoch_columns =
    "SELECT coin, epoch, vendor, start, known, known_payword, custody, exp, status, released, settled, signed_index "
    "FROM epochs ";

template <class... In>
std::vector<EpochColumns> epochs(Sql& sql, const char* where, const In&... in) {
    return all<Int, Int, Int, Int, Int, std::string, std::string, Int, std::string, Int, Int, std::string>(
        sql, std::string(epoch_columns) + where, in...);
}

Epoch epoch_from(const EpochColumns& row) {
    const auto& [coin, epoch, vendor, start, known, payword, token, exp, status, released, settled, index] = row;
    Epoch e;
    e.coin = coin;
    e.epoch = epoch;
    e.vendor = vendor;
    e.start = static_cast<std::uint32_t>(start);
    e.known = static_cast<std::uint32_t>(known);
    e.known_payword = decode_payword(payword).value_or(Payword{});
    e.custody = token;
    e.exp = exp;
    e.status = status;
    e.released = released;
    e.settled = settled != 0;
    e.signed_index = index;
    return e;
}

std::optional<Epoch> first_of(const std::vector<EpochColumns>& rows) {
    if (rows.empty()) return std::nullopt;
    return epoch_from(rows.front());
}

// Without the rule (a canary build) an epoch ends with its lease.
std::int64_t lease_margin_s() { return rules::holds(rules::Rule::lease_margin) ? limits::lease_margin_s : 0; }

// Money that becomes payable, by vendor and currency.
using Payable = std::map<std::pair<std::string, Currency>, Amount>;

// Marks an epoch settled and adds its credits to the sum.
Outcome<Done> settle(Sql& sql, Int coin, Int epoch, Payable& sum) {
    const auto row = one<std::string, std::string, Int, Int>(
        sql,
        "SELECT v.origin, c.cur, e.credited * c.unit, e.settled FROM epochs e JOIN vendors v ON v.id = e.vendor "
        "JOIN coins c ON c.id = e.coin WHERE e.coin = :c AND e.epoch = :e",
        coin, epoch);
    const auto& [origin, cur, micro, settled] = row.value();
    if (settled != 0) return Done{};
    run(sql, "UPDATE epochs SET settled = 1 WHERE coin = :c AND epoch = :e", coin, epoch);
    auto& amount = sum[{origin, Currency::parse(cur).value_or(Currency())}];
    const auto more = Amount::from(static_cast<std::uint64_t>(micro)).value_or(Amount());
    amount = amount.plus(more).value_or(amount);
    return Done{};
}

Outcome<Done> book(Sql& sql, const Payable& sum, UnixTime now) {
    for (const auto& [whose, amount] : sum) {
        const auto& [origin, cur] = whose;
        if (amount.micro() == 0) continue;
        auto postings = ledger::give_vendor(sql, origin, cur, amount);
        postings.push_back({ledger::Side::debit, ledger::vendor_pending(origin), amount});
        auto posted = ledger::post(sql, {"settlement", origin, cur, std::move(postings), now});
        if (!posted) return posted;
    }
    return Done{};
}

}  // namespace

std::optional<Epoch> last_epoch(Sql& sql, Int coin) {
    return first_of(epochs(sql, "WHERE coin = :c ORDER BY epoch DESC LIMIT 1", coin));
}

std::optional<Epoch> epoch_at(Sql& sql, Int coin, Int epoch) {
    return first_of(epochs(sql, "WHERE coin = :c AND epoch = :e", coin, epoch));
}

Mark known_mark(const issue::Coin& coin, const std::optional<Epoch>& last) {
    if (!last) return {0, coin.root};
    return {last->known, last->known_payword};
}

bool belongs(const issue::Coin& coin, const Mark& known, const Mark& shown) {
    if (shown.index > coin.n) return false;
    if (shown.index >= known.index) return walk_down(coin.salt, shown.index, shown.payword, known.index) == known.payword;
    return walk_down(coin.salt, known.index, known.payword, shown.index) == shown.payword;
}

std::string booking_of_day(std::string_view relation) {
    return "INSERT INTO spent_days (account, cur, day, micro) "
           "SELECT c.account, c.cur, :d, (:k - e.known) * c.unit FROM epochs e JOIN coins c ON c.id = e.coin "
           "WHERE e.coin = :c AND e.epoch = :e AND e.known " +
           std::string(relation) +
           " :l ON CONFLICT (account, cur, day) DO UPDATE SET micro = spent_days.micro + excluded.micro";
}

void learn(Sql& sql, const Epoch& e, const Mark& mark, UnixTime now) {
    if (mark.index <= e.known) return;
    run(sql, booking_of_day("<"), now / booked_day_s, mark.index, e.coin, e.epoch, mark.index);
    run(sql, "UPDATE epochs SET known = :k, known_payword = :w WHERE coin = :c AND epoch = :e", mark.index,
        encode_payword(mark.payword), e.coin, e.epoch);
    run(sql, "INSERT INTO known_paywords (coin, idx, payword) VALUES (:c, :i, :w) ON CONFLICT DO NOTHING", e.coin,
        mark.index, encode_payword(mark.payword));
}

std::int64_t downtime_s(Sql& sql, UnixTime from, UnixTime to) {
    return number(sql,
                  "SELECT COALESCE(SUM(CASE WHEN until < :t1 THEN until ELSE :t2 END - "
                  "CASE WHEN since > :f1 THEN since ELSE :f2 END), 0) FROM downtimes WHERE until > :f3 AND since < :t3",
                  to, to, from, from, from, to);
}

bool is_held(Sql& sql, const std::optional<Epoch>& last, UnixTime now) { return last && !is_over(sql, *last, now); }

bool is_over(Sql& sql, const Epoch& e, UnixTime now) {
    if (e.status == "ended") return true;
    if (now <= e.exp + lease_margin_s()) return false;
    if (!rules::holds(rules::Rule::lease_margin)) return true;
    return now - e.exp - downtime_s(sql, e.exp, now) > limits::lease_margin_s;
}

Outcome<Done> heartbeat(Sql& sql, UnixTime now) {
    const Int last = number(sql, "SELECT COALESCE(MAX(at), 0) FROM heartbeat");
    if (last > 0 && now - last > 3 * tick_period_s)
        run(sql, "INSERT INTO downtimes (since, until) VALUES (:s, :u) ON CONFLICT DO NOTHING", last, now);
    if (now > last)
        run(sql, "INSERT INTO heartbeat (id, at) VALUES (1, :t) ON CONFLICT (id) DO UPDATE SET at = excluded.at", now);
    return Done{};
}

Outcome<Int> end_epochs(Sql& sql, UnixTime now, Int limit) {
    Payable sum;
    Int ended = 0;
    const auto due =
        epochs(sql, "WHERE status = 'held' AND exp < :t ORDER BY exp LIMIT :m", now - lease_margin_s(), limit);
    for (const auto& row : due) {
        const auto epoch = epoch_from(row);
        if (!is_over(sql, epoch, now)) continue;
        run(sql, "UPDATE epochs SET status = 'ended' WHERE coin = :c AND epoch = :e", epoch.coin, epoch.epoch);
        if (auto settled = settle(sql, epoch.coin, epoch.epoch, sum); !settled) return settled.refusal();
        ++ended;
    }
    if (auto booked = book(sql, sum, now); !booked) return booked.refusal();
    return ended;
}

Outcome<Done> close_at(Sql& sql, const issue::Coin& coin, const Epoch& e, const Mark& end, UnixTime now) {
    Payable sum;
    run(sql, booking_of_day("<>"), now / booked_day_s, end.index, coin.id, e.epoch, end.index);
    run(sql,
        "UPDATE epochs SET status = 'ended', released = :r, known = :k, known_payword = :w "
        "WHERE coin = :c AND epoch = :e",
        end.index, end.index, encode_payword(end.payword), coin.id, e.epoch);
    run(sql, "DELETE FROM waiting WHERE coin = :c", coin.id);
    if (auto settled = settle(sql, coin.id, e.epoch, sum); !settled) return settled;
    return book(sql, sum, now);
}

Outcome<Done> close(Sql& sql, const issue::Coin& coin, const Epoch& e, UnixTime now) {
    return close_at(sql, coin, e, {e.known, e.known_payword}, now);
}

}  // namespace netpay::broker::custody
