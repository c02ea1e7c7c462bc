// Vendor discovery (PROTOCOL.md section 9): /.well-known/netpay, answered by
// the module itself whatever else the server maps there.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// Whether r asks for discovery, or for something below it (hand-overs), on a server that sells.
bool is_discovery(const request_rec* r);

// translate_name and map_to_storage, first: nobody else maps it.
int claim_discovery(request_rec* r);

// handler, first.
int answer_discovery(request_rec* r);

}  // namespace netpay::glue
