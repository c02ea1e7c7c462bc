// The wallet's store: a directory of mode 0700 with one SQLite file of mode
// 0600, through SOCI. It holds seeds and bearer tokens, so a store that
// others can read is refused. Every change is one transaction, flushed to the
// disk before it counts (synchronous=FULL); several processes may use one
// store at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/challenge.h"
#include "core/money.h"
#include "core/payword.h"
#include "wallet/failure.h"

namespace soci {
class session;
}

namespace netpay::wallet {

struct Account {
    std::string issuer, api, jwks_uri;
    std::string jwks;     // the broker's JWK set as last fetched; '' if never
    std::string account;  // its name at the broker
    Secret token;
    UnixTime created = 0;
};

enum class CoinState { pending, live, returning, returned, moved, refused };
const char* name_of(CoinState s);

struct Coin {
    std::string coin, issuer;
    Currency currency;
    Amount unit;
    std::uint32_t n = 0;
    Salt salt{};
    std::string touchstone;  // '' while pending
    UnixTime expires = 0;
    CoinState state = CoinState::pending;
    std::string idempotency;
    UnixTime created = 0;
    std::uint32_t spent = 0;   // S, see count.h
    std::string holder;        // the vendor where it was last spent; ''
    std::uint32_t held = 0;    // an index spent there
    std::uint32_t claimed = 0; // a vendor's `spent` that was not believed
    bool restored = false;     // from a backup that may be older than its last payment

    std::uint32_t left() const { return n > spent ? n - spent : 0; }
};

// What may be paid without asking, and at most in 24 hours.
struct Budget {
    std::string site;  // an origin, or "*"
    Currency currency;
    std::optional<Amount> per_day, automatic;
};

struct KnownPrice {
    std::string realm;
    Amount amount;  // 0: free
    Currency currency;
};

struct HistoryLine {
    std::int64_t id = 0;
    UnixTime when = 0;
    std::string vendor, method, url, coin, state;
    std::uint32_t ticket = 0;
    Amount amount;
    Currency currency;
    std::uint32_t rereads = 0;
    Amount back;  // of amount, given back
};

class Store {
public:
    // Makes the directory and the file if they are not there. Failures:
    // Exit::store (permissions, another owner, a newer version, damage).
    static Outcome<std::unique_ptr<Store>> open(const std::string& directory);
    ~Store();
    Store(const Store&) = delete;
    Store& operator=(const Store&) = delete;

    // Runs f in one transaction that has the write lock from its beginning.
    // f may use sql(); a failure or an exception of SOCI undoes it all. Inside
    // another transaction it is a part of that one.
    template <class T>
    Outcome<T> transaction(const std::function<Outcome<T>()>& f);
    soci::session& sql();
    // All coins, for use inside a transaction; throws what SOCI throws.
    std::vector<Coin> coins_within();

    Outcome<std::vector<Account>> accounts();
    // The account at a broker; with an empty issuer the only one.
    Outcome<Account> account(const std::string& issuer);
    Outcome<Done> save_account(const Account& a);

    // A coin before it is bought: its chain is safe on the disk.
    Outcome<Done> add_coin(const Coin& c, const Chain& chain);
    Outcome<Done> complete_coin(const std::string& coin, const std::string& touchstone, UnixTime expires);
    Outcome<Done> set_state(const std::string& coin, CoinState s);
    Outcome<std::vector<Coin>> coins();
    // By name or by the beginning of a name that fits one coin only.
    Outcome<Coin> coin(const std::string& name);
    Outcome<Chain> chain(const Coin& c);
    // The highest index of a coin that any vendor may have seen; 0: none has.
    Outcome<std::uint32_t> revealed(const Coin& c);
    // The owner takes a vendor's `claimed` for spent.
    Outcome<Done> write_off(const std::string& coin, std::uint32_t spent);

    Outcome<std::vector<HistoryLine>> history(const std::string& site, UnixTime since);
    Outcome<std::vector<Budget>> budgets();
    Outcome<Done> set_budget(const Budget& b);
    // Accepted in payments since then, whose outcome is paid or open, less what was given back; site "*": everywhere.
    Outcome<Amount> spent_since(const std::string& site, const Currency& c, UnixTime since);

    // Session challenges and prices (section 5, `session`).
    Outcome<Done> remember_session(const std::string& vendor, const Challenge& c, UnixTime expires);
    Outcome<std::optional<Challenge>> session(const std::string& vendor, const std::string& realm, UnixTime now);
    Outcome<Done> forget_session(const std::string& vendor, const std::string& realm);
    // All challenges, prices and refusals of coins of a vendor; of every vendor if it is empty.
    Outcome<Done> forget_vendor(const std::string& vendor);
    Outcome<Done> remember_price(const std::string& vendor, const std::string& path, bool prefix, const KnownPrice& p,
                                 UnixTime now);
    // The price of the very path, else of the longest directory known above it.
    Outcome<std::optional<KnownPrice>> price(const std::string& vendor, const std::string& path);

private:
    explicit Store(std::string directory);
    Outcome<Done> connect();
    Outcome<Done> migrate();
    Outcome<Done> run(const std::function<Outcome<Done>()>& f);

    std::string directory_;
    std::unique_ptr<soci::session> sql_;
    bool inside_ = false;  // a transaction
};

template <class T>
Outcome<T> Store::transaction(const std::function<Outcome<T>()>& f) {
    std::optional<Outcome<T>> result;
    const auto done = run([&]() -> Outcome<Done> {
        result.emplace(f());
        if (!*result) return result->failure();
        return Done{};
    });
    if (!done) return done.failure();
    return std::move(*result);
}

// The store's directory: `given`, else $NETPAY_STORE, else
// $XDG_DATA_HOME/netpay, else ~/.local/share/netpay; '' if there is no home.
std::string store_directory(const std::string& given);

}  // namespace netpay::wallet
