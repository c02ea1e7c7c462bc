// POST /vendors, GET /vendors, GET /vendors/{origin} (PROTOCOL.md section 9).
#include "broker/vendors/vendors.h"

#include <memory>
#include <mutex>

#include "broker/api/resource.h"
#include "core/base64url.h"
#include "core/hash.h"
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

struct Signed {
    vendors::Registration registration;
    std::string jti;
};

// Signed by the key it names: whoever registers has that key.
Outcome<Signed> registration_of(Broker b, std::string_view token, UnixTime now) {
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
    return Signed{{std::string(*origin), std::string(*handoff), std::move(*key)}, request->head.jti};
}

Outcome<Response> enrol_by_call(Broker b, Request& request) {
    const auto account = signed_in(b, request);
    if (!account) return account.refusal();
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto token = body->root().string("request");
    if (!token) return missing("request", "a signed netpay-request, a string");
    const auto enrolled = enrol(b, *account, *token);
    if (!enrolled) return enrolled.refusal();
    const auto& [origin, kid, status] = *enrolled;
    return Response::json(202, json::Object().set("origin", origin).set("kid", kid).set("status", status));
}

// The list as it was last written. With thousands of vendors it has
// megabytes, and every vendor's host fetches it every five minutes: the store
// is asked for the rows' numbers, and only for the certificates if those changed.
class ListCache {
public:
    struct Written {
        std::vector<Int> rows;
        std::string body, tag;
    };

    Outcome<std::shared_ptr<const Written>> current(Store& store, UnixTime now) {
        const auto last = [this] {
            const std::lock_guard lock(mutex_);
            return written_;
        }();
        auto fresh = store.read([&](Sql& sql) -> Outcome<std::shared_ptr<const Written>> {
            auto rows = vendors::listed(sql, now);
            if (last && last->rows == rows) return last;
            return write(std::move(rows), vendors::certificates(sql, now));
        });
        if (!fresh || *fresh == last) return fresh;
        const std::lock_guard lock(mutex_);
        written_ = *fresh;
        return fresh;
    }

private:
    static std::shared_ptr<const Written> write(std::vector<Int> rows, const std::vector<std::string>& certificates) {
        auto w = std::make_shared<Written>();
        w->rows = std::move(rows);
        w->body = json::Object().set("certificates", certificates).jcs();
        w->tag = '"' + b64u_encode(sha256(w->body)) + '"';
        return w;
    }

    std::mutex mutex_;
    std::shared_ptr<const Written> written_;
};

// RFC 9110 section 13.1.2: one of several tags, weak or not, or any.
bool matches(std::string_view if_none_match, std::string_view tag) {
    return if_none_match == "*" || if_none_match.find(tag) != std::string_view::npos;
}

Outcome<Response> list(Broker b, const Request& request, ListCache& cache) {
    const auto written = cache.current(b.store, b.context.clock.now());
    if (!written) return written.refusal();
    Response r;
    r.headers.emplace_back("ETag", (*written)->tag);
    // A copy may miss what the last minute brought; a holder may have been suspended in it.
    r.headers.emplace_back("Cache-Control", "max-age=60");
    const auto known = request.header("if-none-match");
    if (known && matches(*known, (*written)->tag)) {
        r.status = 304;
        r.content_type.clear();
    } else {
        r.body = (*written)->body;
    }
    return r;
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

Outcome<Enrolled> enrol(Broker b, const accounts::Account& account, std::string_view token) {
    const UnixTime now = b.context.clock.now();
    const auto proven = registration_of(b, token, now);
    if (!proven) return proven.refusal();
    const auto& registration = proven->registration;
    const auto kid = registration.key.kid();
    const auto status = b.store.write([&](Sql& sql) -> Outcome<std::string> {
        if (auto fresh = vendors::register_once(sql, kid, proven->jti, now); !fresh) return fresh.refusal();
        return vendors::enrol(sql, b.context.options, account, registration, now);
    });
    if (!status) return status.refusal();
    b.context.metrics.vendor_registered();
    b.context.log.info("vendor_registered", json::Object().set("origin", registration.origin).set("kid", kid));
    return Enrolled{registration.origin, kid, *status};
}

void add_vendors(Routes& routes, Broker b) {
    routes.add("POST", path("/vendors"), handler(b, enrol_by_call), {8192, 2, 50});
    const auto cache = std::make_shared<ListCache>();
    const auto cached = [cache](Broker broker, Request& request) { return list(broker, request, *cache); };
    routes.add("GET", path("/vendors"), handler(b, cached), {0, 20, 200});
    routes.add("GET", path("/vendors/{origin}"), handler(b, show), {0, 20, 200});
}

}  // namespace netpay::broker::api
