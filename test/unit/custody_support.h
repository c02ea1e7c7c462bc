// What the tests of custody and redemption share: a clock that stands, a log
// that is kept, and a broker in the same process that signs what a real one
// would, or what a bad one might.
#pragma once

#include <cppunit/TestAssert.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include "core/base64url.h"
#include "core/certificate.h"
#include "core/claim.h"
#include "core/hash.h"
#include "core/index.h"
#include "core/jws.h"
#include "core/payword.h"
#include "core/request.h"
#include "core/touchstone.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody_test {

using custody::HttpAnswer;

inline constexpr UnixTime start_of_time = 1800000000;
inline const std::string broker_origin = "https://broker.example";
inline const std::string vendor_origin = "https://news.example";

struct TestClock : custody::Clock {
    std::atomic<UnixTime> t = start_of_time;
    UnixTime now() const override { return t; }
};

struct TestLog : custody::Log {
    std::mutex mutex;
    std::vector<std::string> lines;
    void write(Level, const std::string& text) override {
        const std::lock_guard g(mutex);
        lines.push_back(text);
    }
    bool has(const std::string& part) {
        const std::lock_guard g(mutex);
        for (const auto& l : lines)
            if (l.find(part) != std::string::npos) return true;
        return false;
    }
};

class TempDir {
public:
    TempDir() {
        char name[] = "/tmp/netpay-unit-XXXXXX";
        CPPUNIT_ASSERT(mkdtemp(name));
        path = name;
    }
    ~TempDir() { std::filesystem::remove_all(path); }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    std::string path;
};

inline std::string read_whole(const std::string& path) {
    std::ifstream in(path, std::ios::binary);
    std::stringstream s;
    s << in.rdbuf();
    return s.str();
}

inline SigningKey key_of(std::uint8_t seed) { return *SigningKey::from_bytes(Secret(Bytes(32, seed))); }

// A coin with its chain: what a wallet has.
struct TestCoin {
    TestCoin(std::uint32_t number, std::uint32_t n, const SigningKey& broker, const std::string& issuer = broker_origin,
             UnixTime exp = start_of_time + 365 * 86400)
        : chain(salt_of(number), Payword{sha256("seed " + std::to_string(number))}, n) {
        terms.iss = issuer;
        terms.tag = coin_tag(chain.salt(), chain.at(0));
        terms.coin = coin_id(chain.salt(), chain.at(0));
        terms.cur = *Currency::parse("uusd");
        terms.unit = *Amount::from(1000);
        terms.n = n;
        terms.salt = chain.salt();
        terms.root = chain.at(0);
        terms.iat = start_of_time;
        terms.exp = exp;
        touchstone = sign_touchstone(terms, broker);
    }
    static Salt salt_of(std::uint32_t number) {
        Salt s{};
        s[0] = static_cast<std::uint8_t>(number);
        s[1] = static_cast<std::uint8_t>(number >> 8);
        return s;
    }
    PaymentPayload shown(std::uint32_t index) const {
        PaymentPayload p;
        p.coin = terms.coin;
        p.tag = terms.tag;
        p.index = index;
        p.payword = chain.at(std::min(index, terms.n));
        p.touchstone = touchstone;
        return p;
    }

    Chain chain;
    Touchstone terms;
    std::string touchstone;
};

// The calls a vendor makes, answered in the same process.
class TestBroker : public custody::FileTransport {
public:
    TestBroker() = default;

    HttpAnswer get(const std::string& url) override {
        ++gets;
        if (down) return {0, {}, "connection refused", 0};
        if (const auto o = overridden.find(url); o != overridden.end()) return o->second;
        if (url == issuer + "/.well-known/netpay")
            return ok(json::Object().set("issuer", issuer).set("jwks_uri", issuer + "/jwks.json").set("api", issuer + "/api/v1").jcs());
        if (url == issuer + "/jwks.json") return ok(KeySet(public_keys()).jwks());
        return {404, "{}", {}, 0};
    }

    HttpAnswer post(const std::string& url, const std::string& body) override {
        ++posts;
        if (delay.count()) std::this_thread::sleep_for(delay);
        while (hold) std::this_thread::sleep_for(std::chrono::milliseconds(1));
        if (down) return {0, {}, "connection refused", 0};
        if (answer) return *answer;
        const std::lock_guard g(mutex);
        const auto doc = json::Document::parse(body);
        const std::string api = issuer + "/api/v1/";
        if (!doc || !url.starts_with(api)) return {400, "{}", {}, 0};
        const auto call = url.substr(api.size());
        const std::string token(doc->root().string("request").value_or(""));
        longest_token = std::max(longest_token, token.size());
        const auto request = verify_request(token, issuer, call, KeySet({vendor_key.public_key()}), clock_now());
        if (!request || request->head.iss != vendor_origin || !seen.insert(request->head.jti).second) return {403, "{}", {}, 0};
        if (call == "custody/acquire") return acquire(request->payload.root());
        if (call == "custody/renew") return renew(request->payload.root());
        return {404, "{}", {}, 0};
    }

    HttpAnswer post_file(const std::string& url, const std::string& path, const std::vector<std::string>& fields) override {
        ++posts;
        if (down) return {0, {}, "connection refused", 0};
        if (answer) return *answer;
        return redeem ? redeem(url, path, fields) : HttpAnswer{404, "{}", {}, 0};
    }

    // What this broker signs for a coin; tests bend it.
    Custody custody_for(const std::string& coin) {
        const auto& c = *coins.at(coin);
        Custody k{issuer, vendor_origin, coin, epochs[coin], starts[coin], c.chain.at(starts[coin]), clock_now(),
                  std::min(clock_now() + lease_s, c.terms.exp)};
        if (bend) bend(k);
        return k;
    }
    void sell(const TestCoin& c) { coins[c.terms.coin] = &c; epochs[c.terms.coin] = 1; }
    const SigningKey& signing_key() const { return keys.back(); }
    UnixTime clock_now() const { return clock ? clock->now() : start_of_time; }
    std::vector<PublicKey> public_keys() const {
        std::vector<PublicKey> out;
        for (const auto& k : keys) out.push_back(k.public_key());
        return out;
    }
    static HttpAnswer ok(std::string body) { return {200, std::move(body), {}, 0}; }

    std::string issuer = broker_origin;
    std::vector<SigningKey> keys = [] { std::vector<SigningKey> k; k.push_back(key_of(1)); return k; }();
    SigningKey vendor_key = key_of(7);
    custody::Clock* clock = nullptr;
    std::int64_t lease_s = 86400;
    std::atomic<bool> down = false;
    std::chrono::milliseconds delay{0};
    std::atomic<bool> hold = false;                    // posts are not answered until it is false
    std::optional<HttpAnswer> answer;                  // to every post
    std::map<std::string, HttpAnswer> overridden;      // to gets
    std::function<void(Custody&)> bend;
    std::function<std::string(const Custody&)> sign;   // instead of the broker's own signature
    std::function<HttpAnswer(const std::string&, const std::string&, const std::vector<std::string>&)> redeem;
    std::set<std::string> not_renewed;                 // a request with one of these is refused whole
    std::map<std::string, const TestCoin*> coins;
    std::map<std::string, std::uint64_t> epochs;
    std::map<std::string, std::uint32_t> starts, renewed_at;
    std::vector<std::size_t> renewals;                 // coins in each renewal
    std::atomic<int> gets = 0, posts = 0;
    std::size_t longest_token = 0;

private:
    std::string signed_custody(const std::string& coin) {
        const auto k = custody_for(coin);
        return sign ? sign(k) : sign_custody(k, signing_key());
    }
    HttpAnswer acquire(const json::Value& p) {
        const auto coin = p.string("coin"), word = p.string("payword");
        const auto index = p.uint("index");
        if (!coin || !word || !index) return {400, "{}", {}, 0};
        const auto c = coins.find(std::string(*coin));
        if (c == coins.end()) return {404, "{}", {}, 0};
        const auto i = static_cast<std::uint32_t>(*index);
        if (i <= starts[c->first] || c->second->chain.at(i) != decode_payword(*word)) return {422, "{}", {}, 0};
        return ok(json::Object().set("touchstone", c->second->touchstone).set("custody", signed_custody(c->first)).jcs());
    }
    HttpAnswer renew(const json::Value& p) {
        std::vector<std::string> out;
        const auto* list = p.array("coins");
        if (!list) return {400, "{}", {}, 0};
        renewals.push_back(list->size());
        for (const auto& item : *list) {
            const std::string coin(item.string("coin").value_or(""));
            const auto index = static_cast<std::uint32_t>(item.uint("index").value_or(0));
            if (not_renewed.contains(coin)) return {400, "{}", {}, 0};
            const auto c = coins.find(coin);
            if (c == coins.end() || item.uint("epoch") != epochs[coin] ||
                c->second->chain.at(index) != decode_payword(item.string("payword").value_or("")))
                continue;
            renewed_at[coin] = index;
            out.push_back(signed_custody(coin));
        }
        return ok(json::Object().set("custody", out).jcs());
    }

    std::mutex mutex;
    std::set<std::string> seen;
};

// The page that a ticket buys here.
inline Tag16 page_of(std::uint32_t index) { return Tag16{static_cast<std::uint8_t>(index), static_cast<std::uint8_t>(index >> 8)}; }

// Sells `units` of a coin the till holds, by revealing W_index.
inline void sell_at(till::Till& till, const TestCoin& c, std::uint32_t index, std::uint32_t units, UnixTime now) {
    static const std::vector<std::string> brokers = {broker_origin, "https://other.example"};
    till::Charge charge;
    charge.coin = c.terms.tag;
    charge.payment.index = index;
    charge.payment.word = c.chain.at(index);
    charge.payment.resource = page_of(index);
    charge.payment.now = now;
    charge.price = *Amount::from(1000ull * units);
    charge.currency = c.terms.cur;
    charge.brokers = brokers;
    auto out = till.reserve(charge);
    CPPUNIT_ASSERT_MESSAGE(out.why, out.answer == till::Answer::judged);
    CPPUNIT_ASSERT(out.verdict == Verdict::paid);
    CPPUNIT_ASSERT(till.settle(charge, out));
}

inline std::unique_ptr<till::Till> open_till(const std::string& directory) {
    till::Options o;
    o.directory = directory;
    o.slots = 64;
    auto t = till::Till::open(o);
    CPPUNIT_ASSERT_MESSAGE(t ? "" : t.error().detail, t.ok());
    return std::move(*t);
}

// Its reader bought it by mistake.
inline till::Till::GivenBack give_back(till::Till& till, const TestCoin& c, std::uint32_t index, UnixTime now) {
    return till.give_back({c.terms.tag, index, page_of(index), now, 86400, till::Till::most_given_back}).result;
}

// Puts a coin into the till as an acquisition would.
inline void put(till::Till& till, TestBroker& b, const TestCoin& c) {
    b.sell(c);
    const auto k = b.custody_for(c.terms.coin);
    const auto taken = till.take({c.terms, c.touchstone, sign_custody(k, b.signing_key()), k.epoch, k.index, k.payword, k.exp, {}, 0});
    CPPUNIT_ASSERT(taken.ok() && *taken);
}

}  // namespace netpay::custody_test
