#include "broker/web/site.h"

#include "broker/ewallet/register.h"
#include "broker/topup/pages.h"
#include "broker/web/keys.h"
#include "core/html.h"

namespace netpay::broker::web {
namespace {

// What a site sends a reader to /authorize with, encoded twice, has 900 characters and its origin five times.
constexpr std::size_t longest_next = 2500;

std::string link(std::string_view path, std::string_view text, bool current) {
    return "<a href=\"" + std::string(path) + (current ? "\" aria-current=\"page\">" : "\">") + std::string(text) + "</a>";
}

// By title: pages are called as the links that lead to them.
std::string banner(const Session* session, std::string_view title) {
    const auto to = [&](std::string_view path, std::string_view text) { return link(path, text, text == title); };
    std::string out = "<header><nav aria-label=\"Site\"><strong>" + link("/", "NetPay", false) + "</strong>";
    if (!session) return out + to("/sign-in", "Sign in") + to("/sign-up", "Sign up") + "</nav></header>\n";
    out += to("/account", "Account") + to("/topup", "Add money") + to("/coins", "Coins") + to("/limits", "Limits") +
           to("/history", "History") + to("/vendor", "Sell pages");
    out.append("<form method=\"post\" action=\"/sign-out\">").append(csrf_field(*session));
    return out + "<button class=\"quiet\" type=\"submit\">Sign out</button></form></nav></header>\n";
}

Response not_read(api::Broker b, const Request& request, const Refusal& refusal) {
    return fault_page(b, request, nullptr, "Not available", refusal);
}

// Browsers ask for it of their own accord, and show its absence as an error.
Response no_icon() {
    Response r;
    r.status = 204;
    r.content_type.clear();
    r.headers.emplace_back("Cache-Control", "max-age=86400");
    return r;
}

Response foreign_form(api::Broker b, const Request& request, const Session& session) {
    return fault_page(b, request, &session, "This form was not taken",
                      {403, "foreign-form", "It was shown before you signed in again, or by another site",
                       "Nothing was changed. Open the page again and repeat what you did."});
}

}  // namespace

Response page(api::Broker b, const Session* session, std::string_view title, std::string_view main_html, int status,
              const std::vector<std::string>& form_origins) {
    Response r;
    r.status = status;
    r.content_type = "text/html; charset=utf-8";
    r.body = html::document(std::string(title) + " · " + b.context.options.issuer, main_html, banner(session, title));
    r.headers.emplace_back("Content-Security-Policy", html::policy(html::kit, form_origins));
    r.headers.emplace_back("X-Frame-Options", "DENY");
    // With no-referrer a browser sends "Origin: null" with forms, and theirs could not be told from others'.
    r.headers.emplace_back("Referrer-Policy", "same-origin");
    r.headers.emplace_back("Cross-Origin-Opener-Policy", "same-origin");
    return std::move(r).no_store();
}

Response fault_page(api::Broker b, const Request& request, const Session* session, std::string_view title,
                    const Refusal& r, std::string_view below) {
    if (r.internal) (void)api::refuse(b, request, r);  // logs it
    std::string text = "<h1>" + html::escape(title) + "</h1>\n";
    text += said("fault", r.title + ". " + (r.internal ? "Nothing was changed; try again." : r.detail));
    auto answer = page(b, session, title, text.append(below), r.status == 401 ? 403 : r.status);
    if (r.status == 503) answer.headers.emplace_back("Retry-After", "1");
    return answer;
}

Response see_other(std::string_view location, std::vector<std::string> cookies) {
    Response r;
    r.status = 303;
    r.content_type.clear();
    r.headers.emplace_back("Location", location);
    for (auto& cookie : cookies) r.headers.emplace_back("Set-Cookie", std::move(cookie));
    return std::move(r).no_store();
}

std::string field(const form::Fields& fields, std::string_view name) {
    const auto i = fields.find(name);
    return i == fields.end() ? std::string() : i->second;
}

std::string hidden(std::string_view name, std::string_view value) {
    return "<input type=\"hidden\" name=\"" + std::string(name) + "\" value=\"" + html::escape(value) + "\">";
}

std::string csrf_field(const Session& session) {
    return hidden("csrf", session.csrf);
}

std::string said(std::string_view kind, std::string_view text) {
    const std::string role = kind == "fault" ? "alert" : "status";
    return "<p class=\"" + std::string(kind) + "\" role=\"" + role + "\">" + html::escape(text) + "</p>\n";
}

std::string money(Amount amount, const Currency& currency) {
    if (amount.micro() > 0) return html::price(amount, currency);
    const auto iso = currency.iso();
    return iso == "USD" || iso == "EUR" ? "0 ¢" : amount.pretty(currency);
}

std::string address_of(const Request& request) {
    std::string out = request.path;
    char before = '?';
    for (const auto& [name, value] : request.query) {
        out.append(1, before).append(form::encode(name)).append("=").append(form::encode(value));
        before = '&';
    }
    return out;
}

std::string own_path(std::string_view next) {
    if (next.empty() || next.size() > longest_next || next[0] != '/' || next.substr(1).starts_with('/')) return "/";
    for (const char c : next)
        if (c <= ' ' || c >= 0x7F || c == '\\' || c == '#') return "/";
    return std::string(next);
}

Handler page_for_members(api::Broker b, Page page) {
    return [b, page = std::move(page)](Request& request) {
        const auto session = session_of(b, request);
        if (!session) return not_read(b, request, session.refusal());
        if (!*session) return see_other("/sign-in?next=" + form::encode(address_of(request)));
        return page(b, request, **session);
    };
}

Handler form_for_members(api::Broker b, Form form) {
    return [b, form = std::move(form)](Request& request) {
        const auto session = session_of(b, request);
        if (!session) return not_read(b, request, session.refusal());
        if (!*session) return see_other("/sign-in");
        const auto fields = form::parse(request.body);
        if (!fields)
            return fault_page(b, request, &**session, "This form was not taken",
                              {400, "malformed-form", "It is not a form as browsers send it", "Nothing was changed."});
        const auto csrf = fields->find("csrf");
        const bool own = request.header("origin") == b.context.options.issuer;
        if (!own || csrf == fields->end() || !equal_ct(csrf->second, (*session)->csrf))
            return foreign_form(b, request, **session);
        return form(b, request, **session, *fields);
    };
}

void add_site(Routes& routes, api::Broker b) {
    if (!b.context.options.site || !b.context.web) return;
    routes.add("GET", "/favicon.ico", [](Request&) { return no_icon(); }, page_limits);
    add_login_pages(routes, b);
    add_account_pages(routes, b);
    add_coin_pages(routes, b);
    add_history_page(routes, b);
    add_vendor_pages(routes, b);
    topup::add_topup(routes, b);
    ewallet::add_ewallet(routes, b);
}

}  // namespace netpay::broker::web
