// How an e-wallet pays a page: whether it may, with which grant and coin, and
// what the broker is asked on the way.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "mod_netpay/ewallet/consents.h"
#include "mod_netpay/ewallet/debits.h"
#include "mod_netpay/ewallet/holdings.h"
#include "mod_netpay/ewallet/refreshes.h"

namespace netpay::ewallet {

// Safe from several threads.
class Paying {
public:
    // It outlives it.
    explicit Paying(Holdings& holdings)
        : h_(holdings),
          debits_(holdings),
          refreshes_(holdings.options.origin, holdings.keeper, holdings.chains, holdings.world.log),
          consents_(holdings.keeper, holdings.world.log) {}

    // Both as in Wallets.
    Considered consider(const Visit& v);
    std::optional<Debit> next(const Visit& v, const Debit& debit, const Refusal& refusal);

private:
    // The steps of a payment that is allowed. True: go on with the next.
    struct Payment {
        const Visit& visit;
        Considered& out;
        Held wallet;
        std::optional<till::Entry> entry = {};
        std::uint32_t units = 0;
        bool refreshed = false, acquired = false;
    };
    void pay(Payment& p);
    bool still_stands(Payment& p);
    bool refresh(Payment& p);
    std::optional<std::uint32_t> told_spent(Payment& p);
    bool keep(Payment& p, std::shared_ptr<Wallet> fresh);
    void ended(Payment& p);
    bool acquire(Payment& p);
    bool use(Payment& p);

    Holdings& h_;
    Debits debits_;
    Refreshes refreshes_;
    Consents consents_;
};

}  // namespace netpay::ewallet
