// Passphrases of the site: seven words out of 2048, 77 random bits. They are
// the whole sign-in, so the store keeps scrypt of one under the site's secret
// and finds the account by it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <variant>

#include "broker/random.h"
#include "broker/store/outcome.h"
#include "core/bytes.h"

namespace netpay::broker::web {

inline constexpr std::size_t passphrase_words = 7;

// As it is shown: lower-case words, one blank between them.
Secret new_passphrase(Random& random);

// What a person meant: case, and how blanks, hyphens and commas lie, mean
// nothing. Else what is wrong, in a sentence that repeats no word of it.
std::variant<Secret, std::string> normalise_passphrase(std::string_view typed);

// scrypt (RFC 7914: N = 2^15, r = 8, p = 1) of a normalised passphrase, as
// base64url: 32 MiB of memory, 0.14 s. At most two run at a time; refuses
// with 503 busy where none becomes free within half a second.
Outcome<std::string> passphrase_lookup(const Secret& passphrase, const Secret& pepper);

// The list, in order.
inline constexpr std::size_t word_count = 2048;
extern const std::string_view words[word_count];

}  // namespace netpay::broker::web
