// From configuration to vendors: cross checks that `apachectl configtest`
// shows, keys and secrets read and directories made by the parent, tills
// opened by the children.
#pragma once

#include <vector>

#include "mod_netpay/counters.h"
#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// check_config: also in configtest; touches nothing.
int check_configuration(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* s);

// open_logs and post_config; the latter does nothing in httpd's first pass.
int open_logs(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* s);
int prepare(apr_pool_t* pconf, apr_pool_t* plog, apr_pool_t* ptemp, server_rec* s);

// child_init.
void start_child(apr_pool_t* pchild, server_rec* s);

// What the metrics say of the vendors that this child could open.
std::vector<VendorGauges> vendor_gauges();

// Whether the configuration names a proxy in front whose word about clients
// is taken (mod_remoteip): then a loopback peer says nothing of the client.
bool trusted_proxy_configured();

}  // namespace netpay::glue
