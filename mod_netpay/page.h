// The pages a browser is shown in place of what it asked for: the paywall, and
// what went wrong.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "mod_netpay/template.h"

namespace netpay {

struct PaywallText {
    std::string_view realm;   // what the site calls this part of itself
    std::string_view vendor;  // origin
    std::string_view target;  // the resource, origin form
    std::string price;        // for people: "2 ¢"; empty: not known
    std::string title, teaser;  // of what is behind; empty: not told
    const std::vector<std::string>* brokers = nullptr;  // issuers
    bool opened = true;       // by GET; else something was sent
    bool tried = false;       // a payment came and was refused
    std::string_view status;  // what is the matter, and more of it; shown if tried
    std::string_view detail;
};

// Whole HTML documents, every value escaped. No script, no outside resource;
// they read well without styles and in a screen reader. The style is html::kit.

// Status 402; with a template, the operator's page.
std::string render_paywall(const PaywallText& text, const Template* own = nullptr);

// Statuses 400, 403 and 503.
std::string render_fault(const PaywallText& text);

}  // namespace netpay
