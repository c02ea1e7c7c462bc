// Paywords below a granted one. Hashing down from it at each page would cost
// up to 50 ms; the chains used last are kept by their checkpoints.
#pragma once

#include <list>
#include <memory>
#include <mutex>

#include "core/bytes.h"
#include "core/payword.h"

namespace netpay::ewallet {

// Safe from several threads.
class Chains {
public:
    // W_i of the chain whose W_granted this is. i ≤ granted. The first call
    // of a chain costs `granted` hashes, further ones at most Chain::spacing.
    Payword at(const Tag16& coin, const Salt& salt, std::uint32_t granted, const Payword& word, std::uint32_t i);

private:
    // 8 MiB at most, of coins with 2^20 units.
    static constexpr std::size_t most = 256;
    struct Kept {
        Tag16 coin;
        std::uint32_t granted;
        Payword word;          // a name that is lied about must not get another's chain
        std::shared_ptr<const Chain> chain;
    };
    std::mutex mutex_;
    std::list<Kept> kept_;     // the one used last first
};

}  // namespace netpay::ewallet
