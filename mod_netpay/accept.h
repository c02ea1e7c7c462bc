// Content negotiation of the 402: which challenges the client can use
// (Accept-Payment) and which body it would rather read (Accept).
#pragma once

#include <string_view>
#include <vector>

namespace netpay {

// What Accept-Payment says, a list of "method/intent" with "*" for either and
// a weight ";q=": the intents of method netpay that are left of `offered`, the
// best first, ties in the order offered. If none is left, or the field is
// absent, `offered` as it is. The views point into `offered`.
std::vector<std::string_view> accepted_intents(std::string_view accept_payment,
                                               const std::vector<std::string_view>& offered);

// Whether text/html is worth strictly more to the client than problem+json
// (RFC 9110 section 12.5.1). False for an empty Accept.
bool prefers_html(std::string_view accept);

}  // namespace netpay
