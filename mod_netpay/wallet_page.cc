#include "mod_netpay/wallet_page.h"

#include "core/html.h"
#include "core/timestamp.h"

namespace netpay {
namespace {

using Kind = ewallet::Standing::Kind;

std::string_view host_of(std::string_view origin) {
    const auto at = origin.find("://");
    return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

// Text between tags.
std::string in(std::string_view open, std::string_view text, std::string_view close) {
    return std::string(open).append(html::escape(text)).append(close);
}

std::string money(Amount a, const Currency& c) { return a.micro() ? html::price(a, c) : "nothing"; }

std::string row(std::string_view name, std::string_view value) { return in("<dt>", name, "</dt>") + in("<dd>", value, "</dd>\n"); }

std::string link(std::string_view origin, std::string_view path, std::string_view label) {
    return in("<a href=\"", std::string(origin).append(path), "\">") + in("", label, "</a>");
}

std::string none(const WalletPageText& t) {
    return in("<p>This browser has no e-wallet at ", host_of(t.vendor), ".</p>\n") +
           "<p>An e-wallet pays pages for you, a few cents at a time. Open a page that is sold and choose to pay with your "
           "e-wallet: you are asked once, and how much may be spent is for you to say.</p>\n";
}

std::string facts(const ewallet::Sight& s) {
    const auto& w = s.standing;
    std::string out = "<dl>\n" + row("In the e-wallet", money(w.balance, w.currency)) +
                      row("This site may take", money(w.today, w.currency) + " until it has to ask again") +
                      row("A page may cost", "up to " + money(w.per_page, w.currency)) +
                      row("A day may cost", "up to " + money(w.per_day, w.currency)) +
                      row("Pages are paid", w.automatic ? "without asking, within these limits" : "when you say so, one by one");
    if (s.until) out += row("Good until", format_rfc3339(s.until).substr(0, 10));
    return out + row("Kept", s.in_cookie ? "in this browser" : "at this site") + row("Money held by", host_of(w.issuer)) + "</dl>\n";
}

std::string form_at(const WalletPageText& t, std::string_view path) {
    return in("<form method=\"post\" action=\"", path, "\">\n") + in("<input type=\"hidden\" name=\"", wallet_field::token, "\" ") +
           in("value=\"", t.token, "\">\n");
}

std::string leave_form(const WalletPageText& t) {
    return form_at(t, leave_path) +
           "<p>Signing out ends what this site may take. What is left stays yours: at your broker you can return it to your balance.</p>\n"
           "<p class=\"actions\"><button>Sign out</button>\n" +
           in("<button class=\"quiet\" name=\"", wallet_field::then, "\" ") + in("value=\"", wallet_field::coins, "\">") +
           "Sign out and return the money at the broker</button></p>\n</form>\n";
}

std::string span(std::int64_t seconds) {
    return seconds < 120 ? std::to_string(seconds) + " seconds" : std::to_string(seconds / 60) + " minutes";
}

std::string ago(std::int64_t seconds) { return seconds < 2 ? "just now" : span(seconds) + " ago"; }

// The pages that can still be given back, each with its button.
std::string mistakes(const WalletPageText& t) {
    if (!t.give_back_s || t.sight->paid.empty()) return {};
    std::string out = "<h2>Opened by mistake?</h2>\n<p>For " + span(t.give_back_s) +
                      " you can give a page back, and get back what it cost.</p>\n<ul class=\"rows\">\n";
    for (const auto& p : t.sight->paid) {
        out += in("<li><span><a href=\"", p.target, "\">") + in("", p.target, "</a><br>") +
               in("", html::price(p.price.amount, p.price.currency) + ", " + ago(t.now - p.at), "</span>") + form_at(t, give_back_path) +
               in("<button class=\"quiet\" name=\"", wallet_field::ticket, "\" ") + in("value=\"", p.name(), "\" ") +
               in("aria-label=\"Give back ", p.target, "\">Give back</button></form></li>\n");
    }
    return out + "</ul>\n";
}

std::string shown(const WalletPageText& t) {
    const auto& s = *t.sight;
    const auto& issuer = s.standing.issuer;
    std::string out = in("<p class=\"note\">At ", host_of(t.vendor), "</p>\n");
    if (s.standing.kind == Kind::moved)
        out += "<p>Your e-wallet is not at this site now. Open a page that is sold to bring it here.</p>\n";
    else
        out += facts(s);
    return out + mistakes(t) + "<p>" + link(issuer, "/account", "Your account at " + std::string(host_of(issuer))) + " · " +
           link(issuer, "/limits", "Change the limits") + " · " + link(issuer, "/topup", "Add money") + "</p>\n" + leave_form(t);
}

}  // namespace

std::string give_back_notice(const till::Till::GiveBackOutcome& outcome, const ewallet::Paid& page) {
    using Result = till::Till::GivenBack;
    switch (outcome.result) {
        case Result::given: return "You got " + html::price(page.price.amount, page.price.currency) + " back.";
        case Result::unknown: return "That page was not paid for here of late, or was given back before.";
        case Result::reread: return "That page was opened again since it was paid, so it is yours.";
        case Result::too_late: return "That page was paid for too long ago.";
        case Result::booked: return "The payment for that page is booked already.";
        case Result::again: return "That page was given back today; it can be once a day.";
        case Result::too_many: return "No more pages can be given back today.";
        case Result::not_held:
        case Result::busy:
        case Result::unavailable: break;
    }
    return "That cannot be done just now. Nothing has changed; please try again.";
}

std::string late_notice() {
    return "You came back from your broker by a way that this browser did not begin, or that was used before, or after more than ten "
           "minutes. Nothing was charged. Open the page that you wanted again.";
}

std::string render_wallet_page(const WalletPageText& t) {
    const std::string notice = t.notice.empty() ? "" : in(t.done ? "<p class=\"done\" role=\"status\">" : "<p class=\"fault\" role=\"status\">", t.notice, "</p>\n");
    const std::string main = "<h1>Your e-wallet</h1>\n" + notice + (t.sight ? shown(t) : none(t));
    return html::document("Your e-wallet – " + std::string(host_of(t.vendor)), main);
}

}  // namespace netpay
