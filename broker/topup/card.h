// Cards, by a provider's own payment page: a session is made over its API in
// the form of Stripe's Checkout (https://docs.stripe.com/api/checkout/sessions),
// the customer is sent there, and the webhook tells what came of it. No card
// number ever passes through the broker.
#pragma once

#include <atomic>
#include <memory>
#include <string_view>

#include "broker/options.h"
#include "broker/topup/provider.h"
#include "core/bytes.h"
#include "core/result.h"
#include "world/form_transport.h"

namespace netpay::broker::topup {

// In checkouts and events; and where a payment's metadata has our reference.
inline constexpr std::string_view card_provider = "card";
inline constexpr std::string_view metadata_reference = "netpay_reference";

// What it takes to be paid by card.
struct CardShop {
    Secret key;             // for the provider's API
    Secret webhook_secret;  // the provider's, for what it tells us
    std::unique_ptr<world::FormTransport> transport;
    // Calls that may be under way at once: each keeps a worker waiting.
    std::atomic<int> free_calls = 1;

    // Reads the files that the options name; null where no cards are taken.
    // Errors: a file cannot be read or does not hold one line.
    static Result<std::unique_ptr<CardShop>> open(const Options& options);
};

class Card final : public Provider {
public:
    std::string_view name() const override { return card_provider; }
    std::string form(const Options& options, std::string_view hidden) const override;
    Outcome<Step> begin(api::Broker broker, const accounts::Account& account, const form::Fields& fields) const override;
};

}  // namespace netpay::broker::topup
