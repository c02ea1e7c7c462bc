// RFC 3339 timestamps in the one form the contract writes: UTC, whole seconds, "Z".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/bytes.h"

namespace netpay {

// "2026-11-22T12:05:00Z". t from year 1970 to 9999.
std::string format_rfc3339(UnixTime t);
// nullopt for any other form.
std::optional<UnixTime> parse_rfc3339(std::string_view text);

}  // namespace netpay
