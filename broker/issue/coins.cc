#include "broker/issue/coins.h"

#include <algorithm>

#include "broker/ledger/ledger.h"
#include "core/base64url.h"
#include "core/hash.h"
#include "core/payword.h"
#include "core/touchstone.h"

namespace netpay::broker::issue {
namespace {

constexpr std::int64_t day_s = 86400;

using Nonce = std::array<std::uint8_t, 32>;

// A chain ready to be sold.
struct Made {
    Salt salt{};
    Payword root;
    std::optional<Payword> seed;
    std::string nonce;  // of the seed, base64url; empty if the wallet made the chain
};

Payword seed_of(std::string_view token, const Nonce& nonce) {
    const Hmac hmac{Secret(token)};
    std::string text = "netpay/seed/1";
    text += as_view(nonce);
    return Payword{hmac.mac(text)};
}

Made make(Random& random, std::string_view token, std::uint32_t n) {
    const auto nonce = random.bytes<32>();
    Made m;
    m.salt = random.bytes<16>();
    m.seed = seed_of(token, nonce);
    m.root = walk_down(m.salt, n, *m.seed, 0);
    m.nonce = b64u_encode(nonce);
    return m;
}

Outcome<Amount> price_of(const Options& options, const Terms& t) {
    const auto cur = std::find(options.currencies.begin(), options.currencies.end(), t.currency);
    if (cur == options.currencies.end())
        return Refusal{422, "currency", "The broker does not deal in that currency",
                       "GET /.well-known/netpay lists the currencies."};
    const auto den = std::find(options.denominations.begin(), options.denominations.end(), Denomination{t.unit, t.n});
    const auto price = t.unit.times(t.n);
    if (den == options.denominations.end() || !price)
        return Refusal{422, "denomination", "The broker does not sell coins of that unit and length",
                       "GET /.well-known/netpay lists the denominations; take one of them."};
    return *price;
}

Outcome<Sold> answer_again(Sql& sql, Int coin, const std::string& nonce, std::string_view token) {
    const auto row = one<std::string>(sql, "SELECT touchstone FROM coins WHERE id = :i", coin);
    Sold sold{std::get<0>(row.value()), std::nullopt, true};
    if (const auto n = b64u_decode_array<32>(nonce)) sold.seed = seed_of(token, *n);
    return sold;
}

struct Keyed {
    Int coin = 0;
    std::string body, nonce;
};

// What was answered under that key within the last day.
std::optional<Keyed> answered(Sql& sql, Int account, const Purchase& p, UnixTime now) {
    if (!p.idempotency_key) return std::nullopt;
    run(sql, "DELETE FROM idempotency WHERE account = :a AND key = :k AND at < :t", account, *p.idempotency_key,
        now - idempotency_kept_s);
    const auto row = one<Int, std::string, std::string>(
        sql, "SELECT coin, body_hash, nonce FROM idempotency WHERE account = :a AND key = :k", account,
        *p.idempotency_key);
    if (!row) return std::nullopt;
    return Keyed{std::get<0>(*row), std::get<1>(*row), std::get<2>(*row)};
}

void remember(Sql& sql, Int account, const Purchase& p, Int coin, const std::string& nonce, UnixTime now) {
    if (!p.idempotency_key) return;
    run(sql, "INSERT INTO idempotency (account, key, body_hash, coin, nonce, at) VALUES (:a, :k, :b, :c, :n, :t)",
        account, *p.idempotency_key, b64u_encode(p.body), coin, nonce, now);
}

Refusal key_reused() {
    return {422, "idempotency-key", "The Idempotency-Key was used for another purchase",
            "A key stands for one body for 24 hours; use a new one. Nothing was charged."};
}

Refusal root_taken() {
    return {409, "root-taken", "A coin with that root exists",
            "It belongs to another account or has other terms; make a new chain. Nothing was charged."};
}

// A coin that has this root already.
struct Existing {
    Int id;
    bool same;  // account, terms and salt are those of this purchase
};
std::optional<Existing> existing(Sql& sql, Int account, const Terms& t, const Made& made) {
    const auto row = one<Int, Int, std::string, Int, Int, std::string>(
        sql, "SELECT id, account, cur, unit, n, salt FROM coins WHERE root = :r", encode_payword(made.root));
    if (!row) return std::nullopt;
    const auto& [id, owner, cur, unit, n, salt] = *row;
    const bool same = owner == account && cur == t.currency.str() && unit == static_cast<Int>(t.unit.micro()) &&
                      n == static_cast<Int>(t.n) && salt == b64u_encode(made.salt);
    return Existing{id, same};
}

Touchstone touchstone_of(const Options& options, const Terms& t, const Made& made, UnixTime now) {
    Touchstone s;
    s.iss = options.issuer;
    s.coin = coin_id(made.salt, made.root);
    s.tag = coin_tag(made.salt, made.root);
    s.cur = t.currency;
    s.unit = t.unit;
    s.n = t.n;
    s.salt = made.salt;
    s.root = made.root;
    s.iat = now;
    s.exp = now + options.coin_days * day_s;
    return s;
}

Int insert_coin(Sql& sql, Int account, const Touchstone& t, const std::string& token) {
    return std::get<0>(one<Int>(sql,
                                "INSERT INTO coins (coin, account, cur, unit, n, salt, root, touchstone, iat, exp) "
                                "VALUES (:coin, :account, :cur, :unit, :n, :salt, :root, :touchstone, :iat, :exp) "
                                "RETURNING id",
                                t.coin, account, t.cur.str(), t.unit.micro(), t.n, b64u_encode(t.salt),
                                encode_payword(t.root), token, t.iat, t.exp)
                           .value());
}

Outcome<Done> pay(Sql& sql, const accounts::Account& account, const Touchstone& t, Amount price) {
    return ledger::post(sql, {"coin", t.coin, t.cur,
                              {{ledger::Side::debit, ledger::customer(account.name), price},
                               {ledger::Side::credit, std::string(ledger::coins_outstanding), price}},
                              t.iat});
}

Outcome<Sold> sell(Context& context, Sql& sql, const accounts::Account& account, const Purchase& p, const Made& made,
                   Amount price, UnixTime now) {
    const auto terms = touchstone_of(context.options, p.terms, made, now);
    if (auto paid = pay(sql, account, terms, price); !paid) return paid.refusal();
    Sold sold{sign_touchstone(terms, *context.keys.current()), made.seed, false};
    const Int id = insert_coin(sql, account.id, terms, sold.touchstone);
    remember(sql, account.id, p, id, made.nonce, now);
    return sold;
}

}  // namespace

Outcome<Sold> buy(Context& context, Store& store, const accounts::Account& account, std::string_view token,
                  const Purchase& p, UnixTime now) {
    const auto price = price_of(context.options, p.terms);
    // Hashed before the store is locked: a long chain takes 60 ms.
    const Made made = p.chain ? Made{p.chain->salt, p.chain->root, std::nullopt, {}}
                      : price ? make(context.random, token, p.terms.n)
                              : Made{};
    auto sold = store.write([&](Sql& sql) -> Outcome<Sold> {
        if (const auto before = answered(sql, account.id, p, now)) {
            if (before->body != b64u_encode(p.body)) return key_reused();
            return answer_again(sql, before->coin, before->nonce, token);
        }
        if (const auto coin = existing(sql, account.id, p.terms, made)) {
            if (!coin->same) return root_taken();
            remember(sql, account.id, p, coin->id, made.nonce, now);
            return answer_again(sql, coin->id, {}, token);
        }
        // Only now: what was sold is answered again also after the broker has stopped offering it.
        if (!price) return price.refusal();
        return sell(context, sql, account, p, made, *price, now);
    });
    if (sold && !sold->again) context.metrics.coin_sold(p.terms.currency, p.terms.unit, p.terms.n);
    return sold;
}

std::optional<Coin> find_coin(Sql& sql, std::string_view name) {
    const auto row = one<Int, Int, std::string, Int, Int, std::string, std::string, std::string, Int, std::string, Int>(
        sql,
        "SELECT id, account, cur, unit, n, salt, root, touchstone, exp, state, refunded FROM coins WHERE coin = :c",
        name);
    if (!row) return std::nullopt;
    const auto& [id, account, cur, unit, n, salt, root, touchstone, exp, state, refunded] = *row;
    Coin c;
    c.id = id;
    c.account = account;
    c.coin = name;
    c.currency = Currency::parse(cur).value_or(Currency());
    c.unit = Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount());
    c.n = static_cast<std::uint32_t>(n);
    c.salt = b64u_decode_array<16>(salt).value_or(Salt{});
    c.root = decode_payword(root).value_or(Payword{});
    c.touchstone = touchstone;
    c.exp = exp;
    c.state = state;
    c.refunded = static_cast<std::uint32_t>(refunded);
    return c;
}

}  // namespace netpay::broker::issue
