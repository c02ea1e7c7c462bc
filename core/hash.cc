// The one-shot SHA256 functions are deprecated in OpenSSL 3 for being tied to
// the default implementation; they are the only ones without a fetch, and a
// paid page has five microseconds in all.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "core/hash.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

namespace netpay {

void cleanse(void* p, std::size_t n) { OPENSSL_cleanse(p, n); }

bool equal_ct(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

Digest sha256(std::initializer_list<std::string_view> parts) {
    SHA256_CTX c;
    SHA256_Init(&c);
    for (const auto p : parts) SHA256_Update(&c, p.data(), p.size());
    Digest d;
    SHA256_Final(d.data(), &c);
    return d;
}

Tag16 first16(const Digest& d) {
    Tag16 t;
    std::memcpy(t.data(), d.data(), t.size());
    return t;
}

Sha256::Sha256() : ctx_(new SHA256_CTX) { SHA256_Init(static_cast<SHA256_CTX*>(ctx_.get())); }
void Sha256::Free::operator()(void* p) const { delete static_cast<SHA256_CTX*>(p); }
void Sha256::update(std::string_view b) { SHA256_Update(static_cast<SHA256_CTX*>(ctx_.get()), b.data(), b.size()); }
Digest Sha256::finish() {
    Digest d;
    SHA256_Final(d.data(), static_cast<SHA256_CTX*>(ctx_.get()));
    return d;
}

namespace {
struct Keyed {
    SHA256_CTX inner, outer;
    ~Keyed() { OPENSSL_cleanse(this, sizeof *this); }
};
}  // namespace

Hmac::Hmac(const Secret& key) {
    std::array<std::uint8_t, SHA256_CBLOCK> block{};
    if (key.size() > block.size()) {
        const Digest d = sha256(key.expose());
        std::memcpy(block.data(), d.data(), d.size());
    } else if (!key.empty()) {
        std::memcpy(block.data(), key.data(), key.size());
    }
    auto keyed = std::make_shared<Keyed>();
    for (auto& b : block) b ^= 0x36;
    SHA256_Init(&keyed->inner);
    SHA256_Update(&keyed->inner, block.data(), block.size());
    for (auto& b : block) b ^= 0x36 ^ 0x5c;
    SHA256_Init(&keyed->outer);
    SHA256_Update(&keyed->outer, block.data(), block.size());
    OPENSSL_cleanse(block.data(), block.size());
    keyed_ = std::move(keyed);
}

Digest Hmac::mac(std::string_view text) const {
    const auto& keyed = *static_cast<const Keyed*>(keyed_.get());
    SHA256_CTX c = keyed.inner;
    SHA256_Update(&c, text.data(), text.size());
    Digest d;
    SHA256_Final(d.data(), &c);
    c = keyed.outer;
    SHA256_Update(&c, d.data(), d.size());
    SHA256_Final(d.data(), &c);
    OPENSSL_cleanse(&c, sizeof c);
    return d;
}

}  // namespace netpay
