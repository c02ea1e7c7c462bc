#include "mod_netpay/paywall.h"

#include <mod_core.h>

#include "core/html.h"
#include "core/json.h"
#include "mod_netpay/accept.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/offer.h"
#include "mod_netpay/order.h"
#include "mod_netpay/page.h"
#include "mod_netpay/teaser.h"

namespace netpay::glue {
namespace {

ap_filter_rec_t* filter_handle = nullptr;

// Replaces whatever the answer's first brigade holds by the refusal's body.
apr_status_t paywall_filter(ap_filter_t* f, apr_bucket_brigade* bb) {
    auto* p = static_cast<Passage*>(f->ctx);
    request_rec* r = f->r;
    if (!p) {  // the body is out; what follows is the canned one
        apr_brigade_cleanup(bb);
        return APR_SUCCESS;
    }
    f->ctx = nullptr;
    apr_brigade_cleanup(bb);
    ap_set_content_type(r, p->media_type.c_str());
    ap_set_content_length(r, static_cast<apr_off_t>(p->body.size()));
    const char* body = pool_string(r->pool, p->body);
    auto* alloc = r->connection->bucket_alloc;
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_pool_create(body, p->body.size(), r->pool, alloc));
    APR_BRIGADE_INSERT_TAIL(bb, apr_bucket_eos_create(alloc));
    return ap_pass_brigade(f->next, bb);
}

// Whether the operator has an answer of his own for the status. One that lies
// at another URL would turn the 402 into a redirect, and is set aside.
bool operator_answers(request_rec* r, int status) {
    const char* document = ap_response_code_string(r, ap_index_of_response(status));
    if (!document) return false;
    if (!ap_is_url(document)) return true;
    ap_log_rerror(APLOG_MARK, APLOG_WARNING, 0, r, "ErrorDocument %d %s would turn the answer into a redirect and is not used",
                  status, document);
    ap_custom_response(r, status, "\"Payment required");
    return false;
}

// The e-wallets that the page offers, and how this reader's stands.
WalletForms forms_for(request_rec* r, const Passage& p) {
    WalletForms f;
    auto* wallets = wallets_at(r, p);
    if (!wallets) return f;
    const auto kinds = dir_config(r).wallets.value_or(WalletKinds());
    f.server = kinds.server;
    f.cookie = kinds.cookie;
    f.in_cookie = wallet_in_cookie(p);
    f.standing = p.standing;
    auto visit = visit_of(r, p, p.price);
    if (p.standing.kind == ewallet::Standing::Kind::moved) visit.cookies = {};  // this answer takes it from the browser
    f.token = wallets->form_token(visit);
    return f;
}

struct Page {
    std::string html;
    std::vector<std::string> form_origins;
};

Page page_for(request_rec* r, const Passage& p, const Refusal& refusal) {
    const auto doc = json::Document::parse(p.body);
    const request_rec* top = topmost(r);
    const char* realm = ap_auth_name(r);
    PaywallText t;
    t.vendor = p.vendor ? std::string_view(p.vendor->origin) : "";
    t.realm = realm ? std::string_view(realm) : t.vendor;
    t.target = origin_form(top->unparsed_uri ? top->unparsed_uri : "/");
    t.status = doc ? doc->root().string("title").value_or("") : "";
    t.detail = refusal.detail;
    if (refusal.status != HTTP_PAYMENT_REQUIRED) return {render_fault(t), {}};
    if (p.priced) t.price = html::price(p.price.amount, p.price.currency);
    if (p.vendor) t.brokers = &p.vendor->issuers;
    t.opened = top->method_number == M_GET;
    t.tried = refusal.decision != Decision::required;
    t.notice = p.notice;
    if (t.opened && p.priced) t.forms = forms_for(r, p);
    if (!p.answered) {  // else the page's handler has run already
        auto told = teaser_of(r);
        t.title = std::move(told.title);
        t.teaser = std::move(told.teaser);
    }
    return {render_paywall(t, dir_config(r).paywall), form_origins(t)};
}

}  // namespace

void add_page_fields(request_rec* r, const std::vector<std::string>& form_origins, bool own_files) {
    auto* h = r->err_headers_out;
    const auto policy = html::policy(html::kit, form_origins, own_files ? html::Styles::own_files_too : html::Styles::inline_only);
    apr_table_setn(h, "Content-Security-Policy", pool_string(r->pool, policy));
    apr_table_setn(h, "X-Frame-Options", "DENY");
    apr_table_setn(h, "Referrer-Policy", "same-origin");
    apr_table_setn(h, "X-Content-Type-Options", "nosniff");
}

void set_refusal(request_rec* r, Passage& p, const Refusal& refusal, const std::vector<std::string>& challenges) {
    auto* h = r->err_headers_out;
    apr_table_setn(h, "Cache-Control", "no-store");
    for (const auto& c : challenges) apr_table_addn(h, "WWW-Authenticate", pool_string(r->pool, c));
    if (refusal.status == HTTP_PAYMENT_REQUIRED)
        apr_table_setn(h, "Vary", "Accept, Authorization, Accept-Payment, Payment-Authorization");
    if (refusal.retry_after_s)
        apr_table_setn(h, "Retry-After", apr_itoa(r->pool, static_cast<int>(refusal.retry_after_s)));
    p.body = problem_body(refusal);
    p.media_type = "application/problem+json";
    p.own_body = !operator_answers(r, refusal.status);
    if (!p.own_body || !prefers_html(field(r->headers_in, "Accept"))) return;
    auto page = page_for(r, p, refusal);
    p.body = std::move(page.html);
    p.media_type = "text/html; charset=utf-8";
    add_page_fields(r, page.form_origins, refusal.status == HTTP_PAYMENT_REQUIRED && dir_config(r).paywall);
}

void insert_paywall(request_rec* r) {
    Passage* p = passage_of(r);
    if (p && p->stage == Passage::Stage::refused && p->own_body && !p->body.empty())
        ap_add_output_filter_handle(filter_handle, p, r, r->connection);
}

void register_paywall_filter() {
    filter_handle = ap_register_output_filter(
        "NETPAY_PAYWALL",
        [](ap_filter_t* f, apr_bucket_brigade* bb) {
            return guarded(f->r, apr_status_t{AP_FILTER_ERROR}, [&] { return paywall_filter(f, bb); });
        },
        nullptr, AP_FTYPE_RESOURCE);
}

}  // namespace netpay::glue
