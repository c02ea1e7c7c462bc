#include "broker/custody/reversals.h"

#include <algorithm>

#include "broker/ledger/ledger.h"
#include "broker/vendors/vendors.h"

namespace netpay::broker::custody {
namespace {

// Cuts the ranges credited in an epoch at an index; gives the units taken off.
Int cut_credits(Sql& sql, const Epoch& e, Int above, Int signed_index, UnixTime now) {
    Int units = 0;
    const auto ranges = all<Int, Int>(
        sql, "SELECT lo, hi FROM credits WHERE coin = :c AND epoch = :e AND hi > :a ORDER BY lo", e.coin, e.epoch, above);
    for (const auto& [lo, hi] : ranges) {
        const Int from = std::max(lo, above);
        if (from == lo) run(sql, "DELETE FROM credits WHERE coin = :c AND lo = :l", e.coin, lo);
        else run(sql, "UPDATE credits SET hi = :h WHERE coin = :c AND lo = :l", from, e.coin, lo);
        run(sql,
            "INSERT INTO reversals (coin, epoch, signed_index, lo, hi, at) VALUES (:c, :e, :s, :l, :h, :t)", e.coin,
            e.epoch, signed_index, from, hi, now);
        units += hi - from;
    }
    return units;
}

}  // namespace

Int highest_credited(Sql& sql, const Epoch& e) {
    return number(sql, "SELECT COALESCE(MAX(hi), 0) FROM credits WHERE coin = :c AND epoch = :e", e.coin, e.epoch);
}

Outcome<Done> reverse(Sql& sql, const issue::Coin& coin, const Epoch& e, std::uint32_t above, Int signed_index,
                      UnixTime now) {
    const Int units = cut_credits(sql, e, above, signed_index, now);
    if (units == 0) return Done{};
    run(sql, "UPDATE epochs SET credited = credited - :u WHERE coin = :c AND epoch = :e", units, e.coin, e.epoch);
    run(sql, "UPDATE coins SET credited = credited - :u WHERE id = :c", units, e.coin);
    const auto amount = coin.unit.times(static_cast<std::uint64_t>(units)).value_or(Amount());
    const auto origin = vendors::find(sql, e.vendor).value().origin;
    std::vector<ledger::Posting> postings{{ledger::Side::debit, ledger::vendor_pending(origin), amount}};
    if (e.settled) postings = ledger::take_from_vendor(sql, origin, coin.currency, amount);
    postings.push_back({ledger::Side::credit, std::string(ledger::coins_outstanding), amount});
    return ledger::post(sql, {"reversal", coin.coin, coin.currency, std::move(postings), now});
}

}  // namespace netpay::broker::custody
