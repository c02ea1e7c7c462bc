#include "broker/vendors/vendors.h"

#include <set>

#include "core/base64url.h"
#include "core/certificate.h"
#include "core/limits.h"
#include "core/origin.h"

namespace netpay::broker::vendors {
namespace {

constexpr std::int64_t day_s = 86400;

using VendorColumns = std::tuple<Int, std::string, std::string, std::string, std::string, std::string>;

constexpr const char* listed_rows =
    " FROM certificates c JOIN vendors v ON v.id = c.vendor WHERE v.status = 'approved' AND c.exp >= :t AND c.revoked = 0 "
    "ORDER BY v.origin, c.iat DESC, c.id DESC";

std::optional<Vendor> vendor_from(const std::optional<VendorColumns>& row) {
    if (!row) return std::nullopt;
    const auto& [id, origin, handoff, kid, status, suspended_for] = *row;
    return Vendor{id, origin, handoff, kid, status, suspended_for};
}

std::optional<PublicKey> key_from(const std::string& x) {
    const auto bytes = b64u_decode_array<32>(x);
    if (!bytes) return std::nullopt;
    auto key = PublicKey::from_bytes(*bytes);
    if (!key) return std::nullopt;
    return std::move(*key);
}

Outcome<Done> check(const Options& options, const Registration& r) {
    const bool https = r.origin.rfind("https://", 0) == 0;
    if (!is_origin(r.origin) || (!https && !is_loopback(r.origin)))
        return Refusal{422, "origin", "That is not a vendor's origin",
                       "An origin is https://host or https://host:port in lower case, without path and default port."};
    if (!https && !options.allow_http_vendors)
        return Refusal{422, "origin", "The broker does not take http vendors",
                       "Use an https origin; allow-http-vendors=yes permits http on loopback, for tests."};
    if (!handoff_fits(r.handoff, r.origin))
        return Refusal{422, "handoff", "The hand-over address does not belong to the origin",
                       "handoff is an https URL on the vendor's own origin (http where that is a loopback one)."};
    return Done{};
}

bool is_approved_as(Sql& sql, const Registration& r) {
    const auto vendor = find(sql, r.origin);
    return vendor && vendor->status == "approved" && vendor->kid == r.key.kid() && vendor->handoff == r.handoff;
}

bool too_many(Sql& sql, Int account, const std::string& origin) {
    return number(sql, "SELECT COUNT(*) FROM registrations WHERE account = :a AND origin <> :o", account, origin) >=
           waiting_registrations;
}

Refusal several_keys() {
    return {409, "several-keys", "Several keys are known for that origin",
            "Find out which is the vendor's own, then name its kid; `vendor list` shows them."};
}

struct Candidate {
    std::string kid, x, handoff;
    Int account;
};

Outcome<Candidate> candidate(Sql& sql, const std::string& origin, const std::string& kid) {
    const auto rows = all<std::string, std::string, std::string, Int>(
        sql, "SELECT kid, x, handoff, account FROM registrations WHERE origin = :o ORDER BY at DESC, id DESC", origin);
    std::set<std::string> kids;
    std::optional<Candidate> newest;
    for (const auto& row : rows) {
        if (!kid.empty() && std::get<0>(row) != kid) continue;
        kids.insert(std::get<0>(row));
        if (!newest) newest = std::make_from_tuple<Candidate>(row);
    }
    if (!newest)
        return Refusal{404, "unknown-vendor", "Nothing to approve", "There is no registration of " + origin + "."};
    if (kids.size() > 1) return several_keys();
    return *newest;
}

Certificate certificate_for(const Options& options, const Vendor& v, PublicKey key, UnixTime now) {
    return {options.issuer, v.origin, std::move(key), v.handoff, now, now + options.certificate_days * day_s};
}

// Whether approving without naming a key would put another one in the place
// of the vendor's: anybody may register a key for any origin.
bool replaces_key(const std::optional<Vendor>& vendor, const Candidate& c, const std::string& named) {
    return vendor && named.empty() && c.kid != vendor->kid;
}

// Signs a new certificate over the vendor's current key and keeps it.
std::string issue(Context& context, Sql& sql, const Vendor& v, UnixTime now) {
    const auto x = one<std::string>(sql, "SELECT x FROM vendor_keys WHERE vendor = :v AND kid = :k", v.id, v.kid);
    auto key = x ? key_from(std::get<0>(*x)) : std::nullopt;
    if (!key) return {};
    const auto cert = certificate_for(context.options, v, std::move(*key), now);
    auto token = sign_certificate(cert, *context.keys.current());
    run(sql, "UPDATE vendors SET certificate = :c, certificate_iat = :i, certificate_exp = :e WHERE id = :v", token,
        cert.iat, cert.exp, v.id);
    run(sql, "INSERT INTO certificates (vendor, kid, token, iat, exp) VALUES (:v, :k, :t, :i, :e)", v.id, v.kid, token,
        cert.iat, cert.exp);
    run(sql, "UPDATE vendor_keys SET until = :u WHERE vendor = :v AND kid = :k", cert.exp, v.id, v.kid);
    return token;
}

Int enter(Sql& sql, const std::string& origin, const Candidate& c, UnixTime now) {
    run(sql,
        "INSERT INTO vendors (origin, status, handoff, kid, account, approved, certificate, certificate_iat, "
        "certificate_exp) VALUES (:o, 'approved', :h, :k, :a, :t, '', 0, 0) ON CONFLICT (origin) DO UPDATE SET "
        "handoff = excluded.handoff, kid = excluded.kid, account = excluded.account, "
        "approved = excluded.approved",
        origin, c.handoff, c.kid, c.account, now);
    const Int id = number(sql, "SELECT id FROM vendors WHERE origin = :o", origin);
    run(sql,
        "INSERT INTO vendor_keys (vendor, kid, x, since, until) VALUES (:v, :k, :x, :s, 0) "
        "ON CONFLICT (vendor, kid) DO NOTHING",
        id, c.kid, c.x, now);
    run(sql, "DELETE FROM registrations WHERE origin = :o", origin);
    return id;
}

Refusal proven_fraud(const Vendor& v, Int proofs) {
    return {409, "proven-fraud", "The vendor was proven a fraud",
            std::to_string(proofs) + " of its signatures contradict each other or its claims; `fraud list` shows them. "
            "To reinstate it all the same, name the key it is to have: --kid=" + v.kid + " is the one it had."};
}

Refusal unknown(std::string_view origin) {
    return {404, "unknown-vendor", "No such vendor", "This broker has approved no vendor " + std::string(origin) + "."};
}

}  // namespace

std::optional<Vendor> find(Sql& sql, std::string_view origin) {
    return vendor_from(one<Int, std::string, std::string, std::string, std::string, std::string>(
        sql, "SELECT id, origin, handoff, kid, status, suspended_for FROM vendors WHERE origin = :o", origin));
}

std::optional<Vendor> find(Sql& sql, Int id) {
    return vendor_from(one<Int, std::string, std::string, std::string, std::string, std::string>(
        sql, "SELECT id, origin, handoff, kid, status, suspended_for FROM vendors WHERE id = :i", id));
}

Outcome<std::string> enrol(Sql& sql, const Options& options, const accounts::Account& account, const Registration& r,
                           UnixTime now) {
    if (auto fits = check(options, r); !fits) return fits.refusal();
    if (is_approved_as(sql, r)) return std::string("approved");
    if (too_many(sql, account.id, r.origin))
        return Refusal{409, "too-many-registrations", "Too many registrations are waiting",
                       "The operator has to look at this account's others first."};
    run(sql,
        "INSERT INTO registrations (origin, kid, x, handoff, account, at) VALUES (:o, :k, :x, :h, :a, :t) "
        "ON CONFLICT (origin, account) DO UPDATE SET kid = excluded.kid, x = excluded.x, handoff = excluded.handoff, "
        "at = excluded.at",
        r.origin, r.key.kid(), b64u_encode(r.key.bytes()), r.handoff, account.id, now);
    return std::string("pending");
}

Outcome<std::string> approve(Context& context, Sql& sql, const std::string& origin, const std::string& kid,
                             UnixTime now) {
    const auto chosen = candidate(sql, origin, kid);
    const auto vendor = find(sql, origin);
    const Int proofs = vendor && vendor->status == "suspended" ? open_frauds(sql, vendor->id) : 0;
    if (proofs > 0 && kid.empty()) return proven_fraud(*vendor, proofs);
    if (chosen) {
        if (replaces_key(vendor, *chosen, kid)) return several_keys();
        enter(sql, origin, *chosen, now);
    } else if (chosen.refusal().status != 404 || !vendor || (!kid.empty() && kid != vendor->kid)) {
        return chosen.refusal();
    }
    run(sql, "UPDATE vendors SET status = 'approved', suspended_for = '' WHERE origin = :o", origin);
    return issue(context, sql, *find(sql, origin), now);
}

Outcome<Done> suspend(Sql& sql, const std::string& origin) {
    const Int found =
        run(sql, "UPDATE vendors SET status = 'suspended', suspended_for = 'operator' WHERE origin = :o", origin);
    if (found == 0) return unknown(origin);
    return Done{};
}

Outcome<Int> revoke_old_keys(Sql& sql, const std::string& origin, UnixTime now) {
    const auto vendor = find(sql, origin);
    if (!vendor) return unknown(origin);
    run(sql, "UPDATE vendor_keys SET until = :t WHERE vendor = :v AND kid <> :k AND until >= :n", now - 1, vendor->id,
        vendor->kid, now);
    return run(sql, "UPDATE certificates SET revoked = :t WHERE vendor = :v AND kid <> :k AND revoked = 0 AND exp >= :n",
               now, vendor->id, vendor->kid, now);
}

Int open_frauds(Sql& sql, Int vendor) {
    return number(sql, "SELECT COUNT(*) FROM frauds WHERE vendor = :v AND cleared = 0", vendor);
}

bool suspend_for_fraud(Sql& sql, Int vendor) {
    return run(sql,
               "UPDATE vendors SET status = 'suspended', suspended_for = 'fraud' WHERE id = :v AND status = 'approved'",
               vendor) > 0;
}

bool lift_fraud_suspension(Sql& sql, Int vendor) {
    if (open_frauds(sql, vendor) > 0) return false;
    return run(sql, "UPDATE vendors SET status = 'approved', suspended_for = '' WHERE id = :v AND suspended_for = 'fraud'",
               vendor) > 0;
}

Outcome<Done> register_once(Sql& sql, std::string_view kid, std::string_view jti, UnixTime now) {
    // Within a second of the limit a purge may not have run; what is older does not count.
    run(sql, "DELETE FROM registration_nonces WHERE kid = :k AND jti = :j AND at < :t", kid, jti,
        now - limits::request_jti_kept_s);
    const Int added = run(sql, "INSERT INTO registration_nonces (kid, jti, at) VALUES (:k, :j, :t) ON CONFLICT DO NOTHING",
                          kid, jti, now);
    if (added == 0)
        return Refusal{403, "request-replayed", "That signed request was used", "Make a new one with a jti of its own."};
    return Done{};
}

std::string last_certificate(Context& context, Sql& sql, const Vendor& v, UnixTime now) {
    const auto row = one<std::string, Int, Int>(
        sql, "SELECT certificate, certificate_iat, certificate_exp FROM vendors WHERE id = :i", v.id);
    const auto& [token, iat, exp] = row.value();
    const bool fresh = exp - now >= (exp - iat) / 2;
    return fresh || v.status != "approved" ? token : issue(context, sql, v, now);
}

Outcome<std::string> certificate(Context& context, Sql& sql, std::string_view origin, UnixTime now) {
    const auto vendor = find(sql, origin);
    if (!vendor || vendor->status != "approved") return unknown(origin);
    return last_certificate(context, sql, *vendor, now);
}

std::vector<Int> listed(Sql& sql, UnixTime now) {
    std::vector<Int> list;
    for (const auto& [id] : all<Int>(sql, std::string("SELECT c.id") + listed_rows, now)) list.push_back(id);
    return list;
}

std::vector<std::string> certificates(Sql& sql, UnixTime now) {
    std::vector<std::string> list;
    for (auto& [token] : all<std::string>(sql, std::string("SELECT c.token") + listed_rows, now))
        list.push_back(std::move(token));
    return list;
}

Outcome<Done> renew_certificates(Context& context, Sql& sql, UnixTime now) {
    const auto rows = all<std::string>(sql,
                                       "SELECT origin FROM vendors WHERE status = 'approved' AND "
                                       "certificate_exp - :t < (certificate_exp - certificate_iat) / 2",
                                       now);
    for (const auto& [origin] : rows) (void)certificate(context, sql, origin, now);
    return Done{};
}

KeySet keys_of(Sql& sql, Int vendor, UnixTime now) {
    std::vector<PublicKey> keys;
    for (const auto& [x] : all<std::string>(sql, "SELECT x FROM vendor_keys WHERE vendor = :v AND until >= :t", vendor, now))
        if (auto key = key_from(x)) keys.push_back(std::move(*key));
    return KeySet(std::move(keys));
}

KeySet keys_at(Sql& sql, Int vendor, UnixTime iat) {
    const auto rows = all<std::string>(sql,
                                       "SELECT DISTINCT k.x FROM certificates c JOIN vendor_keys k ON k.vendor = c.vendor "
                                       "AND k.kid = c.kid WHERE c.vendor = :v AND c.iat <= :f AND c.exp >= :t "
                                       "AND (c.revoked = 0 OR c.revoked >= :r)",
                                       vendor, iat + limits::request_skew_s, iat, iat - limits::request_skew_s);
    std::vector<PublicKey> keys;
    for (const auto& [x] : rows)
        if (auto key = key_from(x)) keys.push_back(std::move(*key));
    return KeySet(std::move(keys));
}

}  // namespace netpay::broker::vendors
