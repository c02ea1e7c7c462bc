// POST /.well-known/netpay/give-back in httpd.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

int admit_give_back(request_rec* r);   // check_authn, check_authz: whatever the server asks elsewhere
int answer_give_back(request_rec* r);  // fixups

}  // namespace netpay::glue
