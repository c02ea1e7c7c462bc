#include "core/touchstone.h"

#include "core/base64url.h"
#include "core/jws.h"
#include "core/payword.h"

namespace netpay {

std::string sign_touchstone(const Touchstone& t, const SigningKey& broker) {
    const auto payload = json::Object()
                             .set("iss", t.iss)
                             .set("coin", t.coin)
                             .set("cur", t.cur.str())
                             .set("unit", t.unit.micro())
                             .set("n", std::uint64_t{t.n})
                             .set("salt", b64u_encode(t.salt))
                             .set("root", encode_payword(t.root))
                             .set("iat", static_cast<std::uint64_t>(t.iat))
                             .set("exp", static_cast<std::uint64_t>(t.exp));
    return jws::sign(jws::touchstone, payload, broker);
}

Result<Touchstone> verify_touchstone(std::string_view token, std::string_view issuer, const KeySet& broker,
                                     UnixTime now) {
    const auto v = jws::verify(token, jws::touchstone, broker);
    if (!v) return v.error();
    const auto& p = v->payload.root();
    const auto iss = p.string("iss"), coin = p.string("coin"), cur = p.string("cur"), salt = p.string("salt"),
               root = p.string("root");
    const auto unit = p.uint("unit"), n = p.uint("n"), iat = p.uint("iat"), exp = p.uint("exp");
    if (!iss || !coin || !cur || !salt || !root || !unit || !n || !iat || !exp)
        return {Code::malformed, "touchstone: a member is missing or of the wrong type"};
    if (*iss != issuer) return {Code::mismatch, "touchstone of another broker"};
    Touchstone t;
    t.iss = *iss;
    const auto c = Currency::parse(*cur);
    const auto u = Amount::from(*unit);
    const auto s = b64u_decode_array<16>(*salt);
    const auto r = decode_payword(*root);
    if (!c) return {Code::malformed, "touchstone: cur"};
    if (!u || u->micro() == 0) return {Code::malformed, "touchstone: unit"};
    if (*n < 1 || *n > limits::max_chain) return {Code::malformed, "touchstone: n"};
    if (!s || !r) return {Code::malformed, "touchstone: salt or root"};
    t.tag = coin_tag(*s, *r);
    t.coin = b64u_encode(t.tag);
    if (t.coin != *coin) return {Code::mismatch, "touchstone: coin is not the hash of salt and root"};
    t.cur = *c;
    t.unit = *u;
    t.n = static_cast<std::uint32_t>(*n);
    t.salt = *s;
    t.root = *r;
    t.iat = static_cast<UnixTime>(*iat);
    t.exp = static_cast<UnixTime>(*exp);
    if (now > t.exp) return {Code::expired, "touchstone expired"};
    return t;
}

}  // namespace netpay
