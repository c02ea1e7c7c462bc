// GET and POST /coins, POST /coins/return, POST /export, GET and POST /import.
#include <algorithm>
#include <map>

#include "broker/custody/returns.h"
#include "broker/ewallet/grants.h"
#include "broker/web/kept_coins.h"
#include "broker/web/site.h"
#include "core/base64url.h"
#include "core/html.h"
#include "core/timestamp.h"

namespace netpay::broker::web {
namespace {

constexpr std::string_view form_media = "application/x-www-form-urlencoded";
// A coin of the longest chain has 44 KB in an export; hashing a megabyte of them takes 1.5 s.
constexpr RouteLimits import_limits{1u << 20, 0.1, 5, form_media};
// Each may ask a vendor.
constexpr RouteLimits return_limits{1024, 0.5, 20, form_media};

std::string day(UnixTime t) { return format_rfc3339(t).substr(0, 10); }

// ---- buying ----

std::string value_of(const Currency& currency, const Denomination& d) {
    return std::string(currency.str()) + "." + d.unit.str() + "." + std::to_string(d.n);
}

std::optional<issue::Terms> terms_of(const Options& options, std::string_view chosen) {
    for (const auto& currency : options.currencies)
        for (const auto& d : options.denominations)
            if (value_of(currency, d) == chosen) return issue::Terms{currency, d.unit, d.n};
    return std::nullopt;
}

// What a first purchase should be: enough for a while, and not much to lose.
constexpr std::uint64_t usual_micro = 1000000;

std::uint64_t distance(std::uint64_t a, std::uint64_t b) { return a > b ? a - b : b - a; }

// The denominations by value, the smallest first; the one nearest to the usual
// of those that can be paid is chosen.
std::string choices(const Options& options, const std::map<Currency, Amount>& balance) {
    auto list = options.denominations;
    std::sort(list.begin(), list.end(), [](const Denomination& a, const Denomination& b) {
        return a.unit.micro() * a.n < b.unit.micro() * b.n;
    });
    std::string chosen, out;
    std::uint64_t best = limits::max_amount;
    for (const auto& currency : options.currencies)
        for (const auto& d : list) {
            const auto worth = d.unit.times(d.n);
            const auto has = balance.find(currency);
            if (!worth || has == balance.end() || *worth > has->second || distance(worth->micro(), usual_micro) >= best) continue;
            best = distance(worth->micro(), usual_micro);
            chosen = value_of(currency, d);
        }
    for (const auto& currency : options.currencies)
        for (const auto& d : list)
            if (const auto worth = d.unit.times(d.n)) {
                const auto value = value_of(currency, d);
                out += "<option value=\"" + value + (value == chosen ? "\" selected>" : "\">") + money(*worth, currency) +
                       " in steps of " + money(d.unit, currency) + "</option>";
            }
    return out;
}

std::string buy_form(api::Broker b, const Session& session, const std::map<Currency, Amount>& balance) {
    const std::string once = b64u_encode(b.context.random.bytes<16>());
    return "<h2>Buy a coin</h2>\n<p>A coin is spent a step at a time. You can return what is left of it whenever you like.</p>\n"
           "<form method=\"post\" action=\"/coins\">" +
           csrf_field(session) + "<input type=\"hidden\" name=\"once\" value=\"" + once +
           "\"><label for=\"terms\">Worth</label><select id=\"terms\" name=\"terms\">" + choices(b.context.options, balance) +
           "</select><button type=\"submit\">Buy</button></form>\n";
}

// ---- the list ----

std::string kept_where(const KeptCoin& c) {
    if (c.here) return "here";
    return c.exported ? "in your wallet, since " + day(c.exported) : "in a wallet";
}

// E-wallets at sites, by the coin that they spend from.
using Spenders = std::map<std::string, ewallet::Live>;

std::string spender(const ewallet::Live& e) {
    const std::string where = e.kind == "cookie" ? "in your browser, for " : "kept by ";
    return where + e.site + "; may still spend up to " + money(e.left, e.currency) + " there, until " + day(e.until);
}

// A move is told of after the page it was for: until then the broker knows the site before.
std::string standing(const KeptCoin& c, const ewallet::Live* e) {
    if (c.state == "returned") return "Returned; " + money(c.worth(c.refunded), c.currency) + " went back to your account";
    if (c.state == "returning") return "On its way back; what is unspent is refunded as soon as the site has let it go";
    if (c.state == "expired") return "Expired; what is unspent is refunded at the latest 90 days later";
    if (e && c.holder.empty()) return "Not at a site yet; " + e->site + " takes it with the first page";
    if (e && c.holder != e->site) return "Last known at " + c.holder + "; " + e->site + " takes it over from there";
    return c.holder.empty() ? "No site holds it" : "At " + c.holder;
}

std::string return_form(const KeptCoin& c, const Session& session, std::string_view label) {
    if (!c.own || c.state == "returned") return {};
    return "<form method=\"post\" action=\"/coins/return\">" + csrf_field(session) + "<input type=\"hidden\" name=\"coin\" value=\"" +
           html::escape(c.coin) + "\"><button class=\"quiet\" type=\"submit\" aria-label=\"" + std::string(label) + " coin " +
           html::escape(c.coin.substr(0, 8)) + "\">" + std::string(label) + "</button></form>";
}

std::string coin_part(const KeptCoin& c, const Session& session, const Spenders& spenders) {
    const auto line = [](std::string_view name, const std::string& value) {
        return "<dt>" + std::string(name) + "</dt><dd>" + html::escape(value) + "</dd>";
    };
    const auto at = spenders.find(c.coin);
    const auto* spending = at == spenders.end() ? nullptr : &at->second;
    std::string out = "<h3>" + money(c.worth(c.n), c.currency) + " coin <code>" + html::escape(c.coin.substr(0, 8)) +
                      "</code></h3>\n<dl>";
    out += line("Spent", money(c.worth(c.spent), c.currency)) + line("Left", money(c.worth(c.left()), c.currency)) +
           line("Kept", kept_where(c)) + line("Where now", standing(c, spending)) + line("Good until", day(c.exp));
    if (spending) out += line("E-wallet", spender(*spending));
    if (!c.own) out += line("Bought", "by another account, which can return it");
    return out + "</dl>" + return_form(c, session, spending ? "Give back" : "Return") + "\n";
}

std::string export_form(const std::vector<KeptCoin>& coins, const Session& session) {
    std::string boxes;
    for (const auto& c : coins)
        if (c.here && c.left() > 0)
            boxes += "<label><input type=\"checkbox\" name=\"coin." + html::escape(c.coin) + "\" value=\"1\" checked>" +
                     money(c.worth(c.left()), c.currency) + " left of coin <code>" + html::escape(c.coin.substr(0, 8)) +
                     "</code></label>";
    if (boxes.empty()) return {};
    return "<h2>Take coins to a wallet program</h2>\n<p>You get a file for <code>netpay import FILE</code>. It is money: who has the "
           "file can spend the coins. They are not kept here any more then; should the file get lost, return the coins.</p>\n"
           "<form method=\"post\" action=\"/export\">" +
           csrf_field(session) + "<fieldset><legend>Coins</legend>" + boxes +
           "</fieldset><label><input type=\"checkbox\" name=\"account\" value=\"1\">Let the wallet use this account, too</label>"
           "<button class=\"quiet\" type=\"submit\">Download</button></form>\n";
}

Response coins_page(api::Broker b, const Request& request, const Session& session, const std::string& message, int status = 200) {
    struct Shown {
        std::vector<KeptCoin> coins;
        std::map<Currency, Amount> balance;
        Spenders spenders;
    };
    const auto shown = b.store.read([&](Sql& sql) -> Outcome<Shown> {
        const UnixTime now = b.context.clock.now();
        auto coins = coins_of(sql, session.account, now);
        if (!coins) return coins.refusal();
        Spenders spenders;
        for (auto& e : ewallet::live_grants(sql, session.account.id, now)) spenders.try_emplace(e.coin, e);
        return Shown{std::move(*coins), accounts::balances(sql, session.account, b.context.options.currencies), std::move(spenders)};
    });
    if (!shown) return fault_page(b, request, &session, "Coins", shown.refusal());
    std::string text = "<h1>Coins</h1>\n" + message + "<p>In your account, not in coins: ";
    bool first = true;
    for (const auto& [currency, amount] : shown->balance) {
        text.append(first ? "" : ", ").append(money(amount, currency));
        first = false;
    }
    text += ". <a href=\"/topup\">Add money</a></p>\n<p><a href=\"/limits\">What sites may spend</a></p>\n" + buy_form(b, session, shown->balance) + "<h2>Your coins</h2>\n";
    if (shown->coins.empty()) text += "<p>You have none yet.</p>\n";
    else
        text += "<p class=\"note\">“Spent” is what sites have reported. They do so within a day: pages that you read today may not be "
                "in it yet.</p>\n";
    for (const auto& c : shown->coins) text += coin_part(c, session, shown->spenders);
    text += export_form(shown->coins, session) + "<p><a href=\"/import\">Bring coins back from a wallet program</a></p>\n";
    return page(b, &session, "Coins", text, status);
}

Response refused(api::Broker b, const Request& request, const Session& session, const Refusal& r) {
    if (r.internal) return fault_page(b, request, &session, "Coins", r);
    return coins_page(b, request, session, said("fault", r.title + ". " + r.detail), r.status);
}

Response show_coins(api::Broker b, Request& request, const Session& session) {
    if (request.query.contains("bought")) return coins_page(b, request, session, said("done", "The coin is yours."));
    // From the page that a site has for her e-wallet, or typed by anybody: true in either case.
    const auto from = request.query.find("from");
    if (from != request.query.end() && from->second == "site")
        return coins_page(b, request, session,
                          said("done", "To have the money of an e-wallet back in your balance, press “Return” or “Give back” at its "
                                       "coin below."));
    return coins_page(b, request, session, {});
}

Response buy(api::Broker b, Request& request, const Session& session, const form::Fields& fields) {
    const auto once = field(fields, "once");
    const auto terms = terms_of(b.context.options, field(fields, "terms"));
    if (!terms || once.empty() || once.size() > 100)
        return refused(b, request, session, {422, "denomination", "No such coin is sold here", "Choose one of the list. Nothing was charged."});
    const UnixTime now = b.context.clock.now();
    const auto sold = buy_coin(b.context, b.store, session.account, *terms, once, now);
    if (!sold) return refused(b, request, session, sold.refusal());
    const auto renewed = b.store.write([&](Sql& sql) -> Outcome<std::string> {
        return renew_session(b.context, sql, session, now).cookie;
    });
    // The coin is bought in any case; the old session is as good as it was.
    return see_other("/coins?bought=1", renewed ? std::vector{*renewed} : std::vector<std::string>());
}

// ---- returning ----

Response give_back(api::Broker b, Request& request, const Session& session, const form::Fields& fields) {
    const auto name = field(fields, "coin");
    const auto returned = custody::give_back(b.context, b.store, session.account, name, std::nullopt, b.context.clock.now());
    if (!returned) return refused(b, request, session, returned.refusal());
    if (const auto* refunded = std::get_if<custody::Refunded>(&*returned))
        return coins_page(b, request, session, said("done", money(refunded->amount, refunded->currency) + " went back to your account."));
    return coins_page(b, request, session,
                      said("done", "A site holds the coin and has not let it go yet. It is asked again; what is unspent is refunded by " +
                                       day(std::get<custody::Waiting>(*returned).due) + " at the latest."));
}

// ---- to a wallet and back ----

Response take_out(api::Broker b, Request& request, const Session& session, const form::Fields& fields) {
    constexpr std::string_view prefix = "coin.";
    std::vector<std::string> names;
    for (const auto& [name, value] : fields)
        if (name.starts_with(prefix) && value == "1") names.push_back(name.substr(prefix.size()));
    const auto text = export_coins(b.context, b.store, session.account, names, field(fields, "account") == "1", b.context.clock.now());
    if (!text) return refused(b, request, session, text.refusal());
    Response r;
    r.content_type = "application/x-ndjson";
    r.body = text->expose();
    r.headers.emplace_back("Content-Disposition", "attachment; filename=\"netpay-coins.ndjson\"");
    return std::move(r).no_store();
}

Response import_page(api::Broker b, const Session& session, const std::string& message, int status) {
    return page(b, &session, "Bring coins back",
                "<h1>Bring coins back</h1>\n" + message +
                    "<p>In the wallet program: <code>netpay export --move FILE</code>. Then paste what is in the file here. "
                    "Payments that are under way in the wallet are settled there first.</p>\n"
                    "<form method=\"post\" action=\"/import\" autocomplete=\"off\">" +
                    csrf_field(session) +
                    "<label for=\"export\">The export</label><textarea id=\"export\" name=\"export\" rows=\"8\" required "
                    "autocomplete=\"off\" spellcheck=\"false\"></textarea><button type=\"submit\">Import</button></form>\n",
                status);
}

Response take_in(api::Broker b, Request& request, const Session& session, const form::Fields& fields) {
    const auto taken = import_coins(b.context, b.store, session.account, field(fields, "export"), b.context.clock.now());
    if (!taken) {
        const auto& r = taken.refusal();
        if (r.internal) return fault_page(b, request, &session, "Bring coins back", r);
        return import_page(b, session, said("fault", r.title + ". " + r.detail), r.status);
    }
    const std::string count = *taken == 1 ? "One coin is" : std::to_string(*taken) + " coins are";
    return coins_page(b, request, session, said("done", count + " kept here now."));
}

}  // namespace

void add_coin_pages(Routes& routes, api::Broker b) {
    routes.add("GET", "/coins", page_for_members(b, show_coins), page_limits);
    routes.add("POST", "/coins", form_for_members(b, buy), form_limits);
    routes.add("POST", "/coins/return", form_for_members(b, give_back), return_limits);
    routes.add("POST", "/export", form_for_members(b, take_out), form_limits);
    routes.add("GET", "/import", page_for_members(b, [](api::Broker br, Request&, const Session& s) { return import_page(br, s, {}, 200); }),
               page_limits);
    routes.add("POST", "/import", form_for_members(b, take_in), import_limits);
}

}  // namespace netpay::broker::web
