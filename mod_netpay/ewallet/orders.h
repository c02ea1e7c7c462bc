// A reader's click: the token of the form she sees, and the order that her
// next request carries.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "mod_netpay/ewallet/cookies.h"
#include "mod_netpay/price.h"

namespace netpay::ewallet {

// What a form or an order is for.
struct Purpose {
    std::string_view binding;  // of the e-wallet in her browser; empty: none
    std::string_view target;
    Price price;
};

// EXP.AMOUNT.CUR.MAC, good for form_life_s.
std::string form_token(const Cookies& cookies, const Purpose& purpose, UnixTime now);
// The price that stands in it, if it is ours for this e-wallet and target.
std::optional<Price> form_token_price(const Cookies& cookies, std::string_view binding, std::string_view target,
                                      std::string_view token, UnixTime now);
inline constexpr std::int64_t form_life_s = 3600;

// The order as a Set-Cookie value; empty: no entropy.
std::string order_cookie(const Cookies& cookies, const Purpose& purpose, UnixTime now);
// Whether a Cookie field holds an order for this page that allows its price.
bool ordered(const Cookies& cookies, std::string_view field, const Purpose& purpose, UnixTime now);
// The Set-Cookie value by which it is done; empty: there is none.
std::string order_done(const Cookies& cookies, std::string_view field, std::string_view target);
inline constexpr std::int64_t order_life_s = 60;

}  // namespace netpay::ewallet
