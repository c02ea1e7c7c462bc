#include "wallet/backup.h"

#include <algorithm>

#include <soci/soci.h>

#include "core/base64url.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/origin.h"
#include "wallet/count.h"

namespace netpay::wallet {
namespace {

constexpr std::string_view head_name = "netpay-wallet";

json::Object account_line(const Account& a) {
    return json::Object().set("account", json::Object()
                                             .set("issuer", a.issuer)
                                             .set("api", a.api)
                                             .set("jwks_uri", a.jwks_uri)
                                             .set("jwks", a.jwks)
                                             .set("account", a.account)
                                             .set("token", a.token.expose())
                                             .set("created", static_cast<std::uint64_t>(a.created)));
}

std::vector<json::Object> standings_of(Store& store, const std::string& coin) {
    std::vector<json::Object> out;
    std::string vendor, refused, used;
    long long revealed = 0, base = 0, known = 0;
    soci::statement st = (store.sql().prepare << "SELECT vendor, revealed, base, known, used FROM standings WHERE coin = :c",
                          soci::into(vendor), soci::into(revealed), soci::into(base), soci::into(known),
                          soci::into(used), soci::use(coin, "c"));
    st.execute();
    while (st.fetch())
        out.push_back(json::Object()
                          .set("vendor", vendor)
                          .set("revealed", static_cast<std::uint64_t>(revealed))
                          .set("base", static_cast<std::uint64_t>(base))
                          .set("known", known != 0)
                          .set("used", used));
    return out;
}

std::vector<json::Object> open_of(Store& store, const std::string& coin) {
    std::vector<json::Object> out;
    std::string vendor, method, url, currency;
    long long ticket = 0, units = 0, amount = 0, created = 0;
    soci::statement st = (store.sql().prepare << "SELECT vendor, method, url, ticket, units, amount, currency, created"
                                                 " FROM payments WHERE coin = :c AND state IN ('live', 'unknown') ORDER BY id",
                          soci::into(vendor), soci::into(method), soci::into(url), soci::into(ticket),
                          soci::into(units), soci::into(amount), soci::into(currency), soci::into(created),
                          soci::use(coin, "c"));
    st.execute();
    while (st.fetch())
        out.push_back(json::Object()
                          .set("vendor", vendor)
                          .set("method", method)
                          .set("url", url)
                          .set("ticket", static_cast<std::uint64_t>(ticket))
                          .set("units", static_cast<std::uint64_t>(units))
                          .set("amount", static_cast<std::uint64_t>(amount))
                          .set("currency", currency)
                          .set("created", static_cast<std::uint64_t>(created)));
    return out;
}

std::string coin_line(Store& store, const Coin& c) {
    std::string points;
    store.sql() << "SELECT checkpoints FROM coins WHERE coin = :c", soci::into(points), soci::use(c.coin, "c");
    std::string line = json::Object()
                           .set("coin", json::Object()
                                            .set("coin", c.coin)
                                            .set("issuer", c.issuer)
                                            .set("currency", c.currency.str())
                                            .set("unit", c.unit.micro())
                                            .set("n", std::uint64_t{c.n})
                                            .set("salt", b64u_encode(c.salt))
                                            .set("checkpoints", points)
                                            .set("touchstone", c.touchstone)
                                            .set("expires", static_cast<std::uint64_t>(c.expires))
                                            .set("state", name_of(c.state))
                                            .set("idempotency", c.idempotency)
                                            .set("created", static_cast<std::uint64_t>(c.created))
                                            .set("spent", std::uint64_t{c.spent})
                                            .set("holder", c.holder)
                                            .set("held", std::uint64_t{c.held})
                                            .set("restored", c.restored)
                                            .set("standings", standings_of(store, c.coin))
                                            .set("open", open_of(store, c.coin)))
                           .jcs();
    cleanse(points.data(), points.size());
    return line;
}

bool wanted(const Coin& c, const std::vector<std::string>& names) {
    if (c.state != CoinState::live && c.state != CoinState::pending) return false;
    if (names.empty()) return c.left() > 0;
    return std::any_of(names.begin(), names.end(),
                       [&](const std::string& n) { return !n.empty() && c.coin.compare(0, n.size(), n) == 0; });
}

Failure broken(const std::string& what) { return {Exit::usage, "this is not an export of a wallet: " + what}; }

std::string text_of(const json::Value& v, std::string_view name) { return std::string(v.string(name).value_or("")); }
long long number_of(const json::Value& v, std::string_view name) { return static_cast<long long>(v.uint(name).value_or(0)); }
bool flag_of(const json::Value& v, std::string_view name) {
    const auto* m = v.find(name);
    return m && m->as_bool().value_or(false);
}

struct CoinRecord {
    Coin coin;
    Chain chain;
};

Outcome<CoinRecord> read_coin(const json::Value& v) {
    Coin c;
    const auto currency = Currency::parse(text_of(v, "currency"));
    const auto unit = Amount::from(v.uint("unit").value_or(0));
    const auto salt = b64u_decode_array<16>(text_of(v, "salt"));
    const auto n = v.uint("n").value_or(0), spent = v.uint("spent").value_or(0), held = v.uint("held").value_or(0);
    auto points = decode_checkpoints(v.string("checkpoints").value_or(""));
    if (!currency || !unit || unit->micro() == 0 || !salt || !points || n < 1 || n > limits::max_chain || spent > n || held > n)
        return broken("a coin's terms");
    auto chain = Chain::restore(*salt, static_cast<std::uint32_t>(n), std::move(*points));
    if (!chain) return broken("a coin's chain");
    c.coin = text_of(v, "coin");
    c.issuer = text_of(v, "issuer");
    if (coin_id(*salt, chain->at(0)) != c.coin || !is_origin(c.issuer)) return broken("a coin's name");
    c.n = static_cast<std::uint32_t>(n);
    const Chain again(*salt, chain->at(c.n), c.n);
    if (again.checkpoints() != chain->checkpoints()) return broken("a coin's checkpoints");
    c.currency = *currency;
    c.unit = *unit;
    c.salt = *salt;
    c.touchstone = text_of(v, "touchstone");
    c.expires = number_of(v, "expires");
    c.state = text_of(v, "state") == "pending" || c.touchstone.empty() ? CoinState::pending : CoinState::live;
    c.idempotency = text_of(v, "idempotency");
    c.created = number_of(v, "created");
    c.spent = static_cast<std::uint32_t>(spent);
    c.holder = text_of(v, "holder");
    c.held = static_cast<std::uint32_t>(held);
    c.restored = flag_of(v, "restored");
    return CoinRecord{std::move(c), std::move(*chain)};
}

// What vendors have seen of a coin, here and there.
void join_standing(Store& store, const std::string& coin, const json::Value& s) {
    const std::string vendor = text_of(s, "vendor");
    const long long revealed = number_of(s, "revealed"), base = number_of(s, "base"), known = flag_of(s, "known");
    std::string here;
    store.sql() << "SELECT used FROM standings WHERE coin = :c AND vendor = :v", soci::into(here), soci::use(coin, "c"),
        soci::use(vendor, "v");
    if (!store.sql().got_data()) here.clear();
    const std::string used = write_used(join_used(read_used(here), read_used(text_of(s, "used"))));
    store.sql() << "INSERT INTO standings (coin, vendor, revealed, base, known, refused, used)"
                   " VALUES (:c, :v, :r, :b, :k, '', :u) ON CONFLICT (coin, vendor) DO UPDATE SET"
                   " revealed = max(revealed, excluded.revealed), base = max(base, excluded.base),"
                   " known = max(known, excluded.known), used = excluded.used",
        soci::use(coin, "c"), soci::use(vendor, "v"), soci::use(revealed, "r"), soci::use(base, "b"),
        soci::use(known, "k"), soci::use(used, "u");
}

struct Unsettled {
    std::int64_t id = 0;
    std::string vendor, url, state;
    long long ticket = 0;

    bool is_of(const json::Value& p) const {
        return vendor == text_of(p, "vendor") && url == text_of(p, "url") && ticket == number_of(p, "ticket");
    }
};

std::vector<Unsettled> payments_of(Store& store, const std::string& coin) {
    std::vector<Unsettled> out;
    Unsettled p;
    long long id = 0;
    soci::statement st = (store.sql().prepare << "SELECT id, vendor, url, state, ticket FROM payments WHERE coin = :c",
                          soci::into(id), soci::into(p.vendor), soci::into(p.url), soci::into(p.state),
                          soci::into(p.ticket), soci::use(coin, "c"));
    st.execute();
    while (st.fetch()) {
        p.id = id;
        out.push_back(p);
    }
    return out;
}

bool was_used(const json::Value& v, const Unsettled& p) {
    const auto ticket = static_cast<std::uint32_t>(p.ticket);
    if (const auto* list = v.array("standings"))
        for (const auto& s : *list)
            if (text_of(s, "vendor") == p.vendor && read_used(text_of(s, "used")).contains(ticket)) return true;
    return false;
}

bool is_open(const json::Value& v, const Unsettled& p) {
    if (const auto* list = v.array("open"))
        for (const auto& o : *list)
            if (p.is_of(o)) return true;
    return false;
}

// What was open here when the coin left is decided by now, unless it is open
// there still. What a process is about to learn of a payment is left to it.
void close_decided(Store& store, const std::vector<Unsettled>& here, const json::Value& v) {
    for (const auto& p : here) {
        if (p.state != "unknown" || is_open(v, p)) continue;
        const std::string state = was_used(v, p) ? "paid" : "void";
        const long long id = p.id;
        store.sql() << "UPDATE payments SET state = :s, finished = created WHERE id = :i", soci::use(state, "s"), soci::use(id, "i");
    }
}

// Standings and open payments of an export. A backup does not know what came
// after it: of its payments, those on record here are as the record says.
Outcome<Done> add_past(Store& store, const std::string& coin, const json::Value& v, bool backup) {
    return store.transaction<Done>([&]() -> Outcome<Done> {
        const auto here = payments_of(store, coin);
        if (!backup) close_decided(store, here, v);
        if (const auto* list = v.array("standings"))
            for (const auto& s : *list) join_standing(store, coin, s);
        if (const auto* list = v.array("open"))
            for (const auto& p : *list) {
                const bool on_record = std::any_of(here.begin(), here.end(), [&](const Unsettled& h) {
                    return h.is_of(p) && (backup || h.state == "live" || h.state == "unknown");
                });
                if (on_record) continue;
                const std::string vendor = text_of(p, "vendor"), method = text_of(p, "method"), url = text_of(p, "url"),
                                  currency = text_of(p, "currency");
                const long long ticket = number_of(p, "ticket"), units = number_of(p, "units"),
                                amount = number_of(p, "amount"), created = number_of(p, "created");
                store.sql() << "INSERT INTO payments (coin, vendor, method, url, ticket, units, amount, currency, state,"
                               " pid, start, created, finished, rereads) VALUES (:c, :v, :m, :l, :t, :u, :a, :r,"
                               " 'unknown', 0, '', :n, 0, 0)",
                    soci::use(coin, "c"), soci::use(vendor, "v"), soci::use(method, "m"), soci::use(url, "l"),
                    soci::use(ticket, "t"), soci::use(units, "u"), soci::use(amount, "a"), soci::use(currency, "r"),
                    soci::use(created, "n");
            }
        return Done{};
    });
}

// What happened to a coin elsewhere is in the export, what happened here
// before is in the store; the higher count is the later one.
void come_back(Store& store, const Coin& here, const Coin& there, bool backup) {
    const bool renewed = !there.touchstone.empty() && there.expires >= here.expires;
    const Coin& later = there.spent >= here.spent ? there : here;
    const std::string touchstone = renewed ? there.touchstone : here.touchstone;
    const std::string state = name_of(touchstone.empty() ? CoinState::pending : CoinState::live);
    const long long expires = renewed ? there.expires : here.expires, spent = later.spent, held = later.held,
                    restored = here.restored || there.restored || backup;
    store.sql() << "UPDATE coins SET state = :s, touchstone = :t, expires = :e, spent = :n, holder = :h, held = :d,"
                   " restored = :r WHERE coin = :c",
        soci::use(state, "s"), soci::use(touchstone, "t"), soci::use(expires, "e"), soci::use(spent, "n"),
        soci::use(later.holder, "h"), soci::use(held, "d"), soci::use(restored, "r"), soci::use(here.coin, "c");
}

// A coin that was moved away and comes back, or one that is here already.
Outcome<bool> known_coin(Store& store, const Coin& c, const json::Value& v, Imported& out) {
    const auto here = store.coins();
    if (!here) return here.failure();
    for (const auto& mine : *here) {
        if (mine.coin != c.coin) continue;
        if (mine.state != CoinState::moved) {
            out.already_here.push_back(c.coin);
            return true;
        }
        return store.transaction<bool>([&]() -> Outcome<bool> {
            come_back(store, mine, c, out.backup);
            if (const auto done = add_past(store, c.coin, v, out.backup); !done) return done.failure();
            ++out.coins;
            return true;
        });
    }
    return false;
}

Outcome<Done> import_coin(Store& store, const json::Value& v, Imported& out) {
    auto record = read_coin(v);
    if (!record) return record.failure();
    const auto known = known_coin(store, record->coin, v, out);
    if (!known) return known.failure();
    if (*known) return Done{};
    if (out.backup) record->coin.restored = true;
    if (const auto done = store.add_coin(record->coin, record->chain); !done) return done;
    ++out.coins;
    return add_past(store, record->coin.coin, v, out.backup);
}

Outcome<Done> import_account(Store& store, const json::Value& v, Imported& out) {
    Account a{text_of(v, "issuer"), text_of(v, "api"), text_of(v, "jwks_uri"), text_of(v, "jwks"),
              text_of(v, "account"), Secret(v.string("token").value_or("")), number_of(v, "created")};
    if (!is_origin(a.issuer) || origin_of(a.api) != a.issuer || origin_of(a.jwks_uri) != a.issuer || a.token.empty())
        return broken("an account");
    const auto mine = store.accounts();
    if (!mine) return mine.failure();
    for (const auto& m : *mine)
        if (m.issuer == a.issuer) return Done{};
    ++out.accounts;
    return store.save_account(a);
}

Outcome<Done> read_head(std::string_view line, bool restore, Imported& out) {
    const auto doc = json::Document::parse(line);
    if (!doc || !doc->root().is_object() || doc->root().string("format") != head_name) return broken("its first line");
    if (doc->root().uint("version") != 1) return Failure{Exit::usage, "the export was written by a newer version of netpay"};
    out.backup = doc->root().string("kind") != "move";
    if (out.backup && !restore)
        return Failure{Exit::usage,
                       "this is a backup, made without --move: its coins may still be spent from the wallet it was made"
                       " of, and a coin must not live in two wallets. If that wallet is lost, run this again with --restore"};
    return Done{};
}

}  // namespace

Outcome<Export> make_export(Store& store, const std::vector<std::string>& names, bool move, bool with_accounts) {
    auto accounts = store.accounts();
    if (!accounts) return accounts.failure();
    return store.transaction<Export>([&]() -> Outcome<Export> {
        Export out;
        std::string text = json::Object()
                               .set("format", head_name)
                               .set("version", std::uint64_t{1})
                               .set("kind", move ? "move" : "backup")
                               .jcs() + "\n";
        if (with_accounts)
            for (const auto& a : *accounts) text += account_line(a).jcs() + "\n";
        for (const auto& c : store.coins_within()) {
            if (!wanted(c, names)) continue;
            text += coin_line(store, c) + "\n";
            out.coins.push_back(c.coin);
        }
        text += json::Object().set("sha256", b64u_encode(sha256(text))).jcs() + "\n";
        out.text = Secret(text);
        cleanse(text.data(), text.size());
        return out;
    });
}

Outcome<Done> mark_moved(Store& store, const std::vector<std::string>& coins) {
    return store.transaction<Done>([&]() -> Outcome<Done> {
        for (const auto& c : coins) store.sql() << "UPDATE coins SET state = 'moved' WHERE coin = :c", soci::use(c, "c");
        return Done{};
    });
}

namespace {

Outcome<Imported> import_lines(Store& store, std::string_view text, bool restore) {
    Imported out;
    const std::string_view whole = text;
    bool first = true, ended = false;
    while (!text.empty()) {
        const auto end = text.find('\n');
        const auto line = text.substr(0, end);
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
        if (line.empty()) continue;
        if (first) {
            if (const auto ok = read_head(line, restore, out); !ok) return ok.failure();
            first = false;
            continue;
        }
        const auto doc = json::Document::parse(line);
        if (!doc || !doc->root().is_object()) return broken("a line that is not JSON");
        if (ended) return broken("there is more after its end");
        if (const auto digest = doc->root().string("sha256")) {
            const auto before = whole.substr(0, static_cast<std::size_t>(line.data() - whole.data()));
            if (*digest != b64u_encode(sha256(before))) return broken("it is damaged");
            ended = true;
            continue;
        }
        const auto* coin = doc->root().object("coin");
        const auto* account = doc->root().object("account");
        if (!coin && !account) return broken("a line that is neither coin nor account");
        const auto done = coin ? import_coin(store, *coin, out) : import_account(store, *account, out);
        if (!done) return done.failure();
    }
    if (first) return broken("it is empty");
    if (!ended) return broken("its end is missing");
    return out;
}

}  // namespace

Outcome<Imported> import_text(Store& store, std::string_view text, bool restore) {
    return store.transaction<Imported>([&] { return import_lines(store, text, restore); });
}

}  // namespace netpay::wallet
