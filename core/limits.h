// Every limit of the protocol core, each with its reason. Operators' limits
// (time-outs, pool sizes) stand beside the directive or option that sets them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace netpay::limits {

// PROTOCOL.md section 3: a chain has 1 … 2^20 paywords, so that any two
// indices are at most 2^20 hashes (some 50 ms) apart.
inline constexpr std::uint32_t max_chain = 1u << 20;

// Who has read for longer than an hour has read: no page is given back later.
inline constexpr std::uint32_t longest_give_back_s = 3600;

// PROTOCOL.md section 2: JSON numbers stay exact in every reader.
inline constexpr std::uint64_t max_amount = (1ull << 53) - 1;

// Nothing in the contract nests deeper than credential > challenge; 8 leaves
// room for unknown members and keeps the recursive parser's stack flat.
inline constexpr std::size_t json_depth = 8;
// Documents whose form is not the contract's, as a card provider's events, which embed whole objects.
inline constexpr std::size_t json_depth_of_others = 32;

// Duplicates are found by comparing each name with those before it; this
// keeps the widest object under a millisecond.
inline constexpr std::size_t json_members = 256;

// A JWK set of a broker with many retired keys is the widest document; a
// value costs 48 bytes while parsed, so this bounds one parse to 1 MiB.
inline constexpr std::size_t json_values = 20000;

// The evidence of a coin (core/evidence.h) has some ten values a change of
// hands and three a payword: enough for 20,000 of each, in 20 MiB of memory.
inline constexpr std::size_t evidence_values = 400000;
inline constexpr std::size_t evidence_bytes = 64u << 20;

// Section 5 requires at least 4 KB of credential; httpd's own field limit is
// 8190 bytes. Counted on the base64url text.
inline constexpr std::size_t credential_bytes = 7168;

// The largest token is a touchstone or certificate with a 200-byte origin
// (under 1.2 KB); unknown members get as much again and more.
inline constexpr std::size_t token_bytes = 4096;

// RFC 6454 origins in practice; DNS limits a host to 253 bytes.
inline constexpr std::size_t origin_bytes = 300;

// One claim line is about 160 bytes.
inline constexpr std::size_t claim_line_bytes = 1024;

// Section 6: ranges of used tickets kept for a coin before the lowest merge.
inline constexpr std::size_t ticket_ranges = 128;

// Tickets remembered with their resource for replays within the grace time.
// An older one is refused as already spent, which charges nothing; 48 is
// more pages than a reader opens in five minutes.
inline constexpr std::size_t recent_tickets = 48;

// Payments of one coin under way at once. More answer 503 and may retry; the
// races of 64 threads for one coin fit.
inline constexpr std::size_t open_reservations = 64;

// Section 6 and 5 defaults; operators may set others.
inline constexpr std::uint32_t default_max_hop = 100000;  // 5 ms of hashing
inline constexpr std::int64_t default_grace_s = 300;
inline constexpr std::uint32_t default_grace_count = 3;
inline constexpr std::int64_t default_session_s = 3600;
inline constexpr std::int64_t challenge_step_s = 300;  // section 5: expires is rounded up

// Section 4: clock difference allowed to a signed request.
inline constexpr std::int64_t request_skew_s = 60;
inline constexpr std::int64_t request_jti_kept_s = 120;

// Section 7: how long after a lease's exp the broker ends the epoch.
inline constexpr std::int64_t lease_margin_s = 600;
inline constexpr std::int64_t default_lease_s = 24 * 3600;
// The longest a broker may give: a dead vendor strands a coin no longer, and
// nobody believes a signed index that names a lease beyond it.
inline constexpr std::int64_t longest_lease_s = 30 * 86400;

// Section 8.
inline constexpr std::uint64_t batch_claims = 1000000;
inline constexpr std::uint32_t batch_forged = 100;

}  // namespace netpay::limits
