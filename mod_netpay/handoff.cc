#include "mod_netpay/handoff.h"

#include "core/problem.h"
#include "mod_netpay/body.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/discovery.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/metrics.h"
#include "mod_netpay/vendor.h"

namespace netpay::glue {
namespace {

// A request with its certificate and an enclosed index are three tokens of
// about 1 KB; limits::token_bytes of each fit.
constexpr std::size_t body_bytes = 16384;
constexpr std::uint32_t no_till_retry_s = 2;  // the next child may be able to open it

custody::HandoffAnswer problem(int status, const char* kind, std::string_view title, std::string_view detail,
                               std::string_view outcome) {
    custody::HandoffAnswer a;
    a.status = status;
    a.body = problem_document("urn:netpay:problem:" + std::string(kind), status, title, detail).jcs();
    a.outcome = outcome;
    return a;
}

custody::HandoffAnswer unreadable(int status) {
    if (status == HTTP_REQUEST_ENTITY_TOO_LARGE)
        return problem(status, "malformed-request", "The request is too large",
                       "A hand-over has at most " + std::to_string(body_bytes) + " bytes.", "refused");
    if (status == HTTP_REQUEST_TIME_OUT)
        return problem(status, "timeout", "The request did not come in time", "The whole body must be sent at once.", "refused");
    return problem(HTTP_BAD_REQUEST, "malformed-request", "The request is malformed", "The body could not be read.", "refused");
}

custody::HandoffAnswer insecure() {
    return problem(HTTP_FORBIDDEN, "insecure-transport", "Hand-overs need an encrypted connection", "Use https (TLS).",
                   "refused");
}

custody::HandoffAnswer hand_over(const Vendor& v, std::string_view body) {
    if (v.counter) return v.counter->desk().keeper.hand_over(body);
    auto a = problem(HTTP_SERVICE_UNAVAILABLE, "unavailable", "Hand-overs cannot be made now", "Try again later.",
                     "unavailable");
    a.retry_after_s = no_till_retry_s;
    return a;
}

int send(request_rec* r, const custody::HandoffAnswer& a) {
    if (auto* c = counters()) c->count(handover_tick(a.outcome));
    r->status = a.status;
    const bool token = a.status == HTTP_OK || a.status == HTTP_GONE;
    ap_set_content_type(r, token ? "application/json" : "application/problem+json");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    if (a.retry_after_s)
        apr_table_setn(r->headers_out, "Retry-After", apr_itoa(r->pool, static_cast<int>(a.retry_after_s)));
    ap_set_content_length(r, static_cast<apr_off_t>(a.body.size()));
    ap_rwrite(a.body.data(), static_cast<int>(a.body.size()), r);
    return DONE;
}

int only_post(request_rec* r) {
    if (auto* c = counters()) c->count(Tick::handover_refused);
    ap_allow_standard_methods(r, REPLACE_ALLOW, M_POST, -1);
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    return HTTP_METHOD_NOT_ALLOWED;
}

}  // namespace

bool is_handoff(const request_rec* r) {
    return !r->main && r->uri && r->uri == handoff_path && server_config(r->server).resolved;
}

int admit_handoff(request_rec* r) {
    if (!is_handoff(r)) return DECLINED;
    r->user = apr_pstrdup(r->pool, "netpay:hand-over");
    return OK;
}

int answer_handoff(request_rec* r) {
    if (!is_handoff(r)) return DECLINED;
    if (r->method_number != M_POST) return only_post(r);
    if (dir_config(r).require_tls.value_or(true) && !is_private(r)) return send(r, insecure());
    const Body body = read_body(r, body_bytes);
    if (body.status == AP_FILTER_ERROR) return AP_FILTER_ERROR;  // a filter has answered
    if (body.status != HTTP_OK) return send(r, unreadable(body.status));
    return send(r, hand_over(*server_config(r->server).resolved, body.text));
}

}  // namespace netpay::glue
