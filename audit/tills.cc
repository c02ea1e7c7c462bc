// A vendor's till against the store: what it holds is what the broker signed,
// its paywords hash to the root, and nothing was credited that it did not sell.
//
// The store's snapshot is older than what is read here, and a coin in use is
// read before where it rests, so that what the till sold can only be more.
#include <lmdb.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <set>

#include "audit/desk.h"
#include "core/base64url.h"
#include "core/json.h"
#include "core/jws.h"
#include "core/payword.h"
#include "mod_netpay/till/hot_table.h"
#include "mod_netpay/till/snapshot.h"

namespace netpay::audit {
namespace {

using till::Papers;
using till::Snapshot;

// What is needed of a coin's state.
struct State {
    std::uint64_t version = 0;
    Salt salt{};
    std::uint32_t n = 0, start = 0, spent = 0, revealed = 0;
    Payword word;
};

State state_of(std::uint64_t version, const SpendState& s) {
    return {version, s.salt, s.n, s.start, s.spent, s.revealed, s.word};
}

// The coins in use: one entry a slot of the table.
struct Hot {
    std::map<Tag16, State> states;
    std::set<Tag16> busy;
};

Result<Hot> read_hot(const std::string& directory) {
    Hot hot;
    const auto done = till::HotTable::look(directory, {[&](const till::Image& i) {
                                                           auto& s = hot.states[i.terms.coin];
                                                           if (s.n == 0 || i.version > s.version) s = state_of(i.version, i.state);
                                                       },
                                                       [&](const Tag16& coin) { hot.busy.insert(coin); }});
    if (!done) return done.error();
    return hot;
}

// coins.mdb, for reading. Where it has a lock file others may have it open,
// and this reader is entered there; else nobody has, and no file is made.
class Cold {
public:
    static Result<std::unique_ptr<Cold>> open(const std::string& directory) {
        std::unique_ptr<Cold> c(new Cold);
        const std::string path = directory + "/coins.mdb";
        struct stat s {};
        if (stat(path.c_str(), &s) != 0) return Error{Code::malformed, "till " + path + ": " + std::strerror(errno)};
        const bool shared = stat((path + "-lock").c_str(), &s) == 0;
        int code = mdb_env_create(&c->env_);
        if (!code) code = mdb_env_set_maxdbs(c->env_, 8);
        if (!code) code = mdb_env_open(c->env_, path.c_str(), MDB_NOSUBDIR | MDB_RDONLY | MDB_NOTLS | (shared ? 0u : MDB_NOLOCK), 0600);
        if (!code) code = mdb_txn_begin(c->env_, nullptr, MDB_RDONLY, &c->txn_);
        if (!code) code = mdb_dbi_open(c->txn_, "papers", 0, &c->papers_);
        if (!code) code = mdb_dbi_open(c->txn_, "states", 0, &c->states_);
        if (!code) code = mdb_cursor_open(c->txn_, c->papers_, &c->cursor_);
        if (code) return Error{Code::malformed, "till " + path + ": " + mdb_strerror(code)};
        return c;
    }
    ~Cold() {
        if (cursor_) mdb_cursor_close(cursor_);
        if (txn_) mdb_txn_abort(txn_);
        if (env_) mdb_env_close(env_);
    }
    Cold(const Cold&) = delete;
    Cold& operator=(const Cold&) = delete;

    struct Coin {
        Tag16 tag{};
        std::optional<Papers> papers;  // nullopt: cannot be decoded
        std::optional<Snapshot> state;
    };
    // The next coin in the order of the store.
    std::optional<Coin> next() {
        MDB_val k{}, v{};
        for (;;) {
            const int code = mdb_cursor_get(cursor_, &k, &v, began_ ? MDB_NEXT : MDB_FIRST);
            began_ = true;
            if (code == MDB_NOTFOUND) return std::nullopt;
            if (code) throw Unreadable(std::string("a till cannot be read: ") + mdb_strerror(code));
            if (k.mv_size == sizeof(Tag16)) break;
        }
        Coin c;
        std::memcpy(c.tag.data(), k.mv_data, c.tag.size());
        c.papers = till::decode_papers({static_cast<const char*>(v.mv_data), v.mv_size});
        if (mdb_get(txn_, states_, &k, &v) == 0) c.state = till::decode_snapshot({static_cast<const char*>(v.mv_data), v.mv_size});
        return c;
    }
    std::uint64_t count() const {
        MDB_stat s{};
        return mdb_stat(txn_, papers_, &s) == 0 ? s.ms_entries : 0;
    }

private:
    Cold() = default;
    MDB_env* env_ = nullptr;
    MDB_txn* txn_ = nullptr;
    MDB_cursor* cursor_ = nullptr;
    MDB_dbi papers_ = 0, states_ = 0;
    bool began_ = false;
};

// Whose till it is, by the note the module leaves there; empty: none.
std::string vendor_named(const std::string& directory) {
    std::FILE* in = std::fopen((directory + "/vendor.json").c_str(), "re");
    if (!in) return {};
    char buffer[65536];
    const auto n = std::fread(buffer, 1, sizeof buffer, in);
    std::fclose(in);
    const auto doc = json::Document::parse({buffer, n});
    return doc ? std::string(doc->root().string("vendor").value_or("")) : std::string();
}

class TillCheck {
public:
    TillCheck(Desk& desk, std::string vendor)
        : desk_(desk),
          vendor_(std::move(vendor)),
          coin_(desk.db.prepare("SELECT id, unit, cur FROM coins WHERE coin = ?")),
          top_(desk.db.prepare("SELECT COALESCE(MAX(r.hi), 0) FROM credits r JOIN epochs e ON e.coin = r.coin AND e.epoch = r.epoch "
                               "JOIN vendors v ON v.id = e.vendor WHERE r.coin = ? AND v.origin = ?")),
          epoch_(desk.db.prepare("SELECT v.origin, e.custody FROM epochs e JOIN vendors v ON v.id = e.vendor WHERE e.coin = ? AND e.epoch = ?")),
          shown_(desk.db.prepare("SELECT COUNT(*) FROM signed_indices WHERE token = ?")) {}

    void coin(const Cold::Coin& c, const State* hot, bool busy) {
        name_ = b64u_encode(c.tag);
        unit_ = 0;
        if (!c.papers) return fault("till-damaged", "The papers of the coin cannot be read.");
        const auto& p = *c.papers;
        if (p.coin.terms.iss != desk_.issuer()) return;  // another broker's
        if (p.damaged) note("till-damaged", "The till marked the coin's state as lost; it does not sell it.");
        if (!terms(p)) return;
        const auto vendor = custody(p);
        const auto s = newest(c, hot);
        if (!s) return fault("till-state", "The till has no state of the coin that can be read.");
        evidence::Proven proven(p.coin.terms.salt, p.coin.terms.n, p.coin.terms.root);
        state(p, *s, proven);
        desk_.summary.counts.hashes += proven.hashes();
        handed_over(p, *s, vendor);
        if (!busy && !p.damaged) credits(p, *s, vendor);
    }

private:
    void fault(std::string code, std::string sentence, std::uint64_t units = 0) {
        const auto amount = units * unit_;
        desk_.fault({std::move(code), name_, vendor_, amount, amount ? cur_ : std::string(), std::move(sentence)});
    }
    void note(std::string code, std::string sentence) { desk_.note({std::move(code), name_, vendor_, 0, {}, std::move(sentence)}); }

    // False: nothing else can be judged.
    bool terms(const Papers& p) {
        const auto& t = p.coin.terms;
        ++desk_.summary.counts.signatures;
        const auto v = verify_touchstone(p.coin.touchstone, desk_.issuer(), desk_.keys, 0);
        if (!v) return fault("till-touchstone", "The touchstone in the till does not verify: " + v.error().detail + "."), false;
        unit_ = v->unit.micro();
        cur_ = v->cur.str();
        if (v->coin != name_ || v->n != t.n || v->unit != t.unit || v->cur != t.cur || v->salt != t.salt || !(v->root == t.root) ||
            v->exp != t.exp)
            return fault("till-touchstone", "The till keeps other terms of the coin than its touchstone says."), false;
        known_ = coin_.with(name_).step();
        id_ = known_ ? coin_.number(0) : 0;
        if (!known_ && v->iat < desk_.opened - limits::request_skew_s)
            fault("till-coin", "The broker signed the coin's touchstone and its store does not know the coin.", t.n);
        return true;
    }

    // The vendor whose custody it is, by the tokens.
    std::string custody(const Papers& p) {
        const auto& c = p.coin;
        if (c.custody.empty()) return by_indices(p);
        ++desk_.summary.counts.signatures;
        const auto v = verify_custody(c.custody, desk_.keys);
        if (!v) return fault("till-custody", "The custody in the till does not verify: " + v.error().detail + "."), vendor_;
        if (v->iss != desk_.issuer() || v->coin != name_ || v->epoch != c.epoch || v->index != c.start || !(v->payword == c.word) ||
            (!vendor_.empty() && v->sub != vendor_))
            fault("till-custody", "The custody in the till is that of " + v->sub + " for epoch " + std::to_string(v->epoch) + " from " +
                                      std::to_string(v->index) + ", and it keeps epoch " + std::to_string(c.epoch) + " from " +
                                      std::to_string(c.start) + ".");
        if (known_ && v->iat < desk_.opened - limits::request_skew_s && !filed(v->epoch, v->sub))
            fault("till-epoch", "The broker signed custody of epoch " + std::to_string(v->epoch) + " for " + v->sub + ", and its store has no such epoch.");
        return v->sub;
    }

    bool filed(std::uint64_t epoch, const std::string& vendor) {
        return epoch_.with(id_, static_cast<std::int64_t>(epoch)).step() && epoch_.view(0) == vendor;
    }

    // Custody that the broker has not confirmed yet.
    std::string by_indices(const Papers& p) {
        // Dropped, or passed on before the broker decided so.
        const bool passed_on = p.standing == till::Standing::handed_over && p.void_epoch == p.coin.epoch;
        if ((p.standing == till::Standing::dropped || passed_on) && p.coin.indices.empty()) {
            note("dropped", "Taken over by a signed index for which the broker did not decide; units up to " +
                                std::to_string(p.coin.start) + " were spent then.");
            return vendor_;
        }
        std::string receiver;
        for (const auto& token : p.coin.indices) {
            const auto i = index(token);
            if (!i) return fault("till-index", "A signed index by which the coin was taken over does not verify: " + i.error().detail + "."), vendor_;
            receiver = i->aud;
            if (&token == &p.coin.indices.back() && (i->epoch + 1 != p.coin.epoch || i->index != p.coin.start || !(i->payword == p.coin.word)))
                fault("till-index", "The coin was taken over by an index at " + std::to_string(i->index) + ", and the till keeps " +
                                        std::to_string(p.coin.start) + ".",
                      distance(i->index, p.coin.start));
        }
        if (receiver.empty()) return fault("till-custody", "The till holds the coin by no custody and no signed index."), vendor_;
        note("unreported", "Taken over by " + receiver + " at " + std::to_string(p.coin.start) + ", not confirmed by the broker yet.");
        return receiver;
    }

    Result<SignedIndex> index(const std::string& token) {
        ++desk_.summary.counts.signatures;
        const auto payload = jws::peek(token);
        if (!payload) return payload.error();
        const auto iat = payload->root().uint("iat").value_or(0);
        auto i = verify_index(token, desk_.certified.keys(payload->root().string("iss").value_or(""), static_cast<UnixTime>(iat)));
        if (i && i->coin != name_) return {Code::mismatch, "it is of another coin"};
        return i;
    }

    std::optional<State> newest(const Cold::Coin& c, const State* hot) {
        std::optional<State> s;
        if (c.state) s = state_of(c.state->version, c.state->state);
        if (hot && (!s || hot->version > s->version)) s = *hot;
        return s;
    }

    void state(const Papers& p, const State& s, evidence::Proven& proven) {
        const auto& t = p.coin.terms;
        if (s.n != t.n || s.salt != t.salt || s.start > s.spent || s.spent > s.revealed || s.revealed > s.n || p.coin.start > s.spent)
            return fault("till-state", "The till's state of the coin is impossible: " + std::to_string(s.spent) + " spent of " +
                                           std::to_string(s.revealed) + " revealed, taken over at " + std::to_string(p.coin.start) + ".");
        if (!proven.prove(s.revealed, s.word))
            fault("till-payword", "The payword that the till keeps for unit " + std::to_string(s.revealed) + " is not of the chain.",
                  s.revealed - s.start);
        for (const auto& o : p.owed)
            if (o.from >= o.to || !proven.prove(o.to, o.word))
                fault("till-payword", "The till's proof of units " + std::to_string(o.from + 1) + " to " + std::to_string(o.to) +
                                          ", sold earlier, is not of the chain.",
                      distance(o.from, o.to));
        if (p.claimed > s.spent)
            fault("till-claimed", "The till claimed units up to " + std::to_string(p.claimed) + " and sold up to " + std::to_string(s.spent) + ".",
                  p.claimed - s.spent);
    }

    void handed_over(const Papers& p, const State& s, const std::string& vendor) {
        if (p.standing != till::Standing::handed_over || !p.handed_over) return;
        const auto i = index(p.handed_over->index);
        if (!i) return fault("till-handed-over", "The index by which the coin was handed over does not verify: " + i.error().detail + ".");
        if (i->iss != vendor || i->aud != p.handed_over->to || i->epoch != p.coin.epoch || i->index != s.spent)
            fault("till-handed-over", "The coin was handed over at " + std::to_string(i->index) + " of epoch " + std::to_string(i->epoch) + " to " +
                                          i->aud + ", and the till has " + std::to_string(s.spent) + " spent.",
                  distance(i->index, s.spent));
        if (!shown_.with(p.handed_over->index).step() || shown_.number(0) == 0)
            note("unreported", "Handed over to " + i->aud + " at " + std::to_string(i->index) + "; the broker has not been told.");
    }

    void credits(const Papers& p, const State& s, const std::string& vendor) {
        if (!known_) return;
        top_.with(id_, vendor);
        const auto top = top_.step() ? top_.number(0) : 0;
        if (top > s.spent)
            fault("till-overcredited", vendor + " was credited up to unit " + text(top) + " and sold up to " + std::to_string(s.spent) + ".",
                  distance(top, s.spent));
        else if (top > p.claimed)
            fault("till-claimed", vendor + " was credited up to unit " + text(top) + " and claimed up to " + std::to_string(p.claimed) + ".",
                  distance(top, p.claimed));
    }

    Desk& desk_;
    const std::string vendor_;
    Statement coin_, top_, epoch_, shown_;
    std::string name_, cur_;
    std::uint64_t unit_ = 0;
    std::int64_t id_ = 0;
    bool known_ = false;
};

}  // namespace

Result<bool> check_till(Desk& desk, const std::string& directory) {
    const auto hot = read_hot(directory);
    if (!hot) return hot.error();
    const auto cold = Cold::open(directory);
    if (!cold) return cold.error();
    TillCheck check(desk, vendor_named(directory));
    const auto count = (*cold)->count();
    std::uint64_t done = 0;
    while (const auto c = (*cold)->next()) {
        const auto at = hot->states.find(c->tag);
        check.coin(*c, at == hot->states.end() ? nullptr : &at->second, hot->busy.contains(c->tag));
        ++desk.summary.counts.till_coins;
        desk.listener.progress("till", ++done, count, desk.summary.counts);
    }
    return true;
}

}  // namespace netpay::audit
