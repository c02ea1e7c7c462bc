#include "broker/ewallet/grants.h"

#include <algorithm>

#include "broker/ewallet/granted.h"
#include "broker/store/query.h"
#include "broker/web/kept_coins.h"
#include "broker/web/keys.h"
#include "core/base64url.h"
#include "core/hash.h"
#include "core/payword.h"

namespace netpay::broker::ewallet {
namespace {

// What a vendor was shown counts for it on later days too, until this long after.
constexpr std::int64_t ended_kept_s = 7 * 86400;
// How long what she confirmed is on its way: a code's minute, and the vendor's to fetch the coin.
constexpr std::int64_t confirmed_for_s = 120;

std::string hash_of(std::string_view grant) { return b64u_encode(sha256({"netpay/ewallet/grant", grant})); }

Refusal insufficient() {
    return {409, "insufficient", "No coin has enough for that price", "Send the reader to the broker, to put money into the e-wallet."};
}

Refusal day_limit() {
    return {409, "day-limit", "The reader's limit for the day is used up", "Send the reader to the broker, who may raise it."};
}

Refusal grant_ended() {
    return {410, "grant-ended", "That e-wallet is not with this vendor any more", "Send the reader to the broker to bring it back."};
}

// A payword to be hashed from its seed, once nothing is locked.
struct Shown {
    Told told;
    Salt salt{};
    std::uint32_t n = 0;
    Payword seed;
};

Told with_payword(Shown s) {
    s.told.payword = walk_down(s.salt, s.n, s.seed, s.told.granted);
    cleanse(s.seed.bytes.data(), s.seed.bytes.size());
    return std::move(s.told);
}

std::uint32_t shown_before(Sql& sql, const std::string& coin, Int vendor) {
    return static_cast<std::uint32_t>(
        number(sql, "SELECT COALESCE(MAX(shown), 0) FROM ewallet_grants WHERE coin = :c AND vendor = :v", coin, vendor));
}

// A page that a vendor wants to sell to an account's e-wallet.
struct Sale {
    Int account = 0;
    const vendors::Vendor& vendor;
    Rules rules;
    Amount price;
    bool confirmed = false;
    UnixTime now = 0;
};

Allowance allowance(Sql& sql, const Sale& s, const WalletCoin& w) {
    const auto used = today(sql, s.account, s.vendor.id, w.coin.currency, s.now);
    const auto day = std::min(s.rules.here.per_day, s.rules.per_day_all);
    return {units_left(day, Amount(), w.coin.unit), units_left(s.rules.here.per_day, used.here, w.coin.unit),
            units_left(s.rules.per_day_all, used.all, w.coin.unit)};
}

struct Planned {
    Grant grant;
    std::uint32_t base = 0;  // from where on the vendor is shown something new
    std::uint32_t need = 0;
};

Planned plan(Sql& sql, const Sale& s, const WalletCoin& w) {
    const auto need = units_for(s.price, w.coin.unit).value_or(w.coin.n);
    const auto before = shown_before(sql, w.coin.coin, s.vendor.id);
    return {grant({w.coin.n, w.spent, w.granted, before}, allowance(sql, s, w), need, s.confirmed), std::max(before, w.spent), need};
}

// Vendors that compare theirs learn nothing from it.
std::string reader_name(const Context& context, Int account, const vendors::Vendor& vendor) {
    constexpr std::size_t bytes = 16;
    const auto mac = b64u_decode_array<32>(
        context.web->sealer().mac("netpay/ewallet/reader", std::to_string(account) + " " + vendor.origin));
    return mac ? b64u_encode(as_view(*mac).substr(0, bytes)) : std::string();
}

// Shows the vendor as much of the coin as it may have. Gives the index from
// which on that is new to it beside what it is told.
struct Raised {
    Shown shown;
    std::uint32_t base = 0;
};
Outcome<Raised> raise(Context& context, Sql& sql, const Sale& s, const WalletCoin& w) {
    const auto p = plan(sql, s, w);
    if (p.grant.shown < w.spent + p.need) return day_limit();
    const auto seed = web::seed_of(context, sql, s.account, w.coin.coin);
    if (!seed) return seed.refusal();
    run(sql,
        "UPDATE web_coins SET granted = :g, raised = CASE WHEN raised_day = :d THEN raised ELSE 0 END + :r, raised_day = :e "
        "WHERE coin = :c",
        p.grant.granted, day_of(s.now), p.grant.raised, day_of(s.now), w.coin.coin);
    count(sql, s.account, s.vendor.id, w.coin.currency, w.coin.unit.times(p.grant.raised).value_or(Amount()),
          w.coin.unit.times(p.grant.moved).value_or(Amount()), s.now);
    Raised r;
    r.base = p.base;
    r.shown = {{}, w.coin.salt, w.coin.n, *seed};
    Told& t = r.shown.told;
    t.reader = reader_name(context, s.account, s.vendor);
    t.until = std::min(s.rules.here.until, w.coin.exp);
    t.currency = w.coin.currency;
    t.limits = s.rules.here;
    t.touchstone = w.coin.touchstone;
    t.spent = w.spent;
    t.granted = p.grant.shown;
    if (w.holder != 0 && w.holder != s.vendor.id) {
        t.holder = w.holder_origin;
        t.held = w.held_from + 1;
    }
    return r;
}

// Nobody else has an e-wallet of that coin from now on.
void end_others(Sql& sql, const std::string& coin, UnixTime now) {
    run(sql, "UPDATE ewallet_grants SET ended = :n WHERE coin = :c AND ended = 0", now, coin);
}

Outcome<Shown> begin(Context& context, Sql& sql, const vendors::Vendor& vendor, const Authorized& a, UnixTime now) {
    const auto rules = rules_at(sql, a.account, vendor.origin, a.currency, now);
    if (!rules) return invalid_grant();
    const Sale sale{a.account, vendor, *rules, a.amount, a.confirmed, now};
    const auto used = today(sql, a.account, vendor.id, a.currency, now);
    const auto left = rules->here.per_day.minus(used.here).value_or(Amount());
    const auto coin = chosen_coin(sql, a.account, a.currency, a.amount, vendor.id, left, From::anywhere, now);
    if (!coin) return insufficient();
    auto raised = raise(context, sql, sale, *coin);
    if (!raised) return raised.refusal();
    end_others(sql, coin->coin.coin, now);
    Told& t = raised->shown.told;
    t.grant = b64u_encode(context.random.bytes<32>());
    run(sql,
        "INSERT INTO ewallet_grants (grant_hash, code_hash, account, vendor, kind, coin, base, shown, begun, confirmed, until, at) "
        "VALUES (:g, :h, :a, :v, :k, :c, :b, :s, :w, :m, :u, :t)",
        hash_of(t.grant), a.code_hash, a.account, vendor.id, a.kind, coin->coin.coin, std::min(raised->base, t.granted), t.granted,
        now, a.confirmed ? a.amount.micro() : 0, t.until, now);
    return std::move(raised->shown);
}

struct Row {
    Int id = 0, account = 0;
    std::string coin;
    std::uint32_t base = 0, shown = 0;
    UnixTime begun = 0;
    Amount confirmed;  // the page that she said yes to and that may not be paid yet
    UnixTime until = 0, at = 0;
};
std::optional<Row> find_grant(Sql& sql, const vendors::Vendor& vendor, std::string_view grant, UnixTime now) {
    const auto row = one<Int, Int, std::string, Int, Int, Int, Int, Int, Int>(
        sql,
        "SELECT id, account, coin, base, shown, begun, confirmed, until, at FROM ewallet_grants "
        "WHERE grant_hash = :g AND vendor = :v AND ended = 0 AND until > :n",
        hash_of(grant), vendor.id, now);
    if (!row) return std::nullopt;
    const auto& [id, account, coin, base, shown, begun, confirmed, until, at] = *row;
    return Row{id,    account, coin, static_cast<std::uint32_t>(base), static_cast<std::uint32_t>(shown),
               begun, Amount::from(static_cast<std::uint64_t>(confirmed)).value_or(Amount()), until, at};
}

// A grant that stands: the coin is the reader's and not on its way back, she allows the site something, and it is in good standing.
struct Lasting {
    Row row;
    WalletCoin coin;
    Rules rules;
};
std::optional<Lasting> lasting_grant(Sql& sql, const vendors::Vendor& vendor, std::string_view grant, UnixTime now) {
    auto row = find_grant(sql, vendor, grant, now);
    auto coin = row ? wallet_coin(sql, row->account, row->coin) : std::nullopt;
    auto rules = coin ? rules_at(sql, row->account, vendor.origin, coin->coin.currency, now) : std::nullopt;
    if (!rules || coin->coin.state != "live" || vendor.status != "approved") return std::nullopt;
    return Lasting{std::move(*row), std::move(*coin), std::move(*rules)};
}

// When the vendor was shown the coin, an earlier holder had spent more of it
// than was known then: that was never this vendor's.
void learn_start(Sql& sql, const vendors::Vendor& vendor, Row& h, const WalletCoin& w) {
    const auto start = std::min(w.held_from, h.shown);
    if (w.holder != vendor.id || start <= h.base) return;
    uncount_moved(sql, h.account, vendor.id, w.coin.currency, w.coin.unit.times(start - h.base).value_or(Amount()), h.at);
    run(sql, "UPDATE ewallet_grants SET base = :b WHERE id = :i", start, h.id);
    h.base = start;
}

// What the vendor says, within what it was granted: it could have spent that.
void learn_spent(Sql& sql, const Row& h, WalletCoin& w, std::uint32_t said) {
    said = std::min(said, h.shown);
    if (said <= w.spent) return;
    run(sql, "UPDATE web_coins SET spent = :s WHERE coin = :c", said, h.coin);
    w.spent = said;
    w.granted = std::max(w.granted, said);
}

// Whether this is still about the page that she said yes to when the e-wallet
// began: it is no dearer, what the vendor was shown does not reach for it, and it
// cannot have been paid of that: less was sold since than it costs, or the coin
// lay with another vendor, who had sold more than was known here.
bool of_confirmed_page(const Row& h, const WalletCoin& w, const vendors::Vendor& vendor, Amount price, UnixTime now) {
    const auto need = units_for(price, w.coin.unit);
    if (price > h.confirmed || now > h.begun + confirmed_for_s) return false;
    if (!need || h.shown >= w.spent + *need) return !need;
    const bool moves = w.holder != 0 && w.holder != vendor.id;
    return moves || w.spent < h.base + *need;
}

// A coin to be bought of the balance, for a page that she said yes to.
struct Lacking {
    accounts::Account account;
    issue::Terms terms;
    std::string once;
};
std::optional<Lacking> lacking(const Context& context, Sql& sql, const Row& h, const Currency& currency, Amount price) {
    const auto name = one<std::string>(sql, "SELECT name FROM accounts WHERE id = :i", h.account);
    const accounts::Account account{h.account, std::get<0>(name.value())};
    const auto balances = accounts::balances(sql, account, {currency});
    const auto has = balances.find(currency);
    const auto terms = has == balances.end() ? std::nullopt : terms_for(context.options, currency, price, has->second);
    if (!terms) return std::nullopt;
    return Lacking{account, *terms, "ewallet " + std::to_string(h.id)};
}

Outcome<Shown> refresh(Context& context, Sql& sql, const vendors::Vendor& vendor, std::string_view grant, Amount price,
                       std::uint32_t spent, UnixTime now, std::optional<Lacking>& to_buy) {
    auto lasting = lasting_grant(sql, vendor, grant, now);
    if (!lasting) return grant_ended();
    auto* held = &lasting->row;
    const Rules& rules = lasting->rules;
    std::optional<WalletCoin> coin = std::move(lasting->coin);
    learn_start(sql, vendor, *held, *coin);
    learn_spent(sql, *held, *coin, spent);
    const bool confirmed = of_confirmed_page(*held, *coin, vendor, price, now);
    const auto need = units_for(price, coin->coin.unit);
    const bool other = !need || coin->left() < *need;
    if (other) {
        const auto currency = coin->coin.currency;
        coin = chosen_coin(sql, held->account, currency, price, vendor.id, rules.here.per_day,
                           confirmed ? From::anywhere : From::not_elsewhere, now);
        if (!coin && confirmed) to_buy = lacking(context, sql, *held, currency, price);
        if (!coin) return insufficient();
    }
    // Beyond the day only where it is sure that the page was not paid.
    const bool beyond = confirmed && (other || held->base + need.value_or(0) > coin->spent);
    auto raised = raise(context, sql, {held->account, vendor, rules, price, beyond, now}, *coin);
    if (!raised) return raised.refusal();
    const Told& t = raised->shown.told;
    if (other)
        run(sql, "UPDATE ewallet_grants SET ended = :n WHERE coin = :c AND ended = 0 AND id <> :i", now, coin->coin.coin, held->id);
    const auto base = other ? std::min(raised->base, t.granted) : held->base;
    run(sql,
        "UPDATE ewallet_grants SET coin = :c, base = :b, shown = :s, confirmed = :f, until = :u, at = :t WHERE id = :i",
        coin->coin.coin, base, t.granted, confirmed ? 0 : held->confirmed.micro(), t.until, other ? now : held->at, held->id);
    return std::move(raised->shown);
}

// What the store learned before `f` refused stays: a code is used up, a coin found empty.
template <class F>
Outcome<Told> settled(Store& store, F f) {
    auto shown = store.write([&](Sql& sql) -> Outcome<Outcome<Shown>> { return Outcome<Outcome<Shown>>(f(sql)); });
    if (!shown) return shown.refusal();
    if (!*shown) return shown->refusal();
    return with_payword(std::move(**shown));
}

}  // namespace

Refusal invalid_grant() {
    return {400, "invalid-grant", "That code is not good",
            "A code is good once, for 60 seconds, for the vendor it was made for, with its verifier. Send the reader to the broker again."};
}

Outcome<Told> begin_grant(Context& context, Store& store, const vendors::Vendor& vendor, std::string_view code,
                          std::string_view verifier, UnixTime now) {
    return settled(store, [&](Sql& sql) -> Outcome<Shown> {
        const auto authorized = use_code(sql, vendor, code, verifier, now);
        if (!authorized) return invalid_grant();
        return begin(context, sql, vendor, *authorized, now);
    });
}

Outcome<Told> refresh_grant(Context& context, Store& store, const vendors::Vendor& vendor, std::string_view grant, Amount price,
                            std::uint32_t spent, UnixTime now) {
    std::optional<Lacking> to_buy;
    const auto once = [&](Sql& sql) { return refresh(context, sql, vendor, grant, price, spent, now, to_buy); };
    auto told = settled(store, once);
    if (told || !to_buy) return told;
    const auto bought = web::buy_coin(context, store, to_buy->account, to_buy->terms, to_buy->once, now);
    if (!bought && bought.refusal().internal) return bought.refusal();
    return bought ? settled(store, once) : std::move(told);
}

Outcome<Held> look_at_grant(Sql& sql, const vendors::Vendor& vendor, std::string_view grant, UnixTime now) {
    const auto held = lasting_grant(sql, vendor, grant, now);
    if (!held) return grant_ended();
    return Held{std::min(held->row.until, held->rules.here.until), held->coin.coin.currency, held->rules.here};
}

void leave_grant(Sql& sql, const vendors::Vendor& vendor, std::string_view grant, UnixTime now) {
    run(sql, "UPDATE ewallet_grants SET ended = :n WHERE grant_hash = :g AND vendor = :v AND ended = 0", now, hash_of(grant), vendor.id);
}

bool can_grant(Sql& sql, Int account, const vendors::Vendor& vendor, const Rules& rules, const Currency& currency, Amount price,
               UnixTime now) {
    const auto used = today(sql, account, vendor.id, currency, now);
    const auto left = rules.here.per_day.minus(used.here).value_or(Amount());
    const auto coin = chosen_coin(sql, account, currency, price, vendor.id, left, From::anywhere, now);
    if (!coin) return false;
    const auto p = plan(sql, {account, vendor, rules, price, false, now}, *coin);
    return p.grant.shown >= coin->spent + p.need;
}

void end_grants_of_coin(Sql& sql, const std::string& coin, UnixTime now) { end_others(sql, coin, now); }

void end_grants_at(Sql& sql, Int account, const std::string& site, UnixTime now) {
    forget_codes_for(sql, account, site);
    run(sql,
        "UPDATE ewallet_grants SET ended = :n WHERE account = :a AND ended = 0 AND vendor IN (SELECT id FROM vendors WHERE origin = :o)",
        now, account, site);
}

void end_grants(Sql& sql, Int account, UnixTime now) {
    forget_codes_of(sql, account);
    run(sql, "UPDATE ewallet_grants SET ended = :n WHERE account = :a AND ended = 0", now, account);
}

void end_grant_of_code(Sql& sql, const std::string& code_hash, UnixTime now) {
    run(sql, "UPDATE ewallet_grants SET ended = :n WHERE code_hash = :h AND ended = 0", now, code_hash);
}

void uncount_unspent(Sql& sql, const std::string& coin, std::uint32_t spent, UnixTime now) {
    const auto row = one<Int, Int, Int, Int, std::string>(
        sql,
        "SELECT w.account, w.granted, CASE WHEN w.raised_day = :d THEN w.raised ELSE 0 END, c.unit, c.cur "
        "FROM web_coins w JOIN coins c ON c.coin = w.coin WHERE w.coin = :c",
        day_of(now), coin);
    if (!row) return;
    const auto& [account, granted, raised_today, unit, cur] = *row;
    const auto currency = Currency::parse(cur);
    if (!currency || granted <= Int{spent}) return;
    std::vector<Int> list;  // the latest first
    Int moved_today = 0;    // to the latest
    for (const auto& [vendor, at, base, shown] : all<Int, Int, Int, Int>(
             sql, "SELECT vendor, at, base, shown FROM ewallet_grants WHERE coin = :c ORDER BY at DESC, id DESC", coin)) {
        if (list.empty() && day_of(at) == day_of(now)) moved_today = shown - base;
        if (std::find(list.begin(), list.end(), vendor) == list.end()) list.push_back(vendor);
    }
    // What was raised lies above what was moved, and what was raised today above the rest.
    const Int unspent = granted - Int{spent}, raised = std::min(unspent, raised_today);
    const Int moved = std::min(unspent - raised, std::max<Int>(moved_today - raised, 0));
    const auto worth = [one_unit = unit](Int units) {
        return Amount::from(static_cast<std::uint64_t>(units * one_unit)).value_or(Amount());
    };
    uncount(sql, account, list, *currency, worth(raised), worth(moved), now);
}

std::vector<std::pair<std::string, Currency>> sites_with_grants(Sql& sql, Int account) {
    std::vector<std::pair<std::string, Currency>> out;
    for (const auto& [site, cur] : all<std::string, std::string>(
             sql,
             "SELECT DISTINCT v.origin, c.cur FROM ewallet_grants g JOIN vendors v ON v.id = g.vendor JOIN coins c ON c.coin = g.coin "
             "WHERE g.account = :a ORDER BY v.origin, c.cur LIMIT :l",
             account, listed_limits))
        if (const auto currency = Currency::parse(cur)) out.emplace_back(site, *currency);
    return out;
}

std::vector<Live> live_grants(Sql& sql, Int account, UnixTime now) {
    std::vector<Live> out;
    for (const auto& [site, kind, coin, cur, unit, shown, spent, until] :
         all<std::string, std::string, std::string, std::string, Int, Int, Int, Int>(
             sql,
             "SELECT v.origin, g.kind, g.coin, c.cur, c.unit, g.shown, CASE WHEN w.spent > COALESCE(e.known, 0) THEN w.spent "
             "ELSE COALESCE(e.known, 0) END, g.until FROM ewallet_grants g JOIN vendors v ON v.id = g.vendor "
             "JOIN coins c ON c.coin = g.coin JOIN web_coins w ON w.coin = g.coin LEFT JOIN epochs e ON e.coin = c.id AND e.epoch = "
             "(SELECT MAX(x.epoch) FROM epochs x WHERE x.coin = c.id) "
             "WHERE g.account = :a AND g.ended = 0 AND g.until > :n ORDER BY g.id DESC LIMIT 200",
             account, now)) {
        const auto one_unit = Amount::from(static_cast<std::uint64_t>(unit)).value_or(Amount());
        const auto left = one_unit.times(static_cast<std::uint64_t>(std::max<Int>(shown - spent, 0))).value_or(Amount());
        out.push_back({site, kind, coin, Currency::parse(cur).value_or(Currency()), left, until});
    }
    return out;
}

Int forget_grants(Sql& sql, UnixTime now) {
    return run(sql, "DELETE FROM ewallet_grants WHERE at < :t AND (ended > 0 OR until < :n)", now - ended_kept_s, now);
}

}  // namespace netpay::broker::ewallet
