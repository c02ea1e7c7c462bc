#include "mod_netpay/verified.h"

#include <array>
#include <cstring>

namespace netpay {
namespace {

// Plain memory: no destructor that would keep the module from being unloaded.
struct Kept {
    const void* secrets;
    UnixTime expires;
    std::uint32_t size;
    char text[1500];
};
thread_local Kept kept;

constexpr std::string_view none = "-";

std::array<std::string_view, 9> fields(const Challenge& c) {
    const auto opt = [](const std::optional<std::string>& s) { return s ? std::string_view(*s) : none; };
    return {c.id, c.realm, c.method, c.intent, c.request, opt(c.expires), opt(c.digest), opt(c.opaque), opt(c.header)};
}

// Each field with its length before it, so that no two challenges look alike.
template <class Put>
bool each_part(const Challenge& c, Put put) {
    for (const auto f : fields(c)) {
        const auto n = static_cast<std::uint32_t>(f.size());
        if (!put(&n, sizeof n) || !put(f.data(), f.size())) return false;
    }
    const bool present[] = {c.expires.has_value(), c.digest.has_value(), c.opaque.has_value(), c.header.has_value()};
    return put(present, sizeof present);
}

}  // namespace

void VerifiedChallenge::remember(const Challenge& c, const void* secrets) const {
    std::size_t at = 0;
    kept.secrets = nullptr;
    const bool fits = each_part(c, [&](const void* p, std::size_t n) {
        if (at + n > sizeof kept.text) return false;
        std::memcpy(kept.text + at, p, n);
        at += n;
        return true;
    });
    if (!fits) return;
    kept.size = static_cast<std::uint32_t>(at);
    kept.expires = expires;
    kept.secrets = secrets;
}

bool VerifiedChallenge::recall(const Challenge& c, const void* secrets, VerifiedChallenge& out) {
    if (kept.secrets != secrets || !secrets) return false;
    std::size_t at = 0;
    const bool same = each_part(c, [&](const void* p, std::size_t n) {
        if (at + n > kept.size || std::memcmp(kept.text + at, p, n) != 0) return false;
        at += n;
        return true;
    });
    if (!same || at != kept.size) return false;
    out.expires = kept.expires;
    return true;
}

}  // namespace netpay
