// E-wallets at sites: which vendor may spend of which coin, how far, until
// when. The vendor knows its grant by 32 random bytes of which the store keeps
// a hash. The seed of a coin never leaves for it: it is given the payword at
// the index it is granted, by which it can make every one below.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "broker/context.h"
#include "broker/ewallet/codes.h"
#include "broker/ewallet/coins.h"
#include "broker/ewallet/limits.h"
#include "broker/store/outcome.h"
#include "broker/store/store.h"
#include "broker/vendors/vendors.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::ewallet {

// What a vendor is told of an e-wallet.
struct Told {
    std::string grant;   // of a new one; else empty
    std::string reader;  // the same for one account at one vendor, never the same at two
    UnixTime until = 0;
    Currency currency;
    Limits limits;
    std::string touchstone;
    std::uint32_t spent = 0, granted = 0;
    Payword payword;     // at granted
    std::string holder;  // another vendor that has custody; empty: none
    std::uint32_t held = 0;
};

// The calls of vendors. Durable before they return; whole chains are hashed
// after the store is free again.

// Why a code is refused, whatever is wrong with it.
Refusal invalid_grant();
// Refuses with 400 invalid-grant; 409 insufficient, day-limit.
Outcome<Told> begin_grant(Context& context, Store& store, const vendors::Vendor& vendor, std::string_view code,
                          std::string_view verifier, UnixTime now);
// spent: as the vendor counts it. Refuses with 409 insufficient, day-limit;
// 410 grant-ended.
Outcome<Told> refresh_grant(Context& context, Store& store, const vendors::Vendor& vendor, std::string_view grant, Amount price,
                            std::uint32_t spent, UnixTime now);
// What holds of an e-wallet now; changes nothing. Refuses with 410 grant-ended.
struct Held {
    UnixTime until = 0;
    Currency currency;
    Limits limits;
};
Outcome<Held> look_at_grant(Sql& sql, const vendors::Vendor& vendor, std::string_view grant, UnixTime now);
// Nothing is said of grants that are unknown.
void leave_grant(Sql& sql, const vendors::Vendor& vendor, std::string_view grant, UnixTime now);

// Whether a page of that price could be granted to a vendor without
// confirmation: a coin has enough and the day's limits leave room.
bool can_grant(Sql& sql, Int account, const vendors::Vendor& vendor, const Rules& rules, const Currency& currency, Amount price,
               UnixTime now);

// Ends e-wallets: the vendor learns it when it next asks (an honest one within
// five minutes), and never spends more than it was granted before. Of one coin, at one site, or all of an account;
// with all of them, the codes that were not used yet.
void end_grants_of_coin(Sql& sql, const std::string& coin, UnixTime now);
void end_grants_at(Sql& sql, Int account, const std::string& site, UnixTime now);
void end_grants(Sql& sql, Int account, UnixTime now);
void end_grant_of_code(Sql& sql, const std::string& code_hash, UnixTime now);

// A coin was refunded above that index: what was granted of it beyond, and will
// never be spent, leaves its room in today's limits.
void uncount_unspent(Sql& sql, const std::string& coin, std::uint32_t spent, UnixTime now);

// Sites that have or had an e-wallet of the account, as long as that is kept.
std::vector<std::pair<std::string, Currency>> sites_with_grants(Sql& sql, Int account);

struct Live {
    std::string site, kind, coin;
    Currency currency;
    Amount left;  // that the site may still spend, as far as is known
    UnixTime until = 0;
};
std::vector<Live> live_grants(Sql& sql, Int account, UnixTime now);  // newest first

// Deletes those that ended a week ago; how many.
Int forget_grants(Sql& sql, UnixTime now);

}  // namespace netpay::broker::ewallet
