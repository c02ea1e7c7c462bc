#include "broker/accounts/vouchers.h"

#include <cstring>

#include "broker/ledger/ledger.h"
#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::broker::accounts {
namespace {

constexpr char alphabet[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
constexpr std::size_t code_chars = 28, group_chars = 4;  // 140 bits
constexpr std::int64_t day_s = 86400;

std::string code_hash(std::string_view normal) { return b64u_encode(sha256({"netpay/voucher/1", normal})); }

std::string grouped(std::string_view normal) {
    std::string out;
    for (std::size_t i = 0; i < normal.size(); ++i) {
        if (i > 0 && i % group_chars == 0) out += '-';
        out += normal[i];
    }
    return out;
}

char upper(char c) {
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
    if (c == 'O') return '0';
    return c == 'I' || c == 'L' ? '1' : c;
}

Outcome<Done> book_sale(Sql& sql, const MintOrder& order, UnixTime now) {
    const auto total = order.amount.times(order.count);
    if (!total)
        return Refusal{422, "amount-limit", "The amount is too large", "That many vouchers exceed 2^53 - 1 micro-units."};
    return ledger::post(sql, {"vouchers", std::to_string(order.count) + " vouchers", order.currency,
                              {{ledger::Side::debit, std::string(ledger::cash), *total},
                               {ledger::Side::credit, std::string(ledger::vouchers_outstanding), *total}},
                              now});
}

struct Voucher {
    Int id;
    std::string cur;
    Int amount, expires, used, account;
};

Outcome<Voucher> find(Sql& sql, const std::string& normal) {
    const auto row = one<Int, std::string, Int, Int, Int, Int>(
        sql, "SELECT id, cur, amount, expires, used, COALESCE(account, 0) FROM vouchers WHERE code_hash = :h",
        code_hash(normal));
    if (!row)
        return Refusal{404, "unknown-voucher", "No such voucher",
                       "This broker issued no voucher with that code; compare it with the one you were given."};
    return std::make_from_tuple<Voucher>(*row);
}

Refusal used(const Voucher& v, const Account& account) {
    return {409, "used-voucher", "The voucher was used",
            v.account == account.id ? "This account was credited with it already; look at GET /accounts/me."
                                    : "Another account was credited with it; ask who sold it to you for another."};
}

Refusal expired() {
    return {410, "expired-voucher", "The voucher has expired", "Ask who sold it to you for another."};
}

Outcome<Toppedup> credit(Sql& sql, const Account& account, const Voucher& v, UnixTime now) {
    const Toppedup t{*Amount::from(static_cast<std::uint64_t>(v.amount)), Currency::parse(v.cur).value_or(Currency())};
    const auto posted =
        ledger::post(sql, {"topup", "voucher " + std::to_string(v.id), t.currency,
                           {{ledger::Side::debit, std::string(ledger::vouchers_outstanding), t.amount},
                            {ledger::Side::credit, ledger::customer(account.name), t.amount}},
                           now});
    if (!posted) return posted.refusal();
    run(sql, "UPDATE vouchers SET used = :u, account = :a WHERE id = :i", now, account.id, v.id);
    return t;
}

}  // namespace

std::string new_voucher_code(Random& random) {
    // 28 characters of 5 bits; 28 bytes are drawn to keep the mapping plain.
    const auto raw = random.bytes<code_chars>();
    std::string normal;
    for (const auto b : raw) normal += alphabet[b & 31];
    return grouped(normal);
}

std::optional<std::string> normalise_voucher(std::string_view typed) {
    std::string normal;
    if (typed.size() > 3 * code_chars) return std::nullopt;
    for (const char typed_char : typed) {
        if (typed_char == '-' || typed_char == ' ') continue;
        const char c = upper(typed_char);
        if (c == '\0' || std::strchr(alphabet, c) == nullptr) return std::nullopt;
        normal += c;
    }
    if (normal.size() != code_chars) return std::nullopt;
    return normal;
}

Outcome<std::vector<MintedVoucher>> mint(Sql& sql, Random& random, const MintOrder& order, UnixTime now) {
    if (auto booked = book_sale(sql, order, now); !booked) return booked.refusal();
    std::vector<MintedVoucher> minted;
    const UnixTime expires = now + order.days * day_s;
    for (std::uint32_t i = 0; i < order.count; ++i) {
        auto code = new_voucher_code(random);
        run(sql, "INSERT INTO vouchers (code_hash, cur, amount, minted, expires) VALUES (:h, :c, :a, :m, :e)",
            code_hash(*normalise_voucher(code)), order.currency.str(), order.amount.micro(), now, expires);
        minted.push_back({std::move(code), order.amount, order.currency, expires});
    }
    return minted;
}

Outcome<Toppedup> top_up(Sql& sql, const Account& account, std::string_view typed, UnixTime now) {
    const auto normal = normalise_voucher(typed);
    if (!normal)
        return Refusal{422, "malformed-voucher", "That is not a voucher code",
                       "A code has 28 letters and digits in seven groups of four; type it as it was printed."};
    const auto voucher = find(sql, *normal);
    if (!voucher) return voucher.refusal();
    if (voucher->used != 0) return used(*voucher, account);
    if (now > voucher->expires) return expired();
    return credit(sql, account, *voucher, now);
}

}  // namespace netpay::broker::accounts
