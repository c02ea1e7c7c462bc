#include "mod_netpay/ewallet/wallets.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <set>

#include "core/base64url.h"
#include "mod_netpay/custody/lock.h"
#include "mod_netpay/custody/reply.h"
#include "mod_netpay/ewallet/answer.h"
#include "mod_netpay/ewallet/consents.h"
#include "mod_netpay/ewallet/counted.h"
#include "mod_netpay/ewallet/login.h"
#include "mod_netpay/ewallet/notes.h"
#include "mod_netpay/ewallet/orders.h"
#include "mod_netpay/ewallet/picks.h"
#include "mod_netpay/ewallet/refreshes.h"
#include "mod_netpay/ewallet/vault.h"
#include "mod_netpay/reader.h"
#include "world/rate_limiter.h"

namespace netpay::ewallet {
namespace {

using custody::Taken;
using till::Entry;

constexpr std::int64_t sweep_s = 60;
constexpr std::int64_t fresh_s = 60;   // what the broker said so long ago of a grant is believed without asking
constexpr std::uint32_t busy_retry_s = 2;
// Readers who come back from a broker cost a call to it each, whatever their
// code is worth: of one address in one process, and at the same time in it, of
// whose threads httpd has 25 by default.
constexpr double exchanges_a_second = 1, exchanges_at_once = 20;
constexpr std::uint32_t most_exchanging = 12;
constexpr std::size_t told_at_once = 50;  // e-wallets of which brokers are told in one round
constexpr std::size_t short_coin = 8;  // of a coin's name in the log
constexpr std::string_view leaving = "left";  // what is sealed for it

bool held(const std::optional<Entry>& e, UnixTime now) {
    return e && e->standing == till::Standing::held && e->coin.lease >= now;
}

// Units spent of a coin, as far as this vendor knows.
std::uint32_t spent_of(const GrantedCoin& c, const std::optional<Entry>& e) {
    if (!e) return c.spent;
    return e->standing == till::Standing::held ? e->state.spent : std::max(e->state.spent, c.spent);
}

Amount worth(const GrantedCoin& c, std::uint32_t to, std::uint32_t from) {
    return to > from ? c.unit.times(to - from).value_or(Amount()) : Amount();
}

bool is_gone(const std::optional<Entry>& e, std::uint64_t epoch) {
    return e && e->standing == till::Standing::handed_over && e->coin.epoch > epoch;
}

// What is no news to a grant that begins now.
std::uint64_t ended_epoch(const std::optional<Entry>& e) {
    return e && e->standing == till::Standing::handed_over ? e->coin.epoch : 0;
}

Standing moved_from(const std::string& issuer) {
    Standing s;
    s.kind = Standing::Kind::moved;
    s.issuer = issuer;
    return s;
}

// Why the broker gave nothing for a code, in words for the reader.
Refusal not_got(int status, std::string_view kind) {
    Refusal r;
    r.decision = Decision::required;
    r.status = 409;
    if (status == 409 && kind == "day-limit")
        r.detail = "What you allow for a day is used up. Nothing was charged. You can allow more for today at your broker.";
    else if (status == 409)
        r.detail = "There is too little money in your e-wallet for this page. Nothing was charged. You can add some at your broker.";
    else if (status == 403)
        r.detail = "Your broker does not serve this site at present. Nothing was charged.";
    else if (status == 400)
        r.detail = "That way back from your broker was used before, or is too old. Nothing was charged. Open the page and try again.";
    else
        r.detail = "Your broker's answer could not be used, and nothing was charged. Open the page and try again.";
    return r;
}

PastCoin past_of(const GrantedCoin& c) { return {c.name, c.tag, c.salt, c.granted, c.word}; }

class StoredWallets final : public Wallets {
public:
    StoredWallets(Options o, till::Till& till, custody::Keeper& keeper, custody::World world)
        : o_(std::move(o)),
          till_(till),
          keeper_(keeper),
          world_(world),
          cookies_(o_.origin, o_.keys, world.random),
          refreshes_(o_.origin, keeper, chains_, world.log),
          consents_(keeper, world.log) {}

    Result<bool> start();

    Considered consider(const Visit& v) override;
    std::optional<Debit> next(const Visit& v, const Debit& debit, const Refusal& refusal) override;
    std::string form_token(const Visit& v) override;
    std::optional<Price> form_token_ok(const Visit& v, std::string_view token) override;
    std::string order(const Visit& v) override;
    Result<Begun> begin(const Visit& v, const std::string& issuer, bool cookie_kind) override;
    Begun finish(std::string_view cookies, const form::Fields& query, std::string_view peer, UnixTime now) override;
    Begun leave(std::string_view cookies, UnixTime now) override;
    std::optional<Sight> look(std::string_view cookies, UnixTime now, std::int64_t window_s) override;
    GiveBackNote note_given_back(const Sight& sight, const Paid& page, std::uint32_t most, UnixTime now) override;
    void forget_given_back(const Sight& sight, const Paid& page, UnixTime now) override;
    void sweep(UnixTime now) override;

private:
    using Held = std::shared_ptr<const Wallet>;
    struct Opening {
        Held wallet;
        std::string moved_from;          // it was one until now, of this broker
        std::vector<std::string> cookies;
    };
    enum class Over { taken, left_there };  // what becomes of one that is over
    Result<Vault::Found> presented(std::string_view cookies, UnixTime now, bool server, bool cookie);
    Opening open_wallet(std::string_view cookies, UnixTime now, bool server, bool cookie, Over over = Over::taken);
    Standing standing_of(const Wallet& w, const std::optional<Entry>& e) const;
    bool asked(const Visit& v, const Wallet& w) const;
    bool allowed(const Visit& v, const Wallet& w) const;
    bool within_day(const Visit& v, const Wallet& w) const;
    bool paid_lately(const Visit& v, const Wallet& w) const;
    std::optional<Debit> read_again(const Visit& v, const Held& w);
    std::optional<Debit> read_again(const Visit& v, const Held& w, const PastCoin& c, const std::optional<Entry>& e);
    PaymentPayload payload(const GrantedCoin& c, std::uint32_t index);
    Debit debit(const Visit& v, const Held& w, PaymentPayload payload) const;

    // The steps of a payment that is allowed. True: go on with the next.
    struct Payment {
        const Visit& visit;
        Considered& out;
        Held wallet;
        std::optional<Entry> entry = {};
        std::uint32_t units = 0;
        bool refreshed = false, acquired = false;
    };
    void pay(Payment& p);
    bool suffices(const Payment& p) const;
    bool still_stands(Payment& p);
    bool keep(Payment& p, std::shared_ptr<Wallet> fresh);
    void ended(Payment& p);
    bool refresh(Payment& p);
    bool acquire(Payment& p);
    bool use(Payment& p);
    std::optional<std::uint32_t> told_spent(Payment& p);
    struct Ticketed {
        std::optional<Debit> debit;  // nothing: every ticket is used or taken
        bool over = false;           // or the day is full, and she is to be asked
    };
    // Errors: said already.
    Result<Ticketed> with_ticket(const Visit& v, const Held& w, const Entry& e, std::uint32_t units, std::uint32_t least);

    std::uint32_t too_often(std::string_view peer, UnixTime now);
    void tell_left(const Notes::Untold& e, std::set<std::string>& silent);
    void come_home(const Login& login, Document document, std::string_view cookies, UnixTime now, Begun& out);
    void add_paid(std::vector<Paid>& out, const Tag16& coin, UnixTime since);
    std::string url(std::string_view target) const { return o_.origin + safe_target(target); }
    void say(custody::Log::Level level, const std::string& text) const { world_.log.write(level, text); }

    const Options o_;
    till::Till& till_;
    custody::Keeper& keeper_;
    const custody::World world_;
    const Cookies cookies_;
    Chains chains_;
    Refreshes refreshes_;
    Consents consents_;
    std::string directory_;
    std::unique_ptr<SealedStore> store_;
    std::unique_ptr<Picks> picks_;
    std::unique_ptr<Notes> notes_;
    std::unique_ptr<Vault> vault_;
    std::mutex exchanges_mutex_;
    world::RateLimiter exchanges_;
    std::atomic<std::uint32_t> exchanging_ = 0;
};

Result<bool> StoredWallets::start() {
    if (o_.keys.empty()) return {Code::malformed, "e-wallets: no key"};
    directory_ = o_.directory + "/ewallets";
    if (auto made = world_.disk.make_directory(directory_); !made) return made;
    auto store = SealedStore::open(directory_, o_.origin, o_.keys, world_.random);
    if (!store) return store.error();
    auto picks = Picks::open(directory_);
    if (!picks) return picks.error();
    auto notes = Notes::open(directory_);
    if (!notes) return notes.error();
    store_ = std::move(*store);
    notes_ = std::move(*notes);
    picks_ = std::move(*picks);
    vault_ = std::make_unique<Vault>(*store_, cookies_, world_.random);
    return true;
}

// What the browser has; a copy of an e-wallet that was left here is none.
Result<Vault::Found> StoredWallets::presented(std::string_view cookies, UnixTime now, bool server, bool cookie) {
    auto found = vault_->open(cookies, now, server, cookie);
    if (!found || !found->wallet) return found;
    const auto left = notes_->has_left(found->wallet->binding);
    if (!left) return left.error();
    if (*left) {
        found->cookies.clear();
        found->wallet.reset();
    }
    return found;
}

// The browser's e-wallet; one that is over is taken from it.
StoredWallets::Opening StoredWallets::open_wallet(std::string_view cookies, UnixTime now, bool server, bool cookie, Over over) {
    Opening o;
    auto found = presented(cookies, now, server, cookie);
    if (!found) {
        say(custody::Log::Level::error, found.error().detail);
        return o;
    }
    o.cookies = std::move(found->cookies);
    if (!found->wallet) {
        if (found->presented) o.cookies.push_back(vault_->clear());
        return o;
    }
    const auto& d = found->wallet->document;
    const bool accepted = std::find(o_.issuers.begin(), o_.issuers.end(), d.issuer) != o_.issuers.end();
    if (!accepted || d.until < now || is_gone(till_.find(d.coin.tag), d.coin.epoch)) {
        o.moved_from = d.issuer;
        o.cookies.clear();
        if (over == Over::taken) o.cookies.push_back(vault_->drop(*found->wallet));
        return o;
    }
    o.wallet = std::make_shared<Wallet>(std::move(*found->wallet));
    return o;
}

Standing StoredWallets::standing_of(const Wallet& w, const std::optional<Entry>& e) const {
    const auto& d = w.document;
    const auto spent = spent_of(d.coin, e);
    Standing s;
    s.kind = Standing::Kind::held;
    s.issuer = d.issuer;
    s.currency = d.currency;
    s.balance = worth(d.coin, d.coin.n, spent);
    s.today = worth(d.coin, d.coin.granted, spent);
    s.per_page = d.per_page;
    s.per_day = d.per_day;
    s.automatic = d.automatic;
    return s;
}

// Whether the reader said yes to this page by an order a moment ago.
bool StoredWallets::asked(const Visit& v, const Wallet& w) const {
    return v.ordered_ok && ordered(cookies_, v.cookies, {w.binding, v.target, v.price}, v.now);
}

// Whether she did so, or by "automatic" for pages up to a price.
bool StoredWallets::allowed(const Visit& v, const Wallet& w) const {
    const auto& d = w.document;
    if (v.price.currency != d.currency) return false;
    return asked(v, w) || (v.unasked && d.automatic && v.price.amount <= d.per_page && !paid_lately(v, w));
}

// Whether the page was paid within the grace time. The till replays a coin's
// latest payments (limits::recent_tickets); an older one, and a page that was
// given back, would be paid once more, which she does not expect: she is asked.
bool StoredWallets::paid_lately(const Visit& v, const Wallet& w) const {
    const auto by = [&](const Tag16& coin) {
        const auto page = picks_->of(coin, v.resource);
        if (!page || v.now - page->at > v.grace_s) return false;
        const auto e = till_.find(coin);
        return e && e->state.tickets.contains(page->ticket);
    };
    const auto& d = w.document;
    return by(d.coin.tag) || (d.past && by(d.past->tag));
}

// What is granted may be of several days, as what was not spent yesterday is.
// Without asking her no more than a day's limit of it is taken in a day.
bool StoredWallets::within_day(const Visit& v, const Wallet& w) const {
    const auto& d = w.document;
    return asked(v, w) || picks_->taken(reader_tag(d), v.now).micro() + v.price.amount.micro() <= d.per_day.micro();
}

// W_index with what custody needs to get the coin.
PaymentPayload StoredWallets::payload(const GrantedCoin& c, std::uint32_t index) {
    PaymentPayload p;
    p.coin = c.name;
    p.tag = c.tag;
    p.index = index;
    p.payword = chains_.at(c.tag, c.salt, c.granted, c.word, index);
    p.touchstone = c.touchstone;
    p.holder = c.holder;
    if (c.holder) p.held = c.held;
    return p;
}

Debit StoredWallets::debit(const Visit& v, const Held& w, PaymentPayload payload) const {
    Debit d{std::move(payload), {}, w, false};
    if (auto done = order_done(cookies_, v.cookies, v.target); !done.empty()) d.cookies.push_back(std::move(done));
    return d;
}

// A page paid for lately is read again by the ticket that paid it, which no
// till charges twice: no order is needed, and "automatic" neither.
std::optional<Debit> StoredWallets::read_again(const Visit& v, const Held& w) {
    const auto& c = w->document.coin;
    if (auto d = read_again(v, w, past_of(c), till_.find(c.tag))) return d;
    const auto& past = w->document.past;
    return past ? read_again(v, w, *past, till_.find(past->tag)) : std::nullopt;
}

std::optional<Debit> StoredWallets::read_again(const Visit& v, const Held& w, const PastCoin& c, const std::optional<Entry>& e) {
    if (!held(e, v.now)) return std::nullopt;
    for (const auto& t : e->state.recent) {
        if (!t.index || t.resource != v.resource || v.now - t.used_at > v.grace_s || t.index > c.granted) continue;
        PaymentPayload p;
        p.coin = c.name;
        p.tag = c.tag;
        p.index = t.index;
        p.payword = chains_.at(c.tag, c.salt, c.granted, c.word, t.index);
        auto d = debit(v, w, std::move(p));
        d.again = true;
        return d;
    }
    return std::nullopt;
}

bool StoredWallets::suffices(const Payment& p) const {
    const auto& c = p.wallet->document.coin;
    return std::uint64_t{spent_of(c, p.entry)} + p.units <= c.granted;
}

// What the broker is to be told is spent of the coin. It keeps that, so none
// of it is given back to the reader any more. Nothing: the till cannot say so now.
std::optional<std::uint32_t> StoredWallets::told_spent(Payment& p) {
    const auto& c = p.wallet->document.coin;
    for (int tries = 0; p.entry && tries < 3; ++tries) {
        const till::Till::Shown shown{c.tag, p.entry->state.spent, p.entry->given_back};
        const auto stands = till_.show(std::span(&shown, 1));
        if (!stands) say(custody::Log::Level::error, stands.error().detail);
        if (!stands) return std::nullopt;
        if (stands->front()) break;
        p.entry = till_.find(c.tag);
    }
    return spent_of(c, p.entry);
}

// More of the grant, or another coin.
bool StoredWallets::refresh(Payment& p) {
    const auto& v = p.visit;
    const auto& before = p.wallet->document;
    p.refreshed = true;
    const auto enough = [&](const Document& d) {
        const auto units = units_for(v.price.amount, d.coin.unit);
        const bool more = d.coin.tag != before.coin.tag || d.coin.granted > before.coin.granted;
        return more && units && std::uint64_t{spent_of(d.coin, till_.find(d.coin.tag))} + *units <= d.coin.granted;
    };
    const auto spent = told_spent(p);
    auto answer = spent ? refreshes_.ask(*p.wallet, v.price.amount, *spent, v.now, enough) : Refreshes::Answer();
    auto& kind = p.out.standing.kind;
    switch (answer.said) {
        case Refreshes::Said::day_limit: kind = Standing::Kind::day_limit; return false;
        case Refreshes::Said::too_little: kind = Standing::Kind::too_little; return false;
        case Refreshes::Said::silent: p.out.standing.broker_silent = true; return false;
        case Refreshes::Said::ended: ended(p); return false;
        case Refreshes::Said::fresh: break;
    }
    auto fresh = std::make_shared<Wallet>();
    fresh->document = std::move(*answer.document);
    fresh->binding = p.wallet->binding;
    fresh->sid = p.wallet->sid.clone();
    fresh->document.coin.epoch = ended_epoch(till_.find(fresh->document.coin.tag));
    if (fresh->document.coin.tag == before.coin.tag) {
        fresh->document.coin.epoch = before.coin.epoch;
        fresh->document.past = before.past;
    } else {
        fresh->document.past = past_of(before.coin);
        p.acquired = false;
    }
    return keep(p, std::move(fresh));
}

void StoredWallets::ended(Payment& p) {
    p.out.cookies = {vault_->drop(*p.wallet)};
    p.out.standing = moved_from(p.wallet->document.issuer);
    p.wallet = nullptr;
}

// Goes on with a document that has changed.
bool StoredWallets::keep(Payment& p, std::shared_ptr<Wallet> fresh) {
    auto kept = vault_->keep(*fresh, p.visit.now);
    if (!kept && kept.error().code == Code::expired) {  // she signed out meanwhile
        p.out.standing = {};
        p.wallet = nullptr;
        return false;
    }
    if (!kept) {
        say(custody::Log::Level::error, kept.error().detail);
        return false;
    }
    if (!kept->empty()) p.out.cookies = std::move(*kept);
    p.wallet = std::move(fresh);
    return true;
}

// Before money is taken on her word of a while ago: whether she signed out,
// took the e-wallet away or changed her limits since. A broker that does not
// answer stops nobody; what is granted is a day's at most.
bool StoredWallets::still_stands(Payment& p) {
    const auto& d = p.wallet->document;
    if (p.visit.now - d.at <= Consents::good_s) return true;
    const auto answer = consents_.ask(*p.wallet, p.visit.now);
    if (answer.said == Consents::Said::silent) return true;
    if (answer.said == Consents::Said::ended) {
        ended(p);
        return false;
    }
    auto fresh = std::make_shared<Wallet>();
    fresh->document = copy_document(d);
    set_terms(fresh->document, answer.terms);
    fresh->binding = p.wallet->binding;
    fresh->sid = p.wallet->sid.clone();
    if (!keep(p, std::move(fresh))) return false;
    p.out.standing = standing_of(*p.wallet, till_.find(p.wallet->document.coin.tag));
    return allowed(p.visit, *p.wallet) && within_day(p.visit, *p.wallet);
}

// The coin to this till.
bool StoredWallets::acquire(Payment& p) {
    const auto& c = p.wallet->document.coin;
    p.acquired = true;
    const auto top = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(c.granted, std::uint64_t{spent_of(c, p.entry)} + p.visit.max_hop));
    const auto wanted = payload(c, top);
    const auto a = p.entry ? keeper_.regain(wanted, p.visit.max_hop) : keeper_.acquire(wanted, p.visit.max_hop);
    const bool got = a.taken == Taken::held;
    if (o_.counters) {
        o_.counters->count(p.entry ? (got ? Tick::regain : Tick::regain_failed) : (got ? Tick::acquire : Tick::acquire_failed));
        if (const auto tick = takeover_tick(a.way); got && tick) o_.counters->count(*tick);
    }
    if (got) return true;
    if (a.taken == Taken::unavailable) {
        say(custody::Log::Level::warning, "coin " + c.name.substr(0, short_coin) + ": " + a.detail);
        p.out.refusal = refuse::unavailable(Decision::custody_unavailable, a.retry_after_s);
        return false;
    }
    // It was spent elsewhere, returned, or is past its time: the broker knows what there is instead.
    if (!p.refreshed && refresh(p)) {
        p.acquired = false;
        return true;
    }
    if (p.out.standing.broker_silent) p.out.refusal = refuse::unavailable(Decision::custody_unavailable, busy_retry_s);
    else if (p.out.standing.kind == Standing::Kind::held) ended(p);
    return false;
}

Result<StoredWallets::Ticketed> StoredWallets::with_ticket(const Visit& v, const Held& w, const Entry& e, std::uint32_t units,
                                                           std::uint32_t least) {
    const auto& c = w->document.coin;
    Picks::Wish wish;
    wish.coin = c.tag;
    wish.resource = v.resource;
    wish.state = &e.state;
    // The till lets nothing hop further.
    wish.granted = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(c.granted, std::uint64_t{e.state.revealed} + v.max_hop));
    wish.units = units;
    wish.least = least;
    wish.target = v.target;
    wish.price = v.price;
    wish.now = v.now;
    wish.grace_s = v.grace_s;
    if (!asked(v, *w)) wish.unasked = {reader_tag(w->document), w->document.per_day};
    const auto ticket = picks_->pick(wish);
    if (!ticket) {
        say(custody::Log::Level::error, ticket.error().detail);
        return ticket.error();
    }
    if (!ticket->ticket) return Ticketed{std::nullopt, ticket->over};
    auto p = payload(c, *ticket->ticket);
    p.holder.reset();  // it is held here
    p.held.reset();
    return Ticketed{debit(v, w, std::move(p))};
}

// False: there are units, and no ticket.
bool StoredWallets::use(Payment& p) {
    // Another tab may have paid it since consider() looked; to the ticket's
    // choice a page that is not paid yet must look so in the same state.
    p.out.debit = read_again(p.visit, p.wallet, past_of(p.wallet->document.coin), p.entry);
    if (p.out.debit) return true;
    auto d = with_ticket(p.visit, p.wallet, *p.entry, p.units, 0);
    if (d) p.out.debit = std::move(d->debit);
    else p.out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
    return p.out.debit || p.out.refusal || d->over;
}

// Refreshed and acquired at most once each, a coin that came by a refresh once more.
void StoredWallets::pay(Payment& p) {
    if (!still_stands(p)) return;
    for (;;) {
        const auto& c = p.wallet->document.coin;
        p.entry = till_.find(c.tag);
        p.out.standing = standing_of(*p.wallet, p.entry);
        const auto units = units_for(p.visit.price.amount, c.unit);
        if (!units) {
            p.out.standing.kind = Standing::Kind::too_little;
            return;
        }
        p.units = *units;
        // What was given back has its units and not its ticket, and other tabs
        // hold some: then there may be none, though the grant suffices.
        const bool enough = suffices(p), here = held(p.entry, p.visit.now);
        if (enough && here && use(p)) return;
        if (!enough || here) {
            if (p.refreshed) {
                p.out.standing.kind = Standing::Kind::day_limit;
                return;
            }
            if (!refresh(p)) return;
            continue;
        }
        // The coin is elsewhere. Whether it may still be fetched is the broker's
        // to say: the reader may have taken the e-wallet to another site.
        if (!p.refreshed && p.visit.now - p.wallet->document.at > fresh_s) {
            if (!refresh(p)) return;
            continue;
        }
        if (p.acquired) {
            p.out.refusal = refuse::unavailable(Decision::custody_unavailable, busy_retry_s);
            return;
        }
        if (!acquire(p)) return;
    }
}

Considered StoredWallets::consider(const Visit& v) {
    Considered out;
    auto o = open_wallet(v.cookies, v.now, v.server, v.cookie);
    out.cookies = std::move(o.cookies);
    if (!o.moved_from.empty()) out.standing = moved_from(o.moved_from);
    if (!o.wallet) return out;
    const Wallet& w = *o.wallet;
    const auto& c = w.document.coin;
    const auto e = till_.find(c.tag);
    out.standing = standing_of(w, e);
    if ((out.debit = read_again(v, o.wallet))) return out;
    if (v.price.currency != w.document.currency) {
        out.standing = {};
        return out;
    }
    if (!allowed(v, w) || !within_day(v, w)) {
        // As it would come out, where that is known.
        const auto units = units_for(v.price.amount, c.unit);
        const bool enough = units && std::uint64_t{spent_of(c, e)} + *units <= c.granted;
        const auto said = enough ? std::nullopt : refreshes_.denied(w, v.price.amount, v.now);
        if (said == Refreshes::Said::day_limit) out.standing.kind = Standing::Kind::day_limit;
        if (said == Refreshes::Said::too_little) out.standing.kind = Standing::Kind::too_little;
        return out;
    }
    Payment p{v, out, o.wallet};
    pay(p);
    return out;
}

std::optional<Debit> StoredWallets::next(const Visit& v, const Debit& debit, const Refusal& refusal) {
    const bool spent = refusal.decision == Decision::already_spent;
    const bool short_of = refusal.decision == Decision::insufficient && refusal.needed && !debit.again;
    if ((!spent && !short_of) || !debit.wallet || !allowed(v, *debit.wallet)) return std::nullopt;
    const auto& c = debit.wallet->document.coin;
    const auto e = till_.find(c.tag);
    const auto units = units_for(v.price.amount, c.unit);
    if (!held(e, v.now) || !units) return std::nullopt;
    if (!debit.again)
        if (auto paid = read_again(v, debit.wallet, past_of(c), e)) return paid;
    if (std::uint64_t{e->state.spent} + *units > c.granted) return std::nullopt;
    auto other = with_ticket(v, debit.wallet, *e, *units, short_of ? *refusal.needed : 0);
    return other ? std::move(other->debit) : std::nullopt;
}

std::string StoredWallets::form_token(const Visit& v) {
    const auto o = open_wallet(v.cookies, v.now, v.server, v.cookie);
    return ewallet::form_token(cookies_, {o.wallet ? o.wallet->binding : std::string(), v.target, v.price}, v.now);
}

std::optional<Price> StoredWallets::form_token_ok(const Visit& v, std::string_view token) {
    const auto o = open_wallet(v.cookies, v.now, v.server, v.cookie);
    return form_token_price(cookies_, o.wallet ? o.wallet->binding : std::string(), v.target, token, v.now);
}

std::string StoredWallets::order(const Visit& v) {
    const auto o = open_wallet(v.cookies, v.now, v.server, v.cookie);
    return order_cookie(cookies_, {o.wallet ? o.wallet->binding : std::string(), v.target, v.price}, v.now);
}

Result<Begun> StoredWallets::begin(const Visit& v, const std::string& issuer, bool cookie_kind) {
    if (std::find(o_.issuers.begin(), o_.issuers.end(), issuer) == o_.issuers.end())
        return {Code::mismatch, "a broker not accepted here"};
    if (!(cookie_kind ? v.cookie : v.server)) return {Code::mismatch, "a kind of e-wallet not offered here"};
    Login login;
    login.issuer = issuer;
    login.target = v.target;
    login.in_cookie = cookie_kind;
    login.server_too = v.server;
    login.price = v.price;
    auto b = begin_login(cookies_, world_.random, std::move(login), o_.origin + std::string(callback_path), v.cookies, v.now);
    if (!b) return b.error();
    return Begun{std::move(b->location), std::move(b->cookies), std::nullopt};
}

// Seconds to wait, where this address has sent so many already.
std::uint32_t StoredWallets::too_often(std::string_view peer, UnixTime now) {
    const std::lock_guard g(exchanges_mutex_);
    return static_cast<std::uint32_t>(
        exchanges_.take(world::rate_key(peer), 0, exchanges_a_second, exchanges_at_once, static_cast<double>(now)));
}

Begun StoredWallets::finish(std::string_view cookies, const form::Fields& query, std::string_view peer, UnixTime now) {
    Begun out;
    const auto login = login_of(cookies_, cookies, query, now);
    if (!login) {
        out.location = url(wallet_path);
        return out;
    }
    out.location = url(login->target);
    out.cookies.push_back(login_done(cookies_, *login));
    const auto code = query.find("code");
    if (code == query.end()) return out;  // she said no, or the broker did
    if (!b64u_decode_array<32>(code->second)) {
        out.refusal = not_got(400, {});
        return out;
    }
    const Counted counted(exchanging_);
    const auto wait = counted.before() >= most_exchanging ? busy_retry_s : too_often(peer, now);
    if (wait) {
        out.cookies.clear();
        out.refusal = refuse::unavailable(Decision::custody_unavailable, wait);
        return out;
    }
    const auto first = notes_->use_state(login->state, now + login_life_s);
    if (first && !*first) return out;  // as by the back button; what came of it is in this browser
    if (!first) {
        say(custody::Log::Level::error, first.error().detail);
        out.cookies.clear();
        out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
        return out;
    }
    const auto reply = keeper_.ask(login->issuer, "ewallet/token",
                                   json::Object()
                                       .set("code", code->second)
                                       .set("redirect_uri", o_.origin + std::string(callback_path))
                                       .set("code_verifier", login->verifier.expose()));
    if (reply.status == 0) {
        (void)notes_->forget_state(login->state);
        out.cookies.clear();
        out.refusal = refuse::unavailable(Decision::custody_unavailable, reply.retry_after_s);
        return out;
    }
    if (reply.status != 200) {
        say(custody::Log::Level::warning, reply.detail);
        out.refusal = not_got(reply.status, reply.kind);
        return out;
    }
    auto d = read_answer(reply.body->root(), login->issuer, o_.origin, {}, keeper_, chains_, now);
    if (d) come_home(*login, std::move(*d), cookies, now, out);
    else {
        say(custody::Log::Level::error, d.error().detail);
        out.refusal = not_got(200, {});
    }
    return out;
}

// The grant into the browser, in place of what it had, and the page she came from.
void StoredWallets::come_home(const Login& login, Document document, std::string_view cookies, UnixTime now, Begun& out) {
    Wallet w;
    w.document = std::move(document);
    w.binding = binding_of(w.document.grant);
    w.document.coin.epoch = ended_epoch(till_.find(w.document.coin.tag));
    const auto before = presented(cookies, now, true, true);
    if (before && before->wallet) {
        const auto& old = before->wallet->document;
        if (old.coin.tag == w.document.coin.tag) w.document.past = old.past;
        else w.document.past = past_of(old.coin);
    }
    auto cookie = vault_->found(w, login.in_cookie, now);
    if (!cookie && cookie.error().code == Code::limit && login.in_cookie && login.server_too)
        cookie = vault_->found(w, false, now);
    if (!cookie) {
        say(custody::Log::Level::error, cookie.error().detail);
        out.refusal = not_got(200, {});
        if (cookie.error().code == Code::limit)
            out.refusal->detail = "This e-wallet is too long for a cookie, and nothing was charged. Open the page and have it kept at the site.";
        return;
    }
    if (before && before->wallet) vault_->replace(*before->wallet, now);
    out.cookies.push_back(std::move(*cookie));
    if (login.price.amount.micro())
        if (auto order = order_cookie(cookies_, {w.binding, login.target, login.price}, now); !order.empty())
            out.cookies.push_back(std::move(order));
}

Begun StoredWallets::leave(std::string_view cookies, UnixTime now) {
    Begun out;
    out.location = url(wallet_path);
    const auto found = presented(cookies, now, true, true);
    if (!found) {
        out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
        return out;
    }
    if (!found->presented) return out;
    if (!found->wallet) {
        out.cookies.push_back(vault_->clear());
        return out;
    }
    // Noted first: whatever fails after it, no copy of the e-wallet is good here.
    const auto& w = *found->wallet;
    std::string text = json::Object().set("issuer", w.document.issuer).set("grant", w.document.grant.expose()).jcs();
    const auto sealed = cookies_.seal(leaving, text);
    cleanse(text.data(), text.size());
    const auto noted = notes_->leave(w.binding, sealed, w.document.until);
    if (sealed.empty() || !noted) {
        say(custody::Log::Level::error, noted ? "e-wallets: no entropy" : noted.error().detail);
        out.refusal = refuse::unavailable(Decision::till_unavailable, busy_retry_s);
        return out;
    }
    out.cookies.push_back(vault_->drop(w));
    std::set<std::string> silent;
    tell_left({w.binding, sealed}, silent);
    return out;
}

// Tells the broker of an e-wallet that was left, unless it did not answer a moment ago.
void StoredWallets::tell_left(const Notes::Untold& e, std::set<std::string>& silent) {
    const auto opened = cookies_.open(leaving, e.what);
    const auto doc = opened ? json::Document::parse(opened->plain.expose()) : Result<json::Document>(Code::malformed, "");
    if (doc) {
        const std::string issuer(doc->root().string("issuer").value_or(""));
        if (silent.contains(issuer)) return;
        const auto reply = keeper_.ask(issuer, "ewallet/leave", json::Object().set("grant", doc->root().string("grant").value_or("")));
        if (reply.status == 0) {
            silent.insert(issuer);
            return;
        }
    }
    if (const auto done = notes_->told(e.binding); !done) say(custody::Log::Level::error, done.error().detail);
}

void StoredWallets::add_paid(std::vector<Paid>& out, const Tag16& coin, UnixTime since) {
    const auto e = till_.find(coin);
    if (!e) return;
    const auto picked = picks_->of(coin);
    for (const auto& t : e->state.recent) {
        if (!t.index || t.used_at < since) continue;
        const auto p = std::find_if(picked.begin(), picked.end(), [&](const Picks::Picked& q) {
            return q.resource == t.resource && q.ticket == t.index && !q.target.empty();
        });
        if (p != picked.end()) out.push_back({p->target, coin, t.index, t.resource, p->units, p->price, t.used_at});
    }
}

std::optional<Sight> StoredWallets::look(std::string_view cookies, UnixTime now, std::int64_t window_s) {
    const auto o = open_wallet(cookies, now, true, true, Over::left_there);
    Sight s;
    if (!o.moved_from.empty()) {
        s.standing = moved_from(o.moved_from);
        return s;
    }
    if (!o.wallet) return std::nullopt;
    const auto& d = o.wallet->document;
    s.standing = standing_of(*o.wallet, till_.find(d.coin.tag));
    s.until = d.until;
    s.in_cookie = o.wallet->in_cookie();
    s.reader = reader_tag(d);
    add_paid(s.paid, d.coin.tag, now - window_s);
    if (d.past) add_paid(s.paid, d.past->tag, now - window_s);
    std::stable_sort(s.paid.begin(), s.paid.end(), [](const Paid& a, const Paid& b) { return a.at > b.at; });
    return s;
}

Wallets::GiveBackNote StoredWallets::note_given_back(const Sight& sight, const Paid& page, std::uint32_t most, UnixTime now) {
    const auto noted = notes_->give_back(sight.reader, page.resource, most, now);
    if (!noted) say(custody::Log::Level::error, noted.error().detail);
    if (!noted) return GiveBackNote::unavailable;
    switch (*noted) {
        case Notes::Noted::noted: return GiveBackNote::noted;
        case Notes::Noted::again: return GiveBackNote::again;
        case Notes::Noted::too_many: break;
    }
    return GiveBackNote::too_many;
}

void StoredWallets::forget_given_back(const Sight& sight, const Paid& page, UnixTime now) {
    if (const auto gone = notes_->forget_give_back(sight.reader, page.resource, now); !gone)
        say(custody::Log::Level::error, gone.error().detail);
}

void StoredWallets::sweep(UnixTime now) {
    const auto stamp_path = directory_ + "/swept";
    const auto recently = [&] {
        const auto s = world_.disk.stamp(stamp_path);
        const auto ago = s ? now - s->changed_ns / 1000000000 : -1;
        return ago >= 0 && ago < sweep_s;
    };
    if (recently()) return;
    const auto lock = custody::ByteLock::take(directory_ + "/lock", 1, std::chrono::milliseconds(0));
    if (!lock || recently()) return;
    if (const auto set = world_.disk.set_time(stamp_path, now); !set) return say(custody::Log::Level::error, set.error().detail);
    const auto gone = [&](const SealedStore::Label& l) { return is_gone(till_.find(l.coin), l.epoch); };
    if (const auto done = store_->sweep(now, gone); !done) say(custody::Log::Level::error, done.error().detail);
    if (const auto done = picks_->sweep(now); !done) say(custody::Log::Level::error, done.error().detail);
    if (const auto done = notes_->sweep(now); !done) say(custody::Log::Level::error, done.error().detail);
    std::set<std::string> silent;
    for (const auto& e : notes_->untold(told_at_once)) tell_left(e, silent);
}

}  // namespace

Result<std::unique_ptr<Wallets>> Wallets::open(Options options, till::Till& till, custody::Keeper& keeper,
                                               custody::World world) {
    auto w = std::make_unique<StoredWallets>(std::move(options), till, keeper, world);
    if (const auto started = w->start(); !started) return started.error();
    return std::unique_ptr<Wallets>(std::move(w));
}

}  // namespace netpay::ewallet
