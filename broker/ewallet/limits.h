// What a reader allows sites to spend from her e-wallet: for a page, a day,
// until when; at one site, or at all of them (row '*'); and what sites were
// granted today.
//
// A site's own row counts in the place of the row of all sites, except that
// what all sites together are granted in a day stays within the latter.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "broker/store/query.h"
#include "broker/store/store.h"
#include "core/bytes.h"
#include "core/money.h"

namespace netpay::broker::ewallet {

inline constexpr std::string_view all_sites = "*";

// What a form that was not filled in says.
inline constexpr std::uint64_t usual_per_page = 50000, usual_per_day = 1000000;  // micro-units
inline constexpr Int usual_days = 30, most_days = 365;

struct Limits {
    Amount per_page, per_day;
    UnixTime until = 0;
    bool automatic = true;   // pages within per_page need no click
    bool everywhere = true;  // of all_sites: a site that was never confirmed may have the e-wallet by one click there
};
// nullopt: there is none, or its time is over.
std::optional<Limits> limits_of(Sql& sql, Int account, std::string_view site, const Currency& currency, UnixTime now);
void set_limits(Sql& sql, Int account, std::string_view site, const Currency& currency, const Limits& limits);
void remove_limits(Sql& sql, Int account, std::string_view site, const Currency& currency);

struct SiteLimits {
    std::string site;
    Currency currency;
    Limits limits;
};
inline constexpr Int listed_limits = 200;
std::vector<SiteLimits> all_limits(Sql& sql, Int account, UnixTime now);  // all_sites first, then by site

// A link to the page that a site has for her e-wallet there.
std::string site_link(std::string_view site);

// What holds at a site.
struct Rules {
    Limits here;             // the site's own, else those of all sites
    Amount per_day_all;      // of all sites together
    bool everywhere = false; // of all sites
};
// nullopt: neither has any.
std::optional<Rules> rules_at(Sql& sql, Int account, const std::string& site, const Currency& currency, UnixTime now);

// As the reader confirmed it at a site. everywhere: for all sites, this one
// too. Else for the site; the day of all sites is at least its day, and other
// sites are to be confirmed.
void confirm_limits(Sql& sql, Int account, const std::string& site, const Currency& currency, const Limits& limits, UnixTime now);

// A day's grants, in micro-units. raised: by which coins' G rose; moved: that
// others had been granted before.
struct Today {
    Amount all;   // raised for all vendors
    Amount here;  // raised and moved for this vendor
};
Today today(Sql& sql, Int account, Int vendor, const Currency& currency, UnixTime now);
void count(Sql& sql, Int account, Int vendor, const Currency& currency, Amount raised, Amount moved, UnixTime now);
// So much of what was moved on the day of `at` was never there: an earlier holder had spent it.
void uncount_moved(Sql& sql, Int account, Int vendor, const Currency& currency, Amount moved, UnixTime at);

// So much of what was granted to these vendors, the latest first, will not be
// spent: it is taken off what was raised today, as far as that goes, and for the
// latest off what was moved to it.
void uncount(Sql& sql, Int account, const std::vector<Int>& vendors, const Currency& currency, Amount unspent, UnixTime now);

// Deletes the counts of days gone by and limits that have ended; how many.
Int forget_limits(Sql& sql, UnixTime now);

}  // namespace netpay::broker::ewallet
