// Web origins as the contract names vendors and brokers: scheme://host[:port],
// lower case, no path, no default port (RFC 6454 section 6.2).
#pragma once

#include <string>
#include <string_view>

namespace netpay {

// True for "https://host[:port]" or "http://host[:port]" in canonical form:
// lower-case reg-name or IPv4, or a bracketed IPv6 literal; port 1 … 65535
// without leading zero and not the scheme's default.
bool is_origin(std::string_view text);

// True if the host of an origin or URL is localhost, 127.0.0.0/8 or [::1].
bool is_loopback(std::string_view url);

// The origin of an http(s) URL: what stands before its path; empty if the
// text is not such a URL or has user information.
std::string origin_of(std::string_view url);

}  // namespace netpay
