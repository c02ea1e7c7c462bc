#include "broker/custody/returns.h"

#include <algorithm>

#include "broker/custody/handoff.h"
#include "broker/custody/handovers.h"
#include "broker/ewallet/grants.h"
#include "broker/issue/coins.h"
#include "broker/ledger/ledger.h"
#include "broker/vendors/vendors.h"
#include "core/base64url.h"
#include "core/limits.h"
#include "core/payword.h"

namespace netpay::broker::custody {
namespace {

using issue::Coin;

// How often a coin's holder is asked.
constexpr std::int64_t first_wait_s = 60, longest_wait_s = 3600, between_calls_s = 10;
// Of one coin, within one call by its owner: its holder, and the vendor to
// which that one says it gave the coin. Each takes 4 s at most.
constexpr int calls_a_try = 2;
// In one tick, and of them unanswered: a tick must not look like downtime (3 ticks).
constexpr Int tries_a_tick = 50;
constexpr int silent_a_tick = 2;

Refunded worth(const Coin& c, std::uint32_t units) { return {c.unit.times(units).value_or(Amount()), c.currency}; }

Outcome<Done> book(Sql& sql, const Coin& c, const std::string& owner, Amount amount, UnixTime now) {
    if (amount.micro() == 0) return Done{};
    return ledger::post(sql, {"refund", c.coin, c.currency,
                              {{ledger::Side::debit, std::string(ledger::coins_outstanding), amount},
                               {ledger::Side::credit, ledger::customer(owner), amount}},
                              now});
}

// Nobody holds the coin: what lies above the highest index known goes back.
Outcome<Refunded> refund(Context& context, Sql& sql, const Coin& c, const std::optional<Epoch>& last, UnixTime now) {
    const std::uint32_t units = c.n - known_mark(c, last).index;
    const auto refunded = worth(c, units);
    if (last)
        if (auto closed = close(sql, c, *last, now); !closed) return closed.refusal();
    const auto owner = one<std::string>(sql, "SELECT name FROM accounts WHERE id = :i", c.account);
    if (auto booked = book(sql, c, std::get<0>(owner.value()), refunded.amount, now); !booked) return booked.refusal();
    run(sql, "UPDATE coins SET state = 'returned', refunded = :u WHERE id = :i", units, c.id);
    ewallet::uncount_unspent(sql, c.coin, c.n - units, now);
    run(sql, "DELETE FROM due_work WHERE coin = :c AND kind = 'return'", c.id);
    context.metrics.coin_returned(refunded.currency, refunded.amount);
    return refunded;
}

// ---- what is to be done next for a coin on its way back ----

// Once nobody holds it.
enum class Then {
    refund,
    rest,  // its owner takes it elsewhere
};

// Its holder is to be asked.
struct AskHolder {
    Ask ask;
    Int vendor = 0;
    Waiting otherwise;
    Then then = Then::refund;
};
using Next = std::variant<Refunded, Waiting, AskHolder>;

UnixTime due_of(const Epoch& e) { return e.exp + limits::lease_margin_s; }

// W of the index after the epoch's start, from the lowest payword known above it.
std::optional<Mark> proof_above(Sql& sql, const Coin& c, const Epoch& e) {
    const auto row = one<Int, std::string>(
        sql, "SELECT idx, payword FROM known_paywords WHERE coin = :c AND idx > :s ORDER BY idx LIMIT 1", c.id, e.start);
    if (!row) return std::nullopt;
    const auto index = static_cast<std::uint32_t>(std::get<0>(*row));
    const auto word = decode_payword(std::get<1>(*row));
    if (!word) return std::nullopt;
    return Mark{e.start + 1, walk_down(c.salt, index, *word, e.start + 1)};
}

std::string kid_of(std::string_view token) {
    const auto header = b64u_decode(token.substr(0, token.find('.')));
    const auto doc = header ? json::Document::parse(*header) : Result<json::Document>(Code::malformed, "");
    const auto kid = doc && doc->root().is_object() ? doc->root().string("kid") : std::nullopt;
    return std::string(kid.value_or(""));
}

// The holder may never have heard that it holds the coin: what it was given
// it by, and whose signature that is.
void enclose_index(Sql& sql, const Coin& c, const Epoch& e, Ask& ask) {
    const auto row = one<std::string, Int>(
        sql,
        "SELECT e.signed_index, COALESCE(s.vendor, 0) FROM epochs e LEFT JOIN signed_indices s ON s.token = e.signed_index "
        "WHERE e.coin = :c AND e.epoch = :e",
        e.coin, e.epoch);
    if (!row || std::get<0>(*row).empty()) return;
    ask.index = std::get<0>(*row);
    ask.touchstone = c.touchstone;
    const auto certificate = one<std::string>(
        sql, "SELECT token FROM certificates WHERE vendor = :v AND kid = :k ORDER BY exp DESC, id DESC LIMIT 1",
        std::get<1>(*row), kid_of(ask.index));
    if (certificate) ask.releaser = std::get<0>(*certificate);
}

AskHolder question(Sql& sql, const Coin& c, const Epoch& e, Then then) {
    const auto holder = vendors::find(sql, e.vendor).value();
    AskHolder q{{holder.origin, holder.handoff, c.coin, e.epoch, proof_above(sql, c, e), {}, {}, {}}, holder.id, {due_of(e)}, then};
    enclose_index(sql, c, e, q.ask);
    return q;
}

Outcome<Next> next(Context& context, Sql& sql, const Coin& c, Then then, UnixTime now) {
    if (c.state == "returned") return Next(worth(c, c.refunded));
    const auto last = last_epoch(sql, c.id);
    if (is_held(sql, last, now)) return Next(question(sql, c, *last, then));
    if (then == Then::rest) return Next(worth(c, 0));
    auto refunded = refund(context, sql, c, last, now);
    if (!refunded) return refunded.refusal();
    return Next(*refunded);
}

// ---- due work ----

// From one call to the next. Up to half as long again by the coin's number:
// holders that come back are not asked for all their coins at once.
std::int64_t pause_s(Int coin, Int tries) {
    std::int64_t wait = first_wait_s;
    for (Int i = 0; i < tries && wait < longest_wait_s; ++i) wait *= 2;
    wait = std::min(wait, longest_wait_s);
    return wait + wait / 2 * (coin * 617 % 1024) / 1024;
}

// The coin is on its way back from now on; its holder is asked again later if need be.
void postpone(Sql& sql, const Coin& c, UnixTime due) {
    run(sql, "UPDATE coins SET state = 'returning' WHERE id = :i AND state = 'live'", c.id);
    run(sql,
        "INSERT INTO due_work (coin, kind, due) VALUES (:c, 'return', :d) "
        "ON CONFLICT (coin, kind) DO UPDATE SET due = excluded.due",
        c.id, due);
}

// Whether the holder may be asked now; it counts as asked then, whatever becomes of the call.
bool take_turn(Sql& sql, Int coin, UnixTime now) {
    const auto row = one<Int, Int>(sql, "SELECT next_try, tries FROM due_work WHERE coin = :c AND kind = 'return'", coin);
    const auto [next_try, tries] = row.value_or(std::tuple<Int, Int>(0, 0));
    if (tries > 0 && now < next_try - pause_s(coin, tries - 1) + between_calls_s) return false;
    run(sql, "UPDATE due_work SET next_try = :n, tries = tries + 1 WHERE coin = :c AND kind = 'return'",
        now + pause_s(coin, tries), coin);
    return true;
}

// A vendor that does not answer is not asked for its other coins for a minute.
void spare(Store& store, Int vendor, UnixTime now) {
    (void)store.write([&](Sql& sql) -> Outcome<Done> {
        run(sql,
            "UPDATE due_work SET next_try = :n WHERE kind = 'return' AND next_try < :t AND EXISTS "
            "(SELECT 1 FROM epochs e WHERE e.coin = due_work.coin AND e.vendor = :v AND e.status = 'held')",
            now + first_wait_s, now + first_wait_s, vendor);
        return Done{};
    });
}

// ---- the call, and what it brought ----

const char* name_of(Told::What what) {
    switch (what) {
        case Told::What::given: return "given";
        case Told::What::elsewhere: return "elsewhere";
        case Told::What::refused: return "refused";
        case Told::What::busy: return "busy";
        default: return "silent";
    }
}

Told call(Context& context, const AskHolder& q, UnixTime now) {
    auto told = ask(context, q.ask, now);
    context.metrics.custody("handoff", name_of(told.what));
    const auto fields = [&] {
        return json::Object().set("vendor", q.ask.vendor).set("coin", q.ask.coin.substr(0, 8)).set("outcome", name_of(told.what));
    };
    if (told.what == Told::What::given || told.what == Told::What::elsewhere) context.log.info("handoff", fields());
    else context.log.warning("handoff", fields().set("why", printable(told.why)));
    return told;
}

// Applies the index a holder answered with, and sees what is to be done then.
Outcome<Next> take_in(Context& context, Store& store, const AskHolder& q, const std::string& index, UnixTime now) {
    auto shown = store.read([&](Sql& sql) { return verify_shown(context, sql, index); });
    if (!shown && shown.refusal().status >= 500) return shown.refusal();
    const bool fits = shown && shown->signer == q.vendor && shown->says.coin == q.ask.coin &&
                      shown->says.epoch == static_cast<std::uint64_t>(q.ask.epoch);
    if (!fits) {
        context.log.warning("handoff_answer_refused", json::Object().set("vendor", q.ask.vendor).set(
            "why", shown ? "an index of another coin, epoch or vendor" : printable(shown.refusal().detail)));
        return Next(q.otherwise);
    }
    return store.write([&](Sql& sql) -> Outcome<Next> {
        if (auto applied = apply(context, sql, *shown, now); !applied) return applied.refusal();
        return next(context, sql, issue::find_coin(sql, q.ask.coin).value(), q.then, now);
    });
}

bool same_epoch(const Next& n, const AskHolder& q) {
    const auto* again = std::get_if<AskHolder>(&n);
    return again && again->ask.epoch == q.ask.epoch;
}

struct Tried {
    Returned result;
    bool silent = false;  // somebody did not answer
};

// Asks who is to be asked, one after another.
Outcome<Tried> pursue(Context& context, Store& store, Next n, UnixTime now) {
    for (int calls = 0; std::holds_alternative<AskHolder>(n); ++calls) {
        const auto q = std::get<AskHolder>(n);
        if (calls == calls_a_try) return Tried{q.otherwise, false};
        const auto told = call(context, q, now);
        if (told.index.empty()) {
            if (told.what == Told::What::silent) spare(store, q.vendor, now);
            const bool silent = told.what == Told::What::silent || told.what == Told::What::busy;
            return Tried{q.otherwise, silent};
        }
        auto after = take_in(context, store, q, told.index, now);
        if (!after) return after.refusal();
        if (same_epoch(*after, q)) return Tried{q.otherwise, false};
        n = std::move(*after);
    }
    if (const auto* refunded = std::get_if<Refunded>(&n)) return Tried{*refunded, false};
    return Tried{std::get<Waiting>(n), false};
}

// ---- a return begins ----

Refusal not_yours() {
    return {404, "unknown-coin", "Not a coin of this account", "This account bought no coin of that name."};
}

Outcome<Done> may_return(Sql& sql, const accounts::Account& account, const std::string& name,
                         const std::optional<Mark>& shown, UnixTime now) {
    const auto coin = issue::find_coin(sql, name);
    if (!coin || coin->account != account.id) return not_yours();
    if (coin->state == "returned") return Done{};
    if (now > coin->exp + issue::claims_after_exp_s)
        return Refusal{410, "gone", "The coin cannot be returned any more",
                       "A coin can be returned until 90 days after it expires; then what is known to be unspent is "
                       "refunded by itself."};
    if (shown && (shown->index < 1 || !belongs(*coin, known_mark(*coin, last_epoch(sql, coin->id)), *shown)))
        return Refusal{422, "payword", "The payword is not one of the coin",
                       "Send the highest payword that was shown to anybody with its index, or no body at all."};
    return Done{};
}

void remember(Sql& sql, const Coin& c, const Mark& shown) {
    run(sql, "INSERT INTO known_paywords (coin, idx, payword) VALUES (:c, :i, :w) ON CONFLICT DO NOTHING", c.id,
        shown.index, encode_payword(shown.payword));
}

Outcome<Next> begin(Context& context, Sql& sql, const std::string& name, const std::optional<Mark>& shown, UnixTime now) {
    const auto coin = issue::find_coin(sql, name).value();
    if (shown && coin.state != "returned") remember(sql, coin, *shown);
    // No site is granted more of a coin that is on its way back.
    ewallet::end_grants_of_coin(sql, name, now);
    auto n = next(context, sql, coin, Then::refund, now);
    if (!n || !std::holds_alternative<AskHolder>(*n)) return n;
    const Waiting waiting = std::get<AskHolder>(*n).otherwise;
    postpone(sql, coin, waiting.due);
    if (!take_turn(sql, coin.id, now)) return Next(waiting);
    return n;
}

}  // namespace

Outcome<Returned> give_back(Context& context, Store& store, const accounts::Account& account, const std::string& name,
                            const std::optional<Mark>& shown, UnixTime now) {
    // Before the store is locked: it may hash the whole chain.
    const auto allowed = store.read([&](Sql& sql) { return may_return(sql, account, name, shown, now); });
    if (!allowed) return allowed.refusal();
    auto first = store.write([&](Sql& sql) { return begin(context, sql, name, shown, now); });
    if (!first) return first.refusal();
    auto tried = pursue(context, store, std::move(*first), now);
    if (!tried) return tried.refusal();
    return tried->result;
}

Outcome<bool> call_in(Context& context, Store& store, const std::string& name, UnixTime now) {
    auto first = store.write([&](Sql& sql) -> Outcome<Next> {
        const auto coin = issue::find_coin(sql, name);
        if (!coin) return not_yours();
        return next(context, sql, *coin, Then::rest, now);
    });
    if (!first) return first.refusal();
    const auto tried = pursue(context, store, std::move(*first), now);
    if (!tried) return tried.refusal();
    return std::holds_alternative<Refunded>(tried->result);
}

void retry_returns(Context& context, Store& store, UnixTime now) {
    if (!context.peers) return;
    const auto due = store.read([&](Sql& sql) -> Outcome<std::vector<std::tuple<std::string>>> {
        return all<std::string>(sql,
                                "SELECT c.coin FROM due_work d JOIN coins c ON c.id = d.coin "
                                "WHERE d.kind = 'return' AND d.next_try <= :t ORDER BY d.next_try LIMIT :m",
                                now, tries_a_tick);
    });
    if (!due) return;
    int silent = 0;
    for (const auto& [name] : *due) {
        const auto& coin = name;
        auto first = store.write([&](Sql& sql) { return begin(context, sql, coin, std::nullopt, now); });
        if (!first) continue;
        const auto tried = pursue(context, store, std::move(*first), now);
        if (!tried) return context.log.error("return_failed", json::Object().set("detail", printable(tried.refusal().detail)));
        silent += tried->silent ? 1 : 0;
        if (silent == silent_a_tick) return;
    }
}

Outcome<Int> finish_returns(Context& context, Sql& sql, UnixTime now, Int limit) {
    const auto due = all<std::string>(sql,
                                      "SELECT c.coin FROM due_work d JOIN coins c ON c.id = d.coin "
                                      "WHERE d.kind = 'return' AND d.due < :t ORDER BY d.due LIMIT :m",
                                      now, limit);
    Int finished = 0;
    for (const auto& [name] : due) {
        const auto coin = issue::find_coin(sql, name);
        const auto last = last_epoch(sql, coin->id);
        if (is_held(sql, last, now)) continue;
        if (auto refunded = refund(context, sql, *coin, last, now); !refunded) return refunded.refusal();
        ++finished;
    }
    return finished;
}

Outcome<Int> refund_expired(Context& context, Sql& sql, UnixTime now, Int limit) {
    const auto expired = all<std::string>(
        sql, "SELECT coin FROM coins WHERE state IN ('live', 'returning') AND exp < :t ORDER BY exp LIMIT :m",
        now - issue::claims_after_exp_s, limit);
    Int finished = 0;
    for (const auto& [name] : expired) {
        const auto coin = issue::find_coin(sql, name);
        const auto last = last_epoch(sql, coin->id);
        if (is_held(sql, last, now)) continue;  // this broker was away when its lease ended
        if (auto refunded = refund(context, sql, *coin, last, now); !refunded) return refunded.refusal();
        ++finished;
    }
    return finished;
}

}  // namespace netpay::broker::custody
