// The wallet's store and purse on a real file: permissions, tickets of
// several processes, payments of dead ones, budgets, export and import.
#include <cppunit/TestAssert.h>
#include <cppunit/TestFixture.h>
#include <cppunit/extensions/HelperMacros.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include <soci/soci.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base64url.h"
#include "test/unit/wallet_support.h"
#include "wallet/backup.h"
#include "wallet/purse.h"
#include "wallet/shop.h"
#include "wallet/store.h"
#include "wallet/text.h"

namespace netpay::wallet {
namespace {

const std::string issuer = "https://broker.example", vendor = "https://news.example", other = "https://times.example";

class WalletStore : public StoreFixture {
    CPPUNIT_TEST_SUITE(WalletStore);
    CPPUNIT_TEST(is_private);
    CPPUNIT_TEST(refuses_an_open_store);
    CPPUNIT_TEST(failure_undoes_everything);
    CPPUNIT_TEST(coin_survives_reopening);
    CPPUNIT_TEST(million_units_restore_quickly);
    CPPUNIT_TEST(one_coin_a_vendor);
    CPPUNIT_TEST(dead_process_leaves_unknown);
    CPPUNIT_TEST(forked_processes_share_a_coin);
    CPPUNIT_TEST(lying_vendor_is_disputed);
    CPPUNIT_TEST(budget_holds);
    CPPUNIT_TEST(page_is_read_again);
    CPPUNIT_TEST(move_and_backup);
    CPPUNIT_TEST(a_coin_comes_back_as_it_is_elsewhere);
    CPPUNIT_TEST(what_was_open_is_decided_when_a_coin_comes_back);
    CPPUNIT_TEST(an_old_backup_takes_nothing_back);
    CPPUNIT_TEST(bad_imports);
    CPPUNIT_TEST(denominations);
    CPPUNIT_TEST(terminal_text);
    CPPUNIT_TEST_SUITE_END();

    MovingClock clock_;

    std::string add(Store& s, std::uint8_t mark, std::uint32_t n = 1000) {
        return add_coin(s, issuer, mark, n, clock_.at + 1000);
    }
    Want want(const std::string& site, const std::string& path, std::uint64_t micro = 20000) {
        return {site, "GET", site + path, *Amount::from(micro), *Amount::from(micro), *Currency::parse("uusd"), {issuer}};
    }
    static void move(Store& from, Store& to) {
        const auto file = make_export(from, {}, true, false);
        CPPUNIT_ASSERT(file && file->coins.size() == 1 && mark_moved(from, file->coins));
        const auto in = import_text(to, file->text.expose(), false);
        CPPUNIT_ASSERT(in && in->coins == 1);
    }
    static Coin only_coin(Store& s) {
        const auto all = s.coins();
        CPPUNIT_ASSERT(all && all->size() == 1);
        return all->front();
    }
    Purse purse(Store& s) { return Purse(s, clock_, this_process()); }
    static mode_t mode(const std::string& path) {
        struct stat st {};
        CPPUNIT_ASSERT_EQUAL(0, stat(path.c_str(), &st));
        return st.st_mode & 0777;
    }

    void is_private() {
        const auto old = umask(0);
        open();
        umask(old);
        CPPUNIT_ASSERT_EQUAL(mode_t{0700}, mode(dir_ + "/w"));
        for (const auto& f : std::filesystem::directory_iterator(dir_ + "/w")) CPPUNIT_ASSERT_EQUAL(mode_t{0600}, mode(f.path()));
    }

    void refuses_an_open_store() {
        open();
        chmod((dir_ + "/w").c_str(), 0750);
        const auto s = Store::open(dir_ + "/w");
        CPPUNIT_ASSERT(!s && s.failure().exit == Exit::store);
        chmod((dir_ + "/w").c_str(), 0700);
        chmod((dir_ + "/w/wallet.db").c_str(), 0644);
        CPPUNIT_ASSERT(!Store::open(dir_ + "/w"));
    }

    void failure_undoes_everything() {
        auto s = open();
        CPPUNIT_ASSERT(s->transaction<Done>([&]() -> Outcome<Done> {
            CPPUNIT_ASSERT(s->set_budget({vendor, *Currency::parse("uusd"), {}, Amount::from(1)}));
            return Failure{Exit::other, "undo"};
        }).failure().message == "undo");
        CPPUNIT_ASSERT(s->budgets()->empty());
    }

    void coin_survives_reopening() {
        std::string name;
        {
            auto s = open();
            name = add(*s, 1);
            CPPUNIT_ASSERT(purse(*s).reserve(want(vendor, "/a")));
        }
        auto s = open();
        const auto c = s->coin(name.substr(0, 6));
        CPPUNIT_ASSERT(c);
        Payword seed;
        seed.bytes.fill(1);
        const auto chain = s->chain(*c);
        CPPUNIT_ASSERT(chain && chain->at(20) == Chain(c->salt, seed, 1000).at(20));
    }

    void million_units_restore_quickly() {
        auto s = open();
        add(*s, 3, limits::max_chain);
        auto p = purse(*s);
        const auto began = std::clock();  // of this process: neither disk nor other programs count
        for (int i = 0; i < 10; ++i) {
            const auto t = p.reserve(want(vendor, "/" + std::to_string(i), 100000000));
            CPPUNIT_ASSERT(t);
            s->chain(t->coin)->at(t->index);
        }
        const double took = double(std::clock() - began) / CLOCKS_PER_SEC;
        CPPUNIT_ASSERT_MESSAGE(std::to_string(took), took < 2);
    }

    void one_coin_a_vendor() {
        auto s = open();
        add(*s, 1);
        add(*s, 2);
        auto p = purse(*s);
        const auto a = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a && p.paid(*a, vendor, a->amount, 20));
        const auto b = p.reserve(want(vendor, "/b"));
        CPPUNIT_ASSERT(b && b->coin.coin == a->coin.coin && b->known);
        CPPUNIT_ASSERT(p.paid(*b, vendor, b->amount, 40));
        const auto c = p.reserve(want(other, "/c"));
        CPPUNIT_ASSERT(c && c->coin.coin != a->coin.coin && !c->known);
        CPPUNIT_ASSERT(!p.reserve(want(vendor, "/d", 2000000)));
    }

    void dead_process_leaves_unknown() {
        auto s = open();
        add(*s, 1);
        Purse dead(*s, clock_, Process{this_process().pid, "another-boot:1"});
        const auto a = dead.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a && a->index == 20);
        auto p = purse(*s);
        const auto again = p.reserve(want(vendor, "/a"));  // the same page: the same ticket
        CPPUNIT_ASSERT(again && again->index == 20);
        CPPUNIT_ASSERT(p.paid(*again, vendor, again->amount, 20));
        CPPUNIT_ASSERT_EQUAL(20u, s->coin(a->coin.coin)->spent);
        const auto next = p.reserve(want(vendor, "/b"));
        CPPUNIT_ASSERT(next && next->index == 40);
    }

    void forked_processes_share_a_coin() {
        { auto s = open(); add(*s, 1, 4000); }
        std::vector<pid_t> children;
        for (int i = 0; i < 4; ++i) {
            const pid_t child = fork();
            if (child == 0) {
                auto s = Store::open(dir_ + "/w");
                if (!s) _exit(1);
                Purse p(**s, clock_, this_process());
                for (int k = 0; k < 5; ++k) {
                    auto t = p.reserve(want(vendor, "/" + std::to_string(i) + "/" + std::to_string(k)));
                    if (!t || !p.paid(*t, vendor, t->amount, 0)) _exit(1);
                }
                _exit(0);
            }
            children.push_back(child);
        }
        for (const auto child : children) {
            int status = 0;
            waitpid(child, &status, 0);
            CPPUNIT_ASSERT_EQUAL(0, status);
        }
        auto s = open();
        std::set<std::uint32_t> tickets;
        const auto lines = s->history("", 0);
        CPPUNIT_ASSERT(lines);
        for (const auto& h : *lines) tickets.insert(h.ticket);
        CPPUNIT_ASSERT_EQUAL(std::size_t{20}, tickets.size());
        CPPUNIT_ASSERT_EQUAL(400u, only_coin(*s).spent);
    }

    void lying_vendor_is_disputed() {
        auto s = open();
        const auto name = add(*s, 1);
        auto p = purse(*s);
        const auto a = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a);
        Answer lie;
        lie.spent = 500;
        lie.needed = 520;
        const auto b = p.reserve_again(want(vendor, "/a"), *a, lie);
        CPPUNIT_ASSERT(!b && b.failure().exit == Exit::disputed);
        CPPUNIT_ASSERT_EQUAL(500u, s->coin(name)->claimed);
        CPPUNIT_ASSERT_EQUAL(0u, s->coin(name)->spent);
        CPPUNIT_ASSERT(s->history("", 0)->empty());
        CPPUNIT_ASSERT(s->write_off(name, 500));
        const auto c = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(c && c->index == 520);
    }

    void budget_holds() {
        auto s = open();
        add(*s, 1);
        CPPUNIT_ASSERT(s->set_budget({vendor, *Currency::parse("uusd"), Amount::from(30000), {}}));
        auto p = purse(*s);
        const auto a = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a && p.paid(*a, vendor, a->amount, 20));
        const auto b = p.reserve(want(vendor, "/b"));
        CPPUNIT_ASSERT(!b && b.failure().exit == Exit::not_accepted);
        const auto elsewhere = p.reserve(want(other, "/b"));
        CPPUNIT_ASSERT(elsewhere);
        CPPUNIT_ASSERT(!p.reserve(want(vendor, "/small", 1000)));  // one coin is not at two sites at a time
        CPPUNIT_ASSERT(p.not_charged(*elsewhere));
        clock_.at += 500;  // the budget is of 24 hours
        CPPUNIT_ASSERT(!p.reserve(want(vendor, "/c")));
        CPPUNIT_ASSERT(s->set_budget({vendor, *Currency::parse("uusd"), {}, {}}));
        CPPUNIT_ASSERT(p.reserve(want(vendor, "/c")));
    }

    void page_is_read_again() {
        auto s = open();
        add(*s, 1);
        auto p = purse(*s);
        const auto a = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a && p.paid(*a, vendor, a->amount, 20));
        for (int i = 0; i < 3; ++i) {
            const auto again = p.reread(vendor, vendor + "/a");
            CPPUNIT_ASSERT(again && *again && (*again)->index == a->index && (*again)->reread);
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, p.paid(**again, vendor, a->amount, 20)->micro());
        }
        CPPUNIT_ASSERT(!*p.reread(vendor, vendor + "/a"));
        CPPUNIT_ASSERT_EQUAL(20u, only_coin(*s).spent);
    }

    void move_and_backup() {
        auto s = open();
        const auto name = add(*s, 1);
        auto p = purse(*s);
        const auto a = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a && p.paid(*a, vendor, a->amount, 20));
        const auto doubtful = p.reserve(want(vendor, "/b"));
        CPPUNIT_ASSERT(doubtful && p.doubt(*doubtful));
        const auto backup = make_export(*s, {}, false, true);
        const auto move = make_export(*s, {}, true, true);
        CPPUNIT_ASSERT(backup && move && mark_moved(*s, move->coins));
        CPPUNIT_ASSERT(!p.reserve(want(vendor, "/c")));

        auto there = open("there");
        CPPUNIT_ASSERT(!import_text(*there, backup->text.expose(), false));
        const auto in = import_text(*there, move->text.expose(), false);
        CPPUNIT_ASSERT(in && in->coins == 1);
        CPPUNIT_ASSERT(!there->coin(name)->restored);
        auto q = purse(*there);
        const auto t = q.reserve(want(vendor, "/b"));
        CPPUNIT_ASSERT(t && t->index == doubtful->index);
        const auto twice = import_text(*there, move->text.expose(), false);
        CPPUNIT_ASSERT(twice && twice->coins == 0 && twice->already_here.size() == 1);

        auto third = open("third");
        CPPUNIT_ASSERT(import_text(*third, backup->text.expose(), true));
        CPPUNIT_ASSERT(third->coin(name)->restored);
    }

    // Renewed and spent in another wallet, at two sites, and moved back.
    void a_coin_comes_back_as_it_is_elsewhere() {
        auto s = open();
        const auto name = add(*s, 1);
        auto p = purse(*s);
        const auto a = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(a && p.paid(*a, vendor, a->amount, 20));
        auto there = open("there");
        move(*s, *there);
        there->sql() << "UPDATE coins SET touchstone = 'renewed', expires = expires + 5000";
        auto q = purse(*there);
        const auto b = q.reserve(want(vendor, "/b"));
        CPPUNIT_ASSERT(b && q.paid(*b, vendor, b->amount, 40));
        const auto c = q.reserve(want(other, "/c"));
        CPPUNIT_ASSERT(c && q.paid(*c, other, c->amount, 60));
        const auto before = there->coin(name);
        move(*there, *s);
        const auto coin = s->coin(name);
        CPPUNIT_ASSERT(coin && before && coin->state == CoinState::live);
        CPPUNIT_ASSERT_EQUAL(std::string("renewed"), coin->touchstone);
        CPPUNIT_ASSERT_EQUAL(clock_.at + 6000, coin->expires);
        CPPUNIT_ASSERT_EQUAL(60u, coin->spent);
        CPPUNIT_ASSERT_EQUAL(other, coin->holder);
        CPPUNIT_ASSERT_EQUAL(before->held, coin->held);
        CPPUNIT_ASSERT(!coin->restored);
        CPPUNIT_ASSERT_EQUAL(60u, *s->revealed(*coin));
        // It is known there, with the tickets that either wallet used.
        const auto d = p.reserve(want(other, "/d"));
        CPPUNIT_ASSERT(d && d->known && d->index == 80 && p.not_charged(*d));
        const auto e = p.reserve(want(vendor, "/e"));
        CPPUNIT_ASSERT(e && e->known && e->index != 20 && e->index != 40);
        std::string used;
        s->sql() << "SELECT used FROM standings WHERE vendor = :v", soci::into(used), soci::use(vendor, "v");
        CPPUNIT_ASSERT_EQUAL(std::string("20,40"), used);
    }

    void what_was_open_is_decided_when_a_coin_comes_back() {
        auto s = open();
        add(*s, 1);
        auto p = purse(*s);
        for (const auto* page : {"/a", "/b", "/c"}) {
            const auto t = p.reserve(want(vendor, page));
            CPPUNIT_ASSERT(t);
            // One ticket each: while the others were under way.
            s->sql() << "UPDATE payments SET state = 'live'";
        }
        s->sql() << "UPDATE payments SET state = 'unknown'";
        auto there = open("there");
        move(*s, *there);
        auto q = purse(*there);
        const auto a = q.reserve(want(vendor, "/a"));  // the same ticket; it is charged
        CPPUNIT_ASSERT(a && a->index == 20 && q.paid(*a, vendor, a->amount, 20));
        there->sql() << "UPDATE payments SET state = 'void' WHERE ticket = 40";  // this one never was
        move(*there, *s);
        const auto state = [&](long long ticket) {
            std::string out;
            s->sql() << "SELECT group_concat(state) FROM payments WHERE ticket = :t", soci::into(out), soci::use(ticket, "t");
            return out;
        };
        CPPUNIT_ASSERT_EQUAL(std::string("paid"), state(20));
        CPPUNIT_ASSERT_EQUAL(std::string("void"), state(40));
        CPPUNIT_ASSERT_EQUAL(std::string("unknown"), state(60));
        CPPUNIT_ASSERT_EQUAL(20u, only_coin(*s).spent);
    }

    void an_old_backup_takes_nothing_back() {
        auto s = open();
        const auto name = add(*s, 1);
        auto p = purse(*s);
        const auto doubtful = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(doubtful && p.doubt(*doubtful));
        const auto backup = make_export(*s, {}, false, false);
        CPPUNIT_ASSERT(backup);
        s->sql() << "UPDATE coins SET touchstone = 'renewed', expires = expires + 5000";
        const auto again = p.reserve(want(vendor, "/a"));
        CPPUNIT_ASSERT(again && p.paid(*again, vendor, again->amount, 20));
        CPPUNIT_ASSERT(mark_moved(*s, {name}));
        CPPUNIT_ASSERT(import_text(*s, backup->text.expose(), true));
        const auto coin = only_coin(*s);
        CPPUNIT_ASSERT(coin.state == CoinState::live && coin.restored && coin.touchstone == "renewed");
        CPPUNIT_ASSERT_EQUAL(clock_.at + 6000, coin.expires);
        CPPUNIT_ASSERT_EQUAL(20u, coin.spent);
        CPPUNIT_ASSERT_EQUAL(vendor, coin.holder);
        // The payment that was open in the backup is known to have been made.
        long long open_ones = 0;
        s->sql() << "SELECT count(*) FROM payments WHERE state = 'unknown'", soci::into(open_ones);
        CPPUNIT_ASSERT_EQUAL(0LL, open_ones);
    }

    void bad_imports() {
        auto s = open();
        add(*s, 1);
        const auto good = make_export(*s, {}, true, true);
        CPPUNIT_ASSERT(good);
        std::string text(good->text.expose());
        auto there = open("there");
        for (const std::string& bad : {std::string(), std::string("nonsense\n"), std::string("{}\n"), text.substr(0, text.size() / 2),
                                       text + "{\"coin\":{}}\n", text.substr(0, text.rfind('\n', text.size() - 2) + 1)}) {
            CPPUNIT_ASSERT(!import_text(*there, bad, false));
            CPPUNIT_ASSERT(there->coins()->empty());
        }
        const auto at = text.find("\"salt\":\"") + 8;
        text[at] = text[at] == 'A' ? 'B' : 'A';
        CPPUNIT_ASSERT(!import_text(*there, text, false));
        text = good->text.expose();
        const auto expires = text.find("\"expires\":") + 10;
        text[expires] = text[expires] == '9' ? '8' : '9';  // a value that nothing else gives away
        CPPUNIT_ASSERT(!import_text(*there, text, false));
        CPPUNIT_ASSERT(import_text(*there, good->text.expose(), false));
    }

    void denominations() {
        const auto d = [](std::uint64_t unit, std::uint32_t n) { return Denomination{*Amount::from(unit), n}; };
        const std::vector<Denomination> all = {d(1000, 1000), d(1000, 10000), d(10000, 1000)};
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, make_up(*Amount::from(10000000), all).size());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000}, make_up(*Amount::from(10000000), all)[0].unit.micro());
        CPPUNIT_ASSERT_EQUAL(std::size_t{3}, make_up(*Amount::from(12000000), all).size());
        CPPUNIT_ASSERT(make_up(*Amount::from(500), all).empty());
        CPPUNIT_ASSERT(make_up(*Amount::from(1000000000000), all).empty());
    }

    void terminal_text() {
        CPPUNIT_ASSERT_EQUAL(std::string("a?[31mb"), printable("a\x1b[31mb"));
        CPPUNIT_ASSERT_EQUAL(std::string("?"), printable("\xc2\x9b"));
        CPPUNIT_ASSERT_EQUAL(std::string("?x"), printable("\xe2\x80\xaex"));
        CPPUNIT_ASSERT_EQUAL(std::string("é??"), printable("é\xff\xc0"));
        CPPUNIT_ASSERT_EQUAL(std::string("aaaaa..."), printable("aaaaaaaaaa", 5));
        CPPUNIT_ASSERT(parse_money("0.05 EUR", *Currency::parse("uusd"))->currency == *Currency::parse("ueur"));
        CPPUNIT_ASSERT(!parse_money("five", *Currency::parse("uusd")));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(WalletStore);

}  // namespace
}  // namespace netpay::wallet
