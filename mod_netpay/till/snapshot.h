// What the store below keeps of a coin, and its bytes there: compact,
// versioned, checksummed, and checked when read.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "mod_netpay/till/till.h"

namespace netpay::till {

// The state of a coin at one version.
struct Snapshot {
    std::uint64_t version = 0;
    UnixTime last_used = 0;
    SpendState state;
    std::uint32_t pages_left = 0;  // unconfirmed custody: pages that may still be sold
};

// What changes seldom: the documents, who holds the coin, and what was claimed.
struct Papers {
    Coin coin;
    Standing standing = Standing::held;
    std::optional<HandedOver> handed_over;
    std::uint32_t claimed = 0;
    std::vector<Owed> owed;
    bool damaged = false;
    // The earliest epoch that may follow a dropped one: those before it were
    // this vendor's and are over. What a void index says of epochs counts for nothing.
    std::uint64_t floor = 0;
    std::string refused;  // the index by which the epoch dropped last was taken over
    // An epoch that turned out void after the coin had been passed on in it: an
    // index for it is signed, and there must never be a second one. 0: none.
    std::uint64_t void_epoch = 0;
    // The highest s that was told to anybody outside, or may have been: given
    // back is nothing below it. Marked without the coin's lock, as `claimed` is.
    std::uint32_t shown = 0;
    std::uint64_t given_back = 0;  // units, ever
    std::int64_t given_day = 0;    // days since 1970 (UTC): when what follows was given back
    std::vector<Tag16> given;      // resources

    // The lowest s that nobody outside can prove to be too low.
    std::uint32_t floor_of_s() const { return std::max({coin.start, claimed, shown}); }
    // The broker has still to confirm the custody.
    bool unconfirmed() const { return coin.custody.empty() && !coin.indices.empty(); }
    // Somebody deceived this vendor over the coin before.
    bool was_deceived() const { return !refused.empty(); }
};

// Whether a state can be one the spend machine came to: a stored one is
// believed only then.
bool plausible(const SpendState& s);

// How many of the recent tickets were ever used: places fill in order, then turn.
std::uint32_t recent_used(const SpendState& s);

std::string encode(const Snapshot& s);
std::string encode(const Papers& p);
// nullopt: the bytes are not what encode() wrote, in this version or the first.
std::optional<Snapshot> decode_snapshot(std::string_view bytes);
std::optional<Papers> decode_papers(std::string_view bytes);

}  // namespace netpay::till
