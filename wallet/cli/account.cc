#include "core/origin.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"broker", 'b', "URL", "the broker's address, like https://broker.example"},
};

json::Object account_json(const Account& a) {
    return json::Object().set("broker", a.issuer).set("account", a.account).set("created", static_cast<std::uint64_t>(a.created));
}

Outcome<std::string> free_broker(Context& c, const Args& a) {
    auto url = a.get("broker");
    if (!url) return usage("--broker URL is needed");
    while (!url->empty() && url->back() == '/') url->pop_back();
    const auto all = c.store().accounts();
    if (!all) return all.failure();
    for (const auto& have : *all)
        if (have.issuer == *url) return usage("there is an account at " + have.issuer + " already");
    return *url;
}

Outcome<Done> create(Context& c, const Args& a) {
    const auto url = free_broker(c, a);
    if (!url) return url.failure();
    const auto info = c.broker().discover(*url);
    if (!info) return info.failure();
    const auto account = c.broker().create_account(*info);
    if (!account) return account.failure();
    if (const auto saved = c.store().save_account(*account); !saved) return saved;
    c.print(account_json(*account));
    c.say("account " + printable(account->account) + " at " + account->issuer);
    return Done{};
}

// A token made elsewhere; it comes by standard input, since a command line is
// for everybody on the machine to see.
Outcome<Done> import_token(Context& c, const Args& a) {
    const auto url = free_broker(c, a);
    if (!url) return url.failure();
    const auto info = c.broker().discover(*url);
    if (!info) return info.failure();
    auto token = read_stdin(4096);
    if (!token) return token.failure();
    if (token->empty() || printable(token->expose(), 4096) != token->expose()) return usage("the token is expected on standard input");
    Account account{info->issuer, info->api, info->jwks_uri, "", "", std::move(*token), c.clock().now()};
    const auto balance = c.broker().balance(account);
    if (!balance) return balance.failure();
    if (const auto saved = c.store().save_account(account); !saved) return saved;
    c.print(account_json(account));
    c.say("the token of an account at " + account.issuer + " is in the wallet");
    return Done{};
}

Outcome<Done> show(Context& c, const Args&) {
    const auto all = c.store().accounts();
    if (!all) return all.failure();
    std::vector<json::Object> list;
    for (const auto& a : *all) {
        list.push_back(account_json(a));
        c.say(printable(a.account.empty() ? "(token only)" : a.account) + "  " + a.issuer);
    }
    c.print(json::Object().set("accounts", list));
    if (all->empty()) c.say("no account yet; make one with: netpay account create --broker URL");
    return Done{};
}

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 0, 1); !ok) return ok;
    const std::string what = a.rest().empty() ? "show" : a.rest()[0];
    if (what == "create") return create(c, a);
    if (what == "show") return show(c, a);
    if (what == "import-token") return import_token(c, a);
    return usage("account create, account show or account import-token");
}

}  // namespace

const Command account_command = {
    "account", "account create --broker URL | account show | account import-token --broker URL",
    "Make an account at a broker, or show those there are",
    "create asks the broker for a new, pseudonymous account; nothing about you is sent.\n"
    "import-token reads the bearer token of an existing account from standard input.",
    options, true, run};

}  // namespace netpay::wallet::cli
