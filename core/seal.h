// Values sealed for keeping or for a stranger's hands, and short proofs that a
// form was made by us. Keys roll over: the first seals, all of them open.
//
//   text = base64url( 1 ‖ kid (4) ‖ salt (16) ‖ ciphertext ‖ tag (16) )
//
// AES-256-GCM under HMAC-SHA256(key, "netpay/seal/1" ‖ salt), a key of its own
// for each value, so that the nonce, zero, never repeats under one; associated
// data "netpay/seal/1" ‖ 0 ‖ context. kid = the first four bytes of
// SHA-256("netpay/seal/kid" ‖ key).
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/hash.h"

namespace netpay {

// Safe from several threads at a time.
class Sealer {
public:
    // The current key first. At least one, each of 32 random bytes or more.
    explicit Sealer(const std::vector<Secret>& keys);

    // The salt is fresh random bytes. The context says what the value is and
    // for whom: it opens under the same context only. Empty: the cipher failed.
    std::string seal(const Salt& salt, std::string_view context, std::string_view plain) const;

    struct Opened {
        Secret plain;
        bool old_key = false;  // not the current one: time to seal it again
    };
    // nullopt: not sealed under any of the keys for this context.
    std::optional<Opened> open(std::string_view context, std::string_view text) const;

    // HMAC-SHA256(key, "netpay/mac/1" ‖ 0 ‖ context ‖ 0 ‖ text) under the current
    // key, as base64url. The context has no NUL.
    std::string mac(std::string_view context, std::string_view text) const;
    // Whether b64u_mac is that of text under any of the keys; in constant time.
    bool mac_ok(std::string_view context, std::string_view text, std::string_view b64u_mac) const;

private:
    struct Key {
        std::array<std::uint8_t, 4> id;
        Hmac derive;
    };
    std::vector<Key> keys_;
};

}  // namespace netpay
