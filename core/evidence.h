// The evidence about one coin: its chain of custody with every signature, what
// was claimed of it, and what that proves against whom. A broker writes it
// (`netpay-brokerd evidence COIN`); anyone who has the broker's keys can judge
// it without the broker (PROTOCOL.md sections 4, 7 and 8). Pure: no clock, no
// files. The auditor judges the same way what it finds in a broker's store.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "core/bytes.h"
#include "core/certificate.h"
#include "core/index.h"
#include "core/key.h"
#include "core/result.h"
#include "core/touchstone.h"

namespace netpay::evidence {

// ---------------------------------------------------------------- the document

// One epoch: who held the coin, from where, and where it ended.
struct Hop {
    std::uint64_t epoch = 0;
    std::string vendor;
    std::uint32_t start = 0;
    std::int64_t released = -1;  // -1: it is open
    std::string custody;         // the broker's JWS; empty: never given
    std::string index;           // the signed index that founded it; empty: the broker gave the coin itself
};

struct Shown {
    UnixTime at = 0;  // when the broker was shown it
    std::string token;
};

// Units from < i ≤ to, credited to a vendor in an epoch or taken back from it.
struct Range {
    std::string vendor;
    std::uint64_t epoch = 0;
    std::uint32_t from = 0, to = 0;
};

struct Mark {
    std::uint32_t index = 0;
    Payword payword;
};

struct Compensation {
    std::string to, from_vendor;  // receiver, culprit
    std::uint32_t from = 0, to_index = 0;
    std::uint64_t due = 0, paid = 0;  // micro-units
};

struct Dispute {
    std::string vendor, reason, against;
    std::uint32_t from = 0, to = 0;
};

enum class Kind { two_indices, never_held, below_claims };
std::string_view name_of(Kind kind);  // "two-indices", "never-held", "below-claims"

// A proof of fraud as somebody states it.
struct Finding {
    Kind kind = Kind::two_indices;
    std::string vendor;
    std::uint64_t epoch = 0;
    std::vector<std::string> tokens;
};

struct Document {
    std::string broker, coin;
    UnixTime made = 0;
    KeySet keys;  // those the document names itself
    std::string touchstone;
    std::vector<std::string> certificates;
    std::vector<Hop> custody;      // ascending
    std::vector<Shown> indices;    // in the order in which they were shown
    std::vector<Range> claims;
    std::vector<Mark> paywords;
    std::vector<std::string> receipts;
    std::vector<Range> reversals;
    std::vector<Compensation> compensations;
    std::vector<Dispute> disputes;
    std::vector<Finding> findings;
};

// Errors: malformed, limit.
Result<Document> parse(std::string_view text);

// ---------------------------------------------------------------- what it stands on

// Every key that was certified for a vendor, and when.
class Certified {
public:
    // Checks signature, issuer and members. Errors: those of verify_certificate.
    Result<Certificate> add(std::string_view token, std::string_view issuer, const KeySet& broker);
    // The keys certified for a vendor at that time (60 s of skew allowed before a certificate's iat).
    KeySet keys(std::string_view vendor, UnixTime iat) const;
    bool knows(std::string_view vendor) const { return vendors_.contains(vendor); }

private:
    struct Period {
        PublicKey key;
        UnixTime iat, exp;
    };
    std::map<std::string, std::vector<Period>, std::less<>> vendors_;
};

// Paywords of one chain, each hashed to its nearest neighbour that was proven
// before. Costs n hashes for all of them where the highest comes first.
class Proven {
public:
    Proven(const Salt& salt, std::uint32_t n, const Payword& root);
    // Whether w is W_i of the chain. False too once as many hashes were spent
    // as no honest set of paywords needs (exhausted()).
    bool prove(std::uint32_t i, const Payword& w);
    std::uint32_t highest() const { return marks_.rbegin()->first; }
    bool exhausted() const { return left_ == 0; }
    std::uint64_t hashes() const { return hashes_; }

private:
    bool spend(std::uint64_t hashes);
    Salt salt_;
    std::uint32_t n_;
    std::map<std::uint32_t, Payword> marks_;
    std::uint64_t left_, hashes_ = 0;
};

// ---------------------------------------------------------------- the judgement

// Something that does not hold. `code` is stable and documented in
// netpay-audit(8); the sentence is for people and holds no secret.
struct Fault {
    std::string code, sentence;
    std::string culprit;      // a vendor's origin or the issuer, where one is proven
    std::uint64_t units = 0;  // of the coin that are concerned; 0: none can be named
};

// A fraud that the tokens prove by themselves.
struct Proof {
    Kind kind = Kind::two_indices;
    std::string vendor, sentence;
    std::uint64_t epoch = 0;
    std::uint64_t units = 0;
};

struct Judgement {
    std::optional<Touchstone> terms;  // nullopt: it did not verify, and nothing else was looked at
    std::vector<std::string> story;   // one sentence a hop
    std::vector<Proof> proofs;        // frauds, of vendors
    std::vector<Fault> faults;        // what is wrong with the document itself
    std::uint64_t signatures = 0, hashes = 0;  // that were checked
    bool holds() const { return faults.empty(); }
};

// Judges a document whose certificates are those in `certified`.
Judgement judge(const Document& d, const KeySet& broker, const Certified& certified);

// The same with the document's own certificates.
Judgement judge(const Document& d, const KeySet& broker);

}  // namespace netpay::evidence
