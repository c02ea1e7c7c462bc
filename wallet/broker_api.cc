#include "wallet/broker_api.h"

#include <array>

#include "core/base64url.h"
#include "core/certificate.h"
#include "core/json.h"
#include "core/origin.h"
#include "core/request.h"
#include "wallet/text.h"

namespace netpay::wallet {
namespace {

// The longest answer a broker has to give is its JWK set or a customer's list of coins.
constexpr std::size_t most_answer_bytes = 1 << 20;

Failure nonsense(const std::string& issuer, const std::string& what) {
    return {Exit::broker, "the broker " + printable(issuer) + " answers nonsense: " + printable(what)};
}

// The problem document's own words (RFC 9457), made harmless.
std::string words_of(int status, const json::Value& v) {
    const auto title = v.is_object() ? v.string("title") : std::nullopt;
    const auto detail = v.is_object() ? v.string("detail") : std::nullopt;
    std::string text = printable(detail ? *detail : title ? *title : "no reason given");
    return text + " (HTTP " + std::to_string(status) + ")";
}

Failure refusal(const std::string& issuer, int status, const json::Value& v) {
    return {Exit::broker, "the broker " + printable(issuer) + " refuses: " + words_of(status, v)};
}

std::optional<std::map<Currency, Amount>> read_balance(const json::Value* v) {
    if (!v || !v->is_object()) return std::nullopt;
    std::map<Currency, Amount> out;
    for (const auto& m : *v) {
        const auto c = Currency::parse(m.name());
        const auto s = m.as_string();
        const auto a = s ? Amount::parse(*s) : m.as_uint() ? Amount::from(*m.as_uint()) : std::nullopt;
        if (!c || !a) return std::nullopt;
        out[*c] = *a;
    }
    return out;
}

bool safe_issuer(const std::string& issuer) {
    return is_origin(issuer) && (issuer.compare(0, 8, "https://") == 0 || is_loopback(issuer));
}

}  // namespace

Outcome<BrokerApi::Reply> BrokerApi::call(const std::string& method, const std::string& url, const Account* a,
                                          const std::string* body, HeaderList extra) {
    HttpRequest r;
    r.method = method;
    r.url = url;
    r.headers = std::move(extra);
    r.headers.emplace_back("Accept", "application/json, application/problem+json");
    if (a) r.headers.emplace_back("Authorization", "Bearer " + std::string(a->token.expose()));
    if (body) {
        r.headers.emplace_back("Content-Type", "application/json");
        r.body = *body;
    }
    r.time_left_ms = max_time_ms_;
    auto answer = fetch_whole(transport_, r, most_answer_bytes);
    if (!answer)
        return Failure{Exit::network, "cannot reach the broker at " + printable(origin_of(url)) + ": " + answer.error().detail};
    auto doc = json::Document::parse(answer->body);
    if (!doc && answer->head.status >= 400)
        return Failure{Exit::broker, "the broker " + printable(origin_of(url)) + " answered HTTP " +
                                         std::to_string(answer->head.status)};
    if (!doc) return nonsense(origin_of(url), doc.error().detail);
    return Reply{answer->head.status, std::move(*doc)};
}

Outcome<BrokerInfo> BrokerApi::discover(const std::string& issuer) {
    if (!safe_issuer(issuer))
        return Failure{Exit::usage, "'" + printable(issuer) +
                                        "' is not a broker's address; it is like https://broker.example, without a path"
                                        " (plain http only on this machine)"};
    auto reply = call("GET", issuer + "/.well-known/netpay", nullptr, nullptr);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status != 200) return refusal(issuer, reply->status, v);
    const auto iss = v.string("issuer"), api = v.string("api"), jwks = v.string("jwks_uri");
    const auto longest = v.uint("max_length");
    const auto* currencies = v.array("currencies");
    const auto* denominations = v.array("denominations");
    if (!iss || !api || !jwks || !currencies || !denominations) return nonsense(issuer, "members of its description are missing");
    if (*iss != issuer) return nonsense(issuer, "it calls itself " + std::string(*iss));
    if (origin_of(*api) != issuer || origin_of(*jwks) != issuer) return nonsense(issuer, "its interface is on another origin");
    BrokerInfo info{std::string(*iss), std::string(*api), std::string(*jwks), {},
                    static_cast<std::uint32_t>(std::min<std::uint64_t>(longest.value_or(limits::max_chain), limits::max_chain)), {}};
    for (const auto& c : *currencies)
        if (const auto s = c.as_string())
            if (const auto cur = Currency::parse(*s)) info.currencies.push_back(*cur);
    for (const auto& d : *denominations) {
        if (!d.is_object()) continue;
        const Amount unit = Amount::from(d.uint("unit").value_or(0)).value_or(Amount{});
        const std::uint64_t n = d.uint("n").value_or(0);
        if (unit.micro() >= 1 && n >= 1 && n <= info.max_length && unit.times(n))
            info.denominations.push_back({unit, static_cast<std::uint32_t>(n)});
    }
    return info;
}

Outcome<std::string> BrokerApi::fetch_jwks(const std::string& url) {
    HttpRequest r;
    r.url = url;
    r.time_left_ms = max_time_ms_;
    auto answer = fetch_whole(transport_, r, most_answer_bytes);
    if (!answer) return Failure{Exit::network, "cannot fetch the broker's keys: " + answer.error().detail};
    if (answer->head.status != 200 || !KeySet::parse(answer->body)) return nonsense(origin_of(url), "its key set");
    return std::move(answer->body);
}

Outcome<Account> BrokerApi::create_account(const BrokerInfo& info) {
    auto jwks = fetch_jwks(info.jwks_uri);
    if (!jwks) return jwks.failure();
    const std::string body = "{}";
    auto reply = call("POST", info.api + "/accounts", nullptr, &body);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status / 100 != 2) return refusal(info.issuer, reply->status, v);
    const auto account = v.string("account"), token = v.string("token");
    if (!account || !token || token->empty() || printable(*token, 4096) != *token)
        return nonsense(info.issuer, "no account and token");
    return Account{info.issuer, info.api, info.jwks_uri, std::move(*jwks), std::string(*account), Secret(*token), clock_.now()};
}

Outcome<std::map<Currency, Amount>> BrokerApi::topup(const Account& a, const std::string& voucher) {
    const std::string body = json::Object().set("voucher", voucher).jcs();
    auto reply = call("POST", a.api + "/accounts/me/topups", &a, &body);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status / 100 != 2) return refusal(a.issuer, reply->status, v);
    if (auto after = read_balance(v.object("balance"))) return *after;
    return balance(a);
}

Outcome<std::map<Currency, Amount>> BrokerApi::balance(const Account& a) {
    auto reply = call("GET", a.api + "/accounts/me", &a, nullptr);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status != 200) return refusal(a.issuer, reply->status, v);
    auto b = read_balance(v.object("balance"));
    if (!b) return nonsense(a.issuer, "no balance");
    return *b;
}

// Verifies a touchstone; an unknown key sends us for the broker's key set once.
Outcome<Touchstone> BrokerApi::judge(Account& a, const std::string& token) {
    for (const bool fresh : {false, true}) {
        if (fresh || a.jwks.empty()) {
            auto jwks = fetch_jwks(a.jwks_uri);
            if (!jwks) return jwks.failure();
            a.jwks = std::move(*jwks);
        }
        const auto keys = KeySet::parse(a.jwks);
        if (!keys) continue;
        const auto t = verify_touchstone(token, a.issuer, *keys, clock_.now());
        if (t) return *t;
        if (t.error().code != Code::unknown_key) return nonsense(a.issuer, t.error().detail);
    }
    return nonsense(a.issuer, "a touchstone by a key it does not publish");
}

Outcome<Purchase> BrokerApi::buy(Account& a, const Coin& c, const Payword& root) {
    const std::string body = json::Object()
                                 .set("currency", c.currency.str())
                                 .set("unit", c.unit.micro())
                                 .set("n", std::uint64_t{c.n})
                                 .set("salt", b64u_encode(c.salt))
                                 .set("root", encode_payword(root))
                                 .jcs();
    auto reply = call("POST", a.api + "/coins", &a, &body, {{"Idempotency-Key", c.idempotency}});
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    const int status = reply->status;
    if (status == 400 || status == 402 || status == 409 || status == 422)
        return Purchase{{}, 0, words_of(status, v)};
    if (status / 100 != 2) return refusal(a.issuer, status, v);
    const auto token = v.string("touchstone");
    if (!token) return nonsense(a.issuer, "no touchstone");
    auto t = judge(a, std::string(*token));
    if (!t) return t.failure();
    if (t->coin != c.coin || t->cur != c.currency || t->unit != c.unit || t->n != c.n)
        return nonsense(a.issuer, "a touchstone for another coin or other terms");
    return Purchase{std::string(*token), t->exp, {}};
}

Outcome<Refund> BrokerApi::give_back(const Account& a, const std::string& coin, const std::optional<Revealed>& highest) {
    json::Object members;
    if (highest) members.set("index", std::uint64_t{highest->index}).set("payword", encode_payword(highest->payword));
    const std::string body = members.jcs();
    auto reply = call("POST", a.api + "/coins/" + coin + "/return", &a, &body);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status == 202) return Refund{false, {}, {}, static_cast<UnixTime>(v.uint("due").value_or(0))};
    if (reply->status != 200) return refusal(a.issuer, reply->status, v);
    const auto n = v.uint("refunded");
    const auto s = v.string("refunded");
    const auto amount = n ? Amount::from(*n) : s ? Amount::parse(*s) : std::nullopt;
    if (!amount) return nonsense(a.issuer, "no refund");
    return Refund{true, *amount, std::string(v.string("currency").value_or("")), 0};
}

Outcome<std::string> BrokerApi::registration(const std::string& issuer, const Registration& r, const SigningKey& key) {
    std::array<std::uint8_t, 16> name{};
    if (!random_.fill(name.data(), name.size())) return Failure{Exit::other, "this machine gives no random bytes"};
    json::Object members;
    members.set("origin", r.origin).set("jwk", key.public_key().jwk()).set("handoff", r.handoff);
    return sign_request({r.origin, issuer, "vendors", clock_.now(), b64u_encode(name)}, std::move(members), key);
}

Outcome<std::string> BrokerApi::register_vendor(const Account& a, const Registration& r, const SigningKey& key) {
    const auto token = registration(a.issuer, r, key);
    if (!token) return token.failure();
    const std::string body = json::Object().set("request", *token).jcs();
    auto reply = call("POST", a.api + "/vendors", &a, &body);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status / 100 != 2) return refusal(a.issuer, reply->status, v);
    const auto status = v.string("status");
    if (!status || (*status != "pending" && *status != "approved")) return nonsense(a.issuer, "no status of the registration");
    return std::string(*status);
}

Outcome<std::string> BrokerApi::certificate(const BrokerInfo& info, const std::string& origin) {
    const auto jwks = fetch_jwks(info.jwks_uri);
    if (!jwks) return jwks.failure();
    auto reply = call("GET", info.api + "/vendors/" + b64u_encode(origin), nullptr, nullptr);
    if (!reply) return reply.failure();
    const auto& v = reply->body.root();
    if (reply->status == 404) return std::string();
    if (reply->status != 200) return refusal(info.issuer, reply->status, v);
    const auto token = v.string("certificate");
    const auto keys = KeySet::parse(*jwks);
    if (!token || !keys) return nonsense(info.issuer, "no certificate");
    const auto certificate = verify_certificate(*token, info.issuer, *keys, clock_.now());
    if (!certificate) return nonsense(info.issuer, certificate.error().detail);
    if (certificate->sub != origin) return nonsense(info.issuer, "a certificate of another vendor");
    return std::string(*token);
}

}  // namespace netpay::wallet
