#define OPENSSL_SUPPRESS_DEPRECATED  // see core/hash.cc
#include "core/payword.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include <openssl/sha.h>

#include "core/base64url.h"
#include "core/hash.h"
#include "core/limits.h"

namespace netpay {
namespace {

void put_be(std::uint8_t* p, std::uint32_t v) {
    p[0] = static_cast<std::uint8_t>(v >> 24);
    p[1] = static_cast<std::uint8_t>(v >> 16);
    p[2] = static_cast<std::uint8_t>(v >> 8);
    p[3] = static_cast<std::uint8_t>(v);
}

// The 52 bytes of a link, padded by hand to the one SHA-256 block they fill
// (FIPS 180-4 section 5.1.1), so that a link costs a bare compression.
class Link {
public:
    Link(const Salt& salt, const Payword& w) {
        std::memcpy(block_, salt.data(), 16);
        std::memcpy(block_ + 20, w.bytes.data(), 32);
        std::memset(block_ + 52, 0, 12);
        block_[52] = 0x80;
        put_be(block_ + 60, 52 * 8);
    }
    void down(std::uint32_t i) {
        put_be(block_ + 16, i);
        SHA256_CTX c;
        SHA256_Init(&c);
        SHA256_Transform(&c, block_);
        for (int k = 0; k < 8; ++k) put_be(block_ + 20 + 4 * k, c.h[k]);
    }
    Payword word() const {
        Payword w;
        std::memcpy(w.bytes.data(), block_ + 20, 32);
        return w;
    }

private:
    std::uint8_t block_[64];
};

}  // namespace

Payword previous(const Salt& salt, std::uint32_t i, const Payword& w) { return walk_down(salt, i, w, i - 1); }

Payword walk_down(const Salt& salt, std::uint32_t from, const Payword& w, std::uint32_t to) {
    assert(to <= from && from <= limits::max_chain);
    Link link(salt, w);
    for (std::uint32_t i = from; i > to; --i) link.down(i);
    return link.word();
}

Tag16 coin_tag(const Salt& salt, const Payword& root) {
    return first16(sha256({"netpay/coin/1", as_view(salt), as_view(root.bytes)}));
}

std::string coin_id(const Salt& salt, const Payword& root) { return b64u_encode(coin_tag(salt, root)); }

std::string encode_payword(const Payword& w) { return b64u_encode(w.bytes); }

std::optional<Payword> decode_payword(std::string_view text) {
    Payword w;
    if (!b64u_decode_into(text, w.bytes.data(), w.bytes.size())) return std::nullopt;
    return w;
}

std::string encode_checkpoints(const std::vector<Payword>& points) {
    std::string bytes;
    for (const auto& p : points) bytes += as_view(p.bytes);
    std::string text = b64u_encode(bytes);
    cleanse(bytes.data(), bytes.size());
    return text;
}

std::optional<std::vector<Payword>> decode_checkpoints(std::string_view text) {
    auto bytes = b64u_decode(text);
    if (!bytes || bytes->size() % sizeof(Digest) != 0) return std::nullopt;
    std::vector<Payword> points(bytes->size() / sizeof(Digest));
    for (std::size_t i = 0; i < points.size(); ++i)
        std::memcpy(points[i].bytes.data(), bytes->data() + i * sizeof(Digest), sizeof(Digest));
    cleanse(bytes->data(), bytes->size());
    return points;
}

Chain::Chain(const Salt& salt, const Payword& seed, std::uint32_t n) : salt_(salt), n_(n) {
    assert(n >= 1 && n <= limits::max_chain);
    points_.push_back(seed);
    Payword w = seed;
    for (std::uint32_t at = n; at > 0;) {
        const std::uint32_t next = (at - 1) / spacing * spacing;
        w = walk_down(salt_, at, w, next);
        points_.push_back(w);
        at = next;
    }
    std::reverse(points_.begin(), points_.end());
}

std::optional<Chain> Chain::restore(const Salt& salt, std::uint32_t n, std::vector<Payword> checkpoints) {
    if (n < 1 || n > limits::max_chain || checkpoints.size() != (n + spacing - 1) / spacing + 1) return std::nullopt;
    Chain c;
    c.salt_ = salt;
    c.n_ = n;
    c.points_ = std::move(checkpoints);
    return c;
}

Payword Chain::at(std::uint32_t i) const {
    assert(i <= n_);
    const std::size_t k = (i + spacing - 1) / spacing;
    return walk_down(salt_, std::min<std::uint32_t>(n_, static_cast<std::uint32_t>(k) * spacing), points_[k], i);
}

}  // namespace netpay
