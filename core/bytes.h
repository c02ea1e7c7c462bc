// Fixed-length byte strings of the protocol, and secrets that cannot be printed.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace netpay {

using Bytes = std::vector<std::uint8_t>;
using Salt = std::array<std::uint8_t, 16>;     // PROTOCOL.md section 3
using Digest = std::array<std::uint8_t, 32>;   // SHA-256
using Tag16 = std::array<std::uint8_t, 16>;    // first 16 bytes of a SHA-256

// Seconds since 1970-01-01T00:00:00Z (NumericDate without a fraction).
using UnixTime = std::int64_t;

// True if a and b are equal; the time taken depends on the lengths alone.
bool equal_ct(std::string_view a, std::string_view b);

// Overwrites memory in a way the compiler does not remove.
void cleanse(void* p, std::size_t n);

// A secret of any length: key material, seeds, bearer tokens. It cannot be
// streamed, compared in variable time or copied by accident, and is wiped
// when it goes.
class Secret {
public:
    Secret() = default;
    explicit Secret(Bytes bytes) : b_(std::move(bytes)) {}
    explicit Secret(std::string_view text) : b_(text.begin(), text.end()) {}
    Secret(Secret&& o) noexcept : b_(std::move(o.b_)) { o.b_.clear(); }
    Secret& operator=(Secret&& o) noexcept {
        if (this != &o) { wipe(); b_ = std::move(o.b_); o.b_.clear(); }
        return *this;
    }
    Secret(const Secret&) = delete;
    Secret& operator=(const Secret&) = delete;
    ~Secret() { wipe(); }

    Secret clone() const { return Secret(Bytes(b_)); }
    bool empty() const { return b_.empty(); }
    std::size_t size() const { return b_.size(); }
    // The bytes themselves, for a cryptographic call or the wire; never for a log.
    const std::uint8_t* data() const { return b_.data(); }
    std::string_view expose() const { return {reinterpret_cast<const char*>(b_.data()), b_.size()}; }

private:
    void wipe() { if (!b_.empty()) cleanse(b_.data(), b_.size()); }
    Bytes b_;
};

// W_i of a chain. Whoever has it can spend units 1 … i, so it has no printed
// form: only encode_payword() (payword.h) writes it, onto the wire or into a
// claim. Trivially copyable, because the till keeps it in mapped memory.
struct Payword {
    Digest bytes{};
    // In constant time: a stranger's guess is compared with words that still
    // buy something, and must not learn how many of its bytes were right.
    friend bool operator==(const Payword& a, const Payword& b);
};
template <class Stream>
Stream& operator<<(Stream&, const Payword&) = delete;
template <class Stream>
Stream& operator<<(Stream&, const Secret&) = delete;

inline std::string_view as_view(const std::uint8_t* p, std::size_t n) {
    return {reinterpret_cast<const char*>(p), n};
}
template <std::size_t N>
std::string_view as_view(const std::array<std::uint8_t, N>& a) { return as_view(a.data(), N); }

inline bool operator==(const Payword& a, const Payword& b) { return equal_ct(as_view(a.bytes), as_view(b.bytes)); }

}  // namespace netpay
