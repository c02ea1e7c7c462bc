#include "broker/web/kept_coins.h"

#include <algorithm>
#include <cstring>

#include "broker/custody/returns.h"
#include "broker/ewallet/grants.h"
#include "broker/store/query.h"
#include "broker/web/keys.h"
#include "core/base64url.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/payword.h"

namespace netpay::broker::web {
namespace {

constexpr std::int64_t unsold_kept_s = 86400;
constexpr std::size_t most_imported = 200;

std::string seal(Context& context, const std::string& coin, const Payword& seed) {
    return context.web->sealer().seal(context.random.bytes<16>(), "coin|" + coin, as_view(seed.bytes));
}

std::optional<Payword> unseal(const Context& context, const std::string& coin, const std::string& sealed) {
    const auto opened = context.web->sealer().open("coin|" + coin, sealed);
    if (!opened || opened->plain.size() != sizeof(Digest)) return std::nullopt;
    Payword seed;
    std::copy_n(opened->plain.data(), sizeof(Digest), seed.bytes.begin());
    return seed;
}

Refusal cipher_failed(const std::string& coin) {
    return {503, "seal", "A coin's secret cannot be read or written", "the seed of coin " + coin + " under the site's key", true};
}

std::string json_line(const json::Object& o) { return o.jcs() + "\n"; }

// ---- export ----

struct Exported {
    issue::Coin coin;
    Payword seed;
    std::uint32_t spent = 0;
    bool used = false;  // a wallet that had it, or a vendor whose lease ran out, may know more than this broker
};

std::string checkpoints_of(const issue::Coin& coin, const Payword& seed) {
    return encode_checkpoints(Chain(coin.salt, seed, coin.n).checkpoints());
}

std::string coin_line(const std::string& issuer, const Exported& e, UnixTime now) {
    return json_line(json::Object().set("coin", json::Object()
                                                    .set("coin", e.coin.coin)
                                                    .set("issuer", issuer)
                                                    .set("currency", e.coin.currency.str())
                                                    .set("unit", e.coin.unit.micro())
                                                    .set("n", std::uint64_t{e.coin.n})
                                                    .set("salt", b64u_encode(e.coin.salt))
                                                    .set("checkpoints", checkpoints_of(e.coin, e.seed))
                                                    .set("touchstone", e.coin.touchstone)
                                                    .set("expires", static_cast<std::uint64_t>(e.coin.exp))
                                                    .set("state", "live")
                                                    .set("idempotency", "")
                                                    .set("created", static_cast<std::uint64_t>(now))
                                                    .set("spent", std::uint64_t{e.spent})
                                                    .set("holder", "")
                                                    .set("held", std::uint64_t{0})
                                                    .set("restored", e.used)
                                                    .set("standings", std::vector<json::Object>())
                                                    .set("open", std::vector<json::Object>())));
}

std::string account_line(const Context& context, const accounts::Account& account, const Secret& token, UnixTime now) {
    const auto& o = context.options;
    return json_line(json::Object().set("account", json::Object()
                                                       .set("issuer", o.issuer)
                                                       .set("api", o.api())
                                                       .set("jwks_uri", o.jwks_uri())
                                                       .set("jwks", context.keys.listed()->jwks())
                                                       .set("account", account.name)
                                                       .set("token", token.expose())
                                                       .set("created", static_cast<std::uint64_t>(now))));
}

Refusal not_here(const std::string& coin) {
    return {409, "not-here", "A coin is not kept here", "Coin " + coin + " is not kept here for this account any more. Nothing was exported."};
}

Refusal still_held(const std::string& coin) {
    return {409, "coin-held", "A site has a coin and does not let it go now",
            "Coin " + coin + " is at a site that does not answer, or is selling a page by it. Nothing was exported; try again in a minute, "
                             "or give the coin back."};
}

Outcome<Exported> take_out(Context& context, Sql& sql, Int account, const std::string& name, UnixTime now) {
    const auto row = one<std::string, Int>(
        sql, "SELECT sealed, spent FROM web_coins WHERE coin = :c AND account = :a AND sealed <> ''", name, account);
    auto coin = issue::find_coin(sql, name);
    if (!row || !coin || coin->state != "live") return not_here(name);
    const auto seed = unseal(context, name, std::get<0>(*row));
    if (!seed) return cipher_failed(name);
    Exported e{std::move(*coin), *seed, static_cast<std::uint32_t>(std::get<1>(*row)), std::get<1>(*row) > 0};
    const auto last = custody::last_epoch(sql, e.coin.id);
    if (custody::is_held(sql, last, now)) return still_held(name);
    if (last) {
        e.spent = std::max(e.spent, last->known);
        e.used = last->released < 0;
    }
    ewallet::end_grants_of_coin(sql, name, now);
    run(sql, "UPDATE web_coins SET sealed = '', exported = :t WHERE coin = :c", now, name);
    return e;
}

Secret document(const Context& context, const std::string& account, const std::vector<Exported>& coins, UnixTime now) {
    std::string text = json_line(json::Object().set("format", "netpay-wallet").set("version", std::uint64_t{1}).set("kind", "move"));
    text += account;
    for (const auto& e : coins) text += coin_line(context.options.issuer, e, now);
    text += json_line(json::Object().set("sha256", b64u_encode(sha256(text))));
    Secret out{std::string_view(text)};
    cleanse(text.data(), text.size());
    return out;
}

// ---- import ----

Refusal bad_export(std::string detail) {
    return {422, "bad-export", "Nothing was imported", std::move(detail)};
}

struct Offered {
    std::string coin;
    Salt salt{};
    std::uint32_t n = 0, spent = 0;
    Payword seed, root;
};

Outcome<Offered> read_coin(const json::Value& v, const std::string& issuer) {
    Offered o;
    o.coin = v.string("coin").value_or("");
    if (v.string("issuer") != issuer)
        return bad_export("Coin " + o.coin + " is of another broker; make an export of this broker's coins alone.");
    const auto salt = b64u_decode_array<16>(v.string("salt").value_or(""));
    const auto n = v.uint("n").value_or(0), spent = v.uint("spent").value_or(0);
    auto points = decode_checkpoints(v.string("checkpoints").value_or(""));
    if (!salt || n < 1 || n > limits::max_chain || spent > n || !points) return bad_export("A coin in it is damaged.");
    // Their number is checked against n: so many are hashed as were sent.
    const auto chain = Chain::restore(*salt, static_cast<std::uint32_t>(n), std::move(*points));
    if (!chain) return bad_export("A coin in it is damaged.");
    o.salt = *salt;
    o.n = static_cast<std::uint32_t>(n);
    o.spent = static_cast<std::uint32_t>(spent);
    o.seed = chain->at(o.n);
    o.root = walk_down(o.salt, o.n, o.seed, 0);
    if (coin_id(o.salt, o.root) != o.coin) return bad_export("A coin in it is damaged.");
    return o;
}

Outcome<Done> read_head(std::string_view line) {
    const auto doc = json::Document::parse(line);
    if (!doc || !doc->root().is_object() || doc->root().string("format") != "netpay-wallet" || doc->root().uint("version") != 1)
        return bad_export("That is not an export of a netpay wallet.");
    if (doc->root().string("kind") != "move")
        return bad_export("It is a backup: its coins are in the wallet still. Make it with: netpay export --move");
    return Done{};
}

std::string unix_lines(std::string_view text) {
    std::string out;
    for (const char c : text)
        if (c != '\r') out += c;  // browsers send them with every line of a form
    while (!out.empty() && (out.back() == '\n' || out.back() == ' ')) out.pop_back();
    return out + "\n";
}

Outcome<std::vector<Offered>> read_export(std::string_view text, const std::string& issuer) {
    std::vector<Offered> coins;
    const std::string_view whole = text;
    bool first = true, ended = false;
    while (!text.empty()) {
        const auto line = text.substr(0, text.find('\n'));
        text.remove_prefix(std::min(line.size() + 1, text.size()));
        if (first) {
            if (const auto head = read_head(line); !head) return head.refusal();
            first = false;
            continue;
        }
        const auto doc = json::Document::parse(line);
        if (ended || !doc || !doc->root().is_object()) return bad_export("That is not an export of a netpay wallet.");
        if (const auto digest = doc->root().string("sha256")) {
            const auto before = whole.substr(0, static_cast<std::size_t>(line.data() - whole.data()));
            if (*digest != b64u_encode(sha256(before))) return bad_export("It is damaged; copy the whole file.");
            ended = true;
        } else if (const auto* coin = doc->root().object("coin")) {
            if (coins.size() == most_imported) return bad_export("It has more than " + std::to_string(most_imported) + " coins.");
            auto offered = read_coin(*coin, issuer);
            if (!offered) return offered.refusal();
            coins.push_back(std::move(*offered));
        }
    }
    if (!ended) return bad_export("Its end is missing; copy the whole file.");
    return coins;
}

Outcome<bool> take_in(Context& context, Sql& sql, Int account, const Offered& o, UnixTime now) {
    const auto coin = issue::find_coin(sql, o.coin);
    if (!coin || coin->n != o.n || coin->salt != o.salt || coin->root != o.root)
        return bad_export("This broker never sold coin " + o.coin + ".");
    if (coin->state == "returned") return bad_export("Coin " + o.coin + " was returned.");
    if (number(sql, "SELECT COUNT(*) FROM web_coins WHERE coin = :c AND sealed <> ''", o.coin) > 0) return false;
    const auto sealed = seal(context, o.coin, o.seed);
    if (sealed.empty()) return cipher_failed(o.coin);
    // How far sites were granted it, and what is known to be spent, is the coin's own and stays.
    run(sql,
        "INSERT INTO web_coins (coin, account, sealed, spent, created) VALUES (:c, :a, :s, :p, :t) ON CONFLICT (coin) DO UPDATE SET "
        "raised = CASE WHEN web_coins.account = excluded.account THEN web_coins.raised ELSE 0 END, "
        "account = excluded.account, sealed = excluded.sealed, exported = 0, created = excluded.created, "
        "spent = CASE WHEN web_coins.spent > excluded.spent THEN web_coins.spent ELSE excluded.spent END",
        o.coin, account, sealed, o.spent, now);
    return true;
}

// ---- list ----

using CoinRow = std::tuple<std::string, std::string, Int, Int, Int, Int, std::string, Int, Int, Int, Int, Int, std::string>;

constexpr std::string_view coins_query =
    "SELECT c.coin, c.cur, c.unit, c.n, c.exp, c.refunded, c.state, c.account, COALESCE(w.spent, 0), "
    "CASE WHEN COALESCE(w.sealed, '') = '' THEN 0 ELSE 1 END, COALESCE(w.exported, 0), COALESCE(e.known, 0), "
    "CASE WHEN e.status = 'held' AND e.released < 0 THEN v.origin ELSE '' END "
    "FROM coins c LEFT JOIN web_coins w ON w.coin = c.coin AND w.account = :a "
    "LEFT JOIN epochs e ON e.coin = c.id AND e.epoch = (SELECT MAX(x.epoch) FROM epochs x WHERE x.coin = c.id) "
    "LEFT JOIN vendors v ON v.id = e.vendor "
    "WHERE c.id IN (SELECT id FROM coins WHERE account = :b UNION "
    "SELECT k.id FROM web_coins y JOIN coins k ON k.coin = y.coin WHERE y.account = :d AND y.sealed <> '') "
    "ORDER BY c.id DESC LIMIT :m";

KeptCoin kept_coin(const CoinRow& row, Int account, UnixTime now) {
    const auto& [name, cur, unit, n, exp, refunded, state, buyer, spent, here, exported, known, holder] = row;
    KeptCoin c;
    c.coin = name;
    c.currency = Currency::parse(cur).value_or(Currency());
    c.unit = Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount());
    c.n = static_cast<std::uint32_t>(n);
    c.spent = static_cast<std::uint32_t>(std::max(spent, known));
    c.refunded = static_cast<std::uint32_t>(refunded);
    c.exp = exp;
    c.state = state == "live" && now > exp ? "expired" : state;
    c.own = buyer == account;
    c.here = here != 0;
    c.exported = exported;
    c.holder = holder;
    return c;
}

}  // namespace

Outcome<std::vector<KeptCoin>> coins_of(Sql& sql, const accounts::Account& account, UnixTime now) {
    const auto rows = all<std::string, std::string, Int, Int, Int, Int, std::string, Int, Int, Int, Int, Int, std::string>(
        sql, coins_query, account.id, account.id, account.id, listed_coins);
    std::vector<KeptCoin> out;
    for (const auto& row : rows) out.push_back(kept_coin(row, account.id, now));
    return out;
}

Outcome<std::string> buy_coin(Context& context, Store& store, const accounts::Account& account, const issue::Terms& terms,
                              std::string_view once, UnixTime now) {
    const Payword seed{context.random.bytes<32>()};
    const issue::WalletChain chain{context.random.bytes<16>(), {}};
    issue::Purchase p{terms, chain, "site " + std::string(once), {}};
    p.chain->root = walk_down(chain.salt, terms.n, seed, 0);
    p.body = sha256({"netpay/site/buy", terms.currency.str(), " ", terms.unit.str(), " ", std::to_string(terms.n)});
    const auto name = coin_id(chain.salt, p.chain->root);
    const auto sealed = seal(context, name, seed);
    if (sealed.empty()) return cipher_failed(name);
    const auto kept = store.write([&](Sql& sql) -> Outcome<Done> {
        run(sql, "INSERT INTO web_coins (coin, account, sealed, created) VALUES (:c, :a, :s, :t)", name, account.id, sealed, now);
        return Done{};
    });
    if (!kept) return kept.refusal();
    const auto sold = issue::buy(context, store, account, {}, p, now);
    if (!sold) return sold.refusal();
    return sold->touchstone;
}

Outcome<Secret> export_coins(Context& context, Store& store, const accounts::Account& account,
                             const std::vector<std::string>& names, bool with_account, UnixTime now) {
    if (names.empty() || names.size() > most_exported)
        return Refusal{422, "too-many-coins", "No coins were exported",
                       "Choose at least one coin and at most " + std::to_string(most_exported) + " at a time."};
    // A wallet has to know what is spent of a coin: it believes no site that says more.
    for (const auto& name : names) {
        const auto here = store.read([&](Sql& sql) { return seed_of(context, sql, account.id, name); });
        if (!here) return here.refusal();
        const auto back = custody::call_in(context, store, name, now);
        if (!back) return back.refusal();
        if (!*back) return still_held(name);
    }
    // Chains are hashed after the store is free again: what was taken out stays
    // taken out if that fails, and can be returned.
    std::vector<Exported> coins;
    std::string account_text;
    const auto done = store.write([&](Sql& sql) -> Outcome<Done> {
        for (const auto& name : names) {
            auto taken = take_out(context, sql, account.id, name, now);
            if (!taken) return taken.refusal();
            coins.push_back(std::move(*taken));
        }
        if (!with_account) return Done{};
        const auto token = accounts::add_token(sql, context.random, account, now);
        if (!token) return token.refusal();
        account_text = account_line(context, account, *token, now);
        return Done{};
    });
    if (!done) return done.refusal();
    auto out = document(context, account_text, coins, now);
    cleanse(account_text.data(), account_text.size());
    return out;
}

Outcome<std::size_t> import_coins(Context& context, Store& store, const accounts::Account& account, std::string_view text,
                                  UnixTime now) {
    auto lines = unix_lines(text);
    const auto offered = read_export(lines, context.options.issuer);
    cleanse(lines.data(), lines.size());
    if (!offered) return offered.refusal();
    return store.write([&](Sql& sql) -> Outcome<std::size_t> {
        std::size_t taken = 0;
        for (const auto& o : *offered) {
            const auto in = take_in(context, sql, account.id, o, now);
            if (!in) return in.refusal();
            taken += *in ? 1 : 0;
        }
        return taken;
    });
}

Outcome<Payword> seed_of(const Context& context, Sql& sql, Int account, const std::string& coin) {
    const auto row =
        one<std::string>(sql, "SELECT sealed FROM web_coins WHERE coin = :c AND account = :a AND sealed <> ''", coin, account);
    if (!row) return not_here(coin);
    const auto seed = unseal(context, coin, std::get<0>(*row));
    if (!seed) return cipher_failed(coin);
    return *seed;
}

Int forget_unsold(Sql& sql, UnixTime now) {
    return run(sql,
               "DELETE FROM web_coins WHERE created < :t AND NOT EXISTS (SELECT 1 FROM coins WHERE coins.coin = web_coins.coin)",
               now - unsold_kept_s);
}

}  // namespace netpay::broker::web
