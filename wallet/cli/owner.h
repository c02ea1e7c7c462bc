// The owner at the command line: her options, her budgets, and on a terminal
// she herself.
#pragma once

#include <optional>
#include <set>
#include <string>

#include "wallet/client.h"
#include "wallet/store.h"

namespace netpay::wallet::cli {

struct StandingOrders {
    std::string site;                 // the one she named
    std::optional<Money> max_price;   // --max-price
    bool yes = false;                 // --yes
    bool redirects_too = false;       // they hold for other sites, too
};

class StandingOwner : public Owner {
public:
    StandingOwner(Store& store, StandingOrders orders) : store_(store), orders_(std::move(orders)) {}
    Outcome<Amount> accept(const Offer& o) override;
    bool decides_alone(const Offer& o) override;
    void hear(const std::string& message) override;

private:
    // The limit by which she accepts without being asked, if there is one.
    std::optional<Amount> standing(const Offer& o);
    Outcome<Amount> ask(const Offer& o);

    Store& store_;
    StandingOrders orders_;
};

}  // namespace netpay::wallet::cli
