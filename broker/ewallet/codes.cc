#include "broker/ewallet/codes.h"

#include "broker/ewallet/grants.h"
#include "broker/store/query.h"
#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::broker::ewallet {
namespace {

std::string hash_of(std::string_view code) { return b64u_encode(sha256({"netpay/ewallet/code", code})); }

// RFC 7636 section 4.1.
bool is_verifier(std::string_view text) {
    if (text.size() < 43 || text.size() > 128) return false;
    for (const char c : text)
        if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~'))
            return false;
    return true;
}

}  // namespace

std::string make_code(Context& context, Sql& sql, Int account, const Wanted& w, bool confirmed, UnixTime now) {
    std::string code = b64u_encode(context.random.bytes<32>());
    run(sql,
        "INSERT INTO ewallet_codes (code_hash, account, vendor, challenge, kind, cur, amount, confirmed, expires) "
        "VALUES (:h, :a, :v, :l, :k, :c, :m, :f, :e)",
        hash_of(code), account, w.vendor.id, w.challenge, w.kind, w.currency.str(), w.amount.micro(), confirmed ? 1 : 0,
        now + code_life_s);
    return code;
}

std::optional<Authorized> use_code(Sql& sql, const vendors::Vendor& vendor, std::string_view code, std::string_view verifier,
                                   UnixTime now) {
    Authorized a;
    a.code_hash = hash_of(code);
    end_grant_of_code(sql, a.code_hash, now);
    const auto row = one<Int, Int, std::string, std::string, std::string, Int, Int, Int>(
        sql, "SELECT account, vendor, challenge, kind, cur, amount, confirmed, expires FROM ewallet_codes WHERE code_hash = :h",
        a.code_hash);
    if (!row) return std::nullopt;
    run(sql, "DELETE FROM ewallet_codes WHERE code_hash = :h", a.code_hash);
    const auto& [account, of, challenge, kind, cur, amount, confirmed, expires] = *row;
    if (of != vendor.id || expires < now || !is_verifier(verifier) || !equal_ct(b64u_encode(sha256(verifier)), challenge))
        return std::nullopt;
    a.account = account;
    a.kind = kind;
    a.amount = Amount::from(static_cast<std::uint64_t>(amount)).value_or(Amount());
    a.currency = Currency::parse(cur).value_or(Currency());
    a.confirmed = confirmed != 0;
    return a;
}

void forget_codes_of(Sql& sql, Int account) { run(sql, "DELETE FROM ewallet_codes WHERE account = :a", account); }

void forget_codes_for(Sql& sql, Int account, const std::string& site) {
    run(sql, "DELETE FROM ewallet_codes WHERE account = :a AND vendor IN (SELECT id FROM vendors WHERE origin = :o)", account, site);
}

Int forget_codes(Sql& sql, UnixTime now) { return run(sql, "DELETE FROM ewallet_codes WHERE expires < :n", now); }

}  // namespace netpay::broker::ewallet
