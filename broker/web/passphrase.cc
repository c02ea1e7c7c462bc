#include "broker/web/passphrase.h"

#include <openssl/evp.h>

#include <algorithm>
#include <chrono>
#include <semaphore>
#include <vector>

#include "core/base64url.h"

namespace netpay::broker::web {
namespace {

constexpr unsigned bits_a_word = 11;
static_assert(word_count == 1u << bits_a_word);

constexpr std::uint64_t scrypt_n = 1u << 15, scrypt_r = 8, scrypt_p = 1;
constexpr std::uint64_t scrypt_memory = 64u << 20;  // twice what it takes
constexpr auto scrypt_wait = std::chrono::milliseconds(500);

// Each takes 32 MiB and a core.
std::counting_semaphore<2> scrypts(2);

std::vector<std::string> split(std::string_view typed) {
    std::vector<std::string> out(1);
    for (const char c : typed) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
        const bool between = c == ' ' || c == '-' || c == ',' || c == '\t' || c == '\r' || c == '\n';
        if (letter) out.back() += static_cast<char>(c | 0x20);
        else if (!between) out.back() += '?';  // in no word of the list
        else if (!out.back().empty()) out.emplace_back();
    }
    if (out.back().empty()) out.pop_back();
    return out;
}

Secret joined(std::vector<std::string>& list) {
    std::string text;
    for (auto& word : list) {
        if (!text.empty()) text += ' ';
        text += word;
        cleanse(word.data(), word.size());
    }
    Secret out{std::string_view(text)};
    cleanse(text.data(), text.size());
    return out;
}

struct Turn {
    bool taken = scrypts.try_acquire_for(scrypt_wait);
    Turn() = default;
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    ~Turn() {
        if (taken) scrypts.release();
    }
};

}  // namespace

Secret new_passphrase(Random& random) {
    auto bytes = random.bytes<passphrase_words * 2>();
    std::vector<std::string> list;
    for (std::size_t i = 0; i < passphrase_words; ++i)
        list.emplace_back(words[(static_cast<unsigned>(bytes[2 * i]) << 8 | bytes[2 * i + 1]) & (word_count - 1)]);
    cleanse(bytes.data(), bytes.size());
    return joined(list);
}

std::variant<Secret, std::string> normalise_passphrase(std::string_view typed) {
    auto list = split(typed);
    if (list.size() != passphrase_words)
        return "A passphrase has " + std::to_string(passphrase_words) + " words; these are " + std::to_string(list.size()) + ".";
    for (std::size_t i = 0; i < list.size(); ++i)
        if (!std::binary_search(std::begin(words), std::end(words), std::string_view(list[i])))
            return "Word " + std::to_string(i + 1) + " is not one that passphrases are made of. Look whether it is spelt as it was shown.";
    return joined(list);
}

Outcome<std::string> passphrase_lookup(const Secret& passphrase, const Secret& pepper) {
    const Turn turn;
    if (!turn.taken)
        return Refusal{503, "busy", "Too many people are signing in", "Try again in a moment."};
    std::string salt = "netpay/passphrase/1";
    salt += pepper.expose();
    Digest out{};
    const auto text = passphrase.expose();
    const bool done = EVP_PBE_scrypt(text.data(), text.size(), reinterpret_cast<const unsigned char*>(salt.data()),
                                     salt.size(), scrypt_n, scrypt_r, scrypt_p, scrypt_memory, out.data(), out.size()) == 1;
    cleanse(salt.data(), salt.size());
    if (!done) return Refusal{503, "busy", "The broker is short of memory", "scrypt failed", true};
    return b64u_encode(out);
}

}  // namespace netpay::broker::web
