#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"broker", 'b', "URL", "the broker, if the wallet has accounts at several"},
};

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto account = c.store().account(a.get("broker").value_or(""));
    if (!account) return account.failure();
    std::string voucher = a.rest()[0];
    if (voucher == "-") {
        const auto text = read_stdin(4096);
        if (!text) return text.failure();
        voucher = text->expose();
    }
    if (voucher.empty() || printable(voucher, 4096) != voucher) return usage("that is no voucher");
    const auto balance = c.broker().topup(*account, voucher);
    if (!balance) return balance.failure();
    std::vector<json::Object> list;
    for (const auto& [currency, amount] : *balance) {
        list.push_back(money_json({amount, currency}));
        c.say("account balance " + amount.pretty(currency) + " at " + account->issuer);
    }
    c.print(json::Object().set("broker", account->issuer).set("balance", list));
    return Done{};
}

}  // namespace

const Command topup_command = {
    "topup", "topup VOUCHER | topup -", "Add a prepaid voucher to the account at the broker",
    "With '-' the voucher is read from standard input, where other users of the\nmachine do not see it.", options, true, run};

}  // namespace netpay::wallet::cli
