#include "core/seal.h"

#include <algorithm>
#include <memory>

#include <openssl/evp.h>

#include "core/base64url.h"

namespace netpay {
namespace {

constexpr char format = 1;
constexpr std::size_t kid_bytes = 4, salt_bytes = 16, tag_bytes = 16;
constexpr std::size_t head_bytes = 1 + kid_bytes + salt_bytes;
constexpr std::uint8_t nonce[12] = {};  // one value a key
constexpr std::string_view label = "netpay/seal/1";

struct FreeContext {
    void operator()(EVP_CIPHER_CTX* c) const { EVP_CIPHER_CTX_free(c); }
};
using Context = std::unique_ptr<EVP_CIPHER_CTX, FreeContext>;

const std::uint8_t* bytes(std::string_view s) { return reinterpret_cast<const std::uint8_t*>(s.data()); }
std::uint8_t* bytes(std::string& s) { return reinterpret_cast<std::uint8_t*>(s.data()); }

std::string with_context(std::string_view name, std::string_view context) {
    std::string out(name);
    out.push_back('\0');
    return out.append(context);
}

Digest value_key(const Hmac& derive, std::string_view salt) {
    return derive.mac(std::string(label).append(salt));
}

std::string mac_of(const Hmac& key, std::string_view context, std::string_view text) {
    std::string input = with_context("netpay/mac/1", context);
    input.push_back('\0');
    return b64u_encode(key.mac(input.append(text)));
}

}  // namespace

Sealer::Sealer(const std::vector<Secret>& keys) {
    for (const auto& k : keys) {
        Key key{{}, Hmac(k)};
        const Digest id = sha256({"netpay/seal/kid", k.expose()});
        std::copy_n(id.begin(), key.id.size(), key.id.begin());
        keys_.push_back(std::move(key));
    }
}

std::string Sealer::seal(const Salt& salt, std::string_view context, std::string_view plain) const {
    const auto& key = keys_.front();
    std::string out(1, format);
    out.append(as_view(key.id)).append(as_view(salt));
    out.resize(head_bytes + plain.size() + tag_bytes);
    Digest secret = value_key(key.derive, as_view(salt));
    const std::string about = with_context(label, context);
    const Context c(EVP_CIPHER_CTX_new());
    int n = 0;
    const bool good =
        c && EVP_EncryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, secret.data(), nonce) &&
        EVP_EncryptUpdate(c.get(), nullptr, &n, bytes(about), static_cast<int>(about.size())) &&
        EVP_EncryptUpdate(c.get(), bytes(out) + head_bytes, &n, bytes(plain), static_cast<int>(plain.size())) &&
        EVP_EncryptFinal_ex(c.get(), bytes(out) + head_bytes + n, &n) &&
        EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_AEAD_GET_TAG, tag_bytes, bytes(out) + out.size() - tag_bytes);
    cleanse(secret.data(), secret.size());
    return good ? b64u_encode(out) : std::string();
}

std::optional<Sealer::Opened> Sealer::open(std::string_view context, std::string_view text) const {
    const auto value = b64u_decode(text);
    if (!value || value->size() < head_bytes + tag_bytes || value->front() != format) return std::nullopt;
    const std::string_view all = *value, kid = all.substr(1, kid_bytes), salt = all.substr(1 + kid_bytes, salt_bytes);
    const auto cipher = all.substr(head_bytes, all.size() - head_bytes - tag_bytes);
    std::string tag(all.substr(all.size() - tag_bytes));
    const std::string about = with_context(label, context);
    for (const auto& key : keys_) {
        if (as_view(key.id) != kid) continue;
        Digest secret = value_key(key.derive, salt);
        Bytes plain(cipher.size() + 1);  // never empty, for the cipher's sake
        const Context c(EVP_CIPHER_CTX_new());
        int n = 0;
        const bool good =
            c && EVP_DecryptInit_ex(c.get(), EVP_aes_256_gcm(), nullptr, secret.data(), nonce) &&
            EVP_DecryptUpdate(c.get(), nullptr, &n, bytes(about), static_cast<int>(about.size())) &&
            EVP_DecryptUpdate(c.get(), plain.data(), &n, bytes(cipher), static_cast<int>(cipher.size())) &&
            EVP_CIPHER_CTX_ctrl(c.get(), EVP_CTRL_AEAD_SET_TAG, tag_bytes, bytes(tag)) &&
            EVP_DecryptFinal_ex(c.get(), plain.data() + n, &n) == 1;
        cleanse(secret.data(), secret.size());
        plain.pop_back();
        if (good) return Opened{Secret(std::move(plain)), &key != &keys_.front()};
        cleanse(plain.data(), plain.size());
    }
    return std::nullopt;
}

std::string Sealer::mac(std::string_view context, std::string_view text) const {
    return mac_of(keys_.front().derive, context, text);
}

bool Sealer::mac_ok(std::string_view context, std::string_view text, std::string_view b64u_mac) const {
    bool good = false;
    for (const auto& key : keys_) good |= equal_ct(mac_of(key.derive, context, text), b64u_mac);
    return good;
}

}  // namespace netpay
