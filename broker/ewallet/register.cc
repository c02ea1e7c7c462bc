#include "broker/ewallet/register.h"

#include "broker/ewallet/codes.h"
#include "broker/ewallet/grants.h"
#include "broker/ewallet/limits.h"

namespace netpay::broker::ewallet {

void add_ewallet(Routes& routes, api::Broker b) {
    if (!b.context.options.site || !b.context.web) return;
    add_calls(routes, b);
    add_authorize(routes, b);
    add_limits_page(routes, b);
}

Int forget(Sql& sql, UnixTime now) { return forget_codes(sql, now) + forget_grants(sql, now) + forget_limits(sql, now); }

}  // namespace netpay::broker::ewallet
