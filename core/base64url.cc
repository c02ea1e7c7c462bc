#include "core/base64url.h"

namespace netpay {
namespace {

constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
constexpr std::uint8_t bad = 0xff;

constexpr std::array<std::uint8_t, 256> make_table() {
    std::array<std::uint8_t, 256> t{};
    for (auto& e : t) e = bad;
    for (std::uint8_t i = 0; i < 64; ++i) t[static_cast<unsigned char>(alphabet[i])] = i;
    return t;
}
constexpr auto table = make_table();

// Length of what n characters stand for; nullopt for the impossible 4k + 1.
std::optional<std::size_t> decoded_size(std::size_t n) {
    if (n % 4 == 1) return std::nullopt;
    return n / 4 * 3 + (n % 4 ? n % 4 - 1 : 0);
}

}  // namespace

std::string b64u_encode(std::string_view in) {
    std::string out((in.size() * 4 + 2) / 3, '\0');
    char* to = out.data();
    auto byte = [&](std::size_t i) { return static_cast<std::uint32_t>(static_cast<unsigned char>(in[i])); };
    std::size_t i = 0;
    for (; i + 3 <= in.size(); i += 3) {
        const std::uint32_t v = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        *to++ = alphabet[v >> 6 & 63];
        *to++ = alphabet[v & 63];
    }
    const std::size_t rest = in.size() - i;
    if (rest == 0) return out;
    const std::uint32_t v = byte(i) << 16 | (rest == 2 ? byte(i + 1) << 8 : 0);
    *to++ = alphabet[v >> 18];
    *to++ = alphabet[v >> 12 & 63];
    if (rest == 2) *to = alphabet[v >> 6 & 63];
    return out;
}

bool b64u_decode_into(std::string_view text, std::uint8_t* out, std::size_t n) {
    const auto size = decoded_size(text.size());
    if (!size || *size != n) return false;
    auto six = [&](std::size_t i) { return table[static_cast<unsigned char>(text[i])]; };
    std::size_t i = 0;
    std::uint8_t any = 0;  // collects the mark of a bad character; valid values stay below 64
    for (; i + 4 <= text.size(); i += 4) {
        const std::uint8_t a = six(i), b = six(i + 1), c = six(i + 2), d = six(i + 3);
        any |= a | b | c | d;
        *out++ = static_cast<std::uint8_t>(a << 2 | b >> 4);
        *out++ = static_cast<std::uint8_t>(b << 4 | c >> 2);
        *out++ = static_cast<std::uint8_t>(c << 6 | d);
    }
    const std::size_t rest = text.size() - i;
    if (rest >= 2) {
        const std::uint8_t a = six(i), b = six(i + 1);
        any |= a | b;
        *out++ = static_cast<std::uint8_t>(a << 2 | b >> 4);
        if (rest == 3) {
            const std::uint8_t c = six(i + 2);
            any |= c;
            *out++ = static_cast<std::uint8_t>(b << 4 | c >> 2);
            if (c & 0x03) return false;
        } else if (b & 0x0f) {
            return false;
        }
    }
    return any < 64;
}

std::optional<std::string> b64u_decode(std::string_view text) {
    const auto size = decoded_size(text.size());
    if (!size) return std::nullopt;
    std::string out(*size, '\0');
    if (!b64u_decode_into(text, reinterpret_cast<std::uint8_t*>(out.data()), *size)) return std::nullopt;
    return out;
}

}  // namespace netpay
