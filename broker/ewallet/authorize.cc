#include "broker/ewallet/authorize.h"

#include <algorithm>

#include "broker/ewallet/confirm_page.h"
#include "broker/ewallet/grants.h"
#include "broker/ewallet/limits.h"
#include "broker/ewallet/register.h"
#include "broker/web/kept_coins.h"
#include "broker/web/site.h"
#include "core/base64url.h"
#include "core/form.h"

namespace netpay::broker::ewallet {
namespace {

constexpr std::string_view title = "Pay with your e-wallet";
// A purchase of a coin may go with it.
constexpr RouteLimits decide_limits{4096, 1, 30, "application/x-www-form-urlencoded"};

std::string value(const std::map<std::string, std::string>& query, const std::string& name) {
    const auto i = query.find(name);
    return i == query.end() ? std::string() : i->second;
}

// 32 bytes in base64url, as states and challenges are.
bool is_b64u_32(const std::string& text) { return b64u_decode_array<32>(text).has_value(); }

Refusal not_a_site(std::string why) { return {400, "unknown-site", std::move(why), "Nothing was changed or charged."}; }

// She is not sent back to whoever that is.
Response not_asked(api::Broker b, const Request& request, const web::Session* session, const Refusal& r) {
    return web::fault_page(b, request, session, title, r,
                           session ? "<p>Go back to the site and open the page again, or <a href=\"/\">to your account</a>.</p>\n"
                                   : "<p>Go back to the site and open the page again, or <a href=\"/\">to the start</a>.</p>\n");
}

// ---- ways back to the site ----

std::string with(const Wanted& w, const Options& options, std::string_view name, std::string_view what) {
    return w.redirect() + "?" + std::string(name) + "=" + std::string(what) + "&state=" + w.state + "&iss=" + form::encode(options.issuer);
}

Response back_with_code(api::Broker b, const Wanted& w, std::string_view code, std::vector<std::string> cookies = {}) {
    auto r = web::see_other(with(w, b.context.options, "code", code), std::move(cookies));
    // The code is in the address: nobody is told of it on the way.
    r.headers.emplace_back("Referrer-Policy", "no-referrer");
    return r;
}

Response back_with_error(api::Broker b, const Wanted& w, std::string_view error) {
    return web::see_other(with(w, b.context.options, "error", error));
}

// ---- what it is about ----

Outcome<Asked> asked_of(api::Broker b, const Request& request) {
    return b.store.read([&](Sql& sql) { return read_query(b.context.options, sql, request.query); });
}

// As they are: a page that is dearer than them is paid by being confirmed, and nothing else becomes dearer by that.
// A site's own are offered for it alone: they are no word about other sites.
Limits proposed(const std::optional<Rules>& rules) {
    const Limits usual{*Amount::from(usual_per_page), *Amount::from(usual_per_day), 0, true, true};
    if (!rules) return usual;
    Limits l = rules->here;
    if (l.nothing()) l = rules->all ? *rules->all : usual;
    l.everywhere = rules->everywhere() && !rules->own;
    return l;
}

Purse purse_of(api::Broker b, Sql& sql, Int account, const std::string& name, const Wanted& w, UnixTime now) {
    const auto rules = rules_at(sql, account, w.vendor.origin, w.currency, now);
    Purse p;
    p.limits = proposed(rules);
    p.in_wallet = in_wallet(sql, account, w.currency, now);
    const auto balances = accounts::balances(sql, {account, name}, {w.currency});
    if (const auto i = balances.find(w.currency); i != balances.end()) p.balance = i->second;
    const auto used = today(sql, account, w.vendor.id, w.currency, now);
    const auto left = p.limits.per_day.minus(used.here).value_or(Amount());
    p.coin = chosen_coin(sql, account, w.currency, w.amount, w.vendor.id, left, From::anywhere, now);
    if (!p.coin) p.terms = terms_for(b.context.options, w.currency, w.amount, p.balance);
    const auto all_left = std::max(rules ? rules->per_day_all : Amount(), p.limits.per_day).minus(used.all).value_or(Amount());
    const bool unused = p.coin && rules && can_grant(sql, account, w.vendor, *rules, w.currency, w.amount, now);
    p.day_over = std::min(left, all_left) < w.amount && !unused;
    return p;
}

Outcome<Purse> look(api::Broker b, const web::Session& session, const Wanted& w) {
    const UnixTime now = b.context.clock.now();
    return b.store.read(
        [&](Sql& sql) -> Outcome<Purse> { return purse_of(b, sql, session.account.id, session.account.name, w, now); });
}

Response ask(api::Broker b, const Request& request, const web::Session& session, const Wanted& w, const Purse& p,
             std::string_view message = {}, int status = 200) {
    return confirm_page(b, session, w, p, web::address_of(request), b64u_encode(b.context.random.bytes<16>()), message, status);
}

// ---- at once ----

// The reader's own click brought this page up, not a picture, frame, script or prefetch.
bool clicked(const Request& r) {
    for (const auto* purpose : {"sec-purpose", "purpose", "x-purpose", "x-moz"})
        if (r.header(purpose)) return false;
    return r.header("sec-fetch-mode") == "navigate" && r.header("sec-fetch-dest") == "document" && r.header("sec-fetch-user") == "?1";
}

bool needs_no_asking(Sql& sql, Int account, const Wanted& w, UnixTime now) {
    const auto rules = rules_at(sql, account, w.vendor.origin, w.currency, now);
    return rules && rules->everywhere() && w.amount <= rules->all->per_page && w.amount <= rules->here.per_page &&
           can_grant(sql, account, w.vendor, *rules, w.currency, w.amount, now);
}

// The way back to the site, with a renewed session's cookie.
struct Agreed {
    std::string code, cookie;
};

// A code, if she has said before that sites get the e-wallet by one click; nullopt: she is asked.
Outcome<std::optional<Agreed>> at_once(api::Broker b, const Request& request, const web::Session& session, const Wanted& w) {
    if (!clicked(request)) return std::optional<Agreed>();
    const UnixTime now = b.context.clock.now();
    return b.store.write([&](Sql& sql) -> Outcome<std::optional<Agreed>> {
        if (!needs_no_asking(sql, session.account.id, w, now)) return std::optional<Agreed>();
        auto cookie = web::renew_session(b.context, sql, session, now).cookie;
        return std::optional(Agreed{make_code(b.context, sql, session.account.id, w, false, now), std::move(cookie)});
    });
}

Response show(api::Broker b, Request& request) {
    const auto asked = asked_of(b, request);
    const auto session = web::session_of(b, request);
    if (!session) return web::fault_page(b, request, nullptr, title, session.refusal());
    const auto* member = *session ? &**session : nullptr;
    if (!asked) return not_asked(b, request, member, asked.refusal());
    if (!asked->fault.empty()) return back_with_error(b, asked->wanted, asked->fault);
    if (!member) return web::see_other("/sign-in?next=" + form::encode(web::address_of(request)));
    auto agreed = at_once(b, request, *member, asked->wanted);
    if (!agreed) return web::fault_page(b, request, member, title, agreed.refusal());
    if (*agreed) return back_with_code(b, asked->wanted, (*agreed)->code, {std::move((*agreed)->cookie)});
    const auto purse = look(b, *member, asked->wanted);
    if (!purse) return web::fault_page(b, request, member, title, purse.refusal());
    return ask(b, request, *member, asked->wanted, *purse);
}

// ---- when she has decided ----

// A coin to spend from: there is one, or one is bought.
Outcome<Done> have_coin(api::Broker b, const web::Session& session, const Purse& p, const std::string& once) {
    if (p.coin) return Done{};
    if (!p.terms || once.empty() || once.size() > 100)
        return Refusal{409, "insufficient-balance", "That is too little for this page", "Nothing was changed. Add money first."};
    const auto bought = web::buy_coin(b.context, b.store, session.account, *p.terms, "authorize " + once, b.context.clock.now());
    if (!bought) return bought.refusal();
    return Done{};
}

Outcome<Agreed> agree(api::Broker b, const web::Session& session, const Wanted& w, const Limits& limits) {
    const UnixTime now = b.context.clock.now();
    return b.store.write([&](Sql& sql) -> Outcome<Agreed> {
        if (!chosen_coin(sql, session.account.id, w.currency, w.amount, w.vendor.id, limits.per_day, From::anywhere, now))
            return Refusal{409, "no-coin", "There is no coin for this page any more",
                           "What this form bought was spent or taken back since. Nothing was charged; confirm once more."};
        confirm_limits(sql, session.account.id, w.vendor.origin, w.currency, limits, now);
        auto cookie = web::renew_session(b.context, sql, session, now).cookie;
        return Agreed{make_code(b.context, sql, session.account.id, w, true, now), std::move(cookie)};
    });
}

Response ask_again(api::Broker b, const Request& request, const web::Session& session, const Wanted& w, const Refusal& r,
                   const form::Fields& typed) {
    auto purse = r.internal ? Outcome<Purse>(r) : look(b, session, w);
    if (!purse) return web::fault_page(b, request, &session, title, purse.refusal());
    purse->typed = typed;
    return ask(b, request, session, w, *purse, web::said("fault", r.title + ". " + r.detail), r.status);
}

Response decide(api::Broker b, Request& request, const web::Session& session, const form::Fields& fields) {
    const auto asked = asked_of(b, request);
    if (!asked) return not_asked(b, request, &session, asked.refusal());
    const auto& w = asked->wanted;
    if (!asked->fault.empty()) return back_with_error(b, w, asked->fault);
    if (web::field(fields, "decision") != "yes") return back_with_error(b, w, "access_denied");
    const auto limits = read_limits(fields, b.context.clock.now());
    if (!limits) return ask_again(b, request, session, w, limits.refusal(), fields);
    const auto purse = look(b, session, w);
    if (!purse) return web::fault_page(b, request, &session, title, purse.refusal());
    if (const auto coin = have_coin(b, session, *purse, web::field(fields, "once")); !coin)
        return ask_again(b, request, session, w, coin.refusal(), fields);
    auto agreed = agree(b, session, w, *limits);
    if (!agreed) return ask_again(b, request, session, w, agreed.refusal(), fields);
    return back_with_code(b, w, agreed->code, {std::move(agreed->cookie)});
}

}  // namespace

Outcome<Asked> read_query(const Options& options, Sql& sql, const std::map<std::string, std::string>& query) {
    auto vendor = vendors::find(sql, value(query, "client_id"));
    if (!vendor || vendor->status != "approved") return not_a_site("The site that sent you here is not registered at this broker");
    Asked a;
    a.wanted.vendor = std::move(*vendor);
    if (value(query, "redirect_uri") != a.wanted.redirect())
        return not_a_site("The site that sent you here wants you sent back to an address that is not its own");
    a.wanted.state = value(query, "state");
    if (!is_b64u_32(a.wanted.state)) return not_a_site("What the site sent along with you is damaged");
    a.wanted.challenge = value(query, "code_challenge");
    a.wanted.kind = value(query, "scope");
    const auto amount = Amount::parse(value(query, "amount"));
    const auto currency = Currency::parse(value(query, "currency"));
    const auto& offered = options.currencies;
    const bool kind = a.wanted.kind == "server" || a.wanted.kind == "cookie";
    if (value(query, "response_type") != "code") a.fault = "unsupported_response_type";
    else if (!kind) a.fault = "invalid_scope";
    else if (value(query, "code_challenge_method") != "S256" || !is_b64u_32(a.wanted.challenge) || !amount || amount->micro() == 0 ||
             !currency ||
             std::find(offered.begin(), offered.end(), *currency) == offered.end())
        a.fault = "invalid_request";
    if (!a.fault.empty()) return a;
    a.wanted.amount = *amount;
    a.wanted.currency = *currency;
    return a;
}

std::vector<std::string> goes_on_to(api::Broker b, std::string_view next) {
    const std::string head = std::string(authorize_path) + "?";
    const auto fields = next.starts_with(head) ? form::parse(next.substr(head.size())) : std::nullopt;
    if (!fields) return {};
    const std::map<std::string, std::string> query(fields->begin(), fields->end());
    const auto asked = b.store.read([&](Sql& sql) { return read_query(b.context.options, sql, query); });
    return asked ? std::vector{asked->wanted.vendor.origin} : std::vector<std::string>();
}

void add_authorize(Routes& routes, api::Broker b) {
    routes.add("GET", std::string(authorize_path), [b](Request& r) { return show(b, r); }, web::page_limits);
    const auto form = web::form_for_members(b, decide);
    const auto submit = [b, form](Request& r) {
        // Her session may have ended while she read the page: signing in leads back to it.
        const auto session = web::session_of(b, r);
        return session && !*session ? show(b, r) : form(r);
    };
    routes.add("POST", std::string(authorize_path), submit, decide_limits);
}

}  // namespace netpay::broker::ewallet
