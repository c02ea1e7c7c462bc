#include "mod_netpay/wallet_pages.h"

#include <algorithm>

#include "core/form.h"
#include "mod_netpay/body.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/gate.h"
#include "mod_netpay/order.h"
#include "mod_netpay/page.h"
#include "mod_netpay/paywall.h"
#include "mod_netpay/vendor.h"
#include "mod_netpay/wallet_page.h"

namespace netpay::glue {
namespace {

constexpr std::size_t form_bytes = 2048;      // a token and a word
constexpr std::uint32_t no_wallets_retry_s = 2;  // the next child may have opened them

struct Caller {
    request_rec* r;
    Passage& p;
    const Vendor& vendor;
    ewallet::Wallets& wallets;
};

int send(request_rec* r, int status, const std::string& html, const std::vector<std::string>& form_origins) {
    r->status = status;
    ap_set_content_type(r, "text/html; charset=utf-8");
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    add_page_fields(r, form_origins, false);
    ap_set_content_length(r, static_cast<apr_off_t>(html.size()));
    if (!r->header_only) ap_rwrite(html.data(), static_cast<int>(html.size()), r);
    return DONE;
}

// back: where she may go on; empty: nowhere else.
int send_fault(request_rec* r, const Vendor& v, const Refusal& refusal, std::string_view back = {}) {
    if (refusal.retry_after_s)
        apr_table_setn(r->err_headers_out, "Retry-After", apr_itoa(r->pool, static_cast<int>(refusal.retry_after_s)));
    PaywallText t;
    t.vendor = t.realm = v.origin;
    t.status = refusal.status == HTTP_SERVICE_UNAVAILABLE ? "Your e-wallet cannot be reached now" : "This is not possible";
    t.detail = refusal.detail;
    t.back = back;
    return send(r, refusal.status, render_fault(t), {});
}

int deny(request_rec* r, const Vendor& v, int status, std::string detail) {
    Refusal refusal;
    refusal.status = status;
    refusal.detail = std::move(detail);
    return send_fault(r, v, refusal);
}

int redirect(request_rec* r, const std::string& location, const std::vector<std::string>& cookies) {
    apr_table_setn(r->headers_out, "Location", pool_string(r->pool, location));
    apr_table_setn(r->err_headers_out, "Cache-Control", "no-store");
    set_cookies(r, cookies);
    return HTTP_SEE_OTHER;
}

// What tokens of the page's own forms are bound to.
ewallet::Visit page_visit(const Caller& c) {
    ewallet::Visit v;
    v.cookies = c.p.wallet_cookies;
    v.target = ewallet::wallet_path;
    v.server = v.cookie = true;  // whatever it is, it can be left
    v.now = apr_time_sec(apr_time_now());
    return v;
}

// The reader comes back from her broker.
int callback(const Caller& c) {
    if (c.r->header_only || fetch_of(c.r).ahead)
        return send_fault(c.r, c.vendor, refuse::unavailable(Decision::custody_unavailable, no_wallets_retry_s));
    const auto query = form::parse(c.p.query);
    if (!query) return deny(c.r, c.vendor, HTTP_BAD_REQUEST, "The address is not one that a broker sends readers to.");
    const auto begun = c.wallets.finish(c.p.wallet_cookies, *query, c.r->useragent_ip, apr_time_sec(apr_time_now()));
    if (begun.refusal) {
        set_cookies(c.r, begun.cookies);
        return send_fault(c.r, c.vendor, *begun.refusal, begun.refusal->retry_after_s ? std::string_view() : begun.location);
    }
    // Of whom nothing is known here, no login and so no page: she is told, and not left to wonder.
    const bool unknown = begun.cookies.empty() && begun.location == c.vendor.origin + std::string(ewallet::wallet_path);
    return redirect(c.r, unknown ? begun.location + "?" + std::string(late_query) : begun.location, begun.cookies);
}

GiveBackRules give_back_rules(const Caller& c) { return server_config(c.r->server).give_back.value_or(GiveBackRules()); }

int show_with(const Caller& c, std::string notice, bool done) {
    WalletPageText t;
    t.vendor = c.vendor.origin;
    t.now = apr_time_sec(apr_time_now());
    t.give_back_s = give_back_rules(c).within_s;
    t.sight = c.wallets.look(c.p.wallet_cookies, t.now, t.give_back_s);
    t.notice = std::move(notice);
    t.done = done;
    std::vector<std::string> origins;
    if (t.sight) {
        t.token = c.wallets.form_token(page_visit(c));
        origins.push_back(t.sight->standing.issuer);
    }
    return send(c.r, HTTP_OK, render_wallet_page(t), origins);
}

int show(const Caller& c) {
    const bool late = c.r->args && late_query == c.r->args;
    return show_with(c, late ? late_notice() : std::string(), !late);
}

// A form of the wallet's page. Nothing: it is none; `status` says what to answer.
std::optional<form::Fields> read_form(const Caller& c, int& status) {
    const auto body = read_body(c.r, form_bytes);
    status = body.status;
    if (body.status != HTTP_OK) return std::nullopt;
    auto fields = form::parse(body.text);
    const auto token = fields ? fields->find(wallet_field::token) : form::Fields::iterator();
    if (fields && token != fields->end() && own_form(fetch_of(c.r), c.vendor.origin) && c.wallets.form_token_ok(page_visit(c), token->second))
        return fields;
    status = deny(c.r, c.vendor, HTTP_FORBIDDEN, "This did not come from your e-wallet's page, or the page is too old. Open it again.");
    return std::nullopt;
}

int leave(const Caller& c) {
    int status = OK;
    const auto fields = read_form(c, status);
    if (!fields) return status;
    const auto now = apr_time_sec(apr_time_now());
    const auto sight = c.wallets.look(c.p.wallet_cookies, now, 0);
    const auto begun = c.wallets.leave(c.p.wallet_cookies, now);
    const auto then = fields->find(wallet_field::then);
    const bool coins = then != fields->end() && then->second == wallet_field::coins && sight;
    return redirect(c.r, coins ? sight->standing.issuer + "/coins?from=site" : begun.location, begun.cookies);
}

// A page that was bought by mistake: the one of the reader's e-wallet with that
// ticket. What it had cost goes into the log.
int give_back(const Caller& c) {
    int status = OK;
    const auto fields = read_form(c, status);
    if (!fields) return status;
    const auto rules = give_back_rules(c);
    const auto now = apr_time_sec(apr_time_now());
    const auto ticket = fields->find(wallet_field::ticket);
    const auto sight = c.wallets.look(c.p.wallet_cookies, now, rules.within_s);
    till::Till::GiveBackOutcome out;
    out.result = till::Till::GivenBack::unknown;
    if (!sight || ticket == fields->end() || !rules.within_s) return show_with(c, give_back_notice(out, {}), false);
    const auto page = std::find_if(sight->paid.begin(), sight->paid.end(),
                                   [&](const ewallet::Paid& p) { return p.name() == ticket->second; });
    if (page == sight->paid.end()) return show_with(c, give_back_notice(out, {}), false);
    out.result = c.wallets.note_given_back(sight->reader, page->resource, rules.per_day, now);
    if (out.result != till::Till::GivenBack::given) return show_with(c, give_back_notice(out, *page), false);
    out = c.vendor.counter->desk().till.give_back({page->coin, page->ticket, page->resource, now, rules.within_s, rules.per_day});
    if (out.result == till::Till::GivenBack::unavailable)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, c.r, "a page could not be given back: %s", out.why);
    const bool given = out.result == till::Till::GivenBack::given;
    if (given) c.p.gave_back(c.vendor, *page, out.units);
    else if (out.result != till::Till::GivenBack::unavailable) c.wallets.forget_given_back(sight->reader, page->resource, now);
    return show_with(c, give_back_notice(out, *page), given);
}

struct Route {
    std::string_view path;
    int method;
    int (*answer)(const Caller&);
};
constexpr Route routes[] = {
    {ewallet::wallet_path, M_GET, show},
    {ewallet::callback_path, M_GET, callback},
    {leave_path, M_POST, leave},
    {give_back_path, M_POST, give_back},
};

const Route* route_of(const request_rec* r) {
    if (r->main || !r->uri || !server_config(r->server).resolved) return nullptr;
    for (const auto& route : routes)
        if (route.path == r->uri) return &route;
    return nullptr;
}

}  // namespace

void take_code(request_rec* r) {
    if (!r->args || !r->uri || r->uri != ewallet::callback_path) return;
    begin_passage(r).query = r->args;
    r->args = nullptr;
    r->parsed_uri.query = nullptr;
    r->unparsed_uri = r->uri;
    r->the_request = apr_pstrcat(r->pool, r->method, " ", r->uri, " ", r->protocol, nullptr);
}

int admit_wallet_page(request_rec* r) {
    if (!route_of(r)) return DECLINED;
    r->user = apr_pstrdup(r->pool, "netpay:wallet");
    return OK;
}

int answer_wallet_page(request_rec* r) {
    const Route* route = route_of(r);
    if (!route) return DECLINED;
    const Vendor& v = *server_config(r->server).resolved;
    if (r->method_number != route->method) {
        ap_allow_standard_methods(r, REPLACE_ALLOW, route->method, -1);
        return HTTP_METHOD_NOT_ALLOWED;
    }
    if (dir_config(r).require_tls.value_or(true) && !is_private(r)) return send_fault(r, v, refuse::insecure());
    if (!v.counter || !v.counter->desk().wallets)
        return send_fault(r, v, refuse::unavailable(Decision::custody_unavailable, no_wallets_retry_s));
    return route->answer({r, begin_passage(r), v, *v.counter->desk().wallets});
}

}  // namespace netpay::glue
