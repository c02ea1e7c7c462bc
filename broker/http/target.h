// The request-target (RFC 9112 section 3.2), taken apart and decoded once.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace netpay::broker {

// %XX decoded. nullopt for a bad escape, a control character, a byte that is
// not printable ASCII before decoding, or what is not UTF-8 after it. '+'
// stays '+': paths and this API's queries are not form data.
std::optional<std::string> percent_decode(std::string_view text);

struct Target {
    std::vector<std::string> segments;  // decoded one by one, so that %2F never makes a new segment
    std::map<std::string, std::string> query;
    std::string path() const;           // segments joined
};

// Reads origin-form ("/a/b?c=d") and absolute-form ("http://host/a/b").
// nullopt for anything else, for "." and ".." segments, empty segments,
// duplicate query names or more than 32 of them.
std::optional<Target> parse_target(std::string_view text);

}  // namespace netpay::broker
