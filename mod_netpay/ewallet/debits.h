// The payment that is made for a page: which paywords of the e-wallet's coin
// are shown for it. Nothing in here decides whether it may be.
#pragma once

#include <cstdint>
#include <optional>

#include "mod_netpay/ewallet/holdings.h"

namespace netpay::ewallet {

// Safe from several threads.
class Debits {
public:
    // It outlives it.
    explicit Debits(Holdings& holdings) : h_(holdings) {}

    // W_index with what custody needs to get the coin.
    PaymentPayload payload(const GrantedCoin& c, std::uint32_t index);

    // A page paid for lately is read again by the ticket that paid it, which no
    // till charges twice: no order is needed, and "automatic" neither. By the
    // coin of the e-wallet, or the one before.
    std::optional<Debit> read_again(const Visit& v, const Held& w);
    // By this coin alone; e: as the till knows it.
    std::optional<Debit> read_again(const Visit& v, const Held& w, const PastCoin& c, const std::optional<till::Entry>& e);

    struct Ticketed {
        std::optional<Debit> debit;  // nothing: every ticket is used or taken
        bool over = false;           // or the day is full, and she is to be asked
    };
    // Of a coin held here as e, a ticket not below `least` (0: any). Errors: logged already.
    Result<Ticketed> with_ticket(const Visit& v, const Held& w, const till::Entry& e, std::uint32_t units, std::uint32_t least);

private:
    Debit debit(const Visit& v, const Held& w, PaymentPayload payload) const;

    Holdings& h_;
};

}  // namespace netpay::ewallet
