// Store, migrations and transactions.
#include <sys/stat.h>

#include <fstream>
#include <thread>

#include "broker/store/schema.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

class BrokerStoreTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerStoreTest);
    CPPUNIT_TEST(migrates_from_nothing);
    CPPUNIT_TEST(a_coin_that_is_kept_was_granted_to_nobody_before_version_4);
    CPPUNIT_TEST(refunds_before_version_5_are_of_when_they_were_booked);
    CPPUNIT_TEST(migrating_twice_changes_nothing);
    CPPUNIT_TEST(refuses_a_newer_schema);
    CPPUNIT_TEST(refuses_what_is_no_database);
    CPPUNIT_TEST(file_is_private);
    CPPUNIT_TEST(refused_write_leaves_nothing);
    CPPUNIT_TEST(savepoint_undoes_its_part_alone);
    CPPUNIT_TEST(error_names_no_value);
    CPPUNIT_TEST(survives_a_failed_statement);
    CPPUNIT_TEST(two_processes_write);
    CPPUNIT_TEST_SUITE_END();

    static Outcome<Done> add_account(Sql& sql, const std::string& name) {
        run(sql, "INSERT INTO accounts (name, token_hash, created) VALUES (:n, :t, 1)", name, "hash of " + name);
        return Done{};
    }
    static Int accounts(Store& store) {
        return *store.read([](Sql& sql) -> Outcome<Int> { return number(sql, "SELECT COUNT(*) FROM accounts"); });
    }

public:
    void migrates_from_nothing() {
        TempDir dir;
        const auto sql = connect(dir / "db");
        CPPUNIT_ASSERT_EQUAL(0, schema_version(*sql));
        for (int v = 1; v <= newest_schema(); ++v) {
            const auto done = must(migrate(*sql, v));
            CPPUNIT_ASSERT_EQUAL(v - 1, done.first);
            CPPUNIT_ASSERT_EQUAL(v, schema_version(*sql));
        }
        CPPUNIT_ASSERT_EQUAL(Int{0}, number(*sql, "SELECT COUNT(*) FROM coins"));
    }

    void a_coin_that_is_kept_was_granted_to_nobody_before_version_4() {
        TempDir dir;
        const auto sql = connect(dir / "db");
        must(migrate(*sql, 3));
        run(*sql, "INSERT INTO accounts (name, token_hash, created) VALUES ('a', 'h', 1)");
        run(*sql, "INSERT INTO web_coins (coin, account, sealed, created) SELECT 'c', id, 's', 1 FROM accounts");
        must(migrate(*sql));
        CPPUNIT_ASSERT_EQUAL(Int{0}, number(*sql, "SELECT granted FROM web_coins WHERE coin = 'c' AND sealed = 's'"));
    }

    void refunds_before_version_5_are_of_when_they_were_booked() {
        TempDir dir;
        const auto sql = connect(dir / "db");
        must(migrate(*sql, 4));
        run(*sql, "INSERT INTO accounts (name, token_hash, created) VALUES ('a', 'h', 1)");
        for (const auto* row : {"'r', 200", "'s', 0"})
            run(*sql, std::string("INSERT INTO checkouts (account, provider, cur, amount, state, created, reference, refunded) "
                                  "SELECT id, 'card', 'uusd', 500, 'paid', 7, ") + row + " FROM accounts");
        run(*sql, "INSERT INTO movements (kind, reference, cur, total, parts, at) SELECT 'card-refund', 'checkout ' || id, 'uusd', 200, "
                  "2, 70 FROM checkouts WHERE refunded > 0");
        must(migrate(*sql));
        CPPUNIT_ASSERT_EQUAL(Int{1}, number(*sql, "SELECT COUNT(*) FROM checkout_refunds"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, number(*sql, "SELECT COUNT(*) FROM checkout_refunds WHERE at = 70 AND total = 200"));
    }

    void migrating_twice_changes_nothing() {
        TempDir dir;
        const auto first = must(migrate_store(dir / "db"));
        CPPUNIT_ASSERT_EQUAL(0, first.from);
        CPPUNIT_ASSERT_EQUAL(newest_schema(), first.to);
        const auto second = must(migrate_store(dir / "db"));
        CPPUNIT_ASSERT_EQUAL(newest_schema(), second.from);
        CPPUNIT_ASSERT_EQUAL(newest_schema(), second.to);
    }

    void refuses_a_newer_schema() {
        TempDir dir;
        must(migrate_store(dir / "db"));
        run(*connect(dir / "db"), "INSERT INTO schema_version (version) VALUES (999)");
        const auto store = Store::open(dir / "db");
        CPPUNIT_ASSERT(!store);
        CPPUNIT_ASSERT(store.error().detail.find("999") != std::string::npos);
    }

    void refuses_what_is_no_database() {
        TempDir dir;
        std::ofstream(dir / "db") << std::string(4096, 'x');
        CPPUNIT_ASSERT(!Store::open(dir / "db"));
        CPPUNIT_ASSERT(!Store::open(dir / "absent/db"));
        CPPUNIT_ASSERT(!Store::open(dir / "a=b"));
    }

    void file_is_private() {
        TempDir dir;
        const auto store = must(Store::open(dir / "db"));
        for (const char* name : {"db", "db-wal"}) {
            struct stat s{};
            CPPUNIT_ASSERT_EQUAL(0, stat((dir / name).c_str(), &s));
            CPPUNIT_ASSERT_EQUAL(0600u, static_cast<unsigned>(s.st_mode & 0777));
        }
    }

    void refused_write_leaves_nothing() {
        TempDir dir;
        const auto store = must(Store::open(dir / "db"));
        const auto r = store->write([](Sql& sql) -> Outcome<Done> {
            (void)add_account(sql, "a");
            return Refusal{409, "no", "No", "No."};
        });
        CPPUNIT_ASSERT_EQUAL(409, r.refusal().status);
        CPPUNIT_ASSERT_EQUAL(Int{0}, accounts(*store));
    }

    void savepoint_undoes_its_part_alone() {
        TempDir dir;
        const auto store = must(Store::open(dir / "db"));
        const auto r = store->write([](Sql& sql) -> Outcome<Done> {
            (void)add_account(sql, "stays");
            {
                Savepoint part(sql);
                (void)add_account(sql, "goes");
            }
            Savepoint part(sql);
            (void)add_account(sql, "kept");
            part.keep();
            return Done{};
        });
        CPPUNIT_ASSERT(r.ok());
        CPPUNIT_ASSERT_EQUAL(Int{2}, accounts(*store));
    }

    void error_names_no_value() {
        TempDir dir;
        const auto store = must(Store::open(dir / "db"));
        const auto add = [](Sql& sql) { return add_account(sql, "top-secret"); };
        CPPUNIT_ASSERT(store->write(add).ok());
        const auto r = store->write(add);
        CPPUNIT_ASSERT_EQUAL(503, r.refusal().status);
        CPPUNIT_ASSERT(r.refusal().internal);
        CPPUNIT_ASSERT(r.refusal().detail.find("top-secret") == std::string::npos);
    }

    void survives_a_failed_statement() {
        TempDir dir;
        const auto store = must(Store::open(dir / "db"));
        const auto bad = [](Sql& sql) -> Outcome<Done> { run(sql, "SELECT nonsense"); return Done{}; };
        CPPUNIT_ASSERT_EQUAL(503, store->write(bad).refusal().status);
        CPPUNIT_ASSERT_EQUAL(503, store->read(bad).refusal().status);
        CPPUNIT_ASSERT(store->write([](Sql& sql) { return add_account(sql, "a"); }).ok());
        CPPUNIT_ASSERT_EQUAL(Int{1}, accounts(*store));
    }

    // Two stores over one file stand for the daemon and an operator's command.
    void two_processes_write() {
        TempDir dir;
        const auto a = must(Store::open(dir / "db")), b = must(Store::open(dir / "db"));
        std::atomic<int> failed = 0;
        const auto work = [&](Store& store, const std::string& prefix) {
            for (int i = 0; i < 50; ++i)
                if (!store.write([&](Sql& sql) { return add_account(sql, prefix + std::to_string(i)); })) ++failed;
        };
        std::thread other([&] { work(*b, "b"); });
        work(*a, "a");
        other.join();
        CPPUNIT_ASSERT_EQUAL(0, failed.load());
        CPPUNIT_ASSERT_EQUAL(Int{100}, accounts(*a));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerStoreTest);

}  // namespace
}  // namespace netpay::broker::test
