// Charging when the answer leaves: an output filter behind the range filter,
// where the status is final and nothing has been written.
#pragma once

#include "mod_netpay/httpd_api.h"
#include "mod_netpay/passage.h"

namespace netpay::glue {

// Puts the settle filter on r's answer. Once a chain of requests.
void watch_answer(request_rec* r, Passage& p);

void register_settle_filter();

}  // namespace netpay::glue
