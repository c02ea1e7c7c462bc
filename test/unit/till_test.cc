// The till: the spend machine's vectors through a real one, and what becomes
// of it when processes die, places run out, bytes flip and disks fail.
#include <cppunit/TestAssert.h>
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include <atomic>
#include <bit>
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

std::string hex(std::string_view digits) {
    const auto value = [](char c) { return static_cast<unsigned>(c <= '9' ? c - '0' : c - 'a' + 10); };
    std::string out;
    for (std::size_t i = 0; i + 1 < digits.size(); i += 2)
        out.push_back(static_cast<char>(value(digits[i]) << 4 | value(digits[i + 1])));
    return out;
}

// Records as the first version of the program wrote them: Money(1).coin(7, 3)
// with one range owed, and a state taken over at 40.
constexpr std::string_view papers_of_version_1 =
    "011600000068747470733a2f2f62726f6b65722e6578616d706c650400000075757364e803000000000000e803000001"
    "00000000000000000000000000000075872a87964448cbee9985b94491ba3a1c41f821f65201b6b6ecd162bcdd5f0700"
    "000000000000000000000000010000d7fa653ca75576acb02179e034236ca60a000000746f75636873746f6e65080000"
    "00637573746f647937070000000000000003000000cb59ade4bec613b69d6474455906cd7c8e6175b65f0e29d894f7d7"
    "ccb664679c00000000000100000300000000010000000100000002000000000000000000000000000000000000000000"
    "00000000000000000000000000006657096722f403f9";
constexpr std::string_view snapshot_of_version_1 =
    "014d00000000000000630000000000000001000000000000000000000000000000e803000028000000f4010000000000"
    "00580200000000000028000000280000007eb9143a235595faf12832281e68d9049fa08ebb2b78362b8728c8680e94b7"
    "29000000000000000000000000355b39b7d0c5dafb";

// As the second version wrote them, before pages were given back: passed on in
// epoch 7, which turned out void; and a ticket that was replayed 70,000 times.
constexpr std::string_view papers_of_version_2 =
    "021600000068747470733a2f2f62726f6b65722e6578616d706c650400000075757364e803000000000000e803000001"
    "00000000000000000000000000000075872a87964448cbee9985b94491ba3a1c41f821f65201b6b6ecd162bcdd5f0700"
    "000000000000000000000000010000d7fa653ca75576acb02179e034236ca60a000000746f75636873746f6e65080000"
    "00637573746f647937070000000000000003000000cb59ade4bec613b69d6474455906cd7c8e6175b65f0e29d894f7d7"
    "ccb664679c00000000000100000500000000010000000100000002000000000000000000000000000000000000000000"
    "0000000000000000000000000000010105000000696e6465781400000068747470733a2f2f6e6578742e6578616d706c"
    "650b00000063657274696669636174650000000000000000060000000000000007000000726566757365640700000000"
    "000000e91ac897493b358f";
constexpr std::string_view snapshot_of_version_2 =
    "024d00000000000000630000000000000001000000000000000000000000000000e803000028000000f4010000000000"
    "0058020000000000002d0000002d000000f7a4cfd54bb86e11da744cf9098e7b926ce76b385f296dbb632eb9e32ea518"
    "0a010000002d0000002d00000001000000010000002d000000701101007b000000000000000000000000000000000000"
    "00000000000400000010417e5f69d1bb31";

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
    CPPUNIT_TEST(records_of_the_first_version);
    CPPUNIT_TEST(records_of_the_second_version);
    CPPUNIT_TEST(refusals);
    CPPUNIT_TEST(released);
    CPPUNIT_TEST(busy_is_waited_for);
    CPPUNIT_TEST(few_wait_at_once);
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
    CPPUNIT_TEST(handed_over);
    CPPUNIT_TEST(handed_over_cold);
    CPPUNIT_TEST(hand_over_refused);
    CPPUNIT_TEST(hand_over_waits_for_payments);
    CPPUNIT_TEST(hand_over_and_payments_race);
    CPPUNIT_TEST(killed_while_handing_over);
    CPPUNIT_TEST(killed_while_dropping);
    CPPUNIT_TEST(killed_while_confirming);
    CPPUNIT_TEST(hand_over_on_a_full_disk);
    CPPUNIT_TEST(power_lost_after_hand_over);
    CPPUNIT_TEST(regained_after_hand_over);
    CPPUNIT_TEST(confirmed_after_hand_over);
    CPPUNIT_TEST(unconfirmed_pages);
    CPPUNIT_TEST(unconfirmed_pages_of_several);
    CPPUNIT_TEST(unconfirmed_is_not_handed_over);
    CPPUNIT_TEST(dropped);
    CPPUNIT_TEST(taken_over_below_what_was_sold);
    CPPUNIT_TEST(an_index_renews_no_custody);
    CPPUNIT_TEST(void_epochs_bar_no_true_one);
    CPPUNIT_TEST(settled_after_take);
    CPPUNIT_TEST(claims_around_a_hand_over);
    CPPUNIT_TEST(unreported_coins);
    CPPUNIT_TEST(first_use_of_requests);
    CPPUNIT_TEST(given_back);
    CPPUNIT_TEST(given_back_only_so);
    CPPUNIT_TEST(given_back_within_the_day);
    CPPUNIT_TEST(what_was_told_is_not_given_back);
    CPPUNIT_TEST(given_back_and_later_epochs);
    CPPUNIT_TEST(killed_while_giving_back);
    CPPUNIT_TEST(given_back_on_a_full_disk);
    CPPUNIT_TEST(power_lost_after_giving_back);
    CPPUNIT_TEST(giving_back_and_claims_race);
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
        s.state.recent[0] = {45, 2, 123, 1u << 20, {}};
        s.state.recent_at = 1;
        const auto bytes = encode(s);
        const auto back = decode_snapshot(bytes);
        CPPUNIT_ASSERT(back && encode(*back) == bytes && back->version == 77 && back->state.recent[0].replays == 2);
        CPPUNIT_ASSERT(back->state.recent[0].units == 1u << 20 && back->state.recent[0].used_at == 123);
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
        p.coin.indices = {"index one", "index two"};
        p.coin.pages = 10;
        p.standing = Standing::handed_over;
        p.handed_over = {"index three", "https://next.example", "certificate"};
        p.shown = 17;
        p.given_back = 5;
        p.given_day = 20000;
        p.given.assign(Till::most_given_back, Tag16{1, 2, 3});
        const auto papers = encode(p);
        const auto again = decode_papers(papers);
        CPPUNIT_ASSERT(again && encode(*again) == papers && again->coin.custody == "custody7" && again->owed.size() == 1);
        CPPUNIT_ASSERT(again->coin.indices == p.coin.indices && again->coin.pages == 10);
        CPPUNIT_ASSERT(again->standing == Standing::handed_over && again->handed_over->to == "https://next.example");
        CPPUNIT_ASSERT(again->handed_over->index == "index three" && again->handed_over->certificate == "certificate");
        CPPUNIT_ASSERT(again->shown == 17 && again->given_back == 5 && again->given_day == 20000 && again->given == p.given);
        CPPUNIT_ASSERT_EQUAL(17u, again->floor_of_s());
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
        t->release(first);
        t.reset();
        options_.busy_wait_ms = 20000;
        t = open();
        out = t->reserve(first);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid);
        std::thread later([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            CPPUNIT_ASSERT(t->settle(first, out));
        });
        const auto judged = t->reserve(same);
        later.join();
        CPPUNIT_ASSERT(judged.answer == Answer::judged && judged.verdict == Verdict::replayed);
    }

    // Duplicates of a payment whose handler is slow do not take every thread there is.
    void few_wait_at_once() {
        options_.busy_wait_ms = 20000;
        options_.most_waiting = 3;
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        auto first = m.charge(1);
        auto out = t->reserve(first);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid);
        std::atomic<int> turned_away = 0, replayed = 0;
        std::vector<std::jthread> threads;
        for (int i = 0; i < 8; ++i)
            threads.emplace_back([&] {
                auto same = m.charge(1);
                const auto o = t->reserve(same);
                turned_away += o.answer == Answer::unavailable;
                replayed += o.answer == Answer::judged && o.verdict == Verdict::replayed;
            });
        const auto until = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        while (turned_away < 5 && std::chrono::steady_clock::now() < until)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        CPPUNIT_ASSERT_EQUAL(5, turned_away.load());
        // Another coin is none of theirs.
        const Money other(2);
        CPPUNIT_ASSERT(t->take(other.coin()).ok() && pay(*t, other, 1, 1));
        CPPUNIT_ASSERT(t->settle(first, out));
        threads.clear();
        CPPUNIT_ASSERT_EQUAL(3, replayed.load());
        CPPUNIT_ASSERT_EQUAL(5, turned_away.load());
        auto again = m.charge(1);
        CPPUNIT_ASSERT(t->reserve(again).answer == Answer::judged);  // the places are free again
    }

    void custody_regained() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin(1, 10)).ok());
        CPPUNIT_ASSERT(pay(*t, m, 15, 2) && pay(*t, m, 14, 1));
        // Nobody held it in between: the whole state is kept.
        CPPUNIT_ASSERT(*t->take(m.coin(2, 13)));
        auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.coin.epoch == 2 && e.state.spent == 13 && e.state.revealed == 15);
        // What was sold in the epoch before is claimed by itself.
        CPPUNIT_ASSERT(e.claimed == 13 && e.owed.size() == 1 && e.owed[0].from == 10 && e.owed[0].to == 13);
        CPPUNIT_ASSERT(e.owed[0].word == m.chain.at(13));
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

    // ---- coins that travel

    // A custody taken over by signed indices, which the broker has not confirmed.
    static Coin unconfirmed(const Money& m, std::uint64_t epoch, std::uint32_t start, std::uint32_t pages,
                            UnixTime lease = never) {
        Coin c = m.coin(epoch, start, lease);
        c.custody.clear();
        c.indices = {"index to " + std::to_string(epoch)};
        c.pages = pages;
        return c;
    }

    // Signs as a vendor does, and counts.
    struct Signer {
        std::string to = "https://next.example";
        int calls = 0;
        std::string coin;
        Till::Leaving last;
        Till::Sign sign() {
            return [this](const Till::Leaving& l) {
                ++calls;
                last = l;
                coin = l.coin;
                return HandedOver{"index " + std::to_string(l.index) + " of epoch " + std::to_string(l.epoch) + " to " + to,
                                  to, "certificate of " + to};
            };
        }
    };
    static Till::HandoverOutcome hand_over(Till& t, const Money& m, std::uint64_t epoch, bool unconfirmed_too = false,
                                           UnixTime now = 100) {
        Signer s;
        return t.hand_over(m.tag, epoch, now, unconfirmed_too, s.sign());
    }
    static Answer answer_to(Till& t, const Money& m, std::uint32_t j) {
        auto c = m.charge(j);
        return t.reserve(c).answer;
    }
    using Handover = Till::Handover;

    void records_of_the_first_version() {
        // As the first version wrote them: one record in hex each, made by it.
        const auto papers = decode_papers(hex(papers_of_version_1));
        CPPUNIT_ASSERT(papers && papers->standing == Standing::held && !papers->handed_over && papers->coin.indices.empty());
        CPPUNIT_ASSERT(papers->coin.custody == "custody7" && papers->coin.epoch == 7 && papers->claimed == 3);
        CPPUNIT_ASSERT(papers->owed.size() == 1 && !papers->unconfirmed());
        const auto state = decode_snapshot(hex(snapshot_of_version_1));
        CPPUNIT_ASSERT(state && state->version == 77 && state->state.start == 40 && state->pages_left == 0);
    }

    void records_of_the_second_version() {
        const auto papers = decode_papers(hex(papers_of_version_2));
        CPPUNIT_ASSERT(papers && papers->standing == Standing::handed_over && papers->handed_over->to == "https://next.example");
        CPPUNIT_ASSERT(papers->floor == 6 && papers->refused == "refused" && papers->void_epoch == 7 && papers->claimed == 5);
        CPPUNIT_ASSERT(papers->shown == 0 && papers->given_back == 0 && papers->given.empty() && papers->floor_of_s() == 5);
        const auto state = decode_snapshot(hex(snapshot_of_version_2));
        CPPUNIT_ASSERT(state && state->pages_left == 4 && state->state.spent == 45 && state->state.tickets.contains(45));
        const auto& ticket = state->state.recent[0];
        CPPUNIT_ASSERT(ticket.index == 45 && ticket.replays == 70000 && ticket.used_at == 123 && ticket.units == 0);
        // The table's images have the same places for it.
        struct Before {
            std::uint32_t index, replays;
            UnixTime used_at;
            Tag16 resource;
        } const before{45, 70000, 1800000000, {1, 2}};
        static_assert(sizeof(RecentTicket) == sizeof before);
        const auto now = std::bit_cast<RecentTicket>(before);
        CPPUNIT_ASSERT(now.index == 45 && now.replays == 70000 && now.used_at == 1800000000 && now.units == 0);
        CPPUNIT_ASSERT(now.resource == before.resource);
    }

    void handed_over() {
        const Money m(1);
        std::string index;
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin(3, 10, 500)).ok() && pay(*t, m, 15, 2));
            Signer s;
            const auto out = t->hand_over(m.tag, 3, 500, false, s.sign());
            CPPUNIT_ASSERT(out.result == Handover::given && s.calls == 1);
            CPPUNIT_ASSERT(s.coin == m.coin().terms.coin && s.last.epoch == 3 && s.last.lease == 500);
            CPPUNIT_ASSERT(s.last.index == 12 && s.last.payword == m.chain.at(12));  // s, never r
            index = out.given.index;
            CPPUNIT_ASSERT(answer_to(*t, m, 16) == Answer::not_held && !t->hot(m.tag));
            // Whoever asks again, it is what was given; nothing is signed again, and the lease matters no more.
            Signer other;
            other.to = "https://other.example";
            const auto again = t->hand_over(m.tag, 3, 501, false, other.sign());
            CPPUNIT_ASSERT(again.result == Handover::given && again.given.index == index && other.calls == 0);
            CPPUNIT_ASSERT(again.given.to == "https://next.example");
        }
        auto t = open();
        const auto again = hand_over(*t, m, 3);
        CPPUNIT_ASSERT(again.result == Handover::given && again.given.index == index);
        CPPUNIT_ASSERT(again.given.certificate == "certificate of https://next.example");
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.standing == Standing::handed_over && e.handed_over->index == index);
        CPPUNIT_ASSERT(e.state.spent == 12 && e.state.revealed == 15 && e.claimed == 10 && e.coin.epoch == 3);
        CPPUNIT_ASSERT(answer_to(*t, m, 16) == Answer::not_held);
        CPPUNIT_ASSERT(!*t->take(m.coin(3, 10, 900)) && answer_to(*t, m, 16) == Answer::not_held);
    }

    // One that rests in the store below, spent to nothing, or wholly.
    void handed_over_cold() {
        const Money fresh(1), spent(2, 40);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(fresh.coin()).ok() && t->take(spent.coin()).ok() && pay(*t, spent, 40, 40));
        }
        auto t = open();
        Signer s;
        CPPUNIT_ASSERT(t->hand_over(fresh.tag, 1, 100, false, s.sign()).result == Handover::given);
        CPPUNIT_ASSERT(s.last.index == 0 && s.last.payword == fresh.chain.at(0));
        CPPUNIT_ASSERT(t->hand_over(spent.tag, 1, 100, false, s.sign()).result == Handover::given);
        CPPUNIT_ASSERT(s.last.index == 40 && s.last.payword == spent.chain.at(40));
        CPPUNIT_ASSERT(!t->hot(fresh.tag) && answer_to(*t, fresh, 1) == Answer::not_held);
    }

    void hand_over_refused() {
        const Money m(1), damaged(2);
        auto t = open();
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::unknown);
        CPPUNIT_ASSERT(t->take(m.coin(2, 0, 150)).ok());
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::other_epoch);
        CPPUNIT_ASSERT(hand_over(*t, m, 3).result == Handover::other_epoch);
        CPPUNIT_ASSERT(hand_over(*t, m, 2, false, 151).result == Handover::lease_over);
        const auto unsigned_one = t->hand_over(m.tag, 2, 100, false, [](const Till::Leaving&) { return HandedOver{}; });
        CPPUNIT_ASSERT(unsigned_one.result == Handover::unavailable && *unsigned_one.why);
        CPPUNIT_ASSERT(pay(*t, m, 1));  // none of these changed anything
        CPPUNIT_ASSERT(!t->find(m.tag)->handed_over);
    }

    void hand_over_waits_for_payments() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        auto c = m.charge(2, 2);
        auto out = t->reserve(c);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid);
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::busy);
        CPPUNIT_ASSERT(t->settle(c, out));
        auto d = m.charge(4, 2);
        CPPUNIT_ASSERT(t->reserve(d).verdict == Verdict::paid && hand_over(*t, m, 1).result == Handover::busy);
        t->release(d);
        // Of a process that died, the payment under way is void.
        const pid_t child = worker([&](Till& own) {
            auto theirs = m.charge(6, 2);
            if (own.reserve(theirs).verdict != Verdict::paid) _exit(1);
        });
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::busy);
        kill_and_wait(child);
        Signer s;
        CPPUNIT_ASSERT(t->hand_over(m.tag, 1, 100, false, s.sign()).result == Handover::given);
        CPPUNIT_ASSERT_EQUAL(2u, s.last.index);
    }

    // Processes that sell as long as they can, and one that hands over amid that:
    // the index is exactly what was sold, and nothing is sold afterwards.
    void hand_over_and_payments_race() {
        options_.busy_wait_ms = 5000;
        struct Tally {
            std::atomic<std::uint32_t> units, late;
            std::atomic<bool> over;
        };
        auto* tally = static_cast<Tally*>(mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        for (std::uint32_t round = 0; round < 8; ++round) {
            const Money m(round, 100000);
            tally->units = tally->late = 0;
            tally->over = false;
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin()).ok());
            std::vector<pid_t> children;
            for (std::uint32_t p = 0; p < 4; ++p)
                children.push_back(in_child([&, p] {
                    auto own = Till::open(options_);
                    if (!own) return false;
                    for (std::uint32_t j = 1 + p; j < 100000; j += 4) {
                        auto c = m.charge(j);
                        c.rules.max_hop = 100000;
                        const bool was_over = tally->over.load();
                        auto out = (*own)->reserve(c);
                        if (out.answer == Answer::not_held) return true;
                        if (out.answer != Answer::judged) return false;
                        if (out.verdict != Verdict::paid) continue;
                        if (!(*own)->settle(c, out)) return false;
                        tally->units.fetch_add(1);
                        if (was_over) tally->late.fetch_add(1);
                    }
                    return false;
                }));
            while (tally->units.load() < 20) std::this_thread::yield();
            usleep(static_cast<useconds_t>(rand() % 3000));
            Signer s;
            Till::HandoverOutcome out;
            do out = t->hand_over(m.tag, 1, 100, false, s.sign());
            while (out.result == Handover::busy);
            tally->over = true;
            CPPUNIT_ASSERT(out.result == Handover::given);
            for (const auto c : children) CPPUNIT_ASSERT_EQUAL(0, wait_for(c));
            CPPUNIT_ASSERT_EQUAL(tally->units.load(), s.last.index);
            CPPUNIT_ASSERT_EQUAL(0u, tally->late.load());
            CPPUNIT_ASSERT_EQUAL(s.last.index, t->find(m.tag)->state.spent);
        }
        munmap(tally, sizeof *tally);
    }

    // Dies at one place of the order in which a coin's papers are changed.
    enum class Place { before_commit, after_commit, at_the_end };
    class DyingDisk : public Disk {
    public:
        std::optional<Place> place;
        int commit(MDB_txn* txn) override {
            if (place == Place::before_commit) _exit(9);  // the image is doubted, the papers are as before
            const int code = Disk::commit(txn);
            if (place == Place::after_commit) _exit(9);   // the papers are written, the image is still there
            return code;
        }
    };
    // In a process of its own: does `change` and dies at `place`. `before` goes first.
    void die_at(Place place, const std::function<void(Till&)>& before, const std::function<void(Till&)>& change) {
        const pid_t child = in_child([&] {
            DyingDisk disk;
            Options o = options_;
            o.disk = &disk;
            auto t = Till::open(o);
            if (!t) return false;
            before(**t);
            (*t)->observe([&](const Tag16&, const SpendState&, std::uint64_t) {
                if (place == Place::at_the_end) _exit(9);
            });
            disk.place = place;
            change(**t);
            return false;
        });
        const int status = wait_for(child);
        CPPUNIT_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 9);
    }

    // With other processes having the till open all the while, and without.
    template <class F>
    void with_and_without_others(const F& f) {
        std::uint32_t serial = 100;
        for (const bool others : {true, false})
            for (const auto place : {Place::before_commit, Place::after_commit, Place::at_the_end})
                for (const auto sync : {Sync::interval, Sync::always}) {
                    options_.sync = sync;
                    const Money m(serial++);
                    auto t = open();
                    CPPUNIT_ASSERT(t->take(m.coin(3, 10)).ok() && pay(*t, m, 12, 2));
                    if (!others) t.reset();
                    f(t, m, place);
                    t.reset();
                }
    }

    void killed_while_handing_over() {
        with_and_without_others([&](std::unique_ptr<Till>& t, const Money& m, Place place) {
            die_at(place, [&](Till& own) { if (!pay(own, m, 14, 2)) _exit(1); },
                   [&](Till& own) { (void)hand_over(own, m, 3); });
            if (!t) t = open();
            const bool gone = place != Place::before_commit;
            auto c = m.charge(16, 2);
            auto out = t->reserve(c);
            CPPUNIT_ASSERT_EQUAL(gone, out.answer == Answer::not_held);
            if (!gone) {  // nothing was said to anybody: it is sold on
                CPPUNIT_ASSERT(out.verdict == Verdict::paid && t->settle(c, out));
                CPPUNIT_ASSERT(t->find(m.tag)->standing == Standing::held);
            }
            Signer s;
            s.to = "https://other.example";
            const auto again = t->hand_over(m.tag, 3, 100, false, s.sign());
            CPPUNIT_ASSERT(again.result == Handover::given);
            CPPUNIT_ASSERT_EQUAL(gone ? 0 : 1, s.calls);
            CPPUNIT_ASSERT_EQUAL(std::string(gone ? "index 14 of epoch 3 to https://next.example"
                                                  : "index 16 of epoch 3 to https://other.example"), again.given.index);
            CPPUNIT_ASSERT_EQUAL(gone ? 14u : 16u, t->find(m.tag)->state.spent);
            t.reset();
            t = open();
            CPPUNIT_ASSERT(answer_to(*t, m, 18) == Answer::not_held);
        });
    }

    void killed_while_dropping() {
        with_and_without_others([&](std::unique_ptr<Till>& t, const Money& m, Place place) {
            die_at(place, [&](Till& own) { if (!pay(own, m, 14, 2)) _exit(1); },
                   [&](Till& own) { (void)own.drop(m.tag, 3); });
            if (!t) t = open();
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT_EQUAL(14u, e.state.spent);
            CPPUNIT_ASSERT((e.standing == Standing::dropped) == (place != Place::before_commit));
            CPPUNIT_ASSERT((answer_to(*t, m, 16) == Answer::not_held) == (place != Place::before_commit));
        });
    }

    // The image may not go on saying that the custody is unconfirmed, nor that the lease is shorter.
    void killed_while_confirming() {
        with_and_without_others([&](std::unique_ptr<Till>& t, const Money& m, Place place) {
            const auto before = [&](Till& own) {
                if (!own.take(unconfirmed(m, 4, 12, 2, 400)) || !pay(own, m, 13)) _exit(1);
            };
            die_at(place, before, [&](Till& own) { (void)own.take(m.coin(4, 12, 900)); });
            if (!t) t = open();
            const bool confirmed = place != Place::before_commit;
            CPPUNIT_ASSERT(pay(*t, m, 14));  // the second page
            auto c = m.charge(15, 1, 450);
            auto out = t->reserve(c);
            CPPUNIT_ASSERT(confirmed ? out.verdict == Verdict::paid : out.verdict == Verdict::lease_over);
            if (confirmed) CPPUNIT_ASSERT(t->settle(c, out));
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT_EQUAL(confirmed ? 15u : 14u, e.state.spent);
            CPPUNIT_ASSERT_EQUAL(confirmed, e.coin.indices.empty());
            CPPUNIT_ASSERT(*t->take(m.coin(4, 12, 900)) && pay(*t, m, confirmed ? 16 : 15, 1, 450));
        });
    }

    void hand_over_on_a_full_disk() {
        FailingDisk disk;
        options_.disk = &disk;
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1));
        disk.fail_commit = ENOSPC;
        const auto out = hand_over(*t, m, 1);
        CPPUNIT_ASSERT(out.result == Handover::unavailable && *out.why && out.given.index.empty());
        CPPUNIT_ASSERT(pay(*t, m, 2));  // it was not given
        CPPUNIT_ASSERT(!t->drop(m.tag, 1).ok() && pay(*t, m, 3));
        disk.fail_commit = 0;
        Signer s;
        CPPUNIT_ASSERT(t->hand_over(m.tag, 1, 100, false, s.sign()).result == Handover::given && s.last.index == 3);
        const Money broken(2);
        CPPUNIT_ASSERT(t->take(broken.coin()).ok() && pay(*t, broken, 1));
        disk.fail_commit = EIO;
        CPPUNIT_ASSERT(hand_over(*t, broken, 1).result == Handover::unavailable && !t->usable());
        CPPUNIT_ASSERT(answer_to(*t, broken, 2) == Answer::unavailable);
    }

    // The table of before the hand-over comes back: the store below knows better.
    void power_lost_after_hand_over() {
        const Money m(1);
        std::optional<Bytes> before;
        const pid_t child = worker([&](Till& t) {
            if (!t.take(m.coin()) || !pay(t, m, 5, 5)) _exit(1);
        });
        before.emplace(options_.directory);
        {
            auto t = open();
            CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::given);
        }
        kill_and_wait(child);
        before->other_boot();
        before->write();
        auto t = open();
        CPPUNIT_ASSERT(answer_to(*t, m, 6) == Answer::not_held && t->find(m.tag)->state.spent == 5);
    }

    void regained_after_hand_over() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin(1, 0)).ok() && pay(*t, m, 12, 10));
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::given);
        CPPUNIT_ASSERT(!*t->take(m.coin(1, 0)));
        CPPUNIT_ASSERT(*t->take(m.coin(3, 30)));  // another sold to 30
        auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.standing == Standing::held && !e.handed_over && e.state.spent == 30 && e.state.revealed == 30);
        CPPUNIT_ASSERT(e.claimed == 30 && e.owed.size() == 1 && e.owed[0].from == 0 && e.owed[0].to == 10);
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::other_epoch);
        CPPUNIT_ASSERT(pay(*t, m, 35, 5));
        Signer s;
        CPPUNIT_ASSERT(t->hand_over(m.tag, 3, 100, false, s.sign()).result == Handover::given && s.last.index == 35);
        CPPUNIT_ASSERT(*t->take(m.coin(5, 20)));  // below its own s, which never falls
        e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.state.spent == 35 && e.state.revealed == 35);
        auto used = m.charge(35);
        used.payment.resource[2] = 1;
        CPPUNIT_ASSERT(t->reserve(used).verdict == Verdict::already_spent);
    }

    void confirmed_after_hand_over() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 4, 10, 5)).ok());
        CPPUNIT_ASSERT(hand_over(*t, m, 4, true).result == Handover::given);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, t->unreported(10).size());  // still to be shown
        CPPUNIT_ASSERT(!*t->take(m.coin(4, 10)));
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.standing == Standing::handed_over && e.coin.custody == "custody4" && e.coin.indices.empty());
        CPPUNIT_ASSERT(t->unreported(10).empty() && answer_to(*t, m, 11) == Answer::not_held);
    }

    void unconfirmed_pages() {
        options_.slots = 8;
        const Money m(1);
        std::vector<Money> others;
        for (std::uint32_t k = 2; k < 12; ++k) others.emplace_back(k, 50);
        const auto evict = [&](Till& t) {
            for (const auto& o : others) {
                CPPUNIT_ASSERT(t.take(o.coin()).ok());
                auto c = o.charge(1);
                CPPUNIT_ASSERT(t.reserve(c).answer == Answer::judged);
                t.release(c);
            }
            CPPUNIT_ASSERT(!t.hot(m.tag));
        };
        auto t = open();
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 2, 0, 4)).ok());
        CPPUNIT_ASSERT(pay(*t, m, 3, 3));  // three units are one page
        CPPUNIT_ASSERT_EQUAL(3u, t->find(m.tag)->pages_left);
        evict(*t);
        CPPUNIT_ASSERT(pay(*t, m, 4));
        t.reset();
        t = open();
        CPPUNIT_ASSERT_EQUAL(2u, t->find(m.tag)->pages_left);
        CPPUNIT_ASSERT(*t->take(unconfirmed(m, 2, 0, 4)));  // the same again gives no more pages
        CPPUNIT_ASSERT_EQUAL(2u, t->find(m.tag)->pages_left);
        // Those under way count; a replay and what is refused do not.
        auto a = m.charge(5), b = m.charge(6), c = m.charge(7), old = m.charge(4);
        auto out = t->reserve(a);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid && t->reserve(b).verdict == Verdict::paid);
        CPPUNIT_ASSERT(t->reserve(c).answer == Answer::unconfirmed);
        CPPUNIT_ASSERT(t->reserve(old).verdict == Verdict::replayed);
        t->release(b);
        CPPUNIT_ASSERT(t->settle(a, out));
        CPPUNIT_ASSERT(pay(*t, m, 8));
        CPPUNIT_ASSERT(t->reserve(b).answer == Answer::unconfirmed);
        CPPUNIT_ASSERT_EQUAL(0u, t->find(m.tag)->pages_left);
        CPPUNIT_ASSERT(*t->take(m.coin(2, 0)) && pay(*t, m, 6) && t->find(m.tag)->pages_left == 0);
        const Money none(20);
        CPPUNIT_ASSERT(t->take(unconfirmed(none, 2, 0, 0)).ok() && answer_to(*t, none, 1) == Answer::unconfirmed);
    }

    void unconfirmed_pages_of_several() {
        const Money m(1, 500);
        options_.busy_wait_ms = 5000;
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(unconfirmed(m, 2, 0, 37)).ok());
        }
        auto* sold = static_cast<std::atomic<std::uint32_t>*>(
            mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        std::vector<pid_t> children;
        for (std::uint32_t p = 0; p < 4; ++p)
            children.push_back(in_child([&, p] {
                auto own = Till::open(options_);
                if (!own) return false;
                for (std::uint32_t j = 1 + p; j < 400; j += 4)
                    if (pay(**own, m, j)) sold->fetch_add(1);
                return true;
            }));
        for (const auto c : children) CPPUNIT_ASSERT_EQUAL(0, wait_for(c));
        CPPUNIT_ASSERT_EQUAL(37u, sold->load());
        CPPUNIT_ASSERT_EQUAL(37u, open()->find(m.tag)->state.spent);
        munmap(sold, 4096);
    }

    void unconfirmed_is_not_handed_over() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 2, 5, 4)).ok());
        CPPUNIT_ASSERT(hand_over(*t, m, 2).result == Handover::unconfirmed);
        CPPUNIT_ASSERT(pay(*t, m, 6));
        CPPUNIT_ASSERT(hand_over(*t, m, 2, true).result == Handover::unconfirmed);  // it sold something
        CPPUNIT_ASSERT(*t->take(m.coin(2, 5)));
        CPPUNIT_ASSERT(hand_over(*t, m, 2).result == Handover::given);
        const Money fresh(2);
        CPPUNIT_ASSERT(t->take(unconfirmed(fresh, 2, 5, 4)).ok());
        Signer s;
        CPPUNIT_ASSERT(t->hand_over(fresh.tag, 2, 100, true, s.sign()).result == Handover::given && s.last.index == 5);
    }

    void dropped() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(!*t->drop(m.tag, 1));
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 2, 10, 9)).ok() && pay(*t, m, 16, 6));
        auto under_way = m.charge(17);
        auto out = t->reserve(under_way);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid);
        CPPUNIT_ASSERT(!*t->drop(m.tag, 1) && *t->drop(m.tag, 2) && *t->drop(m.tag, 2));
        CPPUNIT_ASSERT(!t->settle(under_way, out) && out.answer == Answer::unavailable);
        CPPUNIT_ASSERT(t->unreported(9).empty() && hand_over(*t, m, 2, true).result == Handover::unknown);
        auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.standing == Standing::dropped && e.coin.indices.empty() && e.state.spent == 16 && e.claimed == 10);
        CPPUNIT_ASSERT(!*t->take(unconfirmed(m, 2, 10, 9)) && answer_to(*t, m, 17) == Answer::not_held);
        // The next custody begins below what was sold in the one that was void: s stays.
        CPPUNIT_ASSERT(*t->take(m.coin(3, 12)) && pay(*t, m, 17));
        e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.standing == Standing::held && e.state.spent == 17 && e.claimed == 16);
        CPPUNIT_ASSERT(e.owed.size() == 2 && e.owed[0].from == 10 && e.owed[0].to == 12 && e.owed[0].word == m.chain.at(12));
        CPPUNIT_ASSERT(e.owed[1].from == 12 && e.owed[1].to == 16 && e.owed[1].word == m.chain.at(16));
        // What was given to somebody stays given.
        CPPUNIT_ASSERT(hand_over(*t, m, 3).result == Handover::given && *t->drop(m.tag, 3));
        CPPUNIT_ASSERT(hand_over(*t, m, 3).result == Handover::given);
    }

    // Taken over at an index lower than the one it was let go at, in custody
    // that may be void: what was sold before is claimed apart from what is sold then.
    void taken_over_below_what_was_sold() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(*t->take(m.coin(1, 0)) && pay(*t, m, 9, 9));
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::given);
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 3, 4, 9)).ok() && pay(*t, m, 10));
        CPPUNIT_ASSERT(*t->drop(m.tag, 3));
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.claimed == 9 && e.state.spent == 10 && e.owed.size() == 2);
        CPPUNIT_ASSERT(e.owed[0].to == 4 && e.owed[1].from == 4 && e.owed[1].to == 9 && e.owed[1].word == m.chain.at(9));
    }

    // Somebody signs an index by which an epoch that was held here, and confirmed, would begin once more.
    void an_index_renews_no_custody() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(*t->take(m.coin(2, 0)) && pay(*t, m, 2));
        const auto before = *t->find(m.tag);
        auto again = unconfirmed(m, 2, 1, 9);
        again.lease = before.coin.lease + 1000;
        CPPUNIT_ASSERT(*t->take(again));  // it is held, by the custody it has
        auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.coin.lease == before.coin.lease && e.coin.start == 0 && e.state.lease == before.state.lease);
        CPPUNIT_ASSERT(e.state.spent == before.state.spent && e.coin.custody == before.coin.custody && e.coin.indices.empty());
        // Nor one that is not confirmed yet; the same index changes nothing.
        CPPUNIT_ASSERT(*t->take(unconfirmed(m, 4, 3, 9)) && *t->take(unconfirmed(m, 4, 3, 9)));
        auto other = unconfirmed(m, 4, 5, 9);
        other.indices = {"another"};
        other.lease += 1000;
        CPPUNIT_ASSERT(!*t->take(other) && t->find(m.tag)->coin.start == 3);
    }

    // A vendor that never held the coin signs an index for an epoch far ahead.
    void void_epochs_bar_no_true_one() {
        auto t = open();
        const Money m(1), other(2), given(3);
        CPPUNIT_ASSERT(*t->take(unconfirmed(m, 700, 10, 9)) && *t->drop(m.tag, 700));
        CPPUNIT_ASSERT(*t->take(m.coin(1, 0)) && t->find(m.tag)->standing == Standing::held && pay(*t, m, 20, 5));
        // The epoch named by the void index is another vendor's to give, too.
        CPPUNIT_ASSERT(*t->take(unconfirmed(other, 2, 10, 9)) && *t->drop(other.tag, 2));
        auto coin = unconfirmed(other, 2, 10, 9);
        CPPUNIT_ASSERT(!*t->take(coin));
        coin.indices = {"the true index"};
        // Deceived once it sells nothing of that coin on credit.
        CPPUNIT_ASSERT(*t->take(coin) && !pay(*t, other, 15, 5) && t->find(other.tag)->pages_left == 0);
        // What was given away stays so, whatever void epoch came after it.
        CPPUNIT_ASSERT(*t->take(given.coin(3, 0)) && hand_over(*t, given, 3).result == Handover::given);
        CPPUNIT_ASSERT(*t->take(unconfirmed(given, 9, 10, 9)) && *t->drop(given.tag, 9));
        t.reset();
        t = open();
        CPPUNIT_ASSERT(!*t->take(given.coin(3, 0)) && answer_to(*t, given, 15) == Answer::not_held);
        CPPUNIT_ASSERT(!*t->take(unconfirmed(given, 9, 10, 9)) && *t->take(given.coin(4, 10)) && pay(*t, given, 15, 5));
    }

    // A payment that was reserved before the coin was confirmed, or regained.
    void settled_after_take() {
        auto t = open();
        const Money m(1), other(2);
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 2, 0, 1)).ok());
        auto c = m.charge(4, 4);
        auto out = t->reserve(c);
        CPPUNIT_ASSERT(out.verdict == Verdict::paid && *t->take(m.coin(2, 0)) && t->settle(c, out));
        CPPUNIT_ASSERT(t->find(m.tag)->state.spent == 4 && pay(*t, m, 5));
        // Regained above what was revealed: its units are another vendor's.
        CPPUNIT_ASSERT(t->take(other.coin(1)).ok());
        auto late = other.charge(4, 4);
        CPPUNIT_ASSERT(t->reserve(late).verdict == Verdict::paid && *t->take(other.coin(2, 6)));
        CPPUNIT_ASSERT(!t->settle(late, out) && t->find(other.tag)->state.spent == 6 && pay(*t, other, 7));
    }

    void claims_around_a_hand_over() {
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin(1, 0)).ok() && pay(*t, m, 10, 10));
        CPPUNIT_ASSERT(t->claim(m.tag, 4).ok());
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::given);
        auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.claimed == 4 && e.state.spent == 10);  // (4, 10] can still be claimed
        CPPUNIT_ASSERT(t->claim(m.tag, 7).ok() && t->find(m.tag)->standing == Standing::handed_over);
        CPPUNIT_ASSERT(*t->take(m.coin(3, 50)) && pay(*t, m, 52, 2));
        e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.claimed == 50 && e.owed.size() == 1 && e.owed[0].from == 7 && e.owed[0].to == 10);
        CPPUNIT_ASSERT(t->claim(m.tag, 10).ok());
        e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.owed.empty() && e.claimed == 50 && e.state.spent == 52);
        // Claims are marked by another process than the one that changes the papers: neither is lost.
        const pid_t claimer = in_child([&] {
            auto own = Till::open(options_);
            if (!own) return false;
            for (std::uint32_t to = 100; to <= 400; ++to)
                if (!(*own)->claim(m.tag, to)) return false;
            return true;
        });
        for (std::uint64_t k = 1; k <= 300; ++k) CPPUNIT_ASSERT(*t->take(m.coin(3, 50, static_cast<UnixTime>(500 + k))));
        CPPUNIT_ASSERT_EQUAL(0, wait_for(claimer));
        CPPUNIT_ASSERT_EQUAL(400u, t->find(m.tag)->claimed);
    }

    void unreported_coins() {
        std::vector<Money> money;
        for (std::uint32_t k = 0; k < 10; ++k) money.emplace_back(k, 20);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->unreported(100).empty());
            for (const auto& m : money) CPPUNIT_ASSERT(t->take(unconfirmed(m, 2, 0, 3)).ok());
        }
        auto t = open();
        auto all = t->unreported(100);
        std::set<Tag16> seen(all.begin(), all.end());
        CPPUNIT_ASSERT(all.size() == 10 && seen.size() == 10);
        seen.clear();  // each in its turn
        for (int k = 0; k < 4; ++k)
            for (const auto& c : t->unreported(3)) seen.insert(c);
        CPPUNIT_ASSERT_EQUAL(std::size_t{10}, seen.size());
        CPPUNIT_ASSERT(t->find(money[0].tag)->coin.indices == std::vector<std::string>{"index to 2"});
        CPPUNIT_ASSERT(*t->take(money[0].coin(2, 0)) && *t->drop(money[1].tag, 2) && t->forget(money[2].tag).ok());
        CPPUNIT_ASSERT(t->claim(money[3].tag, 0).ok());
        all = t->unreported(100);
        CPPUNIT_ASSERT_EQUAL(std::size_t{7}, all.size());
        for (std::size_t k = 0; k < 3; ++k) CPPUNIT_ASSERT(std::find(all.begin(), all.end(), money[k].tag) == all.end());
    }

    void first_use_of_requests() {
        constexpr UnixTime now = 1000000;
        {
            auto t = open(), other = open();
            CPPUNIT_ASSERT(*t->first_use("https://a.example 1", now) && !*t->first_use("https://a.example 1", now));
            CPPUNIT_ASSERT(!*other->first_use("https://a.example 1", now + 1));
            CPPUNIT_ASSERT(*t->first_use("https://b.example 1", now) && *t->first_use("https://a.example 2", now));
            CPPUNIT_ASSERT(!t->first_use("", now).ok() && !t->first_use(std::string(401, 'x'), now).ok());
            CPPUNIT_ASSERT(*t->first_use(std::string(400, 'x'), now) && !*t->first_use(std::string(400, 'x'), now));
        }
        auto t = open();
        CPPUNIT_ASSERT(!*t->first_use("https://a.example 1", now + 120));
        CPPUNIT_ASSERT(*t->first_use("https://a.example 1", now + 121) && !*t->first_use("https://a.example 1", now + 240));
        CPPUNIT_ASSERT(!*t->first_use("https://a.example 1", now + 60));  // the clock went back a little
        CPPUNIT_ASSERT(*t->first_use("https://a.example 1", now - 500));  // or far: such a request is refused for its time
        // What is past is removed as others come.
        for (int k = 0; k < 300; ++k) CPPUNIT_ASSERT(*t->first_use("https://c.example " + std::to_string(k), now + 2000));
        for (int k = 0; k < 20; ++k) CPPUNIT_ASSERT(*t->first_use("https://d.example " + std::to_string(k), now + 4000));
        t.reset();
        CPPUNIT_ASSERT_EQUAL(std::size_t{20}, entries_of("seen"));
        CPPUNIT_ASSERT_EQUAL(std::size_t{20}, entries_of("seen_at"));
    }

    std::size_t entries_of(const char* table) {
        MDB_env* env = nullptr;
        MDB_txn* txn = nullptr;
        MDB_dbi db = 0;
        MDB_stat s{};
        CPPUNIT_ASSERT(!mdb_env_create(&env) && !mdb_env_set_maxdbs(env, 8));
        CPPUNIT_ASSERT(!mdb_env_open(env, (options_.directory + "/coins.mdb").c_str(), MDB_NOSUBDIR | MDB_RDONLY, 0600));
        CPPUNIT_ASSERT(!mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn) && !mdb_dbi_open(txn, table, 0, &db));
        CPPUNIT_ASSERT(!mdb_stat(txn, db, &s));
        mdb_txn_abort(txn);
        mdb_env_close(env);
        return s.ms_entries;
    }

    using GivenBack = Till::GivenBack;
    static Till::GiveBack page_of(const Money& m, std::uint32_t ticket, UnixTime now = 100) {
        return {m.tag, ticket, m.charge(ticket).payment.resource, now, 60, 10};
    }
    static GivenBack give_back(Till& t, const Money& m, std::uint32_t ticket, UnixTime now = 100) {
        const auto out = t.give_back(page_of(m, ticket, now));
        if (out.result == GivenBack::unavailable) CPPUNIT_ASSERT(*out.why);
        if (out.result != GivenBack::given) CPPUNIT_ASSERT(out.units == 0 && out.spent == 0);
        return out.result;
    }
    static std::vector<bool> show(Till& t, const Money& m, std::uint32_t to, std::uint64_t given_back) {
        const Till::Shown one{m.tag, to, given_back};
        const auto r = t.show(std::span(&one, 1));
        CPPUNIT_ASSERT(r.ok());
        return *r;
    }

    void given_back() {
        const Money m(1);
        {
            auto t = open();
            CPPUNIT_ASSERT(t->take(m.coin(3, 10)).ok() && pay(*t, m, 12, 2) && pay(*t, m, 15, 3));
            std::uint32_t seen = 0;
            t->observe([&](const Tag16&, const SpendState& s, std::uint64_t) { seen = s.spent; });
            const auto before = *t->find(m.tag);
            const auto out = t->give_back(page_of(m, 15));
            CPPUNIT_ASSERT(out.result == GivenBack::given && out.units == 3 && out.spent == 12 && out.revealed == 15);
            CPPUNIT_ASSERT_EQUAL(12u, seen);
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT(e.state.spent == 12 && e.state.revealed == 15 && e.given_back == 3 && e.version > before.version);
            CPPUNIT_ASSERT(t->hot(m.tag));
            auto c = m.charge(15, 3);
            CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::already_spent);  // not even a replay
            c = m.charge(12, 2);
            CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::replayed);
            CPPUNIT_ASSERT(give_back(*t, m, 15) == GivenBack::unknown);
        }
        auto t = open();
        CPPUNIT_ASSERT(t->find(m.tag)->state.spent == 12 && t->find(m.tag)->given_back == 3);
        CPPUNIT_ASSERT(give_back(*t, m, 15) == GivenBack::unknown);
        CPPUNIT_ASSERT(give_back(*t, m, 12) == GivenBack::given);  // of a coin that rests below
        CPPUNIT_ASSERT(pay(*t, m, 14, 5) && !pay(*t, m, 13, 1));   // what was revealed buys its units, and no more
        Signer s;
        CPPUNIT_ASSERT(t->hand_over(m.tag, 3, 100, false, s.sign()).result == Handover::given);
        CPPUNIT_ASSERT(s.last.index == 15 && s.last.payword == m.chain.at(15));
    }

    void given_back_only_so() {
        auto t = open();
        const Money m(1), other(2);
        CPPUNIT_ASSERT(give_back(*t, m, 1) == GivenBack::not_held);
        CPPUNIT_ASSERT(t->take(unconfirmed(m, 3, 10, 5, 500)).ok() && pay(*t, m, 12, 2));
        CPPUNIT_ASSERT(give_back(*t, m, 12) == GivenBack::not_held);  // the broker has not confirmed it
        CPPUNIT_ASSERT(t->take(m.coin(3, 10, 500)).ok());
        CPPUNIT_ASSERT(give_back(*t, m, 12, 161) == GivenBack::too_late && give_back(*t, m, 13) == GivenBack::unknown);
        auto elsewhere = page_of(m, 12);
        elsewhere.resource[5] = 1;
        CPPUNIT_ASSERT(t->give_back(elsewhere).result == GivenBack::unknown);
        auto c = m.charge(20, 2);
        CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::paid && give_back(*t, m, 12) == GivenBack::busy);
        t->release(c);
        c = m.charge(12, 2);
        CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::replayed && t->reserve(c).verdict == Verdict::replayed);
        CPPUNIT_ASSERT(give_back(*t, m, 12) == GivenBack::reread);
        CPPUNIT_ASSERT(pay(*t, m, 14, 1, 450) && give_back(*t, m, 14, 501) == GivenBack::not_held);  // the lease is over
        CPPUNIT_ASSERT(give_back(*t, m, 14, 500) == GivenBack::given);
        CPPUNIT_ASSERT(t->take(other.coin()).ok() && pay(*t, other, 1) && hand_over(*t, other, 1).result == Handover::given);
        CPPUNIT_ASSERT(give_back(*t, other, 1) == GivenBack::not_held);
    }

    void given_back_within_the_day() {
        const Money m(1);
        auto t = open();
        CPPUNIT_ASSERT(t->take(m.coin()).ok());
        const UnixTime noon = UnixTime{20000} * 86400 + 43200, midnight = noon + 43200;
        std::uint32_t j = 0;
        const auto regret = [&](UnixTime now, std::uint8_t page, std::uint32_t per_day = 3) {
            auto c = m.charge(++j, 1, now);
            c.payment.resource = Tag16{page};
            auto out = t->reserve(c);
            CPPUNIT_ASSERT(out.verdict == Verdict::paid && t->settle(c, out));
            return t->give_back({m.tag, j, Tag16{page}, now, 60, per_day}).result;
        };
        CPPUNIT_ASSERT(regret(noon, 1, 0) == GivenBack::too_many);
        CPPUNIT_ASSERT(regret(noon, 1) == GivenBack::given);
        CPPUNIT_ASSERT(regret(noon, 1) == GivenBack::again);
        t.reset();
        t = open();  // kept with the coin, not with whoever asks
        CPPUNIT_ASSERT(regret(noon, 1) == GivenBack::again && regret(noon, 2) == GivenBack::given);
        CPPUNIT_ASSERT(regret(noon, 3) == GivenBack::given && regret(noon, 4) == GivenBack::too_many);
        // In the same custody renewed, and in a later one.
        CPPUNIT_ASSERT(t->take(m.coin(1, 0, never)).ok() && regret(noon, 4) == GivenBack::too_many);
        CPPUNIT_ASSERT(*t->take(m.coin(2, j)) && regret(noon, 4) == GivenBack::too_many);
        CPPUNIT_ASSERT(regret(midnight - 1, 4) == GivenBack::too_many && regret(midnight, 4) == GivenBack::given);
        CPPUNIT_ASSERT(regret(midnight, 1) == GivenBack::given);
        // A clock that is set back begins no day.
        CPPUNIT_ASSERT(regret(noon, 5) == GivenBack::given && regret(noon, 6) == GivenBack::too_many);
        // However many the operator allows, the papers keep so many.
        for (std::uint8_t page = 10; page < 10 + Till::most_given_back - 3; ++page)
            CPPUNIT_ASSERT(regret(midnight, page, 1000) == GivenBack::given);
        CPPUNIT_ASSERT(regret(midnight, 200, 1000) == GivenBack::too_many);
    }

    void what_was_told_is_not_given_back() {
        const Money m(1);
        auto t = open();
        CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 3, 3) && pay(*t, m, 5, 2) && pay(*t, m, 6));
        CPPUNIT_ASSERT(t->claim(m.tag, 3).ok());
        CPPUNIT_ASSERT(give_back(*t, m, 3) == GivenBack::given);  // its price: units 4 to 6 are in no batch
        CPPUNIT_ASSERT(t->find(m.tag)->state.spent == 3);
        CPPUNIT_ASSERT(give_back(*t, m, 6) == GivenBack::booked && give_back(*t, m, 5) == GivenBack::booked);
        CPPUNIT_ASSERT(pay(*t, m, 8, 5));
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT_EQUAL(8u, e.state.spent);
        CPPUNIT_ASSERT(give_back(*t, m, 5) == GivenBack::given);
        // What was read before that must not be told any more.
        CPPUNIT_ASSERT(show(*t, m, e.state.spent, e.given_back) == std::vector<bool>{false});
        CPPUNIT_ASSERT_EQUAL(0u, t->find(m.tag)->shown);
        CPPUNIT_ASSERT(show(*t, m, 6, 5) == std::vector<bool>{true} && t->find(m.tag)->shown == 6);
        CPPUNIT_ASSERT(give_back(*t, m, 6) == GivenBack::booked);
        CPPUNIT_ASSERT(pay(*t, m, 9, 1) && give_back(*t, m, 9) == GivenBack::given && t->find(m.tag)->state.spent == 6);
        CPPUNIT_ASSERT(show(*t, Money(2), 1, 0) == std::vector<bool>{false});
        t.reset();
        t = open();
        CPPUNIT_ASSERT(t->find(m.tag)->shown == 6 && give_back(*t, m, 6) == GivenBack::booked);
        CPPUNIT_ASSERT(show(*t, m, 2, 6) == std::vector<bool>{true} && t->find(m.tag)->shown == 6);  // it never falls
        // Many at once, in several transactions.
        std::vector<Till::Shown> many(10000, Till::Shown{m.tag, 6, 6});
        many[9999].given_back = 7;
        const auto all = t->show(many);
        CPPUNIT_ASSERT(all && all->size() == 10000 && (*all)[9998] && !(*all)[9999]);
    }

    // Whoever took the coin over knows where it stood then.
    void given_back_and_later_epochs() {
        const Money m(1);
        auto t = open();
        CPPUNIT_ASSERT(t->take(m.coin(1, 0)).ok() && pay(*t, m, 4, 4));
        CPPUNIT_ASSERT(hand_over(*t, m, 1).result == Handover::given && t->find(m.tag)->shown == 4);
        CPPUNIT_ASSERT(*t->take(m.coin(3, 4)) && pay(*t, m, 6, 2));
        CPPUNIT_ASSERT(give_back(*t, m, 4) == GivenBack::booked);
        CPPUNIT_ASSERT(give_back(*t, m, 6) == GivenBack::given && t->find(m.tag)->state.spent == 4);
        // Regained after its lease below what was sold: that is owed, and stays sold.
        CPPUNIT_ASSERT(pay(*t, m, 7, 3) && *t->take(m.coin(4, 5)));
        const auto e = *t->find(m.tag);
        CPPUNIT_ASSERT(e.state.spent == 7 && e.owed.back().to == 7 && e.claimed == 7);
        CPPUNIT_ASSERT(give_back(*t, m, 7) == GivenBack::booked);
        CPPUNIT_ASSERT(*t->drop(m.tag, 4) && give_back(*t, m, 7) == GivenBack::not_held);
    }

    void killed_while_giving_back() {
        with_and_without_others([&](std::unique_ptr<Till>& t, const Money& m, Place place) {
            die_at(place, [&](Till& own) { if (!pay(own, m, 14, 2)) _exit(1); },
                   [&](Till& own) { (void)give_back(own, m, 14); });
            if (!t) t = open();
            const bool gone = place != Place::before_commit;
            const auto e = *t->find(m.tag);
            CPPUNIT_ASSERT_EQUAL(gone ? 12u : 14u, e.state.spent);
            CPPUNIT_ASSERT(e.given_back == (gone ? 2u : 0u) && e.state.revealed == 14);
            auto c = m.charge(14, 2);
            CPPUNIT_ASSERT(t->reserve(c).verdict == (gone ? Verdict::already_spent : Verdict::replayed));
            CPPUNIT_ASSERT(give_back(*t, m, 14) == (gone ? GivenBack::unknown : GivenBack::given));
            CPPUNIT_ASSERT(t->find(m.tag)->state.spent == 12 && t->find(m.tag)->given_back == 2);
            CPPUNIT_ASSERT(pay(*t, m, 13, 2));
        });
    }

    void given_back_on_a_full_disk() {
        FailingDisk disk;
        options_.disk = &disk;
        auto t = open();
        const Money m(1);
        CPPUNIT_ASSERT(t->take(m.coin()).ok() && pay(*t, m, 1) && pay(*t, m, 2));
        disk.fail_commit = ENOSPC;
        CPPUNIT_ASSERT(give_back(*t, m, 1) == GivenBack::unavailable);
        const Till::Shown one{m.tag, 2, 0};
        CPPUNIT_ASSERT(!t->show(std::span(&one, 1)).ok());
        CPPUNIT_ASSERT(t->find(m.tag)->state.spent == 2 && pay(*t, m, 3));
        disk.fail_commit = 0;
        CPPUNIT_ASSERT(give_back(*t, m, 1) == GivenBack::given && t->find(m.tag)->state.spent == 2);
        disk.fail_commit = EIO;
        CPPUNIT_ASSERT(give_back(*t, m, 2) == GivenBack::unavailable && !t->usable());
        t.reset();
    }

    // The table of before it comes back: the store below knows better.
    void power_lost_after_giving_back() {
        const Money m(1);
        const pid_t child = worker([&](Till& t) {
            if (!t.take(m.coin()) || !pay(t, m, 5, 5)) _exit(1);
        });
        Bytes before(options_.directory);
        { CPPUNIT_ASSERT(give_back(*open(), m, 5) == GivenBack::given); }
        kill_and_wait(child);
        before.other_boot();
        before.write();
        auto t = open();
        CPPUNIT_ASSERT(t->find(m.tag)->state.spent == 0 && give_back(*t, m, 5) == GivenBack::unknown);
        auto c = m.charge(5, 5);
        CPPUNIT_ASSERT(t->reserve(c).verdict == Verdict::already_spent && pay(*t, m, 4, 5));
    }

    // Readers give pages back while netpay-redeem tells the broker what was
    // sold: what it was told is never more than what stays sold.
    void giving_back_and_claims_race() {
        options_.busy_wait_ms = 5000;
        struct Tally {
            std::atomic<std::uint32_t> next, sold, given, told;
            std::atomic<bool> over;
        };
        auto* tally = static_cast<Tally*>(mmap(nullptr, sizeof(Tally), PROT_READ | PROT_WRITE,
                                               MAP_SHARED | MAP_ANONYMOUS, -1, 0));
        const Money m(1, 20000);
        { CPPUNIT_ASSERT(open()->take(m.coin()).ok()); }
        const auto in_other = [&](const std::function<bool(Till&)>& f) {
            return in_child([&, f] {
                auto own = Till::open(options_);
                return own.ok() && f(**own);
            });
        };
        std::vector<pid_t> readers;
        for (int p = 0; p < 3; ++p)
            readers.push_back(in_other([&](Till& t) {
                for (std::uint32_t k = 0; k < 100; ++k) {
                    const auto j = 3 * (tally->next.fetch_add(1) + 1), units = 1 + k % 3;
                    const UnixTime day = UnixTime{86400} * j;  // so that the day's limit is seldom reached
                    if (!pay(t, m, j, units, day)) return false;
                    tally->sold.fetch_add(units);
                    if (k % 4 == 3) continue;  // it was worth its price
                    auto out = t.give_back(page_of(m, j, day));
                    for (; out.result == GivenBack::busy; out = t.give_back(page_of(m, j, day))) usleep(100);
                    if (out.result == GivenBack::given) tally->given.fetch_add(out.units);
                    // unknown: while this one waited the others bought 48 pages.
                    else if (out.result != GivenBack::booked && out.result != GivenBack::too_many && out.result != GivenBack::unknown) return false;
                }
                return true;
            }));
        const auto redeemer = in_other([&](Till& t) {
            for (bool last = false; !last;) {
                last = tally->over;  // then nobody is in the way any more
                const auto e = t.find(m.tag);
                if (!e || e->state.spent < tally->told) return false;  // a fraud, for anybody to prove
                const auto at = e->state.spent;
                const Till::Shown one{m.tag, at, e->given_back};
                usleep(static_cast<useconds_t>(rand() % 300));
                const auto stands = t.show(std::span(&one, 1));
                if (!stands) return false;
                if (!(*stands)[0]) continue;
                tally->told = at;  // the batch is on its way
                usleep(static_cast<useconds_t>(rand() % 300));
                if (!t.claim(m.tag, at)) return false;
                usleep(15000);
            }
            return true;
        });
        for (const auto c : readers) CPPUNIT_ASSERT_EQUAL(0, wait_for(c));
        tally->over = true;
        CPPUNIT_ASSERT_EQUAL(0, wait_for(redeemer));
        const auto e = *open()->find(m.tag);
        CPPUNIT_ASSERT_EQUAL(tally->sold - tally->given, e.state.spent);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{tally->given}, e.given_back);
        CPPUNIT_ASSERT_EQUAL(tally->told.load(), e.claimed);
        CPPUNIT_ASSERT_EQUAL(e.state.spent, e.claimed);
        CPPUNIT_ASSERT(e.claimed > 0);
        munmap(tally, sizeof *tally);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(TillTest);

}  // namespace
}  // namespace netpay::till
