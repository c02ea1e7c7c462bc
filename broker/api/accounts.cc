// POST /accounts, GET /accounts/me (PROTOCOL.md section 9).
#include "broker/accounts/accounts.h"

#include "broker/api/resource.h"

namespace netpay::broker::api {
namespace {

Outcome<Response> open_account(Broker b, Request& request) {
    if (auto good = empty_or_json(request); !good) return good.refusal();
    auto opened = b.store.write(
        [&](Sql& sql) { return accounts::open_account(sql, b.context.random, b.context.clock.now()); });
    if (!opened) return opened.refusal();
    b.context.metrics.account_opened();
    return Response::json(200, json::Object().set("account", opened->name).set("token", opened->token.expose())).no_store();
}

json::Object coin_object(const accounts::CoinRow& c) {
    return json::Object()
        .set("coin", c.coin)
        .set("currency", c.currency.str())
        .set("unit", c.unit.micro())
        .set("n", std::uint64_t{c.n})
        .set("iat", static_cast<std::uint64_t>(c.iat))
        .set("exp", static_cast<std::uint64_t>(c.exp))
        .set("state", c.state)
        .set("spent", std::uint64_t{c.spent})
        .set("refunded", std::uint64_t{c.refunded});
}

Outcome<Response> show_account(Broker b, Request& request) {
    const auto account = signed_in(b, request);
    if (!account) return account.refusal();
    const auto shown = b.store.read([&](Sql& sql) {
        return accounts::statement(sql, *account, b.context.options.currencies, b.context.clock.now());
    });
    if (!shown) return shown.refusal();
    std::vector<json::Object> coins;
    for (const auto& c : shown->coins) coins.push_back(coin_object(c));
    return Response::json(200, json::Object()
                                   .set("account", account->name)
                                   .set("balance", amounts(shown->balance))
                                   .set("coin_count", shown->coin_count)
                                   .set("coins", coins))
        .no_store();
}

}  // namespace

void add_accounts(Routes& routes, Broker b) {
    // An account is a row of 150 bytes: a flood of them is stopped by rate alone.
    routes.add("POST", path("/accounts"), handler(b, open_account), {1024, 5, 100});
    routes.add("GET", path("/accounts/me"), handler(b, show_account), {0, 20, 200});
}

}  // namespace netpay::broker::api
