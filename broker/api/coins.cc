// POST /coins, POST /coins/{coin}/return (PROTOCOL.md section 9).
#include "broker/api/resource.h"
#include "broker/custody/returns.h"
#include "broker/issue/coins.h"
#include "core/base64url.h"
#include "core/hash.h"
#include "core/payword.h"
#include "core/timestamp.h"

namespace netpay::broker::api {
namespace {

Outcome<issue::Terms> terms_of(const json::Value& body) {
    const auto cur_text = body.string("currency");
    const auto cur = cur_text ? Currency::parse(*cur_text) : std::nullopt;
    if (!cur) return missing("currency", "a currency like \"uusd\"");
    const auto unit = body.uint("unit");
    const auto amount = unit ? Amount::from(*unit) : std::nullopt;
    if (!amount || amount->micro() < 1) return missing("unit", "the micro-units of a payword, an integer from 1");
    const auto n = body.uint("n");
    if (!n || *n < 1 || *n > limits::max_chain) return missing("n", "the paywords of the coin, an integer from 1 to 1048576");
    return issue::Terms{*cur, *amount, static_cast<std::uint32_t>(*n)};
}

// Both members, or neither: then the broker makes the chain.
Outcome<std::optional<issue::WalletChain>> chain_of(const json::Value& body) {
    if (!body.find("salt") && !body.find("root")) return std::optional<issue::WalletChain>();
    const auto salt_text = body.string("salt"), root_text = body.string("root");
    const auto salt = salt_text ? b64u_decode_array<16>(*salt_text) : std::nullopt;
    if (!salt) return missing("salt", "16 bytes in base64url without padding, and come with \"root\"");
    const auto root = root_text ? decode_payword(*root_text) : std::nullopt;
    if (!root) return missing("root", "32 bytes in base64url without padding, and come with \"salt\"");
    return std::optional(issue::WalletChain{*salt, *root});
}

Outcome<std::optional<std::string>> key_of(const Request& request) {
    const auto key = request.header("idempotency-key");
    if (!key) return std::optional<std::string>();
    bool good = !key->empty() && key->size() <= 255;
    for (const char c : *key) good = good && c >= ' ' && c <= '~';
    if (!good)
        return Refusal{400, "idempotency-key", "The Idempotency-Key is malformed",
                       "It has 1 to 255 printable ASCII characters."};
    return std::optional<std::string>(*key);
}

Outcome<issue::Purchase> purchase_of(const Request& request) {
    auto key = key_of(request);
    if (!key) return key.refusal();
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto terms = terms_of(body->root());
    if (!terms) return terms.refusal();
    const auto chain = chain_of(body->root());
    if (!chain) return chain.refusal();
    return issue::Purchase{*terms, *chain, std::move(*key), sha256(request.body)};
}

Outcome<Response> buy(Broker b, Request& request) {
    const auto account = signed_in(b, request);
    if (!account) return account.refusal();
    const auto purchase = purchase_of(request);
    if (!purchase) return purchase.refusal();
    const auto sold = issue::buy(b.context, b.store, *account, *request.bearer(), *purchase, b.context.clock.now());
    if (!sold) return sold.refusal();
    json::Object body;
    body.set("touchstone", sold->touchstone);
    if (sold->seed) body.set("seed", encode_payword(*sold->seed));
    return Response::json(200, body).no_store();
}

// The optional body of a return: both members, or neither.
Outcome<std::optional<custody::Mark>> shown_of(const Request& request) {
    if (request.body.empty()) return std::optional<custody::Mark>();
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto& v = body->root();
    if (!v.find("index") && !v.find("payword")) return std::optional<custody::Mark>();
    const auto index = v.uint("index");
    if (!index || *index < 1 || *index > limits::max_chain)
        return missing("index", "an integer from 1 to 1048576, and come with \"payword\"");
    const auto text = v.string("payword");
    const auto payword = text ? decode_payword(*text) : std::nullopt;
    if (!payword) return missing("payword", "32 bytes in base64url without padding, and come with \"index\"");
    return std::optional(custody::Mark{static_cast<std::uint32_t>(*index), *payword});
}

Response answer(const custody::Returned& returned) {
    if (const auto* waiting = std::get_if<custody::Waiting>(&returned))
        return Response::json(202, json::Object()
                                       .set("state", "returning")
                                       .set("due", static_cast<std::uint64_t>(waiting->due))
                                       .set("detail", "A vendor holds the coin and has not let it go yet. It is asked again; "
                                                      "when its lease has ended, at " + format_rfc3339(waiting->due) +
                                                      ", the coin is refunded without it."));
    const auto& refunded = std::get<custody::Refunded>(returned);
    return Response::json(200, json::Object()
                                   .set("refunded", refunded.amount.micro())
                                   .set("currency", refunded.currency.str()));
}

Outcome<Response> give_back(Broker b, Request& request) {
    const auto account = signed_in(b, request);
    if (!account) return account.refusal();
    const auto shown = shown_of(request);
    if (!shown) return shown.refusal();
    const auto returned = custody::give_back(b.context, b.store, *account, request.params["coin"], *shown,
                                             b.context.clock.now());
    if (!returned) return returned.refusal();
    return answer(*returned).no_store();
}

}  // namespace

void add_coins(Routes& routes, Broker b) {
    routes.add("POST", path("/coins"), handler(b, buy), {4096, 50, 1500});
    routes.add("POST", path("/coins/{coin}/return"), handler(b, give_back), {1024, 10, 200});
}

}  // namespace netpay::broker::api
