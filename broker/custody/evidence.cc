#include "broker/custody/evidence.h"

#include <algorithm>
#include <vector>

#include "broker/issue/coins.h"
#include "broker/store/query.h"
#include "core/json.h"

namespace netpay::broker::custody {
namespace {

using Objects = std::vector<json::Object>;

std::uint64_t u(Int v) { return static_cast<std::uint64_t>(v); }

Objects keys_of(Context& context) {
    Objects keys;
    for (const auto& k : context.keys.listed()->keys()) keys.push_back(k.jwk_for_set());
    return keys;
}

// Of every vendor that held the coin, signed an index of it, received one,
// or disputes a claim.
std::vector<std::string> certificates_of(Sql& sql, Int coin) {
    std::vector<std::string> list;
    const auto rows = all<std::string>(
        sql,
        "SELECT c.token FROM certificates c JOIN vendors v ON v.id = c.vendor WHERE c.vendor IN ("
        "SELECT vendor FROM epochs WHERE coin = :c1 UNION SELECT vendor FROM signed_indices WHERE coin = :c2 "
        "UNION SELECT vendor FROM receivers WHERE coin = :c3 UNION SELECT vendor FROM disputes WHERE coin = :c4 "
        "UNION SELECT w.id FROM signed_indices s JOIN vendors w ON w.origin = s.aud WHERE s.coin = :c5) "
        "ORDER BY v.origin, c.iat, c.id",
        coin, coin, coin, coin, coin);
    for (const auto& [token] : rows) list.push_back(token);
    return list;
}

Objects custody_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<Int, std::string, Int, Int, std::string, std::string>(
        sql,
        "SELECT e.epoch, v.origin, e.start, e.released, e.custody, e.signed_index FROM epochs e "
        "JOIN vendors v ON v.id = e.vendor WHERE e.coin = :c ORDER BY e.epoch",
        coin);
    for (const auto& [epoch, vendor, start, released, custody, index] : rows)
        list.push_back(json::Object()
                           .set("epoch", u(epoch))
                           .set("vendor", vendor)
                           .set("start", u(start))
                           .set_integer("released", released)
                           .set("custody", custody)
                           .set("index", index));
    return list;
}

Objects indices_of(Sql& sql, Int coin) {
    Objects list;
    for (const auto& [at, token] :
         all<Int, std::string>(sql, "SELECT at, token FROM signed_indices WHERE coin = :c ORDER BY id", coin))
        list.push_back(json::Object().set("at", u(at)).set("token", token));
    return list;
}

Objects claims_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<std::string, Int, Int, Int>(
        sql,
        "SELECT v.origin, r.epoch, r.lo, r.hi FROM credits r JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch "
        "JOIN vendors v ON v.id = e.vendor WHERE r.coin = :c ORDER BY r.lo",
        coin);
    for (const auto& [vendor, epoch, from, to] : rows)
        list.push_back(
            json::Object().set("vendor", vendor).set("epoch", u(epoch)).set("from", u(from)).set("to", u(to)));
    return list;
}

// The highest index of which something is known that cannot be spent any more.
Int known_spent(Sql& sql, Int coin) {
    const Int epochs =
        number(sql, "SELECT COALESCE(MAX(CASE WHEN released > known THEN released ELSE known END), 0) FROM epochs "
                    "WHERE coin = :c", coin);
    return std::max(epochs, number(sql, "SELECT COALESCE(MAX(hi), 0) FROM credits WHERE coin = :c", coin));
}

Objects paywords_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<Int, std::string>(
        sql,
        "SELECT idx, payword FROM known_paywords WHERE coin = :c1 AND idx <= :m1 "
        "UNION SELECT known, known_payword FROM epochs WHERE coin = :c2 AND known <= :m2 ORDER BY 1",
        coin, known_spent(sql, coin), coin, known_spent(sql, coin));
    for (const auto& [index, payword] : rows)
        list.push_back(json::Object().set("index", u(index)).set("payword", payword));
    return list;
}

Objects reversals_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<std::string, Int, Int, Int>(
        sql,
        "SELECT v.origin, r.epoch, r.lo, r.hi FROM reversals r JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch "
        "JOIN vendors v ON v.id = e.vendor WHERE r.coin = :c ORDER BY r.id",
        coin);
    for (const auto& [vendor, epoch, from, to] : rows)
        list.push_back(
            json::Object().set("vendor", vendor).set("epoch", u(epoch)).set("from", u(from)).set("to", u(to)));
    return list;
}

Objects compensations_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<std::string, std::string, Int, Int, Int, Int>(
        sql,
        "SELECT v.origin, w.origin, c.lo, c.hi, c.due, c.paid FROM compensations c JOIN vendors v ON v.id = c.vendor "
        "JOIN vendors w ON w.id = c.culprit WHERE c.coin = :c ORDER BY c.id",
        coin);
    for (const auto& [to, culprit, from, to_index, due, paid] : rows)
        list.push_back(json::Object()
                           .set("to", to)
                           .set("from_vendor", culprit)
                           .set("from", u(from))
                           .set("to_index", u(to_index))
                           .set("due", u(due))
                           .set("paid", u(paid)));
    return list;
}

Objects disputes_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<std::string, Int, Int, std::string, std::string>(
        sql,
        "SELECT v.origin, d.lo, d.hi, d.reason, COALESCE(w.origin, '') FROM disputes d JOIN vendors v ON v.id = d.vendor "
        "LEFT JOIN vendors w ON w.id = d.against WHERE d.coin = :c AND d.credited = 0 ORDER BY d.id",
        coin);
    for (const auto& [vendor, from, to, reason, against] : rows)
        list.push_back(json::Object()
                           .set("vendor", vendor)
                           .set("from", u(from))
                           .set("to", u(to))
                           .set("reason", reason)
                           .set("against", against));
    return list;
}

Objects findings_of(Sql& sql, Int coin) {
    Objects list;
    const auto rows = all<std::string, std::string, Int, std::string, std::string>(
        sql,
        "SELECT f.kind, v.origin, f.epoch, a.token, COALESCE(b.token, '') FROM frauds f JOIN vendors v ON v.id = f.vendor "
        "JOIN signed_indices a ON a.id = f.first LEFT JOIN signed_indices b ON b.id = f.second "
        "WHERE f.coin = :c AND f.cleared = 0 ORDER BY f.id",
        coin);
    for (const auto& [kind, vendor, epoch, first, second] : rows) {
        std::vector<std::string> tokens{first};
        if (!second.empty()) tokens.push_back(second);
        list.push_back(
            json::Object().set("kind", kind).set("vendor", vendor).set("epoch", u(epoch)).set("tokens", tokens));
    }
    return list;
}

}  // namespace

Outcome<std::string> evidence(Context& context, Sql& sql, const std::string& name, UnixTime now) {
    const auto coin = issue::find_coin(sql, name);
    if (!coin) return Refusal{404, "unknown-coin", "Not a coin of this broker", "This broker sold no coin of that name."};
    return json::Object()
        .set("netpay", "evidence/1")
        .set("broker", context.options.issuer)
        .set("coin", coin->coin)
        .set("made", u(now))
        .set("jwks", json::Object().set("keys", keys_of(context)))
        .set("touchstone", coin->touchstone)
        .set("certificates", certificates_of(sql, coin->id))
        .set("custody", custody_of(sql, coin->id))
        .set("indices", indices_of(sql, coin->id))
        .set("claims", claims_of(sql, coin->id))
        .set("paywords", paywords_of(sql, coin->id))
        .set("reversals", reversals_of(sql, coin->id))
        .set("compensations", compensations_of(sql, coin->id))
        .set("disputes", disputes_of(sql, coin->id))
        .set("findings", findings_of(sql, coin->id))
        .jcs();
}

}  // namespace netpay::broker::custody
