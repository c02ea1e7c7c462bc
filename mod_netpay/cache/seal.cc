#include "mod_netpay/cache/seal.h"

#include <cstring>

#include <openssl/evp.h>
#include <openssl/rand.h>

namespace netpay::cache {
namespace {

constexpr char format = 1;  // changes with the layout of plain()
constexpr std::size_t salt_bytes = 16, nonce_bytes = 12, tag_bytes = 16;
constexpr std::size_t head_bytes = 1 + salt_bytes + nonce_bytes;

struct FreeContext {
    void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

template <class T>
void put(std::string& out, T v) {
    for (std::size_t i = 0; i < sizeof v; ++i) out.push_back(static_cast<char>(v >> (8 * i)));
}

template <class T>
bool take(std::string_view& in, T& v) {
    if (in.size() < sizeof v) return false;
    std::uint64_t u = 0;
    for (std::size_t i = sizeof v; i-- > 0;) u = u << 8 | static_cast<std::uint8_t>(in[i]);
    v = static_cast<T>(u);
    in.remove_prefix(sizeof v);
    return true;
}

std::string plain(const Copy& c) {
    std::string out;
    out.reserve(104 + 8 * c.used.size());
    out.append(as_view(c.salt)).append(as_view(c.word.bytes));
    put(out, c.exp);
    put(out, c.lease);
    put(out, c.version);
    put(out, c.written);
    put(out, c.start);
    put(out, c.spent);
    put(out, c.revealed);
    for (std::uint32_t k = 0; k < c.used.size(); ++k) {
        put(out, c.used[k].first);
        put(out, c.used[k].last);
    }
    return out;
}

std::optional<Copy> parse(std::string_view in) {
    Copy c;
    if (in.size() < c.salt.size() + c.word.bytes.size()) return std::nullopt;
    in.remove_prefix(in.copy(reinterpret_cast<char*>(c.salt.data()), c.salt.size()));
    in.remove_prefix(in.copy(reinterpret_cast<char*>(c.word.bytes.data()), c.word.bytes.size()));
    if (!take(in, c.exp) || !take(in, c.lease) || !take(in, c.version) || !take(in, c.written) || !take(in, c.start) || !take(in, c.spent) ||
        !take(in, c.revealed) || in.size() % 8 != 0 || in.size() / 8 > limits::ticket_ranges)
        return std::nullopt;
    while (!in.empty()) {
        TicketSet::Range r{};
        take(in, r.first);
        take(in, r.last);
        c.used.append(r);
    }
    if (c.start > c.spent || c.spent > c.revealed || c.revealed > limits::max_chain || !c.used.valid(limits::max_chain))
        return std::nullopt;
    return c;
}

const std::uint8_t* bytes(std::string_view s) { return reinterpret_cast<const std::uint8_t*>(s.data()); }

}  // namespace

Seal::Seal(const Secret& secret) {
    const Digest root = Hmac(secret).mac("netpay/cache/1");
    derive_ = std::make_shared<const Hmac>(Secret(as_view(root)));
}

std::optional<Seal> Seal::make(const Secret& secret) {
    Seal s(secret);
    s.cipher_ = std::shared_ptr<void>(EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr),
                                      [](void* c) { EVP_CIPHER_free(static_cast<EVP_CIPHER*>(c)); });
    if (!s.cipher_ || RAND_bytes(s.salt_.data(), static_cast<int>(s.salt_.size())) != 1) return std::nullopt;
    // Keyed once: making a context and its key schedule costs more than a copy's bytes.
    const Digest own = s.derive_->mac("seal" + std::string(as_view(s.salt_)));
    s.sealing_ = std::shared_ptr<void>(EVP_CIPHER_CTX_new(), [](void* c) { EVP_CIPHER_CTX_free(static_cast<EVP_CIPHER_CTX*>(c)); });
    if (!s.sealing_ || !EVP_EncryptInit_ex2(static_cast<EVP_CIPHER_CTX*>(s.sealing_.get()), static_cast<EVP_CIPHER*>(s.cipher_.get()),
                                            own.data(), nullptr, nullptr))
        return std::nullopt;
    return s;
}

std::string Seal::seal(std::string_view key, const Copy& copy) {
    const std::string text = plain(copy);
    std::string out(1, format);
    out.append(as_view(salt_));
    put(out, ++count_);
    out.append(nonce_bytes - sizeof count_, '\0');
    const auto nonce = out.substr(1 + salt_bytes);
    out.resize(head_bytes + text.size() + tag_bytes);
    auto* cipher = reinterpret_cast<std::uint8_t*>(out.data()) + head_bytes;
    auto* c = static_cast<EVP_CIPHER_CTX*>(sealing_.get());
    int n = 0, m = 0;
    const bool good =
        EVP_EncryptInit_ex2(c, nullptr, nullptr, bytes(nonce), nullptr) &&
        EVP_EncryptUpdate(c, nullptr, &n, bytes(key), static_cast<int>(key.size())) &&
        EVP_EncryptUpdate(c, cipher, &n, bytes(text), static_cast<int>(text.size())) &&
        EVP_EncryptFinal_ex(c, cipher + n, &m) &&
        EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_AEAD_GET_TAG, tag_bytes, cipher + text.size());
    return good ? out : std::string();
}

std::optional<Copy> Seal::open(std::string_view key, std::string_view value) const {
    if (value.size() < head_bytes + tag_bytes || value[0] != format) return std::nullopt;
    const auto salt = value.substr(1, salt_bytes), nonce = value.substr(1 + salt_bytes, nonce_bytes);
    const auto cipher = value.substr(head_bytes, value.size() - head_bytes - tag_bytes);
    std::string tag(value.substr(value.size() - tag_bytes));
    const Digest subkey = derive_->mac("seal" + std::string(salt));
    std::string text(cipher.size(), '\0');
    auto* out = reinterpret_cast<std::uint8_t*>(text.data());
    const Context c(EVP_CIPHER_CTX_new());
    int n = 0, m = 0;
    const bool good =
        c && EVP_DecryptInit_ex2(c.get(), static_cast<EVP_CIPHER*>(cipher_.get()), subkey.data(), bytes(nonce), nullptr) &&
        EVP_DecryptUpdate(c.get(), nullptr, &n, bytes(key), static_cast<int>(key.size())) &&
        EVP_DecryptUpdate(c.get(), out, &n, bytes(cipher), static_cast<int>(cipher.size())) &&
        EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, tag.data()) &&
        EVP_DecryptFinal_ex(c.get(), out + n, &m) == 1;
    return good ? parse(text) : std::nullopt;
}

}  // namespace netpay::cache
