#include "core/origin.h"
#include "wallet/cli/command.h"
#include "wallet/client.h"

namespace netpay::wallet::cli {
namespace {

class Nobody : public Owner {
public:
    Outcome<Amount> accept(const Offer&) override { return Failure{Exit::not_accepted, "nothing is paid here"}; }
    bool decides_alone(const Offer&) override { return false; }
    void hear(const std::string&) override {}
};

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto url = normal_url(a.rest()[0]);
    if (!url) return usage("the site is an origin like https://news.example");
    Nobody nobody;
    Client client(c.transport(), c.store(), c.purse(), nobody, c.clock());
    const auto site = client.discover(origin_of(*url), c.max_time_s() ? c.max_time_s() : 60);
    if (!site) return site.failure();
    std::vector<json::Object> list;
    for (const auto& p : site->prices) {
        list.push_back(money_json(p.price).set("path", p.path).set("methods", p.methods));
        c.say(p.price.amount.pretty(p.price.currency) + "  " + printable(p.path) + "  " + printable(p.methods));
    }
    c.print(json::Object().set("vendor", site->vendor).set("realm", site->realm).set("brokers", site->brokers).set("prices", list));
    return Done{};
}

}  // namespace

const Command prices_command = {
    "prices", "prices SITE", "Show what a site sells and for how much",
    "The prices and the site's standing challenge are remembered, so that even the first\npage is paid in its first request.",
    {}, true, run};

}  // namespace netpay::wallet::cli
