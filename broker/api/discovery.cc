// GET /.well-known/netpay, GET /jwks.json (PROTOCOL.md section 9).
#include "broker/api/resource.h"
#include "core/limits.h"

namespace netpay::broker::api {
namespace {

json::Object description(const Options& o) {
    std::vector<std::string> currencies;
    for (const auto& c : o.currencies) currencies.emplace_back(c.str());
    std::vector<json::Object> denominations;
    for (const auto& d : o.denominations)
        denominations.push_back(json::Object().set("unit", d.unit.micro()).set("n", std::uint64_t{d.n}));
    return json::Object()
        .set("issuer", o.issuer)
        .set("jwks_uri", o.jwks_uri())
        .set("api", o.api())
        .set("currencies", currencies)
        .set("max_length", std::uint64_t{limits::max_chain})
        .set("denominations", denominations);
}

Outcome<Response> describe(Broker b, Request&) {
    auto response = Response::json(200, description(b.context.options));
    response.headers.emplace_back("Cache-Control", "max-age=300");
    return response;
}

Outcome<Response> keys(Broker b, Request&) {
    Response response;
    response.content_type = "application/jwk-set+json";
    response.body = b.context.keys.listed()->jwks();
    // A new key is listed an hour and more before it signs.
    response.headers.emplace_back("Cache-Control", "max-age=300");
    return response;
}

}  // namespace

void add_discovery(Routes& routes, Broker b) {
    routes.add("GET", "/.well-known/netpay", handler(b, describe), {0, 50, 500});
    routes.add("GET", "/jwks.json", handler(b, keys), {0, 50, 500});
}

}  // namespace netpay::broker::api
