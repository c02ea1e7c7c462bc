// The releasing side of a hand-over in httpd (PROTOCOL.md section 7 step 2):
// POST /.well-known/netpay/handoff. Who calls is known by the signatures in
// the body alone. The endpoint is not for sale, and no authentication of the
// site's own is asked of the caller; what the operator says of networks
// (Require ip, Require all denied) holds for it.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

inline constexpr std::string_view handoff_path = "/.well-known/netpay/handoff";

// Whether r is a call to hand a coin over, on a server that sells. Its place
// on the server is claimed with discovery's.
bool is_handoff(const request_rec* r);

// check_authn and auth_checker, before the site's own: OK, DECLINED for other requests.
int admit_handoff(request_rec* r);

// fixups, before those who redirect: answers and ends the request.
int answer_handoff(request_rec* r);

}  // namespace netpay::glue
