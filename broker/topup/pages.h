// GET and POST {issuer}/topup: the page on which a member puts money into the
// account, by any of the providers; and the webhook that goes with them.
#pragma once

#include "broker/api/resource.h"

namespace netpay::broker::topup {

void add_topup(Routes& routes, api::Broker broker);

}  // namespace netpay::broker::topup
