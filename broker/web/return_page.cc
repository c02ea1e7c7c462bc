#include "broker/web/return_page.h"

#include "broker/custody/returns.h"
#include "broker/web/site.h"
#include "core/form.h"
#include "core/html.h"
#include "core/timestamp.h"

namespace netpay::broker::web {
namespace {

// A token has 43 characters and a coin's name 22, each perhaps escaped.
constexpr std::size_t body_bytes = 2048;

std::string page(const Options& o, std::string_view message) {
    std::string main = "<h1>Return a coin</h1>\n";
    main.append(message)
        .append("<p>What is unspent of a coin that was bought at ")
        .append(html::escape(o.issuer))
        .append(" goes back into the account that bought it. The coin cannot be spent any more then.</p>\n"
                "<form method=\"post\" action=\"/return\" autocomplete=\"off\">\n"
                "<label for=\"token\">Token of the account</label>"
                "<input id=\"token\" name=\"token\" type=\"password\" autocomplete=\"off\" required maxlength=\"200\">\n"
                "<label for=\"coin\">Name of the coin</label>"
                "<input id=\"coin\" name=\"coin\" type=\"text\" autocomplete=\"off\" autocapitalize=\"off\" "
                "spellcheck=\"false\" required maxlength=\"64\">\n"
                "<button type=\"submit\">Return it</button>\n</form>\n");
    return html::document("Return a coin", main);
}

Response answer(const Options& o, int status, std::string_view message) {
    Response r;
    r.status = status;
    r.content_type = "text/html; charset=utf-8";
    r.body = page(o, message);
    r.headers.emplace_back("Content-Security-Policy", html::policy(html::kit));
    r.headers.emplace_back("Referrer-Policy", "no-referrer");
    r.headers.emplace_back("X-Frame-Options", "DENY");
    return std::move(r).no_store();
}

std::string without_blanks(std::string_view text) {
    std::string out;
    for (const char c : text)
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n') out += c;
    return out;
}

Response report(const Options& o, const custody::Returned& returned) {
    if (const auto* refunded = std::get_if<custody::Refunded>(&returned))
        return answer(o, 200, said("done", money(refunded->amount, refunded->currency) +
                                               " went back into the account that bought the coin."));
    return answer(o, 202, said("done", "A site holds the coin and has not let it go yet. It is asked again; what is unspent "
                                       "is refunded by " + format_rfc3339(std::get<custody::Waiting>(returned).due) +
                                       " at the latest. Send the form again to see."));
}

Response fault(api::Broker b, const Request& request, const Refusal& r) {
    if (!r.internal) return answer(b.context.options, r.status, said("fault", r.title + ". " + r.detail));
    (void)api::refuse(b, request, r);  // logs it
    return answer(b.context.options, r.status, said("fault", r.title + ". Nothing was changed; try again."));
}

Response give_back(api::Broker b, const Request& request) {
    const auto fields = form::parse(request.body).value_or(form::Fields());
    const auto field = [&](std::string_view name) {
        const auto i = fields.find(name);
        return i == fields.end() ? std::string() : without_blanks(i->second);
    };
    const auto token = field("token"), coin = field("coin");
    if (token.empty() || coin.empty())
        return answer(b.context.options, 400, said("fault", "Both the token and the coin's name are needed."));
    const auto account = b.store.read([&](Sql& sql) { return accounts::authenticate(sql, token); });
    if (!account) {
        auto refusal = account.refusal();
        // This form is no bearer scheme: 401 would need a challenge (RFC 9110 section 11.6.1).
        if (refusal.status == 401) refusal = {403, {}, "No account of this broker has that token", "Check what you typed."};
        return fault(b, request, refusal);
    }
    const auto returned = custody::give_back(b.context, b.store, *account, coin, std::nullopt, b.context.clock.now());
    if (!returned) return fault(b, request, returned.refusal());
    return report(b.context.options, *returned);
}

}  // namespace

void add_return_page(Routes& routes, api::Broker b) {
    routes.add("GET", "/return", [b](Request&) { return answer(b.context.options, 200, ""); }, {0, 5, 50});
    // A person's pace: each may ask a vendor.
    routes.add("POST", "/return", [b](Request& request) { return give_back(b, request); },
               {body_bytes, 0.5, 20, "application/x-www-form-urlencoded"});
}

}  // namespace netpay::broker::web
