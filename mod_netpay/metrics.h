// The counters' shared memory, and the handler that shows them.
#pragma once

#include "mod_netpay/counters.h"
#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// In the parent, in post_config: finds or makes the memory. It belongs to the
// process, not to the configuration, so that the children of before and after
// a graceful restart count into the same. False: none could be had.
bool make_counters(server_rec* s);

// Null where there is none (configtest).
Counters* counters();

// SetHandler netpay-metrics.
int show_metrics(request_rec* r);

}  // namespace netpay::glue
