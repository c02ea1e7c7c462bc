// A broker without its HTTP server: real store, keys and handlers in a
// directory of its own, a clock that stands still, and the people who call it.
#pragma once

#include <stdlib.h>

#include <cppunit/TestAssert.h>
#include <cppunit/TestFixture.h>
#include <cppunit/extensions/HelperMacros.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "broker/api/api.h"
#include "broker/api/operator.h"
#include "broker/context.h"
#include "broker/custody/handovers.h"
#include "broker/http/message.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "broker/web/keys.h"
#include "core/base64url.h"
#include "core/claim.h"
#include "core/hash.h"
#include "core/index.h"
#include "core/json.h"
#include "core/payword.h"
#include "core/request.h"
#include "core/touchstone.h"
#include "test/unit/audit_support.h"

namespace netpay::broker::test {

inline constexpr UnixTime start_of_time = 1790000000;
inline const std::string issuer = "https://broker.example";

// What a signed index does whenever it is shown.
inline Outcome<custody::Applied> show_index(Context& context, Sql& sql, std::string_view token, UnixTime now) {
    const auto shown = custody::verify_shown(context, sql, token);
    if (!shown) return shown.refusal();
    return custody::apply(context, sql, *shown, now);
}

class FakeClock final : public Clock {
public:
    UnixTime now() const override { return time; }
    std::atomic<UnixTime> time = start_of_time;
};

// Handlers by method and pattern, called as the server would.
class Calls final : public Routes {
public:
    void add(std::string method, std::string pattern, Handler h, RouteLimits) override {
        handlers_[method + " " + pattern] = std::move(h);
    }
    void add_stream(std::string method, std::string pattern, StreamHandler h, RouteLimits) override {
        streams_[method + " " + pattern] = std::move(h);
    }
    Response call(const std::string& route, Request& r) const { return handlers_.at(route)(r); }
    // The body in pieces of `piece` bytes.
    Response stream(const std::string& route, Request& r, const std::string& body, std::size_t piece) const {
        const auto sink = streams_.at(route)(r);
        for (std::size_t at = 0; at < body.size(); at += piece)
            if (auto early = sink->chunk(std::string_view(body).substr(at, piece))) return std::move(*early);
        return sink->finish();
    }

private:
    std::map<std::string, Handler> handlers_;
    std::map<std::string, StreamHandler> streams_;
};

class TempDir {
public:
    TempDir() {
        std::string name = (std::filesystem::temp_directory_path() / "netpay-broker-XXXXXX").string();
        CPPUNIT_ASSERT(mkdtemp(name.data()) != nullptr);
        path_ = name;
    }
    ~TempDir() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    TempDir(const TempDir&) = delete;
    TempDir& operator=(const TempDir&) = delete;
    std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
    std::string path_;
};

template <class T>
T must(Result<T> r) {
    CPPUNIT_ASSERT_MESSAGE(r ? std::string() : r.error().detail, r.ok());
    return std::move(*r);
}

inline SigningKey new_key() {
    const auto bytes = SystemRandom().bytes<32>();
    return must(SigningKey::from_bytes(Secret(as_view(bytes))));
}

inline json::Document parsed(const Response& r) { return must(json::Document::parse(r.body)); }
inline std::string member(const Response& r, const std::string& name) {
    const auto doc = parsed(r);
    const auto s = doc.root().string(name);
    CPPUNIT_ASSERT_MESSAGE("no string " + name + " in " + r.body, s.has_value());
    return std::string(*s);
}
inline std::uint64_t amount_of(const Response& r, const std::string& name) {
    const auto doc = parsed(r);
    const auto n = doc.root().uint(name);
    CPPUNIT_ASSERT_MESSAGE("no number " + name + " in " + r.body, n.has_value());
    return *n;
}
inline void assert_problem(int status, const std::string& kind, const Response& r) {
    CPPUNIT_ASSERT_EQUAL_MESSAGE(r.body, status, r.status);
    CPPUNIT_ASSERT_EQUAL(std::string("application/problem+json"), r.content_type);
    CPPUNIT_ASSERT_EQUAL("urn:netpay:problem:" + kind, member(r, "type"));
    CPPUNIT_ASSERT(!member(r, "detail").empty());
}
inline void assert_ok(const Response& r) { CPPUNIT_ASSERT_EQUAL_MESSAGE(r.body, 200, r.status); }

// A coin as a wallet has it.
struct WalletCoin {
    std::string coin, touchstone;
    Salt salt{};
    std::shared_ptr<Chain> chain;
    Payword at(std::uint32_t i) const { return chain->at(i); }
};

struct Shop {
    std::string origin;
    SigningKey key;
};

class World {
public:
    World() : World(std::shared_ptr<TempDir>()) {}
    explicit World(std::shared_ptr<TempDir> dir)
        : dir_(dir ? std::move(dir) : std::make_shared<TempDir>()),
          options_(make_options()),
          keys_(must(KeyStore::init(*dir_ / "keys", clock.now()))),
          log_(must(Log::open(*dir_ / "log", clock))),
          store_(must(Store::open(*dir_ / "broker.db"))),
          web_(must(web::WebKeys::open(*dir_ / "keys", random_))),
          context{options_, *keys_, *log_, metrics_, clock, random_, nullptr, web_.get()} {
        register_api(calls, context, *store_);
    }

    Store& store() { return *store_; }
    Options& options() { return options_; }
    std::shared_ptr<TempDir> dir() const { return dir_; }
    const KeySet& keys() { listed_ = keys_->listed(); return *listed_; }

    Response call(const std::string& route, const std::string& body = {}, const std::string& token = {},
                  std::map<std::string, std::string, std::less<>> params = {},
                  std::map<std::string, std::string, std::less<>> headers = {}) {
        Request r = request(body, token);
        r.params = std::move(params);
        r.headers.merge(headers);
        return calls.call(route, r);
    }

    // People.
    std::string account() { return member(call("POST /api/v1/accounts"), "token"); }
    std::string voucher(std::uint64_t micro = 100000000) {
        return must(mint_vouchers(context, store(), {*Amount::from(micro), *Currency::parse("uusd"), 1, 30}))[0].code;
    }
    Response top_up(const std::string& token, const std::string& code) {
        return call("POST /api/v1/accounts/me/topups", json::Object().set("voucher", code).jcs(), token);
    }
    std::string rich(std::uint64_t micro = 100000000) {
        const auto token = account();
        assert_ok(top_up(token, voucher(micro)));
        return token;
    }
    std::uint64_t balance(const std::string& token) {
        const auto r = call("GET /api/v1/accounts/me", {}, token);
        assert_ok(r);
        const auto doc = parsed(r);
        return doc.root().object("balance")->uint("uusd").value();
    }

    static std::string order(std::uint32_t n, std::uint64_t unit = 1000) {
        return json::Object().set("currency", "uusd").set("unit", unit).set("n", std::uint64_t{n}).jcs();
    }
    static std::string order(const Chain& chain, std::uint64_t unit = 1000) {
        return json::Object()
            .set("currency", "uusd")
            .set("unit", unit)
            .set("n", std::uint64_t{chain.n()})
            .set("salt", b64u_encode(chain.salt()))
            .set("root", encode_payword(chain.at(0)))
            .jcs();
    }
    Response buy(const std::string& token, const std::string& body, const std::string& key = {}) {
        std::map<std::string, std::string, std::less<>> headers;
        if (!key.empty()) headers["idempotency-key"] = key;
        return call("POST /api/v1/coins", body, token, {}, headers);
    }
    std::shared_ptr<Chain> chain(std::uint32_t n = 1000) {
        return std::make_shared<Chain>(random_.bytes<16>(), Payword{random_.bytes<32>()}, n);
    }
    WalletCoin coin(const std::string& token, std::uint32_t n = 1000) {
        WalletCoin c;
        c.chain = chain(n);
        c.salt = c.chain->salt();
        const auto r = buy(token, order(*c.chain));
        assert_ok(r);
        c.touchstone = member(r, "touchstone");
        c.coin = must(verify_touchstone(c.touchstone, issuer, keys(), clock.now())).coin;
        return c;
    }
    Response give_back(const std::string& token, const std::string& coin) {
        return call("POST /api/v1/coins/{coin}/return", {}, token, {{"coin", coin}});
    }

    // Vendors.
    std::string signed_request(const Shop& shop, const std::string& what, json::Object members) {
        return json::Object().set("request", sign_request({shop.origin, issuer, what, clock.now(), b64u_encode(random_.bytes<16>())},
                                                          std::move(members), shop.key)).jcs();
    }
    std::string registration(const Shop& shop, const std::string& handoff) {
        return signed_request(shop, "vendors", json::Object().set("origin", shop.origin).set("jwk", shop.key.public_key().jwk()).set("handoff", handoff));
    }
    Shop shop(const std::string& origin) {
        Shop s{origin, new_key()};
        CPPUNIT_ASSERT_EQUAL(202, call("POST /api/v1/vendors", registration(s, origin + "/handoff"), account()).status);
        must(approve_vendor(context, store(), origin));
        return s;
    }
    Response acquire(const Shop& shop, const WalletCoin& c, std::uint32_t index) {
        return call("POST /api/v1/custody/acquire",
                    signed_request(shop, "custody/acquire", json::Object().set("coin", c.coin).set("index", std::uint64_t{index}).set("payword", encode_payword(c.at(index)))));
    }
    Response renew(const Shop& shop, const WalletCoin& c, std::uint64_t epoch, std::uint32_t index) {
        std::vector<json::Object> coins{json::Object().set("coin", c.coin).set("epoch", epoch).set("index", std::uint64_t{index}).set("payword", encode_payword(c.at(index)))};
        return call("POST /api/v1/custody/renew", signed_request(shop, "custody/renew", json::Object().set("coins", coins)));
    }
    // A signed index: `from` releases its epoch of the coin at an index.
    std::string hand_over(const Shop& from, const std::string& aud, const WalletCoin& c, std::uint64_t epoch, std::uint32_t index) {
        return sign_index({from.origin, aud, c.coin, epoch, index, c.at(index), clock.now(), clock.now() + 3600}, from.key);
    }
    Response transfer(const Shop& shop, const WalletCoin& c, const std::vector<std::string>& tokens) {
        const auto request = sign_request({shop.origin, issuer, "custody/transfer", clock.now(), b64u_encode(random_.bytes<16>())},
                                          json::Object().set("coin", c.coin), shop.key);
        return call("POST /api/v1/custody/transfer", json::Object().set("request", request).set("index", tokens).jcs());
    }
    Custody custody_of(const Response& r) { return must(verify_custody(member(r, "custody"), keys())); }

    static std::string claim(const WalletCoin& c, std::uint32_t from, std::uint32_t to) {
        return format_claim({c.coin, from, to, c.at(to)}) + "\n";
    }
    Response redeem(const Shop& shop, const std::string& batch, const std::string& body, std::size_t piece = 4096,
                    const std::string& signed_body = {}) {
        Request r = request({}, {});
        const auto digest = content_digest(sha256(signed_body.empty() ? body : signed_body));
        r.headers["content-type"] = "application/x-ndjson";
        r.headers["netpay-batch"] = sign_batch({shop.origin, issuer, batch, digest, clock.now()}, shop.key);
        return calls.stream("POST /api/v1/redemptions", r, body, piece);
    }
    Redeemed receipt(const Shop& shop, const Response& r) {
        assert_ok(r);
        return must(verify_redeemed(member(r, "receipt"), shop.origin, keys()));
    }

    std::uint64_t ledger(const std::string& name) {
        return static_cast<std::uint64_t>(count("SELECT COALESCE(SUM(balance), 0) FROM ledger_accounts WHERE name = '" + name + "'"));
    }
    std::string status_of(const Shop& shop) {
        for (const auto& v : must(list_vendors(store(), clock.now())))
            if (v.origin == shop.origin) return v.status;
        return {};
    }
    // Time passes and the broker is there all the while.
    void pass(std::int64_t seconds) {
        for (const UnixTime end = clock.time + seconds; clock.time < end;) {
            clock.time = std::min<UnixTime>(clock.time + 3 * tick_period_s, end);
            tick(context, store());
        }
    }

    LedgerReport check() { return must(check_ledger(store())); }
    // By the broker's own check, and by the auditor's, from the signatures up.
    void assert_sound() {
        const auto report = check();
        CPPUNIT_ASSERT_MESSAGE(report.ok() ? std::string() : report.faults[0], report.ok());
        CPPUNIT_ASSERT_EQUAL(std::string(), netpay::test::audited(store().path(), keys(), clock.now()).text());
    }
    Int count(const std::string& sql) {
        Int n = 0;
        const auto done = store().read([&](Sql& s) -> Outcome<Done> { n = number(s, sql); return Done{}; });
        CPPUNIT_ASSERT(done.ok());
        return n;
    }

    FakeClock clock;

private:
    static Options make_options() {
        Options o;
        o.issuer = issuer;
        o.currencies = {*Currency::parse("uusd")};
        for (const std::uint32_t n : {1u, 10u, 1000u, 10000u}) o.denominations.push_back({*Amount::from(1000), n});
        o.denominations.push_back({*Amount::from(1), 1u << 20});
        o.allow_http_vendors = true;
        return o;
    }
    Request request(const std::string& body, const std::string& token) {
        Request r;
        r.body = body;
        r.now = clock.now();
        r.request_id = "test";
        if (!token.empty()) r.headers["authorization"] = "Bearer " + token;
        return r;
    }

    std::shared_ptr<TempDir> dir_;
    Options options_;
    Metrics metrics_;
    SystemRandom random_;
    std::unique_ptr<KeyStore> keys_;
    std::shared_ptr<const KeySet> listed_;
    std::unique_ptr<Log> log_;
    std::unique_ptr<Store> store_;
    std::unique_ptr<web::WebKeys> web_;

public:
    Context context;
    Calls calls;
};

}  // namespace netpay::broker::test
