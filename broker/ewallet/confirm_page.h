// The page on which a reader agrees that a site may spend from her e-wallet,
// and what she can set on it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/ewallet/codes.h"
#include "broker/ewallet/coins.h"
#include "broker/ewallet/limits.h"
#include "broker/web/site.h"
#include "core/form.h"

namespace netpay::broker::ewallet {

// What it is about.
struct Purse {
    Amount in_wallet, balance;
    std::optional<WalletCoin> coin;     // that would be spent from
    std::optional<issue::Terms> terms;  // no coin: what would be bought first; neither: there is too little
    bool day_over = false;              // today's limit leaves no room for the page
    Limits limits;                      // as the form proposes them, but for so many days
    Int days = usual_days;
    form::Fields typed;                 // what she wrote in their place, if it was not taken
};

Response confirm_page(api::Broker b, const web::Session& session, const Wanted& wanted, const Purse& purse, std::string_view address,
                      std::string_view once, std::string_view message, int status = 200);

// The fields of limits in a form, under <label>s; everywhere: whether to ask
// that too; typed: what was written instead, empty if nothing was. What they
// say again, as limits that begin now; refuses with 422, naming the field.
std::string limit_fields(const Limits& limits, Int days, const Currency& currency, bool everywhere, const form::Fields& typed,
                         std::string_view id = {});
Outcome<Limits> read_limits(const form::Fields& fields, UnixTime now);

}  // namespace netpay::broker::ewallet
