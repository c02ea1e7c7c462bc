// POST /ewallet/token, /ewallet/refresh, /ewallet/limits, /ewallet/leave: vendors
// that serve e-wallets, by signed requests (PROTOCOL.md section 4).
#include "broker/api/resource.h"
#include "broker/ewallet/grants.h"
#include "broker/ewallet/register.h"
#include "broker/vendors/caller.h"
#include "core/base64url.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay::broker::ewallet {
namespace {

// A vendor is one address for all of its readers, and strangers can make it bring codes that nobody gave.
constexpr RouteLimits token_limits{4096, 50, 500};
constexpr RouteLimits refresh_limits{4096, 20, 200};

constexpr std::string_view token_call = "ewallet/token";

// What a request says, before it is known who said it: what cannot be a code
// costs no signature and nothing in the store.
bool names_no_code(std::string_view token) {
    const auto from = token.find('.');
    const auto to = from == token.npos ? from : token.find('.', from + 1);
    const auto text = to == token.npos ? std::nullopt : b64u_decode(token.substr(from + 1, to - from - 1));
    const auto doc = text ? json::Document::parse(*text) : Result<json::Document>(Code::malformed, "");
    const auto code = doc && doc->root().is_object() ? doc->root().string("code") : std::nullopt;
    return code && !b64u_decode_array<32>(*code);
}

// Who calls; the request's jti is used up by it. A suspended vendor is heard, so that it learns what has ended.
Outcome<vendors::Call> call_of(api::Broker b, const Request& request, std::string_view call, UnixTime now) {
    const auto body = api::json_body(request);
    if (!body) return body.refusal();
    const auto token = body->root().string("request");
    if (!token) return api::missing("request", "a signed netpay-request, a string");
    if (call == token_call && names_no_code(*token)) return invalid_grant();
    auto found = b.store.read(
        [&](Sql& sql) { return vendors::verify_call(b.context, sql, *token, call, now, vendors::Callers::suspended_too); });
    if (!found) return found.refusal();
    const auto fresh = b.store.write([&](Sql& sql) { return vendors::use_once(sql, *found, now); });
    if (!fresh) return fresh.refusal();
    return found;
}

void set_limits(json::Object& o, UnixTime until, const Currency& currency, const Limits& limits) {
    o.set("until", static_cast<std::uint64_t>(until))
        .set("currency", currency.str())
        .set("per_page", limits.per_page.micro())
        .set("per_day", limits.per_day.micro())
        .set("automatic", limits.automatic);
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
    set_limits(o, t.until, t.currency, t.limits);
    o.set("reader", t.reader).set("coin", coin);
    return Response::json(200, o).no_store();
}

Refusal suspended() { return {403, "suspended-vendor", "The vendor is suspended", "Ask the broker's operator."}; }

Outcome<Response> token(api::Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, token_call, now);
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

Outcome<Response> limits_now(api::Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "ewallet/limits", now);
    if (!call) return call.refusal();
    const auto grant = call->request.payload.root().string("grant");
    if (!grant) return api::missing("grant", "a string");
    const auto held = b.store.read([&](Sql& sql) { return look_at_grant(sql, call->vendor, *grant, now); });
    if (!held) return held.refusal();
    json::Object o;
    set_limits(o, held->until, held->currency, held->limits);
    return Response::json(200, o).no_store();
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
    routes.add("POST", api::path("/ewallet/limits"), api::handler(b, limits_now), token_limits);
    routes.add("POST", api::path("/ewallet/leave"), api::handler(b, leave), refresh_limits);
}

}  // namespace netpay::broker::ewallet
