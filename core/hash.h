// SHA-256 and HMAC-SHA256 by OpenSSL, without a per-call fetch: an EVP lookup
// costs three times the hash of a payword.
#pragma once

#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace netpay {

// SHA-256 of the parts one after another.
Digest sha256(std::initializer_list<std::string_view> parts);
inline Digest sha256(std::string_view text) { return sha256({text}); }

// The first 16 bytes of a digest.
Tag16 first16(const Digest& d);

// SHA-256 of a stream.
class Sha256 {
public:
    Sha256();
    void update(std::string_view bytes);
    Digest finish();

private:
    struct Free { void operator()(void*) const; };
    std::unique_ptr<void, Free> ctx_;
};

// HMAC-SHA256 under one key (RFC 2104), keyed once. mac() is safe from
// several threads at a time.
class Hmac {
public:
    explicit Hmac(const Secret& key);
    Digest mac(std::string_view text) const;

private:
    std::shared_ptr<const void> keyed_;  // the inner and outer states after the key block
};

}  // namespace netpay
