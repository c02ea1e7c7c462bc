#include "core/request.h"

#include "core/jws.h"
#include "core/limits.h"

namespace netpay {

std::string sign_request(const RequestHead& head, json::Object members, const SigningKey& caller) {
    members.set("iss", head.iss)
        .set("aud", head.aud)
        .set("call", head.call)
        .set("iat", static_cast<std::uint64_t>(head.iat))
        .set("jti", head.jti);
    return jws::sign(jws::request, members, caller);
}

Result<Request> verify_request(std::string_view token, std::string_view aud, std::string_view call,
                               const KeySet& caller_keys, UnixTime now) {
    auto v = jws::verify(token, jws::request, caller_keys);
    if (!v) return v.error();
    const auto& p = v->payload.root();
    const auto iss = p.string("iss"), to = p.string("aud"), what = p.string("call"), jti = p.string("jti");
    const auto iat = p.uint("iat");
    if (!iss || !to || !what || !jti || !iat) return {Code::malformed, "request: a member is missing or of the wrong type"};
    if (jti->empty() || jti->size() > 64) return {Code::malformed, "request: jti has 1 to 64 characters"};
    if (*to != aud) return {Code::mismatch, "request: aud is not " + std::string(aud)};
    if (*what != call) return {Code::mismatch, "request: call is not " + std::string(call)};
    const auto t = static_cast<UnixTime>(*iat);
    if (t > now + limits::request_skew_s || t < now - limits::request_skew_s)
        return {Code::expired, "request: iat is more than 60 s from this clock"};
    RequestHead head{std::string(*iss), std::string(*to), std::string(*what), t, std::string(*jti)};
    return Request{std::move(head), std::move(v->payload)};
}

}  // namespace netpay
