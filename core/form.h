// What browsers send of a form, and the cookies beside it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

namespace netpay::form {

using Fields = std::map<std::string, std::string, std::less<>>;

// The fields of an application/x-www-form-urlencoded body or a query string
// (URL Standard section 5.1): percent-decoded, '+' a blank. nullopt for a bad
// escape or a field that comes twice.
std::optional<Fields> parse(std::string_view urlencoded);

// %XX decoded, everything else as it is ('+' too). nullopt for a bad escape.
std::optional<std::string> percent_decode(std::string_view text);

// A value as it stands in a query string: all but letters, digits and -._~
// percent-encoded.
std::string encode(std::string_view value);

// The value of one cookie in a Cookie field (RFC 6265 section 4.2). nullopt if
// there is none of that name, or several: which of them is ours cannot be told.
std::optional<std::string> cookie(std::string_view cookie_field, std::string_view name);

// "__Host-netpay-STEM", and the port after it where the origin has one:
// cookies do not tell ports of a host apart.
std::string cookie_name(std::string_view origin, std::string_view stem);

}  // namespace netpay::form
