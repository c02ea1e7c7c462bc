#include "broker/ewallet/confirm_page.h"

#include <algorithm>

#include "core/html.h"

namespace netpay::broker::ewallet {
namespace {

constexpr std::int64_t day_s = 86400;

std::string decimal(Amount a, const Currency& c) {
    const auto text = a.pretty(c);
    return text.substr(0, text.find(' '));
}

std::string_view host_of(std::string_view origin) {
    const auto at = origin.find("://");
    return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

// ---- the fields of limits ----

constexpr std::string_view page_label = "At most for a page", day_label = "At most a day", days_label = "For so many days";

// What is wrong with what was written, and with which field.
struct Fault {
    std::string_view field;
    std::string detail;
};

std::string quoted(std::string_view label) { return "“" + std::string(label) + "”"; }

std::optional<Fault> fault_in(const form::Fields& fields) {
    const auto page = parse_decimal(web::field(fields, "per_page")), day = parse_decimal(web::field(fields, "per_day"));
    const auto days = Amount::parse(web::field(fields, "days"));
    const auto no_amount = [](std::string_view label) { return quoted(label) + " is not an amount. Write it as 0.05 or 1.00."; };
    if (!page) return Fault{"per_page", no_amount(page_label)};
    if (!day) return Fault{"per_day", no_amount(day_label)};
    if (*page > *day)
        return Fault{"per_page", quoted(page_label) + " is more than " + quoted(day_label) + ". Lower the one or raise the other."};
    if (!days || days->micro() < 1 || days->micro() > static_cast<std::uint64_t>(most_days))
        return Fault{"days", quoted(days_label) + " is a number from 1 to 365."};
    return std::nullopt;
}

std::string number_field(const std::string& id, std::string_view name, const std::string& label, const std::string& value, bool wrong) {
    return "<label for=\"" + id + "\">" + label + "</label><input id=\"" + id + "\" name=\"" + std::string(name) + "\" value=\"" +
           html::escape(value) + "\"" + (wrong ? " aria-invalid=\"true\"" : "") +
           " required maxlength=\"16\" inputmode=\"decimal\" autocomplete=\"off\">";
}

std::string box(std::string_view name, std::string_view label, bool on) {
    return "<label><input type=\"checkbox\" name=\"" + std::string(name) + "\" value=\"yes\"" + (on ? " checked>" : ">") +
           std::string(label) + "</label>";
}

std::string what_is_there(const Wanted& w, const Purse& p) {
    const auto& c = w.currency;
    std::string out = "<p>In your e-wallet: <strong>" + web::money(p.in_wallet, c) + "</strong>. Your balance: <strong>" +
                      web::money(p.balance, c) + "</strong>.</p>\n";
    if (p.coin && p.coin->holder != 0 && p.coin->holder != w.vendor.id)
        out += "<p>Your e-wallet comes here from " + html::escape(p.coin->holder_origin) + ".</p>\n";
    if (!p.coin && p.terms)
        if (const auto worth = p.terms->unit.times(p.terms->n))
            out += "<p>" + web::money(*worth, c) + " of your balance goes into the e-wallet. What you do not spend, you can take back.</p>\n";
    if (p.coin && p.balance.micro() > 0)
        out += "<p class=\"note\">If a site has sold more from it than is known here, and too little for this page is left, money of "
               "your balance goes into it for this page.</p>\n";
    if (p.day_over)
        out += "<p class=\"note\" role=\"status\">What may be spent today is used up. This page is paid all the same if you confirm "
               "it; for more, raise the limit of the day.</p>\n";
    return out;
}

std::string too_little(std::string_view address) {
    return web::said("fault", "That is too little for this page.") + "<p class=\"actions\"><a class=\"button\" href=\"/topup?next=" +
           form::encode(address) + "\">Add money</a></p>\n";
}

std::string kept(const Wanted& w) {
    return w.kind == "cookie" ? "<p class=\"note\">This browser keeps the e-wallet, in a cookie for the site.</p>\n"
                              : "<p class=\"note\">The site keeps the e-wallet for you.</p>\n";
}

}  // namespace

std::string limit_fields(const Limits& l, Int days, const Currency& currency, bool everywhere, const form::Fields& typed,
                         std::string_view id) {
    const std::string iso = ", " + currency.iso(), of(id);
    const auto fault = typed.empty() ? std::nullopt : fault_in(typed);
    const auto number = [&](const std::string& name, std::string_view label, const std::string& now) {
        return number_field(name + of, name, std::string(label), typed.empty() ? now : web::field(typed, name),
                            fault && fault->field == name);
    };
    const auto on = [&](std::string_view name, bool now) { return typed.empty() ? now : web::field(typed, name) == "yes"; };
    // A site's own page may lie above a day that was lowered since: the day is what holds.
    const auto page = std::min(l.per_page, l.per_day);
    std::string out = number("per_page", std::string(page_label) + iso, decimal(page, currency)) +
                      number("per_day", std::string(day_label) + iso, decimal(l.per_day, currency)) +
                      number("days", days_label, std::to_string(days)) +
                      box("automatic", "Pay pages within these limits without asking", on("automatic", l.automatic));
    if (everywhere) out += box("everywhere", "The same at every site, with one click at a new one", on("everywhere", l.everywhere));
    return out + "\n";
}

Outcome<Limits> read_limits(const form::Fields& fields, UnixTime now) {
    if (auto fault = fault_in(fields)) return Refusal{422, "limits", "These limits were not taken", std::move(fault->detail)};
    const auto days = static_cast<std::int64_t>(Amount::parse(web::field(fields, "days")).value().micro());
    return Limits{*parse_decimal(web::field(fields, "per_page")), *parse_decimal(web::field(fields, "per_day")), now + days * day_s,
                  web::field(fields, "automatic") == "yes", web::field(fields, "everywhere") == "yes"};
}

Response confirm_page(api::Broker b, const web::Session& session, const Wanted& w, const Purse& p, std::string_view address,
                      std::string_view once, std::string_view message, int status) {
    std::string text = "<h1>Pay " + html::escape(host_of(w.vendor.origin)) + " with your e-wallet</h1>\n<p class=\"note\"><code>" +
                       html::escape(w.vendor.origin) + "</code></p>\n";
    text.append(message).append("<p class=\"price\">" + web::money(w.amount, w.currency) + "</p>\n" + what_is_there(w, p) + kept(w));
    // Without an action: it goes where this page is, with the same query.
    text += "<form method=\"post\">" + web::csrf_field(session);
    if (p.coin || p.terms) {
        text.append("<input type=\"hidden\" name=\"once\" value=\"").append(once).append("\"><fieldset><legend>What the site may spend</legend>");
        text += limit_fields(p.limits, p.days, w.currency, true, p.typed) +
                "</fieldset><div class=\"actions\"><button type=\"submit\" name=\"decision\" value=\"yes\">Confirm and read</button>";
    } else {
        text += too_little(address) + "<div class=\"actions\">";
    }
    text += "<button class=\"quiet\" type=\"submit\" name=\"decision\" value=\"no\" formnovalidate>Cancel</button></div></form>\n";
    return web::page(b, &session, "Pay with your e-wallet", text, status, {w.vendor.origin});
}

}  // namespace netpay::broker::ewallet
