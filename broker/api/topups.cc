// POST /accounts/me/topups (PROTOCOL.md section 9).
#include "broker/accounts/vouchers.h"
#include "broker/api/resource.h"

namespace netpay::broker::api {
namespace {

struct Added {
    accounts::Toppedup voucher;
    std::map<Currency, Amount> balance;
};

Outcome<Added> add(Broker b, const accounts::Account& account, std::string_view code) {
    return b.store.write([&](Sql& sql) -> Outcome<Added> {
        const auto topped = accounts::top_up(sql, account, code, b.context.clock.now());
        if (!topped) return topped.refusal();
        return Added{*topped, accounts::balances(sql, account, b.context.options.currencies)};
    });
}

Outcome<Response> top_up(Broker b, Request& request) {
    const auto account = signed_in(b, request);
    if (!account) return account.refusal();
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto code = body->root().string("voucher");
    if (!code) return missing("voucher", "the voucher's code, a string");
    const auto added = add(b, *account, *code);
    if (!added) return added.refusal();
    b.context.metrics.voucher_redeemed(added->voucher.currency, added->voucher.amount);
    return Response::json(200, json::Object()
                                   .set("credited", added->voucher.amount.micro())
                                   .set("currency", added->voucher.currency.str())
                                   .set("balance", amounts(added->balance)))
        .no_store();
}

}  // namespace

void add_topups(Routes& routes, Broker b) {
    // 140 bits are not guessed at any rate; this keeps the attempts cheap.
    routes.add("POST", path("/accounts/me/topups"), handler(b, top_up), {1024, 5, 100});
}

}  // namespace netpay::broker::api
