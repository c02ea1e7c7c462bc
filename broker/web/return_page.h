// GET and POST {issuer}/return: a page on which a customer without a wallet
// program gives a coin back. A plain form, no JavaScript, no cookie; the
// account's token is typed in and goes nowhere but into this one call.
#pragma once

#include "broker/api/resource.h"

namespace netpay::broker::web {

void add_return_page(Routes& routes, api::Broker broker);

}  // namespace netpay::broker::web
