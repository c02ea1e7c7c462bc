#include "targets.h"

#include <cstdio>
#include <cstdlib>
#include <string>

#include "core/base64url.h"
#include "core/certificate.h"
#include "core/challenge.h"
#include "core/claim.h"
#include "core/credential.h"
#include "core/evidence.h"
#include "core/index.h"
#include "core/json.h"
#include "core/jws.h"
#include "core/money.h"
#include "core/origin.h"
#include "core/payword.h"
#include "core/receipt.h"
#include "core/request.h"
#include "core/timestamp.h"
#include "core/touchstone.h"

namespace netpay::fuzz {
namespace {

void promise(bool kept, const char* text, int line) {
    if (kept) return;
    std::fprintf(stderr, "broken promise: %s (%s:%d)\n", text, __FILE__, line);
    std::abort();
}
#define PROMISE(x) promise(static_cast<bool>(x), #x, __LINE__)

void base64url(std::string_view in) {
    PROMISE(b64u_decode(b64u_encode(in)) == in);
    const auto bytes = b64u_decode(in);
    if (bytes) PROMISE(b64u_encode(*bytes) == in);
    PROMISE(b64u_decode_array<32>(in).has_value() == (bytes && bytes->size() == 32));
}

// The text of a value, written without core's own writer.
std::string text_of(const json::Value& v) {
    switch (v.kind()) {
        case json::Kind::null: return "null";
        case json::Kind::boolean: return *v.as_bool() ? "true" : "false";
        case json::Kind::integer: return v.as_uint() ? std::to_string(*v.as_uint()) : "-1";
        case json::Kind::other_number: return "1.5";
        case json::Kind::string: return json::quote(*v.as_string());
        case json::Kind::array:
        case json::Kind::object: break;
    }
    const bool object = v.is_object();
    std::string out;
    std::size_t n = 0;
    for (const auto& m : v) {
        if (object) PROMISE(v.find(m.name()) == &m);
        else PROMISE(m.name().empty());
        if (n++) out += ',';
        if (object) out += json::quote(m.name()) + ":";
        out += text_of(m);
    }
    PROMISE(n == v.size());
    return object ? "{" + out + "}" : "[" + out + "]";
}

void json_text(std::string_view in) {
    const auto doc = json::Document::parse(in);
    if (!doc) return PROMISE(!doc.error().detail.empty());
    const auto text = text_of(doc->root());
    const auto again = json::Document::parse(text);
    PROMISE(again.ok() && text_of(again->root()) == text);
}

bool same(const Challenge& a, const Challenge& b) {
    return a.id == b.id && a.realm == b.realm && a.method == b.method && a.intent == b.intent && a.request == b.request &&
           a.expires == b.expires && a.digest == b.digest && a.opaque == b.opaque && a.header == b.header;
}

void credential_of(std::string_view token68) {
    const auto c = parse_credential(token68);
    if (!c) return PROMISE(!c.error().detail.empty());
    const auto again = parse_credential(format_credential(*c));
    if (!again) return PROMISE(again.error().code == Code::limit);  // JCS can be longer than what was read
    const auto &p = c->payload, &q = again->payload;
    PROMISE(same(c->challenge, again->challenge));
    PROMISE(p.coin == q.coin && p.tag == q.tag && p.index == q.index && p.payword == q.payword);
    PROMISE(p.touchstone == q.touchstone && p.max == q.max && p.holder == q.holder && p.held == q.held);
    PROMISE(b64u_encode(p.tag) == p.coin);
}

// The corpus holds JSON, so that a mutation changes the JSON and not base64url.
void credential(std::string_view in) {
    credential_of(in);
    credential_of(b64u_encode(in));
}

void www_authenticate(std::string_view in) {
    const auto all = parse_challenges(in);
    PROMISE(all.size() <= 32);
    std::string field;
    for (const auto& c : all) field += (field.empty() ? "" : ", ") + format_challenge(c);
    const auto again = parse_challenges(field);
    PROMISE(again.size() == all.size());
    for (std::size_t i = 0; i < all.size(); ++i) PROMISE(same(all[i], again[i]));
    static const Hmac secret(Secret(std::string_view("secret")));
    for (auto c : all) {
        const auto id = challenge_id(c, secret);
        if (!id) continue;
        c.id = *id;
        PROMISE(verify_challenge_id(c, secret, nullptr));
        c.realm += '|';
        PROMISE(!verify_challenge_id(c, secret, nullptr));
    }
}

void terms(std::string_view in) {
    const auto t = parse_terms(b64u_encode(in));
    if (t) {
        const auto again = parse_terms(encode_terms(*t));
        PROMISE(again.ok() && again->amount == t->amount && again->currency == t->currency);
        PROMISE(again->recipient == t->recipient && again->brokers == t->brokers);
    }
    const auto binding = parse_opaque(b64u_encode(in));
    if (binding) PROMISE(parse_opaque(encode_opaque(*binding)) == binding);
}

const SigningKey& key() {
    static const SigningKey k = *SigningKey::from_bytes(Secret(std::string(32, 'k')));
    return k;
}
const KeySet& keys() {
    static const KeySet set({key().public_key()});
    return set;
}

void jws_token(std::string_view in) {
    const auto seen = jws::peek(in);
    const auto v = jws::verify(in, jws::touchstone, keys());
    if (v) PROMISE(seen.ok() && v->kid == key().kid());
}

// A correctly signed token over any payload: what lies behind the signature.
std::string signed_token(std::string_view typ, std::string_view payload) {
    const auto text =
        b64u_encode(json::Object().set("alg", "EdDSA").set("kid", key().kid()).set("typ", typ).jcs()) + "." + b64u_encode(payload);
    return text + "." + b64u_encode(key().sign(text));
}

void touchstone(std::string_view in) {
    constexpr UnixTime now = 1780000000;
    const auto t = verify_touchstone(signed_token(jws::touchstone, in), "https://broker.example", keys(), now);
    if (!t) return;
    PROMISE(t->n >= 1 && t->n <= limits::max_chain && t->unit.micro() >= 1 && t->exp >= now);
    PROMISE(coin_id(t->salt, t->root) == t->coin);
    const auto again = verify_touchstone(sign_touchstone(*t, key()), t->iss, keys(), now);
    PROMISE(again.ok() && again->coin == t->coin && again->n == t->n && again->unit == t->unit && again->exp == t->exp);
}

void custody(std::string_view in) {
    if (const auto c = verify_custody(signed_token(jws::custody, in), keys())) {
        const auto again = verify_custody(sign_custody(*c, key()), keys());
        PROMISE(again.ok() && again->sub == c->sub && again->epoch == c->epoch && again->index == c->index && again->payword == c->payword);
    }
    if (const auto i = verify_index(signed_token(jws::index, in), keys())) {
        const auto again = verify_index(sign_index(*i, key()), keys());
        PROMISE(again.ok() && again->aud == i->aud && again->epoch == i->epoch && again->index == i->index && again->payword == i->payword);
    }
}

void certificate(std::string_view in) {
    constexpr UnixTime now = 1780000000;
    const auto c = verify_certificate(signed_token(jws::vendor, in), "https://broker.example", keys(), now);
    if (!c) return;
    PROMISE(is_origin(c->sub) && origin_of(c->handoff) == c->sub);
    const auto again = verify_certificate(sign_certificate(*c, key()), c->iss, keys(), now);
    PROMISE(again.ok() && again->key == c->key && again->handoff == c->handoff);
}

void request(std::string_view in) {
    const auto r = verify_request(signed_token(jws::request, in), "https://broker.example", "custody/acquire", keys(), 1780000000);
    if (r) PROMISE(r->head.aud == "https://broker.example" && !r->head.jti.empty() && r->payload.root().is_object());
}

void batch(std::string_view in) {
    if (const auto b = verify_batch(signed_token(jws::batch, in), "https://broker.example", keys())) {
        const auto again = verify_batch(sign_batch(*b, key()), b->aud, keys());
        PROMISE(again.ok() && again->batch == b->batch && again->digest == b->digest && again->iss == b->iss);
    }
    if (const auto r = verify_redeemed(signed_token(jws::redeemed, in), "https://news.example", keys())) {
        const auto again = verify_redeemed(sign_redeemed(*r, key()), r->aud, keys());
        PROMISE(again.ok() && again->credited == r->credited && again->accepted == r->accepted && again->rejected == r->rejected);
    }
}

void jwks(std::string_view in) {
    const auto set = KeySet::parse(in);
    if (!set) return;
    const auto again = KeySet::parse(set->jwks());
    PROMISE(again.ok() && again->keys().size() == set->keys().size());
    for (const auto& k : set->keys()) PROMISE(again->find(k.kid()));
}

void claim(std::string_view in) {
    const auto c = parse_claim(in);
    if (!c) return PROMISE(c.error().code == Code::malformed);
    const auto again = parse_claim(format_claim(*c));
    PROMISE(again.ok() && again->coin == c->coin && again->from == c->from && again->to == c->to && again->payword == c->payword);
}

void evidence_document(std::string_view in) {
    const auto d = evidence::parse(in);
    if (!d) return PROMISE(!d.error().detail.empty());
    const auto j = evidence::judge(*d, d->keys);
    PROMISE(j.terms.has_value() || !j.holds());
    PROMISE(j.signatures >= d->certificates.size());
    for (const auto& f : j.faults) PROMISE(!f.code.empty() && !f.sentence.empty());
    // What was proven is proven by anybody's tokens alone: a stated finding adds nothing.
    for (const auto& p : j.proofs) PROMISE(!p.vendor.empty() && !p.sentence.empty());
}

void receipt(std::string_view in) {
    const auto r = parse_receipt(b64u_encode(in));
    if (!r) return;
    const auto again = parse_receipt(format_receipt(*r));
    PROMISE(again.ok() && again->coin == r->coin && again->index == r->index && again->timestamp == r->timestamp);
    PROMISE(again->amount == r->amount && again->currency == r->currency && again->spent == r->spent && again->revealed == r->revealed);
}

void origin(std::string_view in) {
    const auto o = origin_of(in);
    if (is_origin(in)) PROMISE(o == in);
    if (o.empty()) return PROMISE(!is_loopback(in));
    PROMISE(is_origin(o) && origin_of(o) == o && is_loopback(in) == is_loopback(o));
    if (handoff_fits(in, o)) PROMISE(in.find_first_of("\r\n \t") == std::string_view::npos);
}

void numbers(std::string_view in) {
    if (const auto a = Amount::parse(in)) PROMISE(a->str() == in);
    if (const auto a = parse_decimal(in)) {
        const auto text = a->pretty(*Currency::parse("uusd"));
        PROMISE(parse_decimal(std::string_view(text).substr(0, text.size() - 4)) == a);
    }
    if (const auto c = Currency::parse(in)) PROMISE(c->str() == in);
    if (const auto t = parse_rfc3339(in)) PROMISE(format_rfc3339(*t) == in);
}

constexpr Target all[] = {{"base64url", base64url},
                          {"json", json_text},
                          {"credential", credential},
                          {"www_authenticate", www_authenticate},
                          {"terms", terms},
                          {"jws", jws_token},
                          {"touchstone", touchstone},
                          {"custody", custody},
                          {"certificate", certificate},
                          {"request", request},
                          {"batch", batch},
                          {"jwks", jwks},
                          {"claim", claim},
                          {"evidence", evidence_document},
                          {"receipt", receipt},
                          {"origin", origin},
                          {"numbers", numbers}};

}  // namespace

std::span<const Target> targets() { return all; }

}  // namespace netpay::fuzz
