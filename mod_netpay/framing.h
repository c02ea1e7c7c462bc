// Who may show pages of this server in a frame (NetPayFraming). A free page in a
// stranger's frame has links to sold pages, and a click that the reader was led
// to make there looks like one on the site itself.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// The policy of that server for pages in frames; null: none.
const char* framing_policy(apr_pool_t* pool, const server_rec* s);

// post_read_request: sees to it that the answer carries the policy.
int limit_framing(request_rec* r);

void register_framing_filter();

}  // namespace netpay::glue
