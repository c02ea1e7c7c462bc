#include "test/sim/referee.h"

#include <algorithm>

#include "broker/api/operator.h"
#include "test/sim/shop.h"

namespace netpay::sim {

using broker::Int;

CoinTruth& Referee::issued(std::unique_ptr<CoinTruth> coin) {
    auto& c = *coin;
    c.number = static_cast<int>(coins_.size());
    by_name_[c.name] = &c;
    coins_.push_back(std::move(coin));
    return c;
}

CoinTruth* Referee::find(const std::string& name) {
    const auto c = by_name_.find(name);
    return c == by_name_.end() ? nullptr : c->second;
}

void Referee::one_holder(Shop& by, CoinTruth& coin) {
    bool confirmed = false;
    if (!by.accepts(coin.tag, confirmed)) return;
    int all = 1, sure = confirmed ? 1 : 0;
    std::string who = by.origin();
    for (const int number : coin.shops) {
        auto& other = *shops_[static_cast<std::size_t>(number)];
        if (&other == &by || !other.accepts(coin.tag, confirmed)) continue;
        ++all;
        sure += confirmed ? 1 : 0;
        who += " and " + other.origin();
    }
    if (all == 1) return;
    if (!coin.tainted || sure > 1)
        fail(label(coin) + " is accepted by " + who + " at the same time" + (coin.tainted ? ", in confirmed custody" : ""));
    stage_.count("accepted twice on a false index, for a moment");
}

void Referee::sold(Shop& shop, CoinTruth& coin, std::uint32_t spent, std::uint32_t units) {
    const auto e = shop.entry(coin.tag);
    if (!e) fail(label(coin) + " was sold at " + shop.origin() + ", whose till does not know it");
    const Sale sale{shop.number(), e->coin.epoch, spent - units, spent, !e->coin.custody.empty()};
    stage_.note("sold " + std::to_string(coin.number) + " by " + std::to_string(shop.number()) + " epoch " +
                std::to_string(sale.epoch) + " units " + std::to_string(sale.from) + "-" + std::to_string(sale.to));
    stage_.count("pages sold");
    if (!sale.confirmed) stage_.count("pages sold in unconfirmed custody");
    for (const auto& s : coin.sales)
        if (s.shop == sale.shop && s.to > sale.from)
            fail(label(coin) + ": " + shop.origin() + " sold units " + std::to_string(sale.from) + " to " +
                 std::to_string(sale.to) + " and had sold up to " + std::to_string(s.to) + " before");
    if (e->standing != till::Standing::held)
        fail(label(coin) + ": " + shop.origin() + " settled a payment after it had let the coin go");
    coin.sales.push_back(sale);
    one_holder(shop, coin);
}

void Referee::given_back(Shop& shop, CoinTruth& coin) {
    const auto e = shop.entry(coin.tag);
    if (!e) fail(label(coin) + " was forgotten by " + shop.origin());
    auto& known = coin.given_back[shop.number()];
    const auto units = e->given_back - known;
    if (units == 0) return;
    known = e->given_back;
    stage_.note("given back " + std::to_string(coin.number) + " by " + std::to_string(shop.number()) + " units " +
                std::to_string(e->state.spent) + "-" + std::to_string(e->state.spent + units));
    stage_.count("pages given back");
    std::uint64_t taken = 0;
    for (auto& s : coin.sales) {
        if (s.shop != shop.number() || s.to <= e->state.spent) continue;
        if (s.epoch != e->coin.epoch) fail(label(coin) + ": " + shop.origin() + " gave back units of an earlier epoch");
        taken += s.to - std::max(s.from, e->state.spent);
        s.to = std::max(s.from, e->state.spent);
    }
    std::erase_if(coin.sales, [](const Sale& s) { return s.from == s.to; });
    if (taken != units)
        fail(label(coin) + ": " + shop.origin() + " gave back " + std::to_string(units) + " units and had sold " + std::to_string(taken) +
             " of them");
}

Referee::Books Referee::books_of(const CoinTruth& coin) {
    Books b;
    office_.look([&](broker::Sql& sql) {
        for (const auto& [epoch, vendor, start, released, founded] : broker::all<Int, std::string, Int, Int, std::string>(
                 sql,
                 "SELECT e.epoch, v.origin, e.start, e.released, e.signed_index FROM epochs e JOIN vendors v ON v.id = e.vendor "
                 "JOIN coins c ON c.id = e.coin WHERE c.coin = :c ORDER BY e.epoch",
                 coin.name))
            b.epochs.push_back({static_cast<std::uint64_t>(epoch), vendor, static_cast<std::uint32_t>(start), released, !founded.empty()});
        for (const auto& [lo, hi, vendor] : broker::all<Int, Int, std::string>(
                 sql,
                 "SELECT r.lo, r.hi, v.origin FROM credits r JOIN coins c ON c.id = r.coin "
                 "JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch JOIN vendors v ON v.id = e.vendor "
                 "WHERE c.coin = :c ORDER BY r.lo",
                 coin.name))
            b.credits.push_back({static_cast<std::uint32_t>(lo), static_cast<std::uint32_t>(hi), vendor});
        for (const auto& [lo, hi, vendor] : broker::all<Int, Int, std::string>(
                 sql,
                 "SELECT x.lo, x.hi, v.origin FROM compensations x JOIN coins c ON c.id = x.coin "
                 "JOIN vendors v ON v.id = x.vendor WHERE c.coin = :c",
                 coin.name))
            b.compensations.push_back({static_cast<std::uint32_t>(lo), static_cast<std::uint32_t>(hi), vendor});
        b.refunded = broker::number(sql, "SELECT refunded FROM coins WHERE coin = :c", coin.name);
    });
    return b;
}

void Referee::rejected(Shop& shop, const std::string& name, std::uint32_t from, std::uint32_t to, const std::string& reason) {
    stage_.count("rejected " + reason);
    auto* coin = find(name);
    if (!coin) fail("a claim of " + shop.origin() + " for coin " + name + ", which was never sold, was rejected");
    const std::string what = label(*coin) + ": the claim of " + shop.origin() + " for units " + std::to_string(from) + " to " +
                             std::to_string(to) + " was rejected: " + reason;
    stage_.note("rejected " + std::to_string(coin->number) + " of " + std::to_string(shop.number()) + " units " + std::to_string(from) +
                "-" + std::to_string(to) + " " + reason);
    if (reason != "not-held" && reason != "overlap") fail(what);
    const auto books = books_of(*coin);
    for (std::uint32_t unit = from + 1; unit <= to; ++unit) {
        // Sold in an epoch that is the vendor's. One that became its own later may cover what it sold before in vain.
        const bool inside = std::any_of(books.epochs.begin(), books.epochs.end(), [&](const EpochRow& e) {
            return e.vendor == shop.origin() && unit > e.start && (e.released < 0 || unit <= e.released) &&
                   std::any_of(coin->sales.begin(), coin->sales.end(), [&](const Sale& s) {
                       return s.shop == shop.number() && s.epoch == e.epoch && unit > s.from && unit <= s.to;
                   });
        });
        const bool paid = std::any_of(books.credits.begin(), books.credits.end(), [&](const Range& r) {
            return r.vendor == shop.origin() && unit > r.lo && unit <= r.hi;
        });
        if (!inside) return;  // judged when all is reckoned up
        if (paid) fail(what + ", and unit " + std::to_string(unit) + " had been credited to it before");
    }
    fail(what + ", and all of it was sold in its confirmed custody");
}

void Referee::nobody_honest_suspended() {
    office_.look([&](broker::Sql& sql) {
        for (const auto& [origin] : broker::all<std::string>(sql, "SELECT origin FROM vendors WHERE status = 'suspended'"))
            for (const auto* s : shops_)
                if (s->origin() == origin) fail("the honest vendor " + origin + " is suspended" + proofs_against(sql, origin));
    });
}

// For the report: what the broker holds for proof.
std::string Referee::proofs_against(broker::Sql& sql, const std::string& origin) const {
    std::string out;
    for (const auto& [coin, epoch, kind, first, second] : broker::all<std::string, Int, std::string, std::string, std::string>(
             sql,
             "SELECT c.coin, f.epoch, f.kind, i.aud || ' at ' || i.idx, COALESCE(j.aud || ' at ' || j.idx, '') FROM frauds f "
             "JOIN vendors v ON v.id = f.vendor JOIN coins c ON c.id = f.coin JOIN signed_indices i ON i.id = f.first "
             "LEFT JOIN signed_indices j ON j.id = f.second WHERE v.origin = :o AND f.cleared = 0",
             origin))
        out += "; " + kind + " for " + (by_name_.contains(coin) ? label(*by_name_.at(coin)) : coin) + " epoch " + std::to_string(epoch) +
               ": to " + first + (second.empty() ? "" : ", to " + second);
    return out;
}

void Referee::inspect() {
    nobody_honest_suspended();
    office_.look([&](broker::Sql& sql) {
        const auto twice = broker::number(
            sql, "SELECT COUNT(*) FROM credits a JOIN credits b ON a.coin = b.coin AND a.lo < b.lo AND b.lo < a.hi");
        if (twice != 0) fail(std::to_string(twice) + " credited ranges overlap");
        const auto over = broker::number(sql,
                                         "SELECT COUNT(*) FROM coins c WHERE c.refunded + COALESCE((SELECT SUM(hi - lo) "
                                         "FROM credits r WHERE r.coin = c.id), 0) > c.n");
        if (over != 0) fail(std::to_string(over) + " coins have more units credited and refunded than they have");
        const auto cash = broker::number(sql, "SELECT COALESCE(SUM(balance), 0) FROM ledger_accounts WHERE name = 'cash'");
        if (static_cast<std::uint64_t>(cash) != paid_in_)
            fail("the ledger has " + std::to_string(cash) + " micro-units of cash, and " + std::to_string(paid_in_) + " were paid in");
    });
    const auto report = broker::check_ledger(office_.eye());
    if (!report) fail("the ledger cannot be checked: " + report.error().detail);
    if (!report->ok()) fail("the ledger: " + report->faults.front());
}

// For the report.
std::string Referee::on_file(const Books& books) {
    std::string out = "\n  on file:";
    for (const auto& e : books.epochs)
        out += " epoch " + std::to_string(e.epoch) + " " + e.vendor.substr(8, e.vendor.size() - 16) + " from " + std::to_string(e.start) +
               (e.released < 0 ? "" : " to " + std::to_string(e.released)) + (e.signed_for ? " by an index;" : ";");
    out += " credited";
    for (const auto& r : books.credits) out += " " + std::to_string(r.lo) + "-" + std::to_string(r.hi) + " " + r.vendor.substr(8, r.vendor.size() - 16);
    return out;
}

void Referee::judge_unit(const CoinTruth& coin, const Books& books, const Sale& sale, std::uint32_t unit, Reckoning& sum,
                         std::set<std::size_t>& unconfirmed_sales, std::size_t which) {
    const auto& seller = shops_[static_cast<std::size_t>(sale.shop)]->origin();
    const auto has = [&](const std::vector<Range>& ranges) {
        return std::any_of(ranges.begin(), ranges.end(),
                           [&](const Range& r) { return r.vendor == seller && unit > r.lo && unit <= r.hi; });
    };
    ++sum.sold;
    if (has(books.credits)) {
        ++sum.credited;
        return;
    }
    const auto epoch = std::find_if(books.epochs.begin(), books.epochs.end(),
                                    [&](const EpochRow& e) { return e.epoch == sale.epoch && e.vendor == seller && sale.from >= e.start; });
    if (has(books.compensations)) {
        ++sum.compensated;
        return;
    }
    if (epoch == books.epochs.end()) {
        if (sale.confirmed) fail(label(coin) + ": epoch " + std::to_string(sale.epoch) + " was confirmed to " + seller + " and is not on file");
        unconfirmed_sales.insert(which);
        ++sum.unconfirmed;
        return;
    }
    const std::string what = label(coin) + ": unit " + std::to_string(unit) + " was sold by " + seller + " in epoch " +
                             std::to_string(sale.epoch) + " and is not credited to it" + on_file(books);
    const auto next = std::next(epoch);
    const bool passed_on = next != books.epochs.end() && next->signed_for;
    // A claim that reaches beyond where the epoch was ended is rejected as a whole.
    const bool sold_beyond = epoch->released >= 0 && std::any_of(coin.sales.begin(), coin.sales.end(), [&](const Sale& s) {
        return s.shop == sale.shop && s.epoch == sale.epoch && s.to > epoch->released;
    });
    if (!sold_beyond) fail(what);
    if (passed_on) fail(what + "\n  it had signed a lower index");
    ++sum.late;
}

void Referee::judge(const CoinTruth& coin, const Books& books, Reckoning& sum) {
    std::map<std::pair<int, std::uint64_t>, std::set<std::size_t>> unconfirmed;
    for (std::size_t i = 0; i < coin.sales.size(); ++i)
        for (auto unit = coin.sales[i].from + 1; unit <= coin.sales[i].to; ++unit)
            judge_unit(coin, books, coin.sales[i], unit, sum, unconfirmed[{coin.sales[i].shop, coin.sales[i].epoch}], i);
    for (const auto& [where, sales] : unconfirmed)
        if (sales.size() > unconfirmed_pages_)
            fail(label(coin) + ": " + std::to_string(sales.size()) + " pages were sold by " +
                 shops_[static_cast<std::size_t>(where.first)]->origin() + " in custody that was never confirmed");
    std::uint32_t credited = 0;
    for (const auto& r : books.credits) {
        credited += r.hi - r.lo;
        if (r.hi > coin.revealed) fail(label(coin) + " is credited up to " + std::to_string(r.hi) + ", its owner revealed " + std::to_string(coin.revealed));
        const auto seller = std::find_if(shops_.begin(), shops_.end(), [&](const Shop* s) { return s->origin() == r.vendor; });
        if (seller == shops_.end()) continue;
        for (auto unit = r.lo + 1; unit <= r.hi; ++unit)
            if (std::none_of(coin.sales.begin(), coin.sales.end(), [&](const Sale& s) {
                    return s.shop == (*seller)->number() && unit > s.from && unit <= s.to;
                }))
                fail(label(coin) + ": unit " + std::to_string(unit) + " is credited to " + r.vendor + ", which never sold it");
    }
    if (credited + static_cast<std::uint64_t>(books.refunded) > coin.n) fail(label(coin) + " has paid out more than it has");
    sum.refunded += static_cast<std::uint64_t>(books.refunded);
}

Reckoning Referee::reckon() {
    Reckoning sum;
    for (const auto& c : coins_) judge(*c, books_of(*c), sum);
    return sum;
}

}  // namespace netpay::sim
