// GET and POST /limits: what sites may spend, and taking that back.
#include <algorithm>

#include "broker/ewallet/confirm_page.h"
#include "broker/ewallet/grants.h"
#include "broker/ewallet/limits.h"
#include "broker/ewallet/register.h"
#include "broker/web/site.h"
#include "core/html.h"

namespace netpay::broker::ewallet {
namespace {

constexpr std::string_view title = "Limits";
constexpr std::int64_t day_s = 86400;

Int days_left(UnixTime until, UnixTime now) { return (until - now + day_s - 1) / day_s; }

// kept: there are such limits; else they are offered. revocable: there is something that the site may have.
std::string limits_form(const web::Session& session, const SiteLimits& s, Int number, UnixTime now, bool kept, bool revocable,
                        const form::Fields& typed) {
    const bool all = s.site == all_sites;
    std::string out = "<section><h2>" + (all ? "All sites together" : site_link(s.site)) + "</h2>\n";
    const bool revoked = kept && s.limits.nothing();
    if (revoked) out += "<p>It may have nothing: it asks you again, or you allow it something here.</p>\n";
    else if (!all && !kept) out += "<p>As all sites. You can set other limits for this one.</p>\n";
    out += "<form method=\"post\" action=\"/limits\">" +
                      web::csrf_field(session) + web::hidden("site", s.site) + web::hidden("currency", s.currency.str());
    const Int days = s.limits.until > now ? std::min(days_left(s.limits.until, now), most_days) : usual_days;
    out += limit_fields(s.limits, days, s.currency, all, typed, std::to_string(number)) +
           "<div class=\"actions\"><button type=\"submit\" name=\"do\" value=\"save\">" +
           (all || kept ? "Save" : "Limit this site") + "</button>";
    if (revocable) out += "<button class=\"quiet\" type=\"submit\" name=\"do\" value=\"revoke\" formnovalidate>Revoke</button>";
    return out + "</div></form></section>\n";
}

struct Listed {
    std::vector<SiteLimits> kept;
    std::vector<SiteLimits> offered;  // of sites that have none of their own, as all sites have them
};

const SiteLimits* find(const std::vector<SiteLimits>& list, std::string_view site, const Currency& currency) {
    const auto i = std::find_if(list.begin(), list.end(), [&](const auto& s) { return s.site == site && s.currency == currency; });
    return i == list.end() ? nullptr : &*i;
}

Listed listed(Sql& sql, Int account, UnixTime now) {
    Listed l{all_limits(sql, account, now), {}};
    for (const auto& [site, currency] : sites_with_grants(sql, account)) {
        const auto* all = find(l.kept, all_sites, currency);
        if (all && !find(l.kept, site, currency)) l.offered.push_back({site, currency, all->limits});
    }
    return l;
}

// One for all sites in each currency, whether there is one or not. typed: a form that was not taken.
std::string forms(api::Broker b, const web::Session& session, const Listed& l, UnixTime now, const form::Fields& typed) {
    std::string out;
    Int number = 0;
    const auto form = [&](const SiteLimits& s, bool kept, bool revocable) {
        const bool here = web::field(typed, "site") == s.site && web::field(typed, "currency") == s.currency.str();
        out += limits_form(session, s, ++number, now, kept, revocable, here ? typed : form::Fields());
    };
    for (const auto& currency : b.context.options.currencies) {
        if (!find(l.kept, all_sites, currency)) {
            const Limits usual{*Amount::from(usual_per_page), *Amount::from(usual_per_day), 0, true, false};
            form({std::string(all_sites), currency, usual}, false, false);
        }
    }
    for (const auto& s : l.kept) form(s, true, !s.limits.nothing());
    for (const auto& s : l.offered) form(s, false, true);
    return out;
}

Response limits_page(api::Broker b, const Request& request, const web::Session& session, std::string_view message, int status = 200,
                     const form::Fields& typed = {}) {
    const UnixTime now = b.context.clock.now();
    const auto list = b.store.read(
        [&](Sql& sql) -> Outcome<Listed> { return listed(sql, session.account.id, now); });
    if (!list) return web::fault_page(b, request, &session, title, list.refusal());
    return web::page(b, &session, title,
                     "<h1>Limits</h1>\n" + std::string(message) +
                         "<p>What sites may spend from your e-wallet. A site that has it learns of a change within five minutes; "
                         "it never spends more than it was granted for the day. All sites together are granted no more in a day "
                         "than the largest limit here. <a href=\"/coins\">Give a coin back</a> to end that "
                         "at once.</p>\n" +
                         forms(b, session, *list, now, typed),
                     status);
}

Response show(api::Broker b, Request& request, const web::Session& session) {
    const bool saved = request.query.contains("saved");
    return limits_page(b, request, session, saved ? web::said("done", "Your limits are kept.") : std::string());
}

bool may_be_limited(Sql& sql, Int account, const std::string& site, const Currency& currency, UnixTime now) {
    const auto l = listed(sql, account, now);
    return find(l.kept, site, currency) || find(l.offered, site, currency);
}

void revoke(Sql& sql, Int account, const std::string& site, const Currency& currency, UnixTime now) {
    if (site == all_sites) {
        remove_limits(sql, account, site, currency);
        return end_grants(sql, account, now);
    }
    revoke_site(sql, account, site, currency);
    end_grants_at(sql, account, site, now);
}

Response change(api::Broker b, Request& request, const web::Session& session, const form::Fields& fields) {
    const UnixTime now = b.context.clock.now();
    const auto site = web::field(fields, "site"), what = web::field(fields, "do");
    const auto currency = Currency::parse(web::field(fields, "currency"));
    const auto limits = read_limits(fields, now);
    const auto refused = [&](const Refusal& r) {
        if (r.internal) return web::fault_page(b, request, &session, title, r);
        return limits_page(b, request, session, web::said("fault", r.title + ". " + r.detail), r.status, what == "save" ? fields : form::Fields());
    };
    if (!currency || (what != "save" && what != "revoke")) return refused({422, "limits", "These limits were not taken", "Open the page again."});
    if (what == "save" && !limits) return refused(limits.refusal());
    const auto done = b.store.write([&](Sql& sql) -> Outcome<Done> {
        // A site comes here by having her e-wallet, not by a name that somebody typed.
        const bool known = site == all_sites || may_be_limited(sql, session.account.id, site, *currency, now);
        if (!known) return Refusal{422, "limits", "These limits were not taken", "There are none for that site any more."};
        if (what == "revoke") revoke(sql, session.account.id, site, *currency, now);
        else save_limits(sql, session.account.id, site, *currency, *limits);
        return Done{};
    });
    if (!done) return refused(done.refusal());
    return web::see_other("/limits?saved=1");
}

}  // namespace

void add_limits_page(Routes& routes, api::Broker b) {
    routes.add("GET", "/limits", web::page_for_members(b, show), web::page_limits);
    routes.add("POST", "/limits", web::form_for_members(b, change), web::form_limits);
}

}  // namespace netpay::broker::ewallet
