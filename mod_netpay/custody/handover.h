// The receiving side of a hand-over (PROTOCOL.md section 7 steps 2 and 3): a
// holder is asked for a coin, those it names are followed, what they signed
// is verified, and the till takes the coin over by it.
#pragma once

#include <chrono>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "core/index.h"
#include "core/touchstone.h"
#include "mod_netpay/custody/line.h"
#include "mod_netpay/custody/peer_client.h"
#include "mod_netpay/custody/reports.h"
#include "mod_netpay/till/till.h"

namespace netpay::custody {

// What a coin is asked for with.
struct Wanted {
    Touchstone terms;
    std::string touchstone;
    std::uint32_t index = 0;  // W_index is of the chain
    Payword word;
    std::optional<std::string> holder = {};  // where the payer says it was spent last,
    std::uint32_t held = 0;                  // and an index spent there; 0: not said
};

// Where to ask for a coin, and with what.
struct Lead {
    Listed holder;
    std::optional<std::uint64_t> epoch;  // the holder's; nullopt: not known
    std::uint32_t start = 0;             // of its custody, as far as known: it releases at no lower index
    std::uint32_t index = 0;             // whose payword is shown
    std::vector<std::string> indices;    // signed before, oldest first, to be reported with its own
    std::string releaser;                // certificate of who signed the last of them
    std::string_view way;                // for metrics
};

// What came of following a lead.
struct Followed {
    enum class End {
        taken,        // the till holds the coin now
        silent,       // no answer, or not now
        absent,       // the one asked does not have it, or its answer is worth nothing
        returned,     // it was given to the broker
        beyond,       // it was spent beyond the payword shown
        stale,        // what was signed then is known to the till, which has passed the coin on since
        till_failed,
    };
    End end = End::absent;
    std::string detail;
    std::uint32_t retry_after_s = 2;  // of silent
    bool confirmed_only = false;      // taken, but nothing may be sold before the broker confirms
    std::string_view way;             // of taken
};

using Deadline = std::chrono::steady_clock::time_point;

class Handover {
public:
    Handover(std::string vendor, std::uint32_t unconfirmed_pages, till::Till& till, PeerClient& peers, World world)
        : vendor_(std::move(vendor)), pages_(unconfirmed_pages), till_(till), peers_(peers), world_(world) {}

    // Asks there, and at most `most_further` vendors that are named in turn,
    // none of them after `end`.
    Followed follow(Line& line, const Wanted& w, Lead lead, Deadline end);

    // A signed index by which this vendor may take the coin over: addressed to
    // it, good still, its payword of the chain. `shown`: a certificate of the signer.
    Result<SignedIndex> addressed_here(Line& line, const Touchstone& terms, std::string_view token,
                                       const Certificate* shown);
    // What the sender of a message knows to be unreported of the indices before
    // `by` ("before" in its body): the broker is told of them first, or it would
    // take their signers for vendors that never held the coin. The newest that
    // lead to `by` without a gap and verify.
    std::vector<std::string> before(Line& line, const Touchstone& terms, const json::Value& body, const SignedIndex& by);
    // As many of them as a message carries.
    static std::vector<std::string> last_of(std::vector<std::string> indices);
    // The coin into the till, unconfirmed, by the last of these indices.
    Followed take(const Touchstone& terms, const std::string& touchstone, const SignedIndex& by,
                  std::vector<std::string> indices);

private:
    static constexpr std::size_t most_before = 3;
    static constexpr std::size_t most_unreported = 16;  // what the broker takes in one report
    static constexpr int most_further = 3;  // more vendors than that between two reports do not happen honestly

    Result<SignedIndex> verify(Line& line, const Touchstone& terms, std::string_view token, const Certificate* shown);
    Reply ask(Line& line, const Wanted& w, const Lead& lead);
    Followed released(Line& line, const Wanted& w, const Lead& lead, const Reply& reply);
    Followed elsewhere(Line& line, const Wanted& w, const Lead& lead, const Reply& reply, std::optional<Lead>& next);

    const std::string vendor_;
    const std::uint32_t pages_;
    till::Till& till_;
    PeerClient& peers_;
    const World world_;
    std::timed_mutex long_walk_;  // one at a time
};

}  // namespace netpay::custody
