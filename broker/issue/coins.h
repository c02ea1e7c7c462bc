// Selling coins (PROTOCOL.md sections 3 and 9), in two forms: the wallet
// made the chain and the broker never knows a payword, or the broker makes it
// and gives the seed away.
//
// A seed is not kept. It is HMAC-SHA256(bearer token, "netpay/seed/1" ‖ nonce)
// with a random nonce; under an Idempotency-Key the nonce is kept for 24 h, so
// that the same call gets the same answer, and is of no use without the token,
// of which the store has a hash only.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::issue {

struct Terms {
    Currency currency;
    Amount unit;
    std::uint32_t n = 0;
};

struct WalletChain {
    Salt salt{};
    Payword root;
};

struct Purchase {
    Terms terms;
    std::optional<WalletChain> chain;            // none: the broker makes it
    std::optional<std::string> idempotency_key;  // 1 … 255 characters
    Digest body{};                               // SHA-256 of the request body
};

struct Sold {
    std::string touchstone;
    std::optional<Payword> seed;  // of a chain the broker made
    bool again = false;           // this call had been answered before
};

inline constexpr std::int64_t idempotency_kept_s = 86400;

// Refuses with 422 denomination, idempotency-key; 409 insufficient-balance,
// root-taken. Nothing was charged then. Two calls with one key at a time: the
// second waits for the first and gets its answer.
Outcome<Sold> buy(Context& context, Store& store, const accounts::Account& account, std::string_view token,
                  const Purchase& purchase, UnixTime now);

// A coin as custody and redemption see it.
struct Coin {
    Int id = 0, account = 0;
    std::string coin;
    Currency currency;
    Amount unit;
    std::uint32_t n = 0;
    Salt salt{};
    Payword root;
    std::string touchstone;
    UnixTime exp = 0;
    std::string state;  // "live", "returning", "returned"
    std::uint32_t refunded = 0;
};
std::optional<Coin> find_coin(Sql& sql, std::string_view coin);

// Section 8: claims and returns are possible this long after a coin's exp.
inline constexpr std::int64_t claims_after_exp_s = 90 * 86400;

}  // namespace netpay::broker::issue
