#include "wallet/shop.h"

#include <algorithm>

#include "core/base64url.h"

namespace netpay::wallet {
namespace {

constexpr std::size_t most_coins_at_once = 64;

}  // namespace

std::vector<Denomination> make_up(Amount amount, std::vector<Denomination> denominations) {
    std::sort(denominations.begin(), denominations.end(), [](const Denomination& a, const Denomination& b) {
        return a.value() != b.value() ? a.value() > b.value() : a.unit < b.unit;
    });
    std::vector<Denomination> out;
    for (const auto& d : denominations) {
        while (d.value().micro() > 0 && amount >= d.value()) {
            if (out.size() == most_coins_at_once) return {};
            out.push_back(d);
            amount = *amount.minus(d.value());
        }
    }
    return amount.micro() == 0 ? out : std::vector<Denomination>{};
}

Outcome<Coin> Shop::make(const Account& a, const Currency& currency, const Denomination& d) {
    Coin c;
    Payword seed;
    std::array<std::uint8_t, 16> key;
    if (!random_.fill(c.salt.data(), c.salt.size()) || !random_.fill(seed.bytes.data(), seed.bytes.size()) ||
        !random_.fill(key.data(), key.size()))
        return Failure{Exit::other, "this machine gives no random numbers; no coin was made"};
    const Chain chain(c.salt, seed, d.n);
    cleanse(seed.bytes.data(), seed.bytes.size());
    c.coin = coin_id(c.salt, chain.at(0));
    c.issuer = a.issuer;
    c.currency = currency;
    c.unit = d.unit;
    c.n = d.n;
    c.idempotency = b64u_encode(key);
    c.created = clock_.now();
    if (const auto stored = store_.add_coin(c, chain); !stored) return stored.failure();
    return c;
}

Outcome<Coin> Shop::finish(Account& a, const Coin& c) {
    const auto chain = store_.chain(c);
    if (!chain) return chain.failure();
    const std::string keys_before = a.jwks;
    const auto p = api_.buy(a, c, chain->at(0));
    if (!p) return p.failure();
    if (a.jwks != keys_before)
        if (const auto saved = store_.save_account(a); !saved) return saved.failure();
    if (!p->refusal.empty()) {
        if (const auto done = store_.set_state(c.coin, CoinState::refused); !done) return done.failure();
        return Failure{Exit::broker, "the broker did not sell the coin: " + p->refusal};
    }
    if (const auto done = store_.complete_coin(c.coin, p->touchstone, p->expires); !done) return done.failure();
    return store_.coin(c.coin);
}

Outcome<Coin> Shop::buy(Account& a, const Currency& currency, const Denomination& d) {
    const auto c = make(a, currency, d);
    if (!c) return c.failure();
    return finish(a, *c);
}

Outcome<std::vector<Coin>> Shop::finish_pending(Account& a) {
    const auto all = store_.coins();
    if (!all) return all.failure();
    std::vector<Coin> arrived;
    for (const auto& c : *all) {
        if (c.state != CoinState::pending || c.issuer != a.issuer) continue;
        auto done = finish(a, c);
        if (done) arrived.push_back(std::move(*done));
        else if (done.failure().exit != Exit::broker) return done.failure();
    }
    return arrived;
}

}  // namespace netpay::wallet
