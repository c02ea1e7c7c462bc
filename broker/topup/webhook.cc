#include "broker/topup/webhook.h"

#include <charconv>
#include <optional>
#include <string>
#include <vector>

#include "broker/topup/card.h"
#include "broker/topup/checkouts.h"
#include "broker/topup/minor.h"
#include "core/hash.h"
#include "core/json.h"

namespace netpay::broker::topup {
namespace {

// A checkout session with all its members has 5 KB.
constexpr std::size_t body_bytes = 65536;
// A provider signs under two secrets while one replaces the other.
constexpr std::size_t most_signatures = 8;
// Of an event or a refund.
constexpr std::size_t longest_id = 255;

struct Signatures {
    std::string_view time;  // as it was signed
    std::vector<std::string_view> v1;
};

std::optional<Signatures> read(std::string_view field) {
    Signatures s;
    while (!field.empty()) {
        const auto part = field.substr(0, field.find(','));
        field.remove_prefix(std::min(part.size() + 1, field.size()));
        const auto eq = part.find('=');
        if (eq == std::string_view::npos) return std::nullopt;
        auto name = part.substr(0, eq);
        while (!name.empty() && name.front() == ' ') name.remove_prefix(1);  // of lines that were joined
        const auto value = part.substr(eq + 1);
        if (name == "t") {
            if (!s.time.empty()) return std::nullopt;
            s.time = value;
        } else if (name == "v1" && s.v1.size() < most_signatures) {
            s.v1.push_back(value);
        }
    }
    return s;
}

std::string hex(const Digest& d) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const auto b : d) out.append(1, digits[b >> 4]).append(1, digits[b & 15]);
    return out;
}

bool is_recent(std::string_view seconds, UnixTime now) {
    UnixTime t = 0;
    const auto end = seconds.data() + seconds.size();
    if (seconds.empty() || seconds.size() > 12 || std::from_chars(seconds.data(), end, t).ptr != end || t < 0) return false;
    return t >= now - signature_tolerance_s && t <= now + signature_tolerance_s;
}

// ---- events ----

struct Event {
    std::string_view id, type;
    const json::Value& object;  // what it is about
    UnixTime at = 0;            // when it was made, as is what it says; 0: not said
};

Refusal malformed(const char* what) {
    return {400, "malformed-event", "That is not an event of the card provider's", std::string(what) + " is missing."};
}

// What the provider counts in the smallest coins of a currency.
std::optional<Payment> payment_of(const json::Value& object, const char* amount_member, std::string_view reference) {
    const auto minor = object.uint(amount_member);
    const auto iso = object.string("currency");
    const auto currency = iso ? Currency::parse("u" + std::string(*iso)) : std::nullopt;
    const auto amount = minor && currency ? from_minor(*minor, *currency) : std::nullopt;
    if (!amount) return std::nullopt;
    return Payment{reference, object.string("payment_intent").value_or(""), *amount, *currency, 0};
}

Outcome<Booking> paid(Sql& sql, const Event& e, UnixTime now) {
    const auto payment = payment_of(e.object, "amount_total", e.object.string("client_reference_id").value_or(""));
    if (!payment) return malformed("amount_total or currency");
    return pay(sql, card_provider, *payment, now);
}

Outcome<Booking> refunded(Sql& sql, const Event& e, UnixTime now) {
    const auto* metadata = e.object.object("metadata");
    const auto reference = metadata ? metadata->string(metadata_reference) : std::nullopt;
    auto payment = payment_of(e.object, "amount_refunded", reference.value_or(""));
    if (!payment || e.at == 0) return malformed("created, amount_refunded or currency");
    payment->at = e.at;
    return refund(sql, card_provider, *payment, now);
}

Outcome<Booking> not_refunded(Sql& sql, const Event& e, UnixTime now) {
    const auto payment = payment_of(e.object, "amount", "");
    const auto id = e.object.string("id");
    const auto begun = e.object.uint("created");
    if (!payment || !id || id->empty() || id->size() > longest_id || !begun || e.at == 0)
        return malformed("created, or id, amount, currency or created of the refund");
    return refund_failed(sql, card_provider,
                         {*id, payment->id, payment->amount, payment->currency, static_cast<UnixTime>(*begun), e.at}, now);
}

// Told of once by an event of its own, and by those that any change of a
// refund has; which of them come depends on the version of the provider's API.
bool tells_of_failed_refund(const Event& e) {
    if (e.type == "refund.failed") return true;
    if (e.type != "refund.updated" && e.type != "charge.refund.updated") return false;
    const auto status = e.object.string("status");
    return status == "failed" || status == "canceled";
}

bool fails(const Event& e) {
    return e.type == "checkout.session.async_payment_failed" || e.type == "checkout.session.expired";
}

// A session is completed before its payment where that takes days; it is then
// told of by another event.
bool tells_of_payment(const Event& e) {
    return e.type == "checkout.session.async_payment_succeeded" ||
           (e.type == "checkout.session.completed" && e.object.string("payment_status") == "paid");
}

Outcome<Booking> take(Sql& sql, const Event& e, UnixTime now) {
    const bool refunds = e.type == "charge.refunded";
    const bool fails_to_refund = tells_of_failed_refund(e);
    if (!tells_of_payment(e) && !fails(e) && !refunds && !fails_to_refund) return Booking::nothing;
    if (!first_time(sql, card_provider, e.id, now)) return Booking::nothing;
    if (fails_to_refund) return not_refunded(sql, e, now);
    if (refunds) return refunded(sql, e, now);
    if (fails(e)) return fail(sql, card_provider, e.object.string("client_reference_id").value_or(""));
    return paid(sql, e, now);
}

Outcome<Response> receive(api::Broker b, Request& request) {
    const auto& context = b.context;
    if (!context.cards) return Refusal{404, "no-cards", "This broker takes no cards", "card-key is not configured."};
    const UnixTime now = context.clock.now();
    const auto field = request.header("stripe-signature");
    if (!field || !signature_holds(*field, request.body, context.cards->webhook_secret, now)) {
        context.log.warning("card_event_forged", json::Object().set("peer", printable(request.peer)));
        return Refusal{400, "event-signature", "The signature does not hold",
                       "Stripe-Signature has to sign the body under this endpoint's secret, at most 300 seconds ago."};
    }
    const auto body = api::json_body(request, limits::json_depth_of_others);
    if (!body) return body.refusal();
    const auto id = body->root().string("id"), type = body->root().string("type");
    const auto* data = body->root().object("data");
    const auto* object = data ? data->object("object") : nullptr;
    if (!id || id->empty() || id->size() > longest_id || !type || !object) return malformed("id, type or data.object");
    const Event event{*id, *type, *object, static_cast<UnixTime>(body->root().uint("created").value_or(0))};
    const auto booking = b.store.write([&](Sql& sql) { return take(sql, event, now); });
    auto line = json::Object().set("event_id", printable(*id)).set("type", printable(*type));
    if (!booking) {
        context.log.error("card_event_refused", line.set("reason", booking.refusal().kind));
        return booking.refusal();
    }
    if (*booking != Booking::nothing)
        context.log.info("card_event", line.set("booked", *booking == Booking::booked));
    return Response::json(200, json::Object().set("received", true));
}

}  // namespace

bool signature_holds(std::string_view field, std::string_view body, const Secret& secret, UnixTime now) {
    const auto given = read(field);
    if (!given || !is_recent(given->time, now)) return false;
    const auto wanted = hex(Hmac(secret).mac(std::string(given->time) + '.' + std::string(body)));
    bool holds = false;
    for (const auto& v1 : given->v1) holds |= equal_ct(v1, wanted);
    return holds;
}

void add_webhook(Routes& routes, api::Broker b) {
    routes.add("POST", "/webhooks/card", api::handler(b, receive), {body_bytes, 50, 500});
}

}  // namespace netpay::broker::topup
