#include "core/base64url.h"

namespace netpay {
namespace {

constexpr char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

// What a character contributes to the 24 bits of its group, by its place in
// the group; `bad` for one that is not of the alphabet. A credential is decoded
// for every page, and this takes half the time of putting six bits together.
constexpr std::uint32_t bad = 1u << 24;
using Table = std::array<std::uint32_t, 256>;
constexpr Table make_table(int shift) {
    Table t{};
    for (auto& e : t) e = bad;
    for (std::uint32_t i = 0; i < 64; ++i) t[static_cast<unsigned char>(alphabet[i])] = i << shift;
    return t;
}
constexpr Table place[4] = {make_table(18), make_table(12), make_table(6), make_table(0)};

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
    const auto* in = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const whole = in + text.size() / 4 * 4;
    std::uint32_t any = 0;  // collects the mark of a bad character
    for (; in != whole; in += 4) {
        const std::uint32_t v = place[0][in[0]] | place[1][in[1]] | place[2][in[2]] | place[3][in[3]];
        any |= v;
        *out++ = static_cast<std::uint8_t>(v >> 16);
        *out++ = static_cast<std::uint8_t>(v >> 8);
        *out++ = static_cast<std::uint8_t>(v);
    }
    const std::size_t rest = text.size() % 4;
    if (rest >= 2) {
        const std::uint32_t v = place[0][in[0]] | place[1][in[1]] | (rest == 3 ? place[2][in[2]] : 0);
        any |= v;
        *out++ = static_cast<std::uint8_t>(v >> 16);
        if (rest == 3) *out = static_cast<std::uint8_t>(v >> 8);
        if (v & (rest == 3 ? 0xffu : 0xffffu)) return false;  // bits that stand for nothing
    }
    return any < bad;
}

std::optional<std::string> b64u_decode(std::string_view text) {
    const auto size = decoded_size(text.size());
    if (!size) return std::nullopt;
    std::string out(*size, '\0');
    if (!b64u_decode_into(text, reinterpret_cast<std::uint8_t*>(out.data()), *size)) return std::nullopt;
    return out;
}

}  // namespace netpay
