// The file, and the vendors: who was certified with which key, and when.
#include <set>

#include "audit/desk.h"
#include "core/base64url.h"

namespace netpay::audit {
namespace {

void read_vendors(Desk& desk) {
    auto st = desk.db.prepare("SELECT id, origin FROM vendors");
    while (st.step()) desk.vendors.emplace(st.number(0), st.text(1));
}

// Every certificate ever signed; gives vendor and kid of the good ones.
std::set<std::pair<std::int64_t, std::string>> certificates(Desk& desk) {
    std::set<std::pair<std::int64_t, std::string>> good;
    auto st = desk.db.prepare("SELECT vendor, kid, token, iat, exp FROM certificates ORDER BY id");
    while (st.step()) {
        ++desk.summary.counts.certificates;
        ++desk.summary.counts.signatures;
        const auto& origin = desk.origin(st.number(0));
        const auto c = desk.certified.add(st.view(2), desk.issuer(), desk.keys);
        if (!c) desk.fault("certificate", origin, "A certificate of " + origin + " does not verify: " + c.error().detail + ".");
        else if (c->sub != origin || c->key.kid() != st.view(1) || c->iat != st.number(3) || c->exp != st.number(4))
            desk.fault("certificate", origin, "A certificate is filed under " + origin + " and says something else: it is of " + c->sub + ".");
        else good.emplace(st.number(0), st.text(1));
    }
    return good;
}

// The certificate a vendor is shown with is one of those.
void shown(Desk& desk) {
    auto st = desk.db.prepare(
        "SELECT v.origin FROM vendors v WHERE v.certificate <> '' AND NOT EXISTS "
        "(SELECT 1 FROM certificates c WHERE c.vendor = v.id AND c.token = v.certificate)");
    while (st.step())
        desk.fault("certificate", st.text(0), "The current certificate of " + st.text(0) + " is not among those that were signed.");
}

// A key by which calls of a vendor are believed was certified for it.
void keys(Desk& desk, const std::set<std::pair<std::int64_t, std::string>>& certified) {
    auto st = desk.db.prepare("SELECT vendor, kid, x FROM vendor_keys WHERE until > 0 ORDER BY vendor, kid");
    while (st.step()) {
        const auto& origin = desk.origin(st.number(0));
        const auto x = b64u_decode_array<32>(st.view(2));
        const auto key = x ? PublicKey::from_bytes(*x) : Result<PublicKey>(Code::malformed, "x");
        if (!key || key->kid() != st.view(1) || !certified.contains({st.number(0), st.text(1)}))
            desk.fault("vendor-key", origin, "The key " + st.text(1) + " counts as one of " + origin + " and no certificate says so.");
    }
}

}  // namespace

void check_file(Desk& desk) {
    desk.listener.progress("file", 0, 0, desk.summary.counts);
    auto whole = desk.db.prepare("PRAGMA integrity_check(100)");
    while (whole.step())
        if (whole.view(0) != "ok") desk.fault("store-damaged", "store", "The store is damaged: " + whole.text(0) + ".");
    auto st = desk.db.prepare("PRAGMA foreign_key_check");
    while (st.step())
        desk.fault("reference", st.text(0) + " " + st.text(1),
                   "Row " + st.text(1) + " of " + st.text(0) + " belongs to a row of " + st.text(2) + " that is not there.");
}

void check_vendors(Desk& desk) {
    desk.listener.progress("vendors", 0, 0, desk.summary.counts);
    read_vendors(desk);
    const auto certified = certificates(desk);
    shown(desk);
    keys(desk, certified);
}

}  // namespace netpay::audit
