// GET /, GET /account, POST /account/token, POST /account/tokens/withdraw.
#include "broker/accounts/accounts.h"
#include "broker/ewallet/grants.h"
#include "broker/store/query.h"
#include "broker/web/site.h"
#include "broker/web/table.h"
#include "core/html.h"

namespace netpay::broker::web {
namespace {

struct Summary {
    std::map<Currency, Amount> balance;
    Int tokens = 0;
    std::vector<ewallet::Live> wallets;
};

Outcome<Summary> summary_of(api::Broker b, const Session& session) {
    return b.store.read([&](Sql& sql) -> Outcome<Summary> {
        return Summary{accounts::balances(sql, session.account, b.context.options.currencies),
                       number(sql, "SELECT COUNT(*) FROM account_tokens WHERE account = :a", session.account.id),
                       ewallet::live_grants(sql, session.account.id, b.context.clock.now())};
    });
}

std::string balance_lines(const std::map<Currency, Amount>& balance) {
    std::string out;
    for (const auto& [currency, amount] : balance)
        out += "<p class=\"price\">" + money(amount, currency) + "</p>\n";
    return out;
}

Response welcome(api::Broker b) {
    return page(b, nullptr, "NetPay",
                "<h1>Pay for what you read, a page at a time</h1>\n"
                "<p>With an account here you pay cents for single pages of any site that takes NetPay: no subscription, and "
                "the sites do not learn who you are.</p>\n"
                "<ol><li>Sign up. You get a passphrase; nothing else is asked.</li>\n"
                "<li>Add money, with a voucher for example.</li>\n"
                "<li>Read: a site takes what a page costs from your e-wallet, within limits that you set. What you do not "
                "spend, you get back.</li></ol>\n"
                "<p class=\"actions\"><a class=\"button\" href=\"/sign-up\">Sign up</a> "
                "<a class=\"quiet\" href=\"/sign-in\">Sign in</a></p>\n");
}

Response home(api::Broker b, Request& request) {
    const auto session = session_of(b, request);
    if (!session) return fault_page(b, request, nullptr, "Not available", session.refusal());
    if (!*session) return welcome(b);
    const auto summary = summary_of(b, **session);
    if (!summary) return fault_page(b, request, &**session, "Not available", summary.refusal());
    return page(b, &**session, "Your account",
                "<h1>Your account</h1>\n<p>You have, beside what is in coins:</p>\n" + balance_lines(summary->balance) +
                    "<p class=\"actions\"><a class=\"button\" href=\"/topup\">Add money</a> "
                    "<a class=\"quiet\" href=\"/coins\">Coins</a> <a class=\"quiet\" href=\"/history\">History</a></p>\n");
}

std::string wallets_part(const std::vector<ewallet::Live>& wallets) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& w : wallets)
        rows.push_back({ewallet::site_link(w.site), w.kind == "cookie" ? "in your browser" : "at the site", money(w.left, w.currency), day(w.until)});
    return table("wallets", "Your e-wallets", {{"Site"}, {"Kept"}, {"May still spend", true}, {"Until"}}, rows,
                 "No site has your e-wallet.") +
           "<p><a href=\"/limits\">What sites may spend</a> · <a href=\"/coins\">Give coins back</a></p>\n";
}

std::string tokens_part(const Session& session, Int tokens) {
    std::string out = "<h2>Wallet programs</h2>\n<p>A wallet program uses this account with a token. ";
    out += tokens == 0 ? "None is given out." : tokens == 1 ? "One is given out." : std::to_string(tokens) + " are given out.";
    out += "</p>\n<div class=\"actions\"><form method=\"post\" action=\"/account/token\">" + csrf_field(session) +
           "<button class=\"quiet\" type=\"submit\">Make a token</button></form>";
    if (tokens > 0)
        out += "<form method=\"post\" action=\"/account/tokens/withdraw\">" + csrf_field(session) +
               "<button class=\"quiet\" type=\"submit\">Withdraw all tokens</button></form>";
    return out + "</div>\n";
}

Response account(api::Broker b, Request& request, const Session& session) {
    const auto summary = summary_of(b, session);
    if (!summary) return fault_page(b, request, &session, "Account", summary.refusal());
    std::string text = "<h1>Account</h1>\n";
    text += balance_lines(summary->balance);
    text += "<dl><dt>Name</dt><dd><code>" + html::escape(session.account.name) + "</code></dd></dl>\n"
            "<p>The name is public and says nothing of you; give it to the operator if something went wrong.</p>\n"
            "<p class=\"actions\"><a class=\"button\" href=\"/topup\">Add money</a></p>\n" +
            wallets_part(summary->wallets) + tokens_part(session, summary->tokens) +
            "<h2>Sign out everywhere</h2>\n<p>Ends every session of this account, in this and all other browsers, and every e-wallet "
            "at a site: none is granted any more. Sites ask about that every five minutes; one that does not can spend what it "
            "was granted before, until you give the coin back.</p>\n"
            "<form method=\"post\" action=\"/sign-out\">" +
            csrf_field(session) +
            "<input type=\"hidden\" name=\"all\" value=\"1\"><button class=\"quiet\" type=\"submit\">Sign out everywhere</button></form>\n";
    return page(b, &session, "Account", text);
}

Response make_token(api::Broker b, Request& request, const Session& session, const form::Fields&) {
    const auto token = b.store.write([&](Sql& sql) {
        return accounts::add_token(sql, b.context.random, session.account, b.context.clock.now());
    });
    if (!token) return fault_page(b, request, &session, "Account", token.refusal());
    std::string text = "<h1>A token for a wallet program</h1>\n<p>Who has it can spend what is in your account. It is not shown "
                       "again.</p>\n<p><strong class=\"phrase\">";
    text.append(token->expose()).append("</strong></p>\n<p class=\"actions\"><a class=\"button\" href=\"/account\">I have "
                                        "copied it</a></p>\n");
    auto answer = page(b, &session, "A token for a wallet program", text);
    cleanse(text.data(), text.size());
    return answer;
}

Response withdraw(api::Broker b, Request& request, const Session& session, const form::Fields&) {
    const auto done = b.store.write([&](Sql& sql) -> Outcome<Int> { return accounts::withdraw_tokens(sql, session.account); });
    if (!done) return fault_page(b, request, &session, "Account", done.refusal());
    return see_other("/account");
}

}  // namespace

void add_account_pages(Routes& routes, api::Broker b) {
    routes.add("GET", "/", [b](Request& r) { return home(b, r); }, page_limits);
    routes.add("GET", "/account", page_for_members(b, account), page_limits);
    routes.add("POST", "/account/token", form_for_members(b, make_token), form_limits);
    routes.add("POST", "/account/tokens/withdraw", form_for_members(b, withdraw), form_limits);
}

}  // namespace netpay::broker::web
