#include "mod_netpay/ewallet/cookies.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/form.h"

namespace netpay::ewallet {

std::optional<Salt> fresh_salt(custody::Random& random) {
    Salt salt;
    if (!random.fill(salt.data(), salt.size())) return std::nullopt;
    return salt;
}

std::optional<std::string> fresh_secret(custody::Random& random) {
    Digest bytes;
    if (!random.fill(bytes.data(), bytes.size())) return std::nullopt;
    auto text = b64u_encode(bytes);
    cleanse(bytes.data(), bytes.size());
    return text;
}

Cookies::Cookies(std::string origin, const std::vector<Secret>& keys, custody::Random& random)
    : origin_(std::move(origin)), sealer_(keys), random_(random) {}

std::string Cookies::set(std::string_view stem, std::string_view value, std::int64_t life_s) const {
    return form::cookie_name(origin_, stem) + "=" + std::string(value) +
           "; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=" + std::to_string(life_s);
}

std::optional<std::string> Cookies::read(std::string_view field, std::string_view stem) const {
    return form::cookie(field, form::cookie_name(origin_, stem));
}

std::vector<std::string> Cookies::stems(std::string_view field, std::string_view beginning) const {
    std::vector<std::string> out;
    while (!field.empty()) {
        auto name = field.substr(0, field.find(';'));
        field.remove_prefix(std::min(name.size() + 1, field.size()));
        name = name.substr(0, name.find('='));
        while (!name.empty() && name.front() == ' ') name.remove_prefix(1);
        const auto at = name.find(beginning);
        if (at == std::string_view::npos) continue;
        const auto stem = name.substr(at, beginning.size() + stem_tail);
        if (stem.size() == beginning.size() + stem_tail && name == form::cookie_name(origin_, stem)) out.emplace_back(stem);
    }
    return out;
}

std::string Cookies::seal(std::string_view purpose, std::string_view plain) const {
    const auto salt = fresh_salt(random_);
    return salt ? sealer_.seal(*salt, context(purpose), plain) : std::string();
}

std::optional<Sealer::Opened> Cookies::open(std::string_view purpose, std::string_view value) const {
    return sealer_.open(context(purpose), value);
}

}  // namespace netpay::ewallet
