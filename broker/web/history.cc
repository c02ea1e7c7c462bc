#include "broker/web/history.h"

#include "broker/ledger/ledger.h"

namespace netpay::broker::web {
namespace {

constexpr Int day_s = 86400;

// A custody's units: from its start to where it was released, or to what is known of it.
constexpr std::string_view worth =
    "SUM((CASE WHEN e.released >= 0 THEN e.released ELSE e.known END - e.start) * c.unit)";
constexpr std::string_view of_account =
    " FROM epochs e JOIN coins c ON c.id = e.coin JOIN vendors v ON v.id = e.vendor WHERE c.account = :a ";

}  // namespace

std::vector<Spent> spent_by_site(Sql& sql, const accounts::Account& account) {
    std::vector<Spent> list;
    const auto query = "SELECT v.origin, c.cur, " + std::string(worth) + ", MAX(e.iat)" + std::string(of_account) +
                       "GROUP BY v.origin, c.cur ORDER BY MAX(e.iat) DESC, v.origin LIMIT :l";
    for (const auto& [origin, cur, micro, last] : all<std::string, std::string, Int, Int>(sql, query, account.id, listed_sums))
        list.push_back({origin, cur, micro, last});
    return list;
}

std::vector<Spent> spent_by_day(Sql& sql, const accounts::Account& account) {
    std::vector<Spent> list;
    for (const auto& [number, cur, micro] : all<Int, std::string, Int>(
             sql, "SELECT day, cur, micro FROM spent_days WHERE account = :a AND micro <> 0 ORDER BY day DESC, cur LIMIT :l",
             account.id, listed_sums))
        list.push_back({std::to_string(number * day_s), cur, micro, number * day_s});
    return list;
}

std::vector<Moved> moved(Sql& sql, const accounts::Account& account) {
    std::vector<Moved> list;
    for (const auto& [at, kind, cur, micro] : all<Int, std::string, std::string, Int>(
             sql,
             "SELECT m.at, m.kind, m.cur, e.credit - e.debit FROM ledger_accounts a JOIN entries e ON e.account = a.id "
             "JOIN movements m ON m.id = e.movement WHERE a.name = :n ORDER BY e.id DESC LIMIT :l",
             ledger::customer(account.name), listed_movements))
        list.push_back({at, kind, cur, micro});
    return list;
}

}  // namespace netpay::broker::web
