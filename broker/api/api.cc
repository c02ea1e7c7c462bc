#include "broker/api/api.h"

#include "broker/api/resource.h"
#include "broker/custody/compensation.h"
#include "broker/custody/epochs.h"
#include "broker/custody/returns.h"
#include "broker/ewallet/register.h"
#include "broker/issue/coins.h"
#include "broker/topup/checkouts.h"
#include "broker/vendors/vendors.h"
#include "broker/web/kept_coins.h"
#include "broker/web/return_page.h"
#include "broker/web/site.h"
#include "core/limits.h"

namespace netpay::broker {
namespace {

// Rows of periodic work in one transaction: keeps others waiting for 50 ms at most.
constexpr Int batch_rows = 500;

void report(Context& context, std::string_view work, const Refusal& r) {
    context.log.error("periodic_work_failed", json::Object().set("work", work).set("detail", printable(r.detail)));
}

template <class F>
void once(Context& context, Store& store, std::string_view work, F f) {
    const auto done = store.write(f);
    if (!done) report(context, work, done.refusal());
}

// Until fewer rows than a batch were left.
template <class F>
void repeatedly(Context& context, Store& store, std::string_view work, F f) {
    for (;;) {
        const auto rows = store.write(f);
        if (!rows) return report(context, work, rows.refusal());
        if (*rows < batch_rows) return;
    }
}

Outcome<Done> forget(Sql& sql, UnixTime now) {
    run(sql, "DELETE FROM nonces WHERE at < :t", now - limits::request_jti_kept_s);
    run(sql, "DELETE FROM registration_nonces WHERE at < :t", now - limits::request_jti_kept_s);
    run(sql, "DELETE FROM idempotency WHERE at < :t", now - issue::idempotency_kept_s);
    web::forget_sessions(sql, now);
    web::forget_unsold(sql, now);
    ewallet::forget(sql, now);
    return topup::forget_events(sql, now);
}

}  // namespace

void register_api(Routes& routes, Context& context, Store& store) {
    const api::Broker broker{context, store};
    api::add_discovery(routes, broker);
    api::add_accounts(routes, broker);
    api::add_topups(routes, broker);
    api::add_coins(routes, broker);
    api::add_vendors(routes, broker);
    api::add_custody(routes, broker);
    api::add_redemptions(routes, broker);
    web::add_return_page(routes, broker);
    web::add_site(routes, broker);
}

void tick(Context& context, Store& store) {
    const UnixTime now = context.clock.now();
    // First: what comes after depends on how long this broker was away.
    once(context, store, "heartbeat", [&](Sql& sql) { return custody::heartbeat(sql, now); });
    repeatedly(context, store, "epochs", [&](Sql& sql) { return custody::end_epochs(sql, now, batch_rows); });
    repeatedly(context, store, "returns", [&](Sql& sql) { return custody::finish_returns(context, sql, now, batch_rows); });
    repeatedly(context, store, "expiry", [&](Sql& sql) { return custody::refund_expired(context, sql, now, batch_rows); });
    repeatedly(context, store, "compensations", [&](Sql& sql) { return custody::pay_open(sql, now, batch_rows); });
    once(context, store, "certificates", [&](Sql& sql) { return vendors::renew_certificates(context, sql, now); });
    once(context, store, "purge", [&](Sql& sql) { return forget(sql, now); });
    // Last: it waits for others.
    custody::retry_returns(context, store, now);
}

}  // namespace netpay::broker
