// What the tree of directives says of readers: what is offered to them, and what
// configtest warns of, configuration that defeats what they are promised: that
// nobody reads without paying and nobody pays twice.
#pragma once

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// Whether e-wallets are offered to browsers anywhere in that server.
bool offers_wallets(const server_rec* s);

// Whether a program handles HTML files in that server because of their media
// type (mod_actions). httpd does not say so before it serves them.
bool programs_for_pages(const server_rec* s);

// Looks through the tree of directives; each finding is a warning with file
// and line.
void check_for_readers(server_rec* s);

}  // namespace netpay::glue
