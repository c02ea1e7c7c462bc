#include "wallet/purse.h"

#include <algorithm>

#include <soci/soci.h>

#include "core/limits.h"

namespace netpay::wallet {
namespace {

constexpr std::int64_t day_s = 24 * 3600;

Failure coin_short(const Want& w, Amount balance) {
    std::string text = "not enough money for " + printable(w.url) + ": it costs " + w.amount.pretty(w.currency) +
                       ", your coins for this site have " + balance.pretty(w.currency) + "; buy one with: netpay buy --amount 10.00";
    return {Exit::no_money, text};
}

struct Bought {
    long long id = 0, ticket = 0, amount = 0, until = 0, asked = 0;
    std::string coin, vendor, state;
};

std::optional<Bought> last_bought(soci::session& sql, const std::string& url) {
    Bought b;
    sql << "SELECT id, coin, vendor, ticket, amount, state, give_back_until, asked_back FROM payments WHERE url = :u"
           " AND method = 'GET' AND state IN ('paid', 'given-back') ORDER BY id DESC LIMIT 1",
        soci::into(b.id), soci::into(b.coin), soci::into(b.vendor), soci::into(b.ticket), soci::into(b.amount),
        soci::into(b.state), soci::into(b.until), soci::into(b.asked), soci::use(url, "u");
    if (!sql.got_data()) return std::nullopt;
    return b;
}

Failure coin_moved_on(const std::string& vendor) {
    return {Exit::usage, "the coin that paid the page is not at " + printable(vendor) +
                             " any more; the page cannot be given back"};
}

}  // namespace

struct Purse::Standing {
    Count count;
    bool exists = false;
    bool known = false;
    std::string refused;
};

Purse::Standing Purse::load(const Coin& c, const std::string& vendor) {
    Standing s;
    s.count.n = c.n;
    s.count.spent = c.spent;
    long long revealed = 0, base = 0, known = 0;
    std::string used;
    auto& sql = store_.sql();
    sql << "SELECT revealed, base, known, refused, used FROM standings WHERE coin = :c AND vendor = :v",
        soci::into(revealed), soci::into(base), soci::into(known), soci::into(s.refused), soci::into(used),
        soci::use(c.coin, "c"), soci::use(vendor, "v");
    s.exists = sql.got_data();
    s.count.revealed = s.exists ? static_cast<std::uint32_t>(revealed) : c.spent;
    s.count.base = s.exists ? static_cast<std::uint32_t>(base) : c.spent;
    s.known = s.exists && known != 0;
    if (s.exists) s.count.used = read_used(used);
    else s.refused.clear();
    long long id = 0, ticket = 0, units = 0;
    std::string state, where;
    soci::statement open = (sql.prepare << "SELECT id, ticket, units, state, vendor FROM payments WHERE coin = :c AND"
                                           " state IN ('live', 'unknown') ORDER BY id",
                            soci::into(id), soci::into(ticket), soci::into(units), soci::into(state), soci::into(where),
                            soci::use(c.coin, "c"));
    open.execute();
    while (open.fetch())
        s.count.open.push_back({id, static_cast<std::uint32_t>(ticket), static_cast<std::uint32_t>(units),
                                state == "live", where == vendor});
    return s;
}

void Purse::save(const Coin& c, const std::string& vendor, const Standing& s) {
    const long long revealed = s.count.revealed, base = s.count.base, known = s.known, spent = s.count.spent;
    const std::string used = write_used(s.count.used);
    auto& sql = store_.sql();
    sql << "INSERT OR REPLACE INTO standings (coin, vendor, revealed, base, known, refused, used)"
           " VALUES (:c, :v, :r, :b, :k, :f, :u)",
        soci::use(c.coin, "c"), soci::use(vendor, "v"), soci::use(revealed, "r"), soci::use(base, "b"),
        soci::use(known, "k"), soci::use(s.refused, "f"), soci::use(used, "u");
    sql << "UPDATE coins SET spent = :s WHERE coin = :c", soci::use(spent, "s"), soci::use(c.coin, "c");
    for (const auto& p : s.count.open) {  // absorb() may have lowered what is still open
        const long long units = p.units, id = p.id;
        sql << "UPDATE payments SET units = :u WHERE id = :i AND units != :w", soci::use(units, "u"),
            soci::use(id, "i"), soci::use(units, "w");
    }
}

void Purse::close(std::int64_t id, const char* state) {
    const long long row = id, now = clock_.now();
    const std::string text = state;
    store_.sql() << "UPDATE payments SET state = :s, finished = :n WHERE id = :i", soci::use(text, "s"),
        soci::use(now, "n"), soci::use(row, "i");
}

void Purse::close_all(const std::vector<std::int64_t>& ids, const char* state) {
    for (const auto id : ids) close(id, state);
}

void Purse::bury() {
    struct Row { long long id, pid; std::string start; };
    std::vector<Row> rows;
    Row r;
    auto& sql = store_.sql();
    soci::statement live = (sql.prepare << "SELECT id, pid, start FROM payments WHERE state = 'live'",
                            soci::into(r.id), soci::into(r.pid), soci::into(r.start));
    live.execute();
    while (live.fetch()) rows.push_back(r);
    for (const auto& row : rows)
        if (!is_alive({row.pid, row.start})) close(row.id, "unknown");
}

Outcome<Done> Purse::bury_the_dead() {
    return store_.transaction<Done>([&]() -> Outcome<Done> {
        bury();
        return Done{};
    });
}

Outcome<Done> Purse::within_budget(const Want& w) {
    auto& sql = store_.sql();
    const std::string currency(w.currency.str());
    for (const std::string& site : {w.vendor, std::string("*")}) {
        long long most = -1, sum = 0;
        const long long since = clock_.now() - day_s;
        sql << "SELECT per_day FROM budgets WHERE site = :s AND currency = :c", soci::into(most),
            soci::use(site, "s"), soci::use(currency, "c");
        if (!sql.got_data() || most < 0) continue;
        sql << "SELECT coalesce(sum(amount - back), 0) FROM payments WHERE created > :f AND currency = :c"
               " AND (:s1 = '*' OR vendor = :s2) AND state != 'void'",
            soci::into(sum), soci::use(since, "f"), soci::use(currency, "c"), soci::use(site, "s1"),
            soci::use(site, "s2");
        const auto limit = Amount::from(static_cast<std::uint64_t>(most)).value_or(Amount{});
        const auto gone = Amount::from(static_cast<std::uint64_t>(sum)).value_or(Amount{});
        const auto after = gone.plus(w.amount);
        if (!after || *after > limit)
            return Failure{Exit::not_accepted,
                           "over the budget " + (site == "*" ? std::string("for all sites") : "for " + site) + ": " +
                               gone.pretty(w.currency) + " of " + limit.pretty(w.currency) +
                               " went in the last 24 hours and this costs " + w.amount.pretty(w.currency) +
                               "; change it with: netpay budget set '" + site + "' --per-day AMOUNT"};
    }
    return Done{};
}

namespace {

bool takes(const Want& w, const Coin& c, UnixTime now) {
    return c.state == CoinState::live && c.currency == w.currency && c.expires > now &&
           std::find(w.brokers.begin(), w.brokers.end(), c.issuer) != w.brokers.end();
}

// The order in which coins are tried at a vendor (PROTOCOL.md section 3: one
// coin a vendor while it can, as vendors that compare coins could link her).
int rank(const Coin& c, const std::string& vendor) {
    if (c.holder == vendor) return 0;
    return c.holder.empty() ? 1 : 2;
}

bool elsewhere_now(const Count& c) {
    return std::any_of(c.open.begin(), c.open.end(), [](const OpenPayment& p) { return p.live && !p.here; });
}

}  // namespace

Outcome<Ticket> Purse::take(const Want& w, const Coin& c, Standing& s, const Choice& choice) {
    const auto units = units_for(w.amount, c.unit).value_or(limits::max_chain);
    auto& sql = store_.sql();
    const std::string currency(w.currency.str());
    const long long ticket = choice.ticket, u = units, amount = static_cast<long long>(w.amount.micro()),
                    pid = self_.pid, now = clock_.now();
    sql << "INSERT INTO payments (coin, vendor, method, url, ticket, units, amount, currency, state, pid, start,"
           " created, finished, rereads) VALUES (:c, :v, :m, :l, :t, :u, :a, :r, 'live', :p, :s, :n, 0, 0)",
        soci::use(c.coin, "c"), soci::use(w.vendor, "v"), soci::use(w.method, "m"), soci::use(w.url, "l"),
        soci::use(ticket, "t"), soci::use(u, "u"), soci::use(amount, "a"), soci::use(currency, "r"),
        soci::use(pid, "p"), soci::use(self_.start, "s"), soci::use(now, "n");
    long long id = 0;
    sql << "SELECT last_insert_rowid()", soci::into(id);
    open_payment(s.count, {id, choice.ticket, units, true, true});
    save(c, w.vendor, s);
    Ticket t;
    t.payment = id;
    t.coin = c;
    t.index = choice.ticket;
    t.amount = w.amount;
    t.known = s.known;
    return t;
}

std::optional<Ticket> Purse::resume(const Want& w) {
    if (w.method != "GET") return std::nullopt;
    std::string coin;
    long long ticket = 0, units = 0;
    auto& sql = store_.sql();
    sql << "SELECT coin, ticket, units FROM payments WHERE url = :u AND vendor = :v AND method = 'GET'"
           " AND state = 'unknown' ORDER BY id DESC LIMIT 1",
        soci::into(coin), soci::into(ticket), soci::into(units), soci::use(w.url, "u"), soci::use(w.vendor, "v");
    if (!sql.got_data()) return std::nullopt;
    const auto index = static_cast<std::uint32_t>(ticket);
    auto all = store_.coins_within();
    for (const auto& c : all) {
        if (c.coin != coin || !takes(w, c, clock_.now())) continue;
        auto s = load(c, w.vendor);
        const auto p = units_for(w.amount, c.unit);
        const bool under_way = std::any_of(s.count.open.begin(), s.count.open.end(), [&](const OpenPayment& o) {
            return o.live && o.here && o.ticket == index;
        });
        if (!p || *p > units || under_way || s.count.used.contains(index) || !s.refused.empty()) return std::nullopt;
        auto t = take(w, c, s, {index, true});
        if (t) return std::move(*t);
    }
    return std::nullopt;
}

Outcome<Ticket> Purse::pick(const Want& w, const std::string& not_this_coin) {
    auto coins = store_.coins_within();
    std::erase_if(coins, [&](const Coin& c) { return !takes(w, c, clock_.now()); });
    std::stable_sort(coins.begin(), coins.end(),
                     [&](const Coin& a, const Coin& b) { return rank(a, w.vendor) < rank(b, w.vendor); });
    Amount balance;
    std::string refused;
    for (const auto& c : coins) {
        if (c.coin == not_this_coin) continue;
        auto s = load(c, w.vendor);
        if (!s.refused.empty()) {
            refused = "; coin " + short_coin(c.coin) + " is not taken there (" + s.refused + ")";
            continue;
        }
        balance = balance.plus(c.unit.times(c.left()).value_or(Amount{})).value_or(balance);
        const auto units = units_for(w.amount, c.unit);
        if (!units) continue;
        if (elsewhere_now(s.count)) {
            refused = "; coin " + short_coin(c.coin) + " is being spent at another site at this moment, try again";
            continue;
        }
        const auto chosen = choose(s.count, *units);
        if (chosen.choice) return take(w, c, s, *chosen.choice);
    }
    if (balance.micro() == 0 && !refused.empty())
        return Failure{Exit::payment, "nothing can be paid at " + printable(w.vendor) + refused};
    auto f = coin_short(w, balance);
    f.message += refused;
    return f;
}

Outcome<Ticket> Purse::reserve(const Want& w) {
    return store_.transaction<Ticket>([&]() -> Outcome<Ticket> {
        bury();
        if (auto again = resume(w)) return std::move(*again);
        if (auto ok = within_budget(w); !ok) return ok.failure();
        return pick(w, {});
    });
}

Outcome<Ticket> Purse::reserve_again(const Want& w, const Ticket& before, const Answer& a) {
    std::optional<Failure> dispute;
    auto result = store_.transaction<Ticket>([&]() -> Outcome<Ticket> {
        auto coins = store_.coins_within();
        const auto c = std::find_if(coins.begin(), coins.end(), [&](const Coin& x) { return x.coin == before.coin.coin; });
        if (c == coins.end()) return Failure{Exit::store, "the coin is gone from the store"};
        auto s = load(*c, w.vendor);
        const auto units = units_for(w.amount, c->unit).value_or(limits::max_chain);
        netpay::wallet::not_charged(s.count, before.payment);
        close(before.payment, "void");
        if (a.spent) {
            const auto most = units_for(w.limit, c->unit).value_or(units);
            const auto absorbed = absorb(s.count, *a.spent, before.index, c->restored && most > units ? most - units : 0);
            if (!absorbed.believed) {
                const long long claimed = *a.spent;
                save(*c, w.vendor, s);
                store_.sql() << "UPDATE coins SET claimed = :s WHERE coin = :c", soci::use(claimed, "s"),
                    soci::use(c->coin, "c");
                dispute = Failure{Exit::disputed, ""};
                dispute->message = printable(w.vendor) + " says that " +
                                   c->unit.times(*a.spent).value_or(Amount{}).pretty(c->currency) + " of coin " +
                                   short_coin(c->coin) + " are spent; by your own count it is " +
                                   c->unit.times(s.count.spent).value_or(Amount{}).pretty(c->currency) +
                                   ". Nothing more was shown to it. If you know that it is right" +
                                   (c->restored ? " (the coin comes from a backup)" : "") +
                                   ", run: netpay write-off " + short_coin(c->coin);
                return Ticket{};
            }
            close_all(absorbed.settled, "paid");
        }
        if (a.ticket_used) close_all(ticket_used(s.count, before.index), "void");
        save(*c, w.vendor, s);
        const bool dearer = w.amount > before.amount;
        if (dearer)
            if (auto ok = within_budget(w); !ok) return ok.failure();
        const auto chosen = choose(s.count, units, a.needed.value_or(0));
        if (chosen.choice) {
            Coin now = *c;
            now.spent = s.count.spent;
            auto t = take(w, now, s, *chosen.choice);
            if (t) t->switched = before.switched;
            return t;
        }
        if (chosen.why == Refusal::coin_short && !before.switched) {
            auto t = pick(w, c->coin);
            if (t) t->switched = true;
            return t;
        }
        if (chosen.why == Refusal::coin_short) return coin_short(w, c->unit.times(c->left()).value_or(Amount{}));
        return Failure{Exit::disputed, printable(w.vendor) + " asks for more of coin " + short_coin(c->coin) +
                                           " than you accepted to pay; nothing more was shown to it"};
    });
    if (dispute) return *dispute;
    return result;
}

Outcome<std::optional<Ticket>> Purse::reread(const std::string& vendor, const std::string& url) {
    using Found = std::optional<Ticket>;
    return store_.transaction<Found>([&]() -> Outcome<Found> {
        std::string coin;
        long long id = 0, ticket = 0, amount = 0;
        const long long since = clock_.now() - limits::default_grace_s, most = limits::default_grace_count;
        auto& sql = store_.sql();
        sql << "SELECT id, coin, ticket, amount FROM payments WHERE url = :u AND vendor = :v AND method = 'GET'"
               " AND state = 'paid' AND finished > :t AND rereads < :m ORDER BY id DESC LIMIT 1",
            soci::into(id), soci::into(coin), soci::into(ticket), soci::into(amount), soci::use(url, "u"),
            soci::use(vendor, "v"), soci::use(since, "t"), soci::use(most, "m");
        if (!sql.got_data()) return Found{};
        for (const auto& c : store_.coins_within()) {
            if (c.coin != coin || c.holder != vendor || c.state != CoinState::live) continue;
            sql << "UPDATE payments SET rereads = rereads + 1 WHERE id = :i", soci::use(id, "i");
            Ticket t;
            t.coin = c;
            t.index = static_cast<std::uint32_t>(ticket);
            t.amount = Amount::from(static_cast<std::uint64_t>(amount)).value_or(Amount{});
            t.known = true;
            t.reread = true;
            return Found(std::move(t));
        }
        return Found{};
    });
}

Outcome<Amount> Purse::paid(const Ticket& t, const std::string& vendor, Amount charged, std::uint32_t receipt_spent,
                            std::uint32_t give_back_s) {
    return store_.transaction<Amount>([&]() -> Outcome<Amount> {
        if (t.reread) return Amount{};
        const Amount counts = std::min(charged, t.amount);
        auto coins = store_.coins_within();
        for (const auto& c : coins) {
            if (c.coin != t.coin.coin) continue;
            auto s = load(c, vendor);
            const std::uint64_t own = std::uint64_t{s.count.spent} + s.count.live_units() + s.count.unknown_units();
            const auto units = units_for(counts, c.unit).value_or(limits::max_chain);
            close_all(netpay::wallet::paid(s.count, t.payment, units), "void");
            s.known = true;
            s.refused.clear();
            save(c, vendor, s);
            const long long held = s.count.spent, amount = static_cast<long long>(counts.micro()), id = t.payment,
                            restored = c.restored && receipt_spent > own;
            auto& sql = store_.sql();
            sql << "UPDATE coins SET holder = :v, held = :h, restored = :r, claimed = 0 WHERE coin = :c",
                soci::use(vendor, "v"), soci::use(held, "h"), soci::use(restored, "r"), soci::use(c.coin, "c");
            const long long until = give_back_s ? clock_.now() + std::min<std::int64_t>(give_back_s, day_s) : 0;
            sql << "UPDATE payments SET amount = :a, give_back_until = :u WHERE id = :i", soci::use(amount, "a"),
                soci::use(until, "u"), soci::use(id, "i");
        }
        close(t.payment, "paid");
        return counts;
    });
}

Outcome<Done> Purse::not_charged(const Ticket& t) {
    return store_.transaction<Done>([&]() -> Outcome<Done> {
        if (t.payment) close(t.payment, "void");
        return Done{};
    });
}

Outcome<Done> Purse::doubt(const Ticket& t) {
    return store_.transaction<Done>([&]() -> Outcome<Done> {
        if (t.payment) close(t.payment, "unknown");
        return Done{};
    });
}

Outcome<Done> Purse::refused(const Ticket& t, const std::string& vendor, const std::string& why) {
    return store_.transaction<Done>([&]() -> Outcome<Done> {
        if (t.payment) close(t.payment, "void");
        const std::string reason = printable(why, 40);
        store_.sql() << "UPDATE standings SET refused = :w WHERE coin = :c AND vendor = :v", soci::use(reason, "w"),
            soci::use(t.coin.coin, "c"), soci::use(vendor, "v");
        return Done{};
    });
}

Outcome<BackRequest> Purse::ask_back(const std::string& url) {
    return store_.transaction<BackRequest>([&]() -> Outcome<BackRequest> {
        auto& sql = store_.sql();
        const auto bought = last_bought(sql, url);
        if (!bought)
            return Failure{Exit::usage, "nothing was bought at " + printable(url, 2000) + "; what was: netpay history"};
        if (bought->state == "given-back")
            return Failure{Exit::usage, printable(url, 2000) + " was given back already"};
        if (bought->until == 0)
            return Failure{Exit::payment, printable(bought->vendor) + " does not offer to take this page back"};
        if (bought->until < clock_.now())
            return Failure{Exit::payment, "the time in which " + printable(bought->vendor) + " takes this page back was over at " +
                                              local_time(bought->until)};
        BackRequest r;
        r.payment = bought->id;
        r.vendor = bought->vendor;
        r.url = url;
        r.index = static_cast<std::uint32_t>(bought->ticket);
        for (const auto& c : store_.coins_within())
            if (c.coin == bought->coin) r.coin = c;
        if (r.coin.state != CoinState::live || r.coin.holder != r.vendor) return coin_moved_on(r.vendor);
        r.units = units_for(Amount::from(static_cast<std::uint64_t>(bought->amount)).value_or(Amount{}), r.coin.unit).value_or(0);
        const auto chain = store_.chain(r.coin);
        if (!chain) return chain.failure();
        r.payword = chain->at(r.index);
        // "Again" of the site means this payment only if no other one of the page was given back.
        long long others = 0;
        sql << "SELECT count(*) FROM payments WHERE url = :u AND state = 'given-back'", soci::into(others), soci::use(url, "u");
        r.perhaps_done = bought->asked != 0 && others == 0;
        sql << "UPDATE payments SET asked_back = 1 WHERE id = :i", soci::use(bought->id, "i");
        return r;
    });
}

Outcome<GivenBack> Purse::gave_back(const BackRequest& r, std::uint32_t units) {
    return store_.transaction<GivenBack>([&]() -> Outcome<GivenBack> {
        auto& sql = store_.sql();
        const long long id = r.payment;
        std::string state;
        sql << "SELECT state FROM payments WHERE id = :i", soci::into(state), soci::use(id, "i");
        if (!sql.got_data() || state != "paid") return Failure{Exit::usage, printable(r.url, 2000) + " was given back already"};
        for (auto& c : store_.coins_within()) {
            if (c.coin != r.coin.coin || c.holder != r.vendor) continue;
            auto s = load(c, r.vendor);
            const auto counted = given_back(s.count, r.index, std::min(units, r.units));
            save(c, r.vendor, s);
            const auto worth = c.unit.times(counted).value_or(Amount{});
            const long long back = static_cast<long long>(worth.micro());
            // The next site must not be told of an index above what is spent.
            sql << "UPDATE coins SET held = 0 WHERE coin = :c", soci::use(c.coin, "c");
            sql << "UPDATE payments SET back = min(amount, :b) WHERE id = :i", soci::use(back, "b"), soci::use(id, "i");
            close(id, "given-back");
            c.spent = s.count.spent;
            c.held = 0;
            return GivenBack{{worth, c.currency}, std::move(c)};
        }
        return coin_moved_on(r.vendor);
    });
}

Outcome<Amount> Purse::balance(const Currency& cur, const std::vector<std::string>& brokers) {
    auto coins = store_.coins();
    if (!coins) return coins.failure();
    Amount sum;
    for (const auto& c : *coins) {
        const bool fits = brokers.empty() || std::find(brokers.begin(), brokers.end(), c.issuer) != brokers.end();
        if (c.state != CoinState::live || c.currency != cur || !fits || c.expires <= clock_.now()) continue;
        sum = sum.plus(c.unit.times(c.left()).value_or(Amount{})).value_or(sum);
    }
    return sum;
}

}  // namespace netpay::wallet
