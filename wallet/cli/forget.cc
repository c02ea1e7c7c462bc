#include "core/origin.h"
#include "wallet/cli/command.h"

namespace netpay::wallet::cli {
namespace {

constexpr OptionSpec options[] = {
    {"all", 'a', nullptr, "of every site"},
};

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 0, 1); !ok) return ok;
    if (a.rest().empty() != a.has("all")) return usage("either a site or --all");
    std::string site;
    if (!a.has("all")) {
        const auto url = normal_url(a.rest()[0]);
        if (!url) return usage("the site is an origin like https://news.example");
        site = origin_of(*url);
    }
    if (const auto done = c.store().forget_vendor(site); !done) return done;
    c.print(json::Object().set("forgotten", site.empty() ? "*" : site));
    return Done{};
}

}  // namespace

const Command forget_command = {
    "forget", "forget SITE | forget --all", "Forget a site's challenge, prices and refusals of coins",
    "The next page there is asked for without a payment first. Payments, counts and\nbudgets stay.", options, false, run};

}  // namespace netpay::wallet::cli
