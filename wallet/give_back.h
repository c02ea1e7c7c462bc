// Giving back a page that was bought by mistake, where its site takes pages
// back for a while (doc/readers.md).
#pragma once

#include <string>

#include "wallet/http.h"
#include "wallet/purse.h"

namespace netpay::wallet {

// Asks the site for the page bought last at `url` (as normal_url() gives it)
// and puts on record what is spendable again: at most what the page cost,
// whatever the site says. max_time_s: for the answer; 0: no limit. Failures: those of
// Purse::ask_back(); network (no answer: asking again is safe); payment (the site
// refuses, or answers nonsense); store.
Outcome<GivenBack> give_back(Transport& transport, Purse& purse, const std::string& url, std::int64_t max_time_s);

}  // namespace netpay::wallet
