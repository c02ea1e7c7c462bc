// Redemption at the vendor (PROTOCOL.md section 8): what the till has sold
// becomes claims, claims become signed batches, batches become receipts.
//
// Killed at any instant and run again, no claim is lost and none is made
// twice:
//  0. Before a batch is written the till is told how far its claims reach: what
//     they claim is not given back to a reader any more (Till::show()). A coin of
//     which something was given back since it was read waits for the next run.
//  1. A batch exists once its sidecar does, and its body is on the disk before
//     the sidecar is. A death before that leaves files that the next run
//     removes; the till still counts their units as unclaimed.
//  2. Then the till is told, coin by coin, that units up to `to` are claimed.
//     A death in the middle leaves coins of a written batch that the till
//     counts as unclaimed. Therefore each run first tells the till again of
//     every batch in the outbox (claim() never falls, so this changes nothing
//     where it was told before), and only then makes new claims: these start
//     above every batch in the outbox.
//  3. A batch leaves the outbox when the broker's receipt for this name and
//     digest has been verified and is on the disk. A death before that sends
//     the same bytes under the same name again, for which the broker gives the
//     same answer and credits nothing more (section 8).
//  So every unit sold is at each instant either above the till's `claimed`, or
//  in exactly one batch of the outbox (and perhaps, until step 2 is done
//  again, both), or under a receipt. One run works on a till at a time.
//  And were a claim made twice in spite of all, the broker would refuse the
//  second (`overlap`).
//
// Coins that travel: what was sold before a coin was handed over, dropped or
// regained is claimed like everything else, each epoch's units by themselves.
// Only units sold in a custody that the broker has not confirmed wait: it
// credits none outside a vendor's confirmed epochs, and a claim is made once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "core/key.h"
#include "core/money.h"
#include "mod_netpay/custody/broker_keys.h"
#include "mod_netpay/redeem/outbox.h"
#include "mod_netpay/till/till.h"

namespace netpay::redeem {

struct Settings {
    std::string vendor;                     // origin
    std::shared_ptr<const SigningKey> key;
    std::vector<custody::Broker> brokers;
    std::string directory;                  // the till's
    std::uint32_t max_claims = most_claims; // in one batch, 1 … most_claims
    std::uint32_t min_units = 1;            // coins with fewer unclaimed units wait until their lease is over
    bool dry_run = false;
};

struct Rejection {
    std::string batch, coin, reason;
    std::uint32_t from = 0, to = 0;
    std::string standing;  // not-held: how the coin stands at this vendor, e.g. "dropped"; else empty
};

struct Report {
    // Of this run's answers (or, in a dry run, of what a run would send).
    std::uint64_t batches = 0, claims = 0, units = 0, accepted = 0;
    std::map<Currency, Amount> credited;      // says the receipts; in a dry run: the claims' face value
    std::map<std::string, std::uint64_t> rejected;  // by reason
    std::vector<Rejection> rejections;        // the first most_rejections; all are in the receipts
    std::uint64_t pending = 0;                // batches left in the outbox
    std::uint64_t foreign = 0;                // coins with units to claim, of brokers not configured here
    std::uint64_t unconfirmed = 0;            // coins with units to claim once the broker has confirmed their custody
    std::vector<std::string> temporary;       // try again: network, broker busy
    std::vector<std::string> permanent;       // needs a person: refused, damaged, unverifiable

    std::uint64_t rejected_claims() const;
    // 0 all accepted, 1 some rejected, 3 temporary trouble, 4 refused.
    int exit_code() const;
    static constexpr std::size_t most_rejections = 1000;
};

using Progress = std::function<void(const std::string& line)>;

class Redeemer {
public:
    Redeemer(Settings settings, till::Till& till, custody::FileTransport& transport, custody::World world);

    // The whole job. The caller sees to it that one runs at a time.
    Report run(const Progress& progress);

private:
    void dry_run();
    bool retell(Outbox& box, const std::vector<std::string>& names);
    void fold(Outbox& box, std::vector<std::string>& written);
    bool tell_till(const std::vector<Claim>& claims);
    std::vector<Claim> claims_of(const till::Entry& e);
    std::string standing_of(const std::string& coin);
    // Claims of the batch that is being made, and of each what the till is told first.
    struct Drawn {
        std::vector<Claim> claims;
        std::vector<till::Till::Shown> shown;
    };
    bool bind(Drawn& drawn);
    bool close(Outbox& box, const std::string& broker, Drawn& drawn, std::vector<std::string>& written);
    void deliver(Outbox& box, const std::string& name);
    void read_answer(Outbox& box, const Batch& b, const custody::HttpAnswer& answer);
    Result<Redeemed> verify(const Batch& b, const json::Value& answer);
    void count(Outbox& box, const Batch& b, const Redeemed& receipt, const json::Value& answer);
    custody::BrokerKeys* keys_of(std::string_view issuer);
    void later(const Batch& b, const std::string& why);
    void refused(const std::string& why);

    const Settings s_;
    till::Till& till_;
    custody::FileTransport& transport_;
    const custody::World world_;
    std::map<std::string, std::unique_ptr<custody::BrokerKeys>, std::less<>> keys_;
    std::set<std::string> out_of_reach_;  // brokers that gave no answer in this run
    Report report_;
};

}  // namespace netpay::redeem
