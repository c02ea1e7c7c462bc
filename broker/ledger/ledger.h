// Double entry. Every change of who is owed what is a movement whose debits
// equal its credits; accounts are named by what they stand for:
//
//   cash                   debit   what vouchers were sold for and cards paid
//   vouchers:outstanding   credit  owed to holders of unused vouchers
//   customer:ACCOUNT       credit  owed to a customer
//   coins:outstanding      credit  owed for units neither credited nor refunded
//   vendor:ORIGIN:pending  credit  credited, its epoch has not ended
//   vendor:ORIGIN:payable  credit  to be paid out
//   vendor:ORIGIN:owes     debit   owed by a vendor: credits that were taken back after they
//                                  had been paid out, and compensations advanced out of what is
//                                  pending. Repaid first out of whatever becomes payable.
//   card:losses            debit   refunded to cards after the customer had spent it
//   operator               credit  the broker's own money that stands for these losses: cash
//                                  is always what is owed to customers and vendors
//
// For every vendor and currency, by the records:
//   pending        = its credits in epochs that are not settled
//   payable - owes = its credits in settled epochs - compensations paid by it
//                    + compensations paid to it - payouts
//
// No balance falls below zero on its account's own side.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/store/outcome.h"
#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::ledger {

inline constexpr std::string_view cash = "cash";
inline constexpr std::string_view vouchers_outstanding = "vouchers:outstanding";
inline constexpr std::string_view coins_outstanding = "coins:outstanding";
inline constexpr std::string_view card_losses = "card:losses";
inline constexpr std::string_view own_money = "operator";
std::string customer(std::string_view account);
std::string vendor_pending(std::string_view origin);
std::string vendor_payable(std::string_view origin);
std::string vendor_owes(std::string_view origin);

enum class Side { debit, credit };

struct Posting {
    Side side;
    std::string account;
    Amount amount;  // postings of nothing are left out
};

struct Movement {
    // "vouchers", "topup", "coin", "redemption", "settlement", "refund", "payout";
    // "late-credit": a redemption that was rejected before its epoch was known;
    // "reversal": credits taken back, from a vendor to coins:outstanding;
    // "compensation": from a culprit's payable or owes to a receiver;
    // "card", "card-refund": a checkout was paid, or its payment given back;
    // "card-refund-failed": it did not arrive, and is the customer's again.
    std::string_view kind;
    std::string reference;  // what it was for; no secret
    Currency currency;
    std::vector<Posting> postings;
    UnixTime at = 0;
};

// Books a movement. Refuses with 409 insufficient-balance where an account
// would fall below zero, and 409 amount-limit where one would leave the range
// of PROTOCOL.md section 2. Precondition: the postings balance.
Outcome<Done> post(Sql& sql, const Movement& movement);

// The postings that give a vendor an amount: its debt first, then payable.
// Of one movement with several vendors' postings, call it once for each.
std::vector<Posting> give_vendor(Sql& sql, std::string_view origin, const Currency& currency, Amount amount);
// The postings that take an amount from what is payable to a vendor; what that
// does not cover it owes.
std::vector<Posting> take_from_vendor(Sql& sql, std::string_view origin, const Currency& currency, Amount amount);

// 0 if there is no such account.
Amount balance(Sql& sql, std::string_view account, const Currency& currency);

}  // namespace netpay::broker::ledger
