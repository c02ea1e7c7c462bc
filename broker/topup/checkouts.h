// Payments that are made elsewhere, from the customer's wish to the refund,
// and what each does to the ledger.
//
//   open ──paid──▶ paid ──refunded in full──▶ refunded ──the refund failed──▶ paid
//     └──failed──▶ failed ──paid──▶ paid        (the money has come after all)
//
// What has been given back is not counted up, as events come late, twice and
// out of order, and a sum of refunds that a provider names falls when one of
// them fails. Kept are the sums, each as of its time, and the failures. A sum
// and the failures before it are all refunds that had been begun by then; the
// highest of these less all failures is what has been given back:
//
//   max over sums (sum + failures before it) - failures
#pragma once

#include <string>
#include <string_view>

#include "broker/accounts/accounts.h"
#include "broker/options.h"
#include "broker/random.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"

namespace netpay::broker::topup {

// Payments an account may begin in a day and leave unfinished: each is a call to the provider.
inline constexpr Int unfinished_checkouts = 20;
// A provider repeats an event for days; after this long it repeats none.
inline constexpr std::int64_t events_kept_s = 90 * 86400;

// Gives the reference by which the provider will name the payment: 22
// characters nobody can guess. Refuses with 429 too-many-checkouts.
Outcome<std::string> begin_checkout(Sql& sql, Random& random, std::string_view provider, const accounts::Account& account,
                                    const CardAmount& wanted, UnixTime now);

// Remembers an event of a provider's; false: it has been here before.
bool first_time(Sql& sql, std::string_view provider, std::string_view event, UnixTime now);
Outcome<Done> forget_events(Sql& sql, UnixTime now);

enum class Booking {
    booked,   // the ledger moved
    nothing,  // nothing was left to be done
    foreign,  // no checkout of this broker's
};

struct Payment {
    std::string_view reference;  // ours, or empty
    std::string_view id;         // the provider's name of the payment, or empty
    Amount amount;               // paid, or refunded until `at`
    Currency currency;
    UnixTime at = 0;             // of a refund: when the provider says so
};
// A refund that has not reached the customer.
struct FailedRefund {
    std::string_view id;       // the provider's name of the refund
    std::string_view payment;  // and of the payment
    Amount amount;
    Currency currency;
    UnixTime begun = 0;        // both by the provider's clock
    UnixTime failed = 0;
};
// The customer has paid. Refuses with 422 checkout-amount if that is not what the checkout is over.
Outcome<Booking> pay(Sql& sql, std::string_view provider, const Payment& payment, UnixTime now);
// The provider did not take it on: nobody can pay it.
Outcome<Done> forget_checkout(Sql& sql, std::string_view provider, std::string_view reference);
// The payment will not come.
Outcome<Booking> fail(Sql& sql, std::string_view provider, std::string_view reference);
// `payment.amount` had been given back in all at `payment.at`. What is new of
// it is booked: from the customer's balance, and what it does not cover as a
// loss. Refuses with 422 checkout-amount; with 409 checkout-unpaid where the
// payment has not been told of.
Outcome<Booking> refund(Sql& sql, std::string_view provider, const Payment& payment, UnixTime now);
// A refund failed, which counts once by its id: what had been booked goes back,
// first of what was lost, then to the customer's balance. Refuses with 422
// checkout-amount; with 409 refund-unknown where the payment or the refund has not
// been told of, or may not have been.
Outcome<Booking> refund_failed(Sql& sql, std::string_view provider, const FailedRefund& failed, UnixTime now);

}  // namespace netpay::broker::topup
