#include "mod_netpay/gate.h"

#include <ap_expr.h>
#include <http_ssl.h>
#include <mod_auth.h>
#include <netinet/in.h>

#include "core/credential.h"
#include "mod_netpay/accept.h"
#include "mod_netpay/directives.h"
#include "mod_netpay/metrics.h"
#include "mod_netpay/order.h"
#include "mod_netpay/payment_log.h"
#include "mod_netpay/paylog.h"
#include "mod_netpay/paywall.h"
#include "mod_netpay/purchase.h"
#include "mod_netpay/settle.h"
#include "mod_netpay/startup.h"
#include "mod_netpay/teaser.h"
#include "mod_netpay/text.h"
#include "mod_netpay/wallet_pages.h"

namespace netpay::glue {
namespace {

constexpr const char* lookup_note = "netpay-lookup";
constexpr std::uint32_t price_retry_s = 60;  // an operator has to mend it
constexpr std::uint32_t reader_replays = 10000;  // reloads, and the ranges of a film: a browser's ticket never left the server, so no stranger has it
constexpr int most_tries = 4;                 // of one request with an e-wallet's tickets; more tabs than that at once are told to try again
constexpr std::size_t short_coin = 8;        // enough to tell coins apart in a log, too little to follow one across vendors' logs

const std::vector<std::string_view> standard_intents = {intent_session, intent_charge};

bool is_get(const request_rec* r) { return r->method_number == M_GET && !r->header_only; }

bool auth_type_is_netpay(const request_rec* r) {
    const char* type = ap_auth_type(const_cast<request_rec*>(r));
    return type && equal_nocase(type, "NetPay");
}

bool loopback(const apr_sockaddr_t* peer) {
    if (!peer) return false;
    if (peer->family == APR_INET) return (ntohl(peer->sa.sin.sin_addr.s_addr) >> 24) == 127;
    if (peer->family != APR_INET6) return false;
    const auto& a = peer->sa.sin6.sin6_addr;
    return IN6_IS_ADDR_LOOPBACK(&a) || (IN6_IS_ADDR_V4MAPPED(&a) && a.s6_addr[12] == 127);
}

// The media type the resource would have, by a look-up that stops before its handler.
std::string_view media_type(request_rec* r) {
    request_rec* sub = ap_sub_req_lookup_uri(ap_escape_uri(r->pool, r->uri), r, nullptr);
    const char* type = sub && sub->content_type ? apr_pstrdup(r->pool, sub->content_type) : "";
    if (sub) ap_destroy_sub_req(sub);
    return type;
}

std::optional<Price> price_by_expression(request_rec* r, const DirConfig& d) {
    const char* error = nullptr;
    const char* value = ap_expr_str_exec(r, d.price_expr, &error);
    const auto price = error || !value ? std::nullopt : parse_price_value(value, d.price_expr_currency);
    if (!price)
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r,
                      "NetPayPriceExpr gave no price (%s): an amount like 0.02, an amount and a currency, or free is needed",
                      error ? error : (value && *value ? value : "nothing"));
    return price;
}

// Challenges for r, one field value each; empty, and a line in the error log, if they cannot be made.
std::vector<std::string> challenges_for(request_rec* r, const Passage& p) {
    const Ask ask = ask_of(r, *p.vendor, p.price);
    const auto made = make_challenges(ask, accepted_intents(field(r->headers_in, "Accept-Payment"), *ask.intents),
                                      *p.vendor->secrets, apr_time_sec(apr_time_now()));
    std::vector<std::string> out;
    if (!made) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "no challenge can be made: %s (AuthName?)", made.error().detail.c_str());
        return out;
    }
    for (const auto& c : *made) out.push_back(format_challenge(c));
    return out;
}

// Why challenges could not be honoured now. Nothing: they can.
std::optional<Refusal> cannot_sell(const Passage& p) {
    if (!p.vendor || !p.vendor->counter) return refuse::unavailable(Decision::custody_unavailable, 2);
    return closed(p.vendor->counter->desk());
}

void set_environment(request_rec* r, const char* name, const std::string& value) {
    const char* v = pool_string(r->pool, value);
    apr_table_setn(r->subprocess_env, name, v);
    apr_table_setn(r->notes, name, v);
}

void admit(Passage& p, Passage::Stage stage, Decision d, const char* user) {
    p.stage = stage;
    p.decide(d);
    p.user = user;
}

// The charge for r, but for its units.
void fill_charge(request_rec* r, Passage& p, const PaymentPayload& payload, const Ask& ask) {
    const auto& d = dir_config(r);
    const request_rec* top = topmost(r);
    auto& c = p.charge;
    c.coin = payload.tag;
    c.price = p.price.amount;
    c.currency = p.price.currency;
    c.brokers = p.vendor->issuers;
    c.rules.max_hop = d.max_hop.value_or(limits::default_max_hop);
    c.rules.grace_s = d.grace_s.value_or(limits::default_grace_s);
    c.rules.grace_count = d.grace_count.value_or(limits::default_grace_count);
    if (!p.wallet.empty()) c.rules.grace_count = std::max(c.rules.grace_count, reader_replays);
    c.payment.index = payload.index;
    c.payment.word = payload.payword;
    c.payment.resource = resource_of(r, ask);
    c.payment.is_get = is_get(top);
    c.payment.now = apr_time_sec(apr_time_now());
}

// A payment for this resource: to the till. Nothing: r is let in.
std::optional<Refusal> present(request_rec* r, Passage& p, const PaymentPayload& payload, const Ask& ask) {
    p.coin = payload.coin;
    fill_charge(r, p, payload, ask);
    auto bought = purchase(p.vendor->counter->desk(), payload, p.charge);
    if (auto* refusal = std::get_if<Refusal>(&bought)) return std::move(*refusal);
    p.outcome = std::get<Purchase>(bought).outcome;
    const bool paid = p.outcome.verdict == Verdict::paid;
    const char* user = pool_string(topmost(r)->pool, "netpay:" + p.coin.substr(0, short_coin));
    admit(p, paid ? Passage::Stage::reserved : Passage::Stage::replayed, paid ? Decision::paid : Decision::replayed, user);
    watch_answer(r, p);
    // An upgraded connection is handed over past every filter: what is sold is answered in HTTP.
    apr_table_unset(r->headers_in, "Upgrade");
    return std::nullopt;
}

int judge_credential(request_rec* r, Passage& p) {
    if (!p.vendor->counter) return refuse_request(r, p, refuse::unavailable(Decision::till_unavailable, 2));
    const auto credential = parse_credential(p.presented.token);
    if (!credential) return refuse_request(r, p, refuse::unreadable(credential.error()));
    const Ask ask = ask_of(r, *p.vendor, p.price);
    if (auto refusal = check_challenge(credential->challenge, p.presented.own_field, ask, *p.vendor->secrets,
                                       apr_time_sec(apr_time_now())))
        return refuse_request(r, p, std::move(*refusal));
    if (auto refusal = present(r, p, credential->payload, ask)) return refuse_request(r, p, std::move(*refusal));
    return OK;
}

// A reader is not told of tickets and chains. What is logged is why.
Refusal for_reader(Passage& p, Refusal refusal, bool again) {
    if (!refusal.with_challenges()) return refusal;
    if (again) return refuse::payment_required();  // paid for before, but no longer good for this: nothing went wrong
    Refusal out = refuse::payment_required();
    out.decision = refusal.decision;
    p.notice = "Your e-wallet could not pay for this page just now. Nothing was charged.";
    return out;
}

// Pays by the reader's e-wallet, where she allowed or ordered that. It may take
// several tickets until one is found that no other tab has used.
int judge_reader(request_rec* r, Passage& p, ewallet::Wallets& wallets) {
    p.considered = true;
    const auto visit = visit_of(r, p, p.price);
    auto considered = wallets.consider(visit);
    p.standing = std::move(considered.standing);
    set_cookies(r, considered.cookies);
    if (considered.refusal) return refuse_request(r, p, std::move(*considered.refusal));
    if (!considered.debit) return refuse_request(r, p, refuse::payment_required());
    const Ask ask = ask_of(r, *p.vendor, p.price);
    p.wallet = wallet_in_cookie(p) ? "cookie" : "server";
    auto debit = std::move(*considered.debit);
    for (int tries = 1;; ++tries) {
        auto refusal = present(r, p, debit.payload, ask);
        if (!refusal) break;
        auto other = tries < most_tries ? wallets.next(visit, debit, *refusal) : std::nullopt;
        if (!other) return refuse_request(r, p, for_reader(p, std::move(*refusal), debit.again));
        debit = std::move(*other);
    }
    p.paid_cookies = std::move(debit.cookies);
    return OK;
}

int judge_presented(request_rec* r, Passage& p) {
    // HEAD answers as GET would without payment, and so does what was fetched ahead.
    if (r->header_only || (p.presented.count == Presented::Count::none && p.wallet_cookies.empty()))
        return refuse_request(r, p, refuse::payment_required());
    const auto fetch = fetch_of(r);
    if (fetch.ahead) return refuse_request(r, p, refuse::payment_required());
    if (p.presented.count == Presented::Count::several) return refuse_request(r, p, refuse::several_credentials());
    const apr_time_t begun = apr_time_now();
    int status = OK;
    if (p.presented.count == Presented::Count::one) {
        status = judge_credential(r, p);
    } else {
        auto* wallets = fetch.get && !p.considered ? wallets_at(r, p) : nullptr;
        if (!wallets) return refuse_request(r, p, refuse::payment_required());
        status = judge_reader(r, p, *wallets);
    }
    p.latency_us = apr_time_now() - begun;
    return status;
}

int judge(request_rec* r, Passage& p) {
    const auto& d = dir_config(r);
    p.vendor = server_config(r->server).resolved;
    if (!p.vendor) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s is to be sold, but this virtual host has no NetPayVendor", r->uri);
        return refuse_request(r, p, refuse::unavailable(Decision::no_price, price_retry_s));
    }
    if (r->method_number == M_CONNECT) return HTTP_METHOD_NOT_ALLOWED;  // a tunnel leaves no answer to charge for
    const bool dry = d.dry_run.value_or(false);
    if (!dry && d.require_tls.value_or(true) && !is_private(r)) return refuse_request(r, p, refuse::insecure());
    if (!dry) {
        if (const auto status = take_order(r, p)) return *status;
    }
    const auto price = price_of(r);
    if (price) {
        p.price = *price;
        p.priced = true;
    }
    if (dry) {
        admit(p, Passage::Stage::free, Decision::dry_run, "netpay:dry-run");
        return OK;
    }
    if (!price) return refuse_request(r, p, refuse::unavailable(Decision::no_price, price_retry_s));
    if (price->free()) {
        admit(p, Passage::Stage::free, Decision::free, "netpay:free");
        return OK;
    }
    return judge_presented(r, p);
}

void export_payment(request_rec* r, const Passage& p) {
    if (p.coin.empty() || !p.let_in()) return;
    const bool replayed = p.stage == Passage::Stage::replayed;
    const std::uint32_t units = p.stage == Passage::Stage::reserved ? p.outcome.units : 0;  // not yet in `spent`
    set_environment(r, "NETPAY_COIN", p.coin.substr(0, short_coin));
    set_environment(r, "NETPAY_PAID", (replayed ? Amount() : p.price.amount).pretty(p.price.currency));
    set_environment(r, "NETPAY_BALANCE", std::to_string(p.outcome.revealed - p.outcome.spent - units));
}

// Whether the look-up r is free as well, once its visitor was let in for nothing.
// One inside another is not asked: it would look itself up without end.
bool free_too(request_rec* r, Passage& p) {
    if (p.stage != Passage::Stage::free || p.looking) return false;
    if (dir_config(r).dry_run.value_or(false)) return true;
    p.looking = true;
    const auto price = price_of(r);
    p.looking = false;
    return price && price->free();
}

// r's way through the gate, where it begins or goes on from an earlier request
// of its chain. Who paid, paid for what httpd makes of the request; who was let
// in for nothing has still to pay where that leads to something sold.
int pass_gate(request_rec* r, Passage& p) {
    if (in_error_document(r)) {
        r->user = apr_pstrdup(r->pool, "netpay:error-document");
        return OK;
    }
    if (!p.paid_for() && !(r->main && free_too(r, p))) {
        if (r->main) {
            // A look-up, perhaps for a listing, perhaps for the page that will
            // be served: nothing is charged for asking. Whoever runs it meets
            // close_side_doors(), and who takes its place finish_lookup().
            apr_table_setn(r->notes, lookup_note, "1");
            r->user = apr_pstrdup(r->pool, "netpay:look-up");
            return OK;
        }
        const int status = judge(r, p);
        if (status != OK) return status;
    }
    r->user = apr_pstrdup(r->pool, p.user);
    export_payment(r, p);
    return OK;
}

bool owes(request_rec* r, const Passage* p) {
    if (asked_for_teaser(r)) return false;
    return apr_table_get(r->notes, lookup_note) && !(p && p->paid_for()) && !in_error_document(r);
}

// Handlers that write past the output filters, where nothing could be settled.
bool writes_past_filters(const request_rec* r) {
    const std::string_view handler = r->handler ? r->handler : "";
    const std::string_view file = r->filename ? r->filename : "";
    if (handler == "cgi-script" || handler == "application/x-httpd-cgi") {
        const auto slash = file.rfind('/');
        return file.substr(slash == std::string_view::npos ? 0 : slash + 1).starts_with("nph-");
    }
    return file.starts_with("proxy:fd:");  // mod_proxy_fdpass hands the connection itself over
}

}  // namespace

bool is_private(const request_rec* r) {
    conn_rec* c = r->connection->master ? r->connection->master : r->connection;
    if (ap_ssl_conn_is_ssl(c) || ap_ssl_conn_is_ssl(r->connection)) return true;
    return loopback(c->client_addr) && !trusted_proxy_configured();
}

Tag16 resource_of(request_rec* r, const Ask& ask) {
    const request_rec* top = topmost(r);
    const std::string_view host = top->hostname ? top->hostname : "";
    return first16(sha256({ask.method, " ", host, ask.target}));
}

std::optional<Price> price_of(request_rec* r) {
    const auto& d = dir_config(r);
    if (d.price_expr) return price_by_expression(r, d);
    const Price* price = nullptr;
    if (d.prices) price = choose_price(*d.prices, r->method, priced_by_type(*d.prices) ? media_type(r) : "");
    if (price) return *price;
    ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "no NetPayPrice holds for %s %s", r->method, r->uri);
    return std::nullopt;
}

Ask ask_of(request_rec* r, const Vendor& vendor, const Price& price) {
    const auto& d = dir_config(r);
    const request_rec* top = topmost(r);
    const char* realm = ap_auth_name(r);
    Ask a;
    a.realm = realm ? std::string_view(realm) : std::string_view(vendor.origin);
    a.vendor = vendor.origin;
    a.brokers = &vendor.issuers;
    a.price = price;
    a.intents = d.intents ? d.intents : &standard_intents;
    a.life_s = d.life_s.value_or(limits::default_session_s);
    a.own_field = d.own_field.value_or(false) || !auth_type_is_netpay(r);
    a.method = top->header_only ? "GET" : top->method;
    a.target = origin_form(top->unparsed_uri ? top->unparsed_uri : "/");
    return a;
}

int refuse_request(request_rec* r, Passage& p, Refusal refusal) {
    std::vector<std::string> challenges;
    if (refusal.with_challenges()) {
        if (auto why = cannot_sell(p)) refusal = std::move(*why);
        else if (challenges = challenges_for(r, p); challenges.empty())
            refusal = refuse::unavailable(Decision::no_price, price_retry_s);
    }
    p.stage = Passage::Stage::refused;
    p.decide(refusal.decision);
    set_refusal(r, p, refusal, challenges);
    return refusal.status;
}

int take_credential(request_rec* r) {
    if (!server_config(r->server).resolved) return DECLINED;
    if (auto cookies = take_wallet_cookies(r); !cookies.empty()) begin_passage(r).wallet_cookies = std::move(cookies);
    take_code(r);
    const auto authorization = field(r->headers_in, "Authorization");
    const auto own = field(r->headers_in, payment_header.data());
    const bool in_authorization = !authorization.empty() && holds_payment(authorization);
    if (!in_authorization && own.empty()) return DECLINED;
    begin_passage(r).presented = Presented::read(authorization, own);
    if (in_authorization) apr_table_unset(r->headers_in, "Authorization");
    apr_table_unset(r->headers_in, payment_header.data());
    return DECLINED;
}

int check_payment(request_rec* r) {
    const bool own = auth_type_is_netpay(r);
    if (!own) {
        // Another authentication's resource that wants a payment too: the
        // provider has just said so. The other module goes on after us.
        Passage* p = passage_of(r);
        if (!p || p->required != r) return DECLINED;
        char* user = r->user;
        const int status = pass_gate(r, *p);
        r->user = user;
        return status == OK ? DECLINED : status;
    }
    const int status = pass_gate(r, begin_passage(r));
    if (status == OK) r->ap_auth_type = apr_pstrdup(r->pool, "NetPay");
    return status;
}

bool may_pass(request_rec* r) {
    const Passage* p = passage_of(r);
    return (p && p->let_in()) || apr_table_get(r->notes, lookup_note) || in_error_document(r);
}

int finish_lookup(request_rec* r) {
    Passage* p = passage_of(r);
    if (r->main || !owes(r, p)) return DECLINED;
    apr_table_unset(r->notes, lookup_note);
    return pass_gate(r, begin_passage(r));
}

int close_side_doors(request_rec* r) {
    Passage* p = passage_of(r);
    if (owes(r, p)) {
        if (r->main) return HTTP_PAYMENT_REQUIRED;
        if (const int status = finish_lookup(r); status != OK) return status;
        p = passage_of(r);
    }
    // Whoever was let in, by payment or otherwise: a shared copy would let in the rest.
    if (dir_config(r).priced) r->no_cache = 1;
    if (asked_for_teaser(r)) return writes_past_filters(r) ? HTTP_FORBIDDEN : DECLINED;
    if (p && p->stage == Passage::Stage::reserved && writes_past_filters(r)) {
        ap_log_rerror(APLOG_MARK, APLOG_ERR, 0, r, "%s writes past the server's filters and cannot be sold", r->filename);
        return HTTP_INTERNAL_SERVER_ERROR;
    }
    return DECLINED;
}

int note_outcome(request_rec* r) {
    Passage* p = passage_of(r);
    if (!p || !p->decided) return DECLINED;
    release(*p);
    const bool paid = p->stage == Passage::Stage::settled;
    if (auto* c = counters()) {
        c->count(p->decision);
        if (p->latency_us) c->payment_step(static_cast<std::uint64_t>(p->latency_us));
        if (paid && !p->wallet.empty()) c->count(p->wallet == "cookie" ? Tick::wallet_cookie : Tick::wallet_server);
        if (paid) c->took(p->price.currency, p->price.amount, p->outcome.units);
    }
    PayLog* log = server_config(r->server).paylog;
    if (!log) return DECLINED;
    const request_rec* last = r;
    while (last->next) last = last->next;
    PaylogLine line;
    line.time = apr_time_sec(r->request_time);
    line.vendor = p->vendor ? std::string_view(p->vendor->origin) : std::string_view{};
    line.coin = std::string_view(p->coin).substr(0, short_coin);
    line.decision = p->decision;
    line.priced = p->priced;
    line.amount = p->price.amount;
    line.currency = p->price.currency;
    line.units = p->outcome.units;
    line.wallet = p->wallet;
    line.charged = paid;
    line.method = r->method ? r->method : "";
    line.uri = r->unparsed_uri ? r->unparsed_uri : "";
    line.status = last->status;
    line.latency_us = static_cast<std::uint64_t>(p->latency_us);
    write_payment_log(*log, format_paylog(line));
    return DECLINED;
}

}  // namespace netpay::glue
