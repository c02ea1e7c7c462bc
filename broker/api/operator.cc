#include "broker/api/operator.h"

#include "broker/accounts/vouchers.h"
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

std::vector<VendorRow> approved(Sql& sql) {
    std::vector<VendorRow> list;
    const auto rows = all<std::string, std::string, std::string, std::string, std::string, Int, Int>(
        sql,
        "SELECT v.origin, v.handoff, v.kid, v.status, a.name, v.approved, v.certificate_exp FROM vendors v "
        "JOIN accounts a ON a.id = v.account ORDER BY v.origin");
    for (const auto& [origin, handoff, kid, status, account, at, exp] : rows)
        list.push_back({origin, handoff, kid, status, account, at, exp, balances(sql, ledger::vendor_pending(origin)),
                        balances(sql, ledger::vendor_payable(origin))});
    return list;
}

void append_pending(Sql& sql, std::vector<VendorRow>& list) {
    const auto rows = all<std::string, std::string, std::string, std::string, Int>(
        sql,
        "SELECT r.origin, r.handoff, r.kid, a.name, r.at FROM registrations r JOIN accounts a ON a.id = r.account "
        "ORDER BY r.origin, r.at");
    for (const auto& [origin, handoff, kid, account, at] : rows)
        list.push_back({origin, handoff, kid, "pending", account, at, 0, {}, {}});
}

}  // namespace

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

Result<std::string> approve_vendor(Context& context, Store& store, const std::string& origin, const std::string& kid) {
    return result_of(store.write(
        [&](Sql& sql) { return vendors::approve(context, sql, origin, kid, context.clock.now()); }));
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
