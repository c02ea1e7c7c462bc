#include "mod_netpay/settle.h"

#include "core/receipt.h"
#include "mod_netpay/filters.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/metrics.h"
#include "mod_netpay/order.h"
#include "mod_netpay/text.h"

namespace netpay::glue {
namespace {

ap_filter_rec_t* filter_handle = nullptr;

bool holds_error(apr_bucket_brigade* bb) {
    for (auto* b = APR_BRIGADE_FIRST(bb); b != APR_BRIGADE_SENTINEL(bb); b = APR_BUCKET_NEXT(b))
        if (AP_BUCKET_IS_ERROR(b)) return true;
    return false;
}

// What the resource says of caching, made at least as strict as a sold answer wants it.
std::string strict_cache_control(std::string_view said) {
    std::string out = "private, no-cache";
    bool no_store = false;
    for (const auto part : split_list(said)) {
        no_store = no_store || equal_nocase(part, "no-store");
        if (equal_nocase(part, "no-transform") || equal_nocase(part, "must-revalidate")) out.append(", ").append(part);
    }
    return no_store ? out + ", no-store" : out;
}

void protect_from_caches(request_rec* r) {
    std::string said;
    for (const auto* fields : {r->headers_out, r->err_headers_out})
        if (const char* values = apr_table_getm(r->pool, fields, "Cache-Control")) said.append(values).append(",");
    apr_table_unset(r->err_headers_out, "Cache-Control");
    apr_table_unset(r->headers_out, "Expires");
    apr_table_unset(r->err_headers_out, "Expires");
    apr_table_setn(r->headers_out, "Cache-Control", pool_string(r->pool, strict_cache_control(said)));
}

void add_receipt(request_rec* r, const Passage& p) {
    Receipt receipt;
    receipt.timestamp = p.charge.payment.now;
    receipt.coin = p.coin;
    receipt.index = static_cast<std::uint32_t>(p.charge.payment.index);
    receipt.amount = p.price.amount;
    receipt.currency = p.price.currency;
    receipt.spent = p.outcome.spent;
    receipt.revealed = p.outcome.revealed;
    const auto& back = server_config(r->server).give_back;
    if (back && back->programs && p.outcome.verdict == Verdict::paid) receipt.give_back_s = back->within_s;
    apr_table_setn(r->headers_out, "Payment-Receipt", pool_string(r->pool, format_receipt(receipt)));
    apr_table_unset(r->err_headers_out, "Payment-Receipt");
    protect_from_caches(r);
}

// The answer was ready and the till would not settle: it is taken back. The
// error is made on the request itself, since an error bucket would lose the
// challenges; ap_die() takes a request whose status is not 200 for a failed
// ErrorDocument.
apr_status_t take_back(ap_filter_t* f, apr_bucket_brigade* bb, Passage& p) {
    request_rec* r = f->r;
    apr_brigade_cleanup(bb);
    if (auto* c = counters()) c->count(Tick::till_failure);
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "the till would not settle a payment: %s", *p.outcome.why ? p.outcome.why : "refused");
    Refusal refusal = refuse::unavailable(Decision::unsettled, 1);
    if (p.outcome.answer == till::Answer::judged && p.outcome.verdict != Verdict::busy && p.outcome.verdict != Verdict::paid)
        refusal = refuse::judged(p.outcome.verdict, p.coin, p.outcome.spent, p.outcome.revealed, p.outcome.needed,
                                 p.charge.rules.max_hop);
    const int status = refuse_request(r, p, std::move(refusal));
    r->status = HTTP_OK;
    ap_die(status, r);
    p.discarding = true;
    return AP_FILTER_ERROR;
}

bool settle(Passage& p) {
    till::Outcome out = p.outcome;
    const bool settled = p.vendor->counter->desk().till.settle(p.charge, out);
    out.units = p.outcome.units;
    p.outcome = out;
    if (settled) p.stage = Passage::Stage::settled;
    else p.vendor->counter->desk().till.release(p.charge);
    return settled;
}

apr_status_t settle_filter(ap_filter_t* f, apr_bucket_brigade* bb) {
    auto& p = *static_cast<Passage*>(f->ctx);
    request_rec* r = f->r;
    if (p.discarding) {
        apr_brigade_cleanup(bb);
        return APR_SUCCESS;
    }
    if (p.answered || APR_BRIGADE_EMPTY(bb)) return ap_pass_brigade(f->next, bb);
    p.answered = true;
    const bool success = ap_is_HTTP_SUCCESS(r->status) && !holds_error(bb);
    if (!success || r->connection->aborted) {
        release(p);
    } else if (p.stage == Passage::Stage::reserved) {
        if (!settle(p)) return take_back(f, bb, p);
        add_receipt(r, p);
        set_cookies(r, p.paid_cookies);
    } else if (p.stage == Passage::Stage::replayed) {
        add_receipt(r, p);
        set_cookies(r, p.paid_cookies);
    }
    return ap_pass_brigade(f->next, bb);
}

}  // namespace

void watch_answer(request_rec* r, Passage& p) { add_before_header(r, filter_handle, &p); }

void register_settle_filter() {
    filter_handle = ap_register_output_filter(
        "NETPAY_SETTLE",
        [](ap_filter_t* f, apr_bucket_brigade* bb) {
            return guarded(f->r, apr_status_t{AP_FILTER_ERROR}, [&] { return settle_filter(f, bb); });
        },
        nullptr, AP_FTYPE_PROTOCOL);
}

}  // namespace netpay::glue
