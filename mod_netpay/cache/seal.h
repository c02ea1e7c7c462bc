// Sealed values: a copy's bytes as they lie in memcached.
//
//   format (1) ‖ salt (16) ‖ nonce (12) ‖ ciphertext ‖ tag (16)
//
// AES-256-GCM with the key HMAC-SHA256(HMAC-SHA256(secret, "netpay/cache/1"),
// "seal" ‖ salt), the memcached key as associated data. Each writer has a
// random salt and so a key of its own, and counts its nonces: none repeats,
// however many processes write.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"
#include "core/hash.h"
#include "mod_netpay/cache/cache.h"

namespace netpay::cache {

class Seal {
public:
    // nullopt: no randomness or no cipher.
    static std::optional<Seal> make(const Secret& secret);
    // By one thread at a time. Empty: the cipher failed.
    std::string seal(std::string_view key, const Copy& copy);
    // From any thread. nullopt: not a value sealed under this secret for this key.
    std::optional<Copy> open(std::string_view key, std::string_view value) const;

private:
    explicit Seal(const Secret& secret);
    std::shared_ptr<const Hmac> derive_;
    std::shared_ptr<void> cipher_;
    std::array<std::uint8_t, 16> salt_{};
    std::shared_ptr<void> sealing_;  // the context of seal(), under the writer's own key
    std::uint64_t count_ = 0;
};

}  // namespace netpay::cache
