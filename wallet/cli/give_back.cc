#include "wallet/cli/command.h"
#include "wallet/give_back.h"

namespace netpay::wallet::cli {
namespace {

constexpr std::int64_t longest_wait_s = 60;  // unless --max-time says otherwise

Outcome<Done> run(Context& c, const Args& a) {
    if (const auto ok = expect_words(a, 1, 1); !ok) return ok;
    const auto url = normal_url(a.rest()[0]);
    if (!url) return usage("'" + printable(a.rest()[0]) + "' is not a web address like https://news.example/page");
    const auto back = give_back(c.transport(), c.purse(), *url, c.max_time_s() ? c.max_time_s() : longest_wait_s);
    if (!back) return back.failure();
    c.print(json::Object()
                .set("url", *url)
                .set("given_back", money_json(back->amount))
                .set("coin", back->coin.coin)
                .set("coin_left", money_json({back->coin.unit.times(back->coin.left()).value_or(Amount{}), back->coin.currency})));
    c.say(pretty(back->amount) + " are yours again for " + printable(*url, 2000));
    return Done{};
}

}  // namespace

const Command give_back_command = {
    "give-back", "give-back URL", "Give a page back that was bought by mistake",
    "The page bought last at URL, for as long after its payment as its site allows, which\n"
    "may be not at all. What it cost can be spent again, of the same coin. The site\n"
    "refuses a page that was opened again, and one whose payment it has booked.",
    {}, true, run};

}  // namespace netpay::wallet::cli
