#include "core/certificate.h"

#include "core/jws.h"
#include "core/origin.h"

namespace netpay {

std::string sign_certificate(const Certificate& c, const SigningKey& broker) {
    const auto payload = json::Object()
                             .set("iss", c.iss)
                             .set("sub", c.sub)
                             .set("cnf", json::Object().set("jwk", c.key.jwk()))
                             .set("handoff", c.handoff)
                             .set("iat", static_cast<std::uint64_t>(c.iat))
                             .set("exp", static_cast<std::uint64_t>(c.exp));
    return jws::sign(jws::vendor, payload, broker);
}

Result<Certificate> verify_certificate(std::string_view token, std::string_view issuer, const KeySet& broker,
                                       UnixTime now) {
    const auto v = jws::verify(token, jws::vendor, broker);
    if (!v) return v.error();
    const auto& p = v->payload.root();
    const auto iss = p.string("iss"), sub = p.string("sub"), handoff = p.string("handoff");
    const auto iat = p.uint("iat"), exp = p.uint("exp");
    const auto* cnf = p.object("cnf");
    const auto* jwk = cnf ? cnf->object("jwk") : nullptr;
    if (!iss || !sub || !handoff || !iat || !exp || !jwk)
        return {Code::malformed, "certificate: a member is missing or of the wrong type"};
    if (*iss != issuer) return {Code::mismatch, "certificate of another broker"};
    if (!is_origin(*sub) || !handoff_fits(*handoff, *sub))
        return {Code::malformed, "certificate: sub or handoff"};
    auto key = PublicKey::from_jwk(*jwk);
    if (!key) return key.error();
    Certificate c{std::string(*iss), std::string(*sub), std::move(*key), std::string(*handoff),
                  static_cast<UnixTime>(*iat), static_cast<UnixTime>(*exp)};
    if (now > c.exp) return {Code::expired, "certificate expired"};
    if (now < c.iat - limits::request_skew_s) return {Code::mismatch, "certificate not valid yet"};
    return c;
}

bool handoff_fits(std::string_view url, std::string_view origin) {
    if (url.size() > 2 * limits::origin_bytes || origin_of(url) != origin) return false;
    for (const unsigned char c : url)  // what no URL contains could end a request line
        if (c <= ' ' || c >= 0x7f) return false;
    return url.substr(0, 8) == "https://" || is_loopback(origin);
}

}  // namespace netpay
