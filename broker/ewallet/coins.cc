#include "broker/ewallet/coins.h"

#include <algorithm>
#include <tuple>
#include <vector>

#include "broker/ewallet/granted.h"
#include "broker/store/query.h"

namespace netpay::broker::ewallet {
namespace {

// A coin that is about to expire is no use in an e-wallet.
constexpr std::int64_t good_for_s = 3600;
constexpr Int looked_at = 500;
// What an e-wallet should begin with: enough for a while, and not much to lose.
constexpr std::uint64_t usual_worth = 1000000;

struct Usable {
    std::string coin;
    Amount unit;
    std::uint32_t n = 0, spent = 0, granted = 0;
    Int holder = 0;
};

// The account's coins of that currency whose seeds are here and that any vendor can still take.
std::vector<Usable> usable(Sql& sql, Int account, const Currency& currency, UnixTime now) {
    std::vector<Usable> out;
    for (const auto& [coin, unit, n, said, granted, known, holder] : all<std::string, Int, Int, Int, Int, Int, Int>(
             sql,
             "SELECT c.coin, c.unit, c.n, w.spent, w.granted, COALESCE(e.known, 0), "
             "CASE WHEN e.status = 'held' AND e.released < 0 THEN e.vendor ELSE 0 END "
             "FROM web_coins w JOIN coins c ON c.coin = w.coin LEFT JOIN epochs e ON e.coin = c.id AND e.epoch = "
             "(SELECT MAX(x.epoch) FROM epochs x WHERE x.coin = c.id) "
             "WHERE w.account = :a AND w.sealed <> '' AND c.cur = :c AND c.state = 'live' AND c.exp > :n ORDER BY c.id DESC LIMIT :l",
             account, currency.str(), now + good_for_s, looked_at)) {
        const auto spent = std::max(said, known);
        out.push_back({coin, Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount()), static_cast<std::uint32_t>(n),
                       static_cast<std::uint32_t>(spent), static_cast<std::uint32_t>(std::max(granted, spent)), holder});
    }
    return out;
}

bool elsewhere(Sql& sql, const std::string& coin, Int vendor, UnixTime now) {
    return number(sql, "SELECT COUNT(*) FROM ewallet_grants WHERE coin = :c AND vendor <> :v AND ended = 0 AND until > :n", coin,
                  vendor, now) > 0;
}

int rank(const Usable& c, Int vendor, Amount here_left) {
    if (c.holder == vendor) return 0;
    if (c.holder == 0) return c.spent > 0 ? 2 : 3;
    return c.spent + units_left(here_left, Amount(), c.unit) >= c.granted ? 1 : 4;
}

}  // namespace

std::optional<WalletCoin> wallet_coin(Sql& sql, Int account, const std::string& name) {
    auto coin = issue::find_coin(sql, name);
    const auto kept =
        one<Int, Int>(sql, "SELECT spent, granted FROM web_coins WHERE coin = :c AND account = :a AND sealed <> ''", name, account);
    if (!coin || !kept) return std::nullopt;
    WalletCoin w;
    const auto epoch = one<Int, Int, Int, std::string>(
        sql,
        "SELECT e.known, e.start, CASE WHEN e.status = 'held' AND e.released < 0 THEN e.vendor ELSE 0 END, v.origin "
        "FROM epochs e JOIN vendors v ON v.id = e.vendor WHERE e.coin = :c ORDER BY e.epoch DESC LIMIT 1",
        coin->id);
    w.coin = std::move(*coin);
    w.spent = static_cast<std::uint32_t>(std::max(std::get<0>(*kept), epoch ? std::get<0>(*epoch) : 0));
    w.granted = std::max(w.spent, static_cast<std::uint32_t>(std::get<1>(*kept)));
    if (epoch && std::get<2>(*epoch) != 0) {
        w.held_from = static_cast<std::uint32_t>(std::get<1>(*epoch));
        w.holder = std::get<2>(*epoch);
        w.holder_origin = std::get<3>(*epoch);
    }
    return w;
}

std::optional<WalletCoin> chosen_coin(Sql& sql, Int account, const Currency& currency, Amount price, Int vendor, Amount here_left,
                                      From from, UnixTime now) {
    std::optional<std::tuple<int, std::uint64_t, std::string>> best;
    for (const auto& c : usable(sql, account, currency, now)) {
        const auto need = units_for(price, c.unit);
        if (!need || c.n - c.spent < *need) continue;
        if (from == From::not_elsewhere && elsewhere(sql, c.coin, vendor, now)) continue;
        std::tuple candidate(rank(c, vendor, here_left), c.unit.micro() * (c.n - c.spent), c.coin);
        if (!best || candidate < *best) best = std::move(candidate);
    }
    if (!best) return std::nullopt;
    return wallet_coin(sql, account, std::get<2>(*best));
}

Amount in_wallet(Sql& sql, Int account, const Currency& currency, UnixTime now) {
    Amount sum;
    for (const auto& c : usable(sql, account, currency, now))
        if (const auto worth = c.unit.times(c.n - c.spent)) sum = sum.plus(*worth).value_or(sum);
    return sum;
}

std::optional<issue::Terms> terms_for(const Options& options, const Currency& currency, Amount price, Amount balance) {
    std::optional<std::tuple<std::uint64_t, std::uint32_t, Denomination>> best;  // how far from usual, n
    for (const auto& d : options.denominations) {
        const auto worth = d.unit.times(d.n);
        if (!worth || *worth < price || *worth > balance) continue;
        const auto w = worth->micro();
        const auto distance = w > usual_worth ? w - usual_worth : usual_worth - w;
        if (!best || std::tie(distance, d.n) < std::tie(std::get<0>(*best), std::get<1>(*best))) best.emplace(distance, d.n, d);
    }
    if (!best) return std::nullopt;
    const auto& d = std::get<2>(*best);
    return issue::Terms{currency, d.unit, d.n};
}

}  // namespace netpay::broker::ewallet
