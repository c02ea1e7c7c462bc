#include "wallet/cli/owner.h"

#include <cstdio>

#include <unistd.h>

namespace netpay::wallet::cli {
namespace {

// --yes without --max-price: a page costs cents, so that this catches a
// misplaced comma and a greedy site alike.
constexpr auto most_by_yes = Amount::from(1000000);

std::optional<char> first_letter_typed() {
    std::FILE* terminal = std::fopen("/dev/tty", "re");
    if (!terminal) return std::nullopt;
    char line[64];
    const bool read = std::fgets(line, sizeof line, terminal) != nullptr;
    std::fclose(terminal);
    return read ? std::optional(line[0]) : std::nullopt;
}

}  // namespace

std::optional<Amount> StandingOwner::standing(const Offer& o) {
    if (!o.other_site || orders_.redirects_too) {
        if (orders_.max_price)
            return orders_.max_price->currency == o.price.currency ? std::optional(orders_.max_price->amount) : std::nullopt;
        if (orders_.yes && o.price.amount <= *most_by_yes) return o.price.amount;
    }
    const auto budgets = store_.budgets();
    if (!budgets) return std::nullopt;
    std::optional<Amount> general;
    for (const auto& b : *budgets) {
        if (b.currency != o.price.currency || !b.automatic) continue;
        if (b.site == o.site) return b.automatic;
        if (b.site == "*") general = b.automatic;
    }
    return general;
}

bool StandingOwner::decides_alone(const Offer& o) {
    const auto limit = standing(o);
    return limit && o.price.amount <= *limit;
}

Outcome<Amount> StandingOwner::accept(const Offer& o) {
    const auto limit = standing(o);
    if (limit && o.price.amount <= *limit) return *limit;
    if (orders_.max_price && (!o.other_site || orders_.redirects_too))
        return Failure{Exit::not_accepted, printable(o.site) + " asks " + pretty(o.price) + " for " + printable(o.path) +
                                               ", more than --max-price " + pretty(*orders_.max_price) + "; nothing was paid"};
    return ask(o);
}

Outcome<Amount> StandingOwner::ask(const Offer& o) {
    const std::string what = printable(o.site) + " asks " + pretty(o.price) + " for " + printable(o.path);
    if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return Failure{Exit::not_accepted,
                       what + "; nobody can be asked here, so nothing was paid. Allow it with --max-price " +
                           o.price.amount.pretty(o.price.currency).substr(0, o.price.amount.pretty(o.price.currency).find(' ')) +
                           (o.other_site ? " --pay-redirects" : "") + ", or with: netpay budget set " + printable(o.site) + " --auto AMOUNT"};
    std::fprintf(stderr, "%s%s\n%s of your coins can be spent there. Pay? [y/N] ", what.c_str(),
                 o.other_site ? " (a redirect led there)" : "", o.balance.pretty(o.price.currency).c_str());
    std::fflush(stderr);
    const auto answer = first_letter_typed();
    if (answer == 'y' || answer == 'Y') return o.price.amount;
    return Failure{Exit::not_accepted, "not paid"};
}

void StandingOwner::hear(const std::string& message) { std::fprintf(stderr, "netpay: %s\n", message.c_str()); }

}  // namespace netpay::wallet::cli
