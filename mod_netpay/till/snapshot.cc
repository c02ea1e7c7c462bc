#include "mod_netpay/till/snapshot.h"

#include <cstring>
#include <type_traits>

#include <xxhash.h>

#include "core/base64url.h"

namespace netpay::till {
namespace {

// Formats of the two records. Numbers are little-endian. In the first every
// coin was held and confirmed, in the second nothing was given back; each ends
// before the members that the next one added.
constexpr std::uint8_t first_format = 1, second_format = 2;
constexpr std::uint8_t snapshot_format = 3;
constexpr std::uint8_t papers_format = 3;

bool readable(std::uint8_t format, std::uint8_t newest) { return format >= first_format && format <= newest; }

// A custody is taken over by a few indices at most; the number is checked before they are read.
constexpr std::uint32_t most_indices = 64;

class Writer {
public:
    template <class T>
    Writer& number(T v) {
        static_assert(std::is_integral_v<T>);
        auto u = static_cast<std::make_unsigned_t<T>>(v);
        for (std::size_t i = 0; i < sizeof u; ++i) {
            out_.push_back(static_cast<char>(u & 0xff));
            if constexpr (sizeof u > 1) u = static_cast<std::make_unsigned_t<T>>(u >> 8);
        }
        return *this;
    }
    template <std::size_t N>
    Writer& bytes(const std::array<std::uint8_t, N>& a) {
        out_.append(as_view(a));
        return *this;
    }
    Writer& text(std::string_view s) {
        number(static_cast<std::uint32_t>(s.size()));
        out_.append(s);
        return *this;
    }
    std::string sealed() {
        number(static_cast<std::uint64_t>(XXH3_64bits(out_.data(), out_.size())));
        return std::move(out_);
    }

private:
    std::string out_;
};

// Reads what Writer wrote. After the first thing that is missing, everything is.
class Reader {
public:
    explicit Reader(std::string_view in) : in_(in) {
        if (in.size() < 8) {
            bad_ = true;
            return;
        }
        in_ = in.substr(in.size() - 8);
        const auto sum = number<std::uint64_t>();
        in_ = in.substr(0, in.size() - 8);
        bad_ = sum != XXH3_64bits(in_.data(), in_.size());
    }
    template <class T>
    T number() {
        using U = std::make_unsigned_t<T>;
        U u = 0;
        const auto s = take(sizeof u);
        for (std::size_t i = s.size(); i-- > 0;) {
            if constexpr (sizeof u > 1) u = static_cast<U>(u << 8);
            u = static_cast<U>(u | static_cast<std::uint8_t>(s[i]));
        }
        return static_cast<T>(u);
    }
    template <std::size_t N>
    std::array<std::uint8_t, N> bytes() {
        std::array<std::uint8_t, N> a{};
        const auto s = take(N);
        if (s.size() == N) std::memcpy(a.data(), s.data(), N);
        return a;
    }
    std::string text() { return std::string(take(number<std::uint32_t>())); }
    bool good() const { return !bad_; }
    bool finished() const { return !bad_ && in_.empty(); }

private:
    std::string_view take(std::size_t n) {
        if (bad_ || in_.size() < n) {
            bad_ = true;
            return {};
        }
        const auto s = in_.substr(0, n);
        in_.remove_prefix(n);
        return s;
    }
    std::string_view in_;
    bool bad_ = false;
};

}  // namespace

bool plausible(const SpendState& s) {
    return s.n >= 1 && s.n <= limits::max_chain && s.start <= s.spent && s.spent <= s.revealed && s.revealed <= s.n &&
           s.recent_at < limits::recent_tickets && s.tickets.valid(s.n);
}

std::uint32_t recent_used(const SpendState& s) {
    return s.recent.back().index ? static_cast<std::uint32_t>(limits::recent_tickets) : s.recent_at;
}

std::string encode(const Snapshot& s) {
    Writer w;
    w.number(snapshot_format).number(s.version).number(s.last_used);
    const auto& t = s.state;
    w.bytes(t.salt).number(t.n).number(t.start).number(t.exp).number(t.lease);
    w.number(t.spent).number(t.revealed).bytes(t.word.bytes);
    w.number(t.tickets.size());
    for (std::uint32_t k = 0; k < t.tickets.size(); ++k) w.number(t.tickets[k].first).number(t.tickets[k].last);
    w.number(t.recent_at).number(recent_used(t));
    for (std::uint32_t k = 0; k < recent_used(t); ++k) {
        const auto& r = t.recent[k];
        w.number(r.index).number(r.replays).number(UnixTime{r.used_at}).bytes(r.resource);
        w.number(static_cast<std::uint32_t>(r.units));
    }
    w.number(s.pages_left);
    return w.sealed();
}

std::optional<Snapshot> decode_snapshot(std::string_view bytes) {
    Reader r(bytes);
    Snapshot s;
    const auto format = r.number<std::uint8_t>();
    if (!readable(format, snapshot_format)) return std::nullopt;
    s.version = r.number<std::uint64_t>();
    s.last_used = r.number<UnixTime>();
    auto& t = s.state;
    t.salt = r.bytes<16>();
    t.n = r.number<std::uint32_t>();
    t.start = r.number<std::uint32_t>();
    t.exp = r.number<UnixTime>();
    t.lease = r.number<UnixTime>();
    t.spent = r.number<std::uint32_t>();
    t.revealed = r.number<std::uint32_t>();
    t.word.bytes = r.bytes<32>();
    const auto ranges = r.number<std::uint32_t>();
    if (ranges > limits::ticket_ranges) return std::nullopt;
    for (std::uint32_t k = 0; k < ranges; ++k) {
        const auto first = r.number<std::uint32_t>();
        t.tickets.append({first, r.number<std::uint32_t>()});
    }
    t.recent_at = r.number<std::uint32_t>();
    const auto recent = r.number<std::uint32_t>();
    if (recent > limits::recent_tickets) return std::nullopt;
    for (std::uint32_t k = 0; k < recent; ++k) {
        auto& x = t.recent[k];
        x.index = r.number<std::uint32_t>();
        x.replays = r.number<std::uint32_t>();
        x.used_at = r.number<UnixTime>() & ((UnixTime{1} << 42) - 1);
        x.resource = r.bytes<16>();
        if (format > second_format) x.units = r.number<std::uint32_t>() & ((1u << 21) - 1);
    }
    if (format != first_format) s.pages_left = r.number<std::uint32_t>();
    if (!r.finished() || !plausible(t)) return std::nullopt;
    return s;
}

std::string encode(const Papers& p) {
    Writer w;
    const auto& c = p.coin;
    const auto& t = c.terms;
    w.number(papers_format).text(t.iss).text(t.cur.str()).number(t.unit.micro()).number(t.n);
    w.bytes(t.salt).bytes(t.root.bytes).number(t.iat).number(t.exp).bytes(t.tag);
    w.text(c.touchstone).text(c.custody).number(c.epoch).number(c.start).bytes(c.word.bytes).number(c.lease);
    w.number(p.claimed).number(static_cast<std::uint8_t>(p.damaged)).number(static_cast<std::uint32_t>(p.owed.size()));
    for (const auto& o : p.owed) w.number(o.from).number(o.to).bytes(o.word.bytes);
    w.number(static_cast<std::uint8_t>(p.standing)).number(static_cast<std::uint8_t>(p.handed_over.has_value()));
    if (p.handed_over) w.text(p.handed_over->index).text(p.handed_over->to).text(p.handed_over->certificate);
    w.number(c.pages).number(static_cast<std::uint32_t>(c.indices.size()));
    for (const auto& token : c.indices) w.text(token);
    w.number(p.floor).text(p.refused).number(p.void_epoch);
    w.number(p.shown).number(p.given_back).number(p.given_day).number(static_cast<std::uint8_t>(p.given.size()));
    for (const auto& resource : p.given) w.bytes(resource);
    return w.sealed();
}

namespace {

// What the second format added: where the coin went, and by which indices it came.
bool decode_travels(Reader& r, Papers& p) {
    const auto standing = r.number<std::uint8_t>();
    if (standing > static_cast<std::uint8_t>(Standing::dropped)) return false;
    p.standing = static_cast<Standing>(standing);
    if (r.number<std::uint8_t>() != 0) {
        auto& h = p.handed_over.emplace();
        h.index = r.text();
        h.to = r.text();
        h.certificate = r.text();
    }
    if (p.standing == Standing::handed_over && !p.handed_over) return false;
    p.coin.pages = r.number<std::uint32_t>();
    const auto indices = r.number<std::uint32_t>();
    if (indices > most_indices) return false;
    for (std::uint32_t k = 0; k < indices && r.good(); ++k) p.coin.indices.push_back(r.text());
    p.floor = r.number<std::uint64_t>();
    p.refused = r.text();
    p.void_epoch = r.number<std::uint64_t>();
    return r.good();
}

// What the third added: pages given back, and what may stand in the way of that.
bool decode_given(Reader& r, Papers& p) {
    p.shown = r.number<std::uint32_t>();
    p.given_back = r.number<std::uint64_t>();
    p.given_day = r.number<std::int64_t>();
    const auto given = r.number<std::uint8_t>();
    if (given > Till::most_given_back) return false;
    for (int k = 0; k < given; ++k) p.given.push_back(r.bytes<16>());
    return r.good();
}

}  // namespace

std::optional<Papers> decode_papers(std::string_view bytes) {
    Reader r(bytes);
    Papers p;
    auto& c = p.coin;
    auto& t = c.terms;
    const auto format = r.number<std::uint8_t>();
    if (!readable(format, papers_format)) return std::nullopt;
    t.iss = r.text();
    const auto cur = Currency::parse(r.text());
    const auto unit = Amount::from(r.number<std::uint64_t>());
    if (!cur || !unit || unit->micro() == 0) return std::nullopt;
    t.cur = *cur;
    t.unit = *unit;
    t.n = r.number<std::uint32_t>();
    t.salt = r.bytes<16>();
    t.root.bytes = r.bytes<32>();
    t.iat = r.number<UnixTime>();
    t.exp = r.number<UnixTime>();
    t.tag = r.bytes<16>();
    t.coin = b64u_encode(t.tag);
    c.touchstone = r.text();
    c.custody = r.text();
    c.epoch = r.number<std::uint64_t>();
    c.start = r.number<std::uint32_t>();
    c.word.bytes = r.bytes<32>();
    c.lease = r.number<UnixTime>();
    p.claimed = r.number<std::uint32_t>();
    p.damaged = r.number<std::uint8_t>() != 0;
    for (auto owed = r.number<std::uint32_t>(); owed > 0 && r.good(); --owed) {
        Owed o;
        o.from = r.number<std::uint32_t>();
        o.to = r.number<std::uint32_t>();
        o.word.bytes = r.bytes<32>();
        p.owed.push_back(o);
    }
    if (format > first_format && !decode_travels(r, p)) return std::nullopt;
    if (format > second_format && !decode_given(r, p)) return std::nullopt;
    if (!r.finished()) return std::nullopt;
    return p;
}

}  // namespace netpay::till
