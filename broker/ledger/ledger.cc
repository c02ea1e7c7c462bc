#include "broker/ledger/ledger.h"

#include <algorithm>
#include <cassert>
#include <optional>

namespace netpay::broker::ledger {
namespace {

struct Account {
    Int id = 0;
    Side side = Side::credit;
    Int balance = 0;
};

// Vendors' origins end in a host or port, never in this.
bool is_debt(std::string_view name) { return name.size() > 5 && name.substr(name.size() - 5) == ":owes"; }

Side own_side(std::string_view name) {
    return name == cash || name == card_losses || is_debt(name) ? Side::debit : Side::credit;
}

Account account(Sql& sql, const std::string& name, const Currency& cur) {
    const auto row = one<Int, Int>(sql, "SELECT id, balance FROM ledger_accounts WHERE name = :n AND cur = :c", name,
                                   cur.str());
    const Side side = own_side(name);
    if (row) return {std::get<0>(*row), side, std::get<1>(*row)};
    const auto id = one<Int>(sql, "INSERT INTO ledger_accounts (name, cur, side) VALUES (:n, :c, :s) RETURNING id",
                             name, cur.str(), side == Side::debit ? "debit" : "credit");
    return {std::get<0>(id.value()), side, 0};
}

// The sum of one side; nullopt if it leaves the range.
std::optional<Amount> total(const Movement& m, Side side) {
    std::optional<Amount> sum = Amount();
    for (const auto& p : m.postings)
        if (sum && p.side == side) sum = sum->plus(p.amount);
    return sum;
}

Refusal too_much() {
    return {409, "amount-limit", "The amount is too large",
            "An account would hold more than 2^53 - 1 micro-units; use a smaller amount."};
}

Refusal insufficient(Int has, Amount wants, const Currency& cur) {
    const auto balance = Amount::from(static_cast<std::uint64_t>(has)).value_or(Amount());
    return {409, "insufficient-balance", "The balance does not suffice",
            "This needs " + wants.pretty(cur) + " and the balance is " + balance.pretty(cur) +
                "; top up the account with a voucher first. Nothing was charged."};
}

Outcome<Done> enter(Sql& sql, Int movement, const Posting& p, const Currency& cur) {
    const auto a = account(sql, p.account, cur);
    const auto micro = static_cast<Int>(p.amount.micro());
    const Int after = p.side == a.side ? a.balance + micro : a.balance - micro;
    if (after < 0) return insufficient(a.balance, p.amount, cur);
    if (after > static_cast<Int>(limits::max_amount)) return too_much();
    const bool debit = p.side == Side::debit;
    run(sql, "INSERT INTO entries (movement, account, debit, credit) VALUES (:m, :a, :d, :c)", movement, a.id,
        debit ? micro : 0, debit ? 0 : micro);
    run(sql, "UPDATE ledger_accounts SET balance = :b WHERE id = :i", after, a.id);
    return Done{};
}

Int open_movement(Sql& sql, const Movement& m, Amount sum, Int parts) {
    return std::get<0>(one<Int>(sql,
                                "INSERT INTO movements (kind, reference, cur, total, parts, at) "
                                "VALUES (:k, :r, :c, :t, :p, :a) RETURNING id",
                                m.kind, m.reference, m.currency.str(), sum.micro(), parts, m.at)
                           .value());
}

}  // namespace

std::string customer(std::string_view name) { return "customer:" + std::string(name); }
std::string vendor_pending(std::string_view origin) { return "vendor:" + std::string(origin) + ":pending"; }
std::string vendor_payable(std::string_view origin) { return "vendor:" + std::string(origin) + ":payable"; }
std::string vendor_owes(std::string_view origin) { return "vendor:" + std::string(origin) + ":owes"; }

std::vector<Posting> give_vendor(Sql& sql, std::string_view origin, const Currency& cur, Amount amount) {
    const auto repaid = std::min(amount, balance(sql, vendor_owes(origin), cur));
    return {{Side::credit, vendor_owes(origin), repaid},
            {Side::credit, vendor_payable(origin), amount.minus(repaid).value_or(Amount())}};
}

std::vector<Posting> take_from_vendor(Sql& sql, std::string_view origin, const Currency& cur, Amount amount) {
    const auto covered = std::min(amount, balance(sql, vendor_payable(origin), cur));
    return {{Side::debit, vendor_payable(origin), covered},
            {Side::debit, vendor_owes(origin), amount.minus(covered).value_or(Amount())}};
}

Outcome<Done> post(Sql& sql, const Movement& m) {
    const auto debits = total(m, Side::debit), credits = total(m, Side::credit);
    if (!debits || !credits) return too_much();
    assert(*debits == *credits && debits->micro() > 0);
    Int parts = 0;
    for (const auto& p : m.postings) parts += p.amount.micro() > 0 ? 1 : 0;
    const Int id = open_movement(sql, m, *debits, parts);
    for (const auto& p : m.postings) {
        if (p.amount.micro() == 0) continue;
        if (auto entered = enter(sql, id, p, m.currency); !entered) return entered;
    }
    run(sql, "UPDATE movements SET sealed = 1 WHERE id = :i", id);
    return Done{};
}

Amount balance(Sql& sql, std::string_view name, const Currency& currency) {
    const Int micro = number(sql, "SELECT balance FROM ledger_accounts WHERE name = :n AND cur = :c", name,
                             currency.str());
    return Amount::from(static_cast<std::uint64_t>(micro)).value_or(Amount());
}

}  // namespace netpay::broker::ledger
