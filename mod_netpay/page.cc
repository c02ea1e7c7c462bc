#include "mod_netpay/page.h"

#include <algorithm>

#include "core/form.h"
#include "core/html.h"

namespace netpay {
namespace {

// Whether she has one cannot be known here.
constexpr std::string_view by_extension = "<p>If you have the NetPay extension, press its button beside the address: it pays this page.</p>\n";

constexpr std::string_view silent_broker =
    "For this page your broker has to be asked, and it does not answer just now. Nothing was charged. Please try again in a moment.";

std::string_view host_of(std::string_view origin) {
    const auto at = origin.find("://");
    return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

// Text between tags.
std::string in(std::string_view open, std::string_view text, std::string_view close) {
    return std::string(open).append(html::escape(text)).append(close);
}

std::string heading(const PaywallText& t) {
    if (!t.title.empty()) return t.title;
    return t.price.empty() ? std::string("This page is sold") : "This page costs " + t.price;
}

using Kind = ewallet::Standing::Kind;

// An amount that may be nothing.
std::string money(Amount a, const Currency& c) { return a.micro() ? html::price(a, c) : "nothing"; }

std::string hidden(const char* name, std::string_view value) {
    return in("<input type=\"hidden\" name=\"", name, "\" ") + in("value=\"", value, "\">\n");
}

std::string button(std::string_view value, std::string_view label, bool primary) {
    return in("<button name=\"", form_field::action, "\" ") + in("value=\"", value, primary ? "\">" : "\" class=\"quiet\">") +
           html::escape(label) + "</button>\n";
}

// A form that is sent to the page's own address, and so keeps the address's
// fragment: no action.
std::string form(const PaywallText& t, std::string_view issuer, const std::string& buttons) {
    return "<form method=\"post\">\n" + (issuer.empty() ? "" : hidden(form_field::broker, issuer)) +
           hidden(form_field::token, t.forms.token) + "<p class=\"actions\">" + buttons + "</p>\n</form>\n";
}

// The address at the broker from which the reader finds back to this page.
std::string with_way_back(const PaywallText& t, std::string_view issuer, std::string_view path) {
    return std::string(issuer).append(path) + "?client=" + form::encode(t.vendor) + "&target=" + form::encode(t.target);
}

// To the broker, with the e-wallet of the kind she has, or one that is offered.
std::string to_broker(const PaywallText& t, const std::string& label) {
    const bool cookie = t.forms.cookie && (t.forms.in_cookie || !t.forms.server);
    return form(t, t.forms.standing.issuer, button(cookie ? form_field::cookie : form_field::wallet, label, true));
}

std::string your_wallet() { return in("<a href=\"", ewallet::wallet_path, "\">Your e-wallet</a>"); }

// What she has, as a sentence. Where the site has nothing at hand it asks the
// broker, and what may be spent today is not known until then.
std::string purse(const ewallet::Standing& s) {
    std::string out = "You have " + money(s.balance, s.currency) + " in your e-wallet";
    if (s.today.micro() && s.today < s.balance) out += ", of which this site may take " + money(s.today, s.currency) + " today";
    return out + ".";
}

// Who has no e-wallet here: one form for each broker.
std::string first_visit(const PaywallText& t) {
    std::string out;
    const std::size_t count = t.brokers ? std::min(t.brokers->size(), most_brokers) : 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string& issuer = (*t.brokers)[i];
        const std::string at = count > 1 ? " at " + std::string(host_of(issuer)) : "";
        const std::string pay = (t.price.empty() ? "Pay" : "Pay " + t.price) + " with my e-wallet" + at;
        std::string buttons;
        if (t.forms.server) buttons = button(form_field::wallet, pay, true);
        if (t.forms.cookie)
            buttons += button(form_field::cookie, t.forms.server ? "Keep the e-wallet in this browser" + at : pay, !t.forms.server);
        out += form(t, issuer, buttons) + in("<p>New here? <a href=\"", with_way_back(t, issuer, "/sign-up"), "\">") +
               in("Get an e-wallet", at, "</a></p>\n");
    }
    if (t.forms.server && t.forms.cookie)
        out += "<p class=\"note\">This site keeps the e-wallet for you, or your browser does, in a cookie. Price and limits are the same.</p>\n";
    return out;
}

// The one thing to do next, by what her e-wallet can.
std::string forms(const PaywallText& t) {
    const auto& s = t.forms.standing;
    if (s.issuer.empty()) return first_visit(t);
    switch (s.kind) {
        case Kind::none: return first_visit(t);
        case Kind::held:
            return form(t, {}, button(form_field::pay, "Read for " + t.price, true)) + in("<p>", purse(s), " ") + your_wallet() + "</p>\n";
        case Kind::day_limit:
            return in("<p>", "What this site may take of your e-wallet today is used up: your limit is " + money(s.per_day, s.currency) + " a day.", "</p>\n") +
                   to_broker(t, "Raise today's limit") + in("<p>", purse(s), " ") + your_wallet() + "</p>\n";
        case Kind::too_little:
            return in("<p>", "Your e-wallet does not suffice for this page. " + purse(s), "</p>\n") + to_broker(t, "Add money and read");
        case Kind::moved:
            return "<p>Your e-wallet is not at this site now.</p>\n" + to_broker(t, "Bring my e-wallet here and read");
    }
    return {};
}

// Without e-wallets of the site's own: where one is had.
std::string links(const PaywallText& t) {
    std::string out = "<p class=\"actions\">";
    std::string topups;
    const std::size_t count = t.brokers ? std::min(t.brokers->size(), most_brokers) : 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string& issuer = (*t.brokers)[i];
        const std::string at = count > 1 ? " at " + std::string(host_of(issuer)) : "";
        out += in("<a class=\"button\" href=\"", issuer, "/sign-up\">") + in("Get an e-wallet", at, "</a>\n");
        topups += std::string(i == 0 ? "" : ", ") + in("<a href=\"", issuer, "/topup\">") + in("Add money", at, "</a>");
    }
    out.append("</p>\n").append(by_extension);
    if (!topups.empty()) out += "<p>E-wallet empty? " + topups + "</p>\n";
    return out;
}

// What to click, and how money gets in.
std::string pay(const PaywallText& t) {
    if (!t.opened)
        return "<p>What you sent was not taken in, and nothing was charged. A browser pays for pages that are opened, "
               "not for forms that are sent; a program can pay for both. Open the page first, then send the form again.</p>\n";
    return t.forms.any() ? forms(t) : links(t);
}

// For a shell: within single quotes everything but a single quote stands for itself.
std::string quoted_url(const PaywallText& t) {
    std::string out = "'";
    const std::string url = std::string(t.vendor).append(t.target);
    for (const char c : url) {
        if (c == '\'') out += "%27";
        else out += c;
    }
    return out + "'";
}

std::string other(const PaywallText& t) {
    if (!t.opened) return {};
    const bool ours = t.forms.any();
    std::string out = "<details>\n<summary>";
    if (ours) out.append("With another NetPay wallet</summary>\n").append(by_extension).append("<p>From the command line: ");
    else out += "Pay from the command line</summary>\n<p>";
    return out + in("<code>netpay get ", quoted_url(t), "</code></p>\n</details>\n");
}

std::string status(const PaywallText& t) {
    if (t.forms.any() && t.forms.standing.broker_silent)
        return in("<p class=\"fault\" role=\"status\">", silent_broker, "</p>\n");
    if (!t.notice.empty()) return in("<p class=\"fault\" role=\"status\">", t.notice, "</p>\n");
    if (!t.tried) return {};
    return in("<p class=\"fault\" role=\"status\">", t.status, ". ") + html::escape(t.detail) + " Nothing was charged.</p>\n";
}

std::string sold_by(const PaywallText& t) {
    std::string out = in("<p class=\"note\">Sold by ", host_of(t.vendor), "");
    if (t.realm != t.vendor && t.realm != host_of(t.vendor)) out += in(" (", t.realm, ")");
    return out + "</p>\n";
}

std::string paywall(const PaywallText& t) {
    std::string main = status(t);
    main += in("<h1>", heading(t), "</h1>\n") + sold_by(t);
    if (!t.teaser.empty()) main += in("<p class=\"teaser\">", t.teaser, "</p>\n");
    if (!t.price.empty() && !t.title.empty()) main += in("<p class=\"price\">", t.price, "</p>\n");
    main += pay(t) + other(t);
    return html::document(heading(t) + " – " + std::string(t.realm), main);
}

}  // namespace

std::vector<std::string> form_origins(const PaywallText& t) {
    std::vector<std::string> out;
    if (!t.opened || !t.forms.any() || t.forms.standing.kind == Kind::held) return out;
    if (!t.forms.standing.issuer.empty()) out.push_back(t.forms.standing.issuer);
    else if (t.brokers) out.assign(t.brokers->begin(), t.brokers->begin() + static_cast<std::ptrdiff_t>(std::min(t.brokers->size(), most_brokers)));
    return out;
}

std::string render_paywall(const PaywallText& t, const Template* own) {
    if (!own) return paywall(t);
    SlotValues v;
    slot(v, Slot::site) = host_of(t.vendor);
    slot(v, Slot::realm) = t.realm;
    slot(v, Slot::vendor) = t.vendor;
    slot(v, Slot::url) = std::string(t.vendor).append(t.target);
    slot(v, Slot::title) = heading(t);
    slot(v, Slot::teaser) = t.teaser;
    slot(v, Slot::price) = t.price;
    if (t.forms.any() && t.forms.standing.broker_silent) {
        slot(v, Slot::status) = silent_broker;
    } else if (!t.notice.empty()) {
        slot(v, Slot::status) = t.notice;
    } else if (t.tried) {
        slot(v, Slot::status) = t.status;
        slot(v, Slot::detail) = t.detail;
    }
    const auto& s = t.forms.standing;
    if (t.forms.any() && s.kind != Kind::none && s.kind != Kind::moved) {
        slot(v, Slot::balance) = money(s.balance, s.currency);
        slot(v, Slot::today) = money(s.today, s.currency);
    }
    slot(v, Slot::pay) = pay(t);
    slot(v, Slot::other) = other(t);
    slot(v, Slot::style) = std::string("<style>").append(html::kit).append("</style>");
    return own->render(v);
}

std::string render_fault(const PaywallText& t) {
    std::string main = in("<h1>", t.status, "</h1>\n") + in("<p role=\"status\">", t.detail, "</p>\n");
    if (!t.back.empty()) main += in("<p><a href=\"", t.back, "\">Back to the page</a></p>\n");
    main += sold_by(t);
    return html::document(std::string(t.status) + " – " + std::string(t.realm), main);
}

}  // namespace netpay
