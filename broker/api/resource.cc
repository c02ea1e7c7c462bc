#include "broker/api/resource.h"

namespace netpay::broker::api {

std::string path(std::string_view below_prefix) { return std::string(prefix) + std::string(below_prefix); }

Response refuse(Broker broker, const Request& request, const Refusal& r) {
    if (r.internal) {
        broker.context.log.error("refused", json::Object().set("kind", r.kind).set("request", request.request_id).set(
                                                "detail", printable(r.detail)));
        auto answer = Response::problem(r.status, r.kind, r.title, "Nothing was changed; try again.");
        answer.headers.emplace_back("Retry-After", "5");
        return answer;
    }
    auto answer = Response::problem(r.status, r.kind, r.title, r.detail);
    if (r.status == 401) answer.headers.emplace_back("WWW-Authenticate", "Bearer realm=\"netpay\"");
    return answer;
}

Handler handler(Broker broker, Resource resource) {
    return [broker, resource = std::move(resource)](Request& request) {
        auto outcome = resource(broker, request);
        if (!outcome) return refuse(broker, request, outcome.refusal());
        return std::move(*outcome);
    };
}

Outcome<json::Document> json_body(const Request& request, std::size_t depth) {
    auto doc = json::Document::parse(request.body, limits::json_values, depth);
    if (!doc) return Refusal{400, "malformed-json", "The body is not JSON", doc.error().detail + "; send one JSON object."};
    if (!doc->root().is_object())
        return Refusal{400, "malformed-json", "The body is not a JSON object", "Send one JSON object."};
    return std::move(*doc);
}

Outcome<Done> empty_or_json(const Request& request) {
    if (request.body.empty()) return Done{};
    if (const auto body = json_body(request); !body) return body.refusal();
    return Done{};
}

Refusal missing(std::string_view member, std::string_view what) {
    return {400, "malformed-request", "A member is missing or of the wrong type",
            "\"" + std::string(member) + "\" has to be " + std::string(what) + "."};
}

Outcome<accounts::Account> signed_in(Broker broker, const Request& request) {
    const auto token = request.bearer();
    if (!token)
        return Refusal{401, "token-needed", "A bearer token is needed",
                       "Send \"Authorization: Bearer\" with the token POST /accounts gave."};
    return broker.store.read([&](Sql& sql) { return accounts::authenticate(sql, *token); });
}

json::Object amounts(const std::map<Currency, Amount>& by_currency) {
    json::Object object;
    for (const auto& [cur, amount] : by_currency) object.set(cur.str(), amount.micro());
    return object;
}

}  // namespace netpay::broker::api
