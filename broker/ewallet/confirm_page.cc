#include "broker/ewallet/confirm_page.h"

#include "core/html.h"

namespace netpay::broker::ewallet {
namespace {

constexpr std::int64_t day_s = 86400;

std::string decimal(Amount a, const Currency& c) {
    const auto text = a.pretty(c);
    return text.substr(0, text.find(' '));
}

std::string number_field(const std::string& id, std::string_view name, std::string_view label, const std::string& value) {
    return "<label for=\"" + id + "\">" + std::string(label) + "</label><input id=\"" + id + "\" name=\"" + std::string(name) +
           "\" value=\"" + value + "\" required maxlength=\"16\" inputmode=\"decimal\" autocomplete=\"off\">";
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

Refusal bad_limits(std::string detail) { return {422, "limits", "These limits were not taken", std::move(detail)}; }

}  // namespace

std::string limit_fields(const Limits& l, Int days, const Currency& currency, bool everywhere, std::string_view id) {
    const std::string iso = currency.iso(), of(id);
    std::string out = number_field("per_page" + of, "per_page", "At most for a page, " + iso, decimal(l.per_page, currency)) +
                      number_field("per_day" + of, "per_day", "At most a day, " + iso, decimal(l.per_day, currency)) +
                      number_field("days" + of, "days", "For so many days", std::to_string(days)) +
                      box("automatic", "Pay pages within these limits without asking", l.automatic);
    if (everywhere) out += box("everywhere", "The same at every site, with one click at a new one", l.everywhere);
    return out + "\n";
}

Outcome<Limits> read_limits(const form::Fields& fields, UnixTime now) {
    const auto page = parse_decimal(web::field(fields, "per_page")), day = parse_decimal(web::field(fields, "per_day"));
    const auto days = Amount::parse(web::field(fields, "days"));
    if (!page || !day) return bad_limits("Write amounts as 0.05 or 1.00.");
    if (!days || days->micro() < 1 || days->micro() > static_cast<std::uint64_t>(most_days))
        return bad_limits("Choose 1 to 365 days.");
    return Limits{*page, *day, now + static_cast<std::int64_t>(days->micro()) * day_s, web::field(fields, "automatic") == "yes",
                  web::field(fields, "everywhere") == "yes"};
}

Response confirm_page(api::Broker b, const web::Session& session, const Wanted& w, const Purse& p, std::string_view address,
                      std::string_view once, std::string_view message, int status) {
    std::string text = "<h1>Pay " + html::escape(w.vendor.origin) + " with your e-wallet</h1>\n";
    text.append(message).append("<p class=\"price\">" + web::money(w.amount, w.currency) + "</p>\n" + what_is_there(w, p));
    // Without an action: it goes where this page is, with the same query.
    text += "<form method=\"post\">" + web::csrf_field(session);
    if (p.coin || p.terms) {
        text.append("<input type=\"hidden\" name=\"once\" value=\"").append(once).append("\"><fieldset><legend>What the site may spend</legend>");
        text += limit_fields(p.limits, p.days, w.currency, true) +
                "</fieldset><div class=\"actions\"><button type=\"submit\" name=\"decision\" value=\"yes\">Confirm and read</button>";
    } else {
        text += too_little(address) + "<div class=\"actions\">";
    }
    text += "<button class=\"quiet\" type=\"submit\" name=\"decision\" value=\"no\" formnovalidate>Cancel</button></div></form>\n";
    return web::page(b, &session, "Pay with your e-wallet", text, status, {w.vendor.origin});
}

}  // namespace netpay::broker::ewallet
