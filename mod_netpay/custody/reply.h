// What another server answered, sorted into what can be used and what cannot.
// Shared by the calls to brokers and to other vendors.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/json.h"
#include "mod_netpay/custody/custody.h"

namespace netpay::custody {

struct Reply {
    // 0: no answer that can be used: out of reach, 408, 429, 5xx, a redirect,
    // or a body that is no JSON object. Else 200 or another 4xx.
    int status = 0;
    std::optional<json::Document> body;  // of 200 always
    std::string detail;                  // what was wrong, with the problem's own detail; no secrets
    std::string kind;                    // last part of the problem's type URI
    std::uint32_t retry_after_s = 2;     // of status 0
    bool too_many = false;               // of status 0: it is there, and takes no more of these calls for now (429)
};

// The longest Retry-After that is believed.
inline constexpr std::uint32_t longest_retry_s = 60;

// `what`: who was asked and for what; begins the detail.
Reply read_reply(HttpAnswer answer, const std::string& what);

}  // namespace netpay::custody
