// Sessions of the broker's site. A session is 32 random bytes in a cookie of
// which the store keeps a hash; it ends 12 hours after it was last used, 30
// days after it began, at sign-out, or when the browser is closed.
#pragma once

#include <optional>
#include <string>

#include "broker/accounts/accounts.h"
#include "broker/api/resource.h"
#include "broker/context.h"
#include "broker/http/message.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::web {

struct Session {
    accounts::Account account;
    std::string id_hash;  // of its row
    std::string family;   // the same for all that came of one signing in, by renewal
    std::string csrf;     // in every form that it is shown, and its family
};

inline constexpr std::int64_t session_idle_s = 12 * 3600;
inline constexpr std::int64_t session_life_s = 30 * 86400;
// A session that was renewed is good this long still: for requests that were
// under way with its cookie, as after a double click, or of several tabs.
inline constexpr std::int64_t session_overlap_s = 30;

// Whose request that is; nullopt: nobody's. Refuses with 503 only.
Outcome<std::optional<Session>> session_of(api::Broker broker, const Request& request);

// Begin, renew and end. The cookie is a Set-Cookie field, to be sent if the
// transaction commits.
struct Started {
    Session session;
    std::string cookie;
};
Started start_session(Context& context, Sql& sql, const accounts::Account& account, UnixTime now);
Started renew_session(Context& context, Sql& sql, const Session& session, UnixTime now);
// With all that it was renewed from and to; all: every session of the account. Gives the field that takes the cookie away.
std::string end_session(Context& context, Sql& sql, const Session& session, bool all);

// Deletes sessions that are over; how many.
Int forget_sessions(Sql& sql, UnixTime now);

// A browser that has no session yet, so that its sign-in form too carries a
// token that no other site can know: of a cookie of its own.
struct Visitor {
    std::string csrf;
    std::string cookie;  // Set-Cookie field, empty if it has one
};
Visitor visitor_of(Context& context, const Request& request);
// Whether a form with that token was shown to this browser.
bool visitor_ok(const Context& context, const Request& request, std::string_view csrf);

}  // namespace netpay::broker::web
