// Batches on their way to a broker, as files under the till directory:
//
//   outbox/<batch>.ndjson     the claims, byte for byte as they are sent
//   outbox/<batch>.json       who for, digest, counts; the batch exists once this does
//   receipts/<batch>.json     the broker's answer, byte for byte
//
// A file holds paywords of spent units. They buy nothing at this vendor any
// more and the directory is its owner's only.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/claim.h"
#include "core/result.h"
#include "world/world.h"

namespace netpay::redeem {

// The most claims in one batch. The broker takes a million, but its answer
// names each rejected one, and core/limits.h bounds what JSON is read at once
// (json_values, four for each).
inline constexpr std::uint32_t most_claims = 4000;

// A batch that was written.
struct Batch {
    std::string name;            // unique; safe as a file name
    std::string vendor, broker;  // origin, issuer
    std::string digest;          // content_digest() of the body
    std::uint64_t claims = 0, units = 0;
};

class Outbox {
public:
    // Makes the directories; removes what a process that died did not finish writing.
    static Result<Outbox> open(const std::string& till_directory, world::Disk& disk);

    // Errors: the disk's; a batch is then not there.
    Result<Batch> write(Batch batch, const std::vector<Claim>& claims);
    // Names of the batches that have no receipt yet, oldest first.
    Result<std::vector<std::string>> pending();
    // Errors: a file that is damaged (its digest is not the one written down).
    Result<Batch> load(const std::string& name);
    Result<std::vector<Claim>> claims(const Batch& batch);
    std::string body_path(const Batch& batch) const;
    // Keeps the broker's answer, then lets the batch go.
    Result<bool> done(const Batch& batch, std::string_view answer);

private:
    Outbox(std::string directory, world::Disk& disk);
    std::string sidecar_path(const std::string& name) const { return out_ + "/" + name + ".json"; }

    std::string out_, receipts_;
    world::Disk* disk_;
};

}  // namespace netpay::redeem
