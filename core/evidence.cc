#include "core/evidence.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

#include "core/claim.h"
#include "core/json.h"
#include "core/jws.h"
#include "core/limits.h"
#include "core/origin.h"
#include "core/payword.h"

namespace netpay::evidence {
namespace {

std::string text(std::uint64_t n) { return std::to_string(n); }

// ---------------------------------------------------------------- reading

// Reads members of one kind after another; after the first that is missing
// everything is, and error() names it.
class Members {
public:
    Members(const json::Value& v, const char* of) : v_(v), of_(of) {}
    std::string string(const char* name, bool optional = false) {
        const auto s = v_.string(name);
        if (!s && !(optional && !v_.find(name))) miss(name);
        return std::string(s.value_or(""));
    }
    std::uint64_t number(const char* name) {
        const auto n = v_.uint(name);
        if (!n) miss(name);
        return n.value_or(0);
    }
    std::uint32_t index(const char* name) {
        const auto n = number(name);
        if (n > limits::max_chain) miss(name);
        return static_cast<std::uint32_t>(std::min<std::uint64_t>(n, limits::max_chain));
    }
    // -1, or nothing at all: none.
    std::int64_t index_or_none(const char* name) {
        const auto* v = v_.find(name);
        if (!v || (v->kind() == json::Kind::integer && !v->as_uint())) return -1;
        return index(name);
    }
    Payword payword(const char* name) {
        const auto w = decode_payword(string(name));
        if (!w) miss(name);
        return w.value_or(Payword{});
    }
    const json::Value* array(const char* name, bool optional = false) {
        const auto* a = v_.array(name);
        if (!a && !(optional && !v_.find(name))) miss(name);
        return a;
    }
    std::vector<std::string> strings(const char* name, bool optional = false) {
        std::vector<std::string> out;
        if (const auto* a = array(name, optional))
            for (const auto& e : *a) {
                const auto s = e.as_string();
                if (!s) miss(name);
                out.emplace_back(s.value_or(""));
            }
        return out;
    }
    bool good() const { return missing_.empty(); }
    Error error() const { return {Code::malformed, std::string(of_) + ": member \"" + missing_ + "\" is missing or of the wrong form"}; }

private:
    void miss(const char* name) {
        if (missing_.empty()) missing_ = name;
    }
    const json::Value& v_;
    const char* of_;
    std::string missing_;
};

// Every element of an array by `read`, which is given its members.
template <class T, class Read>
std::optional<Error> read_list(const json::Value* a, const char* of, std::vector<T>& out, Read read) {
    if (!a) return std::nullopt;
    for (const auto& e : *a) {
        if (!e.is_object()) return Error{Code::malformed, std::string(of) + ": an element is no object"};
        Members m(e, of);
        out.push_back(read(m));
        if (!m.good()) return m.error();
    }
    return std::nullopt;
}

Hop read_hop(Members& m) {
    return {m.number("epoch"), m.string("vendor"), m.index("start"), m.index_or_none("released"), m.string("custody"),
            m.string("index", true)};
}
Shown read_shown(Members& m) { return {static_cast<UnixTime>(m.number("at")), m.string("token")}; }
Range read_range(Members& m) { return {m.string("vendor"), m.number("epoch"), m.index("from"), m.index("to")}; }
Mark read_mark(Members& m) { return {m.index("index"), m.payword("payword")}; }
Compensation read_compensation(Members& m) {
    return {m.string("to"), m.string("from_vendor"), m.index("from"), m.index("to_index"), m.number("due"), m.number("paid")};
}
Dispute read_dispute(Members& m) {
    return {m.string("vendor"), m.string("reason"), m.string("against", true), m.index("from"), m.index("to")};
}

constexpr Kind kinds[] = {Kind::two_indices, Kind::never_held, Kind::below_claims};

Finding read_finding(Members& m, bool& known) {
    Finding f;
    const auto kind = m.string("kind");
    const auto* at = std::find_if(std::begin(kinds), std::end(kinds), [&](Kind k) { return name_of(k) == kind; });
    known = known && at != std::end(kinds);
    if (at != std::end(kinds)) f.kind = *at;
    f.vendor = m.string("vendor");
    f.epoch = m.number("epoch");
    f.tokens = m.strings("tokens");
    return f;
}

Result<KeySet> read_keys(const json::Value& root) {
    const auto* jwks = root.object("jwks");
    const auto* keys = jwks ? jwks->array("keys") : nullptr;
    if (!keys) return {Code::malformed, "evidence: jwks is no JWK set"};
    std::vector<PublicKey> out;
    for (const auto& k : *keys) {
        auto key = PublicKey::from_jwk(k);
        if (!key) return key.error();
        out.push_back(std::move(*key));
    }
    return KeySet(std::move(out));
}

}  // namespace

std::string_view name_of(Kind kind) {
    switch (kind) {
        case Kind::two_indices: return "two-indices";
        case Kind::never_held: return "never-held";
        case Kind::below_claims: break;
    }
    return "below-claims";
}

Result<Document> parse(std::string_view in) {
    if (in.size() > limits::evidence_bytes) return {Code::limit, "evidence: longer than 64 MiB"};
    const auto json = json::Document::parse(in, limits::evidence_values);
    if (!json) return json.error();
    const auto& root = json->root();
    if (!root.is_object() || root.string("netpay") != "evidence/1")
        return {Code::malformed, "not a document of evidence (netpay: evidence/1)"};
    Members m(root, "evidence");
    Document d;
    d.broker = m.string("broker");
    d.coin = m.string("coin");
    d.made = static_cast<UnixTime>(m.number("made"));
    d.touchstone = m.string("touchstone");
    d.certificates = m.strings("certificates");
    d.receipts = m.strings("receipts", true);
    const auto *custody = m.array("custody"), *indices = m.array("indices"), *claims = m.array("claims"),
               *paywords = m.array("paywords"), *findings = m.array("findings"), *reversals = m.array("reversals", true),
               *compensations = m.array("compensations", true), *disputes = m.array("disputes", true);
    if (!m.good()) return m.error();
    auto keys = read_keys(root);
    if (!keys) return keys.error();
    d.keys = std::move(*keys);
    bool known = true;
    if (auto e = read_list(custody, "custody", d.custody, read_hop)) return *e;
    if (auto e = read_list(indices, "indices", d.indices, read_shown)) return *e;
    if (auto e = read_list(claims, "claims", d.claims, read_range)) return *e;
    if (auto e = read_list(paywords, "paywords", d.paywords, read_mark)) return *e;
    if (auto e = read_list(reversals, "reversals", d.reversals, read_range)) return *e;
    if (auto e = read_list(compensations, "compensations", d.compensations, read_compensation)) return *e;
    if (auto e = read_list(disputes, "disputes", d.disputes, read_dispute)) return *e;
    if (auto e = read_list(findings, "findings", d.findings, [&](Members& f) { return read_finding(f, known); })) return *e;
    if (!known) return {Code::malformed, "findings: a kind that is not known"};
    return d;
}

// ---------------------------------------------------------------- what it stands on

Result<Certificate> Certified::add(std::string_view token, std::string_view issuer, const KeySet& broker) {
    const auto payload = jws::peek(token);
    if (!payload) return payload.error();
    // A certificate is judged at its own time: whether it covers a signature is asked of each signature.
    const auto iat = payload->root().uint("iat");
    if (!iat) return {Code::malformed, "certificate: iat"};
    auto c = verify_certificate(token, issuer, broker, static_cast<UnixTime>(*iat));
    if (c) vendors_[c->sub].push_back({c->key, c->iat, c->exp});
    return c;
}

KeySet Certified::keys(std::string_view vendor, UnixTime iat) const {
    std::vector<PublicKey> out;
    const auto at = vendors_.find(vendor);
    if (at == vendors_.end()) return {};
    for (const auto& p : at->second)
        if (p.iat <= iat + limits::request_skew_s && iat <= p.exp && std::find(out.begin(), out.end(), p.key) == out.end())
            out.push_back(p.key);
    return KeySet(std::move(out));
}

Proven::Proven(const Salt& salt, std::uint32_t n, const Payword& root)
    : salt_(salt), n_(n), marks_{{0, root}}, left_(std::uint64_t{32} * n + 100000) {}

bool Proven::spend(std::uint64_t hashes) {
    if (hashes > left_) {
        left_ = 0;
        return false;
    }
    left_ -= hashes;
    hashes_ += hashes;
    return true;
}

bool Proven::prove(std::uint32_t i, const Payword& w) {
    if (i > n_) return false;
    const auto above = marks_.lower_bound(i);
    if (above != marks_.end() && above->first == i) return above->second == w;
    const auto below = std::prev(above);  // the root is always there
    const bool from_above = above != marks_.end() && above->first - i <= i - below->first;
    if (!spend(from_above ? above->first - i : i - below->first)) return false;
    const bool good = from_above ? walk_down(salt_, above->first, above->second, i) == w
                                 : walk_down(salt_, i, w, below->first) == below->second;
    if (good) marks_.emplace(i, w);
    return good;
}

// ---------------------------------------------------------------- the judgement

namespace {

struct Judged {
    SignedIndex index;
    std::string token;
};

class Court {
public:
    Court(const Document& d, const KeySet& broker, const Certified& certified)
        : d_(d), broker_(broker), certified_(certified) {}

    Judgement judge() {
        if (!touchstone()) return std::move(j_);
        proven_.emplace(j_.terms->salt, j_.terms->n, j_.terms->root);
        paywords();
        indices();
        hops();
        ranges();
        frauds();
        findings();
        reversals();
        compensations();
        disputes();
        receipts();
        j_.hashes = proven_->hashes();
        return std::move(j_);
    }

private:
    void fault(std::string code, std::string sentence, std::string culprit = {}, std::uint64_t units = 0) {
        j_.faults.push_back({std::move(code), std::move(sentence), std::move(culprit), units});
    }

    bool touchstone() {
        ++j_.signatures;
        auto t = verify_touchstone(d_.touchstone, d_.broker, broker_, 0);
        if (!t) {
            fault("touchstone", "The touchstone does not verify: " + t.error().detail + ".");
            return false;
        }
        if (t->coin != d_.coin) {
            fault("touchstone", "The touchstone is that of coin " + t->coin + ".", {}, t->n);
            return false;
        }
        j_.terms = std::move(*t);
        return true;
    }

    // The highest first, so that all of them together cost n hashes.
    void paywords() {
        auto marks = d_.paywords;
        std::sort(marks.begin(), marks.end(), [](const Mark& a, const Mark& b) { return a.index > b.index; });
        for (const auto& m : marks)
            if (!proven_->prove(m.index, m.payword))
                fault("payword", "The payword given for unit " + text(m.index) + " is not of the chain.", {}, m.index);
    }

    // ------------------------------------------------------------ signed indices

    // Every token that is given anywhere, once, in the order of the document.
    void indices() {
        for (const auto& s : d_.indices) {
            shown_.insert(s.token);
            take(s.token);
        }
        for (const auto& h : d_.custody)
            if (!h.index.empty()) take(h.index);
    }

    void take(const std::string& token) {
        if (!seen_.insert(token).second) return;
        ++j_.signatures;
        const auto i = judged(token);
        if (!i) return fault(i.error().code == Code::mismatch ? "index-terms" : "index-signature",
                             "A signed index does not verify: " + i.error().detail + ".");
        if (!proven_->prove(i->index, i->payword))
            return fault("index-payword", i->iss + " signed an index of " + text(i->index) + " for epoch " + text(i->epoch) +
                                              " whose payword is not of the chain.", i->iss);
        valid_.push_back({*i, token});
    }

    Result<SignedIndex> judged(const std::string& token) const {
        const auto payload = jws::peek(token);
        if (!payload) return payload.error();
        const auto iss = payload->root().string("iss");
        const auto iat = payload->root().uint("iat");
        if (!iss || !iat) return {Code::malformed, "iss or iat is missing"};
        auto i = verify_index(token, certified_.keys(*iss, static_cast<UnixTime>(*iat)));
        if (!i && i.error().code == Code::unknown_key)
            return {Code::unknown_key, "its key was not certified for " + std::string(*iss) + " when it was signed"};
        if (i && i->coin != d_.coin) return {Code::mismatch, "it is of another coin"};
        return i;
    }

    const Judged* valid(std::string_view token) const {
        for (const auto& v : valid_)
            if (v.token == token) return &v;
        return nullptr;
    }

    // ------------------------------------------------------------ chain of custody

    void hops() {
        for (std::size_t k = 0; k < d_.custody.size(); ++k) {
            const auto& h = d_.custody[k];
            if (h.epoch != k + 1)
                fault("chain-of-custody", "Epoch " + text(k + 1) + " is missing from the chain of custody.");
            custody(h);
            released(h, k + 1 == d_.custody.size());
            follows(h, k == 0 ? nullptr : &d_.custody[k - 1]);
            tell(h);
        }
    }

    void custody(const Hop& h) {
        const auto name = "The custody of epoch " + text(h.epoch);
        ++j_.signatures;
        const auto c = verify_custody(h.custody, broker_);
        if (!c) return fault("custody-signature", name + " does not verify: " + c.error().detail + ".");
        if (c->iss != d_.broker || c->coin != d_.coin || c->epoch != h.epoch || c->sub != h.vendor || c->index != h.start)
            return fault("custody-terms", name + " was given to " + c->sub + " for epoch " + text(c->epoch) + " from " +
                                              text(c->index) + ", not to " + h.vendor + " from " + text(h.start) + ".");
        if (c->exp > j_.terms->exp)
            fault("custody-terms", name + " outlasts the coin.");
        if (!proven_->prove(c->index, c->payword))
            fault("custody-payword", name + " carries a payword that is not of the chain.", {}, c->index);
        leases_[h.epoch] = {c->iat, c->exp};
    }

    void released(const Hop& h, bool last) {
        const auto name = "Epoch " + text(h.epoch) + " of " + h.vendor;
        if (h.released < 0) {
            if (!last) fault("chain-of-custody", name + " is open although another followed it.");
            return;
        }
        if (h.released < h.start || h.released > j_.terms->n)
            fault("chain-of-custody", name + " was released at " + std::to_string(h.released) + " and began at " + text(h.start) + ".");
    }

    // How this epoch came out of the one before it.
    void follows(const Hop& h, const Hop* before) {
        if (!before) {
            if (!h.index.empty()) fault("founding-index", "The first epoch is founded on a signed index.");
            return;
        }
        if (before->released >= 0 && before->released != h.start)
            fault("chain-of-custody", "Epoch " + text(h.epoch) + " of " + h.vendor + " begins at " + text(h.start) +
                                          " and the one before it, of " + before->vendor + ", was released at " +
                                          std::to_string(before->released) + ".",
                  {}, gap(before->released, h.start));
        if (h.index.empty()) return lease_over(h, *before);
        if (!shown_.contains(h.index))
            fault("founding-index", "The index that founds epoch " + text(h.epoch) + " is not among those shown.");
        const auto* v = valid(h.index);
        if (!v) return;  // said already why it is not
        const auto& i = v->index;
        if (i.iss != before->vendor || i.epoch != before->epoch || i.aud != h.vendor || i.index != h.start)
            fault("founding-index", "The index that founds epoch " + text(h.epoch) + " was signed by " + i.iss + " for its epoch " +
                                        text(i.epoch) + " at " + text(i.index) + " to " + i.aud + ", and the epoch is that of " +
                                        h.vendor + " from " + text(h.start) + ".",
                  {}, gap(i.index, h.start));
    }

    // Without an index of the holder the broker may give a coin on only when its lease was over.
    void lease_over(const Hop& h, const Hop& before) {
        const auto mine = leases_.find(h.epoch), theirs = leases_.find(before.epoch);
        if (mine == leases_.end() || theirs == leases_.end() || signed_by(before)) return;
        if (mine->second.iat <= theirs->second.exp + limits::lease_margin_s)
            fault("lease", "Epoch " + text(h.epoch) + " was given to " + h.vendor + " while the lease of " + before.vendor +
                               " was not over, and no index of it is shown.", d_.broker);
    }

    // Whether its vendor's own index closed it: there, or at its start where the vendor signed less than that.
    bool signed_by(const Hop& h) const {
        return std::any_of(valid_.begin(), valid_.end(), [&](const Judged& v) {
            return v.index.iss == h.vendor && v.index.epoch == h.epoch &&
                   std::max(v.index.index, h.start) == static_cast<std::uint64_t>(h.released);
        });
    }

    void tell(const Hop& h) {
        std::string s = "Epoch " + text(h.epoch) + ": " + h.vendor + " from unit " + text(h.start);
        if (h.released >= 0) s += " to " + std::to_string(h.released);
        s += h.released < 0 ? ", open" : signed_by(h) ? ", released by its signed index" : ", ended by its lease";
        j_.story.push_back(s + (h.index.empty() ? "; given by the broker." : "; taken over by a signed index."));
    }

    const Hop* held(std::uint64_t epoch, std::string_view vendor) const {
        for (const auto& h : d_.custody)
            if (h.epoch == epoch && h.vendor == vendor) return &h;
        return nullptr;
    }

    static std::uint64_t gap(std::int64_t a, std::int64_t b) { return static_cast<std::uint64_t>(a < b ? b - a : a - b); }
    static std::string units(const Range& r) { return "units " + text(std::uint64_t{r.from} + 1) + " to " + text(r.to); }

    // ------------------------------------------------------------ credits

    void ranges() {
        auto sorted = d_.claims;
        std::sort(sorted.begin(), sorted.end(), [](const Range& a, const Range& b) { return a.from < b.from; });
        const Range* before = nullptr;
        for (const auto& r : sorted) {
            range(r);
            if (before && r.from < before->to)
                fault("credit-overlap", "The " + units(r) + " of " + r.vendor + " were credited although units up to " +
                                            text(before->to) + " were credited to " + before->vendor + ".",
                      d_.broker, std::min(before->to, r.to) - r.from);
            if (!before || r.to > before->to) before = &r;
        }
    }

    void range(const Range& r) {
        const auto* h = held(r.epoch, r.vendor);
        const auto top = !h ? 0 : h->released >= 0 ? static_cast<std::uint64_t>(h->released) : j_.terms->n;
        const auto count = r.to > r.from ? r.to - r.from : 0;
        if (!h || r.from >= r.to || r.from < h->start || r.to > top)
            fault("credit-outside", "The " + units(r) + " were credited to " + r.vendor + " outside of its epoch " + text(r.epoch) + ".",
                  d_.broker, count);
        if (proven_->highest() < r.to)
            fault("credit-unproven", "The " + units(r) + " were credited to " + r.vendor + " and no payword above unit " +
                                         text(proven_->highest()) + " is shown.",
                  d_.broker, std::min(count, r.to - proven_->highest()));
    }

    // ------------------------------------------------------------ frauds

    // A proof that stands whether it is stated or not is certain. Others stand
    // if they are stated: the broker judged by what it had been shown then.
    enum class Weight { certain, if_stated };

    void frauds() {
        for (std::size_t k = 0; k < valid_.size(); ++k) {
            const auto& i = valid_[k].index;
            const auto here = valid_.begin() + static_cast<std::ptrdiff_t>(k);
            const auto first = std::find_if(valid_.begin(), here, [&](const Judged& v) {
                return v.index.iss == i.iss && v.index.epoch == i.epoch;
            });
            if (first != here) two_indices(first->index, i);
            else if (const auto* h = held(i.epoch, i.iss)) below_claims(i, *h);
            else if (!gift(i, k)) never_held(i, gift(i, valid_.size()) ? Weight::if_stated : Weight::certain);
        }
    }

    void prove(Kind kind, const SignedIndex& i, Weight weight, std::string sentence, std::uint64_t units = 0) {
        const auto same = [&](const auto& p) { return p.kind == kind && p.vendor == i.iss && p.epoch == i.epoch; };
        if (std::any_of(j_.proofs.begin(), j_.proofs.end(), same)) return;
        if (weight == Weight::if_stated && std::none_of(d_.findings.begin(), d_.findings.end(), same)) return;
        j_.proofs.push_back({kind, i.iss, std::move(sentence), i.epoch, units});
    }

    void two_indices(const SignedIndex& a, const SignedIndex& b) {
        prove(Kind::two_indices, b, Weight::certain,
              a.iss + " signed two indices for epoch " + text(a.epoch) + ": " + text(a.index) + " to " + a.aud + " and " +
                  text(b.index) + " to " + b.aud + ". The one shown first decides.",
              gap(a.index, b.index));
    }

    void never_held(const SignedIndex& i, Weight weight) {
        prove(Kind::never_held, i, weight,
              i.iss + " signed an index of " + text(i.index) + " to " + i.aud + " for epoch " + text(i.epoch) + ", which it never held.");
    }

    // Whether somebody had given its signer the coin, by one of the first `of`
    // indices: by one that did not decide, and then its signer was deceived itself.
    bool gift(const SignedIndex& i, std::size_t of) const {
        return std::any_of(valid_.begin(), valid_.begin() + static_cast<std::ptrdiff_t>(of), [&](const Judged& v) {
            return v.index.aud == i.iss && v.index.epoch + 1 == i.epoch && v.index.iss != i.iss;
        });
    }

    // The index that decides over an epoch says less than its signer had claimed, or had been given.
    void below_claims(const SignedIndex& i, const Hop& h) {
        const auto reversed = highest(d_.reversals, h), credited = highest(d_.claims, h);
        const auto top = std::max({h.start, reversed, credited});
        if (i.index >= top) return;
        const bool certain = i.index < h.start || i.index < reversed;
        prove(Kind::below_claims, i, certain ? Weight::certain : Weight::if_stated,
              i.iss + " handed over epoch " + text(i.epoch) + " at " + text(i.index) + " and had " +
                  (top > h.start ? "claimed" : "been given the coin") + " up to " + text(top) + ".",
              top - i.index);
    }

    static std::uint32_t highest(const std::vector<Range>& ranges, const Hop& h) {
        std::uint32_t top = 0;
        for (const auto& r : ranges)
            if (r.vendor == h.vendor && r.epoch == h.epoch) top = std::max(top, r.to);
        return top;
    }

    void findings() {
        using Id = std::tuple<Kind, std::string, std::uint64_t>;
        std::set<Id> stated, proven;
        for (const auto& f : d_.findings) stated.insert({f.kind, f.vendor, f.epoch});
        for (const auto& p : j_.proofs) {
            proven.insert({p.kind, p.vendor, p.epoch});
            if (!stated.contains({p.kind, p.vendor, p.epoch}))
                fault("fraud-missing", "Not stated, and proven by the tokens: " + p.sentence, p.vendor, p.units);
        }
        for (const auto& f : d_.findings) {
            if (!proven.contains({f.kind, f.vendor, f.epoch}))
                fault("fraud-unproven", "It is stated that " + f.vendor + " is guilty of " + std::string(name_of(f.kind)) +
                                            " in epoch " + text(f.epoch) + ", and the tokens do not prove it.", d_.broker);
            for (const auto& t : f.tokens)
                if (!seen_.contains(t))
                    fault("fraud-unproven", "A token that is said to prove " + std::string(name_of(f.kind)) + " of " + f.vendor +
                                                " is not among those shown.", d_.broker);
        }
    }

    // ------------------------------------------------------------ what followed

    void reversals() {
        for (const auto& r : d_.reversals) {
            const bool founded = std::any_of(valid_.begin(), valid_.end(), [&](const Judged& v) {
                return v.index.iss == r.vendor && v.index.epoch == r.epoch && v.index.index <= r.from;
            });
            if (!founded || r.from >= r.to || !held(r.epoch, r.vendor))
                fault("reversal", "The credit of " + units(r) + " was taken from " + r.vendor + " and no index of it says so.",
                      d_.broker, r.to > r.from ? r.to - r.from : 0);
            for (const auto& c : d_.claims)
                if (c.vendor == r.vendor && c.epoch == r.epoch && c.from < r.to && r.from < c.to)
                    fault("reversal", "The " + units(r) + " were taken from " + r.vendor + " and are credited to it still.", d_.broker,
                          std::min(c.to, r.to) - std::max(c.from, r.from));
        }
    }

    void compensations() {
        for (std::size_t k = 0; k < d_.compensations.size(); ++k) {
            const auto& c = d_.compensations[k];
            const auto name = "The compensation of " + c.to + " for units " + text(std::uint64_t{c.from} + 1) + " to " + text(c.to_index);
            const auto count = c.to_index > c.from ? c.to_index - c.from : 0;
            if (!due_to(c) || c.from >= c.to_index)
                fault("compensation", name + " out of the balance of " + c.from_vendor + " has no signed index to stand on.", d_.broker, count);
            if (j_.terms->unit.times(count) != Amount::from(c.due) || c.paid > c.due)
                fault("compensation", name + " is of " + text(c.due) + " micro-units, " + text(c.paid) + " paid.", d_.broker, count);
            // Its payword is not asked for: units that nobody was credited may still be
            // spent, and whoever read their payword here could claim them. The auditor has it.
            for (std::size_t o = 0; o < k; ++o) {
                const auto& other = d_.compensations[o];
                if (other.to == c.to && other.from < c.to_index && c.from < other.to_index)
                    fault("compensation", name + " overlaps another.", d_.broker, count);
            }
        }
    }

    // The receiver was given the coin at or below the first unit, and the one who
    // pays is proven a fraud; or signed that index itself, was taken for a fraud
    // and cleared after it had paid.
    bool due_to(const Compensation& c) const {
        const bool guilty = std::any_of(j_.proofs.begin(), j_.proofs.end(), [&](const Proof& p) { return p.vendor == c.from_vendor; });
        return std::any_of(valid_.begin(), valid_.end(), [&](const Judged& v) {
            const auto& i = v.index;
            if (i.aud != c.to || i.index > c.from) return false;
            return guilty || (i.iss == c.from_vendor && held(i.epoch, i.iss) && c.paid > 0);
        });
    }

    void disputes() {
        for (const auto& x : d_.disputes)
            if (x.from >= x.to || x.to > j_.terms->n || !certified_.knows(x.vendor))
                fault("dispute", "A dispute of " + x.vendor + " names units that the coin has not, or a vendor that was never certified.");
    }

    void receipts() {
        for (const auto& r : d_.receipts) {
            ++j_.signatures;
            const auto payload = jws::peek(r);
            const auto aud = payload ? payload->root().string("aud") : std::nullopt;
            const auto good = verify_redeemed(r, aud.value_or(""), broker_);
            if (!good) fault("receipt", "A receipt of a batch does not verify: " + good.error().detail + ".");
        }
    }

    struct Lease {
        UnixTime iat, exp;
    };

    const Document& d_;
    const KeySet& broker_;
    const Certified& certified_;
    Judgement j_;
    std::optional<Proven> proven_;
    std::set<std::string> shown_, seen_;  // tokens in the list of indices; tokens anywhere
    std::vector<Judged> valid_;
    std::map<std::uint64_t, Lease> leases_;
};

}  // namespace

Judgement judge(const Document& d, const KeySet& broker, const Certified& certified) {
    return Court(d, broker, certified).judge();
}

Judgement judge(const Document& d, const KeySet& broker) {
    Certified certified;
    std::vector<Fault> faults;
    for (const auto& token : d.certificates)
        if (const auto c = certified.add(token, d.broker, broker); !c)
            faults.push_back({"certificate", "A certificate does not verify: " + c.error().detail + ".", {}, 0});
    auto j = judge(d, broker, certified);
    j.signatures += d.certificates.size();
    j.faults.insert(j.faults.begin(), faults.begin(), faults.end());
    return j;
}

}  // namespace netpay::evidence
