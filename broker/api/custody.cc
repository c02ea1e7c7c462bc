// POST /custody/acquire, POST /custody/renew (PROTOCOL.md section 7).
#include "broker/api/resource.h"
#include "broker/custody/leases.h"
#include "broker/vendors/caller.h"
#include "core/limits.h"
#include "core/payword.h"
#include "core/problem.h"

namespace netpay::broker::api {
namespace {

constexpr std::size_t renewals = 1000;  // a call; the token's size allows fewer

Outcome<vendors::Call> call_of(Broker b, const Request& request, std::string_view call, UnixTime now) {
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto token = body->root().string("request");
    if (!token) return missing("request", "a signed netpay-request, a string");
    return b.store.read([&](Sql& sql) { return vendors::verify_call(b.context, sql, *token, call, now); });
}

// A signed request counts as used whatever becomes of it, so what `f` refuses
// is undone alone and the jti stays.
template <class F>
Outcome<Response> use(Broker b, const Request& request, const vendors::Call& call, UnixTime now, F f) {
    return b.store.write([&](Sql& sql) -> Outcome<Response> {
        if (auto fresh = vendors::use_once(sql, call, now); !fresh) return fresh.refusal();
        Savepoint part(sql);
        auto outcome = f(sql);
        if (!outcome) return refuse(b, request, outcome.refusal());
        part.keep();
        return std::move(*outcome);
    });
}

Outcome<custody::Mark> mark_of(const json::Value& v) {
    const auto index = v.uint("index");
    if (!index || *index > limits::max_chain) return missing("index", "an integer from 0 to 1048576");
    const auto text = v.string("payword");
    const auto payword = text ? decode_payword(*text) : std::nullopt;
    if (!payword) return missing("payword", "32 bytes in base64url without padding");
    return custody::Mark{static_cast<std::uint32_t>(*index), *payword};
}

Response granted(const custody::Granted& g) {
    return Response::json(200, json::Object().set("touchstone", g.touchstone).set("custody", g.custody)).no_store();
}

// What section 7 gives for 409, in a problem document.
Response held(const custody::Held& h) {
    auto document = problem_document("urn:netpay:problem:held", 409, "Another vendor holds the coin",
                                     "Ask its holder for it at the hand-over address in its certificate.");
    document.set("touchstone", h.touchstone).set("holder", h.holder).set("epoch", h.epoch).set("index", std::uint64_t{h.index});
    Response r;
    r.status = 409;
    r.content_type = "application/problem+json";
    r.body = document.jcs();
    return std::move(r).no_store();
}

const char* outcome_name(int status) {
    switch (status) {
        case 200: return "granted";
        case 409: return "held";
        case 404: return "unknown";
        case 410: return "gone";
        default: return "refused";
    }
}

Outcome<Response> acquire(Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "custody/acquire", now);
    if (!call) return call.refusal();
    const auto& members = call->request.payload.root();
    const auto coin = members.string("coin");
    if (!coin) return missing("coin", "the coin's name, a string");
    const auto mark = mark_of(members);
    if (!mark) return mark.refusal();
    const std::string name(*coin);
    const auto allowed = b.store.read([&](Sql& sql) { return custody::may_ask(sql, name, *mark, now); });
    auto answer = use(b, request, *call, now, [&](Sql& sql) -> Outcome<Response> {
        if (!allowed) return allowed.refusal();
        auto acquired = custody::acquire(b.context, sql, call->vendor, name, *mark, now);
        if (!acquired) return acquired.refusal();
        if (const auto* g = std::get_if<custody::Granted>(&*acquired)) return granted(*g);
        return held(std::get<custody::Held>(*acquired));
    });
    b.context.metrics.custody("acquire", outcome_name(answer ? answer->status : answer.refusal().status));
    return answer;
}

Outcome<std::vector<custody::RenewalItem>> items_of(const json::Value& members) {
    const auto* list = members.array("coins");
    if (!list || list->size() > renewals) return missing("coins", "an array of at most 1000 objects");
    std::vector<custody::RenewalItem> items;
    for (const auto& v : *list) {
        const auto coin = v.is_object() ? v.string("coin") : std::nullopt;
        const auto epoch = v.is_object() ? v.uint("epoch") : std::nullopt;
        if (!coin || !epoch) return missing("coins", "objects of coin, epoch, index and payword");
        const auto mark = mark_of(v);
        if (!mark) return mark.refusal();
        items.push_back({std::string(*coin), *epoch, *mark, false});
    }
    return items;
}

Response renewed(const custody::Renewed& r) {
    std::vector<json::Object> refused;
    for (const auto& u : r.refused) refused.push_back(json::Object().set("coin", u.coin).set("reason", u.reason));
    return Response::json(200, json::Object().set("custody", r.custody).set("refused", refused)).no_store();
}

Outcome<Response> renew(Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "custody/renew", now);
    if (!call) return call.refusal();
    auto items = items_of(call->request.payload.root());
    if (!items) return items.refusal();
    const auto proven = b.store.read([&](Sql& sql) -> Outcome<Done> {
        custody::prove(sql, *items);
        return Done{};
    });
    if (!proven) return proven.refusal();
    auto answer = use(b, request, *call, now, [&](Sql& sql) -> Outcome<Response> {
        auto result = custody::renew(b.context, sql, call->vendor, *items, now);
        if (!result) return result.refusal();
        return renewed(*result);
    });
    b.context.metrics.custody("renew", answer && answer->status == 200 ? "granted" : "refused");
    return answer;
}

}  // namespace

void add_custody(Routes& routes, Broker b) {
    // A vendor's hosts share an address: a busy hour brings a coin with every new reader.
    routes.add("POST", path("/custody/acquire"), handler(b, acquire), {16384, 200, 3000});
    routes.add("POST", path("/custody/renew"), handler(b, renew), {512 * 1024, 50, 1000});
}

}  // namespace netpay::broker::api
