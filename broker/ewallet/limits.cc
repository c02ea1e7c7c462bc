#include "broker/ewallet/limits.h"

#include <algorithm>

#include "broker/ewallet/codes.h"
#include "core/html.h"
#include "core/limits.h"

namespace netpay::broker::ewallet {
namespace {

constexpr std::int64_t day_s = 86400;

// The end of the year 9999: a word that holds until she says another.
constexpr UnixTime no_end = 253402300799;

// A sum beyond what an amount can be is the largest there is: nothing is left of any limit.
Amount amount(Int micro) {
    const auto sum = static_cast<std::uint64_t>(std::max<Int>(micro, 0));
    return Amount::from(std::min<std::uint64_t>(sum, limits::max_amount)).value();
}

Limits limits_from(Int per_page, Int per_day, Int until, Int automatic, Int everywhere) {
    return {amount(per_page), amount(per_day), until, automatic != 0, everywhere != 0};
}

}  // namespace

Int day_of(UnixTime t) { return t / day_s; }

std::optional<Limits> limits_of(Sql& sql, Int account, std::string_view site, const Currency& currency, UnixTime now) {
    const auto row = one<Int, Int, Int, Int, Int>(
        sql,
        "SELECT per_page, per_day, until, automatic, everywhere FROM ewallet_limits "
        "WHERE account = :a AND site = :s AND cur = :c AND until > :n",
        account, site, currency.str(), now);
    if (!row) return std::nullopt;
    return std::apply(limits_from, *row);
}

void set_limits(Sql& sql, Int account, std::string_view site, const Currency& currency, const Limits& l) {
    run(sql,
        "INSERT INTO ewallet_limits (account, site, cur, per_page, per_day, until, automatic, everywhere) "
        "VALUES (:a, :s, :c, :p, :d, :u, :m, :e) ON CONFLICT (account, site, cur) DO UPDATE SET per_page = excluded.per_page, "
        "per_day = excluded.per_day, until = excluded.until, automatic = excluded.automatic, everywhere = excluded.everywhere",
        account, site, currency.str(), l.per_page.micro(), l.per_day.micro(), l.until, l.automatic ? 1 : 0, l.everywhere ? 1 : 0);
}

void save_limits(Sql& sql, Int account, std::string_view site, const Currency& currency, const Limits& l) {
    set_limits(sql, account, site, currency, l);
    if (site != all_sites) return;
    run(sql, "UPDATE ewallet_limits SET per_day = :d WHERE account = :a AND cur = :c AND per_day > :m", l.per_day.micro(), account,
        currency.str(), l.per_day.micro());
}

void revoke_site(Sql& sql, Int account, std::string_view site, const Currency& currency) {
    set_limits(sql, account, site, currency, {Amount(), Amount(), no_end, false, false});
}

void remove_limits(Sql& sql, Int account, std::string_view site, const Currency& currency) {
    run(sql, "DELETE FROM ewallet_limits WHERE account = :a AND site = :s AND cur = :c", account, site, currency.str());
}

std::vector<SiteLimits> all_limits(Sql& sql, Int account, UnixTime now) {
    std::vector<SiteLimits> out;
    for (const auto& [site, cur, page, day, until, automatic, everywhere] : all<std::string, std::string, Int, Int, Int, Int, Int>(
             sql,
             "SELECT site, cur, per_page, per_day, until, automatic, everywhere FROM ewallet_limits "
             "WHERE account = :a AND until > :n ORDER BY site, cur LIMIT :l",
             account, now, listed_limits))
        if (const auto currency = Currency::parse(cur))
            out.push_back({site, *currency, limits_from(page, day, until, automatic, everywhere)});
    return out;
}

std::string site_link(std::string_view site) {
    return "<a href=\"" + html::escape(std::string(site) + std::string(wallet_path)) + "\">" + html::escape(site) + "</a>";
}

std::optional<Rules> rules_at(Sql& sql, Int account, const std::string& site, const Currency& currency, UnixTime now) {
    const auto here = limits_of(sql, account, site, currency, now), all = limits_of(sql, account, all_sites, currency, now);
    if (!here && !all) return std::nullopt;
    const Int most = number(sql, "SELECT MAX(per_day) FROM ewallet_limits WHERE account = :a AND cur = :c AND until > :n", account,
                            currency.str(), now);
    return Rules{here ? *here : *all, all, here.has_value(), amount(most)};
}

void confirm_limits(Sql& sql, Int account, const std::string& site, const Currency& currency, const Limits& l, UnixTime now) {
    if (l.everywhere) {
        set_limits(sql, account, all_sites, currency, l);
        return remove_limits(sql, account, site, currency);
    }
    set_limits(sql, account, site, currency, l);
    auto all = limits_of(sql, account, all_sites, currency, now);
    if (!all) return;
    all->everywhere = false;
    set_limits(sql, account, all_sites, currency, *all);
}

Today today(Sql& sql, Int account, Int vendor, const Currency& currency, UnixTime now) {
    const auto row = one<Int, Int>(sql,
                                   "SELECT COALESCE(SUM(raised), 0), COALESCE(SUM(CASE WHEN vendor = :v THEN raised + moved ELSE 0 END), 0) "
                                   "FROM ewallet_raised WHERE account = :a AND cur = :c AND day = :d",
                                   vendor, account, currency.str(), day_of(now));
    return {amount(std::get<0>(*row)), amount(std::get<1>(*row))};
}

void count(Sql& sql, Int account, Int vendor, const Currency& currency, Amount raised, Amount moved, UnixTime now) {
    if (raised.micro() == 0 && moved.micro() == 0) return;
    run(sql,
        "INSERT INTO ewallet_raised (account, vendor, cur, day, raised, moved) VALUES (:a, :v, :c, :d, :r, :m) "
        "ON CONFLICT (account, vendor, cur, day) DO UPDATE SET raised = ewallet_raised.raised + excluded.raised, "
        "moved = ewallet_raised.moved + excluded.moved",
        account, vendor, currency.str(), day_of(now), raised.micro(), moved.micro());
}

void uncount_moved(Sql& sql, Int account, Int vendor, const Currency& currency, Amount moved, UnixTime at) {
    run(sql,
        "UPDATE ewallet_raised SET moved = CASE WHEN moved > :m THEN moved - :n ELSE 0 END "
        "WHERE account = :a AND vendor = :v AND cur = :c AND day = :d",
        moved.micro(), moved.micro(), account, vendor, currency.str(), day_of(at));
}

void uncount(Sql& sql, Int account, const std::vector<Int>& vendors, const Currency& currency, Amount raised_less, Amount moved_less,
             UnixTime now) {
    auto left = static_cast<Int>(raised_less.micro()), left_moved = static_cast<Int>(moved_less.micro());
    for (const Int vendor : vendors) {
        const auto row = one<Int, Int>(
            sql, "SELECT raised, moved FROM ewallet_raised WHERE account = :a AND vendor = :v AND cur = :c AND day = :d", account,
            vendor, currency.str(), day_of(now));
        const auto [raised, moved] = row.value_or(std::tuple<Int, Int>(0, 0));
        const Int off = std::min(raised, left), off_moved = std::min(moved, left_moved);
        run(sql,
            "UPDATE ewallet_raised SET raised = raised - :r, moved = moved - :m "
            "WHERE account = :a AND vendor = :v AND cur = :c AND day = :d",
            off, off_moved, account, vendor, currency.str(), day_of(now));
        left -= off;
        left_moved = 0;
    }
}

Int forget_limits(Sql& sql, UnixTime now) {
    return run(sql, "DELETE FROM ewallet_raised WHERE day < :d", day_of(now)) +
           run(sql, "DELETE FROM ewallet_limits WHERE until <= :n", now);
}

}  // namespace netpay::broker::ewallet
