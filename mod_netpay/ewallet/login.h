// The way to the broker and back: the authorisation code flow of RFC 6749
// section 4.1 with the proof key of RFC 7636, its state in a cookie of the one
// browser that began it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/form.h"
#include "core/result.h"
#include "mod_netpay/ewallet/cookies.h"
#include "mod_netpay/price.h"

namespace netpay::ewallet {

struct Login {
    std::string state, issuer, target;
    Secret verifier;
    bool in_cookie = false;    // which kind she asked for
    bool server_too = false;   // and whether the other will do
    Price price;
};
inline constexpr std::int64_t login_life_s = 600;     // to sign up and to buy a voucher's worth
// A target that a login cookie can carry beside all else in httpd's 8190 bytes of Cookie field.
inline constexpr std::size_t longest_target = 1500;

struct Beginning {
    std::string location;              // {issuer}/authorize?…
    std::vector<std::string> cookies;  // the login's; those never finished go where they are many
};
// Fills state and verifier. Errors: limit for the target or without entropy.
Result<Beginning> begin_login(const Cookies& cookies, custody::Random& random, Login login, std::string_view redirect_uri,
                              std::string_view cookie_field, UnixTime now);

// The login that a callback's query belongs to: begun in this browser, in
// time, with this broker. Nothing: it is none of this browser's.
std::optional<Login> login_of(const Cookies& cookies, std::string_view cookie_field, const form::Fields& query, UnixTime now);
// The Set-Cookie value by which it is used up.
std::string login_done(const Cookies& cookies, const Login& login);

}  // namespace netpay::ewallet
