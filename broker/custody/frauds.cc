#include "broker/custody/frauds.h"

#include "broker/custody/compensation.h"
#include "broker/vendors/vendors.h"

namespace netpay::broker::custody {

void prove(Context& context, Sql& sql, const Proof& p, UnixTime now) {
    const Int added = run(sql,
                          "INSERT INTO frauds (vendor, coin, epoch, kind, first, second, at) "
                          "VALUES (:v, :c, :e, :k, :f, :s, :t) ON CONFLICT DO NOTHING",
                          p.vendor, p.coin, p.epoch, p.kind, p.first, p.second, now);
    if (added == 0) return;
    const bool suspended = vendors::suspend_for_fraud(sql, p.vendor);
    const auto coin = one<std::string>(sql, "SELECT coin FROM coins WHERE id = :c", p.coin);
    context.log.error("fraud_proven", json::Object()
                                          .set("vendor", vendors::find(sql, p.vendor).value().origin)
                                          .set("coin", std::get<0>(coin.value()))
                                          .set("epoch", static_cast<std::uint64_t>(p.epoch))
                                          .set("proof", p.kind)
                                          .set("suspended", suspended));
}

Int proofs_over(Sql& sql, Int vendor, Int coin) {
    return number(sql, "SELECT COUNT(*) FROM frauds WHERE vendor = :v AND coin = :c AND cleared = 0", vendor, coin);
}

void clear_never_held(Context& context, Sql& sql, Int vendor, Int coin, Int epoch, Int culprit) {
    const auto proofs = all<Int, Int>(
        sql, "SELECT id, first FROM frauds WHERE vendor = :v AND coin = :c AND epoch = :e AND kind = :k AND cleared = 0",
        vendor, coin, epoch, fraud::never_held);
    for (const auto& [id, index] : proofs) {
        run(sql, "UPDATE frauds SET cleared = 1 WHERE id = :i", id);
        // Who sold by that index in good faith has its right against the one who deceived its signer.
        run(sql, "UPDATE compensations SET culprit = :u WHERE signed_index = :i AND paid = 0 AND vendor <> :v", culprit,
            index, culprit);
        run(sql, "UPDATE receivers SET culprit = :u WHERE signed_index = :i AND vendor <> :v", culprit, index, culprit);
        run(sql, "DELETE FROM compensations WHERE signed_index = :i AND paid = 0 AND culprit = :v", index, vendor);
        run(sql, "DELETE FROM receivers WHERE signed_index = :i AND culprit = :v", index, vendor);
    }
    if (!proofs.empty() && vendors::lift_fraud_suspension(sql, vendor))
        context.log.info("suspension_lifted",
                         json::Object().set("vendor", vendors::find(sql, vendor).value().origin));
}

Outcome<Done> hold_harmless(Sql& sql, Int coin, Int receiver, Int culprit, const OnFile& index, UnixTime now) {
    if (receiver == culprit) return Done{};
    const Int added = run(sql,
                          "INSERT INTO receivers (coin, vendor, culprit, signed_index, lo) VALUES (:c, :v, :u, :s, :l) "
                          "ON CONFLICT DO NOTHING",
                          coin, receiver, culprit, index.id, index.index);
    if (added == 0) return Done{};
    return compensate(sql, coin, receiver, now);
}

bool is_compensated(Sql& sql, Int coin, Int receiver, Int signed_index) {
    return number(sql,
                  "SELECT COUNT(*) FROM compensations WHERE coin = :c AND vendor = :v AND signed_index = :s AND paid > 0",
                  coin, receiver, signed_index) > 0;
}

}  // namespace netpay::broker::custody
