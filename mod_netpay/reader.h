// What a browser says of why it asks for a page.
#pragma once

#include <string_view>

namespace netpay {

// The fields by which browsers mark a request that no reader has made yet;
// empty where absent.
struct Purpose {
    std::string_view sec_purpose;  // Fetch Metadata, "prefetch;prerender"
    std::string_view purpose;      // older Chromium and Safari
    std::string_view x_purpose, x_moz;
};

// Whether the page is fetched ahead, for a preview or for a reader who may
// never come. Such a request never spends, whatever it carries.
bool speculative(const Purpose& purpose);

}  // namespace netpay
