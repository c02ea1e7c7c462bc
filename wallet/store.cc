#include "wallet/store.h"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include <fcntl.h>
#include <soci/soci.h>
#include <soci/sqlite3/soci-sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/base64url.h"
#include "wallet/schema.h"

namespace netpay::wallet {
namespace {

constexpr const char* file_name = "/wallet.db";
// Another process holds the write lock for one flush at most; much longer
// means that something is stuck.
constexpr int busy_timeout_ms = 20000;

Failure trouble(const std::string& what) { return {Exit::store, "the wallet's store: " + what}; }

std::string reason() { return std::strerror(errno); }

// Makes the directories above, too, as mkdir -p does.
bool make_directories(const std::string& path) {
    for (std::size_t at = path.find('/', 1); at != std::string::npos; at = path.find('/', at + 1)) {
        const std::string above = path.substr(0, at);
        if (mkdir(above.c_str(), 0700) != 0 && errno != EEXIST) return false;
    }
    return mkdir(path.c_str(), 0700) == 0 || errno == EEXIST;
}

Outcome<Done> check_private(const std::string& path, bool directory) {
    struct stat st {};
    if ((directory ? stat(path.c_str(), &st) : lstat(path.c_str(), &st)) != 0) return trouble(path + ": " + reason());
    if (directory ? !S_ISDIR(st.st_mode) : !S_ISREG(st.st_mode))
        return trouble(path + " is not a " + (directory ? "directory" : "plain file"));
    if (st.st_uid != geteuid()) return trouble(path + " belongs to another user; the wallet holds money and stays away");
    if ((st.st_mode & 077) != 0)
        return trouble(path + " is open to others; run: chmod " + (directory ? "700 '" : "600 '") + path + "'");
    return Done{};
}

// Row ids are INTEGER by SQLite's rule, everything else BIGINT.
long long number(const soci::row& r, std::size_t i) {
    return r.get_properties(i).get_data_type() == soci::dt_integer ? r.get<int>(i) : r.get<long long>(i);
}

CoinState state_of(const std::string& s) {
    for (const auto c : {CoinState::pending, CoinState::live, CoinState::returning, CoinState::returned,
                         CoinState::moved})
        if (s == name_of(c)) return c;
    return CoinState::refused;
}

constexpr const char* coin_columns =
    "SELECT coin, issuer, currency, unit, n, salt, touchstone, expires, state, idempotency, created, spent, holder,"
    " held, claimed, restored FROM coins ";

Coin read_coin(const soci::row& r) {
    Coin c;
    c.coin = r.get<std::string>(0);
    c.issuer = r.get<std::string>(1);
    c.currency = Currency::parse(r.get<std::string>(2)).value_or(Currency{});
    c.unit = Amount::from(static_cast<std::uint64_t>(number(r, 3))).value_or(Amount{});
    c.n = static_cast<std::uint32_t>(number(r, 4));
    c.salt = b64u_decode_array<16>(r.get<std::string>(5)).value_or(Salt{});
    c.touchstone = r.get<std::string>(6);
    c.expires = number(r, 7);
    c.state = state_of(r.get<std::string>(8));
    c.idempotency = r.get<std::string>(9);
    c.created = number(r, 10);
    c.spent = static_cast<std::uint32_t>(number(r, 11));
    c.holder = r.get<std::string>(12);
    c.held = static_cast<std::uint32_t>(number(r, 13));
    c.claimed = static_cast<std::uint32_t>(number(r, 14));
    c.restored = number(r, 15) != 0;
    return c;
}

Account read_account(const soci::row& r) {
    Account a;
    a.issuer = r.get<std::string>(0);
    a.api = r.get<std::string>(1);
    a.jwks_uri = r.get<std::string>(2);
    a.jwks = r.get<std::string>(3);
    a.account = r.get<std::string>(4);
    a.token = Secret(r.get<std::string>(5));
    a.created = number(r, 6);
    return a;
}

Amount amount_of(long long micro) { return Amount::from(static_cast<std::uint64_t>(micro)).value_or(Amount{}); }

long long column(std::optional<Amount> a) { return a ? static_cast<long long>(a->micro()) : -1; }

}  // namespace

const char* name_of(CoinState s) {
    switch (s) {
        case CoinState::pending: return "pending";
        case CoinState::live: return "live";
        case CoinState::returning: return "returning";
        case CoinState::returned: return "returned";
        case CoinState::moved: return "moved";
        case CoinState::refused: return "refused";
    }
    return "?";
}

std::string store_directory(const std::string& given) {
    if (!given.empty()) return given;
    const auto env = [](const char* name) {
        const char* v = std::getenv(name);
        return std::string(v ? v : "");
    };
    if (!env("NETPAY_STORE").empty()) return env("NETPAY_STORE");
    if (!env("XDG_DATA_HOME").empty()) return env("XDG_DATA_HOME") + "/netpay";
    if (!env("HOME").empty()) return env("HOME") + "/.local/share/netpay";
    return {};
}

Store::Store(std::string directory) : directory_(std::move(directory)) {}
Store::~Store() = default;
soci::session& Store::sql() { return *sql_; }

Outcome<std::unique_ptr<Store>> Store::open(const std::string& directory) {
    if (directory.empty()) return trouble("no place for it; give --store DIR or set NETPAY_STORE");
    if (directory.find('"') != std::string::npos) return trouble("a directory name with '\"' cannot be used");
    if (!make_directories(directory)) return trouble(directory + ": " + reason());
    if (const auto ok = check_private(directory, true); !ok) return ok.failure();
    const std::string file = directory + file_name;
    const int fd = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) return trouble(file + ": " + reason());
    close(fd);
    if (const auto ok = check_private(file, false); !ok) return ok.failure();
    std::unique_ptr<Store> store(new Store(directory));
    if (const auto ok = store->connect(); !ok) return ok.failure();
    if (const auto ok = store->migrate(); !ok) return ok.failure();
    return store;
}

Outcome<Done> Store::connect() {
    try {
        sql_ = std::make_unique<soci::session>(soci::sqlite3, "dbname=\"" + directory_ + file_name + "\"");
        *sql_ << "PRAGMA busy_timeout = " + std::to_string(busy_timeout_ms);
        std::string mode;
        *sql_ << "PRAGMA journal_mode = WAL", soci::into(mode);
        *sql_ << "PRAGMA synchronous = FULL";
        *sql_ << "PRAGMA foreign_keys = ON";
        return Done{};
    } catch (const std::exception& e) {
        return trouble(e.what());
    }
}

Outcome<Done> Store::migrate() {
    return run([&]() -> Outcome<Done> {
        long long version = 0;
        *sql_ << "PRAGMA user_version", soci::into(version);
        if (version > schema_version) return trouble("it was written by a newer version of netpay; use that one");
        if (version == schema_version) return Done{};
        if (version < 1)
            for (const char* statement : schema_1) *sql_ << statement;
        for (const char* statement : schema_2) *sql_ << statement;
        *sql_ << "PRAGMA user_version = " + std::to_string(schema_version);
        return Done{};
    });
}

Outcome<Done> Store::run(const std::function<Outcome<Done>()>& f) {
    if (inside_) return f();
    const auto undo = [&] {
        try {
            if (inside_) *sql_ << "ROLLBACK";
        } catch (const std::exception&) {
            // SQLite has rolled back by itself already.
        }
        inside_ = false;
    };
    try {
        *sql_ << "BEGIN IMMEDIATE";
        inside_ = true;
        auto result = f();
        if (!result) {
            undo();
            return result;
        }
        *sql_ << "COMMIT";
        inside_ = false;
        return result;
    } catch (const std::exception& e) {
        undo();
        return trouble(e.what());
    }
}

Outcome<std::vector<Account>> Store::accounts() {
    return transaction<std::vector<Account>>([&]() -> Outcome<std::vector<Account>> {
        std::vector<Account> out;
        const soci::rowset<soci::row> rows =
            (sql().prepare << "SELECT issuer, api, jwks_uri, jwks, account, token, created FROM accounts ORDER BY created");
        for (const auto& r : rows) out.push_back(read_account(r));
        return out;
    });
}

Outcome<Account> Store::account(const std::string& issuer) {
    auto all = accounts();
    if (!all) return all.failure();
    if (all->empty())
        return Failure{Exit::usage, "there is no account yet; make one with: netpay account create --broker URL"};
    if (issuer.empty() && all->size() > 1)
        return Failure{Exit::usage, "there are accounts at several brokers; say which with --broker URL"};
    for (auto& a : *all)
        if (issuer.empty() || a.issuer == issuer) return std::move(a);
    return Failure{Exit::usage, "there is no account at " + issuer};
}

Outcome<Done> Store::save_account(const Account& a) {
    return run([&]() -> Outcome<Done> {
        std::string token(a.token.expose());
        const long long created = a.created;
        sql() << "INSERT OR REPLACE INTO accounts (issuer, api, jwks_uri, jwks, account, token, created)"
                 " VALUES (:i, :a, :u, :k, :n, :t, :c)",
            soci::use(a.issuer, "i"), soci::use(a.api, "a"), soci::use(a.jwks_uri, "u"), soci::use(a.jwks, "k"),
            soci::use(a.account, "n"), soci::use(token, "t"), soci::use(created, "c");
        cleanse(token.data(), token.size());
        return Done{};
    });
}

Outcome<Done> Store::add_coin(const Coin& c, const Chain& chain) {
    return run([&]() -> Outcome<Done> {
        const std::string currency(c.currency.str()), salt = b64u_encode(c.salt), state = name_of(c.state);
        std::string points = encode_checkpoints(chain.checkpoints());
        const long long unit = static_cast<long long>(c.unit.micro()), n = c.n, created = c.created, spent = c.spent,
                        expires = c.expires, held = c.held, claimed = c.claimed, restored = c.restored;
        sql() << "INSERT INTO coins (coin, issuer, currency, unit, n, salt, checkpoints, touchstone, expires, state,"
                 " idempotency, created, spent, holder, held, claimed, restored) VALUES"
                 " (:coin, :issuer, :cur, :unit, :n, :salt, :points, :ts, :exp, :state, :idem, :created, :spent,"
                 " :holder, :held, :claimed, :restored)",
            soci::use(c.coin, "coin"), soci::use(c.issuer, "issuer"), soci::use(currency, "cur"),
            soci::use(unit, "unit"), soci::use(n, "n"), soci::use(salt, "salt"), soci::use(points, "points"),
            soci::use(c.touchstone, "ts"), soci::use(expires, "exp"), soci::use(state, "state"),
            soci::use(c.idempotency, "idem"), soci::use(created, "created"), soci::use(spent, "spent"),
            soci::use(c.holder, "holder"), soci::use(held, "held"), soci::use(claimed, "claimed"),
            soci::use(restored, "restored");
        cleanse(points.data(), points.size());
        return Done{};
    });
}

Outcome<Done> Store::complete_coin(const std::string& coin, const std::string& touchstone, UnixTime expires) {
    return run([&]() -> Outcome<Done> {
        const long long exp = expires;
        sql() << "UPDATE coins SET touchstone = :t, expires = :e, state = 'live' WHERE coin = :c AND state = 'pending'",
            soci::use(touchstone, "t"), soci::use(exp, "e"), soci::use(coin, "c");
        return Done{};
    });
}

Outcome<Done> Store::set_state(const std::string& coin, CoinState s) {
    return run([&]() -> Outcome<Done> {
        const std::string state = name_of(s);
        sql() << "UPDATE coins SET state = :s WHERE coin = :c", soci::use(state, "s"), soci::use(coin, "c");
        return Done{};
    });
}

std::vector<Coin> Store::coins_within() {
    std::vector<Coin> out;
    const soci::rowset<soci::row> rows = (sql().prepare << std::string(coin_columns) + "ORDER BY created, coin");
    for (const auto& r : rows) out.push_back(read_coin(r));
    return out;
}

Outcome<std::vector<Coin>> Store::coins() {
    return transaction<std::vector<Coin>>([&]() -> Outcome<std::vector<Coin>> { return coins_within(); });
}

Outcome<Coin> Store::coin(const std::string& name) {
    auto all = coins();
    if (!all) return all.failure();
    const Coin* found = nullptr;
    for (const auto& c : *all) {
        if (name.empty() || c.coin.compare(0, name.size(), name) != 0) continue;
        if (found) return Failure{Exit::usage, "several coins begin with that; give more of the name"};
        found = &c;
    }
    if (!found) return Failure{Exit::usage, "no such coin in this wallet; see: netpay coins --all"};
    return *found;
}

Outcome<Chain> Store::chain(const Coin& c) {
    return transaction<Chain>([&]() -> Outcome<Chain> {
        std::string text;
        sql() << "SELECT checkpoints FROM coins WHERE coin = :c", soci::into(text), soci::use(c.coin, "c");
        auto points = decode_checkpoints(text);
        cleanse(text.data(), text.size());
        auto chain = points ? Chain::restore(c.salt, c.n, std::move(*points)) : std::nullopt;
        if (!chain) return trouble("the chain of coin " + c.coin + " is damaged");
        return std::move(*chain);
    });
}

Outcome<std::uint32_t> Store::revealed(const Coin& c) {
    return transaction<std::uint32_t>([&]() -> Outcome<std::uint32_t> {
        long long index = 0;
        sql() << "SELECT COALESCE(MAX(revealed), 0) FROM standings WHERE coin = :c", soci::into(index), soci::use(c.coin, "c");
        return static_cast<std::uint32_t>(index);
    });
}

Outcome<Done> Store::write_off(const std::string& coin, std::uint32_t spent) {
    return run([&]() -> Outcome<Done> {
        const long long s = spent;
        sql() << "UPDATE coins SET spent = max(spent, :s), claimed = 0 WHERE coin = :c", soci::use(s, "s"),
            soci::use(coin, "c");
        sql() << "UPDATE standings SET refused = '' WHERE coin = :c", soci::use(coin, "c");
        sql() << "UPDATE payments SET state = 'void' WHERE coin = :c AND state = 'unknown'", soci::use(coin, "c");
        return Done{};
    });
}

Outcome<std::vector<HistoryLine>> Store::history(const std::string& site, UnixTime since) {
    return transaction<std::vector<HistoryLine>>([&]() -> Outcome<std::vector<HistoryLine>> {
        std::vector<HistoryLine> out;
        const long long from = since;
        const soci::rowset<soci::row> rows =
            (sql().prepare << "SELECT id, created, vendor, method, url, coin, state, ticket, amount, currency, rereads, back"
                              " FROM payments WHERE created >= :f AND (:s1 = '' OR vendor = :s2) AND state != 'void'"
                              " ORDER BY id",
             soci::use(from, "f"), soci::use(site, "s1"), soci::use(site, "s2"));
        for (const auto& r : rows) {
            HistoryLine h;
            h.id = number(r, 0);
            h.when = number(r, 1);
            h.vendor = r.get<std::string>(2);
            h.method = r.get<std::string>(3);
            h.url = r.get<std::string>(4);
            h.coin = r.get<std::string>(5);
            h.state = r.get<std::string>(6);
            h.ticket = static_cast<std::uint32_t>(number(r, 7));
            h.amount = amount_of(number(r, 8));
            h.currency = Currency::parse(r.get<std::string>(9)).value_or(Currency{});
            h.back = amount_of(number(r, 11));
            h.rereads = static_cast<std::uint32_t>(number(r, 10));
            out.push_back(std::move(h));
        }
        return out;
    });
}

Outcome<std::vector<Budget>> Store::budgets() {
    return transaction<std::vector<Budget>>([&]() -> Outcome<std::vector<Budget>> {
        std::vector<Budget> out;
        const soci::rowset<soci::row> rows =
            (sql().prepare << "SELECT site, currency, per_day, auto FROM budgets ORDER BY site, currency");
        for (const auto& r : rows) {
            Budget b;
            b.site = r.get<std::string>(0);
            b.currency = Currency::parse(r.get<std::string>(1)).value_or(Currency{});
            if (number(r, 2) >= 0) b.per_day = amount_of(number(r, 2));
            if (number(r, 3) >= 0) b.automatic = amount_of(number(r, 3));
            out.push_back(std::move(b));
        }
        return out;
    });
}

Outcome<Done> Store::set_budget(const Budget& b) {
    return run([&]() -> Outcome<Done> {
        const std::string currency(b.currency.str());
        const long long per_day = column(b.per_day), automatic = column(b.automatic);
        sql() << "INSERT OR REPLACE INTO budgets (site, currency, per_day, auto) VALUES (:s, :c, :d, :a)",
            soci::use(b.site, "s"), soci::use(currency, "c"), soci::use(per_day, "d"), soci::use(automatic, "a");
        sql() << "DELETE FROM budgets WHERE per_day < 0 AND auto < 0";
        return Done{};
    });
}

Outcome<Amount> Store::spent_since(const std::string& site, const Currency& c, UnixTime since) {
    return transaction<Amount>([&]() -> Outcome<Amount> {
        const std::string currency(c.str());
        const long long from = since;
        long long sum = 0;
        sql() << "SELECT coalesce(sum(amount - back), 0) FROM payments WHERE created >= :f AND currency = :c"
                 " AND (:s1 = '*' OR vendor = :s2) AND state != 'void'",
            soci::into(sum), soci::use(from, "f"), soci::use(currency, "c"), soci::use(site, "s1"),
            soci::use(site, "s2");
        return amount_of(sum);
    });
}

Outcome<Done> Store::remember_session(const std::string& vendor, const Challenge& c, UnixTime expires) {
    return run([&]() -> Outcome<Done> {
        const std::string text = format_challenge(c);
        const long long exp = expires;
        sql() << "INSERT OR REPLACE INTO sessions (vendor, realm, challenge, expires) VALUES (:v, :r, :c, :e)",
            soci::use(vendor, "v"), soci::use(c.realm, "r"), soci::use(text, "c"), soci::use(exp, "e");
        return Done{};
    });
}

Outcome<std::optional<Challenge>> Store::session(const std::string& vendor, const std::string& realm, UnixTime now) {
    using Found = std::optional<Challenge>;
    return transaction<Found>([&]() -> Outcome<Found> {
        std::string text;
        const long long at = now;
        sql() << "SELECT challenge FROM sessions WHERE vendor = :v AND realm = :r AND expires > :n", soci::into(text),
            soci::use(vendor, "v"), soci::use(realm, "r"), soci::use(at, "n");
        if (!sql().got_data()) return Found{};
        auto all = parse_challenges(text);
        return all.empty() ? Found{} : Found(std::move(all.front()));
    });
}

Outcome<Done> Store::forget_session(const std::string& vendor, const std::string& realm) {
    return run([&]() -> Outcome<Done> {
        sql() << "DELETE FROM sessions WHERE vendor = :v AND realm = :r", soci::use(vendor, "v"), soci::use(realm, "r");
        return Done{};
    });
}

Outcome<Done> Store::forget_vendor(const std::string& vendor) {
    return run([&]() -> Outcome<Done> {
        sql() << "DELETE FROM sessions WHERE :a = '' OR vendor = :b", soci::use(vendor, "a"), soci::use(vendor, "b");
        sql() << "DELETE FROM prices WHERE :a = '' OR vendor = :b", soci::use(vendor, "a"), soci::use(vendor, "b");
        sql() << "UPDATE standings SET refused = '' WHERE :a = '' OR vendor = :b", soci::use(vendor, "a"),
            soci::use(vendor, "b");
        return Done{};
    });
}

Outcome<Done> Store::remember_price(const std::string& vendor, const std::string& path, bool prefix,
                                    const KnownPrice& p, UnixTime now) {
    return run([&]() -> Outcome<Done> {
        const std::string currency(p.currency.str());
        const long long is_prefix = prefix, amount = static_cast<long long>(p.amount.micro()), seen = now;
        sql() << "INSERT OR REPLACE INTO prices (vendor, path, prefix, realm, amount, currency, seen)"
                 " VALUES (:v, :p, :x, :r, :a, :c, :s)",
            soci::use(vendor, "v"), soci::use(path, "p"), soci::use(is_prefix, "x"), soci::use(p.realm, "r"),
            soci::use(amount, "a"), soci::use(currency, "c"), soci::use(seen, "s");
        return Done{};
    });
}

Outcome<std::optional<KnownPrice>> Store::price(const std::string& vendor, const std::string& path) {
    using Found = std::optional<KnownPrice>;
    return transaction<Found>([&]() -> Outcome<Found> {
        std::string realm, currency;
        long long amount = 0;
        sql() << "SELECT realm, amount, currency FROM prices WHERE vendor = :v AND"
                 " ((prefix = 0 AND path = :p1) OR (prefix = 1 AND substr(:p2, 1, length(path)) = path))"
                 " ORDER BY prefix, length(path) DESC LIMIT 1",
            soci::into(realm), soci::into(amount), soci::into(currency), soci::use(vendor, "v"), soci::use(path, "p1"),
            soci::use(path, "p2");
        if (!sql().got_data()) return Found{};
        return Found(KnownPrice{realm, amount_of(amount), Currency::parse(currency).value_or(Currency{})});
    });
}

}  // namespace netpay::wallet
