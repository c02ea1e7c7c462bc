// What the suites of core share: fixed keys, bytes from a seed, short names.
#pragma once

#include <cppunit/TestAssert.h>
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include <random>
#include <string>
#include <string_view>

#include "core/base64url.h"
#include "core/bytes.h"
#include "core/key.h"
#include "core/money.h"
#include "core/payword.h"

namespace netpay::test {

using namespace std::string_literals;
using namespace std::string_view_literals;

// A generator whose failures can be run again: the seed stands in the message.
class Random {
public:
    explicit Random(std::uint32_t seed) : engine_(seed) {}
    std::uint32_t below(std::uint32_t n) { return std::uniform_int_distribution<std::uint32_t>(0, n - 1)(engine_); }
    std::string bytes(std::size_t n) {
        std::string out(n, '\0');
        for (char& c : out) c = static_cast<char>(below(256));
        return out;
    }
    template <class Array>
    Array array() {
        Array a;
        for (auto& b : a) b = static_cast<std::uint8_t>(below(256));
        return a;
    }

private:
    std::mt19937 engine_;
};

inline SigningKey signing_key(char fill) { return *SigningKey::from_bytes(Secret(std::string(32, fill))); }

inline KeySet key_set(const SigningKey& k) { return KeySet({k.public_key()}); }

inline Currency uusd() { return *Currency::parse("uusd"); }

inline Salt salt_of(std::uint8_t fill) {
    Salt s;
    s.fill(fill);
    return s;
}

inline Payword word_of(std::uint8_t fill) {
    Payword w;
    w.bytes.fill(fill);
    return w;
}

inline std::string hex(std::string_view bytes) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string out;
    for (const unsigned char c : bytes) {
        out += digits[c >> 4];
        out += digits[c & 15];
    }
    return out;
}

inline std::string unhex(std::string_view text) {
    std::string out;
    auto nibble = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
    for (std::size_t i = 0; i + 1 < text.size(); i += 2)
        out += static_cast<char>(nibble(text[i]) << 4 | nibble(text[i + 1]));
    return out;
}

}  // namespace netpay::test
