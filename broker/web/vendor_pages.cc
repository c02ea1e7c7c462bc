// GET /vendor, GET and POST /vendor/register, GET /vendor/site: for those who sell pages.
#include <algorithm>

#include "broker/web/site.h"
#include "broker/web/table.h"
#include "broker/web/takings.h"
#include "core/html.h"

namespace netpay::broker::web {
namespace {

// A signed registration has 700 bytes.
constexpr RouteLimits register_limits{16384, 0.2, 10, "application/x-www-form-urlencoded"};

constexpr std::string_view title = "Sell pages";

std::string state_of(const OwnSite& s) {
    if (s.status == "pending") return "waits for the broker's operator";
    if (s.status == "approved") return s.frauds > 0 ? "approved, although it was proven a fraud" : "approved";
    return s.suspended_for == "fraud" ? "suspended: its signatures prove a fraud" : "suspended by the broker's operator";
}

std::string link_to(const OwnSite& s) {
    const auto name = html::escape(s.origin);
    return s.id == 0 ? name : "<a href=\"/vendor/site?origin=" + form::encode(s.origin) + "\">" + name + "</a>";
}

Response list(api::Broker b, Request& request, const Session& session) {
    const auto sites = b.store.read([&](Sql& sql) -> Outcome<std::vector<OwnSite>> { return sites_of(sql, session.account); });
    if (!sites) return fault_page(b, request, &session, title, sites.refusal());
    std::vector<std::vector<std::string>> rows;
    for (const auto& s : *sites)
        rows.push_back({link_to(s), html::escape(state_of(s)), s.certificate_exp ? day(s.certificate_exp) : "none"});
    return page(b, &session, title,
                "<h1>Sell pages</h1>\n<p>Sites that sell pages for coins of this broker.</p>\n"
                "<p class=\"actions\"><a class=\"button\" href=\"/vendor/register\">Register a site</a></p>\n" +
                    table("sites", "Your sites", {{"Site"}, {"State"}, {"Certificate until"}}, rows,
                          "This account has registered no site."));
}

// ---- registering ----

std::string register_form(api::Broker b, const Session& session) {
    return "<p>A site is registered by its own key, so that nobody can do it in your place. On its host, run</p>\n"
           "<pre>netpay vendor register --print --broker " + html::escape(b.context.options.issuer) +
           " \\\n    --origin https://news.example --key /etc/netpay/vendor.pem</pre>\n"
           "<p>and paste what it prints here within a minute: the signature is good for that long.</p>\n"
           "<form method=\"post\" action=\"/vendor/register\">" + csrf_field(session) +
           "<label for=\"request\">Signed registration</label>"
           "<textarea id=\"request\" name=\"request\" rows=\"8\" required maxlength=\"8192\" spellcheck=\"false\" "
           "autocomplete=\"off\" autocapitalize=\"off\"></textarea>\n"
           "<button class=\"button\" type=\"submit\">Register</button>\n</form>\n";
}

Response show_register(api::Broker b, Request&, const Session& session) {
    return page(b, &session, "Register a site", "<h1>Register a site</h1>\n" + register_form(b, session));
}

std::string without_blanks(std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; });
    return text;
}

// What the broker says of a signed request is for programs: in plain words first.
std::string plain(const Refusal& r) {
    if (r.kind == "registration" && r.status == 400)
        return "What was pasted is not what the command prints, or not all of it. Run the command on the site's host and paste "
               "the whole of what it prints.";
    if (r.kind == "registration")
        return "What was pasted is older than a minute, was made for another broker, or is not signed by the key that it names. Run "
               "the command as it is shown below, and paste what it prints now. If that does not help, the clock of the site's "
               "host is wrong.";
    if (r.kind == "request-replayed") return "What was pasted is good once. Run the command again and paste what it prints now.";
    return {};
}

Response not_enrolled(api::Broker b, const Request& request, const Session& session, const Refusal& r) {
    const auto words = r.internal ? std::string() : plain(r);
    if (words.empty()) return fault_page(b, request, &session, "Register a site", r, register_form(b, session));
    return page(b, &session, "Register a site",
                "<h1>Register a site</h1>\n" + said("fault", "The site was not registered. " + words) + "<p class=\"note\">In detail: " +
                    html::escape(r.title + ". " + r.detail) + "</p>\n" + register_form(b, session),
                r.status == 401 ? 403 : r.status);
}

Response enrol(api::Broker b, Request& request, const Session& session, const form::Fields& fields) {
    const auto i = fields.find("request");
    const auto enrolled = api::enrol(b, session.account, without_blanks(i == fields.end() ? "" : i->second));
    if (!enrolled) return not_enrolled(b, request, session, enrolled.refusal());
    const bool approved = enrolled->status == "approved";
    return page(b, &session, "Register a site",
                "<h1>Register a site</h1>\n" +
                    said("done", approved ? enrolled->origin + " is approved with this key already."
                                          : enrolled->origin + " is registered and waits for the broker's operator.") +
                    (approved ? ""
                              : "<p>Tell the operator this key over another channel, so that it is yours that is approved:</p>\n"
                                "<p class=\"phrase\">" + html::escape(enrolled->kid) + "</p>\n") +
                    "<p class=\"actions\"><a class=\"button\" href=\"/vendor\">To your sites</a></p>\n",
                approved ? 200 : 202);
}

// ---- one site ----

struct Shown {
    OwnSite site;
    std::map<std::string, Due> due;
    std::vector<Taken> taken;
    std::vector<SeenBatch> batches;
};

Outcome<Shown> look(Sql& sql, const accounts::Account& account, const std::string& origin) {
    const auto sites = sites_of(sql, account);
    const auto own = std::find_if(sites.begin(), sites.end(), [&](const OwnSite& s) { return s.id != 0 && s.origin == origin; });
    if (own == sites.end())
        return Refusal{404, {}, "That is not one of your sites", "\"Sell pages\" lists those this account registered."};
    return Shown{*own, due_to(sql, origin), taken_by_day(sql, origin), batches_of(sql, own->id)};
}

std::string_view host_of(std::string_view origin) {
    const auto at = origin.find("://");
    return at == std::string_view::npos ? origin : origin.substr(at + 3);
}

std::string facts(const OwnSite& s, UnixTime now) {
    const auto left = (s.certificate_exp - now) / 86400;
    std::string certificate = "none";
    if (s.certificate_exp >= now)
        certificate = "since " + day(s.certificate_iat) + ", until " + day(s.certificate_exp) + " (" + std::to_string(left) + " days)";
    else if (s.certificate_exp > 0) certificate = "ended on " + day(s.certificate_exp);
    const auto row = [](std::string_view what, std::string_view value) {
        return "<dt>" + std::string(what) + "</dt><dd>" + html::escape(value) + "</dd>";
    };
    return "<dl>" + row("Origin", s.origin) + row("State", state_of(s)) + row("Certificate", certificate) + row("Key", s.kid) +
           row("Hand-over address", s.handoff) + "</dl>\n";
}

std::string due_table(const std::map<std::string, Due>& due) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& [cur, d] : due)
        rows.push_back({Currency::parse(cur).value_or(Currency()).iso(), money(d.pending, cur), money(d.payable, cur), money(d.owes, cur), money(d.paid, cur)});
    return table("owed", "What is owed",
                 {{"Currency"}, {"Pending", true}, {"Payable to you", true}, {"Owed by you", true}, {"Paid out", true}}, rows,
                 "Nothing has been credited yet.");
}

std::string taken_table(const std::vector<Taken>& taken) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& t : taken) rows.push_back({day(t.day), money(t.micro, t.cur), money(t.paid_out, t.cur)});
    return table("takings", "Takings by day", {{"Day (UTC)"}, {"Credited", true}, {"Paid out", true}}, rows,
                 "Nothing has been credited yet.");
}

std::string batch_table(const std::vector<SeenBatch>& batches) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& s : batches) {
        std::string credited, reasons;
        for (const auto& [cur, micro] : s.credited) credited.append(credited.empty() ? "" : ", ").append(money(micro, cur));
        for (const auto& [reason, n] : s.reasons)
            reasons.append(reasons.empty() ? "" : ", ").append(std::to_string(n)).append("\u00a0").append(reason);
        if (s.rejected > 0 && reasons.empty()) reasons = "too many to list; see the answer to the batch";
        rows.push_back({moment(s.at), short_name(s.batch), std::to_string(s.accepted), credited, std::to_string(s.rejected),
                        html::escape(reasons)});
    }
    return table("redemptions", "Redemptions",
                 {{"When (UTC)"}, {"Batch"}, {"Accepted", true}, {"Credited", true}, {"Rejected", true}, {"Why"}}, rows,
                 "This site has sent no batch yet.");
}

Response show_site(api::Broker b, Request& request, const Session& session) {
    const auto origin = request.query.find("origin");
    const auto shown = b.store.read([&](Sql& sql) {
        return look(sql, session.account, origin == request.query.end() ? std::string() : origin->second);
    });
    if (!shown) return fault_page(b, request, &session, "Site", shown.refusal());
    return page(b, &session, shown->site.origin,
                "<h1>" + html::escape(host_of(shown->site.origin)) + "</h1>\n" + facts(shown->site, b.context.clock.now()) +
                    due_table(shown->due) +
                    "<p class=\"note\">Pending becomes payable when the site's custody of the coin has ended.</p>\n" +
                    taken_table(shown->taken) + batch_table(shown->batches) +
                    "<p class=\"note\">Reasons: <em>overlap</em>: paid for already; <em>not-held</em>: not sold while the site "
                    "held the coin; <em>range</em>: beyond the coin; <em>forged</em>: the payword is not the coin's; "
                    "<em>unknown-coin</em>: of another broker; <em>malformed</em>: not a claim.</p>\n");
}

}  // namespace

void add_vendor_pages(Routes& routes, api::Broker b) {
    routes.add("GET", "/vendor", page_for_members(b, list), page_limits);
    routes.add("GET", "/vendor/register", page_for_members(b, show_register), page_limits);
    routes.add("POST", "/vendor/register", form_for_members(b, enrol), register_limits);
    routes.add("GET", "/vendor/site", page_for_members(b, show_site), page_limits);
}

}  // namespace netpay::broker::web
