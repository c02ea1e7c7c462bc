// What the API's resources share: who is asking, what the body says, and how
// a refusal becomes a problem document.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "broker/accounts/accounts.h"
#include "broker/context.h"
#include "broker/http/message.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "core/json.h"
#include "core/limits.h"
#include "core/money.h"

namespace netpay::broker::api {

struct Broker {
    Context& context;
    Store& store;
};

inline constexpr std::string_view prefix = "/api/v1";
std::string path(std::string_view below_prefix);

// problem+json. What is internal goes to the log; the caller learns that
// nothing was changed and when to try again.
Response refuse(Broker broker, const Request& request, const Refusal& refusal);

using Resource = std::function<Outcome<Response>(Broker, Request&)>;
Handler handler(Broker broker, Resource resource);

// The body as a JSON object. Refuses with 400 malformed-json.
// depth: of a body whose form is others'.
Outcome<json::Document> json_body(const Request& request, std::size_t depth = limits::json_depth);
// For calls that need no body: one that is sent has to be a JSON object.
Outcome<Done> empty_or_json(const Request& request);
Refusal missing(std::string_view member, std::string_view what);  // 400 malformed-request

// The account of the bearer token. Refuses with 401.
Outcome<accounts::Account> signed_in(Broker broker, const Request& request);

// {cur: amount}.
json::Object amounts(const std::map<Currency, Amount>& by_currency);

// What a signed registration asks for, for an account: by a call of the API,
// or on the site. Refuses as vendors::enrol does, and with 400 and 403.
struct Enrolled {
    std::string origin, kid;
    std::string status;  // "pending", "approved"
};
Outcome<Enrolled> enrol(Broker broker, const accounts::Account& account, std::string_view token);

void add_accounts(Routes& routes, Broker broker);
void add_topups(Routes& routes, Broker broker);
void add_coins(Routes& routes, Broker broker);
void add_vendors(Routes& routes, Broker broker);
void add_custody(Routes& routes, Broker broker);
void add_redemptions(Routes& routes, Broker broker);
void add_discovery(Routes& routes, Broker broker);

}  // namespace netpay::broker::api
