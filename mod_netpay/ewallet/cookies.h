// The cookies of a vendor's e-wallets: their names, their fields, and the
// sealing of what a browser keeps for us.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json.h"
#include "core/seal.h"
#include "mod_netpay/custody/custody.h"

namespace netpay::ewallet {

std::optional<Salt> fresh_salt(custody::Random& random);
// 32 random bytes as base64url, 43 characters; nullopt without entropy.
std::optional<std::string> fresh_secret(custody::Random& random);

// Safe from several threads.
class Cookies {
public:
    // random outlives it.
    Cookies(std::string origin, const std::vector<Secret>& keys, custody::Random& random);

    // Set-Cookie values: a host-only cookie out of the reach of scripts, sent
    // along by links but by no other site's forms and frames.
    std::string set(std::string_view stem, std::string_view value, std::int64_t life_s) const;
    std::string clear(std::string_view stem) const { return set(stem, "", 0); }
    // Its value in a Cookie field.
    std::optional<std::string> read(std::string_view field, std::string_view stem) const;
    // The stems in a Cookie field that begin so, with stem_tail characters after it.
    std::vector<std::string> stems(std::string_view field, std::string_view beginning) const;
    static constexpr std::size_t stem_tail = 8;

    // A value that only this vendor opens, for this purpose. Empty: no entropy.
    std::string seal(std::string_view purpose, std::string_view plain) const;
    std::optional<Sealer::Opened> open(std::string_view purpose, std::string_view value) const;
    const Sealer& sealer() const { return sealer_; }
    const std::string& origin() const { return origin_; }

private:
    std::string context(std::string_view purpose) const { return std::string(purpose) + "|" + origin_; }
    const std::string origin_;
    const Sealer sealer_;
    custody::Random& random_;
};

}  // namespace netpay::ewallet
