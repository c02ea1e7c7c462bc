// One payment presented to a vendor: coin state, spend, and what to tell the
// customer (PROTOCOL.md sections 5 and 6). No httpd in here.
#pragma once

#include <optional>
#include <variant>

#include "core/credential.h"
#include "mod_netpay/cache/cache.h"
#include "mod_netpay/counters.h"
#include "mod_netpay/custody/custody.h"
#include "mod_netpay/refusal.h"
#include "mod_netpay/till/till.h"

namespace netpay::ewallet {
class Wallets;
}

namespace netpay {

// Where a vendor's payments are taken. All outlive the purchase.
struct Desk {
    till::Till& till;
    custody::Keeper& keeper;
    cache::Cache* cache = nullptr;  // null: none is configured
    Counters* counters = nullptr;
    custody::Log* log = nullptr;
    ewallet::Wallets* wallets = nullptr;  // null: no e-wallets are kept here
};

struct Purchase {
    till::Outcome outcome;   // verdict paid (a reservation is open) or replayed
};

// Reserves `charge` (filled but for its units) for the payload. On Purchase
// with verdict paid the caller settles or releases.
std::variant<Purchase, Refusal> purchase(const Desk& desk, const PaymentPayload& payload, till::Charge& charge);

// Why nothing can be sold here now, so that nobody is asked to pay: a broker's
// keys are not known, or the clock is wrong, by which leases end. Nothing: it can.
std::optional<Refusal> closed(const Desk& desk);

}  // namespace netpay
