#include "mod_netpay/give_back_call.h"

#include "core/problem.h"
#include "mod_netpay/body.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/give_back.h"
#include "mod_netpay/vendor.h"

namespace netpay::glue {
namespace {

constexpr std::size_t body_bytes = 16384;     // a target as long as a request line, and little else
constexpr std::uint32_t no_till_retry_s = 2;  // the next child may be able to open it

bool is_give_back(const request_rec* r) {
    return !r->main && r->uri && r->uri == page_back_path && server_config(r->server).resolved;
}

int send(request_rec* r, int status, std::uint32_t retry_after_s, const std::string& body) {
    r->status = status;
    ap_set_content_type(r, status == HTTP_OK ? "application/json" : "application/problem+json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (retry_after_s) apr_table_setn(r->headers_out, "Retry-After", apr_itoa(r->pool, static_cast<int>(retry_after_s)));
    ap_set_content_length(r, static_cast<apr_off_t>(body.size()));
    ap_rwrite(body.data(), static_cast<int>(body.size()), r);
    return DONE;
}

int send_refusal(request_rec* r, const Refusal& refusal) { return send(r, refusal.status, refusal.retry_after_s, problem_body(refusal)); }

}  // namespace

int admit_give_back(request_rec* r) {
    if (!is_give_back(r)) return DECLINED;
    r->user = apr_pstrdup(r->pool, "netpay:give-back");
    return OK;
}

int answer_give_back(request_rec* r) {
    if (!is_give_back(r)) return DECLINED;
    if (r->method_number != M_POST) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, M_POST, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (dir_config(r).require_tls.value_or(true) && !is_private(r)) return send_refusal(r, refuse::insecure());
    const Vendor& v = *server_config(r->server).resolved;
    if (!v.counter || !v.counter->desk().wallets)
        return send_refusal(r, refuse::unavailable(Decision::till_unavailable, no_till_retry_s));
    const Body body = read_body(r, body_bytes);
    if (body.status == AP_FILTER_ERROR) return AP_FILTER_ERROR;  // a filter has answered
    if (body.status != HTTP_OK) return body.status;
    const auto a = give_page_back(v.counter->desk().till, *v.counter->desk().wallets, server_config(r->server).give_back.value_or(GiveBackRules()),
                                  r->hostname ? r->hostname : "", body.text, apr_time_sec(apr_time_now()));
    if (!a.why.empty()) ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "a page could not be given back: %s", a.why.c_str());
    if (a.status == HTTP_OK) begin_passage(r).gave_back(v, a.page, a.units);
    return send(r, a.status, a.retry_after_s, a.body);
}

}  // namespace netpay::glue
