#include "core/credential.h"

#include "core/base64url.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/origin.h"
#include "core/payword.h"

namespace netpay {
namespace {

Error bad(const char* what) { return {Code::malformed, std::string("challenge: ") + what}; }
Error bad_payload(const char* what) { return {Code::malformed_payload, std::string("payload: ") + what}; }

// A member that may be absent but not of another type.
bool optional_string(const json::Value& v, std::string_view name, std::optional<std::string>& out) {
    const auto* m = v.find(name);
    if (!m) return true;
    const auto s = m->as_string();
    if (!s) return false;
    out.emplace(*s);
    return true;
}

Result<Challenge> read_challenge(const json::Value& v) {
    const auto id = v.string("id"), realm = v.string("realm"), method = v.string("method"), intent = v.string("intent"),
               request = v.string("request");
    if (!id || !realm || !method || !intent || !request)
        return bad("id, realm, method, intent and request must be there, as strings");
    Challenge c;
    c.id = *id;
    c.realm = *realm;
    c.method = *method;
    c.intent = *intent;
    c.request = *request;
    if (!optional_string(v, "expires", c.expires) || !optional_string(v, "digest", c.digest) ||
        !optional_string(v, "opaque", c.opaque) || !optional_string(v, "header", c.header))
        return bad("expires, digest, opaque and header are strings");
    return c;
}

Result<PaymentPayload> read_payload(const json::Value& v) {
    const auto coin = v.string("coin"), word = v.string("payword");
    const auto index = v.uint("index");
    if (!coin || !word || !index) return bad_payload("coin, index and payword must be there, of their types");
    PaymentPayload p;
    const auto tag = b64u_decode_array<16>(*coin);
    const auto w = decode_payword(*word);
    if (!tag) return bad_payload("coin is not 16 bytes of base64url");
    if (!w) return bad_payload("payword is not 32 bytes of base64url");
    p.coin = *coin;
    p.tag = *tag;
    p.index = *index;
    p.payword = *w;
    if (!optional_string(v, "touchstone", p.touchstone)) return bad_payload("touchstone is a string");
    if (!optional_string(v, "holder", p.holder) || (p.holder && !is_origin(*p.holder)))
        return bad_payload("holder is an origin");
    if (const auto* m = v.find("max")) {
        // An amount inside a credential follows the challenge: a decimal string; a JSON integer is as clear.
        const auto s = m->as_string();
        p.max = s ? Amount::parse(*s) : m->as_uint() ? Amount::from(*m->as_uint()) : std::nullopt;
        if (!p.max) return bad_payload("max is an amount");
    }
    if (v.find("held")) {
        p.held = v.uint("held");
        if (!p.held) return bad_payload("held is an index");
    }
    return p;
}

}  // namespace

Result<Credential> parse_credential(std::string_view token68) {
    if (token68.size() > limits::credential_bytes) return {Code::limit, "credential too long"};
    const auto text = b64u_decode(token68);
    if (!text) return {Code::malformed, "credential is not base64url without padding"};
    const auto doc = json::Document::parse(*text);
    if (!doc) return {Code::malformed, "credential: " + doc.error().detail};
    const auto* challenge = doc->root().object("challenge");
    const auto* payload = doc->root().find("payload");
    if (!challenge || !payload) return {Code::malformed, "credential: challenge and payload are needed"};
    auto c = read_challenge(*challenge);
    if (!c) return c.error();
    if (c->method != method_netpay) return {Code::mismatch, "the challenge's method is not netpay"};
    if (!payload->is_object()) return bad_payload("not an object");
    auto p = read_payload(*payload);
    if (!p) return p.error();
    return Credential{std::move(*c), std::move(*p)};
}

std::string format_credential(const Credential& c) {
    json::Object challenge;
    challenge.set("id", c.challenge.id)
        .set("realm", c.challenge.realm)
        .set("method", c.challenge.method)
        .set("intent", c.challenge.intent)
        .set("request", c.challenge.request);
    if (c.challenge.expires) challenge.set("expires", *c.challenge.expires);
    if (c.challenge.digest) challenge.set("digest", *c.challenge.digest);
    if (c.challenge.opaque) challenge.set("opaque", *c.challenge.opaque);
    if (c.challenge.header) challenge.set("header", *c.challenge.header);
    json::Object payload;
    payload.set("coin", c.payload.coin)
        .set("index", c.payload.index)
        .set("payword", encode_payword(c.payload.payword));
    if (c.payload.touchstone) payload.set("touchstone", *c.payload.touchstone);
    if (c.payload.max) payload.set("max", c.payload.max->str());
    if (c.payload.holder) payload.set("holder", *c.payload.holder);
    if (c.payload.held) payload.set("held", *c.payload.held);
    return b64u_encode(json::Object().set("challenge", challenge).set("payload", payload).jcs());
}

}  // namespace netpay
