// GET /history: what was spent, by site or by day, and the account's movements.
#include "broker/web/history.h"
#include "broker/web/site.h"
#include "broker/web/table.h"
#include "core/html.h"

namespace netpay::broker::web {
namespace {

struct Shown {
    std::vector<Spent> spent;
    std::vector<Moved> moved;
};

struct Kind {
    std::string_view kind, words;
};
constexpr Kind kinds[] = {{"topup", "Voucher"},
                          {"card", "Paid by card"},
                          {"card-refund", "Refunded to the card"},
                          {"card-refund-failed", "Refund to the card failed"},
                          {"coin", "Coin bought"},
                          {"refund", "Coin returned"}};

std::string words_for(const std::string& kind) {
    for (const auto& k : kinds)
        if (k.kind == kind) return std::string(k.words);
    return html::escape(kind);
}

std::string spent_table(const std::vector<Spent>& spent, bool by_day) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& s : spent) {
        if (by_day) rows.push_back({day(std::stoll(s.what)), money(s.micro, s.cur)});
        else rows.push_back({html::escape(s.what), money(s.micro, s.cur), day(s.last)});
    }
    const auto columns = by_day ? std::vector<Column>{{"Day"}, {"Spent", true}}
                                : std::vector<Column>{{"Site"}, {"Spent", true}, {"Coin last there"}};
    return table("spent", by_day ? "Spent by day" : "Spent by site", columns, rows, "No site has claimed anything yet.");
}

std::string moved_table(const std::vector<Moved>& moved) {
    std::vector<std::vector<std::string>> rows;
    for (const auto& m : moved) rows.push_back({moment(m.at), words_for(m.kind), money(m.micro, m.cur)});
    return table("balance", "Your balance", {{"When (UTC)"}, {"What"}, {"Amount", true}}, rows, "Nothing has moved yet.");
}

Response show(api::Broker b, Request& request, const Session& session) {
    const auto by = request.query.find("by");
    const bool by_day = by != request.query.end() && by->second == "day";
    const auto shown = b.store.read([&](Sql& sql) -> Outcome<Shown> {
        return Shown{by_day ? spent_by_day(sql, session.account) : spent_by_site(sql, session.account),
                     moved(sql, session.account)};
    });
    if (!shown) return fault_page(b, request, &session, "History", shown.refusal());
    const auto choice = [](std::string_view by_what, std::string_view text, bool current) {
        return "<a class=\"quiet\" href=\"/history?by=" + std::string(by_what) + "\"" + (current ? " aria-current=\"page\"" : "") +
               ">" + std::string(text) + "</a>";
    };
    return page(b, &session, "History",
                "<h1>History</h1>\n<p class=\"actions\">" + choice("site", "By site", !by_day) + " " +
                    choice("day", "By day", by_day) + "</p>\n" + spent_table(shown->spent, by_day) +
                    "<p class=\"note\">What sites have told until now; they do so within a day, and it counts for the day "
                    "on which they do. No page's address is kept here: sites do not tell it.</p>\n" +
                    moved_table(shown->moved));
}

}  // namespace

void add_history_page(Routes& routes, api::Broker b) {
    routes.add("GET", "/history", page_for_members(b, show), page_limits);
}

}  // namespace netpay::broker::web
