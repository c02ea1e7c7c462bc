#include "mod_netpay/framing.h"

#include "mod_netpay/directives.h"
#include "mod_netpay/filters.h"
#include "mod_netpay/order.h"
#include "mod_netpay/passage.h"
#include "mod_netpay/reader_checks.h"

namespace netpay::glue {
namespace {

constexpr const char* framing_note = "netpay-framing";

ap_filter_rec_t* filter_handle = nullptr;

}  // namespace

const char* framing_policy(apr_pool_t* pool, const server_rec* s) {
    const auto& said = server_config(s).framing;
    if (said ? said->any : !offers_wallets(s)) return nullptr;
    std::string policy = "frame-ancestors 'self'";
    if (said)
        for (const auto& origin : said->origins) policy.append(" ").append(origin);
    return pool_string(pool, policy);
}

int limit_framing(request_rec* r) {
    const char* policy = server_config(r->server).framing_policy;
    apr_table_t* notes = topmost(r)->notes;  // internal redirects keep the filter and come by here as well
    if (!policy || apr_table_get(notes, framing_note) || !for_a_frame(fetch_of(r))) return DECLINED;
    apr_table_setn(notes, framing_note, "1");
    add_before_header(r, filter_handle, const_cast<char*>(policy));
    return DECLINED;
}

void register_framing_filter() {
    filter_handle = ap_register_output_filter(
        "NETPAY_FRAMING",
        [](ap_filter_t* f, apr_bucket_brigade* bb) -> apr_status_t {
            // Beside the page's own, for browsers keep to all of them, and after Header, which might set another in its place.
            if (f->ctx) apr_table_addn(f->r->err_headers_out, "Content-Security-Policy", static_cast<const char*>(f->ctx));
            f->ctx = nullptr;
            return ap_pass_brigade(f->next, bb);
        },
        nullptr, AP_FTYPE_PROTOCOL);
}

}  // namespace netpay::glue
