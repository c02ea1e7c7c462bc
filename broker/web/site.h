// The broker's site: what its pages share. Plain HTML under a strict
// Content-Security-Policy, no script, nothing from elsewhere. Members are
// known by a session cookie (session.h); every form of theirs carries a token
// that belongs to the session and is taken from this origin only.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/api/resource.h"
#include "broker/http/message.h"
#include "broker/web/session.h"
#include "core/form.h"

namespace netpay::broker::web {

// A reader's pace, for one address.
inline constexpr RouteLimits page_limits{0, 5, 60};
inline constexpr RouteLimits form_limits{4096, 1, 30, "application/x-www-form-urlencoded"};

using Page = std::function<Response(api::Broker, Request&, const Session&)>;
using Form = std::function<Response(api::Broker, Request&, const Session&, const form::Fields&)>;

// Without a session: 303 to /sign-in, which leads back to this page.
Handler page_for_members(api::Broker broker, Page page);
// Without a session: 303 to /sign-in. 403 page unless Origin is the issuer's
// and the field `csrf` is the session's; 400 page if the body is no form.
Handler form_for_members(api::Broker broker, Form form);

// A whole page. session null: nobody is signed in. main_html comes after the
// navigation and begins with an <h1>; title and all values in it are escaped
// by the caller's html::escape, title here. form_origins: where its forms may
// lead beside this origin.
Response page(api::Broker broker, const Session* session, std::string_view title, std::string_view main_html,
              int status = 200, const std::vector<std::string>& form_origins = {});
// Why something was refused, with the refusal's status (401 becomes 403: no
// form is a bearer scheme). What is internal goes to the log. below: more HTML.
Response fault_page(api::Broker broker, const Request& request, const Session* session, std::string_view title,
                    const Refusal& refusal, std::string_view below = {});

// 303. location: a path of this site, or a complete address that was checked.
Response see_other(std::string_view location, std::vector<std::string> cookies = {});

// A field that was sent; empty if it was not.
std::string field(const form::Fields& fields, std::string_view name);
// A hidden field of a form. Escapes value.
std::string hidden(std::string_view name, std::string_view value);
// The hidden field of a form that form_for_members takes.
std::string csrf_field(const Session& session);
// An amount, also nothing: "$1.20", "2 ¢", "0 ¢". Nothing in it to escape.
std::string money(Amount amount, const Currency& currency);
// A message above a page's text: kind is "done" or "fault". Escapes text.
std::string said(std::string_view kind, std::string_view text);

// next if it is a path of this site ("/coins?x=1"), else "/": never "//HOST",
// "/\HOST", another scheme, a control character.
std::string own_path(std::string_view next);

// The address of a page again, with its query, to come back to.
std::string address_of(const Request& request);

void add_site(Routes& routes, api::Broker broker);

// For add_site, a file each.
void add_login_pages(Routes& routes, api::Broker broker);
void add_account_pages(Routes& routes, api::Broker broker);
void add_coin_pages(Routes& routes, api::Broker broker);
void add_history_page(Routes& routes, api::Broker broker);
void add_vendor_pages(Routes& routes, api::Broker broker);

}  // namespace netpay::broker::web
