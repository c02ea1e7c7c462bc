// GET and POST /sign-up, GET and POST /sign-in, POST /sign-out.
#include "broker/accounts/accounts.h"
#include "broker/ewallet/grants.h"
#include "broker/store/query.h"
#include "broker/web/keys.h"
#include "broker/web/onward.h"
#include "broker/web/passphrase.h"
#include "broker/web/site.h"
#include "core/html.h"

namespace netpay::broker::web {
namespace {

// Each costs 0.14 s and 32 MiB (passphrase.h); seven words are not found at any rate.
constexpr RouteLimits sign_in_limits{8192, 0.2, 10, "application/x-www-form-urlencoded"};

Response with_cookie(Response r, std::string cookie) {
    if (!cookie.empty()) r.headers.emplace_back("Set-Cookie", std::move(cookie));
    return r;
}

// The fields of a form of somebody who is not signed in, or why it is not taken.
Outcome<form::Fields> visitor_form(api::Broker b, const Request& request) {
    auto fields = form::parse(request.body);
    if (!fields) return Refusal{400, "malformed-form", "That is not a form as browsers send it", "Nothing was changed."};
    if (request.header("origin") != b.context.options.issuer || !visitor_ok(b.context, request, field(*fields, "csrf")))
        return Refusal{403, "foreign-form", "The form was not shown by this site, or this browser keeps no cookies",
                       "Nothing was changed. Allow cookies for this site, and send the form again."};
    return std::move(*fields);
}

// ---- sign up ----

// Signing in leads to pages of this site alone.
std::string sign_in_query(const Onward& o) { return o.next.empty() ? "" : html::escape("?next=" + form::encode(o.next)); }

Response sign_up_page(api::Broker b, Request& request, const Onward& onward, const Refusal* why) {
    const auto visitor = visitor_of(b.context, request);
    std::string text = "<h1>Sign up</h1>\n";
    if (why) text += said("fault", why->title + ". " + why->detail);
    text += "<p>An account holds the money that you spend on pages. It needs no name and no e-mail address: you get seven "
            "words, and they are the key to it.</p>\n"
            "<p>They are shown once. Have something to write at hand.</p>\n"
            "<form method=\"post\" action=\"/sign-up\">";
    text += hidden("csrf", visitor.csrf) + onward.fields() + "<button type=\"submit\">Sign up</button></form>\n";
    text += "<p>You have an account? <a href=\"/sign-in" + sign_in_query(onward) + "\">Sign in</a></p>\n";
    return with_cookie(page(b, nullptr, "Sign up", text, why ? why->status : 200), visitor.cookie);
}

Response passphrase_page(api::Broker b, const Session& session, const Onward& onward, const Secret& passphrase) {
    std::string text = "<h1>Your passphrase</h1>\n"
                       "<p>These seven words are your account. Write them down and keep them safe; they are not shown again, "
                       "and nobody can find them for you.</p>\n<p><strong class=\"phrase\">";
    text.append(passphrase.expose());
    text += "</strong></p>\n<p>You are signed in now.</p>\n<p class=\"actions\"><a class=\"button\" href=\"/topup" +
            html::escape(onward.query()) + "\">I have written it down</a></p>\n";
    auto answer = page(b, &session, "Your passphrase", text);
    cleanse(text.data(), text.size());
    return answer;
}

// Ends the session that this browser had, its own or one that somebody planted.
Outcome<Started> make_account(api::Broker b, const Request& request, const std::string& lookup) {
    const auto before = session_of(b, request);
    if (!before) return before.refusal();
    const UnixTime now = b.context.clock.now();
    return b.store.write([&](Sql& sql) -> Outcome<Started> {
        const auto opened = accounts::open_account(sql, b.context.random, now);
        if (!opened) return opened.refusal();
        const auto account = accounts::authenticate(sql, opened->token.expose());
        if (!account) return account.refusal();
        run(sql, "INSERT INTO web_logins (account, lookup, created) VALUES (:a, :l, :c)", account->id, lookup, now);
        if (*before) end_session(b.context, sql, **before, false);
        return start_session(b.context, sql, *account, now);
    });
}

Response sign_up(api::Broker b, Request& request) {
    const auto fields = visitor_form(b, request);
    if (!fields) return sign_up_page(b, request, {}, &fields.refusal());
    const auto passphrase = new_passphrase(b.context.random);
    const auto lookup = passphrase_lookup(passphrase, b.context.web->pepper());
    if (!lookup) return fault_page(b, request, nullptr, "Sign up", lookup.refusal());
    const auto made = make_account(b, request, *lookup);
    if (!made) return fault_page(b, request, nullptr, "Sign up", made.refusal());
    b.context.metrics.account_opened();
    return with_cookie(passphrase_page(b, made->session, onward_of(b, *fields), passphrase), made->cookie);
}

// ---- sign in and out ----

Response sign_in_page(api::Broker b, Request& request, const std::string& next, const Refusal* why) {
    const auto visitor = visitor_of(b.context, request);
    std::string text = "<h1>Sign in</h1>\n";
    if (why) text += said("fault", why->title + ". " + why->detail);
    text += "<form method=\"post\" action=\"/sign-in\" autocomplete=\"off\">";
    text += hidden("csrf", visitor.csrf) + hidden("next", next) +
            "<label for=\"passphrase\">Your passphrase, seven words</label>"
            "<input id=\"passphrase\" name=\"passphrase\" type=\"text\" autocomplete=\"off\" autocapitalize=\"none\" "
            "spellcheck=\"false\" required maxlength=\"200\">"
            "<button type=\"submit\">Sign in</button></form>\n"
            "<p>You have none? <a href=\"/sign-up";
    text += (next == "/" ? "" : html::escape("?next=" + form::encode(next))) + "\">Sign up</a></p>\n";
    return with_cookie(page(b, nullptr, "Sign in", text, why ? why->status : 200, origins_behind(b, next)), visitor.cookie);
}

Response show_sign_in(api::Broker b, Request& request) {
    const auto next = request.query.find("next");
    return sign_in_page(b, request, own_path(next == request.query.end() ? "/" : next->second), nullptr);
}

Outcome<std::string> lookup_of(api::Broker b, std::string_view typed) {
    const auto meant = normalise_passphrase(typed);
    if (const auto* wrong = std::get_if<std::string>(&meant))
        return Refusal{403, "passphrase", "That is not a passphrase", *wrong};
    return passphrase_lookup(std::get<Secret>(meant), b.context.web->pepper());
}

// A session of the account whose passphrase that is. The one that this
// browser had, its own or one that somebody planted, ends.
Outcome<Started> begin(api::Broker b, const Request& request, const std::string& lookup) {
    const auto before = session_of(b, request);
    if (!before) return before.refusal();
    const UnixTime now = b.context.clock.now();
    return b.store.write([&](Sql& sql) -> Outcome<Started> {
        const auto row = one<Int, std::string>(
            sql, "SELECT a.id, a.name FROM web_logins l JOIN accounts a ON a.id = l.account WHERE l.lookup = :l", lookup);
        if (!row) return Refusal{403, "passphrase", "No account has that passphrase", "Look whether every word is as it was shown."};
        if (*before) end_session(b.context, sql, **before, false);
        return start_session(b.context, sql, {std::get<0>(*row), std::get<1>(*row)}, now);
    });
}

Response sign_in(api::Broker b, Request& request) {
    const auto fields = visitor_form(b, request);
    if (!fields) return sign_in_page(b, request, "/", &fields.refusal());
    const auto next = own_path(field(*fields, "next"));
    const auto refused = [&](const Refusal& r) {
        if (r.status != 403) return fault_page(b, request, nullptr, "Sign in", r);
        return sign_in_page(b, request, next, &r);
    };
    const auto lookup = lookup_of(b, field(*fields, "passphrase"));
    if (!lookup) return refused(lookup.refusal());
    auto started = begin(b, request, *lookup);
    if (!started) return refused(started.refusal());
    return see_other(next, {std::move(started->cookie)});
}

// In answer to the form, for at an address of its own it could be shown to anybody.
Response signed_out_everywhere(api::Broker b) {
    return page(b, nullptr, "Signed out everywhere",
                "<h1>Signed out everywhere</h1>\n" +
                    said("done", "Every session of your account has ended, in this and all other browsers, and so has every e-wallet.") +
                    "<p>Sites that have your e-wallet stop within five minutes, for they ask here that often. To end at once "
                    "what one was granted, sign in and give its coin back.</p>\n"
                    "<p class=\"actions\"><a class=\"quiet\" href=\"/sign-in\">Sign in again</a></p>\n");
}

Response sign_out(api::Broker b, Request& request, const Session& session, const form::Fields& fields) {
    const bool all = field(fields, "all") == "1";
    const auto ended = b.store.write([&](Sql& sql) -> Outcome<std::string> {
        if (all) ewallet::end_grants(sql, session.account.id, b.context.clock.now());
        return end_session(b.context, sql, session, all);
    });
    if (!ended) return fault_page(b, request, &session, "Sign out", ended.refusal());
    return all ? with_cookie(signed_out_everywhere(b), *ended) : see_other("/", {*ended});
}

}  // namespace

void add_login_pages(Routes& routes, api::Broker b) {
    routes.add("GET", "/sign-up", [b](Request& r) { return sign_up_page(b, r, onward_of(b, r), nullptr); }, page_limits);
    routes.add("POST", "/sign-up", [b](Request& r) { return sign_up(b, r); }, sign_in_limits);
    routes.add("GET", "/sign-in", [b](Request& r) { return show_sign_in(b, r); }, page_limits);
    routes.add("POST", "/sign-in", [b](Request& r) { return sign_in(b, r); }, sign_in_limits);
    routes.add("POST", "/sign-out", form_for_members(b, sign_out), form_limits);
}

}  // namespace netpay::broker::web
