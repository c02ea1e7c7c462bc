// The books: every movement balanced, sealed and between the accounts its kind
// stands for; every account what its entries and the records add up to; money
// in is money held, paid and refunded.
#include <algorithm>
#include <vector>

#include "audit/desk.h"

namespace netpay::audit {
namespace {

std::uint64_t unsigned_of(std::int64_t n) { return n < 0 ? 0 : static_cast<std::uint64_t>(n); }

bool begins(std::string_view s, std::string_view with) { return s.substr(0, with.size()) == with; }
bool ends(std::string_view s, std::string_view with) { return s.size() >= with.size() && s.substr(s.size() - with.size()) == with; }

// What lies between "vendor:" and the last colon; empty if it is no vendor's account.
std::string_view vendor_of(std::string_view account) {
    if (!begins(account, "vendor:")) return {};
    account.remove_prefix(7);
    const auto colon = account.rfind(':');
    return colon == std::string_view::npos ? std::string_view() : account.substr(0, colon);
}
bool pays_out(std::string_view account) { return ends(account, ":payable") || ends(account, ":owes"); }

// ---------------------------------------------------------------- movements

struct Entry {
    std::string account, cur;
    std::int64_t debit = 0, credit = 0;
};

struct Movement {
    std::int64_t id = 0, total = 0, parts = 0;
    bool sealed = false;
    std::string kind, reference, cur;
    std::vector<Entry> entries;
    std::string name() const { return text(id) + " (" + kind + " " + reference + ")"; }
};

class Movements {
public:
    explicit Movements(Desk& desk)
        : desk_(desk),
          rows_(desk.db.prepare("SELECT m.id, m.kind, m.reference, m.cur, m.total, m.parts, m.sealed, COALESCE(e.id, 0), e.debit, "
                                "e.credit, COALESCE(a.name, ''), COALESCE(a.cur, '') FROM movements m LEFT JOIN entries e "
                                "ON e.movement = m.id LEFT JOIN ledger_accounts a ON a.id = e.account ORDER BY m.id")),
          coin_(desk.db.prepare("SELECT a.name, c.cur, c.unit * c.n, c.unit * c.refunded FROM coins c JOIN accounts a "
                                "ON a.id = c.account WHERE c.coin = ?")),
          voucher_(desk.db.prepare("SELECT COALESCE(a.name, ''), v.cur, v.amount FROM vouchers v LEFT JOIN accounts a "
                                   "ON a.id = v.account WHERE v.id = ? AND v.used > 0")),
          checkout_(desk.db.prepare("SELECT a.name, c.cur, c.amount FROM checkouts c JOIN accounts a ON a.id = c.account "
                                    "WHERE c.id = ? AND c.state IN ('paid', 'refunded')")) {}

    void all() {
        auto& counts = desk_.summary.counts;
        const auto count = unsigned_of(desk_.db.number("SELECT COUNT(*) FROM movements"));
        Movement m;
        while (rows_.step()) {
            if (m.id != rows_.number(0)) {
                if (m.id != 0) one(m);
                m = {rows_.number(0), rows_.number(4), rows_.number(5), rows_.number(6) == 1,
                     rows_.text(1),   rows_.text(2),   rows_.text(3),   {}};
                desk_.listener.progress("ledger", ++counts.movements, count, counts);
            }
            if (rows_.number(7) == 0) continue;
            ++counts.entries;
            m.entries.push_back({rows_.text(10), rows_.text(11), rows_.number(8), rows_.number(9)});
        }
        if (m.id != 0) one(m);
    }

private:
    void fault(const Movement& m, std::string code, std::string sentence, std::uint64_t amount = 0) {
        const bool of_coin = m.kind == "coin" || m.kind == "refund" || m.kind == "reversal" || m.kind == "compensation";
        const auto coin = of_coin ? m.reference.substr(0, m.reference.find(' ')) : std::string();
        desk_.fault({std::move(code), coin, "movement " + text(m.id), amount, amount ? m.cur : std::string(), std::move(sentence)});
    }

    void one(const Movement& m) {
        std::int64_t debits = 0, credits = 0;
        for (const auto& e : m.entries) {
            debits += e.debit;
            credits += e.credit;
            if (e.cur != m.cur) fault(m, "movement-currency", "Movement " + m.name() + " is in " + m.cur + " and enters " + e.account + " " + e.cur + ".");
        }
        if (debits != credits)
            fault(m, "movement-unbalanced", "Movement " + m.name() + " does not balance: debits " + text(debits) + ", credits " + text(credits) + ".",
                  distance(debits, credits));
        if (debits != m.total && credits != m.total)
            fault(m, "movement-total", "Movement " + m.name() + " was booked over " + text(m.total) + " and has debits of " + text(debits) + ".",
                  distance(debits, m.total));
        if (static_cast<std::int64_t>(m.entries.size()) != m.parts)
            fault(m, "movement-parts", "Movement " + m.name() + " has " + text(static_cast<std::int64_t>(m.entries.size())) +
                                           " entries and should have " + text(m.parts) + ".");
        if (!m.sealed) fault(m, "movement-unsealed", "Movement " + m.name() + " is not sealed.");
        owner(m);
        for (const auto& e : m.entries)
            if (!fits(m, e))
                fault(m, "movement-account", "Movement " + m.name() + " " + (e.debit ? "debits " : "credits ") + e.account +
                                                 ", which such a movement does not.",
                      unsigned_of(e.debit + e.credit));
    }

    // Who bought the coin, or used the voucher, that the movement is about, and what it was worth.
    void owner(const Movement& m) {
        owner_.clear();
        if (m.kind == "coin" || m.kind == "refund") {
            if (!coin_.with(m.reference).step())
                return fault(m, "coin-missing", "Coin " + m.reference + " was booked and there is no such coin.", unsigned_of(m.total));
            owner_ = "customer:" + coin_.text(0);
            const auto worth = coin_.number(m.kind == "coin" ? 2 : 3);
            if (worth != m.total || coin_.view(1) != m.cur)
                fault(m, m.kind == "coin" ? "coin-amount" : "refund-amount",
                      "Coin " + m.reference + (m.kind == "coin" ? " was sold for " : " was refunded ") + text(m.total) + " " + m.cur +
                          " by the ledger and " + text(worth) + " " + coin_.text(1) + " by its row.",
                      distance(worth, m.total));
        } else if (m.kind == "topup") {
            const auto id = begins(m.reference, "voucher ") ? std::atoll(m.reference.c_str() + 8) : 0;
            if (!voucher_.with(static_cast<std::int64_t>(id)).step())
                return fault(m, "voucher-missing", "A top-up was booked by " + m.reference + ", which is not there or not used.", unsigned_of(m.total));
            owner_ = "customer:" + voucher_.text(0);
            if (voucher_.number(2) != m.total || voucher_.view(1) != m.cur)
                fault(m, "voucher-amount", "A top-up was booked over " + text(m.total) + " by " + m.reference + ", which is of " +
                                               text(voucher_.number(2)) + " " + voucher_.text(1) + ".",
                      distance(voucher_.number(2), m.total));
        } else if (m.kind == "card" || m.kind == "card-refund" || m.kind == "card-refund-failed") {
            const auto id = begins(m.reference, "checkout ") ? std::atoll(m.reference.c_str() + 9) : 0;
            if (!checkout_.with(static_cast<std::int64_t>(id)).step())
                return fault(m, "checkout-missing", "A card payment was booked by " + m.reference + ", which is not there or not paid.",
                             unsigned_of(m.total));
            owner_ = "customer:" + checkout_.text(0);
            const auto most = checkout_.number(2);
            if (checkout_.view(1) != m.cur || (m.kind == "card" ? m.total != most : m.total > most))
                fault(m, "checkout-amount", "A card payment was " + std::string(m.kind == "card" ? "booked over " : "given back, or came back, over ") +
                                                text(m.total) + " " + m.cur + " by " + m.reference + ", which says " + text(most) + " " +
                                                checkout_.text(1) + ".",
                      distance(most, m.total));
        }
    }

    bool fits(const Movement& m, const Entry& e) const {
        const auto& a = e.account;
        const bool debit = e.debit != 0;
        const auto whose = vendor_of(a);
        const bool of_reference = whose == m.reference.substr(0, m.reference.find(' ')) && !whose.empty();
        if (m.kind == "vouchers") return a == (debit ? "cash" : "vouchers:outstanding");
        if (m.kind == "topup") return debit ? a == "vouchers:outstanding" : a == owner_;
        if (m.kind == "card") return debit ? a == "cash" : a == owner_;
        if (m.kind == "card-refund") return debit ? a == owner_ || a == "card:losses" : a == "cash" || a == "operator";
        if (m.kind == "card-refund-failed") return debit ? a == "cash" || a == "operator" : a == owner_ || a == "card:losses";
        if (m.kind == "coin") return debit ? a == owner_ : a == "coins:outstanding";
        if (m.kind == "refund") return debit ? a == "coins:outstanding" : a == owner_;
        if (m.kind == "redemption" || m.kind == "late-credit") return debit ? a == "coins:outstanding" : of_reference;
        if (m.kind == "settlement") return of_reference && (debit ? ends(a, ":pending") : pays_out(a));
        if (m.kind == "payout") return debit ? of_reference && ends(a, ":payable") : a == "cash";
        if (m.kind == "reversal") return debit ? !whose.empty() : a == "coins:outstanding";
        if (m.kind == "compensation") return !whose.empty() && pays_out(a);
        return false;
    }

    Desk& desk_;
    Statement rows_, coin_, voucher_, checkout_;
    std::string owner_;
};

// ---------------------------------------------------------------- records against movements

// Each row is a fault: coin, subject, found, expected, currency.
struct Rule {
    const char* code;
    const char* sql;
    const char* sentence;  // @ the coin or subject, # found, $ expected
};

const Rule rules[] = {
    {"movement-missing",
     "SELECT '', 'entry ' || e.id, e.debit + e.credit, 0, '' FROM entries e WHERE NOT EXISTS "
     "(SELECT 1 FROM movements m WHERE m.id = e.movement)",
     "The movement that @, over #, belongs to is not there."},
    {"account-missing",
     "SELECT '', 'entry ' || e.id, e.debit + e.credit, 0, '' FROM entries e WHERE NOT EXISTS "
     "(SELECT 1 FROM ledger_accounts a WHERE a.id = e.account)",
     "The account that @, over #, belongs to is not there."},
    {"coin-unpaid",
     "SELECT c.coin, '', COALESCE(b.times, 0), 1, c.cur FROM coins c LEFT JOIN by_kind b "
     "ON b.kind = 'coin' AND b.reference = c.coin WHERE COALESCE(b.times, 0) <> 1",
     "Coin @ was paid for # times by the ledger."},
    {"refund-missing",
     "SELECT c.coin, '', COALESCE(b.times, 0), 1, c.cur FROM coins c LEFT JOIN by_kind b "
     "ON b.kind = 'refund' AND b.reference = c.coin WHERE c.refunded > 0 AND COALESCE(b.times, 0) <> 1",
     "Coin @ was refunded # times by the ledger."},
    {"voucher-movement",
     "SELECT '', 'voucher ' || v.id, COALESCE(b.times, 0), 1, v.cur FROM vouchers v LEFT JOIN by_kind b "
     "ON b.kind = 'topup' AND b.reference = 'voucher ' || v.id WHERE v.used > 0 AND COALESCE(b.times, 0) <> 1",
     "@ is used, and was booked # times."},
    {"checkout-movement",
     "SELECT '', 'checkout ' || c.id, COALESCE(b.total, 0), c.amount, c.cur FROM checkouts c LEFT JOIN by_kind b "
     "ON b.kind = 'card' AND b.reference = 'checkout ' || c.id WHERE c.state IN ('paid', 'refunded') AND COALESCE(b.total, 0) <> c.amount",
     "@ was paid over $ by its row and # by the ledger."},
    {"checkout-movement",
     "SELECT '', 'checkout ' || c.id, COALESCE(b.total, 0) - COALESCE(f.total, 0), c.refunded, c.cur FROM checkouts c LEFT JOIN by_kind b "
     "ON b.kind = 'card-refund' AND b.reference = 'checkout ' || c.id LEFT JOIN by_kind f ON f.kind = 'card-refund-failed' "
     "AND f.reference = 'checkout ' || c.id WHERE COALESCE(b.total, 0) - COALESCE(f.total, 0) <> c.refunded",
     "@ was given back over $ by its row and # by the ledger."},
    {"checkout-events",
     "SELECT '', 'checkout ' || q.id, q.told, q.refunded, q.cur FROM (SELECT c.id, c.refunded, c.cur, "
     "COALESCE((SELECT MAX(r.total + COALESCE((SELECT SUM(f.amount) FROM checkout_failures f WHERE f.checkout = r.checkout "
     "AND f.at < r.at), 0)) FROM checkout_refunds r WHERE r.checkout = c.id), 0) - COALESCE((SELECT SUM(f.amount) "
     "FROM checkout_failures f WHERE f.checkout = c.id), 0) AS told FROM checkouts c) q WHERE q.told <> q.refunded",
     "@ was given back over $ by its row and # by what the card provider told."},
    {"reversal-movement",
     "SELECT c.coin, '', COALESCE(b.total, 0), q.worth, c.cur FROM (SELECT r.coin, SUM((r.hi - r.lo) * k.unit) AS worth "
     "FROM reversals r JOIN coins k ON k.id = r.coin GROUP BY r.coin) q JOIN coins c ON c.id = q.coin LEFT JOIN by_kind b "
     "ON b.kind = 'reversal' AND b.reference = c.coin WHERE COALESCE(b.total, 0) <> q.worth",
     "Credits of coin @ were taken back over $ by the records and # by the ledger."},
    {"reversal-movement",
     "SELECT b.reference, '', b.total, 0, '' FROM by_kind b WHERE b.kind = 'reversal' AND NOT EXISTS "
     "(SELECT 1 FROM coins c JOIN reversals r ON r.coin = c.id WHERE c.coin = b.reference)",
     "Credits of coin @ were taken back over # by the ledger, and no record says so."},
    {"compensation-movement",
     "SELECT c.coin, '', COALESCE(b.total, 0), m.paid, m.cur FROM compensations m JOIN coins c ON c.id = m.coin LEFT JOIN by_kind b "
     "ON b.kind = 'compensation' AND b.reference = c.coin || ' ' || m.id WHERE COALESCE(b.total, 0) <> m.paid",
     "A compensation over coin @ was paid over $ by the records and # by the ledger."},
    {"compensation-movement",
     "SELECT substr(b.reference, 1, instr(b.reference, ' ') - 1), '', b.total, 0, '' FROM by_kind b WHERE b.kind = 'compensation' "
     "AND NOT EXISTS (SELECT 1 FROM compensations m JOIN coins c ON c.id = m.coin WHERE c.coin || ' ' || m.id = b.reference)",
     "A compensation over coin @ was paid over # by the ledger, and no record says so."},
    {"late-credit-movement",
     "SELECT '', q.reference, SUM(q.booked), SUM(q.worth), q.cur FROM (SELECT reference, cur, total AS booked, 0 AS worth FROM movements "
     "WHERE kind = 'late-credit' UNION ALL SELECT v.origin || ' ' || d.batch, c.cur, 0, (d.hi - d.lo) * c.unit FROM disputes d "
     "JOIN vendors v ON v.id = d.vendor JOIN coins c ON c.id = d.coin WHERE d.credited = 1) q GROUP BY q.reference, q.cur "
     "HAVING SUM(q.booked) <> SUM(q.worth)",
     "Rejected claims of batch @ were credited later over $ by the records and # by the ledger."},
    {"vouchers-sold",
     "SELECT '', q.cur || ' vouchers', q.booked, q.minted, q.cur FROM (SELECT cur, SUM(booked) AS booked, SUM(minted) AS minted FROM "
     "(SELECT cur, total AS booked, 0 AS minted FROM movements WHERE kind = 'vouchers' UNION ALL "
     "SELECT cur, 0, amount FROM vouchers) GROUP BY cur) q WHERE q.booked <> q.minted",
     "The @ that are there are worth $, and # were sold by the ledger."},
};

std::string fill(std::string_view sentence, const std::string& what, std::int64_t found, std::int64_t expected) {
    std::string out;
    for (const char c : sentence) {
        if (c == '@') out += what;
        else if (c == '#') out += text(found);
        else if (c == '$') out += text(expected);
        else out += c;
    }
    return out;
}

void apply(Desk& desk, const Rule& rule) {
    auto st = desk.db.prepare(rule.sql);
    while (st.step()) {
        const auto coin = st.text(0), subject = st.text(1);
        const auto found = st.number(2), expected = st.number(3);
        const auto amount = st.view(4).empty() || expected == 1 ? 0 : distance(found, expected);
        desk.fault({rule.code, coin, subject, amount, amount ? st.text(4) : std::string(),
                    fill(rule.sentence, coin.empty() ? subject : coin, found, expected)});
    }
}

// ---------------------------------------------------------------- accounts

// Temporary tables of SQLite's, which lie outside of the store.
void make_tables(Database& db) {
    for (const char* sql : {
             "CREATE TEMP TABLE by_kind (kind TEXT, reference TEXT, times BIGINT, total BIGINT, PRIMARY KEY (kind, reference)) WITHOUT ROWID",
             "INSERT INTO by_kind SELECT kind, reference, COUNT(*), SUM(total) FROM main.movements "
             "WHERE kind IN ('coin', 'refund', 'topup', 'card', 'card-refund', 'card-refund-failed', 'reversal', 'compensation') GROUP BY kind, reference",
             // What the records say an account should hold.
             "CREATE TEMP TABLE expected (name TEXT, cur TEXT, amount BIGINT, PRIMARY KEY (name, cur)) WITHOUT ROWID",
             // Of card payments: what has not gone back to the card out of the balance.
             "INSERT INTO expected SELECT 'cash', cur, SUM(amount) FROM (SELECT cur, amount FROM vouchers UNION ALL "
             "SELECT cur, amount - refunded + lost FROM checkouts WHERE state IN ('paid', 'refunded') UNION ALL "
             "SELECT cur, -total FROM movements WHERE kind = 'payout') GROUP BY cur",
             "INSERT INTO expected SELECT 'vouchers:outstanding', cur, SUM(amount) FROM vouchers WHERE used = 0 GROUP BY cur",
             "INSERT INTO expected SELECT 'customer:' || a.name, q.cur, SUM(q.amount) FROM (SELECT account, cur, amount FROM vouchers "
             "WHERE used > 0 UNION ALL SELECT account, cur, amount - refunded + lost FROM checkouts WHERE state IN ('paid', 'refunded') "
             "UNION ALL SELECT account, cur, unit * (refunded - n) FROM coins) q JOIN accounts a ON a.id = q.account "
             "GROUP BY a.name, q.cur",
             "INSERT INTO expected SELECT n.name, c.cur, SUM(c.lost) FROM checkouts c, (SELECT 'card:losses' AS name UNION ALL "
             "SELECT 'operator') n GROUP BY n.name, c.cur",
             "INSERT INTO expected SELECT 'coins:outstanding', c.cur, SUM(c.unit * (c.n - c.refunded - COALESCE((SELECT SUM(r.hi - r.lo) "
             "FROM credits r WHERE r.coin = c.id), 0))) FROM coins c GROUP BY c.cur",
             "INSERT INTO expected SELECT 'vendor:' || v.origin || ':pending', c.cur, SUM((r.hi - r.lo) * c.unit) FROM credits r "
             "JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch JOIN vendors v ON v.id = e.vendor JOIN coins c ON c.id = r.coin "
             "WHERE e.settled = 0 GROUP BY v.origin, c.cur",
             // payable less owes, under a name that no account has.
             "INSERT INTO expected SELECT q.name, q.cur, SUM(q.amount) FROM ("
             "SELECT 'vendor:' || v.origin AS name, c.cur AS cur, (r.hi - r.lo) * c.unit AS amount FROM credits r "
             "JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch JOIN vendors v ON v.id = e.vendor JOIN coins c ON c.id = r.coin "
             "WHERE e.settled = 1 UNION ALL "
             "SELECT 'vendor:' || v.origin, m.cur, m.paid FROM compensations m JOIN vendors v ON v.id = m.vendor UNION ALL "
             "SELECT 'vendor:' || v.origin, m.cur, -m.paid FROM compensations m JOIN vendors v ON v.id = m.culprit UNION ALL "
             "SELECT 'vendor:' || reference, cur, -total FROM movements WHERE kind = 'payout') q GROUP BY q.name, q.cur"}) {
        auto st = db.prepare(sql);
        st.step();
    }
}

class Accounts {
public:
    explicit Accounts(Desk& desk) : desk_(desk), expected_(desk.db.prepare("SELECT amount FROM expected WHERE name = ? AND cur = ?")) {}

    void all() {
        auto st = desk_.db.prepare(
            "SELECT a.name, a.cur, a.side, a.balance, COALESCE(SUM(e.debit), 0), COALESCE(SUM(e.credit), 0) FROM ledger_accounts a "
            "LEFT JOIN entries e ON e.account = a.id GROUP BY a.id ORDER BY a.id");
        while (st.step()) one({st.text(0), st.text(1), st.view(2) == "debit", st.number(3), st.number(4), st.number(5)});
        vendors();
        absent();
    }

private:
    struct Account {
        std::string name, cur;
        bool debit_side;
        std::int64_t balance, debits, credits;
        std::int64_t sum() const { return debit_side ? debits - credits : credits - debits; }
    };

    std::int64_t expected(const std::string& name, const std::string& cur) {
        return expected_.with(name, cur).step() ? expected_.number(0) : 0;
    }

    void one(const Account& a) {
        const auto title = a.name + " " + a.cur;
        const auto whose = std::string(vendor_of(a.name));
        if (a.debit_side != (a.name == "cash" || a.name == "card:losses" || (!whose.empty() && ends(a.name, ":owes"))))
            desk_.fault("account-side", title, "Account " + title + " is kept on the wrong side.");
        if (a.balance != a.sum())
            desk_.fault("account-balance", title, "Account " + title + " shows " + text(a.balance) + " and its entries add up to " + text(a.sum()) + ".",
                        distance(a.balance, a.sum()), a.cur);
        if (!count(a, whose))
            return desk_.fault("account-unknown", title, "Account " + title + " holds " + text(a.sum()) + " and stands for nothing known.",
                               distance(a.sum(), 0), a.cur);
        if (!whose.empty() && pays_out(a.name)) {
            net_[{whose, a.cur}] += a.debit_side ? -a.sum() : a.sum();
            return;
        }
        if (const auto should = expected(a.name, a.cur); a.sum() != should)
            desk_.fault("account-records", title, "Account " + title + " holds " + text(a.sum()) + " by its entries and " + text(should) +
                                                      " by the records.",
                        distance(a.sum(), should), a.cur);
    }

    // Adds it to the money of its currency; false: an account of no kind.
    bool count(const Account& a, const std::string& whose) {
        const auto cur = Currency::parse(a.cur);
        if (!cur) return false;
        auto& m = desk_.summary.money[*cur];
        if (a.name == "cash" || a.name == "card:losses" || a.name == "operator") return true;
        if (a.name == "vouchers:outstanding") return m.vouchers += a.sum(), true;
        if (a.name == "coins:outstanding") return m.coins += a.sum(), true;
        if (begins(a.name, "customer:")) return m.customers += a.sum(), true;
        if (whose.empty() || (!ends(a.name, ":pending") && !pays_out(a.name))) return false;
        (ends(a.name, ":owes") ? m.owed : m.vendors) += a.sum();
        return true;
    }

    // payable and owes are two sides of one thing.
    void vendors() {
        for (const auto& [whose, net] : net_) {
            const auto& [origin, cur] = whose;
            if (const auto should = expected("vendor:" + origin, cur); net != should)
                desk_.fault("account-records", "vendor:" + origin + ":payable " + cur,
                            "What is payable to " + origin + " less what it owes is " + text(net) + " by the entries and " + text(should) +
                                " by the records.",
                            distance(net, should), cur);
        }
    }

    // Records that no account stands for.
    void absent() {
        auto st = desk_.db.prepare("SELECT x.name, x.cur, x.amount FROM expected x WHERE x.amount <> 0 AND NOT EXISTS (SELECT 1 FROM "
                                   "ledger_accounts a WHERE a.cur = x.cur AND (a.name = x.name OR a.name = x.name || ':payable' "
                                   "OR a.name = x.name || ':owes'))");
        while (st.step())
            desk_.fault("account-missing", st.text(0) + " " + st.text(1), "There is no account " + st.text(0) + " " + st.text(1) +
                                                                             ", and by the records it holds " + text(st.number(2)) + ".",
                        distance(st.number(2), 0), st.text(1));
    }

    Desk& desk_;
    Statement expected_;
    std::map<std::pair<std::string, std::string>, std::int64_t> net_;
};

// ---------------------------------------------------------------- money

void add(Desk& desk, const char* sql, std::int64_t Money::*member) {
    auto st = desk.db.prepare(sql);
    while (st.step())
        if (const auto cur = Currency::parse(st.view(0))) desk.summary.money[*cur].*member += st.number(1);
}

void money(Desk& desk) {
    add(desk, "SELECT cur, SUM(amount) FROM vouchers GROUP BY cur", &Money::in);
    add(desk, "SELECT cur, SUM(amount - refunded + lost) FROM checkouts WHERE state IN ('paid', 'refunded') GROUP BY cur", &Money::in);
    add(desk, "SELECT cur, SUM(lost) FROM checkouts WHERE lost > 0 GROUP BY cur", &Money::lost);
    add(desk, "SELECT cur, SUM(total) FROM movements WHERE kind = 'payout' GROUP BY cur", &Money::paid);
    add(desk, "SELECT cur, SUM(unit * n) FROM coins GROUP BY cur", &Money::sold);
    add(desk, "SELECT c.cur, SUM(c.unit * (r.hi - r.lo)) FROM credits r JOIN coins c ON c.id = r.coin GROUP BY c.cur", &Money::credited);
    add(desk, "SELECT cur, SUM(unit * refunded) FROM coins GROUP BY cur", &Money::refunded);
    for (const auto& [currency, m] : desk.summary.money) {
        const std::string cur(currency.str());
        const auto held = m.vouchers + m.customers + m.coins + m.vendors - m.owed + m.paid;
        if (m.in != held)
            desk.fault("money", cur, "In " + cur + " " + text(m.in) + " came in, and " + text(held) + " is held and was paid out.",
                       distance(m.in, held), cur);
        const auto known = m.coins + m.credited + m.refunded;
        if (m.sold != known)
            desk.fault("money", cur, "In " + cur + " coins were sold for " + text(m.sold) + ", and " + text(known) +
                                         " is unspent, credited and refunded.",
                       distance(m.sold, known), cur);
    }
}

}  // namespace

void check_ledger(Desk& desk) {
    desk.summary.counts.vouchers = unsigned_of(desk.db.number("SELECT COUNT(*) FROM vouchers"));
    make_tables(desk.db);
    Movements(desk).all();
    for (const auto& rule : rules) apply(desk, rule);
    Accounts(desk).all();
    money(desk);
}

}  // namespace netpay::audit
