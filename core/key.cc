#include "core/key.h"

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "core/base64url.h"
#include "core/hash.h"

namespace netpay {
namespace {

std::shared_ptr<void> share(EVP_PKEY* k) {
    return {k, [](void* p) { EVP_PKEY_free(static_cast<EVP_PKEY*>(p)); }};
}
EVP_PKEY* raw(const std::shared_ptr<void>& p) { return static_cast<EVP_PKEY*>(p.get()); }

struct ContextFree { void operator()(EVP_MD_CTX* c) const { EVP_MD_CTX_free(c); } };
using Context = std::unique_ptr<EVP_MD_CTX, ContextFree>;

struct BioFree { void operator()(BIO* b) const { BIO_free(b); } };
using Bio = std::unique_ptr<BIO, BioFree>;

// Whether x, sign bit aside, encodes a point of small order. Such a key
// verifies one signature over nearly any text, and a signed index must bind
// its signer. The y coordinates of all of them, non-canonical forms included.
bool small_order(const PublicBytes& x) {
    static constexpr std::uint8_t y[7][32] = {
        {0},
        {1},
        {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
         0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
        {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
         0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
        {0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xed, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f},
        {0xee, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
         0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f}};
    for (const auto& e : y)
        if (std::memcmp(x.data(), e, 31) == 0 && (x[31] & 0x7f) == e[31]) return true;
    return false;
}

Result<SigningKey> no_key() { return {Code::malformed, "not an Ed25519 private key"}; }

}  // namespace

Result<PublicKey> PublicKey::from_bytes(const PublicBytes& x) {
    if (small_order(x)) return {Code::malformed, "an Ed25519 public key of small order"};
    EVP_PKEY* k = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, x.data(), x.size());
    if (!k) return {Code::malformed, "not an Ed25519 public key"};
    PublicKey p;
    p.x_ = x;
    p.pkey_ = share(k);
    p.kid_ = b64u_encode(sha256(p.jwk().jcs()));
    return p;
}

Result<PublicKey> PublicKey::from_jwk(const json::Value& jwk) {
    if (jwk.string("kty") != "OKP" || jwk.string("crv") != "Ed25519")
        return {Code::malformed, "not an Ed25519 JWK (kty OKP, crv Ed25519)"};
    if (jwk.find("d")) return {Code::malformed, "a JWK with a private part (d) where a public key belongs"};
    if (jwk.find("alg") && jwk.string("alg") != "EdDSA") return {Code::malformed, "alg of the JWK is not EdDSA"};
    if (jwk.find("use") && jwk.string("use") != "sig") return {Code::malformed, "use of the JWK is not sig"};
    const auto text = jwk.string("x");
    const auto x = text ? b64u_decode_array<32>(*text) : std::nullopt;
    if (!x) return {Code::malformed, "x of the JWK is not 32 bytes of base64url"};
    return from_bytes(*x);
}

json::Object PublicKey::jwk() const {
    return json::Object().set("crv", "Ed25519").set("kty", "OKP").set("x", b64u_encode(x_));
}

json::Object PublicKey::jwk_for_set() const { return jwk().set("kid", kid_).set("use", "sig").set("alg", "EdDSA"); }

bool PublicKey::verify(std::string_view m, const Signature& s) const {
    const Context c(EVP_MD_CTX_new());
    return c && EVP_DigestVerifyInit(c.get(), nullptr, nullptr, nullptr, raw(pkey_)) == 1 &&
           EVP_DigestVerify(c.get(), s.data(), s.size(), reinterpret_cast<const unsigned char*>(m.data()),
                            m.size()) == 1;
}

namespace {
Result<PublicKey> public_of(EVP_PKEY* k) {
    PublicBytes x;
    std::size_t n = x.size();
    if (EVP_PKEY_get_raw_public_key(k, x.data(), &n) != 1 || n != x.size())
        return {Code::malformed, "not an Ed25519 private key"};
    return PublicKey::from_bytes(x);
}
}  // namespace

Result<SigningKey> SigningKey::from_bytes(const Secret& d) {
    auto k = share(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, d.data(), d.size()));
    if (!k) return no_key();
    auto p = public_of(raw(k));
    if (!p) return p.error();
    return SigningKey(std::move(*p), std::move(k));
}

Result<SigningKey> SigningKey::from_pem(const Secret& pem) {
    const Bio b(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
    // The callback refuses encrypted files instead of asking on the terminal.
    auto k = share(b ? PEM_read_bio_PrivateKey(b.get(), nullptr, [](char*, int, int, void*) { return -1; }, nullptr)
                     : nullptr);
    if (!k || EVP_PKEY_get_id(raw(k)) != EVP_PKEY_ED25519) return no_key();
    auto p = public_of(raw(k));
    if (!p) return p.error();
    return SigningKey(std::move(*p), std::move(k));
}

Secret SigningKey::to_pem() const {
    const Bio b(BIO_new(BIO_s_mem()));
    char* data = nullptr;
    if (!b || PEM_write_bio_PKCS8PrivateKey(b.get(), raw(pkey_), nullptr, nullptr, 0, nullptr, nullptr) != 1) return {};
    const long n = BIO_get_mem_data(b.get(), &data);
    Secret out(std::string_view(data, static_cast<std::size_t>(n)));
    cleanse(data, static_cast<std::size_t>(n));
    return out;
}

Signature SigningKey::sign(std::string_view m) const {
    Signature s{};
    std::size_t n = s.size();
    const Context c(EVP_MD_CTX_new());
    // Fails on memory exhaustion alone; the zero signature then verifies nowhere.
    if (!c || EVP_DigestSignInit(c.get(), nullptr, nullptr, nullptr, raw(pkey_)) != 1 ||
        EVP_DigestSign(c.get(), s.data(), &n, reinterpret_cast<const unsigned char*>(m.data()), m.size()) != 1)
        s.fill(0);
    return s;
}

Result<KeySet> KeySet::parse(std::string_view text) {
    auto doc = json::Document::parse(text);
    if (!doc) return doc.error();
    const auto* keys = doc->root().array("keys");
    if (!keys) return {Code::malformed, "a JWK set has an array member \"keys\""};
    std::vector<PublicKey> out;
    for (const auto& k : *keys) {
        if (k.string("kty") != "OKP" || k.string("crv") != "Ed25519") continue;
        auto key = PublicKey::from_jwk(k);
        if (!key) return key.error();
        if (k.find("kid") && k.string("kid") != key->kid())
            return {Code::mismatch, "kid of a key is not its RFC 7638 thumbprint"};
        out.push_back(std::move(*key));
    }
    return KeySet(std::move(out));
}

const PublicKey* KeySet::find(std::string_view kid) const {
    for (const auto& k : keys_)
        if (k.kid() == kid) return &k;
    return nullptr;
}

std::string KeySet::jwks() const {
    std::vector<json::Object> keys;
    for (const auto& k : keys_) keys.push_back(k.jwk_for_set());
    return json::Object().set("keys", keys).jcs();
}

}  // namespace netpay
