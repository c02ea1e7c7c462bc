#include "mod_netpay/page.h"

#include <algorithm>

#include "core/html.h"

namespace netpay {
namespace {

constexpr std::size_t most_brokers = 3;  // one clear action; more are in the challenges

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

// What to click, and how money gets in.
std::string pay(const PaywallText& t) {
    if (!t.opened)
        return "<p>What you sent was not taken in, and nothing was charged. A browser pays for pages that are opened, "
               "not for forms that are sent; a program can pay for both.</p>\n";
    std::string out = "<p class=\"actions\">";
    std::string money;
    const std::size_t count = t.brokers ? std::min(t.brokers->size(), most_brokers) : 0;
    for (std::size_t i = 0; i < count; ++i) {
        const std::string& issuer = (*t.brokers)[i];
        const std::string at = count > 1 ? " at " + std::string(host_of(issuer)) : "";
        out += in("<a class=\"button\" href=\"", issuer, "/sign-up\">") + in("Get an e-wallet", at, "</a>\n");
        money += std::string(i == 0 ? "" : ", ") + in("<a href=\"", issuer, "/topup\">") + in("Add money", at, "</a>");
    }
    out += "</p>\n<p>Your NetPay extension pays this page: press its button beside the address.</p>\n";
    if (!money.empty()) out += "<p>E-wallet empty? " + money + "</p>\n";
    return out;
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
    return in("<details>\n<summary>Pay from the command line</summary>\n<p><code>netpay get ", quoted_url(t), "</code></p>\n</details>\n");
}

std::string status(const PaywallText& t) {
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
    if (t.tried) {
        slot(v, Slot::status) = t.status;
        slot(v, Slot::detail) = t.detail;
    }
    slot(v, Slot::pay) = pay(t);
    slot(v, Slot::other) = other(t);
    slot(v, Slot::style) = std::string("<style>").append(html::kit).append("</style>");
    return own->render(v);
}

std::string render_fault(const PaywallText& t) {
    std::string main = in("<h1>", t.status, "</h1>\n") + in("<p role=\"status\">", t.detail, "</p>\n") + sold_by(t);
    return html::document(std::string(t.status) + " – " + std::string(t.realm), main);
}

}  // namespace netpay
