// Redemption at the vendor (PROTOCOL.md section 8): no claim is lost and none
// is made twice, whatever answers come and wherever the run dies.
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "mod_netpay/redeem/redeemer.h"
#include "test/unit/custody_support.h"

namespace netpay::custody_test {
namespace {

using redeem::Redeemer;
using redeem::Report;
namespace fs = std::filesystem;

// The broker's side of redemption, kept in files, so that it outlives the
// processes that are killed: batches with their answers, and credited units.
class Ledger {
public:
    explicit Ledger(std::string directory, const SigningKey& key) : dir_(std::move(directory)), key_(key.to_pem()) {
        fs::create_directories(dir_);
    }

    HttpAnswer redeem(const std::string& path, const std::vector<std::string>& fields, const std::string& issuer) {
        std::string token;
        for (const auto& f : fields)
            if (f.starts_with("NetPay-Batch: ")) token = f.substr(14);
        const auto b = verify_batch(token, issuer, KeySet({key_of(7).public_key()}));
        const auto body = read_whole(path);
        if (!b || content_digest(sha256(body)) != b->digest) return {400, "{}", {}, 0};
        const auto kept = dir_ + "/" + b->batch;
        if (fs::exists(kept)) {
            const auto text = read_whole(kept);
            const auto cut = text.find('\n');
            if (text.substr(0, cut) != b->digest) return {409, "{}", {}, 0};
            return {200, text.substr(cut + 1), {}, 0};
        }
        const auto answer = judge(*b, body, issuer);
        std::ofstream(kept + ".tmp") << b->digest << '\n' << answer;
        fs::rename(kept + ".tmp", kept);
        return {200, answer, {}, 0};
    }

    // Every unit credited so far, by coin; asserts that none was credited twice.
    std::map<std::string, std::uint32_t> credited() {
        std::map<std::string, std::uint32_t> out;
        for (const auto& [coin, units] : ranges()) out[coin] = static_cast<std::uint32_t>(units.size());
        return out;
    }

    std::set<std::string> rejects;  // coins whose claims are rejected as not-held
    std::uint64_t overlaps = 0;

private:
    // What the batches on file credit, each coin's units one by one.
    std::map<std::string, std::set<std::uint32_t>> ranges() {
        std::map<std::string, std::set<std::uint32_t>> out;
        for (const auto& f : fs::directory_iterator(dir_)) {
            if (f.path().extension() == ".tmp") continue;
            const auto text = read_whole(f.path());
            const auto body = text.substr(text.find('\n') + 1);
            const auto doc = json::Document::parse(body);
            for (const auto& c : *doc->root().array("units")) {
                const std::string coin(*c.string("coin"));
                for (auto i = *c.uint("from") + 1; i <= *c.uint("to"); ++i)
                    CPPUNIT_ASSERT_MESSAGE("unit credited twice", out[coin].insert(static_cast<std::uint32_t>(i)).second);
            }
        }
        return out;
    }

    std::string judge(const Batch& b, const std::string& body, const std::string& issuer) {
        auto known = ranges();
        std::vector<json::Object> rejected, units;
        std::uint64_t line = 0, accepted = 0, sum = 0;
        std::istringstream in(body);
        for (std::string text; std::getline(in, text);) {
            ++line;
            const auto c = parse_claim(text);
            std::string reason;
            if (!c) reason = "malformed";
            else if (rejects.contains(c->coin)) reason = "not-held";
            else if (c->from >= c->to) reason = "range";
            else
                for (auto i = c->from + 1; i <= c->to; ++i)
                    if (known[c->coin].contains(i)) reason = "overlap";
            if (reason == "overlap") ++overlaps;
            if (!reason.empty()) {
                rejected.push_back(json::Object().set("line", line).set("coin", c ? c->coin : "").set("reason", reason));
                continue;
            }
            for (auto i = c->from + 1; i <= c->to; ++i) known[c->coin].insert(i);
            units.push_back(json::Object().set("coin", c->coin).set("from", std::uint64_t{c->from}).set("to", std::uint64_t{c->to}));
            ++accepted;
            sum += 1000ull * (c->to - c->from);
        }
        Redeemed r{issuer, b.iss, b.batch, b.digest, accepted, rejected.size(), {}, start_of_time};
        r.credited[*Currency::parse("uusd")] = *Amount::from(sum);
        return json::Object().set("receipt", sign_redeemed(r, *SigningKey::from_pem(key_))).set("rejected", rejected).set("units", units).jcs();
    }

    std::string dir_;
    Secret key_;
};

// Dies at the n-th step that leaves a trace outside the process.
struct Fuse {
    long left = -1;  // negative: never
    void step() {
        if (left >= 0 && left-- == 0) _exit(9);
    }
};

class DyingDisk : public custody::Disk {
public:
    explicit DyingDisk(Fuse& fuse) : fuse_(fuse), real_(custody::system_disk()) {}
    std::optional<Stamp> stamp(const std::string& p) override { return real_.stamp(p); }
    Result<std::string> read(const std::string& p, std::size_t n) override { return real_.read(p, n); }
    Result<bool> replace(const std::string& p, std::string_view c) override {
        fuse_.step();
        if (fuse_.left == 0) std::ofstream(p + ".1.tmp") << c.substr(0, c.size() / 2);  // the next step's death comes amid writing
        return real_.replace(p, c);
    }
    Result<bool> remove(const std::string& p) override { fuse_.step(); return real_.remove(p); }
    Result<bool> make_directory(const std::string& p) override { fuse_.step(); return real_.make_directory(p); }
    Result<std::vector<std::string>> list(const std::string& d) override { return real_.list(d); }
    Result<bool> set_time(const std::string& p, UnixTime t) override { return real_.set_time(p, t); }
private:
    Fuse& fuse_;
    custody::Disk& real_;
};

// The real till, dying before, amid and after it is told what was claimed.
class DyingTill : public till::Till {
public:
    DyingTill(std::unique_ptr<till::Till> real, Fuse& fuse) : real_(std::move(real)), fuse_(fuse) {}
    void observe(till::Observer o) override { real_->observe(std::move(o)); }
    till::Outcome reserve(till::Charge& c) override { return real_->reserve(c); }
    bool settle(const till::Charge& c, till::Outcome& o) override { return real_->settle(c, o); }
    void release(const till::Charge& c) override { real_->release(c); }
    GiveBackOutcome give_back(const GiveBack& page) override { return real_->give_back(page); }
    Result<std::vector<bool>> show(std::span<const Shown> shown) override {
        fuse_.step();
        auto stands = real_->show(shown);
        fuse_.step();
        return stands;
    }
    Result<bool> take(const till::Coin& c) override { return real_->take(c); }
    HandoverOutcome hand_over(const Tag16& c, std::uint64_t epoch, UnixTime now, bool too, const Sign& sign) override {
        return real_->hand_over(c, epoch, now, too, sign);
    }
    Result<bool> drop(const Tag16& c, std::uint64_t epoch) override { return real_->drop(c, epoch); }
    std::vector<Tag16> unreported(std::size_t most) override { return real_->unreported(most); }
    Result<bool> first_use(std::string_view name, UnixTime now) override { return real_->first_use(name, now); }
    std::optional<till::Entry> find(const Tag16& c) override { return real_->find(c); }
    bool hot(const Tag16& c) override { return real_->hot(c); }
    void each(const std::function<void(const till::Entry&)>& f) override { real_->each(f); }
    Result<bool> claim(std::span<const Claimed> claims) override {
        fuse_.step();
        const auto half = claims.first(claims.size() / 2);
        if (const auto r = real_->claim(half); !r) return r;
        fuse_.step();
        const auto r = real_->claim(claims.subspan(half.size()));
        fuse_.step();
        return r;
    }
    Result<bool> forget(const Tag16& c) override { return real_->forget(c); }
    bool flush() override { fuse_.step(); return real_->flush(); }
    bool usable() const override { return real_->usable(); }
private:
    std::unique_ptr<till::Till> real_;
    Fuse& fuse_;
};

class RedeemTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(RedeemTest);
    CPPUNIT_TEST(claims_what_was_sold_once);
    CPPUNIT_TEST(killed_anywhere);
    CPPUNIT_TEST(given_back_while_claims_are_made);
    CPPUNIT_TEST(what_a_batch_claims_is_not_given_back);
    CPPUNIT_TEST(answers_that_are_no_receipt_keep_the_batch);
    CPPUNIT_TEST(receipts_that_do_not_hold_keep_the_batch);
    CPPUNIT_TEST(rejected_claims_are_reported);
    CPPUNIT_TEST(broker_out_of_reach);
    CPPUNIT_TEST(many_batches);
    CPPUNIT_TEST(units_of_an_earlier_epoch);
    CPPUNIT_TEST(coins_handed_over);
    CPPUNIT_TEST(epochs_are_claimed_by_themselves);
    CPPUNIT_TEST(unconfirmed_units_wait);
    CPPUNIT_TEST(dropped_units_are_claimed_once);
    CPPUNIT_TEST(handed_over_while_a_batch_waits);
    CPPUNIT_TEST(small_sums_wait);
    CPPUNIT_TEST(other_brokers);
    CPPUNIT_TEST(dry_run_leaves_no_trace);
    CPPUNIT_TEST(damaged_outbox);
    CPPUNIT_TEST(rotated_key_is_fetched);
    CPPUNIT_TEST_SUITE_END();

    std::unique_ptr<TempDir> dir_;
    std::string till_dir_;
    TestClock clock_;
    TestLog log_;
    std::unique_ptr<TestBroker> broker_;
    std::unique_ptr<Ledger> ledger_;
    std::unique_ptr<till::Till> till_;
    std::vector<std::unique_ptr<TestCoin>> coins_;
    redeem::Settings settings_;

public:
    void setUp() override {
        dir_ = std::make_unique<TempDir>();
        till_dir_ = dir_->path + "/till";
        fs::create_directory(till_dir_);
        broker_ = std::make_unique<TestBroker>();
        ledger_ = std::make_unique<Ledger>(dir_->path + "/ledger", broker_->signing_key());
        broker_->redeem = [this](const std::string& url, const std::string& path, const std::vector<std::string>& fields) {
            CPPUNIT_ASSERT_EQUAL(broker_origin + "/api/v1/redemptions", url);
            CPPUNIT_ASSERT_EQUAL(std::string("Content-Type: application/x-ndjson"), fields.front());
            return ledger_->redeem(path, fields, broker_origin);
        };
        clock_.t = start_of_time;
        till_ = open_till(till_dir_);
        settings_ = {};
        settings_.vendor = vendor_origin;
        settings_.key = std::make_shared<const SigningKey>(key_of(7));
        settings_.brokers = {{broker_origin, {}}};
        settings_.directory = till_dir_;
    }
    void tearDown() override {
        till_.reset();
        coins_.clear();
        dir_.reset();
    }

private:
    const TestCoin& add(std::uint32_t sold, const std::string& issuer = broker_origin) {
        coins_.push_back(std::make_unique<TestCoin>(static_cast<std::uint32_t>(coins_.size()), 1000, broker_->signing_key(), issuer));
        put(*till_, *broker_, *coins_.back());
        if (sold) sell_at(*till_, *coins_.back(), sold + 1, sold, clock_.now());
        return *coins_.back();
    }
    Report run() { return run(*till_, custody::system_disk()); }
    Report run(till::Till& till, custody::Disk& disk) {
        Redeemer r(settings_, till, *broker_, {clock_, *broker_, log_, custody::system_random(), disk});
        return r.run([](const std::string&) {});
    }
    std::size_t files(const std::string& folder) {
        const auto path = till_dir_ + "/" + folder;
        if (!fs::exists(path)) return 0;
        return static_cast<std::size_t>(std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }
    void nothing_lost() {
        const auto credited = ledger_->credited();
        for (const auto& c : coins_) {
            const auto e = till_->find(c->terms.tag);
            const auto i = credited.find(c->terms.coin);
            CPPUNIT_ASSERT_EQUAL(e->state.spent, i == credited.end() ? 0u : i->second);
        }
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, ledger_->overlaps);
    }

    void claims_what_was_sold_once() {
        add(3);
        const auto& b = add(5);
        add(0);
        auto r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, r.claims);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{8}, r.units);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{8000}, r.credited.begin()->second.micro());
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files("outbox"));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, files("receipts"));
        r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, r.batches);
        sell_at(*till_, b, 20, 10, clock_.now());
        r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, r.units);
        nothing_lost();
    }

    void sell_one_of_each() {
        for (auto& c : coins_) sell_at(*till_, *c, till_->find(c->terms.tag)->state.revealed + 1, 1, clock_.now());
    }

    void regret_one_of_each() {
        for (auto& c : coins_) {
            const auto r = give_back(*till_, *c, till_->find(c->terms.tag)->state.revealed, clock_.now());
            CPPUNIT_ASSERT(r != till::Till::GivenBack::unavailable && r != till::Till::GivenBack::busy);
        }
    }

    // A till whose readers give a page back at the worst moment: what was sold
    // was read, and the batch is not written yet.
    class RegretfulTill : public DyingTill {
    public:
        RegretfulTill(std::unique_ptr<till::Till> real, Fuse& fuse, std::function<void(till::Till&)> regret)
            : DyingTill(std::move(real), fuse), regret_(std::move(regret)) {}
        Result<std::vector<bool>> show(std::span<const Shown> shown) override {
            regret_(*this);
            return DyingTill::show(shown);
        }
    private:
        std::function<void(till::Till&)> regret_;
    };

    void given_back_while_claims_are_made() {
        const auto& a = add(3);
        const auto& b = add(5);
        sell_at(*till_, a, 10, 2, clock_.now());
        till_.reset();
        Fuse never{1000};
        {
            RegretfulTill till(open_till(till_dir_), never, [&](till::Till& t) {
                CPPUNIT_ASSERT(give_back(t, a, 10, clock_.now()) == till::Till::GivenBack::given);
            });
            const auto r = run(till, custody::system_disk());
            CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.claims);  // coin a waits for the next run
        }
        till_ = open_till(till_dir_);
        CPPUNIT_ASSERT_EQUAL(0u, till_->find(a.terms.tag)->claimed);
        CPPUNIT_ASSERT_EQUAL(5u, till_->find(b.terms.tag)->claimed);
        const auto r = run();
        CPPUNIT_ASSERT(r.claims == 1 && r.units == 3);
        nothing_lost();
    }

    // From before the batch is written, whatever becomes of it.
    void what_a_batch_claims_is_not_given_back() {
        const auto& a = add(3);
        broker_->redeem = [&](const auto&, const auto&, const auto&) { return custody::HttpAnswer{0, {}, "no answer", 0}; };
        const pid_t child = fork();
        if (child == 0) {
            Fuse fuse;
            // After it told the till what it is about to claim, before the batch is on the disk.
            RegretfulTill till(open_till(till_dir_), fuse, [&](till::Till&) { fuse.left = 1; });
            _exit(run(till, custody::system_disk()).exit_code());
        }
        int status = 0;
        CPPUNIT_ASSERT_EQUAL(child, waitpid(child, &status, 0));
        CPPUNIT_ASSERT(WIFEXITED(status) && WEXITSTATUS(status) == 9);
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files("outbox"));
        const auto e = *till_->find(a.terms.tag);
        CPPUNIT_ASSERT(e.shown == 3 && e.claimed == 0);
        CPPUNIT_ASSERT(give_back(*till_, a, 4, clock_.now()) == till::Till::GivenBack::booked);
        sell_at(*till_, a, 6, 1, clock_.now());
        CPPUNIT_ASSERT(give_back(*till_, a, 6, clock_.now()) == till::Till::GivenBack::given);
        (void)run();
        CPPUNIT_ASSERT(till_->find(a.terms.tag)->claimed == 3 && files("outbox") == 2);
        sell_at(*till_, a, 7, 1, clock_.now());
        CPPUNIT_ASSERT(give_back(*till_, a, 7, clock_.now()) == till::Till::GivenBack::given);
    }

    // A child process does the run and dies at step n; then another sells
    // more and a second run is made whole. For every n until a child lives.
    void killed_anywhere() {
        for (int i = 0; i < 6; ++i) add(static_cast<std::uint32_t>(i));
        settings_.max_claims = 2;
        bool lived = false;
        long n = 0;
        for (; !lived; ++n) {
            sell_one_of_each();
            till_.reset();
            const pid_t child = fork();
            if (child == 0) {
                Fuse fuse{n};
                DyingDisk disk(fuse);
                DyingTill till(open_till(till_dir_), fuse);
                const auto honest = broker_->redeem;
                broker_->redeem = [&](const auto& url, const auto& path, const auto& fields) {
                    fuse.step();  // before the broker hears of it
                    auto a = honest(url, path, fields);
                    fuse.step();  // its answer is lost
                    return a;
                };
                _exit(run(till, disk).exit_code());
            }
            int status = 0;
            CPPUNIT_ASSERT_EQUAL(child, waitpid(child, &status, 0));
            CPPUNIT_ASSERT(WIFEXITED(status));
            lived = WEXITSTATUS(status) == 0;
            CPPUNIT_ASSERT(lived || WEXITSTATUS(status) == 9);
            till_ = open_till(till_dir_);
            regret_one_of_each();
            sell_one_of_each();  // the next run finds old batches half told, and new sales
            if (n % 2) {
                const auto r = run();
                CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
                nothing_lost();
            }
        }
        CPPUNIT_ASSERT_MESSAGE(std::to_string(n), n > 20);
        CPPUNIT_ASSERT_EQUAL(0, run().exit_code());
        nothing_lost();
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, files("outbox"));
    }

    void answers_that_are_no_receipt_keep_the_batch() {
        add(3);
        struct Case { HttpAnswer answer; int exit; };
        for (const auto& c : std::vector<Case>{{{400, "{}", {}, 0}, 4},
                                               {{401, R"({"detail":"not approved"})", {}, 0}, 4},
                                               {{404, "", {}, 0}, 4},
                                               {{409, "{}", {}, 0}, 4},
                                               {{413, "{}", {}, 0}, 4},
                                               {{302, "", {}, 0}, 4},
                                               {{408, "{}", {}, 0}, 3},
                                               {{429, "{}", {}, 0}, 3},
                                               {{500, "oops", {}, 0}, 3},
                                               {{503, "{}", {}, 9}, 3},
                                               {{0, "", "timeout", 0}, 3},
                                               {{200, "", {}, 0}, 3},
                                               {{200, "[]", {}, 0}, 3},
                                               {{200, "{}", {}, 0}, 4}}) {
            broker_->answer = c.answer;
            const auto r = run();
            CPPUNIT_ASSERT_EQUAL_MESSAGE("status " + std::to_string(c.answer.status), c.exit, r.exit_code());
            CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.pending);
            CPPUNIT_ASSERT_EQUAL(std::size_t{2}, files("outbox"));
        }
        broker_->answer.reset();
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        nothing_lost();
    }

    void receipts_that_do_not_hold_keep_the_batch() {
        add(3);
        const auto honest = broker_->redeem;
        std::function<void(Redeemed&)> bend;
        SigningKey signer = key_of(1);
        broker_->redeem = [&](const auto& url, const auto& path, const auto& fields) {
            const auto a = honest(url, path, fields);
            const auto doc = json::Document::parse(a.body);
            auto r = *verify_redeemed(*doc->root().string("receipt"), vendor_origin, KeySet({key_of(1).public_key()}));
            bend(r);
            return HttpAnswer{200, json::Object().set("receipt", sign_redeemed(r, signer)).set("rejected", std::vector<json::Object>{}).jcs(), {}, 0};
        };
        for (const auto& b : std::vector<std::function<void(Redeemed&)>>{
                 [](Redeemed& r) { r.iss = "https://evil.example"; }, [](Redeemed& r) { r.aud = "https://paper.example"; },
                 [](Redeemed& r) { r.batch += "x"; }, [](Redeemed& r) { r.digest = "sha-256=:AAAA:"; },
                 [](Redeemed& r) { r.accepted = 7; }, [](Redeemed& r) { r.accepted = 0; r.rejected = 1; }}) {
            bend = b;
            CPPUNIT_ASSERT_EQUAL(4, run().exit_code());
            CPPUNIT_ASSERT_EQUAL(std::size_t{2}, files("outbox"));
        }
        bend = [](Redeemed&) {};
        signer = key_of(66);
        CPPUNIT_ASSERT_EQUAL(4, run().exit_code());
        signer = key_of(1);
        CPPUNIT_ASSERT_EQUAL(0, run().exit_code());
        nothing_lost();
    }

    void rejected_claims_are_reported() {
        const auto& bad = add(3);
        add(4);
        ledger_->rejects.insert(bad.terms.coin);
        auto r = run();
        CPPUNIT_ASSERT_EQUAL(1, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.accepted);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.rejected.at("not-held"));
        CPPUNIT_ASSERT_EQUAL(bad.terms.coin, r.rejections.at(0).coin);
        CPPUNIT_ASSERT_EQUAL(0u, r.rejections.at(0).from);
        CPPUNIT_ASSERT_EQUAL(3u, r.rejections.at(0).to);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{4000}, r.credited.begin()->second.micro());
        r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, r.claims);
    }

    void broker_out_of_reach() {
        const auto& c = add(3);
        broker_->down = true;
        for (int i = 0; i < 5; ++i) {
            CPPUNIT_ASSERT_EQUAL(3, run().exit_code());
            sell_at(*till_, c, 10 + static_cast<std::uint32_t>(i), 1, clock_.now());
            CPPUNIT_ASSERT_EQUAL(std::size_t{2}, files("outbox"));  // one batch, however often it is tried
            clock_.t += 100;
        }
        broker_->down = false;
        CPPUNIT_ASSERT_EQUAL(0, run().exit_code());
        nothing_lost();
    }

    void many_batches() {
        for (int i = 0; i < 25; ++i) add(2);
        settings_.max_claims = 4;
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, r.batches);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{25}, r.claims);
        nothing_lost();
    }

    void units_of_an_earlier_epoch() {
        const auto& c = add(5);
        // Another vendor had it from 5 to 40; this one takes it again there.
        broker_->epochs[c.terms.coin] = 3;
        broker_->starts[c.terms.coin] = 40;
        const auto k = broker_->custody_for(c.terms.coin);
        CPPUNIT_ASSERT(till_->take({c.terms, c.touchstone, sign_custody(k, broker_->signing_key()), 3, 40, k.payword, k.exp, {}, 0}).ok());
        sell_at(*till_, c, 43, 2, clock_.now());
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, r.claims);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, r.units);
        CPPUNIT_ASSERT_EQUAL(7u, ledger_->credited()[c.terms.coin]);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims);
    }

    static till::HandedOver index_to_next(const till::Till::Leaving&) {
        return {"index", "https://next.example", "certificate"};
    }
    bool hand_over(const TestCoin& c, std::uint64_t epoch) {
        const auto out = till_->hand_over(c.terms.tag, epoch, clock_.now(), false, index_to_next);
        return out.result == till::Till::Handover::given;
    }
    // As the broker gives it, or with signed indices in place of its custody.
    till::Coin coin_at(const TestCoin& c, std::uint64_t epoch, std::uint32_t start, std::vector<std::string> indices = {}) {
        broker_->epochs[c.terms.coin] = epoch;
        broker_->starts[c.terms.coin] = start;
        const auto k = broker_->custody_for(c.terms.coin);
        till::Coin out{c.terms, c.touchstone, sign_custody(k, broker_->signing_key()), epoch, start, k.payword, k.exp, {}, 0};
        if (indices.empty()) return out;
        out.custody.clear();
        out.indices = std::move(indices);
        out.pages = 10;
        return out;
    }

    void coins_handed_over() {
        const auto& c = add(5);
        settings_.min_units = 100;  // nothing is added to it any more: it does not wait
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims);
        CPPUNIT_ASSERT(hand_over(c, 1));
        auto r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, r.units);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims);
        // Another sold (5, 40], then it is regained.
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 3, 40)));
        settings_.min_units = 1;
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims);
        sell_at(*till_, c, 42, 2, clock_.now());
        CPPUNIT_ASSERT(hand_over(c, 3));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, run().units);
        CPPUNIT_ASSERT_EQUAL(7u, ledger_->credited()[c.terms.coin]);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims + ledger_->overlaps);
    }

    // The broker judges a claim as a whole: one epoch's units are not lost with another's.
    void epochs_are_claimed_by_themselves() {
        const auto& c = add(20);
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 2, 12)));  // the broker had been shown 12 when the lease ended
        sell_at(*till_, c, 25, 4, clock_.now());
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, r.claims);  // up to 12, up to what was sold before, and what was since
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{24}, r.units);
        nothing_lost();
    }

    void unconfirmed_units_wait() {
        const auto& c = add(0);
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 4, 30, {"index"})));
        sell_at(*till_, c, 33, 3, clock_.now());
        auto r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, r.claims);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.unconfirmed);
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        clock_.t += 86401;
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims);
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 4, 30)));
        r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, r.units);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, r.unconfirmed);
    }

    void dropped_units_are_claimed_once() {
        const auto& c = add(0);
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 4, 30, {"index"})));
        sell_at(*till_, c, 33, 3, clock_.now());
        CPPUNIT_ASSERT(*till_->drop(c.terms.tag, 4));
        ledger_->rejects.insert(c.terms.coin);
        auto r = run();
        CPPUNIT_ASSERT_EQUAL(1, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.rejected.at("not-held"));
        CPPUNIT_ASSERT_EQUAL(30u, r.rejections.at(0).from);
        CPPUNIT_ASSERT_EQUAL(33u, r.rejections.at(0).to);
        CPPUNIT_ASSERT_EQUAL(std::string("dropped"), r.rejections.at(0).standing);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, run().claims);
        // A later custody that begins below what was sold in vain: only what comes after is claimed.
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 5, 31)));
        sell_at(*till_, c, 36, 2, clock_.now());
        ledger_->rejects.clear();
        r = run();
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{2}, r.units);
        CPPUNIT_ASSERT_EQUAL(2u, ledger_->credited()[c.terms.coin]);
    }

    // The batch was written, the till not yet told; then the coin travels.
    void handed_over_while_a_batch_waits() {
        const auto& c = add(5);
        broker_->down = true;
        CPPUNIT_ASSERT_EQUAL(3, run().exit_code());
        sell_at(*till_, c, 9, 4, clock_.now());
        CPPUNIT_ASSERT(hand_over(c, 1));
        CPPUNIT_ASSERT_EQUAL(3, run().exit_code());
        CPPUNIT_ASSERT(*till_->take(coin_at(c, 3, 40)));
        sell_at(*till_, c, 41, 1, clock_.now());
        broker_->down = false;
        clock_.t += 100;
        while (run().claims > 0) {}
        CPPUNIT_ASSERT_EQUAL(10u, ledger_->credited()[c.terms.coin]);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, ledger_->overlaps);
    }

    void small_sums_wait() {
        add(3);
        add(30);
        settings_.min_units = 10;
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{30}, run().units);
        clock_.t += 86401;  // the lease is over: nothing will be added soon
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, run().units);
    }

    void other_brokers() {
        add(3);
        add(4, "https://other.example");
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3}, r.units);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1}, r.foreign);
    }

    void dry_run_leaves_no_trace() {
        add(3);
        add(4);
        settings_.dry_run = true;
        settings_.key.reset();
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(0, r.exit_code());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{7}, r.units);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{7000}, r.credited.begin()->second.micro());
        CPPUNIT_ASSERT_EQUAL(0, broker_->posts + broker_->gets);
        CPPUNIT_ASSERT(!fs::exists(till_dir_ + "/outbox"));
        CPPUNIT_ASSERT_EQUAL(0u, till_->find(coins_[0]->terms.tag)->claimed);
    }

    void damaged_outbox() {
        add(3);
        broker_->down = true;
        run();
        clock_.t += 100;
        broker_->down = false;
        fs::path body;
        for (const auto& f : fs::directory_iterator(till_dir_ + "/outbox"))
            if (f.path().extension() == ".ndjson") body = f.path();
        const auto good = read_whole(body);
        std::ofstream(body) << good.substr(0, good.size() - 3);
        const auto r = run();
        CPPUNIT_ASSERT_EQUAL(4, r.exit_code());
        CPPUNIT_ASSERT(r.permanent.at(0).find("damaged") != std::string::npos);
        CPPUNIT_ASSERT_EQUAL(0, broker_->posts.load());
        std::ofstream(body, std::ios::trunc) << good;
        CPPUNIT_ASSERT_EQUAL(0, run().exit_code());
        nothing_lost();
    }

    void rotated_key_is_fetched() {
        add(3);
        CPPUNIT_ASSERT_EQUAL(0, run().exit_code());
        sell_at(*till_, *coins_[0], 20, 2, clock_.now());
        broker_->keys.push_back(key_of(2));
        ledger_ = std::make_unique<Ledger>(dir_->path + "/ledger", broker_->signing_key());
        CPPUNIT_ASSERT_EQUAL(0, run().exit_code());
        nothing_lost();
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(RedeemTest);

}  // namespace
}  // namespace netpay::custody_test
