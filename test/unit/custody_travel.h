// A small world in which coins travel: several vendors, each with its own
// keys, till and keeper, connected in one process to each other and to a
// broker that keeps the books of section 7 as a real one would.
#pragma once

#include "test/unit/custody_support.h"

namespace netpay::custody_test {

inline std::string handoff_of(const std::string& origin) { return origin + "/.well-known/netpay/handoff"; }

// Keeps epochs and certificates; verifies every call and every signed index.
class TravelBroker : public custody::Transport {
public:
    struct Epoch {
        std::string vendor;
        std::uint32_t start = 0;
        UnixTime exp = 0;
        std::string custody;
        std::string founding;  // the signed index, if any
        std::string released;  // the signed index that ended it
    };
    struct Vendor {
        std::vector<SigningKey> keys;
        bool listed = true;
    };

    explicit TravelBroker(TestClock& clock) : clock_(clock) {}

    void enrol(const std::string& origin, std::uint8_t seed) { vendors[origin].keys.push_back(key_of(seed)); }
    void sell(const TestCoin& c) { coins[c.terms.coin] = &c; }

    std::string certificate(const std::string& origin, const SigningKey& key, UnixTime iat = 0) const {
        if (!iat) iat = clock_.now() - 100;
        return sign_certificate({broker_origin, origin, key.public_key(), handoff_of(origin), iat, iat + 30 * 86400}, signing);
    }
    std::string certificate(const std::string& origin) const { return certificate(origin, vendors.at(origin).keys.back()); }

    HttpAnswer get(const std::string& url) override {
        const std::lock_guard g(mutex_);
        ++calls["GET"];
        if (down) return {0, {}, "connection refused", 0, 0};
        if (url == broker_origin + "/.well-known/netpay")
            return ok(json::Object().set("issuer", broker_origin).set("jwks_uri", broker_origin + "/jwks.json").set("api", api_));
        if (url == broker_origin + "/jwks.json") return dated({200, KeySet({signing.public_key()}).jwks(), {}, 0, 0});
        if (url == api_ + "/vendors") return list ? dated({200, *list, {}, 0, 0}) : ok(json::Object().set("certificates", listed()));
        for (const auto& [origin, v] : vendors)
            if (url == api_ + "/vendors/" + b64u_encode(origin)) {
                ++calls["certificate"];
                return ok(json::Object().set("certificate", certificate(origin)));
            }
        return refused(404, "unknown-vendor");
    }

    HttpAnswer post(const std::string& url, const std::string& body) override {
        const std::lock_guard g(mutex_);
        if (down) return {0, {}, "connection refused", 0, 0};
        const auto call = url.substr(std::min(url.size(), api_.size() + 1));
        ++calls[call];
        const auto doc = json::Document::parse(body);
        const auto token = doc ? doc->root().string("request").value_or("") : "";
        const auto peeked = jws::peek(token);
        const std::string caller(peeked ? peeked->root().string("iss").value_or("") : "");
        if (!vendors.contains(caller)) return refused(403, "unknown-vendor");
        const auto request = verify_request(token, broker_origin, call, keys_of(caller), clock_.now());
        if (!request || !seen_.insert(request->head.jti).second) return refused(403, "request-forged");
        const auto answer = call == "custody/acquire"    ? acquire(caller, request->payload.root())
                            : call == "custody/transfer" ? transfer(caller, request->payload.root(), doc->root())
                                                         : refused(404, "no-such-call");
        if (lose) return {0, {}, "timeout", 0, 0};
        return answer;
    }

    SigningKey signing = key_of(1);
    std::map<std::string, Vendor> vendors;
    std::map<std::string, const TestCoin*> coins;
    std::map<std::string, std::vector<Epoch>> epochs;   // by coin; [0] is epoch 1
    std::map<std::string, int> calls;
    std::optional<std::string> list;                    // instead of the true one
    std::int64_t lease_s = 86400, clock_ahead = 0;
    bool with_date = true;
    std::atomic<bool> down = false, lose = false;

private:
    HttpAnswer dated(HttpAnswer a) const {
        if (with_date) a.date = clock_.now() + clock_ahead;
        return a;
    }
    HttpAnswer ok(const json::Object& o) const { return dated({200, o.jcs(), {}, 0, 0}); }
    HttpAnswer refused(int status, const char* kind) const {
        return dated({status, json::Object().set("type", std::string("urn:netpay:problem:") + kind).jcs(), {}, 0, 0});
    }
    KeySet keys_of(const std::string& origin) const {
        std::vector<PublicKey> keys;
        if (const auto v = vendors.find(origin); v != vendors.end())
            for (const auto& k : v->second.keys) keys.push_back(k.public_key());
        return KeySet(std::move(keys));
    }
    std::vector<std::string> listed() const {
        std::vector<std::string> out;
        for (const auto& [origin, v] : vendors)
            if (v.listed)
                for (const auto& k : v.keys) out.push_back(certificate(origin, k));
        return out;
    }

    void open(const std::string& coin, const std::string& vendor, std::uint32_t start, const std::string& founding) {
        auto& list_of = epochs[coin];
        Epoch e{vendor, start, clock_.now() + lease_s, {}, founding, {}};
        e.custody = sign_custody({broker_origin, vendor, coin, list_of.size() + 1, start, coins.at(coin)->chain.at(start),
                                  clock_.now(), e.exp}, signing);
        list_of.push_back(std::move(e));
    }

    HttpAnswer acquire(const std::string& caller, const json::Value& p) {
        const auto c = coins.find(std::string(p.string("coin").value_or("")));
        if (c == coins.end()) return refused(404, "unknown-coin");
        const auto index = static_cast<std::uint32_t>(p.uint("index").value_or(0));
        auto& list_of = epochs[c->first];
        const auto start = list_of.empty() ? 0u : list_of.back().start;
        if (c->second->chain.at(index) != decode_payword(p.string("payword").value_or(""))) return refused(422, "payword");
        if (index <= start) return refused(422, "payword");
        if (list_of.empty() || list_of.back().exp + 600 < clock_.now()) open(c->first, caller, start, {});
        auto& e = list_of.back();
        if (e.vendor == caller)
            return ok(json::Object().set("touchstone", c->second->touchstone).set("custody", e.custody));
        return dated({409, json::Object().set("touchstone", c->second->touchstone).set("holder", certificate(e.vendor))
                               .set("epoch", std::uint64_t{list_of.size()}).set("index", std::uint64_t{e.start}).jcs(), {}, 0, 0});
    }

    HttpAnswer transfer(const std::string& caller, const json::Value& p, const json::Value& body) {
        const std::string coin(p.string("coin").value_or(""));
        const auto* tokens = body.array("index");
        if (!coins.contains(coin) || !tokens || tokens->size() == 0) return refused(400, "malformed-request");
        std::string expected;
        std::uint64_t last = 0;
        for (const auto& item : *tokens) {
            const std::string token(item.as_string().value_or(""));
            const auto peeked = jws::peek(token);
            const std::string iss(peeked ? peeked->root().string("iss").value_or("") : "");
            const auto i = verify_index(token, keys_of(iss));
            if (!i || i->coin != coin || (!expected.empty() && i->iss != expected)) return refused(403, "index");
            if (coins.at(coin)->chain.at(i->index) != i->payword) return refused(403, "index");
            expected = i->aud;
            auto& list_of = epochs[coin];
            if (i->epoch < 1 || i->epoch > list_of.size() || list_of[i->epoch - 1].vendor != i->iss) return refused(409, "proven-fraud");
            auto& e = list_of[i->epoch - 1];
            last = i->epoch + 1;
            if (e.released == token) continue;
            if (!e.released.empty() || i->epoch != list_of.size())
                return dated({409, json::Object().set("index", e.released).jcs(), {}, 0, 0});
            e.released = token;
            open(coin, i->aud, i->index, token);
        }
        if (expected != caller) return refused(403, "index");
        return ok(json::Object().set("custody", epochs[coin][last - 1].custody));
    }

    TestClock& clock_;
    const std::string api_ = broker_origin + "/api/v1";
    std::mutex mutex_;
    std::set<std::string> seen_;
};

// A vendor: its till and keeper can be closed and opened again.
class Site;

// Carries the calls of vendors to each other.
class Network : public custody::Transport {
public:
    using Serve = std::function<HttpAnswer(const std::string& body)>;

    HttpAnswer get(const std::string&) override { return {404, "{}", {}, 0, 0}; }
    HttpAnswer post(const std::string& url, const std::string& body) override {
        std::string origin;
        for (const auto& [o, s] : sites)
            if (url == handoff_of(o)) origin = o;
        {
            const std::lock_guard g(mutex_);
            ++calls[origin];
            bodies.push_back(body);
        }
        if (before) before(origin);
        if (origin.empty() || down.contains(origin)) return {0, {}, "connection refused", 0, 0};
        const auto answer = sites.at(origin)(body);
        if (lose.contains(origin)) return {0, {}, "timeout", 0, 0};
        return answer;
    }
    std::map<std::string, Serve> sites;
    std::set<std::string> down, lose;   // lose: the call arrives, its answer does not
    std::function<void(const std::string&)> before;
    std::mutex mutex_;
    std::map<std::string, int> calls;
    std::vector<std::string> bodies;
};

class Site {
public:
    Site(std::string name, std::uint8_t seed, TestClock& clock, TravelBroker& broker, Network& network)
        : origin("https://" + name + ".example"), key(key_of(seed)), clock_(clock), broker_(broker), network_(network) {
        broker_.enrol(origin, seed);
        network_.sites[origin] = [this](const std::string& body) {
            const auto a = keeper->hand_over(body);
            last_outcome = a.outcome;
            return HttpAnswer{a.status, a.body, {}, static_cast<long>(a.retry_after_s), 0};
        };
        open();
    }
    void open() {
        till = open_till(dir.path);
        keeper = make();
        keeper->housekeeping();
    }
    void close() {
        keeper.reset();
        till.reset();
    }
    void reopen() {
        close();
        open();
    }
    std::unique_ptr<custody::Keeper> make() {
        custody::Options o;
        o.vendor = origin;
        o.key = std::make_shared<const SigningKey>(key_of_vendor());
        o.brokers = {{broker_origin, {}}};
        o.directory = dir.path;
        o.connect_timeout_ms = 100;
        o.call_timeout_ms = 20000;  // waiters wait so long at the most; nothing here takes it
        o.unconfirmed_pages = pages;
        o.release_wait_ms = 0;
        auto k = custody::Keeper::make(o, *till, {clock_, broker_, log, custody::system_random(), custody::system_disk()}, network_);
        CPPUNIT_ASSERT_MESSAGE(k ? "" : k.error().detail, k.ok());
        return std::move(*k);
    }
    SigningKey key_of_vendor() const { return *SigningKey::from_pem(key.to_pem()); }
    custody::Acquired pay(const PaymentPayload& p) {
        const auto e = till->find(p.tag);
        return e ? keeper->regain(p, 100000) : keeper->acquire(p, 100000);
    }
    std::optional<till::Entry> entry(const TestCoin& c) { return till->find(c.terms.tag); }

    const std::string origin;
    SigningKey key;
    TempDir dir;
    TestLog log;
    std::uint32_t pages = 10;
    std::unique_ptr<till::Till> till;
    std::unique_ptr<custody::Keeper> keeper;
    std::string last_outcome;

private:
    TestClock& clock_;
    TravelBroker& broker_;
    Network& network_;
};

}  // namespace netpay::custody_test
