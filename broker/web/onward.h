// Where a reader was going when she had to sign up, sign in or add money
// first: on to a page of this site (next), or back to the page of a site that
// sent her (client, an origin, and target, a path there). It is carried from
// form to form; only what was checked is.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/api/resource.h"
#include "core/form.h"

namespace netpay::broker::web {

struct Onward {
    std::string next;            // empty: nowhere
    std::string client, target;  // both or neither; of an approved vendor

    std::string fields() const;  // hidden fields of a form
    std::string query() const;   // "?…" behind an address, or nothing
};

// From a query or a form, whose field names are the members' names.
Onward onward_of(api::Broker broker, const form::Fields& fields);
Onward onward_of(api::Broker broker, const Request& request);

// Kept for an hour by the browser while she pays on another site, which is not
// told of it: a Set-Cookie field, sealed; and out of a request that brings it.
std::string kept_onward(Context& context, const Onward& onward);
Onward onward_kept(api::Broker broker, const Request& request);

// What a form that leads on to a page of this site may be redirected to: the
// origins for its policy.
std::vector<std::string> origins_behind(api::Broker broker, std::string_view next);

}  // namespace netpay::broker::web
