// What is told of a page to who has not paid for it (NetPayTitle, NetPayTeaser,
// NetPayTeaserFrom).
#pragma once

#include "mod_netpay/excerpt.h"
#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

// For r, which is about to be refused. Empty members: not told.
Excerpt teaser_of(request_rec* r);

// Whether r runs its handler for nothing but the fields of its answer; what it
// writes goes nowhere.
bool asked_for_teaser(const request_rec* r);

void register_teaser_filter();

}  // namespace netpay::glue
