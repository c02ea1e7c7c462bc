// Which coin an e-wallet spends from, and buying one.
#pragma once

#include <optional>
#include <string>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/issue/coins.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "core/bytes.h"

namespace netpay::broker::ewallet {

// A coin whose seed is kept here for the account.
struct WalletCoin {
    issue::Coin coin;
    std::uint32_t spent = 0;    // as far as is known here, or a vendor said that was granted so much
    std::uint32_t granted = 0;  // G, at least spent
    Int holder = 0;             // the vendor that has custody; 0: none
    std::string holder_origin;
    std::uint32_t held_from = 0;  // where its custody began
    std::uint32_t left() const { return coin.n - spent; }
};

std::optional<WalletCoin> wallet_coin(Sql& sql, Int account, const std::string& coin);

// Which coins may be taken.
enum class From {
    anywhere,       // also from another site's e-wallet
    not_elsewhere,  // none that another site has an e-wallet of
};
// A coin with enough for that price. First those the vendor holds, then those
// that others hold, then fresh ones; of each, the one with the least left.
// here_left: what the vendor may still be granted today: coins that others hold
// and that cannot be shown whole come last, for a holder lets no coin go by a
// payword below what it has sold.
std::optional<WalletCoin> chosen_coin(Sql& sql, Int account, const Currency& currency, Amount price, Int vendor, Amount here_left,
                                      From from, UnixTime now);

// What the account's coins that e-wallets can use are worth together.
Amount in_wallet(Sql& sql, Int account, const Currency& currency, UnixTime now);

// The denomination to buy: worth the price at least and no more than the
// balance, the nearest to what is usual; nullopt: none.
std::optional<issue::Terms> terms_for(const Options& options, const Currency& currency, Amount price, Amount balance);

}  // namespace netpay::broker::ewallet
