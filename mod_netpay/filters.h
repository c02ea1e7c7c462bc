// Filters of ours among those of the protocol, where httpd's own functions would
// put none: internal redirects and answers to errors keep them.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// Behind what changes the answer and its fields, before what writes its header.
void add_before_header(request_rec* r, ap_filter_rec_t* handle, void* context);

// Nearer to the connection than what a handler puts in to decode what is sent,
// before what reads it off the connection.
void add_above_body(request_rec* r, ap_filter_rec_t* handle, void* context);

}  // namespace netpay::glue
