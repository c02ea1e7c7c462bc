// The answer to who has not paid: headers that survive an ErrorDocument, and
// the body in place of httpd's canned one.
#pragma once

#include <string>
#include <vector>

#include "mod_netpay/httpd_api.h"
#include "mod_netpay/passage.h"

namespace netpay::glue {

// Sets r's headers for the refusal and keeps its body in p.
void set_refusal(request_rec* r, Passage& p, const Refusal& refusal, const std::vector<std::string>& challenges);

// What browsers are to keep to when they show a page of ours. `own_files`: it
// may name style sheets and pictures of the site.
void add_page_fields(request_rec* r, const std::vector<std::string>& form_origins, bool own_files);

// insert_error_filter: puts the paywall filter on an answer that httpd makes for a refusal of ours.
void insert_paywall(request_rec* r);

void register_paywall_filter();

}  // namespace netpay::glue
