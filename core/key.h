// Ed25519 keys (RFC 8032) as JWK (RFC 8037), named by thumbprint (RFC 7638).
#pragma once

#include <array>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/json.h"
#include "core/result.h"

namespace netpay {

using PublicBytes = std::array<std::uint8_t, 32>;
using Signature = std::array<std::uint8_t, 64>;

class PublicKey {
public:
    static Result<PublicKey> from_bytes(const PublicBytes& x);
    // A JWK object: kty OKP, crv Ed25519, x; "alg" and "use", if present, must fit; "d" is refused.
    static Result<PublicKey> from_jwk(const json::Value& jwk);

    const std::string& kid() const { return kid_; }
    const PublicBytes& bytes() const { return x_; }
    json::Object jwk() const;                 // crv, kty, x
    json::Object jwk_for_set() const;         // with kid, use, alg
    bool verify(std::string_view message, const Signature& signature) const;  // 90 µs
    friend bool operator==(const PublicKey& a, const PublicKey& b) { return a.x_ == b.x_; }

private:
    PublicKey() = default;
    PublicBytes x_{};
    std::string kid_;
    std::shared_ptr<void> pkey_;
};

class SigningKey {
public:
    // d: the 32 bytes of an Ed25519 private key.
    static Result<SigningKey> from_bytes(const Secret& d);
    // PKCS #8 PEM, as `openssl genpkey -algorithm ed25519` writes it.
    static Result<SigningKey> from_pem(const Secret& pem);

    Secret to_pem() const;
    const PublicKey& public_key() const { return public_; }
    const std::string& kid() const { return public_.kid(); }
    Signature sign(std::string_view message) const;  // 35 µs; safe from several threads

private:
    SigningKey(PublicKey p, std::shared_ptr<void> pkey) : public_(std::move(p)), pkey_(std::move(pkey)) {}
    PublicKey public_;
    std::shared_ptr<void> pkey_;
};

// The keys of one issuer.
class KeySet {
public:
    KeySet() = default;
    explicit KeySet(std::vector<PublicKey> keys) : keys_(std::move(keys)) {}
    // A JWK set document. Keys of other types are passed over (RFC 7517
    // section 5); an Ed25519 key whose kid is not its thumbprint is an error.
    static Result<KeySet> parse(std::string_view jwks);

    const PublicKey* find(std::string_view kid) const;
    bool empty() const { return keys_.empty(); }
    const std::vector<PublicKey>& keys() const { return keys_; }
    std::string jwks() const;  // the JWK set document, JCS

private:
    std::vector<PublicKey> keys_;
};

}  // namespace netpay
