// The broker as a customer's wallet sees it (PROTOCOL.md section 9). Answers
// are bounded, and only addresses on the issuer's own origin are called.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "core/key.h"
#include "core/money.h"
#include "core/payword.h"
#include "core/touchstone.h"
#include "wallet/env.h"
#include "wallet/failure.h"
#include "wallet/http.h"
#include "wallet/store.h"

namespace netpay::wallet {

struct Denomination {
    Amount unit;
    std::uint32_t n = 0;
    Amount value() const { return unit.times(n).value_or(Amount{}); }
};

struct BrokerInfo {
    std::string issuer, api, jwks_uri;
    std::vector<Currency> currencies;
    std::uint32_t max_length = 0;
    std::vector<Denomination> denominations;
};

// What became of a purchase. A refusal is final: the coin was not sold.
struct Purchase {
    std::string touchstone;  // as received, verified; '' if refused
    UnixTime expires = 0;
    std::string refusal;
};

struct Refund {
    bool done = false;  // false: the holder did not let go yet; the broker asks again
    Amount refunded;
    std::string currency;
    UnixTime due = 0;   // not done: when it will be refunded at the latest; 0: not said
};

// A payword that was revealed before.
struct Revealed {
    std::uint32_t index = 0;
    Payword payword;
};

// A vendor that is registered, in its own words.
struct Registration {
    std::string origin, handoff;
};

class BrokerApi {
public:
    BrokerApi(Transport& t, Clock& clock, Random& random, std::int64_t max_time_ms)
        : transport_(t), clock_(clock), random_(random), max_time_ms_(max_time_ms) {}

    // GET /.well-known/netpay. The issuer in it must be the one asked.
    Outcome<BrokerInfo> discover(const std::string& issuer);
    Outcome<Account> create_account(const BrokerInfo& info);
    // POST topups. Returns the balance after it if the broker says it.
    Outcome<std::map<Currency, Amount>> topup(const Account& a, const std::string& voucher);
    Outcome<std::map<Currency, Amount>> balance(const Account& a);
    // POST coins with the chain's salt and root; the same request again gets
    // the same answer. `jwks` is refreshed when the broker signs by a new key.
    Outcome<Purchase> buy(Account& a, const Coin& c, const Payword& root);
    // POST coins/{coin}/return. With the highest payword the wallet has
    // revealed the broker can ask the coin's holder as a vendor would; one that
    // was never revealed must not be given.
    Outcome<Refund> give_back(const Account& a, const std::string& coin, const std::optional<Revealed>& highest);
    // What a vendor's key signs to be registered at a broker; good for a minute.
    Outcome<std::string> registration(const std::string& issuer, const Registration& r, const SigningKey& key);
    // POST vendors, signed by the vendor's key: "pending" or "approved".
    Outcome<std::string> register_vendor(const Account& a, const Registration& r, const SigningKey& key);
    // GET vendors/{origin}: the certificate, verified by the broker's keys; '' if it is not approved.
    Outcome<std::string> certificate(const BrokerInfo& info, const std::string& origin);

private:
    struct Reply {
        int status = 0;
        json::Document body;
    };
    Outcome<Reply> call(const std::string& method, const std::string& url, const Account* a, const std::string* body,
                        HeaderList extra = {});
    Outcome<std::string> fetch_jwks(const std::string& url);
    Outcome<Touchstone> judge(Account& a, const std::string& token);

    Transport& transport_;
    Clock& clock_;
    Random& random_;
    std::int64_t max_time_ms_;
};

}  // namespace netpay::wallet
