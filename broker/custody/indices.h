// Signed indices as vendors' statements (PROTOCOL.md sections 4 and 7): how
// one is verified, and the file of all that were ever shown. A signed index
// binds its signer whenever it is shown; the first on file of one signer for
// one coin and epoch is the one that decides.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "broker/context.h"
#include "broker/issue/coins.h"
#include "broker/store/outcome.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "broker/vendors/vendors.h"
#include "core/index.h"

namespace netpay::broker::custody {

// A signed index whose signature, signer, coin and payword were verified.
struct Shown {
    SignedIndex says;
    Int coin = 0, signer = 0;  // rows
    std::string token;
};

// Verifies one by the key that was certified for its signer at its iat; the
// signer may be suspended. May hash the whole chain: to be called on a read
// snapshot, not while the store is locked. Refuses with 404 unknown-coin and
// with 422 index (unknown signer, bad signature, no payword of the coin, an
// index above n, signed to itself, of another broker's coin, an epoch no coin can reach).
Outcome<Shown> verify_shown(const Context& context, Sql& sql, std::string_view token);

// One on file.
struct OnFile {
    Int id = 0, vendor = 0;  // the signer
    std::string aud, token;
    std::uint32_t index = 0;
    std::string payword;     // base64url
};

// Puts it on file, and its payword among those that are known; the same token
// again is the same entry. nullopt: its signer was proven a fraud over this
// coin so often that no more of it is kept, unless it decides an epoch or is the
// first to its receiver.
std::optional<OnFile> record(Sql& sql, const Shown& shown, UnixTime now);

// The one that decides for a signer, coin and epoch: the first on file.
std::optional<OnFile> deciding(Sql& sql, Int coin, Int epoch, Int vendor);

// What is on file of that epoch's being given to a vendor.
struct Gift {
    Int culprit = 0;  // whose proven fraud that was, of the giver or somebody before it; 0: nobody's
};
std::optional<Gift> given_to(Sql& sql, Int coin, Int epoch, const std::string& aud);

}  // namespace netpay::broker::custody
