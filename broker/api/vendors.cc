// POST /vendors, GET /vendors, GET /vendors/{origin} (PROTOCOL.md section 9).
#include "broker/vendors/vendors.h"

#include "broker/api/resource.h"
#include "core/base64url.h"
#include "core/jws.h"
#include "core/origin.h"
#include "core/request.h"

namespace netpay::broker::api {
namespace {

Refusal bad_request(const Error& e) {
    return {e.code == Code::malformed || e.code == Code::limit ? 400 : 403, "registration",
            "The registration does not verify",
            e.detail + "; sign it with the key in its own \"jwk\", aud this broker's issuer, call \"vendors\"."};
}

// Signed by the key it names: whoever registers has that key.
Outcome<vendors::Registration> registration_of(Broker b, std::string_view token, UnixTime now) {
    const auto peeked = jws::peek(token);
    if (!peeked) return bad_request(peeked.error());
    const auto* jwk = peeked->root().object("jwk");
    if (!jwk) return missing("jwk", "the vendor's Ed25519 public key, an object, in the signed request");
    auto key = PublicKey::from_jwk(*jwk);
    if (!key) return bad_request(key.error());
    const auto request = verify_request(token, b.context.options.issuer, "vendors", KeySet({*key}), now);
    if (!request) return bad_request(request.error());
    const auto& members = request->payload.root();
    const auto origin = members.string("origin"), handoff = members.string("handoff");
    if (!origin || *origin != request->head.iss) return missing("origin", "the vendor's origin and equal to \"iss\"");
    if (!handoff) return missing("handoff", "an https URL on the vendor's origin");
    return vendors::Registration{std::string(*origin), std::string(*handoff), std::move(*key)};
}

Outcome<Response> enrol(Broker b, Request& request) {
    const auto account = signed_in(b, request);
    if (!account) return account.refusal();
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto token = body->root().string("request");
    if (!token) return missing("request", "a signed netpay-request, a string");
    const UnixTime now = b.context.clock.now();
    const auto registration = registration_of(b, *token, now);
    if (!registration) return registration.refusal();
    const auto status = b.store.write(
        [&](Sql& sql) { return vendors::enrol(sql, b.context.options, *account, *registration, now); });
    if (!status) return status.refusal();
    b.context.metrics.vendor_registered();
    b.context.log.info("vendor_registered", json::Object().set("origin", registration->origin).set("kid", registration->key.kid()));
    return Response::json(202, json::Object().set("origin", registration->origin).set("status", *status));
}

Outcome<Response> list(Broker b, Request&) {
    const auto certificates = b.store.read([&](Sql& sql) -> Outcome<std::vector<std::string>> {
        return vendors::certificates(sql, b.context.clock.now());
    });
    if (!certificates) return certificates.refusal();
    return Response::json(200, json::Object().set("certificates", *certificates));
}

Outcome<Response> show(Broker b, Request& request) {
    const auto origin = b64u_decode(request.params["origin"]);
    if (!origin || !is_origin(*origin))
        return Refusal{404, "unknown-vendor", "No such vendor", "The path ends in the vendor's origin in base64url."};
    const auto certificate = b.store.write(
        [&](Sql& sql) { return vendors::certificate(b.context, sql, *origin, b.context.clock.now()); });
    if (!certificate) return certificate.refusal();
    return Response::json(200, json::Object().set("certificate", *certificate));
}

}  // namespace

void add_vendors(Routes& routes, Broker b) {
    routes.add("POST", path("/vendors"), handler(b, enrol), {8192, 2, 50});
    routes.add("GET", path("/vendors"), handler(b, list), {0, 20, 200});
    routes.add("GET", path("/vendors/{origin}"), handler(b, show), {0, 20, 200});
}

}  // namespace netpay::broker::api
