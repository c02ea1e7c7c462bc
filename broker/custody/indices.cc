#include "broker/custody/indices.h"

#include "broker/custody/epochs.h"
#include "broker/custody/frauds.h"
#include "core/jws.h"
#include "core/payword.h"

namespace netpay::broker::custody {
namespace {

using Row = std::tuple<Int, Int, std::string, std::string, Int, std::string>;

constexpr const char* columns = "SELECT id, vendor, aud, token, idx, payword FROM signed_indices ";

// A coin changes hands a thousand times a day at the most.
constexpr std::uint64_t most_epochs = 1u << 30;

// Of one coin, from one vendor to another.
constexpr Int gifts_kept = 64;

template <class... In>
std::optional<OnFile> find_one(Sql& sql, const char* where, const In&... in) {
    const auto row = one<Int, Int, std::string, std::string, Int, std::string>(sql, std::string(columns) + where, in...);
    if (!row) return std::nullopt;
    const auto& [id, vendor, aud, token, index, payword] = *row;
    return OnFile{id, vendor, aud, token, static_cast<std::uint32_t>(index), payword};
}

Refusal bad_index(std::string what) {
    return {422, "index", "A signed index does not verify", std::move(what)};
}

// The signer by what the token says; nothing is verified yet.
struct Claimed {
    vendors::Vendor signer;
    UnixTime iat = 0;
};
Outcome<Claimed> claimed(Sql& sql, std::string_view token) {
    const auto payload = jws::peek(token);
    if (!payload) return bad_index(payload.error().detail + ".");
    const auto iss = payload->root().string("iss");
    const auto iat = payload->root().uint("iat");
    if (!iss || !iat) return bad_index("iss or iat is missing.");
    auto signer = vendors::find(sql, *iss);
    if (!signer) return bad_index("Its signer is no vendor of this broker.");
    return Claimed{std::move(*signer), static_cast<UnixTime>(*iat)};
}

// Whether it would be the first word of the epoch's own vendor.
bool decides(Sql& sql, const Shown& s) {
    const auto number = static_cast<Int>(s.says.epoch);
    const auto epoch = epoch_at(sql, s.coin, number);
    return epoch && epoch->vendor == s.signer && !deciding(sql, s.coin, number, s.signer);
}

// Whether it is among the first that this signer gave a vendor for that coin:
// by them the receiver has its right to be held harmless, and may pass the coin
// on, however often the signer was proven a fraud before. Bounded by the number
// of vendors; a vendor that was deceived once sells and passes on nothing more
// of that coin before its broker has confirmed it.
bool given_seldom(Sql& sql, const Shown& s) {
    return vendors::find(sql, s.says.aud) && number(sql,
                                                    "SELECT COUNT(*) FROM signed_indices WHERE coin = :c AND vendor = :v "
                                                    "AND aud = :a", s.coin, s.signer, s.says.aud) < gifts_kept;
}

}  // namespace

Outcome<Shown> verify_shown(const Context& context, Sql& sql, std::string_view token) {
    auto by = claimed(sql, token);
    if (!by) return by.refusal();
    auto index = verify_index(token, vendors::keys_at(sql, by->signer.id, by->iat));
    if (!index) return bad_index(index.error().detail + "; it is judged by the key certified for its signer at its iat.");
    if (!index->speaks_to(context.options.issuer)) return bad_index("It is about a coin of another broker.");
    const auto coin = issue::find_coin(sql, index->coin);
    if (!coin)
        return Refusal{404, "unknown-coin", "Not a coin of this broker", "This broker sold no coin of that name."};
    if (index->aud == index->iss) return bad_index("It is signed to its signer itself.");
    if (index->epoch > most_epochs) return bad_index("No coin has so many epochs.");
    if (!belongs(*coin, known_mark(*coin, last_epoch(sql, coin->id)), {index->index, index->payword}))
        return bad_index("Its payword is none of the coin at that index.");
    return Shown{std::move(*index), coin->id, by->signer.id, std::string(token)};
}

std::optional<OnFile> record(Sql& sql, const Shown& s, UnixTime now) {
    if (auto known = find_one(sql, "WHERE token = :t", s.token)) return known;
    if (proofs_over(sql, s.signer, s.coin) >= proofs_kept && !decides(sql, s) && !given_seldom(sql, s))
        return std::nullopt;
    const auto word = encode_payword(s.says.payword);
    run(sql,
        "INSERT INTO signed_indices (coin, epoch, vendor, aud, idx, payword, token, at) "
        "VALUES (:c, :e, :v, :a, :i, :p, :t, :n)",
        s.coin, s.says.epoch, s.signer, s.says.aud, s.says.index, word, s.token, now);
    run(sql, "INSERT INTO known_paywords (coin, idx, payword) VALUES (:c, :i, :w) ON CONFLICT DO NOTHING", s.coin,
        s.says.index, word);
    return find_one(sql, "WHERE token = :t", s.token);
}

std::optional<OnFile> deciding(Sql& sql, Int coin, Int epoch, Int vendor) {
    return find_one(sql, "WHERE coin = :c AND epoch = :e AND vendor = :v ORDER BY id LIMIT 1", coin, epoch, vendor);
}

std::optional<Gift> given_to(Sql& sql, Int coin, Int epoch, const std::string& aud) {
    const auto row = one<Int>(
        sql,
        "SELECT COALESCE((SELECT r.culprit FROM receivers r WHERE r.coin = s.coin AND r.signed_index = s.id), 0) "
        "AS culprit FROM signed_indices s WHERE s.coin = :c AND s.epoch = :e AND s.aud = :a "
        "ORDER BY culprit = 0, s.id LIMIT 1",
        coin, epoch, aud);
    if (!row) return std::nullopt;
    return Gift{std::get<0>(*row)};
}

}  // namespace netpay::broker::custody
