// A reader's click on the paywall, and what her browser says of itself.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/httpd_api.h"
#include "mod_netpay/passage.h"
#include "mod_netpay/reader.h"

namespace netpay::glue {

// Of the request that the browser sent.
Fetch fetch_of(request_rec* r);

// The e-wallets for browsers at the place of r; null: none are offered, or
// none could be opened.
ewallet::Wallets* wallets_at(request_rec* r, const Passage& p);

// What r asks of the reader's e-wallet, at that price. Views live as long as
// the request.
ewallet::Visit visit_of(request_rec* r, const Passage& p, const Price& price);

// Whether the e-wallet that the browser shows is sealed in its cookie.
bool wallet_in_cookie(const Passage& p);

// Adds Set-Cookie fields, whatever the answer will be.
void set_cookies(request_rec* r, const std::vector<std::string>& values);

// Takes the cookies of e-wallets off a Cookie field, as credentials are: they
// are for nobody else. Returns them, joined as they were.
std::string take_wallet_cookies(request_rec* r);

// Leaves the gate for `location` (303), with cookies.
int see_other(request_rec* r, Passage& p, const std::string& location, const std::vector<std::string>& cookies);

// If r is the paywall's form, sent to the page's own address: answers it, and
// returns httpd's status. The site's own forms are left as they were, to be
// read by who they are for.
std::optional<int> take_order(request_rec* r, Passage& p);

void register_order_filter();

}  // namespace netpay::glue
