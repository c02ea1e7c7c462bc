#include "broker/accounts/accounts.h"

#include "broker/ledger/ledger.h"
#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::broker::accounts {
namespace {

// The token is 256 random bits, so a plain hash of it tells nobody anything.
std::string token_hash(std::string_view token) { return b64u_encode(sha256({"netpay/token/1", token})); }

CoinRow coin_row(const std::tuple<std::string, std::string, Int, Int, Int, Int, std::string, Int, Int>& row,
                 UnixTime now) {
    const auto& [coin, cur, unit, n, iat, exp, state, spent, refunded] = row;
    CoinRow c;
    c.coin = coin;
    c.currency = Currency::parse(cur).value_or(Currency());
    c.unit = Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount());
    c.n = static_cast<std::uint32_t>(n);
    c.iat = iat;
    c.exp = exp;
    c.state = state == "live" && now > exp ? "expired" : state;
    c.spent = static_cast<std::uint32_t>(spent);
    c.refunded = static_cast<std::uint32_t>(refunded);
    return c;
}

}  // namespace

Outcome<Opened> open_account(Sql& sql, Random& random, UnixTime now) {
    const auto raw = random.bytes<32>();
    Opened opened{b64u_encode(random.bytes<16>()), Secret(std::string_view(b64u_encode(raw)))};
    run(sql, "INSERT INTO accounts (name, token_hash, created) VALUES (:n, :t, :c)", opened.name,
        token_hash(opened.token.expose()), now);
    return opened;
}

Outcome<Secret> add_token(Sql& sql, Random& random, const Account& account, UnixTime now) {
    const auto held = number(sql, "SELECT COUNT(*) FROM account_tokens WHERE account = :a", account.id);
    if (held >= most_tokens)
        return Refusal{409, "too-many-tokens", "This account has too many tokens",
                       "It has " + std::to_string(held) + "; withdraw them first."};
    Secret token(std::string_view(b64u_encode(random.bytes<32>())));
    run(sql, "INSERT INTO account_tokens (token_hash, account, created) VALUES (:h, :a, :t)", token_hash(token.expose()),
        account.id, now);
    return token;
}

Int withdraw_tokens(Sql& sql, const Account& account) {
    return run(sql, "DELETE FROM account_tokens WHERE account = :a", account.id);
}

Outcome<Account> authenticate(Sql& sql, std::string_view token) {
    const auto hash = token_hash(token);
    auto row = one<Int, std::string>(sql, "SELECT id, name FROM accounts WHERE token_hash = :h", hash);
    if (!row)
        row = one<Int, std::string>(sql,
                                    "SELECT a.id, a.name FROM account_tokens t JOIN accounts a ON a.id = t.account "
                                    "WHERE t.token_hash = :h",
                                    hash);
    if (!row)
        return Refusal{401, "unknown-token", "The bearer token is not known",
                       "No account of this broker has that token; send the one POST /accounts gave."};
    return Account{std::get<0>(*row), std::get<1>(*row)};
}

std::map<Currency, Amount> balances(Sql& sql, const Account& account, const std::vector<Currency>& offered) {
    std::map<Currency, Amount> result;
    for (const auto& cur : offered) result.emplace(cur, Amount());
    const auto rows = all<std::string, Int>(sql, "SELECT cur, balance FROM ledger_accounts WHERE name = :n",
                                            ledger::customer(account.name));
    for (const auto& [cur, micro] : rows)
        if (const auto currency = Currency::parse(cur))
            result[*currency] = Amount::from(static_cast<std::uint64_t>(micro)).value_or(Amount());
    return result;
}

Outcome<Statement> statement(Sql& sql, const Account& account, const std::vector<Currency>& offered, UnixTime now) {
    Statement s;
    s.balance = balances(sql, account, offered);
    s.coin_count = static_cast<std::uint64_t>(number(sql, "SELECT COUNT(*) FROM coins WHERE account = :a", account.id));
    const auto rows = all<std::string, std::string, Int, Int, Int, Int, std::string, Int, Int>(
        sql,
        "SELECT c.coin, c.cur, c.unit, c.n, c.iat, c.exp, c.state, "
        "COALESCE((SELECT MAX(e.known) FROM epochs e WHERE e.coin = c.id), 0), c.refunded "
        "FROM coins c WHERE c.account = :a ORDER BY c.id DESC LIMIT :m",
        account.id, listed_coins);
    for (const auto& row : rows) s.coins.push_back(coin_row(row, now));
    return s;
}

}  // namespace netpay::broker::accounts
