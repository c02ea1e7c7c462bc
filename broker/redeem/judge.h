// Judges claims one by one while a batch streams in. What it passes has a
// good payword; the ranges are checked again when the batch is credited,
// because another batch may come first.
//
// A claim outside of the vendor's epochs is rejected without hashing. So that
// the vendor can be paid by whoever deceived it, the paywords of such claims
// are verified too, as far as the batch's share of hashes for them reaches.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "broker/redeem/reason.h"
#include "broker/redeem/spans.h"
#include "broker/redeem/spool.h"
#include "broker/store/store.h"
#include "core/claim.h"

namespace netpay::broker::redeem {

// For disputed claims, of one batch: what a vendor deceived a thousand times
// needs, and a quarter of a second of hashing.
inline constexpr Int batch_disputes = 10000;
inline constexpr Int batch_dispute_hashes = 1 << 22;

// Throws soci::soci_error.
class Judge {
public:
    Judge(const std::string& store_path, Int vendor, UnixTime now);
    ~Judge();

    // Judges one line of the body (numbered from 1) and puts it into the spool.
    void line(Int number, std::string_view text, Spool& spool);
    // Lines between two pauses share one look at the store, which spares each
    // statement the file's locks. A pause belongs before every wait for bytes:
    // a look that is kept would hold up the store's checkpoint.
    void pause();

private:
    struct Statements;
    std::optional<Reason> objection(const Claim& claim, Spool& spool);
    bool know(const std::string& coin);
    bool credited(Int from, Int to);
    void dispute(Int number, const Claim& claim, Spool& spool);
    // How a payword is verified: from the nearest that is known, on either side.
    struct Hop {
        KnownPayword known;  // index 0 and the root where nothing is
        bool down_from_known = false;
        Int hashes = 0;
    };
    Hop hop_to(const Claim& claim, Spool& spool);
    bool leads(const Hop& hop, const Claim& claim) const;
    std::optional<KnownPayword> nearest_below(Int index, Spool& spool);
    std::optional<KnownPayword> nearest_above(Int index, Spool& spool);

    std::unique_ptr<Sql> sql_;
    std::unique_ptr<Statements> statements_;
    const UnixTime now_;
    bool looking_ = false;
    std::optional<Claimable> coin_;  // of the line before: claims of one coin stand together
    std::optional<KnownPayword> disputed_;  // of that coin, the last that verified
    std::uint32_t forged_ = 0;
    Int disputes_left_ = batch_disputes;
    Int dispute_hashes_left_ = batch_dispute_hashes;
};

}  // namespace netpay::broker::redeem
