// Where readers' e-wallets come and go, and are looked at:
// /.well-known/netpay/wallet and what is below it. Admitted past the site's own
// authentication and answered before its content, as hand-overs are.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// post_read_request: takes a broker's code off the request's line, which logs show.
void take_code(request_rec* r);

// check_authn and check_authz: nobody has to sign in to the site for these.
int admit_wallet_page(request_rec* r);

// fixups, first: answers.
int answer_wallet_page(request_rec* r);

}  // namespace netpay::glue
