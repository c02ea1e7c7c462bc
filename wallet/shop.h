// Buying coins: which denominations make up an amount, and a purchase that no
// kill and no lost answer can turn into a lost coin. The chain is made here
// from random salt and seed and stored before the broker is asked; the same
// request, sent again, gets the same answer (PROTOCOL.md section 9).
#pragma once

#include <vector>

#include "wallet/broker_api.h"
#include "wallet/env.h"
#include "wallet/store.h"

namespace netpay::wallet {

// Coins worth exactly `amount`, few and of small units; empty if the
// denominations cannot make it up (or only with more than 64 coins).
std::vector<Denomination> make_up(Amount amount, std::vector<Denomination> denominations);

class Shop {
public:
    Shop(Store& store, BrokerApi& api, Clock& clock, Random& random)
        : store_(store), api_(api), clock_(clock), random_(random) {}

    // Makes a chain, stores it, buys it. The coin as it is afterwards.
    Outcome<Coin> buy(Account& a, const Currency& c, const Denomination& d);
    // Asks again for coins whose purchase was cut off. The coins that arrived.
    Outcome<std::vector<Coin>> finish_pending(Account& a);

private:
    Outcome<Coin> finish(Account& a, const Coin& c);
    Outcome<Coin> make(const Account& a, const Currency& c, const Denomination& d);

    Store& store_;
    BrokerApi& api_;
    Clock& clock_;
    Random& random_;
};

}  // namespace netpay::wallet
