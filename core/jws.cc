#include "core/jws.h"

#include "core/base64url.h"

namespace netpay::jws {
namespace {

struct Parts {
    std::string_view header, payload, signature, signed_part;
};

Result<Parts> split(std::string_view token) {
    if (token.size() > limits::token_bytes) return {Code::limit, "token too long"};
    const auto a = token.find('.');
    const auto b = a == std::string_view::npos ? a : token.find('.', a + 1);
    if (b == std::string_view::npos || token.find('.', b + 1) != std::string_view::npos)
        return {Code::malformed, "a JWS has three parts"};
    return Parts{token.substr(0, a), token.substr(a + 1, b - a - 1), token.substr(b + 1), token.substr(0, b)};
}

Result<json::Document> object(std::string_view part, const char* what) {
    const auto text = b64u_decode(part);
    if (!text) return {Code::malformed, std::string(what) + " of the JWS is not base64url"};
    auto doc = json::Document::parse(*text);
    if (!doc) return {doc.error().code, std::string(what) + " of the JWS: " + doc.error().detail};
    if (!doc->root().is_object()) return {Code::malformed, std::string(what) + " of the JWS is not an object"};
    return doc;
}

}  // namespace

std::string sign(std::string_view typ, const json::Object& payload, const SigningKey& key) {
    const auto header = json::Object().set("alg", "EdDSA").set("kid", key.kid()).set("typ", typ);
    std::string token = b64u_encode(header.jcs()) + "." + b64u_encode(payload.jcs());
    const Signature s = key.sign(token);
    return token + "." + b64u_encode(s);
}

Result<Verified> verify(std::string_view token, std::string_view typ, const KeySet& keys) {
    const auto parts = split(token);
    if (!parts) return parts.error();
    auto header = object(parts->header, "header");
    if (!header) return header.error();
    const auto& h = header->root();
    if (h.string("typ") != typ) return {Code::malformed, "typ is not " + std::string(typ)};
    if (h.string("alg") != "EdDSA") return {Code::malformed, "alg is not EdDSA"};
    if (h.find("crit")) return {Code::malformed, "crit header"};
    const auto kid = h.string("kid");
    if (!kid) return {Code::malformed, "kid missing"};
    const PublicKey* key = keys.find(*kid);
    if (!key) return {Code::unknown_key, "unknown kid"};
    const auto signature = b64u_decode_array<64>(parts->signature);
    if (!signature) return {Code::malformed, "signature is not 64 bytes of base64url"};
    // The signature comes before the payload is parsed: it is cheaper to be sure than to be clever.
    if (!key->verify(parts->signed_part, *signature)) return {Code::forged, "signature does not verify"};
    auto payload = object(parts->payload, "payload");
    if (!payload) return payload.error();
    return Verified{std::move(*payload), std::string(*kid)};
}

Result<json::Document> peek(std::string_view token) {
    const auto parts = split(token);
    if (!parts) return parts.error();
    return object(parts->payload, "payload");
}

}  // namespace netpay::jws
