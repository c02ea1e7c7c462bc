// Every coin: its rows are put together as evidence and judged like a
// stranger's (core/evidence.h), and what the rows say besides is compared.
#include <algorithm>
#include <vector>

#include "audit/desk.h"
#include "core/base64url.h"
#include "core/jws.h"
#include "core/payword.h"

namespace netpay::audit {
namespace {

using evidence::Document;

std::uint32_t index_of(std::int64_t n) {
    return n < 0 || n > limits::max_chain ? limits::max_chain + 1 : static_cast<std::uint32_t>(n);
}
std::uint64_t unsigned_of(std::int64_t n) { return n < 0 ? 0 : static_cast<std::uint64_t>(n); }

std::optional<evidence::Kind> kind_of(std::string_view name) {
    for (const auto k : {evidence::Kind::two_indices, evidence::Kind::never_held, evidence::Kind::below_claims})
        if (evidence::name_of(k) == name) return k;
    return std::nullopt;
}

// A coin's row.
struct Row {
    std::int64_t id = 0, unit = 0, n = 0, iat = 0, exp = 0, credited = 0, refunded = 0;
    std::string coin, cur, salt, root, state;
};

class Coins {
public:
    explicit Coins(Desk& desk)
        : desk_(desk),
          coins_(desk.db.prepare("SELECT id, coin, cur, unit, n, salt, root, touchstone, iat, exp, state, credited, refunded "
                                 "FROM coins ORDER BY id")),
          epochs_(desk.db.prepare("SELECT epoch, vendor, start, start_payword, known, known_payword, custody, iat, exp, status, "
                                  "released, credited, settled, signed_index FROM epochs WHERE coin = ? ORDER BY epoch")),
          indices_(desk.db.prepare("SELECT id, epoch, vendor, aud, idx, payword, token, at FROM signed_indices WHERE coin = ? "
                                   "ORDER BY id")),
          credits_(desk.db.prepare("SELECT lo, hi, epoch FROM credits WHERE coin = ? ORDER BY lo")),
          paywords_(desk.db.prepare("SELECT idx, payword FROM known_paywords WHERE coin = ? ORDER BY idx")),
          reversals_(desk.db.prepare("SELECT epoch, lo, hi, signed_index FROM reversals WHERE coin = ? ORDER BY id")),
          compensations_(desk.db.prepare("SELECT vendor, culprit, lo, hi, payword, cur, due, paid FROM compensations "
                                         "WHERE coin = ? ORDER BY id")),
          disputes_(desk.db.prepare("SELECT vendor, lo, hi, reason, against FROM disputes WHERE coin = ? AND credited = 0 ORDER BY id")),
          frauds_(desk.db.prepare("SELECT vendor, epoch, kind, first, second FROM frauds WHERE coin = ? AND cleared = 0 "
                                  "ORDER BY id")),
          receivers_(desk.db.prepare("SELECT vendor, culprit, signed_index, lo FROM receivers WHERE coin = ?")) {}

    void all() {
        const auto count = unsigned_of(desk_.db.number("SELECT COUNT(*) FROM coins"));
        auto& counts = desk_.summary.counts;
        while (coins_.step()) {
            one();
            desk_.listener.progress("coins", ++counts.coins, count, counts);
        }
    }

private:
    void one() {
        row_ = {coins_.number(0), coins_.number(3), coins_.number(4), coins_.number(8), coins_.number(9), coins_.number(11),
                coins_.number(12), coins_.text(1), coins_.text(2), coins_.text(5), coins_.text(6), coins_.text(10)};
        d_ = Document{};
        d_.broker = desk_.issuer();
        d_.coin = row_.coin;
        d_.touchstone = coins_.text(7);
        read_indices();
        read_credits();
        read_paywords();
        read_epochs();
        read_consequences();
        const auto j = evidence::judge(d_, desk_.keys, desk_.certified);
        desk_.summary.counts.signatures += j.signatures;
        desk_.summary.counts.hashes += j.hashes;
        for (const auto& f : j.faults) fault(f.code, f.sentence, f.units);
        if (j.terms) compare_terms(*j.terms);
        counters();
    }

    void fault(std::string code, std::string sentence, std::uint64_t units = 0) {
        const auto unit = Amount::from(unsigned_of(row_.unit)).value_or(Amount());
        const auto amount = unit.times(std::min<std::uint64_t>(units, limits::max_chain)).value_or(Amount());
        desk_.fault({std::move(code), row_.coin, {}, amount.micro(), amount.micro() ? row_.cur : std::string(), std::move(sentence)});
    }

    // ------------------------------------------------------------ rows

    void read_indices() {
        tokens_.clear();
        indices_.with(row_.id);
        while (indices_.step()) {
            ++desk_.summary.counts.indices;
            d_.indices.push_back({indices_.number(7), indices_.text(6)});
            tokens_.push_back({indices_.number(0), indices_.text(3), indices_.number(4)});
            compare_index();
        }
    }

    // The columns of a signed index repeat what its token says.
    void compare_index() {
        const auto payload = jws::peek(d_.indices.back().token);
        if (!payload) return;  // the judge says so
        const auto& p = payload->root();
        if (p.string("iss") != desk_.origin(indices_.number(2)) || p.string("aud") != indices_.view(3) ||
            p.uint("epoch") != unsigned_of(indices_.number(1)) || p.uint("index") != unsigned_of(indices_.number(4)) ||
            p.string("payword") != indices_.view(5))
            fault("index-terms", "The signed index on file as number " + text(indices_.number(0)) + ", at " +
                                     text(indices_.number(4)) + " of epoch " + text(indices_.number(1)) + ", says something else.",
                  distance(static_cast<std::int64_t>(p.uint("index").value_or(0)), indices_.number(4)));
    }

    void read_credits() {
        by_epoch_.clear();
        credited_ = 0;
        credits_.with(row_.id);
        while (credits_.step()) {
            ++desk_.summary.counts.credits;
            const auto lo = credits_.number(0), hi = credits_.number(1), epoch = credits_.number(2);
            d_.claims.push_back({{}, unsigned_of(epoch), index_of(lo), index_of(hi)});
            auto& e = by_epoch_[epoch];
            e.units += hi - lo;
            e.top = std::max(e.top, hi);
            credited_ += hi - lo;
        }
    }

    void payword(std::int64_t index, std::string_view word, const char* whose) {
        const auto w = decode_payword(word);
        if (w) d_.paywords.push_back({index_of(index), *w});
        else fault("payword", "The payword " + std::string(whose) + " for unit " + text(index) + " is not in the form of one.");
    }

    void read_paywords() {
        paywords_.with(row_.id);
        while (paywords_.step()) payword(paywords_.number(0), paywords_.view(1), "known");
    }

    void read_epochs() {
        epochs_.with(row_.id);
        while (epochs_.step()) {
            ++desk_.summary.counts.epochs;
            evidence::Hop h;
            h.epoch = unsigned_of(epochs_.number(0));
            h.vendor = desk_.origin(epochs_.number(1));
            h.start = index_of(epochs_.number(2));
            h.released = epochs_.number(10);
            h.custody = epochs_.text(6);
            h.index = epochs_.text(13);
            payword(epochs_.number(4), epochs_.view(5), "of the epoch");
            compare_custody(h);
            epoch_state(h);
            for (auto& c : d_.claims)
                if (c.epoch == h.epoch) c.vendor = h.vendor;
            d_.custody.push_back(std::move(h));
        }
    }

    // What the row of an epoch repeats of its custody.
    void compare_custody(const evidence::Hop& h) {
        const auto payload = jws::peek(h.custody);
        if (!payload) return;
        const auto& p = payload->root();
        if (p.uint("iat") != unsigned_of(epochs_.number(7)) || p.uint("exp") != unsigned_of(epochs_.number(8)) ||
            p.string("payword") != epochs_.view(3))
            fault("custody-terms", "The custody of epoch " + text(epochs_.number(0)) + " says something else than its row: when it was "
                                   "given, when it ends, or from which payword.");
    }

    void epoch_state(const evidence::Hop& h) {
        const auto name = "Epoch " + text(epochs_.number(0)) + " of " + h.vendor;
        const auto start = epochs_.number(2), known = epochs_.number(4), credited = epochs_.number(11);
        const auto sums = by_epoch_[epochs_.number(0)];
        if (credited != sums.units)
            fault("epoch-credited", name + " shows " + text(credited) + " units credited and its ranges add up to " + text(sums.units) + ".",
                  distance(credited, sums.units));
        if (known < start || known > row_.n || sums.top > known)
            fault("epoch-known", name + " is known to be spent up to " + text(known) + ", began at " + text(start) +
                                     " and was credited up to " + text(sums.top) + ".",
                  distance(known, std::max(start, sums.top)));
        if (h.released >= 0 && h.released != known)
            fault("epoch-known", name + " was released at " + text(h.released) + " and is known to be spent up to " + text(known) + ".",
                  distance(h.released, known));
        const bool ended = epochs_.view(9) == "ended";
        if ((h.released >= 0 && !ended) || ended != (epochs_.number(12) != 0))
            fault("epoch-state", name + " is " + epochs_.text(9) + ", " + (epochs_.number(12) ? "settled" : "not settled") +
                                     " and released at " + text(h.released) + ".");
    }

    const std::string& vendor_of_epoch(std::uint64_t epoch) const {
        static const std::string nobody;
        for (const auto& h : d_.custody)
            if (h.epoch == epoch) return h.vendor;
        return nobody;
    }

    struct Filed {
        std::int64_t id;
        std::string aud;
        std::int64_t index;
    };
    const Filed* filed(std::int64_t id) const {
        for (const auto& t : tokens_)
            if (t.id == id) return &t;
        return nullptr;
    }
    std::string token_of(std::int64_t id) const {
        const auto* f = filed(id);
        return f ? d_.indices[static_cast<std::size_t>(f - tokens_.data())].token : std::string();
    }

    void read_consequences() {
        reversals_.with(row_.id);
        while (reversals_.step()) {
            const auto epoch = unsigned_of(reversals_.number(0));
            d_.reversals.push_back({vendor_of_epoch(epoch), epoch, index_of(reversals_.number(1)), index_of(reversals_.number(2))});
            if (!filed(reversals_.number(3)))
                fault("reversal", "The index is not on file by which units up to " + text(reversals_.number(2)) + " were taken back.",
                      unsigned_of(reversals_.number(2) - reversals_.number(1)));
        }
        compensations_.with(row_.id);
        while (compensations_.step()) {
            d_.compensations.push_back({desk_.origin(compensations_.number(0)), desk_.origin(compensations_.number(1)),
                                        index_of(compensations_.number(2)), index_of(compensations_.number(3)),
                                        unsigned_of(compensations_.number(6)), unsigned_of(compensations_.number(7))});
            payword(compensations_.number(3), compensations_.view(4), "of a compensation");
            if (compensations_.view(5) != row_.cur) fault("compensation", "A compensation is in another currency than the coin.");
        }
        disputes_.with(row_.id);
        while (disputes_.step())
            d_.disputes.push_back({desk_.origin(disputes_.number(0)), disputes_.text(3), desk_.origin(disputes_.number(4)),
                                   index_of(disputes_.number(1)), index_of(disputes_.number(2))});
        frauds_.with(row_.id);
        while (frauds_.step()) {
            const auto kind = kind_of(frauds_.view(2));
            if (!kind) continue;  // the table allows no other: check_file()
            evidence::Finding f{*kind, desk_.origin(frauds_.number(0)), unsigned_of(frauds_.number(1)), {token_of(frauds_.number(3))}};
            if (frauds_.number(4) != 0) f.tokens.push_back(token_of(frauds_.number(4)));
            d_.findings.push_back(std::move(f));
        }
        receivers_.with(row_.id);
        while (receivers_.step()) {
            const auto* f = filed(receivers_.number(2));
            if (!f || f->aud != desk_.origin(receivers_.number(0)) || f->index != receivers_.number(3))
                fault("receiver", desk_.origin(receivers_.number(0)) + " is to be compensated by " + desk_.origin(receivers_.number(1)) +
                                      " from unit " + text(receivers_.number(3)) + ", and no signed index gave it the coin there.");
        }
    }

    // ------------------------------------------------------------ sums

    void compare_terms(const Touchstone& t) {
        if (t.cur.str() != row_.cur || static_cast<std::int64_t>(t.unit.micro()) != row_.unit || t.n != row_.n ||
            b64u_encode(t.salt) != row_.salt || encode_payword(t.root) != row_.root || t.iat != row_.iat || t.exp != row_.exp)
            fault("touchstone-terms", "The coin was sold as " + std::to_string(t.n) + " units of " + t.unit.pretty(t.cur) +
                                          ", and its row says other terms: currency, unit, length, salt, root or times.",
                  distance(t.n, row_.n));
    }

    void counters() {
        if (row_.credited != credited_)
            fault("coin-credited", "The coin shows " + text(row_.credited) + " units credited and its ranges add up to " + text(credited_) + ".",
                  distance(row_.credited, credited_));
        if (row_.credited + row_.refunded > row_.n)
            fault("coin-credited", "More of the coin was credited and refunded than it has: " + text(row_.credited) + " and " +
                                       text(row_.refunded) + " of " + text(row_.n) + ".",
                  unsigned_of(row_.credited + row_.refunded - row_.n));
        const bool returned = row_.state == "returned";
        const auto* last = d_.custody.empty() ? nullptr : &d_.custody.back();
        const auto unspent = row_.n - (last ? last->released : 0);
        if (returned && last && last->released < 0)
            fault("coin-refunded", "The coin was returned and its last epoch is open.", unsigned_of(row_.refunded));
        else if (row_.refunded != (returned ? unspent : 0))
            fault("coin-refunded", "The coin is " + row_.state + " with " + text(row_.refunded) + " units refunded, and " +
                                       text(returned ? unspent : 0) + " were unspent.",
                  distance(row_.refunded, returned ? unspent : 0));
    }

    struct Sums {
        std::int64_t units = 0, top = 0;
    };

    Desk& desk_;
    Statement coins_, epochs_, indices_, credits_, paywords_, reversals_, compensations_, disputes_, frauds_, receivers_;
    Row row_;
    Document d_;
    std::vector<Filed> tokens_;
    std::map<std::int64_t, Sums> by_epoch_;
    std::int64_t credited_ = 0;
};

}  // namespace

void check_coins(Desk& desk) { Coins(desk).all(); }

}  // namespace netpay::audit
