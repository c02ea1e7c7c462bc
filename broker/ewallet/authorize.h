// GET and POST {issuer}/authorize: a site sends a reader here for her e-wallet,
// and she comes back to it with a code, at once or after she has agreed.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/api/resource.h"
#include "broker/ewallet/codes.h"

namespace netpay::broker::ewallet {

inline constexpr std::string_view authorize_path = "/authorize";

// What the query asks for. Refuses with 400, to be shown and not to be sent
// anywhere, where the site is none of this broker's, or the address that is to
// be returned to is not its own; else a fault goes back to the site.
struct Asked {
    Wanted wanted;
    std::string fault;  // an error code of RFC 6749 section 4.1.2.1; empty: none
};
Outcome<Asked> read_query(const Options& options, Sql& sql, const std::map<std::string, std::string>& query);

// Where a form may end up that leads on to `next`, a path of this site: the
// origin of the site that /authorize there goes back to. Else nothing.
std::vector<std::string> goes_on_to(api::Broker broker, std::string_view next);

}  // namespace netpay::broker::ewallet
