// The auditor over a broker's store with a history: clean as it is, and one
// thing changed at a time is named by its code, with the coin.
#include <sys/stat.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>

#include "audit/database.h"
#include "broker/ledger/check.h"
#include "broker/store/schema.h"
#include "mod_netpay/till/cold_store.h"
#include "mod_netpay/till/till.h"
#include "test/unit/audit_support.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

using netpay::test::audited;
using netpay::test::Findings;

// Seven coins. travelled: news → blog → mags, all of them redeemed some of it.
// below: wiki handed it to blog below what it had claimed. twice: zine gave it
// to blog and to mags, and mags was compensated. returned, fresh, expired (its
// lease ended and blog took it on), and idle, with a vendor and never redeemed.
struct History {
    World w;
    Shop news = w.shop("https://news.example"), blog = w.shop("https://blog.example"), mags = w.shop("https://mags.example"),
         wiki = w.shop("https://wiki.example"), zine = w.shop("https://zine.example");
    std::string token = w.rich();
    WalletCoin travelled = w.coin(token), below = w.coin(token), twice = w.coin(token), returned = w.coin(token),
               fresh = w.coin(token), expired = w.coin(token), idle = w.coin(token);
    int batches = 0, copies = 0;

    void claim(const Shop& shop, const WalletCoin& c, std::uint32_t from, std::uint32_t to) {
        assert_ok(w.redeem(shop, "batch" + std::to_string(++batches), World::claim(c, from, to)));
    }
    void move(const Shop& from, const Shop& to, const WalletCoin& c, std::uint64_t epoch, std::uint32_t index) {
        assert_ok(w.transfer(to, c, {w.hand_over(from, to.origin, c, epoch, index)}));
    }

    History() {
        assert_ok(w.acquire(news, travelled, 5));
        claim(news, travelled, 0, 20);
        move(news, blog, travelled, 1, 30);
        claim(news, travelled, 20, 30);
        claim(blog, travelled, 30, 40);
        move(blog, mags, travelled, 2, 45);
        claim(mags, travelled, 45, 50);

        assert_ok(w.acquire(wiki, below, 5));
        claim(wiki, below, 0, 20);
        move(wiki, blog, below, 1, 12);
        claim(blog, below, 12, 15);

        assert_ok(w.acquire(zine, twice, 5));
        claim(zine, twice, 0, 30);
        move(zine, blog, twice, 1, 30);
        CPPUNIT_ASSERT_EQUAL(409, w.transfer(mags, twice, {w.hand_over(zine, mags.origin, twice, 1, 25)}).status);
        assert_ok(w.redeem(mags, "batch" + std::to_string(++batches), World::claim(twice, 25, 35)));

        assert_ok(w.give_back(token, returned.coin));
        assert_ok(w.acquire(news, expired, 5));
        claim(news, expired, 0, 7);
        assert_ok(w.acquire(mags, idle, 3));
        w.pass(86400 + 700);
        assert_ok(w.acquire(blog, expired, 9));
        w.assert_sound();
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM reversals"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, w.count("SELECT COUNT(*) FROM compensations WHERE paid > 0"));
        CPPUNIT_ASSERT_EQUAL(Int{2}, w.count("SELECT COUNT(*) FROM frauds"));
    }

    Findings audit() { return audited(w.store().path(), w.keys(), w.clock.now()); }

    // What somebody with the file can do; to a copy, which is audited.
    Findings tampered(const std::string& statement) {
        const std::string name = copy();
        tamper(name, statement);
        auto found = audited(name, w.keys(), w.clock.now());
        std::filesystem::remove(name);
        return found;
    }
    std::string copy() {
        {
            const auto sql = connect(w.store().path());
            run(*sql, "PRAGMA wal_checkpoint(TRUNCATE)");
        }
        const std::string name = *w.dir() / ("copy" + std::to_string(++copies) + ".db");
        std::filesystem::copy_file(w.store().path(), name);
        return name;
    }
    static void tamper(const std::string& path, const std::string& statement) {
        const auto sql = connect(path);
        run(*sql, "PRAGMA synchronous = OFF");
        run(*sql, "PRAGMA foreign_keys = OFF");
        run(*sql, "PRAGMA ignore_check_constraints = ON");
        for (const char* trigger : {"movements_balance", "movements_sealed", "movements_kept", "entries_added", "entries_changed", "entries_kept"})
            run(*sql, std::string("DROP TRIGGER IF EXISTS ") + trigger);
        CPPUNIT_ASSERT_MESSAGE(statement, run(*sql, statement) > 0);
    }
    std::string one_text(const std::string& sql_text) {
        std::string out;
        const auto done = w.store().read([&](Sql& sql) -> Outcome<Done> {
            out = std::get<0>(one<std::string>(sql, sql_text).value());
            return Done{};
        });
        CPPUNIT_ASSERT(done.ok());
        return out;
    }
};

class AuditTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(AuditTest);
    CPPUNIT_TEST(clean_as_it_is);
    CPPUNIT_TEST(an_empty_store_is_clean);
    CPPUNIT_TEST(counts_the_money);
    CPPUNIT_TEST(names_changed_terms);
    CPPUNIT_TEST(names_swapped_signatures);
    CPPUNIT_TEST(names_changed_indices);
    CPPUNIT_TEST(names_changed_paywords);
    CPPUNIT_TEST(names_changed_claims);
    CPPUNIT_TEST(names_changed_counters);
    CPPUNIT_TEST(names_deleted_rows);
    CPPUNIT_TEST(names_invented_rows);
    CPPUNIT_TEST(names_changed_books);
    CPPUNIT_TEST(the_daemons_own_check_names_it);
    CPPUNIT_TEST(names_the_amount);
    CPPUNIT_TEST(other_keys_verify_nothing);
    CPPUNIT_TEST(writes_nothing);
    CPPUNIT_TEST(sees_one_state_while_the_broker_writes);
    CPPUNIT_TEST(no_verdict_without_a_store);
    CPPUNIT_TEST_SUITE_END();

    struct Case {
        std::string statement, code, about;
    };
    // Each alone, and the fault is found.
    static void each(const std::function<std::vector<Case>(History&)>& cases) {
        History h;
        for (const auto& c : cases(h)) {
            const auto found = h.tampered(c.statement);
            CPPUNIT_ASSERT_MESSAGE("expected " + c.code + " " + c.about + " after " + c.statement + "; found:\n" + found.text(),
                                   found.has(c.code, c.about));
        }
    }
    static std::string of(const WalletCoin& c) { return "coin = (SELECT id FROM coins WHERE coin = '" + c.coin + "')"; }
    static std::string row(const WalletCoin& c) { return "coin = '" + c.coin + "'"; }

public:
    void clean_as_it_is() {
        History h;
        CPPUNIT_ASSERT_EQUAL(std::string(), h.audit().text());
    }
    void an_empty_store_is_clean() {
        World w;
        CPPUNIT_ASSERT_EQUAL(std::string(), audited(w.store().path(), w.keys(), w.clock.now()).text());
    }
    void counts_the_money() {
        History h;
        Findings found;
        const auto s = audit::run({h.w.store().path(), h.w.keys(), {}, h.w.clock.now()}, found);
        CPPUNIT_ASSERT(s.ok());
        CPPUNIT_ASSERT_EQUAL(issuer, s->broker);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, s->counts.coins);
        const auto& m = s->money.at(*Currency::parse("uusd"));
        CPPUNIT_ASSERT_EQUAL(std::int64_t{100000000}, m.in);
        CPPUNIT_ASSERT_EQUAL(std::int64_t{7000000}, m.sold);
        CPPUNIT_ASSERT_EQUAL(std::int64_t{1000000}, m.refunded);
        CPPUNIT_ASSERT_EQUAL(std::int64_t{97000}, m.credited);
        CPPUNIT_ASSERT_EQUAL(m.in, m.vouchers + m.customers + m.coins + m.vendors - m.owed + m.paid);
    }
    void names_changed_terms() {
        each([](History& h) -> std::vector<Case> {
            return {{"UPDATE coins SET unit = 2000 WHERE " + row(h.fresh), "touchstone-terms", h.fresh.coin},
                    {"UPDATE coins SET n = 999 WHERE " + row(h.fresh), "touchstone-terms", h.fresh.coin},
                    {"UPDATE coins SET cur = 'ueur' WHERE " + row(h.fresh), "touchstone-terms", h.fresh.coin},
                    {"UPDATE coins SET exp = exp + 1 WHERE " + row(h.fresh), "touchstone-terms", h.fresh.coin},
                    {"UPDATE coins SET root = salt WHERE " + row(h.fresh), "touchstone-terms", h.fresh.coin},
                    {"UPDATE coins SET coin = 'AAAAAAAAAAAAAAAAAAAAAA' WHERE " + row(h.fresh), "touchstone", "AAAAAAAAAAAAAAAAAAAAAA"}};
        });
    }
    void names_swapped_signatures() {
        each([](History& h) -> std::vector<Case> {
            const auto other = "(SELECT touchstone FROM coins WHERE " + row(h.idle) + ")";
            const std::string turned = "(SELECT CASE WHEN substr(token, -2, 1) = 'x' THEN substr(token, 1, length(token) - 2) || 'yA' "
                                       "ELSE substr(token, 1, length(token) - 2) || 'xA' END)";
            return {{"UPDATE coins SET touchstone = " + other + " WHERE " + row(h.fresh), "touchstone", h.fresh.coin},
                    {"UPDATE coins SET touchstone = touchstone || 'A' WHERE " + row(h.fresh), "touchstone", h.fresh.coin},
                    {"UPDATE epochs SET custody = (SELECT custody FROM epochs WHERE epoch = 2 AND " + of(h.travelled) +
                         ") WHERE epoch = 1 AND " + of(h.travelled), "custody-terms", h.travelled.coin},
                    {"UPDATE epochs SET custody = custody || 'A' WHERE epoch = 1 AND " + of(h.travelled), "custody-signature", h.travelled.coin},
                    {"UPDATE epochs SET exp = exp + 5 WHERE epoch = 1 AND " + of(h.idle), "custody-terms", h.idle.coin},
                    {"UPDATE signed_indices SET token = " + turned + " WHERE epoch = 1 AND " + of(h.travelled), "index-signature", h.travelled.coin},
                    {"UPDATE certificates SET token = " + turned + " WHERE vendor = 1", "certificate", h.news.origin},
                    {"UPDATE certificates SET token = (SELECT token FROM certificates WHERE vendor = 2) || '' WHERE vendor = 1", "certificate", h.news.origin},
                    {"UPDATE vendors SET certificate = (SELECT certificate FROM vendors WHERE id = 2) WHERE id = 1", "certificate", h.news.origin},
                    {"UPDATE vendor_keys SET x = (SELECT x FROM vendor_keys WHERE vendor = 2) WHERE vendor = 1", "vendor-key", h.news.origin},
                    {"UPDATE batches SET token = " + turned + " WHERE batch = 'batch1'", "batch-signature", h.news.origin + " batch1"},
                    {"UPDATE batches SET answer = (SELECT answer FROM batches WHERE batch = 'batch2') WHERE batch = 'batch1'", "receipt", h.news.origin + " batch1"},
                    {"UPDATE batches SET digest = 'sha-256=:AAAA:' WHERE batch = 'batch1'", "receipt", h.news.origin + " batch1"}};
        });
    }
    void names_changed_indices() {
        each([](History& h) -> std::vector<Case> {
            return {{"UPDATE epochs SET start = 29 WHERE epoch = 2 AND " + of(h.travelled), "chain-of-custody", h.travelled.coin},
                    {"UPDATE epochs SET released = 31 WHERE epoch = 1 AND " + of(h.travelled), "chain-of-custody", h.travelled.coin},
                    {"UPDATE epochs SET released = -1 WHERE epoch = 1 AND " + of(h.travelled), "chain-of-custody", h.travelled.coin},
                    {"UPDATE epochs SET vendor = 3 WHERE epoch = 2 AND " + of(h.travelled), "founding-index", h.travelled.coin},
                    {"UPDATE epochs SET epoch = 9 WHERE epoch = 3 AND " + of(h.travelled), "chain-of-custody", h.travelled.coin},
                    {"UPDATE epochs SET known = 600 WHERE epoch = 3 AND " + of(h.travelled), "payword", h.travelled.coin},
                    {"UPDATE epochs SET known = 45, known_payword = start_payword WHERE epoch = 3 AND " + of(h.travelled), "epoch-known", h.travelled.coin},
                    {"UPDATE epochs SET status = 'held', settled = 0 WHERE epoch = 1 AND " + of(h.travelled), "epoch-state", h.travelled.coin},
                    {"UPDATE signed_indices SET idx = 29 WHERE epoch = 1 AND " + of(h.travelled), "index-terms", h.travelled.coin},
                    {"UPDATE signed_indices SET aud = 'https://wiki.example' WHERE epoch = 1 AND " + of(h.travelled), "index-terms", h.travelled.coin}};
        });
    }
    void names_changed_paywords() {
        each([](History& h) -> std::vector<Case> {
            const std::string other = "(SELECT payword FROM known_paywords WHERE idx = 40 AND " + of(h.travelled) + ")";
            return {{"UPDATE known_paywords SET payword = " + other + " WHERE idx = 20 AND " + of(h.travelled), "payword", h.travelled.coin},
                    {"UPDATE known_paywords SET payword = 'short' WHERE idx = 20 AND " + of(h.travelled), "payword", h.travelled.coin},
                    {"UPDATE known_paywords SET idx = 21 WHERE idx = 20 AND " + of(h.travelled), "payword", h.travelled.coin},
                    {"UPDATE epochs SET known_payword = " + other + " WHERE epoch = 1 AND " + of(h.travelled), "payword", h.travelled.coin},
                    {"UPDATE epochs SET start_payword = " + other + " WHERE epoch = 2 AND " + of(h.travelled), "custody-terms", h.travelled.coin},
                    {"UPDATE signed_indices SET payword = " + other + " WHERE epoch = 1 AND " + of(h.travelled), "index-terms", h.travelled.coin},
                    {"UPDATE compensations SET payword = " + other + " WHERE " + of(h.twice), "payword", h.twice.coin}};
        });
    }
    void names_changed_claims() {
        each([](History& h) -> std::vector<Case> {
            return {{"UPDATE credits SET hi = 31 WHERE epoch = 1 AND " + of(h.travelled), "credit-outside", h.travelled.coin},
                    {"UPDATE credits SET lo = 25 WHERE epoch = 2 AND " + of(h.travelled), "credit-overlap", h.travelled.coin},
                    {"UPDATE credits SET hi = 900 WHERE epoch = 3 AND " + of(h.travelled), "credit-unproven", h.travelled.coin},
                    {"UPDATE credits SET epoch = 3 WHERE epoch = 2 AND " + of(h.travelled), "credit-outside", h.travelled.coin},
                    {"INSERT INTO credits (coin, lo, hi, epoch) SELECT coin, 10, 30, 1 FROM epochs WHERE epoch = 1 AND " + of(h.travelled),
                     "credit-overlap", h.travelled.coin},
                    {"UPDATE reversals SET hi = 25 WHERE " + of(h.below), "reversal-movement", h.below.coin},
                    {"UPDATE reversals SET lo = 5 WHERE " + of(h.below), "reversal", h.below.coin},
                    {"UPDATE compensations SET due = due + 1 WHERE " + of(h.twice), "compensation", h.twice.coin},
                    {"UPDATE compensations SET paid = paid - 1 WHERE " + of(h.twice), "compensation-movement", h.twice.coin},
                    {"UPDATE compensations SET lo = 24, due = due + 1000 WHERE " + of(h.twice), "compensation", h.twice.coin},
                    {"UPDATE compensations SET culprit = 1 WHERE " + of(h.twice), "compensation", h.twice.coin},
                    {"UPDATE receivers SET lo = 20 WHERE " + of(h.twice), "receiver", h.twice.coin},
                    {"UPDATE disputes SET hi = 5000 WHERE " + of(h.twice), "dispute", h.twice.coin},
                    {"UPDATE frauds SET vendor = 1 WHERE " + of(h.twice), "fraud-unproven", h.twice.coin},
                    {"UPDATE frauds SET cleared = 1 WHERE " + of(h.twice), "fraud-missing", h.twice.coin}};
        });
    }
    void names_changed_counters() {
        each([](History& h) -> std::vector<Case> {
            return {{"UPDATE coins SET credited = credited + 1 WHERE " + row(h.travelled), "coin-credited", h.travelled.coin},
                    {"UPDATE epochs SET credited = credited - 1 WHERE epoch = 1 AND " + of(h.travelled), "epoch-credited", h.travelled.coin},
                    {"UPDATE coins SET refunded = refunded - 1 WHERE " + row(h.returned), "coin-refunded", h.returned.coin},
                    {"UPDATE coins SET refunded = 5 WHERE " + row(h.fresh), "coin-refunded", h.fresh.coin},
                    {"UPDATE coins SET state = 'live' WHERE " + row(h.returned), "coin-refunded", h.returned.coin}};
        });
    }
    void names_deleted_rows() {
        each([](History& h) -> std::vector<Case> {
            return {{"DELETE FROM coins WHERE " + row(h.fresh), "coin-missing", h.fresh.coin},
                    {"DELETE FROM epochs WHERE epoch = 2 AND " + of(h.travelled), "chain-of-custody", h.travelled.coin},
                    {"DELETE FROM epochs WHERE epoch = 3 AND " + of(h.travelled), "credit-outside", h.travelled.coin},
                    {"DELETE FROM credits WHERE lo = 30 AND " + of(h.travelled), "coin-credited", h.travelled.coin},
                    {"DELETE FROM signed_indices WHERE epoch = 1 AND " + of(h.travelled), "founding-index", h.travelled.coin},
                    {"DELETE FROM signed_indices WHERE idx = 25 AND " + of(h.twice), "fraud-unproven", h.twice.coin},
                    {"DELETE FROM frauds WHERE " + of(h.twice), "fraud-missing", h.twice.coin},
                    {"DELETE FROM frauds WHERE " + of(h.below), "fraud-missing", h.below.coin},
                    {"DELETE FROM reversals WHERE " + of(h.below), "reversal-movement", h.below.coin},
                    {"DELETE FROM compensations WHERE " + of(h.twice), "compensation-movement", h.twice.coin},
                    {"DELETE FROM vendors WHERE id = 1", "reference", "certificates 1"},
                    {"DELETE FROM certificates WHERE vendor = 1", "index-signature", h.travelled.coin},
                    {"DELETE FROM certificates WHERE vendor = 3", "vendor-key", h.mags.origin},
                    {"DELETE FROM batches WHERE batch = 'batch2'", "batch-missing", h.news.origin + " batch2"},
                    {"DELETE FROM vouchers", "voucher-missing", "movement 2"},
                    {"DELETE FROM accounts WHERE id = (SELECT account FROM coins WHERE " + row(h.fresh) + ")", "coin-missing", h.fresh.coin},
                    {"DELETE FROM movements WHERE kind = 'coin' AND reference = '" + h.fresh.coin + "'", "coin-unpaid", h.fresh.coin},
                    {"DELETE FROM movements WHERE kind = 'refund'", "refund-missing", h.returned.coin},
                    {"DELETE FROM movements WHERE kind = 'topup'", "voucher-movement", "voucher 1"},
                    {"DELETE FROM movements WHERE kind = 'reversal'", "reversal-movement", h.below.coin},
                    {"DELETE FROM movements WHERE kind = 'redemption' AND reference = 'https://news.example batch1'", "receipt-movement", h.news.origin + " batch1"},
                    {"DELETE FROM movements WHERE kind = 'settlement'", "movement-missing", ""},
                    {"DELETE FROM entries WHERE id = 1", "movement-unbalanced", "movement 1"},
                    {"DELETE FROM ledger_accounts WHERE name = 'coins:outstanding'", "account-missing", "coins:outstanding uusd"}};
        });
    }
    void names_invented_rows() {
        each([](History& h) -> std::vector<Case> {
            return {{"INSERT INTO coins (coin, account, cur, unit, n, salt, root, touchstone, iat, exp) VALUES ('forged', 1, 'uusd', 1, 1, '', 'r', '', 0, 0)",
                     "touchstone", "forged"},
                    {"INSERT INTO vouchers (code_hash, cur, amount, minted, expires) VALUES ('x', 'uusd', 5, 0, 0)", "vouchers-sold", "uusd vouchers"},
                    {"INSERT INTO vendor_keys (vendor, kid, x, since, until) VALUES (1, 'k', 'x', 0, 9)", "vendor-key", h.news.origin},
                    {"INSERT INTO ledger_accounts (name, cur, side, balance) VALUES ('elsewhere', 'uusd', 'credit', 0)", "account-unknown", "elsewhere uusd"},
                    {"INSERT INTO frauds (vendor, coin, epoch, kind, first, at) SELECT 1, coin, 1, 'two-indices', id, 0 FROM signed_indices WHERE epoch = 1 AND " +
                         of(h.travelled), "fraud-unproven", h.travelled.coin},
                    {"INSERT INTO reversals (coin, epoch, signed_index, lo, hi, at) SELECT coin, 3, 1, 45, 50, 0 FROM epochs WHERE epoch = 3 AND " + of(h.travelled),
                     "reversal", h.travelled.coin}};
        });
    }
    void names_changed_books() {
        each([](History& h) -> std::vector<Case> {
            const auto customer = "customer:" + h.one_text("SELECT a.name FROM accounts a JOIN coins c ON c.account = a.id");
            return {{"UPDATE entries SET credit = credit + 1 WHERE id = 2", "movement-unbalanced", "movement 1"},
                    {"UPDATE movements SET total = total + 1 WHERE id = 1", "movement-total", "movement 1"},
                    {"UPDATE movements SET parts = 3 WHERE id = 1", "movement-parts", "movement 1"},
                    {"UPDATE movements SET sealed = 0 WHERE id = 1", "movement-unsealed", "movement 1"},
                    {"UPDATE movements SET cur = 'ueur' WHERE id = 1", "movement-currency", "movement 1"},
                    {"UPDATE movements SET kind = 'gift' WHERE id = 1", "movement-account", "movement 1"},
                    {"UPDATE movements SET reference = '" + h.idle.coin + "' WHERE kind = 'coin' AND reference = '" + h.fresh.coin + "'", "coin-unpaid", h.fresh.coin},
                    {"UPDATE vouchers SET amount = amount + 1", "voucher-amount", "movement 2"},
                    {"UPDATE ledger_accounts SET balance = balance + 1 WHERE name = 'coins:outstanding'", "account-balance", "coins:outstanding uusd"},
                    {"UPDATE ledger_accounts SET balance = balance + 1 WHERE name = '" + customer + "'", "account-balance", customer + " uusd"},
                    {"UPDATE ledger_accounts SET side = 'credit' WHERE name = 'cash'", "account-side", "cash uusd"},
                    {"UPDATE ledger_accounts SET name = 'customer:nobody' WHERE name = '" + customer + "'", "account-records", "customer:nobody uusd"},
                    {"UPDATE entries SET account = (SELECT id FROM ledger_accounts WHERE name = 'cash') WHERE id = 4", "movement-account", "movement 2"}};
        });
    }
    // The quick check of the sums that the daemon has itself (broker/ledger/check.h).
    void the_daemons_own_check_names_it() {
        History h;
        const std::pair<const char*, const char*> cases[] = {
            {"UPDATE compensations SET paid = paid - 1", "compensations paid"},
            {"DELETE FROM reversals", "credits taken back"},
            {"DELETE FROM movements WHERE kind = 'reversal'", "units credited"},
            {"UPDATE compensations SET culprit = vendor, vendor = culprit", "credits payable less debts"},
            {"INSERT INTO movements (kind, reference, cur, total, parts, at) VALUES ('payout', 'https://news.example', 'uusd', 5, 2, 0)", "cash"}};
        for (const auto& [statement, words] : cases) {
            const std::string copy = h.copy();
            History::tamper(copy, statement);
            const auto sql = connect(copy);
            std::string said;
            for (const auto& f : ledger::check(*sql).faults) said += f + "\n";
            CPPUNIT_ASSERT_MESSAGE(std::string(statement) + ": " + said, said.find(words) != std::string::npos);
        }
    }
    void names_the_amount() {
        History h;
        const auto found = h.tampered("INSERT INTO credits (coin, lo, hi, epoch) SELECT coin, 10, 30, 1 FROM epochs WHERE epoch = 1 AND " +
                                      of(h.travelled));
        for (const auto& f : found.faults) {
            if (f.code != "credit-overlap") continue;
            CPPUNIT_ASSERT_EQUAL(h.travelled.coin, f.coin);
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, f.amount);
            CPPUNIT_ASSERT_EQUAL(std::string("uusd"), f.currency);
            return;
        }
        CPPUNIT_FAIL("no credit-overlap");
    }
    void other_keys_verify_nothing() {
        History h;
        const auto found = audited(h.w.store().path(), KeySet({new_key().public_key()}), h.w.clock.now());
        CPPUNIT_ASSERT(found.has("touchstone", h.fresh.coin) && found.has("certificate", h.news.origin));
    }
    // Not a file is made, none is changed, whether the broker is there or was stopped.
    void writes_nothing() {
        auto dir = std::make_shared<TempDir>();
        std::string before;
        KeySet keys;
        {
            World w(dir);
            (void)w.rich();
            keys = w.keys();
        }
        const auto look = [&] {
            std::string out;
            std::vector<std::filesystem::path> names;
            for (const auto& f : std::filesystem::directory_iterator(*dir / "")) names.push_back(f.path());
            std::sort(names.begin(), names.end());
            for (const auto& n : names) {
                struct stat s {};
                CPPUNIT_ASSERT_EQUAL(0, stat(n.c_str(), &s));
                out += n.string() + " " + std::to_string(s.st_size) + " " + std::to_string(s.st_mtim.tv_nsec) + "\n";
            }
            return out;
        };
        before = look();
        CPPUNIT_ASSERT(before.find("-wal") == std::string::npos);
        CPPUNIT_ASSERT_EQUAL(std::string(), audited(*dir / "broker.db", keys, 0).text());
        CPPUNIT_ASSERT_EQUAL(before, look());
        chmod((*dir / "broker.db").c_str(), 0400);
        CPPUNIT_ASSERT_EQUAL(std::string(), audited(*dir / "broker.db", keys, 0).text());
    }
    void sees_one_state_while_the_broker_writes() {
        World w;
        const auto token = w.rich();
        auto db = must(audit::Database::open(w.store().path()));
        CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, db->number("SELECT COUNT(*) FROM coins"));
        (void)w.coin(token);
        CPPUNIT_ASSERT_EQUAL(std::int64_t{0}, db->number("SELECT COUNT(*) FROM coins"));
        CPPUNIT_ASSERT(db->unchanged());
        db = must(audit::Database::open(w.store().path()));
        CPPUNIT_ASSERT_EQUAL(std::int64_t{1}, db->number("SELECT COUNT(*) FROM coins"));
        CPPUNIT_ASSERT_THROW(db->prepare("DELETE FROM coins").step(), audit::Unreadable);
    }
    void no_verdict_without_a_store() {
        const TempDir dir;
        Findings found;
        CPPUNIT_ASSERT(!audit::run({dir / "none.db", {}, {}, 0}, found).ok());
        CPPUNIT_ASSERT(!std::filesystem::exists(dir / "none.db"));
        std::ofstream(dir / "text.db") << "not a database, but long enough to be taken for one at first sight";
        CPPUNIT_ASSERT(!audit::run({dir / "text.db", {}, {}, 0}, found).ok());
        {
            const auto sql = connect(dir / "other.db");
            run(*sql, "CREATE TABLE t (x)");
        }
        CPPUNIT_ASSERT(!audit::run({dir / "other.db", {}, {}, 0}, found).ok());
        {
            const auto sql = connect(dir / "old.db");
            CPPUNIT_ASSERT(migrate(*sql, 1).ok());
        }
        CPPUNIT_ASSERT(audit::run({dir / "old.db", {}, {}, 0}, found).error().detail.find("migrate") != std::string::npos);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(AuditTest);

// A vendor's till against the store: that of mags, which took `travelled` over
// at 45, sold up to 55 and redeemed up to 50; and of nobody else.
class TillAuditTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TillAuditTest);
    CPPUNIT_TEST(clean_as_it_is);
    CPPUNIT_TEST(names_what_was_changed);
    CPPUNIT_TEST(names_what_the_store_forgot);
    CPPUNIT_TEST(names_records_that_cannot_be_read);
    CPPUNIT_TEST(tells_of_what_is_unreported);
    CPPUNIT_TEST(a_dropped_coin_is_no_fault);
    CPPUNIT_TEST(reads_what_a_till_wrote);
    CPPUNIT_TEST(makes_no_file);
    CPPUNIT_TEST(no_verdict_without_a_till);
    CPPUNIT_TEST_SUITE_END();

    using Papers = till::Papers;
    using Snapshot = till::Snapshot;

    History h;
    TempDir dir;
    int tills = 0;

    std::string custody_of(int epoch) {
        return h.one_text("SELECT e.custody FROM epochs e JOIN coins c ON c.id = e.coin WHERE c.coin = '" + h.travelled.coin +
                          "' AND e.epoch = " + std::to_string(epoch));
    }
    Papers papers() {
        Papers p;
        p.coin.touchstone = h.travelled.touchstone;
        p.coin.terms = must(verify_touchstone(p.coin.touchstone, issuer, h.w.keys(), 0));
        p.coin.custody = custody_of(3);
        p.coin.epoch = 3;
        p.coin.start = 45;
        p.coin.word = h.travelled.at(45);
        p.coin.lease = must(verify_custody(p.coin.custody, h.w.keys())).exp;
        p.claimed = 50;
        return p;
    }
    Snapshot state() {
        Snapshot s;
        s.version = 7;
        s.state = SpendState::taken_over(h.travelled.salt, h.travelled.chain->n(), 45, h.travelled.at(45), h.w.clock.now() + 9999,
                                         h.w.clock.now() + 999);
        s.state.spent = 55;
        s.state.revealed = 60;
        s.state.word = h.travelled.at(60);
        return s;
    }
    std::string till_of(const Papers& p, const Snapshot& s) {
        const auto name = dir / ("till" + std::to_string(++tills));
        std::filesystem::create_directory(name);
        const auto cold = must(till::ColdStore::open(name, till::Disk::real()));
        CPPUNIT_ASSERT(cold->put(p, &s).ok());
        std::ofstream(name + "/vendor.json") << R"({"brokers":["https://broker.example"],"vendor":"https://mags.example"})";
        return name;
    }
    Findings audit(const std::string& till) { return audited(h.w.store().path(), h.w.keys(), h.w.clock.now(), {till}); }
    Findings audit(const Papers& p, const Snapshot& s) { return audit(till_of(p, s)); }
    void assert_fault(const std::string& code, const Papers& p, const Snapshot& s) {
        const auto found = audit(p, s);
        CPPUNIT_ASSERT_MESSAGE("expected " + code + "; found:\n" + found.text(), found.has(code, h.travelled.coin));
        for (const auto& f : found.faults) CPPUNIT_ASSERT_EQUAL_MESSAGE(found.text(), code, f.code);
    }

public:
    void clean_as_it_is() {
        const auto found = audit(papers(), state());
        CPPUNIT_ASSERT_EQUAL(std::string(), found.text());
        CPPUNIT_ASSERT(found.notes.empty());
    }
    void names_what_was_changed() {
        const auto p = papers();
        const auto s = state();
        auto q = p;
        auto t = s;
        t.state.spent = 49, q.claimed = 49;
        assert_fault("till-overcredited", q, t);
        q = p;
        q.claimed = 47;
        assert_fault("till-claimed", q, s);
        q.claimed = 56;
        assert_fault("till-claimed", q, s);
        t = s;
        t.state.word = h.travelled.at(59);
        assert_fault("till-payword", p, t);
        q = p;
        q.owed.push_back({20, 30, h.travelled.at(31)});
        assert_fault("till-payword", q, s);
        q = p;
        q.coin.terms.unit = *Amount::from(2000);
        assert_fault("till-touchstone", q, s);
        q = p;
        q.coin.touchstone = h.fresh.touchstone;
        assert_fault("till-touchstone", q, s);
        q = p;
        q.coin.custody = custody_of(2);
        assert_fault("till-custody", q, s);
        q = p;
        q.coin.start = 46;
        assert_fault("till-custody", q, s);
        q.coin.custody.clear();
        assert_fault("till-custody", q, s);
        t = s;
        t.state.salt[0] = static_cast<std::uint8_t>(t.state.salt[0] + 1);
        assert_fault("till-state", p, t);
        q = p;
        q.standing = till::Standing::handed_over;
        q.handed_over = till::HandedOver{h.w.hand_over(h.mags, h.blog.origin, h.travelled, 3, 54), h.blog.origin, ""};
        assert_fault("till-handed-over", q, s);
        q.handed_over->index = h.w.hand_over(h.blog, h.mags.origin, h.travelled, 3, 55);
        assert_fault("till-handed-over", q, s);
        q = p;
        q.coin.custody.clear();
        q.coin.indices = {h.w.hand_over({h.blog.origin, new_key()}, h.mags.origin, h.travelled, 2, 45)};
        assert_fault("till-index", q, s);
        q.coin.indices = {h.w.hand_over(h.blog, h.mags.origin, h.travelled, 2, 44)};
        assert_fault("till-index", q, s);
    }
    // What the broker signed and its store does not have.
    void names_what_the_store_forgot() {
        auto p = papers();
        netpay::Custody c;
        c.iss = issuer;
        c.sub = h.mags.origin;
        c.coin = h.travelled.coin;
        c.epoch = p.coin.epoch = 5;
        c.index = 45;
        c.payword = h.travelled.at(45);
        c.iat = h.w.clock.now() - 100;
        c.exp = c.iat + 1000;
        p.coin.custody = sign_custody(c, *h.w.context.keys.current());
        assert_fault("till-epoch", p, state());
        c.iat = h.w.clock.now();  // it may have been signed since the store was read
        p.coin.custody = sign_custody(c, *h.w.context.keys.current());
        CPPUNIT_ASSERT_EQUAL(std::string(), audit(p, state()).text());

        const auto chain = h.w.chain();
        Touchstone t = papers().coin.terms;
        t.salt = chain->salt();
        t.root = chain->at(0);
        t.coin = coin_id(t.salt, t.root);
        t.tag = coin_tag(t.salt, t.root);
        p = papers();
        p.coin.terms = t;
        p.coin.touchstone = sign_touchstone(t, *h.w.context.keys.current());
        const auto found = audit(p, state());
        CPPUNIT_ASSERT_MESSAGE(found.text(), found.has("till-coin", t.coin));
    }
    void names_records_that_cannot_be_read() {
        const auto till = till_of(papers(), state());
        MDB_env* env = nullptr;
        MDB_txn* txn = nullptr;
        MDB_dbi db = 0;
        CPPUNIT_ASSERT_EQUAL(0, mdb_env_create(&env));
        CPPUNIT_ASSERT_EQUAL(0, mdb_env_set_maxdbs(env, 8));
        CPPUNIT_ASSERT_EQUAL(0, mdb_env_open(env, (till + "/coins.mdb").c_str(), MDB_NOSUBDIR, 0600));
        CPPUNIT_ASSERT_EQUAL(0, mdb_txn_begin(env, nullptr, 0, &txn));
        CPPUNIT_ASSERT_EQUAL(0, mdb_dbi_open(txn, "papers", 0, &db));
        auto tag = papers().coin.terms.tag;
        std::string bytes = till::encode(papers());
        bytes[40] = static_cast<char>(bytes[40] ^ 1);
        MDB_val k{tag.size(), tag.data()}, v{bytes.size(), bytes.data()};
        CPPUNIT_ASSERT_EQUAL(0, mdb_put(txn, db, &k, &v, 0));
        CPPUNIT_ASSERT_EQUAL(0, mdb_txn_commit(txn));
        mdb_env_close(env);
        CPPUNIT_ASSERT(audit(till).has("till-damaged", h.travelled.coin));
    }
    void tells_of_what_is_unreported() {
        auto p = papers();
        p.standing = till::Standing::handed_over;
        p.handed_over = till::HandedOver{h.w.hand_over(h.mags, h.blog.origin, h.travelled, 3, 55), h.blog.origin, ""};
        auto found = audit(p, state());
        CPPUNIT_ASSERT_EQUAL(std::string(), found.text());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, found.notes.size());
        CPPUNIT_ASSERT_EQUAL(std::string("unreported"), found.notes[0].code);
        CPPUNIT_ASSERT_EQUAL(h.travelled.coin, found.notes[0].coin);
        p = papers();
        p.coin.custody.clear();
        p.coin.indices = {h.w.hand_over(h.blog, h.mags.origin, h.travelled, 2, 45)};
        found = audit(p, state());
        CPPUNIT_ASSERT_EQUAL(std::string(), found.text());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, found.notes.size());
    }
    void a_dropped_coin_is_no_fault() {
        auto p = papers();
        p.coin.custody.clear();
        p.standing = till::Standing::dropped;
        const auto found = audit(p, state());
        CPPUNIT_ASSERT_EQUAL(std::string(), found.text());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, found.notes.size());
        CPPUNIT_ASSERT_EQUAL(std::string("dropped"), found.notes[0].code);
    }
    // Not what a test wrote, but what the till does.
    void reads_what_a_till_wrote() {
        const auto name = dir / "own";
        std::filesystem::create_directory(name);
        const auto p = papers();
        {
            const auto till = must(till::Till::open({name, 8}));
            CPPUNIT_ASSERT(till->take(p.coin).ok());
            till::Charge c;
            c.coin = p.coin.terms.tag;
            c.price = *Amount::from(10000);
            c.currency = p.coin.terms.cur;
            const std::vector<std::string> brokers{issuer};
            c.brokers = brokers;
            c.payment.index = 60;
            c.payment.word = h.travelled.at(60);
            c.payment.now = p.coin.lease - 10;
            auto out = till->reserve(c);
            CPPUNIT_ASSERT(out.answer == till::Answer::judged && out.verdict == Verdict::paid);
            CPPUNIT_ASSERT(till->settle(c, out));
            CPPUNIT_ASSERT(till->claim(c.coin, 50).ok());
        }
        CPPUNIT_ASSERT_EQUAL(std::string(), audit(name).text());
    }
    void makes_no_file() {
        const auto till = till_of(papers(), state());
        std::filesystem::remove(till + "/coins.mdb-lock");
        CPPUNIT_ASSERT_EQUAL(std::string(), audit(till).text());
        CPPUNIT_ASSERT(!std::filesystem::exists(till + "/coins.mdb-lock"));
        CPPUNIT_ASSERT(!std::filesystem::exists(till + "/hot.tbl"));
    }
    void no_verdict_without_a_till() {
        Findings found;
        CPPUNIT_ASSERT(!audit::run({h.w.store().path(), h.w.keys(), {dir / "none"}, 0}, found).ok());
        CPPUNIT_ASSERT(!std::filesystem::exists(dir / "none"));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TillAuditTest);

}  // namespace
}  // namespace netpay::broker::test
