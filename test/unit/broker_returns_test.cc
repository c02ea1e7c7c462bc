// Returns: the broker asks a coin's holder for it, and what becomes of that;
// coins that expired; the page; evidence; payouts.
#include "broker/custody/handoff.h"
#include "broker/custody/handovers.h"
#include "core/certificate.h"
#include "core/evidence.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

const std::string news = "https://news.example", blog = "https://blog.example", mag = "https://mag.example";
constexpr std::int64_t lease = 86400, margin = 600, day = 86400;

// Vendors as the broker's calls meet them.
class Vendors : public world::Transport {
public:
    struct Call {
        std::string url;
        json::Document body;
        std::string request() const { return std::string(body.root().string("request").value()); }
    };
    using Behaviour = std::function<world::HttpAnswer(const Call&)>;

    world::HttpAnswer get(const std::string&) override { return {}; }
    world::HttpAnswer post(const std::string& url, const std::string& body) override {
        Call call{url, must(json::Document::parse(body))};
        ++calls[url];
        const auto i = behaviour.find(url);
        if (i == behaviour.end()) return silent();
        return i->second(call);
    }
    static world::HttpAnswer silent() {
        world::HttpAnswer a;
        a.error = "Connection refused";
        return a;
    }
    static world::HttpAnswer with(int status, const json::Object& body) {
        world::HttpAnswer a;
        a.status = status;
        a.body = body.jcs();
        return a;
    }

    std::map<std::string, Behaviour> behaviour;  // by URL
    std::map<std::string, int> calls;
};

class BrokerReturnsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(BrokerReturnsTest);
    CPPUNIT_TEST(holder_lets_go);
    CPPUNIT_TEST(asks_as_the_contract_says);
    CPPUNIT_TEST(asks_without_a_payword);
    CPPUNIT_TEST(shown_payword_has_to_be_of_the_coin);
    CPPUNIT_TEST(holder_is_down_and_comes_back);
    CPPUNIT_TEST(is_asked_ever_more_seldom);
    CPPUNIT_TEST(owner_cannot_make_the_broker_hammer);
    CPPUNIT_TEST(silent_vendors_other_coins_wait);
    CPPUNIT_TEST(holder_gave_it_to_another);
    CPPUNIT_TEST(next_holder_never_heard_of_it);
    CPPUNIT_TEST(given_to_a_suspended_one);
    CPPUNIT_TEST(nonsense_changes_nothing);
    CPPUNIT_TEST(index_below_claims_is_reversed_and_refunded);
    CPPUNIT_TEST(lease_ends_it_after_all);
    CPPUNIT_TEST(few_calls_at_once);
    CPPUNIT_TEST(expired_coins_are_refunded);
    CPPUNIT_TEST(page_is_harmless);
    CPPUNIT_TEST(page_returns_a_coin);
    CPPUNIT_TEST(evidence_verifies_without_the_broker);
    CPPUNIT_TEST(evidence_reveals_no_unspent_payword);
    CPPUNIT_TEST(evidence_of_fraud_names_the_culprit);
    CPPUNIT_TEST(pays_out);
    CPPUNIT_TEST(proven_fraud_is_not_paid_out);
    CPPUNIT_TEST_SUITE_END();

    struct Scene {
        World w;
        Vendors vendors;
        Shop a = w.shop(news), b = w.shop(blog);
        std::string token = w.rich();
        WalletCoin coin = w.coin(token);
        Scene() { w.context.peers = &vendors; }
        ~Scene() { w.context.peers = nullptr; }

        std::string url(const Shop& s) const { return s.origin + "/handoff"; }
        std::string index(const Shop& by, const std::string& to, std::uint64_t epoch, std::uint32_t at) const {
            return sign_index({by.origin, to, coin.coin, epoch, at, coin.at(at), w.clock.now(), w.clock.now() + 1000}, by.key);
        }
        void gives(const Shop& by, std::uint64_t epoch, std::uint32_t at) {
            vendors.behaviour[url(by)] = [=, this](const Vendors::Call&) {
                return Vendors::with(200, json::Object().set("touchstone", coin.touchstone).set("index", index(by, issuer, epoch, at)));
            };
        }
        void gave_away(const Shop& by, const std::string& token_of_it, const std::string& certificate) {
            vendors.behaviour[url(by)] = [=](const Vendors::Call&) {
                return Vendors::with(410, json::Object().set("index", token_of_it).set("certificate", certificate));
            };
        }
        Response give_back(std::uint32_t shown = 0) {
            std::string body;
            if (shown > 0) body = json::Object().set("index", std::uint64_t{shown}).set("payword", encode_payword(coin.at(shown))).jcs();
            return w.call("POST /api/v1/coins/{coin}/return", body, token, {{"coin", coin.coin}});
        }
        // The broker is there all the time.
        void pass(std::int64_t seconds) {
            for (const UnixTime end = w.clock.now() + seconds; w.clock.now() < end;) {
                w.clock.time += std::min<std::int64_t>(20, end - w.clock.now());
                tick(w.context, w.store());
            }
        }
        std::string state() {
            std::string s;
            (void)w.store().read([&](Sql& sql) -> Outcome<Done> {
                s = std::get<0>(one<std::string>(sql, "SELECT state FROM coins WHERE coin = :c", coin.coin).value());
                return Done{};
            });
            return s;
        }
    };

    static std::string text(Result<std::string> r) { return must(std::move(r)); }

public:
    void holder_lets_go() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "b", World::claim(s.coin, 0, 30)));
        const auto before = s.w.balance(s.token);
        s.gives(s.a, 1, 40);
        const auto r = s.give_back(60);
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{960000}, amount_of(r, "refunded"));
        CPPUNIT_ASSERT_EQUAL(before + 960000, s.w.balance(s.token));
        CPPUNIT_ASSERT_EQUAL(r.body, s.give_back().body);
        CPPUNIT_ASSERT_EQUAL(1, s.vendors.calls[s.url(s.a)]);
        // What it sold and has not claimed yet is still its own, and nothing beyond.
        CPPUNIT_ASSERT(s.w.redeem(s.a, "c", World::claim(s.coin, 30, 40)).body.find("\"rejected\":[]") != std::string::npos);
        CPPUNIT_ASSERT(s.w.redeem(s.a, "d", World::claim(s.coin, 40, 41)).body.find("not-held") != std::string::npos);
        assert_problem(410, "gone", s.w.acquire(s.b, s.coin, 80));
        s.w.assert_sound();
    }

    void asks_as_the_contract_says() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        std::string jti;
        s.vendors.behaviour[s.url(s.a)] = [&](const Vendors::Call& call) {
            const auto r = must(verify_request(call.request(), news, "handoff", s.w.keys(), s.w.clock.now()));
            CPPUNIT_ASSERT_EQUAL(issuer, r.head.iss);
            const auto& m = r.payload.root();
            CPPUNIT_ASSERT(m.string("coin") == s.coin.coin);
            CPPUNIT_ASSERT(m.uint("epoch") == 1u);
            CPPUNIT_ASSERT(m.uint("index") == 1u);
            CPPUNIT_ASSERT(m.string("payword") == encode_payword(s.coin.at(1)));
            CPPUNIT_ASSERT(!call.body.root().find("certificate"));
            CPPUNIT_ASSERT(!call.body.root().find("index"));
            jti = r.head.jti;
            return Vendors::silent();
        };
        CPPUNIT_ASSERT_EQUAL(202, s.give_back(60).status);
        CPPUNIT_ASSERT_EQUAL(std::size_t{22}, jti.size());
    }

    void asks_without_a_payword() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        // An acquire leaves one in the store; where there is none the broker is believed without.
        (void)s.w.store().write([](Sql& sql) -> Outcome<Done> { run(sql, "DELETE FROM known_paywords"); return Done{}; });
        s.vendors.behaviour[s.url(s.a)] = [&](const Vendors::Call& call) {
            const auto r = must(verify_request(call.request(), news, "handoff", s.w.keys(), s.w.clock.now()));
            CPPUNIT_ASSERT(!r.payload.root().find("index") && !r.payload.root().find("payword"));
            return Vendors::with(200, json::Object().set("index", s.index(s.a, issuer, 1, 5)));
        };
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{995000}, amount_of(s.give_back(), "refunded"));
    }

    void shown_payword_has_to_be_of_the_coin() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        const auto post = [&](const std::string& body) {
            return s.w.call("POST /api/v1/coins/{coin}/return", body, s.token, {{"coin", s.coin.coin}});
        };
        const auto member_of = [&](std::uint64_t index, const Payword& w) {
            return json::Object().set("index", index).set("payword", encode_payword(w)).jcs();
        };
        assert_problem(422, "payword", post(member_of(5, s.coin.at(6))));
        assert_problem(422, "payword", post(member_of(1001, s.coin.at(5))));
        assert_problem(400, "malformed-request", post(member_of(0, s.coin.at(0))));
        assert_problem(400, "malformed-request", post(R"({"index":5})"));
        assert_problem(400, "malformed-request", post(json::Object().set("payword", encode_payword(s.coin.at(5))).jcs()));
        assert_problem(400, "malformed-json", post("[]"));
        CPPUNIT_ASSERT_EQUAL(std::string("live"), s.state());
        CPPUNIT_ASSERT_EQUAL(202, post("{}").status);
    }

    void holder_is_down_and_comes_back() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        const auto before = s.w.balance(s.token);
        const auto r = s.give_back(20);
        CPPUNIT_ASSERT_EQUAL(202, r.status);
        CPPUNIT_ASSERT_EQUAL(static_cast<std::uint64_t>(s.w.clock.now() + lease + margin), amount_of(r, "due"));
        CPPUNIT_ASSERT_EQUAL(std::string("returning"), s.state());
        assert_problem(410, "gone", s.w.acquire(s.b, s.coin, 30));
        s.gives(s.a, 1, 15);
        s.pass(120);
        CPPUNIT_ASSERT_EQUAL(before + 985000, s.w.balance(s.token));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{985000}, amount_of(s.give_back(), "refunded"));
        CPPUNIT_ASSERT_EQUAL(Int{0}, s.w.count("SELECT COUNT(*) FROM due_work"));
        s.w.assert_sound();
    }

    void is_asked_ever_more_seldom() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        CPPUNIT_ASSERT_EQUAL(202, s.give_back(20).status);
        s.pass(3600);
        const int hour = s.vendors.calls[s.url(s.a)];
        CPPUNIT_ASSERT_MESSAGE(std::to_string(hour), hour >= 4 && hour <= 7);
        s.pass(10 * 3600);
        const int later = s.vendors.calls[s.url(s.a)] - hour;
        CPPUNIT_ASSERT_MESSAGE(std::to_string(later), later >= 6 && later <= 11);
    }

    void owner_cannot_make_the_broker_hammer() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        for (int i = 0; i < 20; ++i) CPPUNIT_ASSERT_EQUAL(202, s.give_back(20).status);
        CPPUNIT_ASSERT_EQUAL(1, s.vendors.calls[s.url(s.a)]);
        s.w.clock.time += 10;
        CPPUNIT_ASSERT_EQUAL(202, s.give_back(20).status);
        CPPUNIT_ASSERT_EQUAL(2, s.vendors.calls[s.url(s.a)]);
    }

    void silent_vendors_other_coins_wait() {
        Scene s;
        std::vector<WalletCoin> coins;
        for (int i = 0; i < 5; ++i) {
            coins.push_back(s.w.coin(s.token, 10));
            assert_ok(s.w.acquire(s.a, coins.back(), 1));
            CPPUNIT_ASSERT_EQUAL(202, s.w.give_back(s.token, coins.back().coin).status);
        }
        const int before = s.vendors.calls[s.url(s.a)];
        s.pass(100);
        // One call finds out that it is still away; the other coins wait another minute.
        CPPUNIT_ASSERT(s.vendors.calls[s.url(s.a)] - before <= 2);
    }

    void holder_gave_it_to_another() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        s.gave_away(s.a, s.index(s.a, blog, 1, 40), must(certificate_of(s.w.context, s.w.store(), blog)));
        s.gives(s.b, 2, 70);
        const auto r = s.give_back(90);
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{930000}, amount_of(r, "refunded"));
        // Each has its own part.
        CPPUNIT_ASSERT(s.w.redeem(s.a, "a", World::claim(s.coin, 0, 40)).body.find("\"rejected\":[]") != std::string::npos);
        CPPUNIT_ASSERT(s.w.redeem(s.b, "b", World::claim(s.coin, 40, 70)).body.find("\"rejected\":[]") != std::string::npos);
        s.w.assert_sound();
    }

    void next_holder_never_heard_of_it() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        const auto given = s.index(s.a, blog, 1, 40);
        s.gave_away(s.a, given, must(certificate_of(s.w.context, s.w.store(), blog)));
        s.vendors.behaviour[s.url(s.b)] = [&](const Vendors::Call& call) {
            const auto& body = call.body.root();
            CPPUNIT_ASSERT(body.string("index") == given && body.string("touchstone") == s.coin.touchstone);
            const auto c = must(verify_certificate(body.string("releaser").value(), issuer, s.w.keys(), s.w.clock.now()));
            CPPUNIT_ASSERT(c.key == s.a.key.public_key());
            const auto r = must(verify_request(call.request(), blog, "handoff", s.w.keys(), s.w.clock.now()));
            CPPUNIT_ASSERT(r.payload.root().uint("epoch") == 2u && r.payload.root().uint("index") == 41u);
            return Vendors::with(200, json::Object().set("index", s.index(s.b, issuer, 2, 40)));
        };
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{960000}, amount_of(s.give_back(90), "refunded"));
        s.w.assert_sound();
    }

    void given_to_a_suspended_one() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        must(suspend_vendor(s.w.context, s.w.store(), blog));
        s.gave_away(s.a, s.index(s.a, blog, 1, 40), "x");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{960000}, amount_of(s.give_back(90), "refunded"));
        CPPUNIT_ASSERT_EQUAL(0, s.vendors.calls[s.url(s.b)]);
        s.w.assert_sound();
    }

    void nonsense_changes_nothing() {
        const auto answers = [](const char* what, const std::function<world::HttpAnswer(Scene&)>& answer) {
            Scene s;
            assert_ok(s.w.acquire(s.a, s.coin, 5));
            s.vendors.behaviour[s.url(s.a)] = [&](const Vendors::Call&) { return answer(s); };
            CPPUNIT_ASSERT_EQUAL_MESSAGE(what, 202, s.give_back(60).status);
            CPPUNIT_ASSERT_EQUAL_MESSAGE(what, Int{1}, s.w.count("SELECT COUNT(*) FROM epochs WHERE status = 'held'"));
            s.w.assert_sound();
        };
        const auto index = [](const std::string& token) { return Vendors::with(200, json::Object().set("index", token)); };
        answers("no JSON", [](Scene&) { auto a = Vendors::with(200, {}); a.body = "<html>"; return a; });
        answers("no index", [](Scene&) { return Vendors::with(200, {}); });
        answers("404", [](Scene&) { return Vendors::with(404, {}); });
        answers("redirect", [](Scene&) { return Vendors::with(302, {}); });
        answers("503", [](Scene&) { return Vendors::with(503, {}); });
        answers("not signed by it", [&](Scene& s) { return index(s.index({news, new_key()}, issuer, 1, 9)); });
        answers("signed by another", [&](Scene& s) { return index(s.index(s.b, issuer, 1, 9)); });
        answers("another epoch", [&](Scene& s) { return index(s.index(s.a, issuer, 2, 9)); });
        answers("another coin", [&](Scene& s) {
            const auto mine = s.coin;
            s.coin = s.w.coin(s.token);
            const auto token = s.index(s.a, issuer, 1, 9);
            s.coin = mine;
            return index(token);
        });
        answers("no payword of the coin", [&](Scene& s) {
            return index(sign_index({news, issuer, s.coin.coin, 1, 9, s.coin.at(8), s.w.clock.now(), s.w.clock.now()}, s.a.key));
        });
    }

    void index_below_claims_is_reversed_and_refunded() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "b", World::claim(s.coin, 0, 30)));
        const auto before = s.w.balance(s.token);
        s.gives(s.a, 1, 20);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{980000}, amount_of(s.give_back(60), "refunded"));
        CPPUNIT_ASSERT_EQUAL(before + 980000, s.w.balance(s.token));
        const auto frauds = must(list_frauds(s.w.store()));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, frauds.size());
        CPPUNIT_ASSERT_EQUAL(std::string("below-claims"), frauds[0].kind);
        CPPUNIT_ASSERT_EQUAL(news, frauds[0].vendor);
        CPPUNIT_ASSERT_EQUAL(s.coin.coin, frauds[0].coin);
        for (const auto& v : must(list_vendors(s.w.store(), s.w.clock.now()))) {
            if (v.origin != news) continue;
            CPPUNIT_ASSERT_EQUAL(std::string("suspended"), v.status);
            CPPUNIT_ASSERT_EQUAL(std::string("fraud"), v.suspended_for);
            CPPUNIT_ASSERT_EQUAL(std::int64_t{1}, v.frauds);
        }
        s.w.assert_sound();
    }

    void lease_ends_it_after_all() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.renew(s.a, s.coin, 1, 12));
        const auto before = s.w.balance(s.token);
        CPPUNIT_ASSERT_EQUAL(202, s.give_back(60).status);
        s.pass(lease + margin + 60);
        CPPUNIT_ASSERT_EQUAL(before + 988000, s.w.balance(s.token));
        s.w.assert_sound();
    }

    void few_calls_at_once() {
        Vendors vendors;
        const auto few = custody::few_at_once(vendors, 2);
        std::vector<std::string> errors;
        vendors.behaviour["deep"] = [&](const Vendors::Call&) {
            const auto inner = vendors.calls["deep"] < 3 ? few->post("deep", "{}") : Vendors::with(200, {});
            errors.push_back(inner.error);
            return Vendors::with(200, {});
        };
        CPPUNIT_ASSERT_EQUAL(200, few->post("deep", "{}").status);
        // The second inside the first went through, the third did not.
        CPPUNIT_ASSERT_EQUAL(2, vendors.calls["deep"]);
        CPPUNIT_ASSERT_EQUAL(std::string(custody::busy_error), errors.at(0));
        CPPUNIT_ASSERT_EQUAL(200, few->post("deep", "{}").status);
    }

    void expired_coins_are_refunded() {
        Scene s;
        const auto spent = s.w.coin(s.token, 10), untouched = s.w.coin(s.token, 10);
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "a", World::claim(s.coin, 0, 300)));
        assert_ok(s.w.acquire(s.a, spent, 5));
        assert_ok(s.w.redeem(s.a, "b", World::claim(spent, 0, 10)));
        const auto before = s.w.balance(s.token);
        s.w.clock.time += (365 + 90) * day;
        s.pass(margin + 100);
        CPPUNIT_ASSERT_EQUAL(before + 710000, s.w.balance(s.token));
        s.pass(100);
        CPPUNIT_ASSERT_EQUAL(before + 710000, s.w.balance(s.token));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{700000}, amount_of(s.give_back(), "refunded"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, amount_of(s.w.give_back(s.token, untouched.coin), "refunded"));
        s.w.assert_sound();
    }

    void page_is_harmless() {
        World w;
        const auto r = w.call("GET /return");
        assert_ok(r);
        CPPUNIT_ASSERT_EQUAL(std::string("text/html; charset=utf-8"), r.content_type);
        std::map<std::string, std::string> fields(r.headers.begin(), r.headers.end());
        CPPUNIT_ASSERT_EQUAL(std::string("no-store"), fields["Cache-Control"]);
        const auto csp = fields["Content-Security-Policy"];
        CPPUNIT_ASSERT(csp.find("default-src 'none'") != std::string::npos);
        CPPUNIT_ASSERT(csp.find("unsafe") == std::string::npos);
        CPPUNIT_ASSERT(r.body.find("<script") == std::string::npos);
        CPPUNIT_ASSERT(r.body.find("name=\"viewport\"") != std::string::npos);
        CPPUNIT_ASSERT(r.body.find("light dark") != std::string::npos);
        const auto bad = w.call("POST /return", "token=%3Cscript%3E&coin=%3Cscript%3E");
        CPPUNIT_ASSERT_EQUAL(403, bad.status);
        CPPUNIT_ASSERT(bad.body.find("<script") == std::string::npos);
        CPPUNIT_ASSERT(bad.body.find("No account of this broker has that token") != std::string::npos);
        for (const char* body : {"", "token=x", "coin=x", "token=%zz&coin=x", "token=a&token=b&coin=c"})
            CPPUNIT_ASSERT_EQUAL(400, w.call("POST /return", body).status);
    }

    void page_returns_a_coin() {
        Scene s;
        const auto post = [&] { return s.w.call("POST /return", "token=" + s.token + "&coin=+" + s.coin.coin + "%0D%0A"); };
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        const auto waiting = post();
        CPPUNIT_ASSERT_EQUAL(202, waiting.status);
        CPPUNIT_ASSERT(waiting.body.find("at the latest") != std::string::npos);
        s.gives(s.a, 1, 40);
        s.w.clock.time += 30;
        const auto done = post();
        assert_ok(done);
        CPPUNIT_ASSERT(done.body.find("96 ¢ went back") != std::string::npos);
        CPPUNIT_ASSERT(done.body.find(s.token) == std::string::npos);
        CPPUNIT_ASSERT_EQUAL(404, s.w.call("POST /return", "token=" + s.token + "&coin=nonsense").status);
        s.w.assert_sound();
    }

    void evidence_verifies_without_the_broker() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "a", World::claim(s.coin, 0, 30)));
        s.gave_away(s.a, s.index(s.a, blog, 1, 40), "x");
        s.gives(s.b, 2, 70);
        assert_ok(s.give_back(90));
        assert_ok(s.w.redeem(s.b, "b", World::claim(s.coin, 40, 70)));
        const auto json = text(evidence_of(s.w.context, s.w.store(), s.coin.coin));
        const auto d = must(evidence::parse(json));
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, d.custody.size());
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, d.indices.size());
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, d.claims.size());
        const auto judged = evidence::judge(d, s.w.keys());
        CPPUNIT_ASSERT_MESSAGE(judged.faults.empty() ? "" : judged.faults[0].sentence, judged.holds());
        CPPUNIT_ASSERT(judged.proofs.empty());
        CPPUNIT_ASSERT(!evidence_of(s.w.context, s.w.store(), "AAAAAAAAAAAAAAAAAAAAAA"));
    }

    void evidence_reveals_no_unspent_payword() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 500));
        assert_ok(s.w.redeem(s.a, "a", World::claim(s.coin, 0, 30)));
        CPPUNIT_ASSERT_EQUAL(202, s.give_back(600).status);
        const auto d = must(evidence::parse(text(evidence_of(s.w.context, s.w.store(), s.coin.coin))));
        CPPUNIT_ASSERT(!d.paywords.empty());
        for (const auto& p : d.paywords) CPPUNIT_ASSERT(p.index <= 30);
        CPPUNIT_ASSERT_EQUAL(std::int64_t{-1}, d.custody.at(0).released);
    }

    void evidence_of_fraud_names_the_culprit() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        for (const auto& token : {s.index(s.a, blog, 1, 40), s.index(s.a, issuer, 1, 50)})
            CPPUNIT_ASSERT(s.w.store().write([&](Sql& sql) {
                return show_index(s.w.context, sql, token, s.w.clock.now());
            }).ok());
        const auto d = must(evidence::parse(text(evidence_of(s.w.context, s.w.store(), s.coin.coin))));
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, d.findings.size());
        const auto judged = evidence::judge(d, s.w.keys());
        CPPUNIT_ASSERT_MESSAGE(judged.faults.empty() ? "" : judged.faults[0].sentence, judged.holds());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, judged.proofs.size());
        CPPUNIT_ASSERT_EQUAL(news, judged.proofs[0].vendor);
    }

    void pays_out() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "a", World::claim(s.coin, 0, 30)));
        const auto usd = *Currency::parse("uusd");
        CPPUNIT_ASSERT(must(pay_out(s.w.context, s.w.store(), news, std::nullopt, false)).empty());
        s.gives(s.a, 1, 40);
        assert_ok(s.give_back(60));
        CPPUNIT_ASSERT(must(pay_out(s.w.context, s.w.store(), news, *Currency::parse("ueur"), false)).empty());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{30000}, must(pay_out(s.w.context, s.w.store(), news, usd, false)).at(usd).micro());
        CPPUNIT_ASSERT(must(pay_out(s.w.context, s.w.store(), news, std::nullopt, false)).empty());
        for (const auto& v : must(list_vendors(s.w.store(), s.w.clock.now())))
            if (v.origin == news) {
                CPPUNIT_ASSERT_EQUAL(std::uint64_t{30000}, v.paid.at(usd).micro());
                CPPUNIT_ASSERT(v.payable.empty() && v.pending.empty() && v.owes.empty());
            }
        CPPUNIT_ASSERT(!pay_out(s.w.context, s.w.store(), "https://nobody.example", std::nullopt, false));
        s.w.assert_sound();
    }

    void proven_fraud_is_not_paid_out() {
        Scene s;
        assert_ok(s.w.acquire(s.a, s.coin, 5));
        assert_ok(s.w.redeem(s.a, "a", World::claim(s.coin, 0, 30)));
        s.gives(s.a, 1, 20);
        assert_ok(s.give_back(60));
        CPPUNIT_ASSERT(!pay_out(s.w.context, s.w.store(), news, std::nullopt, false));
        const auto usd = *Currency::parse("uusd");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, must(pay_out(s.w.context, s.w.store(), news, std::nullopt, true)).at(usd).micro());
        s.w.assert_sound();
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(BrokerReturnsTest);

}  // namespace
}  // namespace netpay::broker::test
