#include "broker/api/operator.h"

#include "broker/accounts/vouchers.h"
#include "broker/custody/evidence.h"
#include "broker/ledger/check.h"
#include "broker/ledger/ledger.h"
#include "broker/store/query.h"
#include "broker/store/schema.h"
#include "broker/vendors/vendors.h"

namespace netpay::broker {
namespace {

constexpr std::uint32_t most_vouchers = 10000;
constexpr std::int64_t longest_days = 3650;

// The operator sees what an API caller would not: also internal faults.
Error error_of(const Refusal& r) { return {Code::mismatch, r.title + ": " + r.detail}; }

template <class T>
Result<T> result_of(Outcome<T> outcome) {
    if (!outcome) return error_of(outcome.refusal());
    return std::move(*outcome);
}

Amount amount(Int micro) { return Amount::from(static_cast<std::uint64_t>(micro)).value_or(Amount()); }
Currency currency(const std::string& text) { return Currency::parse(text).value_or(Currency()); }

std::map<Currency, Amount> balances(Sql& sql, const std::string& account) {
    std::map<Currency, Amount> result;
    for (const auto& [cur, micro] :
         all<std::string, Int>(sql, "SELECT cur, balance FROM ledger_accounts WHERE name = :n AND balance > 0", account))
        result[currency(cur)] = amount(micro);
    return result;
}

std::map<Currency, Amount> paid_out(Sql& sql, const std::string& origin) {
    std::map<Currency, Amount> result;
    for (const auto& [cur, micro] : all<std::string, Int>(
             sql, "SELECT cur, SUM(total) FROM movements WHERE kind = 'payout' AND reference = :o GROUP BY cur", origin))
        result[currency(cur)] = amount(micro);
    return result;
}

std::vector<VendorRow> approved(Sql& sql) {
    std::vector<VendorRow> list;
    const auto rows = all<std::string, std::string, std::string, std::string, std::string, Int, std::string, Int, Int>(
        sql,
        "SELECT v.origin, v.handoff, v.kid, v.status, v.suspended_for, "
        "(SELECT COUNT(*) FROM frauds f WHERE f.vendor = v.id AND f.cleared = 0), a.name, v.approved, v.certificate_exp "
        "FROM vendors v JOIN accounts a ON a.id = v.account ORDER BY v.origin");
    for (const auto& [origin, handoff, kid, status, why, frauds, account, at, exp] : rows)
        list.push_back({origin, handoff, kid, status, why, frauds, account, at, exp,
                        balances(sql, ledger::vendor_pending(origin)), balances(sql, ledger::vendor_payable(origin)),
                        paid_out(sql, origin), balances(sql, ledger::vendor_owes(origin))});
    return list;
}

void append_pending(Sql& sql, std::vector<VendorRow>& list) {
    const auto rows = all<std::string, std::string, std::string, std::string, Int>(
        sql,
        "SELECT r.origin, r.handoff, r.kid, a.name, r.at FROM registrations r JOIN accounts a ON a.id = r.account "
        "ORDER BY r.origin, r.at");
    for (const auto& [origin, handoff, kid, account, at] : rows)
        list.push_back({origin, handoff, kid, "pending", {}, 0, account, at, 0, {}, {}, {}, {}});
}

// From what is payable to cash: the money has left the broker.
Outcome<std::map<Currency, Amount>> payout(Sql& sql, const std::string& origin, const std::optional<Currency>& only,
                                           UnixTime now) {
    std::map<Currency, Amount> paid;
    for (const auto& [cur, micro] : balances(sql, ledger::vendor_payable(origin))) {
        if (only && cur != *only) continue;
        auto posted = ledger::post(sql, {"payout", origin, cur,
                                         {{ledger::Side::debit, ledger::vendor_payable(origin), micro},
                                          {ledger::Side::credit, std::string(ledger::cash), micro}},
                                         now});
        if (!posted) return posted.refusal();
        paid[cur] = micro;
    }
    return paid;
}

}  // namespace

Result<std::map<Currency, Amount>> pay_out(Context& context, Store& store, const std::string& origin,
                                           const std::optional<Currency>& only, bool force) {
    return result_of(store.write([&](Sql& sql) -> Outcome<std::map<Currency, Amount>> {
        const auto vendor = vendors::find(sql, origin);
        if (!vendor) return Refusal{404, "unknown-vendor", "No such vendor", "`vendor list` shows those there are."};
        if (!force && vendor->status == "suspended" && vendors::open_frauds(sql, vendor->id) > 0)
            return Refusal{409, "proven-fraud", "The vendor is suspended as a proven fraud",
                           "Other vendors may be due to be paid from its balance until the coins concerned are out of "
                           "time; --force pays it out all the same."};
        return payout(sql, origin, only, context.clock.now());
    }));
}

Result<std::int64_t> frauds_of(Store& store, const std::string& origin) {
    return result_of(store.read([&](Sql& sql) -> Outcome<std::int64_t> {
        const auto vendor = vendors::find(sql, origin);
        return std::int64_t{vendor ? vendors::open_frauds(sql, vendor->id) : 0};
    }));
}

Result<std::vector<FraudRow>> list_frauds(Store& store) {
    return result_of(store.read([](Sql& sql) -> Outcome<std::vector<FraudRow>> {
        std::vector<FraudRow> list;
        const auto rows = all<Int, std::string, std::string, std::string, Int, Int, std::string, std::string>(
            sql,
            "SELECT f.at, v.origin, f.kind, c.coin, f.epoch, f.cleared, a.token, COALESCE(b.token, '') FROM frauds f "
            "JOIN vendors v ON v.id = f.vendor JOIN coins c ON c.id = f.coin JOIN signed_indices a ON a.id = f.first "
            "LEFT JOIN signed_indices b ON b.id = f.second ORDER BY f.id");
        for (const auto& [at, vendor, kind, coin, epoch, cleared, first, second] : rows) {
            FraudRow row{at, vendor, kind, coin, static_cast<std::uint64_t>(epoch), cleared != 0, {first}};
            if (!second.empty()) row.tokens.push_back(second);
            list.push_back(std::move(row));
        }
        return list;
    }));
}

Result<std::string> evidence_of(Context& context, Store& store, const std::string& coin) {
    return result_of(store.read(
        [&](Sql& sql) { return custody::evidence(context, sql, coin, context.clock.now()); }));
}

Result<std::vector<MintedVoucher>> mint_vouchers(Context& context, Store& store, const MintOrder& order) {
    if (order.amount.micro() < 1) return {Code::malformed, "a voucher's amount is at least 0.000001"};
    if (order.count < 1 || order.count > most_vouchers) return {Code::malformed, "the count is 1 to 10000"};
    if (order.days < 1 || order.days > longest_days) return {Code::malformed, "a voucher expires in 1 to 3650 days"};
    return result_of(store.write(
        [&](Sql& sql) { return accounts::mint(sql, context.random, order, context.clock.now()); }));
}

Result<std::vector<VoucherRow>> list_vouchers(Store& store) {
    return result_of(store.read([](Sql& sql) -> Outcome<std::vector<VoucherRow>> {
        std::vector<VoucherRow> list;
        const auto rows = all<Int, Int, std::string, Int, Int, Int, std::string>(
            sql,
            "SELECT v.id, v.amount, v.cur, v.minted, v.expires, v.used, COALESCE(a.name, '') FROM vouchers v "
            "LEFT JOIN accounts a ON a.id = v.account ORDER BY v.id");
        for (const auto& [id, micro, cur, minted, expires, used, account] : rows)
            list.push_back({id, amount(micro), currency(cur), minted, expires, used, account});
        return list;
    }));
}

Result<std::vector<VendorRow>> list_vendors(Store& store, UnixTime) {
    return result_of(store.read([](Sql& sql) -> Outcome<std::vector<VendorRow>> {
        auto list = approved(sql);
        append_pending(sql, list);
        return list;
    }));
}

Result<std::string> approve_vendor(Context& context, Store& store, const std::string& origin, const std::string& kid,
                                   bool revoke) {
    return result_of(store.write([&](Sql& sql) -> Outcome<std::string> {
        auto certificate = vendors::approve(context, sql, origin, kid, context.clock.now());
        if (!certificate || !revoke) return certificate;
        if (auto revoked = vendors::revoke_old_keys(sql, origin, context.clock.now()); !revoked) return revoked.refusal();
        return certificate;
    }));
}

Result<std::string> suspend_vendor(Context&, Store& store, const std::string& origin) {
    const auto done = result_of(store.write([&](Sql& sql) { return vendors::suspend(sql, origin); }));
    if (!done) return done.error();
    return std::string("suspended");
}

Result<std::string> certificate_of(Context& context, Store& store, const std::string& origin) {
    return result_of(store.write(
        [&](Sql& sql) { return vendors::certificate(context, sql, origin, context.clock.now()); }));
}

Result<LedgerReport> check_ledger(Store& store) {
    return result_of(store.read([](Sql& sql) -> Outcome<LedgerReport> { return ledger::check(sql); }));
}

Result<Migration> migrate_store(const std::string& path) {
    try {
        const auto sql = connect(path);
        const auto done = migrate(*sql);
        if (!done) return done.error();
        return Migration{done->first, done->second};
    } catch (const soci::soci_error& e) {
        return {Code::malformed, "store " + path + ": " + e.get_error_message()};
    }
}

}  // namespace netpay::broker
