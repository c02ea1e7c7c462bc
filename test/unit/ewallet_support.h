// What the tests of e-wallets share: a till, a broker that grants in the same
// process, and a browser that keeps cookies.
#pragma once

#include <cppunit/TestAssert.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/index.h"
#include "custody_support.h"
#include "mod_netpay/custody/reply.h"
#include "mod_netpay/ewallet/wallets.h"
#include "mod_netpay/purchase.h"

namespace netpay::ewallet_test {

using custody_test::TestClock;
using custody_test::TestCoin;
using custody_test::TestLog;
using custody_test::broker_origin;
using custody_test::start_of_time;
using custody_test::vendor_origin;
using ewallet::Standing;
using ewallet::Visit;

inline const std::string code(43, 'c');  // 32 bytes
inline const std::string peer = "192.0.2.1";

// A broker with one reader, and the custody it gives.
struct GrantingKeeper final : custody::Keeper {
    explicit GrantingKeeper(till::Till& t, TestClock& c) : till(t), clock(c) {}

    custody::Acquired acquire(const PaymentPayload& p, std::uint32_t) override {
        ++acquired;
        shown = p;
        if (on_acquire) std::exchange(on_acquire, nullptr)();
        if (refuse_custody) return {*refuse_custody, "said so"};
        const auto& c = *coins.at(p.coin);
        const auto taken = till.take({c.terms, c.touchstone, "custody", epoch, start, c.chain.at(start), clock.now() + 86400, {}, 0});
        CPPUNIT_ASSERT(taken.ok());
        return {*taken ? custody::Taken::held : custody::Taken::unavailable, "stale"};
    }
    custody::Acquired regain(const PaymentPayload& p, std::uint32_t max_hop) override { return acquire(p, max_hop); }
    bool confirm(const Tag16&) override { return true; }
    custody::HandoffAnswer hand_over(std::string_view) override { return {}; }
    bool clock_good() const override { return true; }
    custody::Health health() override { return {}; }
    void on_urgent(std::function<void()>) override {}
    bool ready() override { return true; }
    std::uint32_t housekeeping() override { return 10; }
    Result<Touchstone> read_touchstone(std::string_view issuer, const std::string& token) override {
        return verify_touchstone(token, issuer, KeySet({key.public_key()}), clock.now());
    }
    custody::Reply ask(std::string_view issuer, std::string_view call, const json::Object& members) override {
        CPPUNIT_ASSERT_EQUAL(broker_origin, std::string(issuer));
        auto text = members.jcs();
        asked.emplace_back(call, text);
        if (on_ask) on_ask();
        custody::Reply r;
        r.status = status;
        r.kind = kind;
        if (status != 200) return r;
        if (call == "ewallet/leave") text = "{}";
        else text = document(call == "ewallet/token").jcs();
        r.body = std::move(*json::Document::parse(text));
        return r;
    }
    json::Object document(bool first) const {
        json::Object c;
        c.set("touchstone", coin->touchstone).set("spent", std::uint64_t{spent}).set("granted", std::uint64_t{granted});
        c.set("payword", encode_payword(coin->chain.at(std::min(granted, coin->terms.n))));
        if (!holder.empty()) c.set("holder", holder).set("held", std::uint64_t{held});
        json::Object o;
        if (first) o.set("grant", grant);
        o.set("reader", reader).set("until", static_cast<std::uint64_t>(until)).set("currency", "uusd").set("per_page", per_page);
        o.set("per_day", per_day).set("automatic", automatic).set("coin", c);
        if (bend) bend(o, c);
        return o;
    }
    void sell(const TestCoin& c) {
        coins[c.terms.coin] = &c;
        coin = &c;
    }
    int calls(std::string_view name) const {
        int n = 0;
        for (const auto& a : asked) n += a.first == name;
        return n;
    }

    till::Till& till;
    TestClock& clock;
    const SigningKey key = custody_test::key_of(1);
    std::map<std::string, const TestCoin*> coins;
    std::uint64_t epoch = 1;
    std::uint32_t start = 0;
    int acquired = 0;
    PaymentPayload shown;                              // to get custody, last
    std::function<void()> on_acquire;                  // once
    std::optional<custody::Taken> refuse_custody;
    // The grant.
    const TestCoin* coin = nullptr;
    std::string grant = std::string(43, 'g');
    std::uint32_t spent = 0, granted = 50, held = 0;
    std::string holder;
    std::uint64_t per_page = 50000, per_day = 1000000;
    std::string reader = std::string(21, 'r') + "g";
    bool automatic = true;
    UnixTime until = start_of_time + 30 * 86400;
    std::function<void(json::Object&, json::Object&)> bend;
    // The answers.
    int status = 200;
    std::string kind;
    std::function<void()> on_ask;
    std::vector<std::pair<std::string, std::string>> asked;
};

// What a browser does with cookies.
struct Browser {
    std::map<std::string, std::string> jar;
    void take(const std::vector<std::string>& set) {
        for (const auto& line : set) {
            const auto equals = line.find('='), end = line.find(';');
            const auto name = line.substr(0, equals);
            if (line.ends_with("Max-Age=0")) jar.erase(name);
            else jar[name] = line.substr(equals + 1, end - equals - 1);
        }
    }
    std::string field() const {
        std::string out;
        for (const auto& [name, value] : jar) out += (out.empty() ? "" : "; ") + name + "=" + value;
        return out;
    }
    std::string& wallet() { return jar["__Host-netpay-wallet"]; }
    bool has_wallet() const { return jar.contains("__Host-netpay-wallet"); }
};

// One vendor, one reader, a coin of 100 units of a tenth of a cent.
class Shop {
public:
    static constexpr std::uint32_t n = 100;

    Shop() : coin(1, n, keeper.key) {
        keeper.sell(coin);
        open();
    }
    void open() {
        wallets.reset();
        ewallet::Options o;
        o.origin = vendor_origin;
        o.issuers = {broker_origin};
        for (const auto& k : keys) o.keys.emplace_back(k);
        o.directory = dir.path;
        auto opened = ewallet::Wallets::open(std::move(o), *till, keeper, world);
        CPPUNIT_ASSERT_MESSAGE(opened ? "" : opened.error().detail, opened.ok());
        wallets = std::move(*opened);
    }

    static Tag16 resource(std::string_view target) { return first16(sha256(target)); }
    // A click on a link of the site. cents: tenths of one.
    Visit visit(const Browser& b, std::string_view target, std::uint64_t units = 10) {
        cookies_.push_back(std::make_unique<std::string>(b.field()));
        Visit v;
        v.cookies = *cookies_.back();
        v.target = target;
        v.resource = resource(target);
        v.price = {*Amount::from(units * 1000), *Currency::parse("uusd")};
        v.unasked = v.ordered_ok = true;
        v.now = clock.now();
        v.server = v.cookie = true;
        return v;
    }
    // To the broker and back.
    ewallet::Begun sign_in(Browser& b, std::string_view target, std::uint64_t units = 10, bool cookie = false) {
        const auto begun = wallets->begin(visit(b, target, units), broker_origin, cookie);
        CPPUNIT_ASSERT(begun.ok());
        b.take(begun->cookies);
        auto done = wallets->finish(b.field(), {{"state", state_of(begun->location)}, {"iss", broker_origin}, {"code", code}}, peer, clock.now());
        b.take(done.cookies);
        return done;
    }
    static std::string state_of(const std::string& location) {
        const auto at = location.find("&state=") + 7;
        return location.substr(at, 43);
    }

    // The page as the gate serves it: what became of it, units taken.
    struct Served {
        bool paid = false, replayed = false;
        std::uint32_t ticket = 0;
        Standing standing;
        std::optional<Refusal> refusal;
    };
    Served serve(Browser& b, const Visit& v, bool settle = true) {
        Served out;
        auto c = wallets->consider(v);
        b.take(c.cookies);
        out.standing = c.standing;
        out.refusal = c.refusal;
        for (int tries = 0; c.debit && tries < 4; ++tries) {
            till::Charge charge;
            charge.coin = c.debit->payload.tag;
            charge.price = v.price.amount;
            charge.currency = v.price.currency;
            charge.brokers = brokers;
            charge.rules = {v.max_hop, v.grace_s, 50};
            charge.payment.index = c.debit->payload.index;
            charge.payment.word = c.debit->payload.payword;
            charge.payment.resource = v.resource;
            charge.payment.is_get = true;
            charge.payment.now = v.now;
            auto got = purchase({*till, keeper}, c.debit->payload, charge);
            if (const auto* r = std::get_if<Refusal>(&got)) {
                out.refusal = *r;
                c.debit = wallets->next(v, *c.debit, *r);
                continue;
            }
            auto outcome = std::get<Purchase>(got).outcome;
            out.refusal.reset();
            out.ticket = static_cast<std::uint32_t>(c.debit->payload.index);
            out.replayed = outcome.verdict == Verdict::replayed;
            if (!out.replayed && settle) CPPUNIT_ASSERT(till->settle(charge, outcome));
            if (!out.replayed && !settle) till->release(charge);
            out.paid = !out.replayed && settle;
            if (settle) b.take(c.debit->cookies);
            break;
        }
        return out;
    }
    Served serve(Browser& b, std::string_view target, std::uint64_t units = 10) { return serve(b, visit(b, target, units)); }
    std::uint32_t spent(const TestCoin& c) {
        const auto e = till->find(c.terms.tag);
        return e ? e->state.spent : 0;
    }
    std::uint32_t spent() { return spent(coin); }
    void hand_over(std::uint64_t epoch) {
        const auto given = till->hand_over(coin.terms.tag, epoch, clock.now(), false, [](const till::Till::Leaving&) {
            return till::HandedOver{"index", "https://other.example", "certificate"};
        });
        CPPUNIT_ASSERT(given.result == till::Till::Handover::given);
    }

    custody_test::TempDir dir;
    TestClock clock;
    TestLog log;
    custody_test::TestBroker transport;
    std::vector<std::string> keys{std::string(32, 'k')};
    const std::vector<std::string> brokers{broker_origin};
    std::unique_ptr<till::Till> till = custody_test::open_till(dir.path);
    GrantingKeeper keeper{*till, clock};
    TestCoin coin;
    custody::World world{clock, transport, log, custody::system_random(), custody::system_disk()};
    std::unique_ptr<ewallet::Wallets> wallets;

private:
    std::vector<std::unique_ptr<std::string>> cookies_;
};

}  // namespace netpay::ewallet_test
