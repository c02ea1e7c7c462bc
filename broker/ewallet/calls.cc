// POST /ewallet/token, /ewallet/refresh, /ewallet/leave: vendors that serve
// e-wallets, by signed requests (PROTOCOL.md section 4).
#include "broker/api/resource.h"
#include "broker/ewallet/grants.h"
#include "broker/ewallet/register.h"
#include "broker/vendors/caller.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay::broker::ewallet {
namespace {

// A vendor is one address for all of its readers.
constexpr RouteLimits token_limits{4096, 5, 50};
constexpr RouteLimits refresh_limits{4096, 20, 200};

// Who calls; the request's jti is used up by it. A suspended vendor is heard, so that it learns what has ended.
Outcome<vendors::Call> call_of(api::Broker b, const Request& request, std::string_view call, UnixTime now) {
    const auto body = api::json_body(request);
    if (!body) return body.refusal();
    const auto token = body->root().string("request");
    if (!token) return api::missing("request", "a signed netpay-request, a string");
    auto found = b.store.read(
        [&](Sql& sql) { return vendors::verify_call(b.context, sql, *token, call, now, vendors::Callers::suspended_too); });
    if (!found) return found.refusal();
    const auto fresh = b.store.write([&](Sql& sql) { return vendors::use_once(sql, *found, now); });
    if (!fresh) return fresh.refusal();
    return found;
}

Response document(const Told& t) {
    json::Object coin;
    coin.set("touchstone", t.touchstone)
        .set("spent", std::uint64_t{t.spent})
        .set("granted", std::uint64_t{t.granted})
        .set("payword", encode_payword(t.payword));
    if (!t.holder.empty()) coin.set("holder", t.holder).set("held", std::uint64_t{t.held});
    json::Object o;
    if (!t.grant.empty()) o.set("grant", t.grant);
    o.set("until", static_cast<std::uint64_t>(t.until))
        .set("currency", t.currency.str())
        .set("per_page", t.limits.per_page.micro())
        .set("per_day", t.limits.per_day.micro())
        .set("automatic", t.limits.automatic)
        .set("coin", coin);
    return Response::json(200, o).no_store();
}

Refusal suspended() { return {403, "suspended-vendor", "The vendor is suspended", "Ask the broker's operator."}; }

Outcome<Response> token(api::Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "ewallet/token", now);
    if (!call) return call.refusal();
    if (call->vendor.status != "approved") return suspended();
    const auto& members = call->request.payload.root();
    const auto code = members.string("code"), redirect = members.string("redirect_uri"), verifier = members.string("code_verifier");
    if (!code) return api::missing("code", "the code that the reader's browser brought, a string");
    if (!verifier) return api::missing("code_verifier", "43 to 128 characters");
    if (redirect != call->vendor.origin + std::string(callback_path))
        return api::missing("redirect_uri", "the address that the code was sent to");
    const auto told = begin_grant(b.context, b.store, call->vendor, *code, *verifier, now);
    if (!told) return told.refusal();
    return document(*told);
}

Outcome<Response> refresh(api::Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "ewallet/refresh", now);
    if (!call) return call.refusal();
    const auto& members = call->request.payload.root();
    const auto grant = members.string("grant");
    const auto spent = members.uint("spent");
    const auto price = members.uint("price");
    const auto amount = price ? Amount::from(*price) : std::nullopt;
    if (!grant) return api::missing("grant", "a string");
    if (!amount) return api::missing("price", "micro-units of the e-wallet's currency, an integer");
    if (!spent || *spent > limits::max_chain) return api::missing("spent", "an integer from 0 to 1048576");
    const auto told =
        refresh_grant(b.context, b.store, call->vendor, *grant, *amount, static_cast<std::uint32_t>(*spent), now);
    if (!told) return told.refusal();
    return document(*told);
}

Outcome<Response> leave(api::Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "ewallet/leave", now);
    if (!call) return call.refusal();
    const auto grant = call->request.payload.root().string("grant");
    if (!grant) return api::missing("grant", "a string");
    const auto left = b.store.write([&](Sql& sql) -> Outcome<Done> {
        leave_grant(sql, call->vendor, *grant, now);
        return Done{};
    });
    if (!left) return left.refusal();
    return Response::json(200, json::Object()).no_store();
}

}  // namespace

void add_calls(Routes& routes, api::Broker b) {
    routes.add("POST", api::path("/ewallet/token"), api::handler(b, token), token_limits);
    routes.add("POST", api::path("/ewallet/refresh"), api::handler(b, refresh), refresh_limits);
    routes.add("POST", api::path("/ewallet/leave"), api::handler(b, leave), refresh_limits);
}

}  // namespace netpay::broker::ewallet
