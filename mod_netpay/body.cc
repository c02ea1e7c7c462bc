#include "mod_netpay/body.h"

namespace netpay::glue {

Body read_body(request_rec* r, std::size_t most) {
    Body body;
    apr_bucket_brigade* bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    for (bool ended = false; !ended;) {
        const auto rv = ap_get_brigade(r->input_filters, bb, AP_MODE_READBYTES, APR_BLOCK_READ, static_cast<apr_off_t>(most));
        if (rv != APR_SUCCESS) {
            body.status = ap_map_http_request_error(rv, HTTP_BAD_REQUEST);
            return body;
        }
        for (auto* b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb) && !ended; b = APR_BUCKET_NEXT(b)) {
            ended = APR_BUCKET_IS_EOS(b);
            if (APR_BUCKET_IS_METADATA(b)) continue;
            const char* data = nullptr;
            apr_size_t size = 0;
            if (apr_bucket_read(b, &data, &size, APR_BLOCK_READ) != APR_SUCCESS) {
                body.status = HTTP_BAD_REQUEST;
                return body;
            }
            if (body.text.size() + size > most) {
                body.status = HTTP_REQUEST_ENTITY_TOO_LARGE;
                return body;
            }
            body.text.append(data, size);
        }
        apr_brigade_cleanup(bb);
    }
    return body;
}

}  // namespace netpay::glue
