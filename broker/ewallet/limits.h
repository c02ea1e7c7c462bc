// What a reader allows sites to spend from her e-wallet: for a page, a day,
// until when; at one site, or at all of them (row '*'); and what sites were
// granted today.
//
// A site's own row counts in the place of the row of all sites. What all sites
// together are granted in a day stays within the largest limit of a day that
// stands in any row. A site that she revoked has a row that allows nothing.
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
    // A page of such a site is to be confirmed, and nothing is granted beyond it.
    bool nothing() const { return per_page.micro() == 0 && per_day.micro() == 0; }
};
// nullopt: there is none, or its time is over.
std::optional<Limits> limits_of(Sql& sql, Int account, std::string_view site, const Currency& currency, UnixTime now);
void set_limits(Sql& sql, Int account, std::string_view site, const Currency& currency, const Limits& limits);
// As she set them on her own page. For all sites it lowers the day of every
// site's own to it: all of them together have no more.
void save_limits(Sql& sql, Int account, std::string_view site, const Currency& currency, const Limits& limits);
void remove_limits(Sql& sql, Int account, std::string_view site, const Currency& currency);
// The site gets nothing from now on, whatever all sites may have, until she
// confirms it again or sets limits for it.
void revoke_site(Sql& sql, Int account, std::string_view site, const Currency& currency);

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
    Limits here;               // the site's own, else those of all sites
    std::optional<Limits> all; // of all sites
    bool own = false;          // `here` is the site's own
    Amount per_day_all;        // what all sites together are granted in a day
    bool everywhere() const { return all && all->everywhere; }
};
// nullopt: neither has any.
std::optional<Rules> rules_at(Sql& sql, Int account, const std::string& site, const Currency& currency, UnixTime now);

// As the reader confirmed it at a site. everywhere: for all sites, this one
// too. Else for the site alone: what other sites may do stays as it is, and new
// ones are to be confirmed.
void confirm_limits(Sql& sql, Int account, const std::string& site, const Currency& currency, const Limits& limits, UnixTime now);

// A day's grants, in micro-units. raised: by which coins' G rose; moved: that
// others had been granted before.
struct Today {
    Amount all;   // raised for all vendors
    Amount here;  // raised and moved for this vendor
};
Today today(Sql& sql, Int account, Int vendor, const Currency& currency, UnixTime now);
Int day_of(UnixTime t);  // of UTC, since 1970
void count(Sql& sql, Int account, Int vendor, const Currency& currency, Amount raised, Amount moved, UnixTime now);
// So much of what was moved on the day of `at` was never there: an earlier holder had spent it.
void uncount_moved(Sql& sql, Int account, Int vendor, const Currency& currency, Amount moved, UnixTime at);

// So much of what was raised today for these vendors, the latest first, and of
// what was moved today to the latest, will not be spent: it leaves the sums.
void uncount(Sql& sql, Int account, const std::vector<Int>& vendors, const Currency& currency, Amount raised, Amount moved,
             UnixTime now);

// Deletes the counts of days gone by and limits that have ended; how many.
Int forget_limits(Sql& sql, UnixTime now);

}  // namespace netpay::broker::ewallet
