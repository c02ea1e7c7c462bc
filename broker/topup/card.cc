#include "broker/topup/card.h"

#include <algorithm>

#include "broker/files.h"
#include "broker/topup/checkouts.h"
#include "broker/topup/minor.h"
#include "core/html.h"
#include "core/json.h"
#include "core/origin.h"
#include "world/curl_transport.h"

namespace netpay::broker::topup {
namespace {

constexpr unsigned connect_ms = 3000, call_ms = 10000;
constexpr std::size_t answer_bytes = 64 << 10;  // a session has 5 KB
constexpr std::size_t secret_bytes = 1024, longest_url = 8192;

// How an amount stands in the form: "5000000:uusd".
std::string choice_of(const CardAmount& a) { return a.amount.str() + ":" + std::string(a.currency.str()); }

std::optional<CardAmount> chosen(const Options& o, const form::Fields& fields) {
    const auto choice = field(fields, "amount");
    for (const auto& a : o.card_amounts)
        if (choice_of(a) == choice) return a;
    return std::nullopt;
}

// One line of printable characters, as it stands in a header.
Result<Secret> read_secret(const std::string& path) {
    auto file = read_private_file(path, secret_bytes);
    if (!file) return file.error();
    auto text = file->expose();
    while (!text.empty() && (text.back() == '\n' || text.back() == '\r')) text.remove_suffix(1);
    const auto is_plain = [](char c) { return c > ' ' && c < 127; };
    if (text.empty() || !std::all_of(text.begin(), text.end(), is_plain))
        return Error{Code::malformed, path + ": expected one line with the secret, without blanks"};
    return Secret(text);
}

std::string iso(const Currency& c) { return std::string(c.str().substr(1)); }

std::string session_body(const Options& o, const CardAmount& a, const std::string& reference) {
    std::string body;
    const auto add = [&body](std::string_view name, std::string_view value) {
        if (!body.empty()) body += '&';
        body.append(form::encode(name)).append("=").append(form::encode(value));
    };
    add("mode", "payment");
    add("client_reference_id", reference);
    // The charge inherits the payment's metadata, and so names us in a refund.
    add("payment_intent_data[metadata][" + std::string(metadata_reference) + "]", reference);
    add("line_items[0][quantity]", "1");
    add("line_items[0][price_data][currency]", iso(a.currency));
    add("line_items[0][price_data][unit_amount]", std::to_string(to_minor(a.amount, a.currency).value_or(0)));
    add("line_items[0][price_data][product_data][name]", "Balance at " + o.issuer);
    // The webhook compares amount and currency with what was asked for.
    add("adaptive_pricing[enabled]", "false");
    add("success_url", o.issuer + "/topup?paid=1");
    add("cancel_url", o.issuer + "/topup");
    return body;
}

Refusal unavailable() {
    return {502, "card-provider", "The card payment could not be begun",
            "The card provider did not answer as it should. Nothing was charged; try again in a while."};
}

// Where the provider takes the payment. An answer that is anything else is a fault of the provider's.
std::optional<std::string> payment_page(const world::HttpAnswer& answer) {
    if (answer.status != 200) return std::nullopt;
    const auto doc = json::Document::parse(answer.body);
    const auto url = doc ? doc->root().string("url") : std::nullopt;
    if (!url || url->size() > longest_url || origin_of(*url).empty()) return std::nullopt;
    const bool plain = std::all_of(url->begin(), url->end(), [](char c) { return c > ' ' && c < 127; });
    if (!plain || (!url->starts_with("https://") && !is_loopback(*url))) return std::nullopt;
    return std::string(*url);
}

// Which of the provider's faults it was: its words for it, not its message, which may repeat what we sent.
std::string why(const world::HttpAnswer& answer) {
    if (answer.status == 0) return answer.error;
    const auto doc = json::Document::parse(answer.body);
    const auto* error = doc ? doc->root().object("error") : nullptr;
    return error ? std::string(error->string("type").value_or("")) + " " + std::string(error->string("code").value_or("")) : "";
}

std::optional<world::HttpAnswer> call(CardShop& shop, const Options& o, const CardAmount& a, const std::string& reference) {
    struct Turn {
        std::atomic<int>& free;
        bool mine = free.fetch_sub(1) > 0;
        ~Turn() { free.fetch_add(1); }
    };
    const Turn turn{shop.free_calls};
    if (!turn.mine) return std::nullopt;
    // A call that is repeated under the reference makes no second session.
    return shop.transport->post_form(o.card_api + "/v1/checkout/sessions", session_body(o, a, reference),
                                     {"Authorization: Bearer " + std::string(shop.key.expose()),
                                      "Idempotency-Key: " + reference});
}

}  // namespace

Result<std::unique_ptr<CardShop>> CardShop::open(const Options& o) {
    if (!o.cards()) return std::unique_ptr<CardShop>();
    auto shop = std::make_unique<CardShop>();
    for (const auto& [path, secret] : {std::pair(&o.card_key, &shop->key), std::pair(&o.card_webhook_secret, &shop->webhook_secret)}) {
        auto read = read_secret(*path);
        if (!read) return read.error();
        *secret = std::move(*read);
    }
    shop->transport = std::make_unique<world::CurlTransport>(
        world::CurlTransport::Limits{connect_ms, call_ms, answer_bytes, world::CurlTransport::Reach::anywhere}, std::string());
    shop->free_calls = static_cast<int>(std::max(1u, o.threads / 4));
    return shop;
}

std::string Card::form(const Options& o, std::string_view hidden) const {
    std::string html = "<section aria-labelledby=\"by-card\"><h2 id=\"by-card\">With a card</h2>\n" + form_head(name(), hidden) +
                       "<label for=\"amount\">Amount</label><select id=\"amount\" name=\"amount\">\n";
    for (const auto& a : o.card_amounts)
        html += "<option value=\"" + choice_of(a) + "\">" + html::price(a.amount, a.currency) + "</option>\n";
    return html + "</select>\n<button class=\"button\" type=\"submit\">Pay by card</button>\n"
                  "<p class=\"note\">You pay on the card provider's page; this site sees no card number.</p>\n</form></section>\n";
}

Outcome<Step> Card::begin(api::Broker b, const accounts::Account& account, const form::Fields& fields) const {
    auto& context = b.context;
    const auto wanted = chosen(context.options, fields);
    if (!wanted || !context.cards)
        return Refusal{422, "card-amount", "That amount cannot be paid by card", "Choose one of the amounts of the list."};
    const UnixTime now = context.clock.now();
    // First: whatever the provider tells us later finds its checkout.
    const auto reference = b.store.write(
        [&](Sql& sql) { return begin_checkout(sql, context.random, card_provider, account, *wanted, now); });
    if (!reference) return reference.refusal();
    const auto answer = call(*context.cards, context.options, *wanted, *reference);
    const auto url = answer ? payment_page(*answer) : std::nullopt;
    if (url) return Step{std::nullopt, *url};
    if (answer)
        context.log.error("card_provider_failed",
                          json::Object().set("status", static_cast<std::uint64_t>(answer->status)).set("reason", printable(why(*answer))));
    // Nobody was told where to pay it. It must not count against her when the provider is back.
    (void)b.store.write([&](Sql& sql) { return forget_checkout(sql, card_provider, *reference); });
    if (!answer) return Refusal{503, "busy", "Many card payments are being begun", "Nothing was charged; try again in a minute."};
    return unavailable();
}

}  // namespace netpay::broker::topup
