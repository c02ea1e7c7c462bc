// Double entry, and the check that proves it.
#include "broker/ledger/ledger.h"

#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

using ledger::Side;

class BrokerLedgerTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerLedgerTest);
    CPPUNIT_TEST(books_and_balances);
    CPPUNIT_TEST(no_account_falls_below_zero);
    CPPUNIT_TEST(no_account_leaves_the_range);
    CPPUNIT_TEST(database_refuses_what_does_not_balance);
    CPPUNIT_TEST(entries_and_movements_are_kept);
    CPPUNIT_TEST(empty_books_are_sound);
    CPPUNIT_TEST(names_a_deleted_entry);
    CPPUNIT_TEST(names_a_changed_amount);
    CPPUNIT_TEST(names_a_changed_balance);
    CPPUNIT_TEST(names_a_deleted_movement);
    CPPUNIT_TEST(names_a_coin_from_nowhere);
    CPPUNIT_TEST(names_a_forgotten_credit);
    CPPUNIT_TEST(names_overlapping_credits);
    CPPUNIT_TEST(names_money_that_no_record_speaks_of);
    CPPUNIT_TEST_SUITE_END();

    static Currency usd() { return *Currency::parse("uusd"); }
    static Amount micro(std::uint64_t v) { return *Amount::from(v); }
    static ledger::Movement move(std::string from, std::string to, std::uint64_t v) {
        return {"test", "reference", usd(), {{Side::debit, std::move(from), micro(v)}, {Side::credit, std::move(to), micro(v)}}, 1};
    }
    static Outcome<Done> post(World& w, const ledger::Movement& m) {
        return w.store().write([&](Sql& sql) { return ledger::post(sql, m); });
    }

    // A world with money in every kind of account.
    std::unique_ptr<World> busy() {
        auto w = std::make_unique<World>();
        const auto token = w->rich();
        const auto shop = w->shop("https://news.example");
        const auto c = w->coin(token), other = w->coin(token);
        assert_ok(w->acquire(shop, c, 1));
        assert_ok(w->redeem(shop, "b1", World::claim(c, 0, 10) + World::claim(c, 20, 30)));
        assert_ok(w->give_back(token, other.coin));
        w->assert_sound();
        return w;
    }
    // What somebody with the file can do.
    static void tamper(World& w, const std::vector<std::string>& statements) {
        const auto sql = connect(w.store().path());
        run(*sql, "PRAGMA foreign_keys = OFF");
        for (const char* trigger : {"movements_balance", "movements_sealed", "movements_kept", "entries_added", "entries_changed", "entries_kept"})
            run(*sql, std::string("DROP TRIGGER ") + trigger);
        for (const auto& s : statements) run(*sql, s);
    }
    static void assert_names(World& w, const std::string& words) {
        const auto report = w.check();
        CPPUNIT_ASSERT(!report.ok());
        std::string all_faults;
        for (const auto& f : report.faults) all_faults += f + "\n";
        CPPUNIT_ASSERT_MESSAGE(all_faults, all_faults.find(words) != std::string::npos);
    }

public:
    void books_and_balances() {
        World w;
        CPPUNIT_ASSERT(post(w, move("cash", "vouchers:outstanding", 100)).ok());
        CPPUNIT_ASSERT(post(w, move("vouchers:outstanding", "customer:a", 60)).ok());
        const auto b = w.store().read([&](Sql& sql) -> Outcome<std::uint64_t> {
            return ledger::balance(sql, "vouchers:outstanding", usd()).micro() * 1000 + ledger::balance(sql, "customer:a", usd()).micro();
        });
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{40060}, *b);
    }
    void no_account_falls_below_zero() {
        World w;
        const auto r = post(w, move("customer:a", "coins:outstanding", 1));
        CPPUNIT_ASSERT_EQUAL(std::string("insufficient-balance"), r.refusal().kind);
        CPPUNIT_ASSERT_EQUAL(Int{0}, w.count("SELECT COUNT(*) FROM movements"));
    }
    void no_account_leaves_the_range() {
        World w;
        CPPUNIT_ASSERT(post(w, move("cash", "vouchers:outstanding", limits::max_amount)).ok());
        CPPUNIT_ASSERT_EQUAL(std::string("amount-limit"), post(w, move("cash", "vouchers:outstanding", 1)).refusal().kind);
    }
    void database_refuses_what_does_not_balance() {
        World w;
        const auto r = w.store().write([](Sql& sql) -> Outcome<Done> {
            run(sql, "INSERT INTO ledger_accounts (id, name, cur, side) VALUES (1, 'cash', 'uusd', 'debit')");
            run(sql, "INSERT INTO ledger_accounts (id, name, cur, side) VALUES (2, 'x', 'uusd', 'credit')");
            run(sql, "INSERT INTO movements (id, kind, reference, cur, total, parts, at) VALUES (1, 'k', 'r', 'uusd', 5, 2, 0)");
            run(sql, "INSERT INTO entries (movement, account, debit, credit) VALUES (1, 1, 5, 0)");
            run(sql, "INSERT INTO entries (movement, account, debit, credit) VALUES (1, 2, 0, 4)");
            run(sql, "UPDATE movements SET sealed = 1 WHERE id = 1");
            return Done{};
        });
        CPPUNIT_ASSERT(!r.ok());
        CPPUNIT_ASSERT(r.refusal().detail.find("does not balance") != std::string::npos);
    }
    void entries_and_movements_are_kept() {
        World w;
        CPPUNIT_ASSERT(post(w, move("cash", "vouchers:outstanding", 100)).ok());
        for (const char* s : {"DELETE FROM entries", "UPDATE entries SET debit = debit + 1 WHERE debit > 0", "DELETE FROM movements",
                              "UPDATE movements SET total = 1", "INSERT INTO entries (movement, account, debit, credit) VALUES (1, 1, 1, 0)"})
            CPPUNIT_ASSERT_MESSAGE(s, !w.store().write([&](Sql& sql) -> Outcome<Done> { run(sql, s); return Done{}; }).ok());
    }
    void empty_books_are_sound() { World().assert_sound(); }
    void names_a_deleted_entry() {
        const auto w = busy();
        tamper(*w, {"DELETE FROM entries WHERE id = 1"});
        assert_names(*w, "movement 1 (vouchers 1 vouchers) has 1 entries and should have 2");
        assert_names(*w, "debits");
    }
    void names_a_changed_amount() {
        const auto w = busy();
        tamper(*w, {"UPDATE entries SET credit = credit + 1 WHERE id = 2"});
        assert_names(*w, "movement 1 (vouchers 1 vouchers) does not balance");
    }
    void names_a_changed_balance() {
        const auto w = busy();
        tamper(*w, {"UPDATE ledger_accounts SET balance = balance + 1 WHERE name = 'coins:outstanding'"});
        assert_names(*w, "account coins:outstanding uusd shows");
        assert_names(*w, "issued");
    }
    void names_a_deleted_movement() {
        const auto w = busy();
        tamper(*w, {"DELETE FROM movements WHERE kind = 'redemption'"});
        assert_names(*w, "which does not exist");
        assert_names(*w, "units credited: 20000 by the records, 0 in the ledger");
    }
    void names_a_coin_from_nowhere() {
        const auto w = busy();
        tamper(*w, {"INSERT INTO coins (coin, account, cur, unit, n, salt, root, touchstone, iat, exp) VALUES ('forged', 1, 'uusd', 1, 1, '', 'r', '', 0, 0)"});
        assert_names(*w, "coins sold: 2000001 by the records, 2000000 in the ledger");
    }
    void names_a_forgotten_credit() {
        const auto w = busy();
        tamper(*w, {"DELETE FROM credits WHERE lo = 20"});
        assert_names(*w, "shows 20 units credited and its ranges add up to 10");
        assert_names(*w, "is not spent");
    }
    void names_overlapping_credits() {
        const auto w = busy();
        tamper(*w, {"UPDATE credits SET lo = 5, hi = 15 WHERE lo = 20"});
        assert_names(*w, "the range credited from 5 overlaps the one up to 10");
    }
    // The movement balances, so only the records give it away.
    void names_money_that_no_record_speaks_of() {
        const std::pair<std::string, std::string> gifts[] = {{"customer:nobody", "all customers"},
                                                             {"vendor:https://evil.example:payable", "all vendors"},
                                                             {"vouchers:outstanding", "vouchers unused"},
                                                             {"elsewhere", "cash"}};
        for (const auto& [account, named] : gifts) {
            const auto w = busy();
            CPPUNIT_ASSERT(post(*w, move("cash", account, 5)).ok());
            assert_names(*w, named);
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerLedgerTest);

}  // namespace
}  // namespace netpay::broker::test
