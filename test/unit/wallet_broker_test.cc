// What the wallet says to a broker when it gives a coin back, and what a
// vendor's registration looks like; the broker is a script.
#include <cppunit/TestAssert.h>
#include <cppunit/TestFixture.h>
#include <cppunit/extensions/HelperMacros.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/base64url.h"
#include "core/certificate.h"
#include "core/request.h"
#include "test/unit/wallet_support.h"
#include "wallet/broker_api.h"
#include "wallet/purse.h"
#include "wallet/store.h"

namespace netpay::wallet {
namespace {

const std::string issuer = "https://broker.example", news = "https://news.example", blog = "https://blog.example";

class FixedClock : public Clock {
public:
    UnixTime now() override { return 1800000000; }
    void sleep_s(int) override {}
};

// Gives its answers in turn and keeps what was asked.
class Script : public Transport {
public:
    struct Answer {
        int status;
        std::string body;
    };
    HttpOutcome send(const HttpRequest& r, AnswerSink& sink) override {
        asked.push_back(r);
        HttpOutcome out;
        CPPUNIT_ASSERT(!answers.empty());
        const auto a = answers.front();
        answers.erase(answers.begin());
        HttpHead head;
        head.status = a.status;
        out.complete = sink.head(head) && sink.data(a.body);
        return out;
    }
    std::vector<Answer> answers;
    std::vector<HttpRequest> asked;
};

SigningKey key_of(char mark) {
    auto k = SigningKey::from_bytes(Secret(std::string_view(std::string(32, mark))));
    CPPUNIT_ASSERT(k.ok());
    return std::move(*k);
}

class WalletBroker : public StoreFixture {
    CPPUNIT_TEST_SUITE(WalletBroker);
    CPPUNIT_TEST(highest_revealed_is_over_all_sites);
    CPPUNIT_TEST(returns_with_the_highest_payword);
    CPPUNIT_TEST(return_waits);
    CPPUNIT_TEST(return_is_refused);
    CPPUNIT_TEST(registers_a_vendor);
    CPPUNIT_TEST(fetches_a_certificate);
    CPPUNIT_TEST_SUITE_END();

private:
    FixedClock clock_;
    Script script_;
    BrokerApi api_{script_, clock_, system_random(), 1000};

    static Account account() { return {issuer, issuer + "/api/v1", issuer + "/jwks.json", "", "me", Secret(std::string_view("secret")), 0}; }
    static json::Document parsed(const std::string& text) {
        auto d = json::Document::parse(text);
        CPPUNIT_ASSERT(d.ok());
        return std::move(*d);
    }

    void highest_revealed_is_over_all_sites() {
        auto store = Store::open(dir_ + "/w");
        CPPUNIT_ASSERT(store);
        auto& s = **store;
        Coin c;
        c.salt.fill(1);
        Payword seed;
        const Chain chain(c.salt, seed, 1000);
        c.coin = coin_id(c.salt, chain.at(0));
        c.issuer = issuer;
        c.currency = *Currency::parse("uusd");
        c.unit = *Amount::from(1000);
        c.n = 1000;
        CPPUNIT_ASSERT(s.add_coin(c, chain) && s.complete_coin(c.coin, "touchstone", clock_.now() + 1000));
        CPPUNIT_ASSERT_EQUAL(0u, *s.revealed(c));
        Purse p(s, clock_, this_process());
        const auto want = [&](const std::string& site) {
            return Want{site, "GET", site + "/a", *Amount::from(20000), *Amount::from(20000), c.currency, {issuer}};
        };
        const auto first = p.reserve(want(news));
        CPPUNIT_ASSERT(first && p.paid(*first, news, first->amount, 20));
        CPPUNIT_ASSERT_EQUAL(20u, *s.revealed(c));
        const auto second = p.reserve(want(blog));  // revealed, and never answered
        CPPUNIT_ASSERT(second);
        CPPUNIT_ASSERT_EQUAL(second->index, *s.revealed(c));
        CPPUNIT_ASSERT(*s.revealed(c) > 20);
    }

    void returns_with_the_highest_payword() {
        Payword w;
        w.bytes.fill(7);
        script_.answers = {{200, R"({"refunded":930000,"currency":"uusd"})"}, {200, R"({"refunded":1,"currency":"uusd"})"}};
        const auto done = api_.give_back(account(), "COIN", Revealed{70, w});
        CPPUNIT_ASSERT(done && done->done);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{930000}, done->refunded.micro());
        CPPUNIT_ASSERT_EQUAL(issuer + "/api/v1/coins/COIN/return", script_.asked[0].url);
        const auto body = parsed(*script_.asked[0].body);
        CPPUNIT_ASSERT(body.root().uint("index") == 70u && body.root().string("payword") == encode_payword(w));
        CPPUNIT_ASSERT(api_.give_back(account(), "COIN", std::nullopt));
        CPPUNIT_ASSERT_EQUAL(std::string("{}"), *script_.asked[1].body);
    }

    void return_waits() {
        script_.answers = {{202, R"({"state":"returning","due":1800090000,"detail":"x"})"}, {202, "{}"}};
        const auto r = api_.give_back(account(), "COIN", std::nullopt);
        CPPUNIT_ASSERT(r && !r->done);
        CPPUNIT_ASSERT_EQUAL(UnixTime{1800090000}, r->due);
        CPPUNIT_ASSERT_EQUAL(UnixTime{0}, api_.give_back(account(), "COIN", std::nullopt)->due);
    }

    void return_is_refused() {
        script_.answers = {{410, R"({"title":"gone","detail":"too late"})"}, {200, "{}"}};
        CPPUNIT_ASSERT(api_.give_back(account(), "COIN", std::nullopt).failure().exit == Exit::broker);
        CPPUNIT_ASSERT(api_.give_back(account(), "COIN", std::nullopt).failure().exit == Exit::broker);
    }

    void registers_a_vendor() {
        const auto key = key_of('k');
        script_.answers = {{202, R"({"origin":"https://news.example","status":"pending"})"}, {202, "{}"}};
        const Registration r{news, news + "/.well-known/netpay/handoff"};
        const auto status = api_.register_vendor(account(), r, key);
        CPPUNIT_ASSERT(status && *status == "pending");
        const auto body = parsed(*script_.asked[0].body);
        const auto request = verify_request(*body.root().string("request"), issuer, "vendors", KeySet({key.public_key()}), clock_.now());
        CPPUNIT_ASSERT(request.ok());
        const auto& m = request->payload.root();
        CPPUNIT_ASSERT(m.string("origin") == news && m.string("iss") == news && m.string("handoff") == r.handoff);
        CPPUNIT_ASSERT(PublicKey::from_jwk(*m.object("jwk")).value() == key.public_key());
        CPPUNIT_ASSERT(!api_.register_vendor(account(), r, key));
    }

    void fetches_a_certificate() {
        const auto broker = key_of('b'), vendor = key_of('v'), stranger = key_of('s');
        const BrokerInfo info{issuer, issuer + "/api/v1", issuer + "/jwks.json", {}, 0, {}};
        const auto jwks = KeySet({broker.public_key()}).jwks();
        const auto certificate = [&](const std::string& origin, const SigningKey& by) {
            return sign_certificate({issuer, origin, vendor.public_key(), origin + "/h", clock_.now(), clock_.now() + 10}, by);
        };
        const auto answer = [](const std::string& token) { return json::Object().set("certificate", token).jcs(); };
        script_.answers = {{200, jwks}, {200, answer(certificate(news, broker))}};
        const auto good = api_.certificate(info, news);
        CPPUNIT_ASSERT(good && *good == certificate(news, broker));
        CPPUNIT_ASSERT_EQUAL(issuer + "/api/v1/vendors/" + b64u_encode(news), script_.asked[1].url);
        script_.answers = {{200, jwks}, {404, "{}"}};
        CPPUNIT_ASSERT(api_.certificate(info, news)->empty());
        for (const auto& bad : {certificate(blog, broker), certificate(news, stranger), std::string("x")}) {
            script_.answers = {{200, jwks}, {200, answer(bad)}};
            CPPUNIT_ASSERT(!api_.certificate(info, news));
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(WalletBroker);

}  // namespace
}  // namespace netpay::wallet
