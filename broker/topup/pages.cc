#include "broker/topup/pages.h"

#include "broker/topup/provider.h"
#include "broker/topup/webhook.h"
#include "broker/web/onward.h"
#include "broker/web/site.h"
#include "broker/web/table.h"
#include "core/html.h"

namespace netpay::broker::topup {
namespace {

constexpr std::string_view title = "Add money";
constexpr Int listed_payments = 10;

// What is known of a payment by card, by its checkout's state. HTML.
struct Said {
    std::string_view state, words;
};
constexpr Said states[] = {{"open", "begun; not confirmed by the card provider"},
                           {"paid", "paid"},
                           {"failed", "not paid"},
                           {"refunded", "refunded"}};

struct CardPayment {
    std::string cur;
    Int amount = 0, refunded = 0;
    std::string state;
    Int created = 0;
};

struct Shown {
    std::map<Currency, Amount> balance;
    std::vector<CardPayment> payments;  // newest first
};

Outcome<Shown> look(api::Broker b, const accounts::Account& account) {
    return b.store.read([&](Sql& sql) -> Outcome<Shown> {
        Shown shown{accounts::balances(sql, account, b.context.options.currencies), {}};
        for (const auto& row : all<std::string, Int, Int, std::string, Int>(
                 sql,
                 "SELECT cur, amount, refunded, state, created FROM checkouts WHERE account = :a "
                 "ORDER BY created DESC, id DESC LIMIT :l",
                 account.id, listed_payments))
            shown.payments.push_back(std::make_from_tuple<CardPayment>(row));
        return shown;
    });
}

std::string balance_line(const std::map<Currency, Amount>& balance) {
    std::string text;
    for (const auto& [cur, amount] : balance)
        text.append(text.empty() ? "" : ", ").append(web::money(amount, cur));
    return "<p>Your balance: <strong>" + text + "</strong></p>\n";
}

std::string words_for(const CardPayment& p) {
    std::string words;
    for (const auto& s : states)
        if (s.state == p.state) words = s.words;
    if (p.state == "paid" && p.refunded > 0) words += ", " + web::money(p.refunded, p.cur) + " of it refunded";
    return words;
}

std::string payments_table(const std::vector<CardPayment>& payments) {
    if (payments.empty()) return {};
    std::vector<std::vector<std::string>> rows;
    for (const auto& p : payments) rows.push_back({web::moment(p.created), web::money(p.amount, p.cur), words_for(p)});
    return web::table("payments", "Payments by card", {{"Begun (UTC)"}, {"Amount", true}, {"State"}}, rows, "");
}

// The way back to the page that somebody wanted to read.
std::string way_back(const web::Onward& onward, std::string_view kind) {
    const std::string head = "<p class=\"actions\"><a class=\"" + std::string(kind) + "\" href=\"";
    if (!onward.next.empty())
        return head + html::escape(onward.next) + "\">Go on</a></p>\n";
    if (onward.client.empty()) return {};
    const auto site = html::escape(onward.client);
    return head + site + html::escape(onward.target) + "\">Back to " + site + "</a></p>\n";
}

// What the reader does next: pay in, or go on, having done so.
enum class Next { pay, go_on };

// message: HTML above the providers.
Response top_up_page(api::Broker b, const Request& request, const web::Session& session, const web::Onward& onward,
                     std::string_view message, int status = 200, Next then = Next::pay) {
    const auto shown = look(b, session.account);
    if (!shown) return web::fault_page(b, request, &session, title, shown.refusal());
    std::string main = "<h1>Add money</h1>\n" + std::string(message) + balance_line(shown->balance);
    const auto hidden = web::csrf_field(session) + onward.fields();
    const bool on = then == Next::go_on && !onward.query().empty();
    if (on) main += way_back(onward, "button") + "<div class=\"later\">\n";
    for (const auto& p : providers(b.context)) main += p->form(b.context.options, hidden);
    main += (on ? "</div>\n" : way_back(onward, "quiet")) + payments_table(shown->payments);
    return web::page(b, &session, title, main, status, web::origins_behind(b, onward.next));
}

Response show(api::Broker b, Request& request, const web::Session& session) {
    // Anybody can type this address: it says nothing of the payment.
    const bool returned = request.query.contains("paid");
    return top_up_page(b, request, session, returned ? web::onward_kept(b, request) : web::onward_of(b, request),
                       returned ? "<p class=\"note\" role=\"status\">As soon as the card provider confirms a payment, it is in "
                                  "your balance. That takes a few seconds; <a href=\"/topup\">look again</a>.</p>\n"
                                : "",
                       200, returned ? Next::go_on : Next::pay);
}

Response continue_page(api::Broker b, const web::Session& session, const web::Onward& onward, const std::string& address) {
    // A link: the policy of our own forms lets them lead nowhere else.
    auto answer = web::page(b, &session, title,
                     "<h1>Add money</h1>\n<p>You pay on the page of the card provider, and come back here after that.</p>\n"
                     "<p class=\"actions\"><a class=\"button\" rel=\"noreferrer\" href=\"" + html::escape(address) +
                         "\">Continue to the card payment</a> <a class=\"quiet\" href=\"/topup" + html::escape(onward.query()) + "\">Back</a></p>\n");
    if (!onward.query().empty()) answer.headers.emplace_back("Set-Cookie", web::kept_onward(b.context, onward));
    return answer;
}

Response submit(api::Broker b, Request& request, const web::Session& session, const form::Fields& fields) {
    const auto wanted = field(fields, "provider");
    const auto onward = web::onward_of(b, fields);
    for (const auto& p : providers(b.context)) {
        if (p->name() != wanted) continue;
        const auto step = p->begin(b, session.account, fields);
        if (!step) {
            const auto& r = step.refusal();
            if (r.internal) return web::fault_page(b, request, &session, title, r);
            return top_up_page(b, request, session, onward, web::said("fault", r.title + ". " + r.detail), r.status);
        }
        if (!step->done) return continue_page(b, session, onward, step->elsewhere);
        // What comes next shows the balance.
        if (!onward.next.empty()) return web::see_other(onward.next);
        return top_up_page(b, request, session, onward,
                           web::said("done", web::money(step->done->amount, step->done->currency) + " added to your balance."), 200,
                           Next::go_on);
    }
    return top_up_page(b, request, session, onward, web::said("fault", "Choose one of the ways to pay below."), 422);
}

}  // namespace

void add_topup(Routes& routes, api::Broker b) {
    routes.add("GET", "/topup", web::page_for_members(b, show), web::page_limits);
    // Each payment by card is a call to the provider.
    routes.add("POST", "/topup", web::form_for_members(b, submit), {8192, 0.5, 20, "application/x-www-form-urlencoded"});
    add_webhook(routes, b);
}

}  // namespace netpay::broker::topup
