#include "broker/web/takings.h"

#include "broker/ledger/ledger.h"
#include "broker/redeem/reason.h"
#include "core/jws.h"

namespace netpay::broker::web {
namespace {

constexpr Int day_s = 86400;

Int balance(Sql& sql, const std::string& name, const std::string& cur) {
    return number(sql, "SELECT balance FROM ledger_accounts WHERE name = :n AND cur = :c", name, cur);
}

// An answer begins with the receipt: {"receipt":"…","rejected":[…]}.
std::string_view receipt_in(std::string_view answer) {
    constexpr std::string_view head = "{\"receipt\":\"";
    if (!answer.starts_with(head)) return {};
    answer.remove_prefix(head.size());
    return answer.substr(0, answer.find('"'));
}

Int count(std::string_view text, std::string_view part) {
    Int n = 0;
    for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++n;
    return n;
}

// The broker wrote the list, and quotes within its strings are escaped: this
// stands nowhere but where a rejection names its reason.
std::vector<std::pair<std::string_view, Int>> reasons_in(std::string_view answer) {
    using redeem::Reason;
    std::vector<std::pair<std::string_view, Int>> list;
    for (const auto reason : {Reason::malformed, Reason::unknown_coin, Reason::range, Reason::not_held, Reason::overlap, Reason::forged}) {
        const auto name = redeem::name_of(reason);
        if (const Int n = count(answer, "\"reason\":\"" + std::string(name) + "\""); n > 0) list.emplace_back(name, n);
    }
    return list;
}

SeenBatch seen(const std::string& batch, UnixTime at, const std::string& answer) {
    SeenBatch b{batch, at, 0, 0, {}, reasons_in(answer)};
    const auto receipt = jws::peek(receipt_in(answer));  // our own, as it was stored
    if (!receipt) return b;
    const auto& members = receipt->root();
    b.accepted = static_cast<Int>(members.uint("accepted").value_or(0));
    b.rejected = static_cast<Int>(members.uint("rejected").value_or(0));
    if (const auto* credited = members.object("credited"))
        for (const auto& amount : *credited)
            b.credited.emplace_back(std::string(amount.name()), static_cast<Int>(amount.as_uint().value_or(0)));
    return b;
}

}  // namespace

std::vector<OwnSite> sites_of(Sql& sql, const accounts::Account& account) {
    std::vector<OwnSite> list;
    for (const auto& [id, origin, handoff, kid, status, why, frauds, iat, exp] :
         all<Int, std::string, std::string, std::string, std::string, std::string, Int, Int, Int>(
             sql,
             "SELECT v.id, v.origin, v.handoff, v.kid, v.status, v.suspended_for, "
             "(SELECT COUNT(*) FROM frauds f WHERE f.vendor = v.id AND f.cleared = 0), v.certificate_iat, v.certificate_exp "
             "FROM vendors v WHERE v.account = :a ORDER BY v.origin",
             account.id))
        list.push_back({id, origin, handoff, kid, status, why, frauds, iat, exp});
    for (const auto& [origin, handoff, kid] : all<std::string, std::string, std::string>(
             sql, "SELECT origin, handoff, kid FROM registrations WHERE account = :a ORDER BY origin", account.id))
        list.push_back({0, origin, handoff, kid, "pending", {}, 0, 0, 0});
    return list;
}

std::map<std::string, Due> due_to(Sql& sql, const std::string& origin) {
    std::map<std::string, Due> list;
    const auto pending = ledger::vendor_pending(origin), payable = ledger::vendor_payable(origin), owes = ledger::vendor_owes(origin);
    for (const auto& [cur] : all<std::string>(
             sql, "SELECT DISTINCT cur FROM ledger_accounts WHERE name IN (:p, :y, :o)", pending, payable, owes))
        list[cur] = {balance(sql, pending, cur), balance(sql, payable, cur), balance(sql, owes, cur),
                     number(sql, "SELECT COALESCE(SUM(total), 0) FROM movements WHERE kind = 'payout' AND reference = :r AND cur = :c",
                            origin, cur)};
    return list;
}

std::vector<Taken> taken_by_day(Sql& sql, const std::string& origin) {
    std::vector<Taken> list;
    // Settlements only move money between the vendor's own accounts, and add up to nothing.
    for (const auto& [number, cur, micro, paid] : all<Int, std::string, Int, Int>(
             sql,
             "SELECT m.at / 86400, m.cur, SUM(CASE WHEN m.kind = 'payout' THEN 0 ELSE e.credit - e.debit END), "
             "SUM(CASE WHEN m.kind = 'payout' THEN e.debit ELSE 0 END) FROM ledger_accounts a "
             "JOIN entries e ON e.account = a.id JOIN movements m ON m.id = e.movement "
             "WHERE a.name IN (:p, :y, :o) AND m.kind <> 'settlement' "
             "GROUP BY m.at / 86400, m.cur ORDER BY m.at / 86400 DESC, m.cur LIMIT :l",
             ledger::vendor_pending(origin), ledger::vendor_payable(origin), ledger::vendor_owes(origin), listed_days))
        list.push_back({number * day_s, cur, micro, paid});
    return list;
}

std::vector<SeenBatch> batches_of(Sql& sql, Int vendor) {
    std::vector<SeenBatch> list;
    // Of a longer answer the receipt alone, which has below 2 KB.
    for (const auto& [batch, at, answer] : all<std::string, Int, std::string>(
             sql,
             "SELECT batch, at, CASE WHEN LENGTH(answer) <= :r THEN answer ELSE SUBSTR(answer, 1, 8192) END FROM batches "
             "WHERE vendor = :v ORDER BY at DESC, batch LIMIT :l",
             readable_answer, vendor, listed_batches)) {
        const bool cut = !answer.ends_with('}');
        list.push_back(seen(batch, at, answer));
        if (cut) list.back().reasons.clear();
    }
    return list;
}

}  // namespace netpay::broker::web
