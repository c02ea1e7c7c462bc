#include "mod_netpay/ewallet/chains.h"

#include <algorithm>

namespace netpay::ewallet {

Payword Chains::at(const Tag16& coin, const Salt& salt, std::uint32_t granted, const Payword& word, std::uint32_t i) {
    std::shared_ptr<const Chain> chain;
    {
        const std::lock_guard g(mutex_);
        const auto k = std::find_if(kept_.begin(), kept_.end(), [&](const Kept& e) {
            return e.coin == coin && e.granted == granted && e.word == word;
        });
        if (k != kept_.end()) {
            kept_.splice(kept_.begin(), kept_, k);
            chain = k->chain;
        }
    }
    if (chain) return chain->at(i);
    // W_G is to the paywords below it what the seed is to all: a chain of G.
    chain = std::make_shared<const Chain>(salt, word, granted);
    const std::lock_guard g(mutex_);
    kept_.push_front({coin, granted, word, chain});
    if (kept_.size() > most) kept_.pop_back();
    return chain->at(i);
}

}  // namespace netpay::ewallet
