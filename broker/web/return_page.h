// GET and POST {issuer}/return: a page on which a customer without a wallet
// program gives a coin back. A plain form, no JavaScript, no cookie; the
// account's token is typed in and goes nowhere but into this one call.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "broker/api/resource.h"

namespace netpay::broker::web {

void add_return_page(Routes& routes, api::Broker broker);

// The fields of an application/x-www-form-urlencoded body (URL Standard
// section 5.1): percent-decoded, '+' a blank. nullopt for a bad escape or a
// field that comes twice.
std::optional<std::map<std::string, std::string>> form_fields(std::string_view body);

// Text with the characters that mean something in HTML replaced.
std::string escape_html(std::string_view text);

}  // namespace netpay::broker::web
