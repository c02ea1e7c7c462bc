#include "mod_netpay/order.h"

#include <algorithm>

#include "core/form.h"
#include "mod_netpay/body.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/filters.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/page.h"
#include "mod_netpay/text.h"

namespace netpay::glue {
namespace {

// An issuer, percent-encoded at worst, and a token fit; a site's own larger
// forms are not even looked at.
constexpr std::size_t form_bytes = 2048;

constexpr std::string_view cookie_stems[] = {"__Host-netpay-wallet", "__Host-netpay-order-", "__Host-netpay-login-"};

constexpr std::string_view again = "That did not work; nothing was charged. Please try again.";
constexpr std::string_view other_host = "This page can be paid for at the site's own address only. Nothing was charged.";

ap_filter_rec_t* filter_handle = nullptr;

// The body of a form that was read and is not ours, for whoever it is for.
apr_status_t unread_filter(ap_filter_t* f, apr_bucket_brigade* bb, ap_input_mode_t mode, apr_read_type_e block, apr_off_t bytes) {
    auto* kept = static_cast<apr_bucket_brigade*>(f->ctx);
    if (APR_BRIGADE_EMPTY(kept) || mode == AP_MODE_INIT) return ap_get_brigade(f->next, bb, mode, block, bytes);
    if (mode == AP_MODE_GETLINE) return apr_brigade_split_line(bb, kept, block, HUGE_STRING_LEN);
    if (mode == AP_MODE_EXHAUSTIVE) {
        APR_BRIGADE_CONCAT(bb, kept);
        return APR_SUCCESS;
    }
    if (mode != AP_MODE_READBYTES && mode != AP_MODE_SPECULATIVE) return APR_ENOTIMPL;
    apr_bucket* end = nullptr;
    const auto rv = apr_brigade_partition(kept, bytes, &end);
    if (rv != APR_SUCCESS && rv != APR_INCOMPLETE) return rv;
    for (auto* b = APR_BRIGADE_FIRST(kept); b != end && b != APR_BRIGADE_SENTINEL(kept);) {
        auto* following = APR_BUCKET_NEXT(b);
        if (mode == AP_MODE_SPECULATIVE) {
            apr_bucket* copy = nullptr;
            if (const auto copied = apr_bucket_copy(b, &copy); copied != APR_SUCCESS) return copied;
            APR_BRIGADE_INSERT_TAIL(bb, copy);
        } else {
            APR_BUCKET_REMOVE(b);
            APR_BRIGADE_INSERT_TAIL(bb, b);
        }
        b = following;
    }
    return APR_SUCCESS;
}

void put_back(request_rec* r, const std::string& body) {
    auto* alloc = r->connection->bucket_alloc;
    auto* kept = apr_brigade_create(r->pool, alloc);
    APR_BRIGADE_INSERT_TAIL(kept, apr_bucket_pool_create(pool_string(r->pool, body), body.size(), r->pool, alloc));
    add_above_body(r, filter_handle, kept);
}

// Whether r is a POST as the browser sent it, wherever httpd has led it since:
// no part of a page, no answer to an error, and no page that a program chose
// after it had read what was sent, for that is a GET.
bool posted(const request_rec* r) {
    for (; r; r = r->prev)
        if (r->main || r->method_number != M_POST || ap_is_HTTP_ERROR(r->status)) return false;
    return true;
}

// Whether r may be the paywall's form: small, plain, and without a credential.
bool looks_like_form(request_rec* r, const Passage& p) {
    if (!posted(r) || p.presented.count != Presented::Count::none) return false;
    if (apr_table_get(r->headers_in, "Transfer-Encoding") || apr_table_get(r->headers_in, "Content-Encoding")) return false;
    const auto type = field(r->headers_in, "Content-Type");
    if (!equal_nocase(trim(type.substr(0, type.find(';'))), "application/x-www-form-urlencoded")) return false;
    const auto length = field(r->headers_in, "Content-Length");
    if (length.empty() || length.size() > 4 || length.find_first_not_of("0123456789") != std::string_view::npos) return false;
    const auto bytes = std::stoul(std::string(length));
    return bytes >= 1 && bytes <= form_bytes;
}

// What the page's address answers to what was not in order: the paywall, as to
// GET, for the form is of the page that is shown for that.
int try_again(request_rec* r, Passage& p, ewallet::Wallets& wallets, std::string_view notice) {
    for (request_rec* q = r; q; q = q->prev) {
        q->method = "GET";
        q->method_number = M_GET;
    }
    p.notice = notice;
    const auto price = price_of(r);
    if (!price || price->free()) return see_other(r, p, p.vendor->origin + safe_target(ask_of(r, *p.vendor, {}).target), {});
    p.price = *price;
    p.priced = true;
    auto visit = visit_of(r, p, *price);
    visit.unasked = visit.ordered_ok = false;
    auto considered = wallets.consider(visit);
    p.standing = std::move(considered.standing);
    set_cookies(r, considered.cookies);
    return refuse_request(r, p, refuse::payment_required());
}

std::string_view value(const form::Fields& fields, const char* name) {
    const auto it = fields.find(name);
    return it == fields.end() ? std::string_view() : std::string_view(it->second);
}

int answer(request_rec* r, Passage& p, ewallet::Wallets& wallets, const form::Fields& fields) {
    auto visit = visit_of(r, p, {});
    const auto price = wallets.form_token_ok(visit, value(fields, form_field::token));
    if (!price) return try_again(r, p, wallets, again);
    visit.price = *price;
    const auto action = value(fields, form_field::action);
    if (action == form_field::pay) return see_other(r, p, p.vendor->origin + std::string(visit.target), {wallets.order(visit)});
    const bool cookie = action == form_field::cookie;
    if (!cookie && action != form_field::wallet) return try_again(r, p, wallets, again);
    const auto begun = wallets.begin(visit, std::string(value(fields, form_field::broker)), cookie);
    if (!begun) return try_again(r, p, wallets, again);
    if (begun->refusal) return refuse_request(r, p, *begun->refusal);
    return see_other(r, p, begun->location, begun->cookies);
}

}  // namespace

Fetch fetch_of(request_rec* r) {
    const request_rec* top = topmost(r);
    const auto* h = top->headers_in;
    Fetch f;
    f.get = top->method_number == M_GET && !top->header_only;
    f.ahead = speculative({field(h, "Sec-Purpose"), field(h, "Purpose"), field(h, "X-Purpose"), field(h, "X-Moz")});
    f.again = reloaded(field(h, "Cache-Control"), field(h, "Pragma"));
    f.site = field(h, "Sec-Fetch-Site");
    f.mode = field(h, "Sec-Fetch-Mode");
    f.dest = field(h, "Sec-Fetch-Dest");
    f.user = field(h, "Sec-Fetch-User");
    f.origin = field(h, "Origin");
    return f;
}

ewallet::Wallets* wallets_at(request_rec* r, const Passage& p) {
    if (!dir_config(r).wallets.value_or(WalletKinds()).any() || !p.vendor || !p.vendor->counter) return nullptr;
    return p.vendor->counter->desk().wallets;
}

ewallet::Visit visit_of(request_rec* r, const Passage& p, const Price& price) {
    const auto& d = dir_config(r);
    const auto kinds = d.wallets.value_or(WalletKinds());
    const auto fetch = fetch_of(r);
    Ask ask = ask_of(r, *p.vendor, price);
    ask.method = "GET";  // which is what is paid, whatever asks
    ewallet::Visit v;
    v.cookies = p.wallet_cookies;
    v.target = pool_string(r->pool, safe_target(ask.target));
    v.resource = resource_of(r, ask);
    v.price = price;
    v.unasked = may_pay_unasked(fetch);
    v.ordered_ok = may_pay_ordered(fetch);
    v.grace_s = d.grace_s.value_or(v.grace_s);
    v.max_hop = d.max_hop.value_or(v.max_hop);
    v.now = apr_time_sec(apr_time_now());
    v.server = kinds.server;
    v.cookie = kinds.cookie;
    return v;
}

bool wallet_in_cookie(const Passage& p) {
    const auto cookie = form::cookie(p.wallet_cookies, form::cookie_name(p.vendor->origin, "wallet"));
    return cookie && cookie->starts_with("c.");
}

void set_cookies(request_rec* r, const std::vector<std::string>& values) {
    for (const auto& v : values) apr_table_addn(r->err_headers_out, "Set-Cookie", pool_string(r->pool, v));
}

std::string take_wallet_cookies(request_rec* r) {
    const auto all = field(r->headers_in, "Cookie");
    if (all.find("__Host-netpay-") == std::string_view::npos) return {};
    std::string ours, others;
    for (const auto part : split(all, ';')) {
        const bool own = std::any_of(std::begin(cookie_stems), std::end(cookie_stems), [&](auto stem) { return part.starts_with(stem); });
        auto& into = own ? ours : others;
        into.append(into.empty() ? "" : "; ").append(part);
    }
    if (ours.empty()) return {};
    if (others.empty()) apr_table_unset(r->headers_in, "Cookie");
    else apr_table_setn(r->headers_in, "Cookie", pool_string(r->pool, others));
    return ours;
}

int see_other(request_rec* r, Passage& p, const std::string& location, const std::vector<std::string>& cookies) {
    p.stage = Passage::Stage::refused;
    p.decide(Decision::ordered);
    apr_table_setn(r->headers_out, "Location", pool_string(r->pool, location));
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    set_cookies(r, cookies);
    return HTTP_SEE_OTHER;
}

std::optional<int> take_order(request_rec* r, Passage& p) {
    auto* wallets = wallets_at(r, p);
    if (!wallets || !looks_like_form(r, p)) return std::nullopt;
    const auto body = read_body(r, form_bytes);
    if (body.status != HTTP_OK) return body.status;
    const auto fields = form::parse(body.text);
    if (!fields || !fields->contains(form_field::action) || !fields->contains(form_field::token)) {
        put_back(r, body.text);
        return std::nullopt;
    }
    const auto fetch = fetch_of(r);
    if (!own_form(fetch, p.vendor->origin)) return try_again(r, p, *wallets, fetch.site == "same-origin" ? other_host : again);
    return answer(r, p, *wallets, *fields);
}

void register_order_filter() {
    filter_handle = ap_register_input_filter(
        "NETPAY_UNREAD",
        [](ap_filter_t* f, apr_bucket_brigade* bb, ap_input_mode_t mode, apr_read_type_e block, apr_off_t bytes) {
            return guarded(f->r, apr_status_t{AP_FILTER_ERROR}, [&] { return unread_filter(f, bb, mode, block, bytes); });
        },
        nullptr, AP_FTYPE_PROTOCOL);
}

}  // namespace netpay::glue
