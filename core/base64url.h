// base64url without padding (RFC 4648 section 5), canonical only: padding,
// other alphabets and stray low bits in the last character are rejected.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace netpay {

std::string b64u_encode(std::string_view bytes);
template <std::size_t N>
std::string b64u_encode(const std::array<std::uint8_t, N>& a) { return b64u_encode(as_view(a)); }

// The bytes, or nullopt if the text is not canonical base64url.
std::optional<std::string> b64u_decode(std::string_view text);

// Decodes exactly n bytes into out; false if the text is not canonical or
// stands for another length.
bool b64u_decode_into(std::string_view text, std::uint8_t* out, std::size_t n);
template <std::size_t N>
std::optional<std::array<std::uint8_t, N>> b64u_decode_array(std::string_view text) {
    std::array<std::uint8_t, N> a;
    if (!b64u_decode_into(text, a.data(), N)) return std::nullopt;
    return a;
}

}  // namespace netpay
