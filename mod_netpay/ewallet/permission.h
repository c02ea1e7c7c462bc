// Whether the reader lets this page be paid: she said so for it, or beforehand
// for pages up to a price.
#pragma once

#include "mod_netpay/ewallet/holdings.h"

namespace netpay::ewallet {

// Whether the reader said yes to this page by an order a moment ago.
bool asked(Holdings& h, const Visit& v, const Wallet& w);
// Whether she did so, or by "automatic" for pages up to a price.
bool allowed(Holdings& h, const Visit& v, const Wallet& w);
// What is granted may be of several days, as what was not spent yesterday is.
// Without asking her no more than a day's limit of it is taken in a day.
bool within_day(Holdings& h, const Visit& v, const Wallet& w);

}  // namespace netpay::ewallet
