// What configtest warns of: configuration that defeats what readers are
// promised, that nobody reads without paying and nobody pays twice.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// Looks through the tree of directives; each finding is a warning with file
// and line.
void check_for_readers(server_rec* s);

}  // namespace netpay::glue
