#include "broker/ledger/check.h"

#include <string>

#include "broker/ledger/ledger.h"

namespace netpay::broker::ledger {
namespace {

constexpr std::size_t named_faults = 100;

std::string text(Int v) { return std::to_string(v); }

// Each row of a query is a fault; '?' in the sentence stand for its columns.
struct Rule {
    const char* sql;
    const char* sentence;
};

std::string fill(std::string_view sentence, const std::vector<std::string>& columns) {
    std::string out;
    std::size_t next = 0;
    for (const char c : sentence) {
        if (c == '?') out += columns[next++];
        else out += c;
    }
    return out;
}

// Three columns: what, found, expected.
void apply(Sql& sql, const Rule& rule, std::vector<std::string>& faults) {
    const auto rows = all<std::string, Int, Int>(sql, rule.sql);
    for (std::size_t i = 0; i < rows.size() && i < named_faults; ++i) {
        const auto& [what, found, expected] = rows[i];
        faults.push_back(fill(rule.sentence, {what, text(found), text(expected)}));
    }
    if (rows.size() > named_faults) faults.push_back("and " + std::to_string(rows.size() - named_faults) + " more like it");
}

const Rule book_rules[] = {
    {"SELECT m.id || ' (' || m.kind || ' ' || m.reference || ')', COUNT(e.id), m.parts FROM movements m "
     "LEFT JOIN entries e ON e.movement = m.id GROUP BY m.id, m.kind, m.reference, m.parts HAVING COUNT(e.id) <> m.parts",
     "movement ? has ? entries and should have ?"},
    {"SELECT m.id || ' (' || m.kind || ' ' || m.reference || ')', COALESCE(SUM(e.debit), 0), COALESCE(SUM(e.credit), 0) "
     "FROM movements m LEFT JOIN entries e ON e.movement = m.id GROUP BY m.id, m.kind, m.reference "
     "HAVING COALESCE(SUM(e.debit), 0) <> COALESCE(SUM(e.credit), 0)",
     "movement ? does not balance: debits ?, credits ?"},
    {"SELECT m.id || ' (' || m.kind || ' ' || m.reference || ')', COALESCE(SUM(e.debit), 0), m.total "
     "FROM movements m LEFT JOIN entries e ON e.movement = m.id GROUP BY m.id, m.kind, m.reference, m.total "
     "HAVING COALESCE(SUM(e.debit), 0) <> m.total",
     "movement ? has debits of ? and was booked over ?"},
    {"SELECT id || ' (' || kind || ' ' || reference || ')', sealed, 1 FROM movements WHERE sealed <> 1",
     "movement ? is not sealed (?, should be ?)"},
    {"SELECT 'entry ' || e.id, e.movement, 0 FROM entries e LEFT JOIN movements m ON m.id = e.movement WHERE m.id IS NULL",
     "? belongs to movement ?, which does not exist (?)"},
    {"SELECT a.name || ' ' || a.cur, a.balance, "
     "COALESCE(SUM(CASE WHEN a.side = 'debit' THEN e.debit - e.credit ELSE e.credit - e.debit END), 0) "
     "FROM ledger_accounts a LEFT JOIN entries e ON e.account = a.id GROUP BY a.id, a.name, a.cur, a.balance "
     "HAVING a.balance <> COALESCE(SUM(CASE WHEN a.side = 'debit' THEN e.debit - e.credit ELSE e.credit - e.debit END), 0)",
     "account ? shows ? and its entries add up to ?"},
    {"SELECT a.name || ' ' || a.cur || ' in movement ' || m.id, m.id, e.id FROM entries e "
     "JOIN ledger_accounts a ON a.id = e.account JOIN movements m ON m.id = e.movement WHERE a.cur <> m.cur",
     "account ? is of another currency than the movement (movement ?, entry ?)"},
};

const Rule coin_rules[] = {
    {"SELECT c.coin, c.credited, COALESCE(SUM(r.hi - r.lo), 0) FROM coins c LEFT JOIN credits r ON r.coin = c.id "
     "GROUP BY c.id, c.coin, c.credited HAVING c.credited <> COALESCE(SUM(r.hi - r.lo), 0)",
     "coin ? shows ? units credited and its ranges add up to ?"},
    {"SELECT c.coin, c.credited + c.refunded, c.n FROM coins c WHERE c.credited + c.refunded > c.n",
     "coin ?: ? units credited and refunded of ?"},
    {"SELECT c.coin, q.lo, q.prior FROM (SELECT coin, lo, LAG(hi) OVER (PARTITION BY coin ORDER BY lo) AS prior "
     "FROM credits) q JOIN coins c ON c.id = q.coin WHERE q.prior > q.lo",
     "coin ?: the range credited from ? overlaps the one up to ?"},
    {"SELECT c.coin || ' epoch ' || r.epoch, r.lo, r.hi FROM credits r JOIN coins c ON c.id = r.coin "
     "JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch "
     "WHERE r.lo < e.start OR r.hi > CASE WHEN e.released >= 0 THEN e.released ELSE c.n END",
     "coin ?: the range ? to ? lies outside of its epoch"},
    {"SELECT c.coin || ' epoch ' || e.epoch, e.credited, COALESCE(SUM(r.hi - r.lo), 0) FROM epochs e "
     "JOIN coins c ON c.id = e.coin LEFT JOIN credits r ON r.coin = e.coin AND r.epoch = e.epoch "
     "GROUP BY e.coin, c.coin, e.epoch, e.credited HAVING e.credited <> COALESCE(SUM(r.hi - r.lo), 0)",
     "coin ? shows ? units credited and its ranges add up to ?"},
    {"SELECT c.coin, c.refunded, c.n - COALESCE(MAX(e.released), 0) FROM coins c LEFT JOIN epochs e ON e.coin = c.id "
     "WHERE c.state = 'returned' GROUP BY c.id, c.coin, c.refunded, c.n "
     "HAVING c.refunded <> c.n - COALESCE(MAX(e.released), 0)",
     "coin ?: ? units refunded and ? were unspent"},
    {"SELECT coin, refunded, 0 FROM coins WHERE refunded > 0 AND state <> 'returned'",
     "coin ?: ? units refunded without a return (should be ?)"},
    {"SELECT c.coin || ' epoch ' || e.epoch, e.start, p.released FROM epochs e JOIN coins c ON c.id = e.coin "
     "JOIN epochs p ON p.coin = e.coin AND p.epoch = e.epoch - 1 WHERE e.start <> p.released",
     "coin ? starts at ? and the one before it was released at ?"},
};

// broker/topup/checkouts.h
const Rule checkout_rules[] = {
    {"SELECT c.id, c.refunded, q.told FROM checkouts c JOIN (SELECT k.id, "
     "COALESCE((SELECT MAX(r.total + COALESCE((SELECT SUM(f.amount) FROM checkout_failures f "
     "WHERE f.checkout = r.checkout AND f.at < r.at), 0)) FROM checkout_refunds r WHERE r.checkout = k.id), 0) - "
     "COALESCE((SELECT SUM(f.amount) FROM checkout_failures f WHERE f.checkout = k.id), 0) AS told FROM checkouts k) q "
     "ON q.id = c.id WHERE c.refunded <> q.told",
     "checkout ? shows ? given back and the provider's events make it ?"},
};

void expect(const std::string& what, Int found, Int expected, std::vector<std::string>& faults) {
    if (found != expected)
        faults.push_back(what + ": " + text(found) + " by the records, " + text(expected) + " in the ledger");
}

Int booked(Sql& sql, const char* kind, const std::string& cur) {
    return number(sql, "SELECT COALESCE(SUM(total), 0) FROM movements WHERE kind = :k AND cur = :c", kind, cur);
}

Int ledger_balance(Sql& sql, std::string_view name, const std::string& cur) {
    return number(sql, "SELECT balance FROM ledger_accounts WHERE name = :n AND cur = :c", name, cur);
}

LedgerTotals totals_of(Sql& sql, const std::string& cur) {
    LedgerTotals t;
    const auto u = [](Int v) { return static_cast<std::uint64_t>(v); };
    t.issued = u(number(sql, "SELECT COALESCE(SUM(unit * n), 0) FROM coins WHERE cur = :c", cur));
    t.spent = u(number(sql,
                       "SELECT COALESCE(SUM(c.unit * (r.hi - r.lo)), 0) FROM credits r "
                       "JOIN coins c ON c.id = r.coin WHERE c.cur = :c",
                       cur));
    t.refunded = u(number(sql, "SELECT COALESCE(SUM(unit * refunded), 0) FROM coins WHERE cur = :c", cur));
    t.unspent = u(ledger_balance(sql, coins_outstanding, cur));
    const char* sides =
        "SELECT COALESCE(SUM(e.debit), 0), COALESCE(SUM(e.credit), 0) FROM entries e "
        "JOIN ledger_accounts a ON a.id = e.account WHERE a.cur = :c";
    const auto row = one<Int, Int>(sql, sides, cur).value();
    t.debits = u(std::get<0>(row));
    t.credits = u(std::get<1>(row));
    return t;
}

void check_currency(Sql& sql, const std::string& cur, const LedgerTotals& t, std::vector<std::string>& faults) {
    const auto s = [](std::uint64_t v) { return static_cast<Int>(v); };
    if (t.debits != t.credits)
        faults.push_back(cur + ": debits " + text(s(t.debits)) + " and credits " + text(s(t.credits)) + " differ");
    if (t.issued != t.spent + t.unspent + t.refunded)
        faults.push_back(cur + ": issued " + text(s(t.issued)) + " is not spent " + text(s(t.spent)) + " + unspent " +
                         text(s(t.unspent)) + " + refunded " + text(s(t.refunded)));
    expect(cur + ": coins sold", s(t.issued), booked(sql, "coin", cur), faults);
    expect(cur + ": units credited", s(t.spent), booked(sql, "redemption", cur) + booked(sql, "late-credit", cur) - booked(sql, "reversal", cur), faults);
    expect(cur + ": credits taken back",
           number(sql,
                  "SELECT COALESCE(SUM(c.unit * (r.hi - r.lo)), 0) FROM reversals r JOIN coins c ON c.id = r.coin "
                  "WHERE c.cur = :c",
                  cur),
           booked(sql, "reversal", cur), faults);
    expect(cur + ": compensations paid",
           number(sql, "SELECT COALESCE(SUM(paid), 0) FROM compensations WHERE cur = :c", cur),
           booked(sql, "compensation", cur), faults);
    expect(cur + ": units refunded", s(t.refunded), booked(sql, "refund", cur), faults);
    expect(cur + ": vouchers sold",
           number(sql, "SELECT COALESCE(SUM(amount), 0) FROM vouchers WHERE cur = :c", cur),
           booked(sql, "vouchers", cur), faults);
    expect(cur + ": vouchers used",
           number(sql, "SELECT COALESCE(SUM(amount), 0) FROM vouchers WHERE used > 0 AND cur = :c", cur),
           booked(sql, "topup", cur), faults);
    expect(cur + ": card payments",
           number(sql, "SELECT COALESCE(SUM(amount), 0) FROM checkouts WHERE state IN ('paid', 'refunded') AND cur = :c", cur),
           booked(sql, "card", cur), faults);
    expect(cur + ": card payments given back",
           number(sql, "SELECT COALESCE(SUM(refunded), 0) FROM checkouts WHERE cur = :c", cur),
           booked(sql, "card-refund", cur) - booked(sql, "card-refund-failed", cur), faults);
}

// What is owed to all of them: a debt of theirs counts against it.
Int balances_like(Sql& sql, const char* names, const std::string& cur) {
    return number(sql,
                  "SELECT COALESCE(SUM(CASE WHEN side = 'credit' THEN balance ELSE -balance END), 0) FROM ledger_accounts "
                  "WHERE name LIKE :n AND cur = :c",
                  names, cur);
}

// Every kind of account as a whole: money in an account that no record speaks
// of shows here, even where the movement that brought it there balances.
void check_kinds(Sql& sql, const std::string& cur, std::vector<std::string>& faults) {
    const Int paid_out = booked(sql, "payout", cur);
    expect(cur + ": cash",
           number(sql,
                  "SELECT COALESCE(SUM(q.amount), 0) FROM (SELECT cur, amount FROM vouchers "
                  "UNION ALL SELECT cur, amount - refunded + lost FROM checkouts WHERE state IN ('paid', 'refunded')) q "
                  "WHERE q.cur = :c",
                  cur) - paid_out,
           ledger_balance(sql, cash, cur), faults);
    const Int lost = number(sql, "SELECT COALESCE(SUM(lost), 0) FROM checkouts WHERE cur = :c", cur);
    expect(cur + ": lost by cards", lost, ledger_balance(sql, card_losses, cur), faults);
    expect(cur + ": the broker's own money", lost, ledger_balance(sql, own_money, cur), faults);
    expect(cur + ": vouchers unused",
           number(sql, "SELECT COALESCE(SUM(amount), 0) FROM vouchers WHERE used = 0 AND cur = :c", cur),
           ledger_balance(sql, vouchers_outstanding, cur), faults);
    expect(cur + ": all customers",
           number(sql,
                  "SELECT COALESCE(SUM(q.amount), 0) FROM (SELECT cur, amount FROM vouchers WHERE used > 0 "
                  "UNION ALL SELECT cur, amount - refunded + lost FROM checkouts WHERE state IN ('paid', 'refunded') "
                  "UNION ALL SELECT cur, unit * (refunded - n) FROM coins) q WHERE q.cur = :c",
                  cur),
           balances_like(sql, "customer:%", cur), faults);
    expect(cur + ": all vendors",
           number(sql,
                  "SELECT COALESCE(SUM(e.credited * c.unit), 0) FROM epochs e JOIN coins c ON c.id = e.coin "
                  "WHERE c.cur = :c",
                  cur) - paid_out,
           balances_like(sql, "vendor:%", cur), faults);
}

// What each vendor was credited, by whether its epochs have ended; and what it
// was compensated for, paid for others' sake, and was paid out.
void check_vendors(Sql& sql, std::vector<std::string>& faults) {
    const char* due =
        "SELECT v.origin, q.cur, SUM(q.pending), SUM(q.payable) FROM ("
        "SELECT e.vendor, c.cur, CASE WHEN e.settled = 0 THEN e.credited * c.unit ELSE 0 END AS pending, "
        "CASE WHEN e.settled = 1 THEN e.credited * c.unit ELSE 0 END AS payable FROM epochs e JOIN coins c ON c.id = e.coin "
        "UNION ALL SELECT vendor, cur, 0, paid FROM compensations "
        "UNION ALL SELECT culprit, cur, 0, -paid FROM compensations "
        "UNION ALL SELECT w.id, m.cur, 0, -m.total FROM movements m JOIN vendors w ON w.origin = m.reference "
        "WHERE m.kind = 'payout') q JOIN vendors v ON v.id = q.vendor GROUP BY v.origin, q.cur";
    for (const auto& [origin, cur, pending, payable] : all<std::string, std::string, Int, Int>(sql, due)) {
        expect(origin + " " + cur + ": credits pending", pending, ledger_balance(sql, vendor_pending(origin), cur), faults);
        expect(origin + " " + cur + ": credits payable less debts", payable,
               ledger_balance(sql, vendor_payable(origin), cur) - ledger_balance(sql, vendor_owes(origin), cur), faults);
    }
}

// What each customer topped up and got back, less what was bought.
void check_customers(Sql& sql, std::vector<std::string>& faults) {
    const char* rule =
        "SELECT a.name, q.cur, SUM(q.amount) FROM ("
        "SELECT account, cur, amount FROM vouchers WHERE used > 0 "
        "UNION ALL SELECT account, cur, amount - refunded + lost FROM checkouts WHERE state IN ('paid', 'refunded') "
        "UNION ALL SELECT account, cur, unit * (refunded - n) FROM coins) q "
        "JOIN accounts a ON a.id = q.account GROUP BY a.name, q.cur";
    for (const auto& [name, cur, amount] : all<std::string, std::string, Int>(sql, rule))
        expect("account " + name + " " + cur, amount, ledger_balance(sql, customer(name), cur), faults);
}

}  // namespace

LedgerReport check(Sql& sql) {
    LedgerReport report;
    report.movements = static_cast<std::uint64_t>(number(sql, "SELECT COUNT(*) FROM movements"));
    report.entries = static_cast<std::uint64_t>(number(sql, "SELECT COUNT(*) FROM entries"));
    for (const auto& rule : book_rules) apply(sql, rule, report.faults);
    for (const auto& rule : coin_rules) apply(sql, rule, report.faults);
    for (const auto& rule : checkout_rules) apply(sql, rule, report.faults);
    const char* currencies =
        "SELECT cur FROM ledger_accounts UNION SELECT cur FROM coins UNION SELECT cur FROM vouchers "
        "UNION SELECT cur FROM checkouts WHERE state IN ('paid', 'refunded') ORDER BY 1";
    for (const auto& [cur] : all<std::string>(sql, currencies)) {
        const auto currency = Currency::parse(cur);
        if (!currency) {
            report.faults.push_back("a currency named " + cur);
            continue;
        }
        const auto totals = totals_of(sql, cur);
        check_currency(sql, cur, totals, report.faults);
        check_kinds(sql, cur, report.faults);
        report.totals.emplace(*currency, totals);
    }
    check_vendors(sql, report.faults);
    check_customers(sql, report.faults);
    return report;
}

}  // namespace netpay::broker::ledger
