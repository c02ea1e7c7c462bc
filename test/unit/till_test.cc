// The till: the spend machine's vectors through a real one, and what becomes
// of it when processes die, places run out, bytes flip and disks fail.
#include <cppunit/TestAssert.h>
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/base64url.h"
#include "core/challenge.h"
#include "core/json.h"
#include "core/payword.h"
#include "mod_netpay/till/disk.h"
#include "mod_netpay/till/hot_table.h"
#include "mod_netpay/till/snapshot.h"
#include "mod_netpay/till/till.h"

namespace netpay::till {
namespace {

constexpr UnixTime never = UnixTime{1} << 40;
const std::vector<std::string> brokers{"https://broker.example"};

// A disk that fails when told to.
class FailingDisk : public Disk {
public:
    int sync(void* at, std::size_t n) override { return fail_sync ? EIO : Disk::sync(at, n); }
    int allocate(int fd, off_t n) override { return fail_allocate ? ENOSPC : Disk::allocate(fd, n); }
    int commit(MDB_txn* txn) override {
        if (!fail_commit) return Disk::commit(txn);
        mdb_txn_abort(txn);
        return fail_commit;
    }
    std::atomic<bool> fail_sync{false}, fail_allocate{false};
    std::atomic<int> fail_commit{0};
};

// A coin with its chain.
struct Money {
    Salt salt{};
    Chain chain;
    Tag16 tag;
    explicit Money(std::uint32_t serial, std::uint32_t n = 1000)
        : salt(salted(serial)), chain(salt, Payword{}, n), tag(coin_tag(salt, chain.at(0))) {}
    static Salt salted(std::uint32_t serial) {
        Salt s{};
        std::memcpy(s.data(), &serial, sizeof serial);
        return s;
    }
    Coin coin(std::uint64_t epoch = 1, std::uint32_t start = 0, UnixTime lease = never) const {
        Coin c;
        c.terms.iss = brokers[0];
        c.terms.tag = tag;
        c.terms.coin = b64u_encode(tag);
        c.terms.cur = *Currency::parse("uusd");
        c.terms.unit = *Amount::from(1000);
        c.terms.n = chain.n();
        c.terms.salt = salt;
        c.terms.root = chain.at(0);
        c.terms.exp = never;
        c.touchstone = "touchstone";
        c.custody = "custody" + std::to_string(epoch);
        c.epoch = epoch;
        c.start = start;
        c.word = chain.at(start);
        c.lease = lease;
        return c;
    }
    Charge charge(std::uint32_t j, std::uint32_t units = 1, UnixTime now = 100) const {
        Charge c;
        c.coin = tag;
        c.payment.index = j;
        if (j >= 1 && j <= chain.n()) c.payment.word = chain.at(j);
        c.payment.resource[0] = static_cast<std::uint8_t>(j);
        c.payment.resource[1] = static_cast<std::uint8_t>(j >> 8);
        c.payment.is_get = true;
        c.payment.now = now;
        c.price = *Amount::from(std::uint64_t{units} * 1000);
        c.currency = *Currency::parse("uusd");
        c.brokers = brokers;
        return c;
    }
};

bool pay(Till& t, const Money& m, std::uint32_t j, std::uint32_t units = 1, UnixTime now = 100) {
    auto c = m.charge(j, units, now);
    auto out = t.reserve(c);
    return out.answer == Answer::judged && out.verdict == Verdict::paid && t.settle(c, out);
}

const char* name_of(const Outcome& o) {
    if (o.answer != Answer::judged) return "not judged";
    switch (o.verdict) {
        case Verdict::paid: return "paid";
        case Verdict::replayed: return "replayed";
        case Verdict::insufficient: return "insufficient";
        case Verdict::already_spent: return "already-spent";
        case Verdict::forged: return "forged";
        case Verdict::hop_too_long: return "hop-too-long";
        case Verdict::expired: return "expired";
        case Verdict::lease_over: return "lease-over";
        case Verdict::busy: return "busy";
    }
    return "?";
}

json::Document load(const std::string& name) {
    std::ifstream in(std::string(VECTORS) + "/" + name);
    std::stringstream text;
    text << in.rdbuf();
    auto doc = json::Document::parse(text.str());
    CPPUNIT_ASSERT_MESSAGE("cannot read " + name, doc.ok());
    return std::move(*doc);
}

// Runs f in a child process, whose exit code is 0 if it returned true.
pid_t in_child(const std::function<bool()>& f) {
    const pid_t child = fork();
    CPPUNIT_ASSERT(child >= 0);
    if (child == 0) {
        alarm(60);
        _exit(f() ? 0 : 1);
    }
    return child;
}

int wait_for(pid_t child) {
    int status = -1;
    waitpid(child, &status, 0);
    return status;
}

void kill_and_wait(pid_t child) {
    kill(child, SIGKILL);
    const int status = wait_for(child);
    CPPUNIT_ASSERT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

class TillTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TillTest);
    CPPUNIT_TEST(vectors);
    CPPUNIT_TEST(records);
    CPPUNIT_TEST(refusals);
    CPPUNIT_TEST(released);
    CPPUNIT_TEST(busy_is_waited_for);
    CPPUNIT_TEST(custody_regained);
    CPPUNIT_TEST(owed_from_earlier_epochs);
    CPPUNIT_TEST(lease_renewed);
    CPPUNIT_TEST(claims);
    CPPUNIT_TEST(forgotten);
    CPPUNIT_TEST(every_coin);
    CPPUNIT_TEST(eviction);
    CPPUNIT_TEST(eviction_spares_open_reservations);
    CPPUNIT_TEST(resized);
    CPPUNIT_TEST(observed);
    CPPUNIT_TEST(killed_while_settling);
    CPPUNIT_TEST(killed_in_use_by_others);
    CPPUNIT_TEST(killed_while_evicting);
    CPPUNIT_TEST(reservation_of_the_dead);
    CPPUNIT_TEST(race_for_one_coin);
    CPPUNIT_TEST(race_for_places);
    CPPUNIT_TEST(one_image_torn);
    CPPUNIT_TEST(both_images_torn);
    CPPUNIT_TEST(power_lost_at_intervals);
    CPPUNIT_TEST(power_lost_always);
    CPPUNIT_TEST(sync_fails);
    CPPUNIT_TEST(checkpoint_fails);
    CPPUNIT_TEST(no_space_passes);
    CPPUNIT_TEST(full_disk_at_open);
    CPPUNIT_TEST(private_files);
    CPPUNIT_TEST_SUITE_END();

public:
    void setUp() override {
        std::string name = "/tmp/till_test.XXXXXX";
        CPPUNIT_ASSERT(mkdtemp(name.data()));
        options_ = Options();
        options_.directory = name;
        options_.slots = 64;
        options_.busy_wait_ms = 300;
    }
    void tearDown() override { std::filesystem::remove_all(options_.directory); }

private:
    Options options_;

    std::unique_ptr<Till> open() {
        auto t = Till::open(options_);
        CPPUNIT_ASSERT_MESSAGE(t ? "" : t.error().detail, t.ok());
        return std::move(*t);
    }

    // A process that works on the till until it is killed; returns when it said that it got so far.
    pid_t worker(const std::function<void(Till&)>& work) {
        int ready[2];
        CPPUNIT_ASSERT(pipe(ready) == 0);
        const pid_t child = in_child([&] {
            auto t = Till::open(options_);
            if (!t) return false;
            work(**t);
            (void)!write(ready[1], "x", 1);
            for (;;) pause();
        });
        close(ready[1]);
        char c = 0;
        CPPUNIT_ASSERT(read(ready[0], &c, 1) == 1);
        close(ready[0]);
        return child;
    }

    void vectors() {
        const auto doc = load("spend.json");
        const auto& v = doc.root();
        const auto chains = load("payword.json");
        const auto salt = *b64u_decode_array<16>(*v.string("salt"));
        std::optional<Payword> seed;
        for (const auto& c : *chains.root().array("chains"))
            if (c.string("salt") == v.string("salt") && c.uint("n") == 1000u) seed = decode_payword(*c.string("seed"));
        CPPUNIT_ASSERT(seed.has_value());
        const Chain chain(salt, *seed, 1000);
        unsigned steps = 0, cases = 0;
        for (const auto& c : *v.array("cases")) {
            // Every case has a till of its own, opened anew before each of its first steps.
            Options o = options_;
            o.directory += "/" + std::to_string(++cases);
            o.slots = 8;
            std::filesystem::create_directory(o.directory);
            auto till = Till::open(o);
            CPPUNIT_ASSERT(till.ok());
            const auto& start = *c.object("start");
            Coin coin;
            coin.terms.iss = brokers[0];
            coin.terms.tag = coin_tag(salt, chain.at(0));
            coin.terms.cur = *Currency::parse("uusd");
            coin.terms.unit = *Amount::from(1000);
            coin.terms.n = 1000;
            coin.terms.salt = salt;
            coin.terms.root = chain.at(0);
            coin.terms.exp = start.uint("exp") ? static_cast<UnixTime>(*start.uint("exp")) : never;
            coin.lease = start.uint("lease") ? static_cast<UnixTime>(*start.uint("lease")) : never;
            coin.start = static_cast<std::uint32_t>(*start.uint("spent"));
            coin.word = chain.at(coin.start);
            coin.epoch = 1;
            CPPUNIT_ASSERT((*till)->take(coin).ok());
            unsigned k = 0;
            for (const auto& s : *c.array("steps")) {
                ++steps;
                const std::string at = std::string(*c.string("name")) + ", step " + std::to_string(++k);
                Charge ch;
                ch.coin = coin.terms.tag;
                ch.payment.index = *s.uint("index");
                ch.payment.word = *decode_payword(*s.string("payword"));
                ch.payment.resource = resource_binding("GET", "https://news.example/" + std::string(*s.string("key")));
                ch.payment.is_get = true;
                ch.payment.now = static_cast<UnixTime>(*s.uint("now"));
                ch.price = *Amount::from(*s.uint("price") * 1000);
                ch.currency = coin.terms.cur;
                ch.brokers = brokers;
                ch.rules.grace_s = static_cast<std::int64_t>(*v.uint("grace"));
                ch.rules.max_hop = start.uint("max_hop") ? static_cast<std::uint32_t>(*start.uint("max_hop")) : 1000;
                auto out = (*till)->reserve(ch);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, std::string(*s.string("verdict")), std::string(name_of(out)));
                if (out.verdict == Verdict::paid) CPPUNIT_ASSERT_MESSAGE(at, (*till)->settle(ch, out));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, *s.uint("spent"), std::uint64_t{out.spent});
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, *s.uint("revealed"), std::uint64_t{out.revealed});
                if (s.uint("needed")) CPPUNIT_ASSERT_EQUAL_MESSAGE(at, *s.uint("needed"), std::uint64_t{out.needed});
                if (k > 5 && k % 100 != 0) continue;
                till->reset();
                till = Till::open(o);
                CPPUNIT_ASSERT(till.ok());
                const auto e = (*till)->find(ch.coin);
                CPPUNIT_ASSERT_MESSAGE(at, e && e->state.spent == out.spent && e->state.revealed == out.revealed);
            }
        }
        CPPUNIT_ASSERT(steps > 1200);
    }

    void records() {
        Snapshot s;
        s.version = 77;
        s.last_used = 99;
        s.state = SpendState::taken_over(Money::salted(1), 1000, 40, Payword{}, 500, 600);
        s.state.revealed = 900;
        for (std::uint32_t i = 42; i < 700; i += 3) s.state.tickets.insert(i);
        s.state.recent[0] = {45, 2, 123, {}};
        s.state.recent_at = 1;
        const auto bytes = encode(s);
        const auto back = decode_snapshot(bytes);
        CPPUNIT_ASSERT(back && encode(*back) == bytes && back->version == 77 && back->state.recent[0].replays == 2);
        for (std::size_t n = 0; n < bytes.size(); ++n) {
            CPPUNIT_ASSERT(!decode_snapshot(std::string_view(bytes).substr(0, n)));
            auto bad = bytes;
            bad[n] = static_cast<char>(bad[n] ^ 1);
            CPPUNIT_ASSERT(!decode_snapshot(bad));
        }
        s.state.spent = 901;  // more than was revealed: well written, but no state the machine comes to
        CPPUNIT_ASSERT(!decode_snapshot(encode(s)));
        Papers p;
        p.coin = Money(1).coin(7, 3);
        p.owed.push_back({1, 2, {}});
        const auto papers = encode(p);
        const auto again = decode_papers(papers);
        CPPUNIT_ASSERT(again && encode(*again) == papers && again->coin.custody == "custody7" && again->owed.size() == 1);
        for (std::size_t n = 0; n < papers.size(); ++n) {
            auto bad = papers;
            bad[n] = static_cast<char>(bad[n] ^ 1);
            CPPUNIT_ASSERT(!decode_papers(bad) && !decode_papers(std::string_view(papers).substr(0, n)));
        }
    }

    void refusals() {
        auto t = open();
        const Money m(1);
        auto c = m.charge(1);
        CPPUNIT_ASSERT(t->reserve(c).answer == Answer::unknown);
        CPPUNIT_ASSERT(!t->find(m.tag) && !t->hot(m.tag));
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        CPPUNIT_ASSERT(!t->hot(m.tag));
        c.currency = *Currency::parse("ueur");
        CPPUNIT_ASSERT(t->reserve(c).answer == Answer::currency);
        c = m.charge(1);
        const std::vector<std::string> others{"https://other.example"};
        c.brokers = others;
        CPPUNIT_ASSERT(t->reserve(c).answer == Answer::broker);
        c = m.charge(1);
        c.price = *Amount::from(limits::max_amount);  // more units than any chain has
        auto out = t->reserve(c);
        CPPUNIT_ASSERT(out.answer == Answer::judged && out.verdict == Verdict::insufficient && out.needed > 1000);
        c = m.charge(1);
        c.price = *Amount::from(1);  // less than a unit costs one
        out = t->reserve(c);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid && out.units == 1);
        CPPUNIT_ASSERT(t->hot(m.tag));
        auto stranger = m.charge(2);
        CPPUNIT_ASSERT(!t->settle(stranger, out));  // never reserved
        CPPUNIT_ASSERT(t->settle(c, out) && !t->settle(c, out));
    }

    void released() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        auto c = m.charge(5, 5);
        CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::paid);
        t->release(c);
        CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::paid);  // the ticket was not used
        t->release(c);
        t->release(c);
        CPPUNIT_ASSERT(pay(*t, m, 5, 5));
        CPPUNIT_ASSERT_EQUAL(5u, t->find(m.tag)->state.spent);
    }

    void busy_is_waited_for() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        auto first = m.charge(1);
        auto out = t->reserve(first);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid);
        auto same = m.charge(1);
        CPPUNIT_ASSERT(t->reserve(same).answer == Answer::unavailable);  // after busy_wait_ms
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            CPPUNIT_ASSERT(t->settle(first, out));
        });
        const auto judged = t->reserve(same);
        later.join();
        CPPUNIT_ASSERT(judged.answer == Answer::judged && judged.verdict == Verdict::replayed);
    }

    void custody_regained() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin(1, 10)).ok());
        CPPUNIT_ASSERT(pay(*t, m, 15, 2) && pay(*t, m, 14, 1));
        // Nobody held it in between: the whole state is kept.
        CPPUNIT_ASSERT(*t->take(m.coin(2, 13)));
        auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.coin.epoch == 2 && e.state.spent == 13 && e.state.revealed == 15 && e.claimed == 10);
        auto used = m.charge(15);
        used.payment.resource[2] = 1;
        CPPUNIT_ASSERT(t->reserve(used).verdict == Verdict::already_spent);
        CPPUNIT_ASSERT(pay(*t, m, 13));  // what was revealed and not spent, by a ticket not used
        // An older epoch changes nothing.
        CPPUNIT_ASSERT(!*t->take(m.coin(1, 10)));
        // Someone else held it and spent more.
        CPPUNIT_ASSERT(*t->take(m.coin(4, 40)));
        e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.state.spent == 40 && e.state.revealed == 40 && e.state.start == 40 && e.state.word == m.chain.at(40));
        CPPUNIT_ASSERT(pay(*t, m, 41));
        auto other = m.coin(5, 41);
        other.terms.unit = *Amount::from(2000);
        CPPUNIT_ASSERT(t->take(other).error().code == Code::mismatch);
    }

    void owed_from_earlier_epochs() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin(1, 0)).ok());
        CPPUNIT_ASSERT(pay(*t, m, 12, 10));
        CPPUNIT_ASSERT(t->claim(m.tag, 4).ok());
        for (int again = 0; again < 2; ++again) {
            CPPUNIT_ASSERT(*t->take(m.coin(3, 30)));
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT_EQUAL(std::size_t{1}, e.owed.size());
            CPPUNIT_ASSERT(e.owed[0].from == 4 && e.owed[0].to == 10 && e.owed[0].word == m.chain.at(10));
            CPPUNIT_ASSERT(e.claimed == 30 && e.state.spent == 30);
        }
        CPPUNIT_ASSERT(t->claim(m.tag, 30).ok());
        CPPUNIT_ASSERT(t->find(m.tag)->owed.empty());
    }

    void lease_renewed() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin(1, 0, 150)).ok());
        CPPUNIT_ASSERT(pay(*t, m, 1, 1, 150));
        auto late = m.charge(2, 1, 151);
        CPPUNIT_ASSERT(t->reserve(late).verdict == Verdict::lease_over);
        CPPUNIT_ASSERT(*t->take(m.coin(1, 0, 300)));
        CPPUNIT_ASSERT(pay(*t, m, 2, 1, 151));
        auto unconfirmed = m.coin(1, 0, 200);  // shorter, without the document: neither is lost
        unconfirmed.custody.clear();
        CPPUNIT_ASSERT(*t->take(unconfirmed));
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.state.lease == 300 && e.coin.lease == 300 && e.coin.custody == "custody1" && e.state.spent == 2);
    }

    void claims() {
        const Money a(1), b(2);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(a.coin()).ok() && t->take(b.coin()).ok());
            CPPUNIT_ASSERT(pay(*t, a, 9, 9) && pay(*t, b, 9, 9));
            const Till::Claimed both[] = {{a.tag, 9}, {b.tag, 5}, {Money(3).tag, 5}};
            CPPUNIT_ASSERT(t->claim(both).ok());
            CPPUNIT_ASSERT(t->claim(a.tag, 3).ok());  // never falls
        }
        auto t = open();
        CPPUNIT_ASSERT_EQUAL(9u, t->find(a.tag)->claimed);
        CPPUNIT_ASSERT_EQUAL(5u, t->find(b.tag)->claimed);
    }

    void forgotten() {
        const Money m(1);
        auto t = open();
        CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1));
        CPPUNIT_ASSERT(t->forget(m.tag).ok() && !t->find(m.tag) && !t->hot(m.tag));
        t.reset();
        t = open();
        auto c = m.charge(2);
        CPPUNIT_ASSERT(t->reserve(c).answer == Answer::unknown);
    }

    void every_coin() {
        auto t = open();
        std::map<Tag16, std::uint32_t> want;
        for (std::uint32_t k = 0; k < 300; ++k) {
            const Money m(k, 8);
            CPPUNIT_ASSERT(t->take(m.coin()).ok());
            if (k % 3 == 0) CPPUNIT_ASSERT(pay(*t, m, 3, 2));
            want[m.tag] = k % 3 == 0 ? 2 : 0;
        }
        std::map<Tag16, std::uint32_t> got;
        t->each([&](const Entry& e) {
            got[e.coin.terms.tag] = e.state.spent;
            CPPUNIT_ASSERT(t->claim(e.coin.terms.tag, e.state.spent).ok());
        });
        CPPUNIT_ASSERT(want == got);
    }

    void eviction() {
        options_.slots = 8;
        std::vector<Money> money;
        for (std::uint32_t k = 0; k < 30; ++k) money.emplace_back(k, 50);
        {
            auto t = open();
            for (const auto& m : money) CPPUNIT_ASSERT(t->take(m.coin()).ok());
            for (std::uint32_t j = 1; j <= 6; ++j)
                for (const auto& m : money) CPPUNIT_ASSERT(pay(*t, m, j));
            CPPUNIT_ASSERT(!t->hot(money[0].tag) && t->hot(money[29].tag));
            auto old = money[0].charge(3);
            CPPUNIT_ASSERT(t->reserve(old).verdict == Verdict::replayed);
            CPPUNIT_ASSERT(!t->hot(money[22].tag));  // the one not used for longest made room
        }
        auto t = open();
        for (const auto& m : money) CPPUNIT_ASSERT_EQUAL(6u, t->find(m.tag)->state.spent);
    }

    void eviction_spares_open_reservations() {
        options_.slots = 8;
        auto t = open();
        std::vector<Money> money;
        std::vector<Charge> open_charges;
        for (std::uint32_t k = 0; k < 9; ++k) money.emplace_back(k, 50);
        for (const auto& m : money) CPPUNIT_ASSERT(t->take(m.coin()).ok());
        for (std::uint32_t k = 0; k < 8; ++k) {
            open_charges.push_back(money[k].charge(1));
            CPPUNIT_ASSERT(t->reserve(open_charges.back()).verdict == Verdict::paid);
        }
        auto ninth = money[8].charge(1);
        CPPUNIT_ASSERT(t->reserve(ninth).answer == Answer::unavailable);
        Outcome out;
        CPPUNIT_ASSERT(t->settle(open_charges[3], out));
        CPPUNIT_ASSERT(t->reserve(ninth).verdict == Verdict::paid);
        for (std::uint32_t k = 0; k < 8; ++k)
            if (k != 3) CPPUNIT_ASSERT(t->settle(open_charges[k], out));
    }

    void resized() {
        const Money m(1);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 2, 2));
            Options other = options_;
            other.slots = 0;  // as it is
            auto beside = Till::open(other);
            CPPUNIT_ASSERT(beside.ok() && pay(**beside, m, 3));
        }
        options_.slots = 128;
        auto t = open();
        CPPUNIT_ASSERT_EQUAL(3u, t->find(m.tag)->state.spent);
        CPPUNIT_ASSERT(pay(*t, m, 4));
        Options huge = options_;
        huge.directory += "/huge";
        huge.slots = HotTable::max_slots + 1;
        std::filesystem::create_directory(huge.directory);
        CPPUNIT_ASSERT(!Till::open(huge).ok());
    }

    void observed() {
        auto t = open();
        const Money m(1);
        std::vector<std::pair<std::uint32_t, std::uint64_t>> seen;
        t->observe([&](const Tag16& coin, const SpendState& s, std::uint64_t version) {
            CPPUNIT_ASSERT(coin == m.tag);
            seen.push_back({s.spent, version});
        });
        CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1));
        auto c = m.charge(2, 5);
        CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::insufficient);  // raised r
        CPPUNIT_ASSERT_EQUAL(std::size_t{3}, seen.size());
        CPPUNIT_ASSERT(seen[0].first == 0 && seen[1].first == 1 && seen[2].first == 1);
        CPPUNIT_ASSERT(seen[0].second < seen[1].second && seen[1].second < seen[2].second);
    }

    // What was acknowledged before kill -9 is there afterwards, at whatever instant it came.
    void killed_while_settling() {
        const Money m(1, 200000);
        options_.slots = 8;
        std::uint32_t paid = 0;
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin()).ok());
        }
        for (int round = 0; round < 25; ++round) {
            auto* acknowledged = static_cast<std::atomic<std::uint32_t>*>(
                mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
            acknowledged->store(0);
            const pid_t child = in_child([&] {
                auto t = Till::open(options_);
                if (!t) return false;
                for (std::uint32_t j = paid + 1; j < 200000; ++j) {
                    if (!pay(**t, m, j, 1, 1000 + j)) return false;
                    acknowledged->store(j);
                }
                for (;;) pause();
            });
            while (acknowledged->load() == 0) std::this_thread::yield();
            usleep(static_cast<useconds_t>(rand() % 4000));
            kill_and_wait(child);
            const std::uint32_t at_least = acknowledged->load();
            munmap(acknowledged, 4096);
            auto t = open();
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT(e.state.spent == at_least || e.state.spent == at_least + 1);
            CPPUNIT_ASSERT(plausible(e.state) && e.state.word == m.chain.at(e.state.revealed));
            CPPUNIT_ASSERT(e.state.tickets.size() == 1 && e.state.tickets[0].last == e.state.spent);
            auto again = m.charge(at_least);
            again.payment.resource[3] = 1;
            CPPUNIT_ASSERT(t->reserve(again).verdict == Verdict::already_spent);
            paid = e.state.spent;
        }
    }

    // The same while another process keeps the till open, so that nothing is folded or made anew.
    void killed_in_use_by_others() {
        const Money m(1, 200000);
        auto t = open();
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        std::uint32_t paid = 0;
        for (int round = 0; round < 25; ++round) {
            int pipes[2];
            CPPUNIT_ASSERT(pipe(pipes) == 0);
            const pid_t child = in_child([&] {
                auto own = Till::open(options_);
                if (!own) return false;
                for (std::uint32_t j = paid + 1;; ++j) {
                    if (!pay(**own, m, j, 1, 1000 + j)) return false;
                    if (write(pipes[1], &j, sizeof j) != sizeof j) return false;
                }
            });
            close(pipes[1]);
            std::uint32_t last = 0, j = 0;
            CPPUNIT_ASSERT(read(pipes[0], &last, sizeof last) == sizeof last);
            usleep(static_cast<useconds_t>(rand() % 3000));
            kill(child, SIGKILL);
            while (read(pipes[0], &j, sizeof j) == sizeof j) last = j;
            close(pipes[0]);
            CPPUNIT_ASSERT(WIFSIGNALED(wait_for(child)));
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT(e.state.spent == last || e.state.spent == last + 1);
            CPPUNIT_ASSERT(pay(*t, m, e.state.spent + 1, 1, 1000));
            paid = e.state.spent + 1;
        }
    }

    // Coins that push each other out of eight places, with checkpoints between.
    void killed_while_evicting() {
        options_.slots = 8;
        std::vector<Money> money;
        for (std::uint32_t k = 0; k < 12; ++k) money.emplace_back(k, 500);
        struct Tally {
            std::atomic<std::uint32_t> paid[12];
        };
        auto* tally = static_cast<Tally*>(mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        {
            auto t = open();
            for (const auto& m : money) CPPUNIT_ASSERT(t->take(m.coin()).ok());
        }
        for (int round = 0; round < 12; ++round) {
            std::atomic<std::uint32_t>& first = tally->paid[0];
            const std::uint32_t before = first.load();
            const pid_t child = in_child([&] {
                auto t = Till::open(options_);
                if (!t) return false;
                for (unsigned step = 0;; ++step)
                    for (std::uint32_t k = 0; k < 12; ++k) {
                        const std::uint32_t j = tally->paid[k].load() + 1;
                        if (j < 500 && !pay(**t, money[k], j)) return false;
                        tally->paid[k].store(j);
                        if ((step + k) % 7 == 0 && !(*t)->flush()) return false;
                    }
            });
            while (first.load() == before) usleep(100);
            usleep(static_cast<useconds_t>(rand() % 100000));
            kill_and_wait(child);
            auto t = open();
            for (std::uint32_t k = 0; k < 12; ++k) {
                const auto e = *t->find(money[k].tag);
                const auto at_least = tally->paid[k].load();
                CPPUNIT_ASSERT(e.state.spent == at_least || e.state.spent == at_least + 1);
                if (e.state.spent > 0)
                    CPPUNIT_ASSERT(e.state.tickets.size() == 1 && e.state.tickets[0].last == e.state.spent);
                tally->paid[k].store(e.state.spent);
            }
        }
        munmap(tally, sizeof *tally);
    }

    void reservation_of_the_dead() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        const pid_t child = worker([&](Till& own) {
            auto c = m.charge(3, 3);
            if (own.reserve(c).verdict != Verdict::paid) _exit(1);
        });
        auto same = m.charge(3, 3), money = m.charge(2, 2);
        CPPUNIT_ASSERT(t->reserve(same).answer == Answer::unavailable);   // the ticket is under way
        CPPUNIT_ASSERT(t->reserve(money).answer == Answer::unavailable);  // so is the balance
        kill_and_wait(child);
        CPPUNIT_ASSERT(t->reserve(money).verdict == Verdict::paid);
        Outcome out;
        CPPUNIT_ASSERT(t->settle(money, out));
        CPPUNIT_ASSERT_EQUAL(2u, out.spent);
        CPPUNIT_ASSERT_EQUAL(3u, out.revealed);
    }

    // Eight processes of eight threads, all with the same hundred paywords.
    void race_for_one_coin() {
        const Money m(1, 150);
        struct Tally {
            std::atomic<std::uint32_t> tickets[151];
            std::atomic<std::uint32_t> units;
        };
        auto* tally = static_cast<Tally*>(mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        options_.busy_wait_ms = 5000;
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin()).ok());
        }
        std::vector<pid_t> children;
        for (unsigned p = 0; p < 8; ++p)
            children.push_back(in_child([&, p] {
                auto t = Till::open(options_);
                if (!t) return false;
                std::vector<std::thread> threads;
                for (unsigned k = 0; k < 8; ++k)
                    threads.emplace_back([&, k] {
                        for (std::uint32_t step = 0; step < 150; ++step) {
                            const std::uint32_t j = 1 + (step * 7 + k * 13 + p * 29) % 150;
                            auto c = m.charge(j, 1 + j % 2);
                            c.payment.resource[4] = static_cast<std::uint8_t>(8 * p + k);
                            auto out = (*t)->reserve(c);
                            if (out.answer != Answer::judged || out.verdict != Verdict::paid) continue;
                            if (j % 5 == 0 && step % 2 == 0) {
                                (*t)->release(c);
                            } else if ((*t)->settle(c, out)) {
                                tally->tickets[j].fetch_add(1);
                                tally->units.fetch_add(out.units);
                            }
                        }
                    });
                for (auto& th : threads) th.join();
                return true;
            }));
        for (const auto c : children) CPPUNIT_ASSERT_EQUAL(0, wait_for(c));
        auto t = open();
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT_EQUAL(e.state.spent, tally->units.load());
        CPPUNIT_ASSERT(e.state.spent <= e.state.revealed && e.state.revealed == 150);
        CPPUNIT_ASSERT(e.state.spent >= 149);  // the last unit may not pay for two
        for (std::uint32_t j = 1; j <= 150; ++j) {
            CPPUNIT_ASSERT(tally->tickets[j].load() <= 1);
            CPPUNIT_ASSERT_EQUAL(tally->tickets[j].load() == 1, e.state.tickets.contains(j));
        }
        munmap(tally, sizeof *tally);
    }

    // Four processes on twenty coins and eight places: evicted, loaded and checkpointed by all at once.
    void race_for_places() {
        options_.slots = 8;
        options_.busy_wait_ms = 10000;
        std::vector<Money> money;
        for (std::uint32_t k = 0; k < 20; ++k) money.emplace_back(k, 100);
        {
            auto t = open();
            for (const auto& m : money) CPPUNIT_ASSERT(t->take(m.coin()).ok());
        }
        std::vector<pid_t> children;
        for (std::uint32_t p = 0; p < 4; ++p)
            children.push_back(in_child([&, p] {
                auto t = Till::open(options_);
                if (!t) return false;
                for (std::uint32_t j = 1; j <= 10; ++j)
                    for (std::uint32_t k = 0; k < 20; ++k) {
                        if (!pay(**t, money[(k + 5 * p) % 20], 4 * j - p)) return false;
                        if ((j + k) % 9 == p && !(*t)->flush()) return false;
                    }
                return true;
            }));
        for (const auto c : children) CPPUNIT_ASSERT_EQUAL(0, wait_for(c));
        auto t = open();
        for (const auto& m : money) {
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT_EQUAL(40u, e.state.spent);
            CPPUNIT_ASSERT_EQUAL(40u, e.state.revealed);
        }
    }

    // ---- damage: a process is killed, then bytes of the file are changed

    struct Bytes {
        std::string path;
        std::vector<char> data;
        explicit Bytes(const std::string& directory) : path(directory + "/hot.tbl") {
            std::ifstream in(path, std::ios::binary);
            data.assign(std::istreambuf_iterator<char>(in), {});
        }
        void write() const {
            std::ofstream out(path, std::ios::binary | std::ios::in);
            out.write(data.data(), static_cast<std::streamsize>(data.size()));
        }
        // The images of a coin, by where its tag stands in them.
        std::vector<Image*> images(const Tag16& coin) {
            std::vector<Image*> out;
            for (std::size_t at = 4096; at + sizeof(Image) <= data.size(); at += 4096) {
                auto* i = reinterpret_cast<Image*>(data.data() + at);
                if (i->terms.coin == coin && i->run != 0) out.push_back(i);
            }
            return out;
        }
        void tear(Image* i) { i->state.spent ^= 0x55; }
        // As after a reboot.
        void other_boot() {
            const std::string_view all(data.data(), 4096);
            std::ifstream in("/proc/sys/kernel/random/boot_id");
            std::string id;
            std::getline(in, id);
            const auto at = all.find(id);
            CPPUNIT_ASSERT(at != std::string_view::npos);
            data[at] = data[at] == 'x' ? 'y' : 'x';
        }
    };

    // Pays 1 … units, checkpointed by others than the one that dies up to `saved`.
    void die_after(const Money& m, std::uint32_t saved, std::uint32_t units) {
        const pid_t child = worker([&](Till& t) {
            if (!t.take(m.coin())) _exit(1);
            for (std::uint32_t j = 1; j <= units; ++j) {
                if (!pay(t, m, j)) _exit(1);
                if (j == saved && !t.flush()) _exit(1);
            }
        });
        kill_and_wait(child);
    }

    void one_image_torn() {
        const Money m(1);
        die_after(m, 2, 7);
        Bytes file(options_.directory);
        auto images = file.images(m.tag);
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, images.size());
        auto* newest = images[0]->version > images[1]->version ? images[0] : images[1];
        CPPUNIT_ASSERT(newest->intact());
        file.tear(newest);
        file.write();
        auto t = open();
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT_EQUAL(6u, e.state.spent);  // the one before, newer than the checkpoint
        CPPUNIT_ASSERT(!e.damaged && pay(*t, m, 8));
    }

    void both_images_torn() {
        const Money m(1), other(2);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(other.coin()).ok());
        }
        die_after(m, 2, 7);
        Bytes file(options_.directory);
        for (auto* i : file.images(m.tag)) file.tear(i);
        file.write();
        for (int again = 0; again < 2; ++again) {
            auto t = open();
            CPPUNIT_ASSERT(t->find(m.tag)->damaged && !t->find(other.tag)->damaged);
            auto c = m.charge(8);
            CPPUNIT_ASSERT(t->reserve(c).answer == Answer::unavailable);  // not the old state: that could sell twice
            CPPUNIT_ASSERT(!t->take(m.coin(1)).ok());
            CPPUNIT_ASSERT(pay(*t, other, 1 + static_cast<std::uint32_t>(again)));
        }
        auto t = open();
        CPPUNIT_ASSERT(t->take(m.coin(2, 20)).ok());  // a later epoch heals it
        CPPUNIT_ASSERT(!t->find(m.tag)->damaged && pay(*t, m, 21));
    }

    void power_lost_at_intervals() {
        const Money m(1);
        die_after(m, 5, 7);
        Bytes file(options_.directory);
        for (auto* i : file.images(m.tag)) file.tear(i);
        file.other_boot();
        file.write();
        auto t = open();  // the checkpoint stands: within what Sync::interval promises
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(!e.damaged && e.state.spent == 5);
        CPPUNIT_ASSERT(pay(*t, m, 6));
    }

    void power_lost_always() {
        options_.sync = Sync::always;
        const Money m(1), n(2);
        die_after(m, 5, 7);
        {
            Bytes file(options_.directory);
            auto images = file.images(m.tag);
            file.tear(images[0]->version > images[1]->version ? images[1] : images[0]);  // the one being written
            // The sets are not synced: they may be anything.
            std::memset(file.data.data() + 4096, 0xa5, 384 * 8);
            file.other_boot();
            file.write();
            auto t = open();
            CPPUNIT_ASSERT_EQUAL(7u, t->find(m.tag)->state.spent);
        }
        die_after(n, 5, 7);
        Bytes file(options_.directory);
        for (auto* i : file.images(n.tag)) file.tear(i);
        file.other_boot();
        file.write();
        auto t = open();
        CPPUNIT_ASSERT(t->find(n.tag)->damaged && !t->find(m.tag)->damaged);
    }

    // ---- a disk that fails

    void sync_fails() {
        FailingDisk disk;
        options_.disk = &disk;
        options_.sync = Sync::always;
        const Money m(1);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1));
            auto c = m.charge(2);
            auto out = t->reserve(c);
            CPPUNIT_ASSERT(out.verdict == Verdict::paid);
            disk.fail_sync = true;
            CPPUNIT_ASSERT(!t->settle(c, out));
            CPPUNIT_ASSERT(out.answer == Answer::unavailable && *out.why && !t->usable());
            disk.fail_sync = false;  // nothing is retried
            auto next = m.charge(3);
            CPPUNIT_ASSERT(t->reserve(next).answer == Answer::unavailable);
            CPPUNIT_ASSERT(!t->flush() && !t->take(m.coin(2)).ok() && !t->claim(m.tag, 1).ok());
            CPPUNIT_ASSERT(!Till::open(options_).ok());
        }
        auto t = open();
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(t->usable() && e.state.spent >= 1 && e.state.spent <= 2);
        CPPUNIT_ASSERT(pay(*t, m, 3));
    }

    void checkpoint_fails() {
        FailingDisk disk;
        options_.disk = &disk;
        const Money m(1);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1));
            disk.fail_commit = EIO;
            CPPUNIT_ASSERT(!t->flush() && !t->usable());
            auto c = m.charge(2);
            CPPUNIT_ASSERT(t->reserve(c).answer == Answer::unavailable);
        }
        disk.fail_commit = 0;
        auto t = open();
        CPPUNIT_ASSERT_EQUAL(1u, t->find(m.tag)->state.spent);  // it was in the table
    }

    void no_space_passes() {
        FailingDisk disk;
        options_.disk = &disk;
        auto t = open();
        const Money m(1), later(2);
        CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1));
        disk.fail_commit = ENOSPC;
        CPPUNIT_ASSERT(t->take(later.coin()).error().code == Code::limit);
        CPPUNIT_ASSERT(pay(*t, m, 2) && !t->flush() && t->usable());
        for (int k = 0; k < 10; ++k) CPPUNIT_ASSERT(!t->flush());
        auto c = m.charge(3);
        CPPUNIT_ASSERT(!t->usable() && t->reserve(c).answer == Answer::unavailable);
        disk.fail_commit = 0;
        CPPUNIT_ASSERT(t->flush() && t->usable() && pay(*t, m, 3));
    }

    void full_disk_at_open() {
        FailingDisk disk;
        options_.disk = &disk;
        disk.fail_allocate = true;
        const auto t = Till::open(options_);
        CPPUNIT_ASSERT(!t.ok() && t.error().code == Code::limit);
        CPPUNIT_ASSERT(t.error().detail.find("hot.tbl") != std::string::npos);
        Options absent;
        absent.directory = options_.directory + "/absent";
        CPPUNIT_ASSERT(!Till::open(absent).ok());
    }

    void private_files() {
        auto t = open();
        for (const auto& f : std::filesystem::directory_iterator(options_.directory)) {
            struct stat s {};
            CPPUNIT_ASSERT(stat(f.path().c_str(), &s) == 0);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(f.path().string(), 0u, unsigned{s.st_mode & 077});
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TillTest);

}  // namespace
}  // namespace netpay::till
