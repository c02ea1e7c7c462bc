// The payword chain (PROTOCOL.md section 3):
// W_{i-1} = SHA-256(salt ‖ u32be(i) ‖ W_i), W_n = seed, W_0 = root.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "core/bytes.h"

namespace netpay {

// W_{i-1} from W_i. i ≥ 1. One SHA-256 compression, about 50 ns.
Payword previous(const Salt& salt, std::uint32_t i, const Payword& w);

// W_to from W_from. to ≤ from ≤ 2^20; from - to hashes.
Payword walk_down(const Salt& salt, std::uint32_t from, const Payword& w, std::uint32_t to);

// The coin's name: b64u(first 16 bytes of SHA-256("netpay/coin/1" ‖ salt ‖ root)), 22 characters.
std::string coin_id(const Salt& salt, const Payword& root);
Tag16 coin_tag(const Salt& salt, const Payword& root);  // the 16 bytes themselves

// A payword's wire form, b64u of its 32 bytes (43 characters), and back. The
// text is as secret as the payword: it goes into a credential, a claim or the
// wallet's store and nowhere else.
std::string encode_payword(const Payword& w);
std::optional<Payword> decode_payword(std::string_view text);

// Checkpoints as a wallet's store and a backup write them: base64url of one
// after another. As secret as a payword. nullopt: not a whole number of them.
std::string encode_checkpoints(const std::vector<Payword>& points);
std::optional<std::vector<Payword>> decode_checkpoints(std::string_view text);

// A whole chain held by its checkpoints, for a wallet: any payword costs at
// most `spacing` hashes.
class Chain {
public:
    static constexpr std::uint32_t spacing = 1024;

    // Hashes the chain once from its seed. n in 1 … 2^20; 1 MiB of coin takes 60 ms.
    Chain(const Salt& salt, const Payword& seed, std::uint32_t n);
    // From stored checkpoints (as checkpoints() gave them); nullopt if their count is wrong.
    static std::optional<Chain> restore(const Salt& salt, std::uint32_t n, std::vector<Payword> checkpoints);

    Payword at(std::uint32_t i) const;  // 0 ≤ i ≤ n
    const std::vector<Payword>& checkpoints() const { return points_; }
    const Salt& salt() const { return salt_; }
    std::uint32_t n() const { return n_; }

private:
    Chain() = default;
    Salt salt_{};
    std::uint32_t n_ = 0;
    std::vector<Payword> points_;  // W_0, W_spacing, W_2·spacing, …, and last W_n
};

}  // namespace netpay
