// The body of a request to one of the module's own addresses.
#pragma once

#include <string>

#include "mod_netpay/httpd_api.h"

namespace netpay::glue {

struct Body {
    int status = HTTP_OK;  // else: why it could not be read
    std::string text;
};

// The whole body, at most so many bytes of it, within httpd's own limits and
// time-outs (LimitRequestBody, Timeout, mod_reqtimeout).
Body read_body(request_rec* r, std::size_t most);

}  // namespace netpay::glue
