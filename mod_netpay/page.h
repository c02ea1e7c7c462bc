// The paywall page: the 402 body for a client that prefers text/html.
#pragma once

#include <string>
#include <string_view>

namespace netpay {

struct PaywallText {
    std::string_view realm;   // what the site calls this part of itself
    std::string price;        // for people: "0.02 USD"; empty: not known
    std::string_view vendor;  // origin
    std::string_view target;  // the resource, origin form
    std::string_view title;   // what is the matter
    std::string_view detail;
};

// A whole HTML document, every value escaped. No script, no outside resource;
// it reads well without styles and in a screen reader.
std::string render_paywall(const PaywallText& text);

// Text made safe for HTML content and quoted attributes.
std::string escape_html(std::string_view text);

}  // namespace netpay
