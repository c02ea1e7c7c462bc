#include "mod_netpay/give_back.h"

#include <algorithm>
#include <limits>

#include "core/base64url.h"
#include "core/hash.h"
#include "core/json.h"
#include "core/payword.h"
#include "core/problem.h"

namespace netpay {
namespace {

using GivenBack = till::Till::GivenBack;

constexpr std::size_t longest_target = 8190;  // httpd's own limit of a request line
constexpr std::uint32_t busy_retry_s = 2;

PageBackAnswer problem_of(int status, std::string_view kind, std::string_view title, std::string_view detail, std::string_view reason = {}) {
    auto document = problem_document("urn:netpay:problem:" + std::string(kind), status, title, detail);
    if (!reason.empty()) document.set("reason", reason);
    PageBackAnswer a;
    a.status = status;
    a.body = document.jcs();
    return a;
}

PageBackAnswer refused(std::string_view reason, std::string_view detail) {
    return problem_of(409, "not-given-back", "The page is not taken back", detail, reason);
}

PageBackAnswer malformed() {
    return problem_of(400, "malformed-request", "The request is malformed",
                   "Send one JSON object with \"coin\", \"index\", \"payword\" and \"target\" of the page that was paid.");
}

PageBackAnswer answer_to(GivenBack result, const char* why) {
    switch (result) {
        case GivenBack::reread: return refused("opened", "It was opened again since it was paid.");
        case GivenBack::too_late: return refused("too-late", "It was paid for too long ago.");
        case GivenBack::booked: return refused("booked", "Its payment is booked already.");
        case GivenBack::again: return refused("once-a-day", "This page was given back today; it can be once a day.");
        case GivenBack::too_many: return refused("too-many", "No more pages are taken back today.");
        case GivenBack::busy: return refused("busy", "A payment by this coin is under way; try again.");
        case GivenBack::unavailable: break;
        default: return refused("unknown", "This ticket did not pay for that page here of late.");
    }
    auto a = problem_of(503, "unavailable", "Pages cannot be taken back now", "Nothing has changed; try again later.");
    a.retry_after_s = busy_retry_s;
    a.why = why;
    return a;
}

struct Wanted {
    Tag16 coin{}, resource{};
    std::string target;
    std::uint32_t index = 0;
    Payword word;
};

std::optional<Wanted> read(std::string_view body, std::string_view host) {
    const auto doc = json::Document::parse(body);
    if (!doc || !doc->root().is_object()) return std::nullopt;
    const auto& v = doc->root();
    const auto coin = b64u_decode_array<16>(v.string("coin").value_or(""));
    const auto index = v.uint("index");
    const auto word = decode_payword(v.string("payword").value_or(""));
    const auto target = v.string("target");
    if (!coin || !index || *index < 1 || *index > limits::max_chain || !word || !target || !target->starts_with('/') ||
        target->size() > longest_target)
        return std::nullopt;
    Wanted w;
    w.coin = *coin;
    w.target = *target;
    w.resource = first16(sha256({"GET ", host, *target}));
    w.index = static_cast<std::uint32_t>(*index);
    w.word = *word;
    return w;
}

bool is_payers(const SpendState& s, const Wanted& w) {
    return w.index <= s.revealed && walk_down(s.salt, s.revealed, s.word, w.index).bytes == w.word.bytes;
}

// The page as the till remembers it.
std::optional<RecentTicket> paid_by(const SpendState& s, const Wanted& w) {
    const auto t = std::find_if(s.recent.begin(), s.recent.end(),
                                [&](const RecentTicket& r) { return r.index == w.index && r.resource == w.resource; });
    return t == s.recent.end() ? std::nullopt : std::optional(*t);
}

// What Wallets is to note, and as whose.
struct Note {
    Tag16 reader, page;
};

// All programs together are one reader, and a page of each coin is a page of its own.
Note page_of(const Wanted& w) {
    return {first16(sha256("netpay/give-back/programs")), first16(sha256({as_view(w.coin), as_view(w.resource)}))};
}

// The till forgets a ticket whose page was given back; who did not hear so and
// asks again is told by this note.
Note ticket_of(const Wanted& w) {
    return {first16(sha256("netpay/give-back/tickets")),
            first16(sha256({as_view(w.coin), as_view(w.resource), std::to_string(w.index)}))};
}

}  // namespace

PageBackAnswer give_page_back(till::Till& till, ewallet::Wallets& wallets, const GiveBackRules& rules, std::string_view host,
                              std::string_view body, UnixTime now) {
    if (!rules.within_s || !rules.programs)
        return problem_of(404, "not-offered", "Pages are not taken back here", "This site does not take pages back from programs.");
    const auto wanted = read(body, host);
    if (!wanted) return malformed();
    const auto e = till.find(wanted->coin);
    if (!e || !is_payers(e->state, *wanted)) return answer_to(GivenBack::unknown, "");
    const auto paid = paid_by(e->state, *wanted);
    const auto ticket = ticket_of(*wanted);
    if (!paid && wallets.noted_given_back(ticket.reader, ticket.page, now))
        return refused("again", "This payment was given back before, and its units are yours again since.");
    if (!paid) return answer_to(GivenBack::unknown, "");
    const auto page = page_of(*wanted);
    const auto noted = wallets.note_given_back(page.reader, page.page, rules.programs, now);
    if (noted != GivenBack::given) return answer_to(noted, "it cannot be noted");
    const auto out = till.give_back({wanted->coin, wanted->index, wanted->resource, now, rules.within_s, rules.per_day});
    if (out.result != GivenBack::given) {
        // Where the till cannot say whether it did: then it knows the ticket no more.
        wallets.forget_given_back(page.reader, page.page, now);
        return answer_to(out.result, out.why);
    }
    (void)wallets.note_given_back(ticket.reader, ticket.page, std::numeric_limits<std::uint32_t>::max(), now);
    const auto& terms = e->coin.terms;
    PageBackAnswer a;
    a.units = out.units;
    a.page.target = wanted->target;
    a.page.coin = wanted->coin;
    a.page.ticket = wanted->index;
    a.page.resource = wanted->resource;
    a.page.units = out.units;
    a.page.price = {terms.unit.times(out.units).value_or(Amount()), terms.cur};
    a.page.at = paid->used_at;
    a.body = json::Object()
                 .set("coin", terms.coin)
                 .set("spent", std::uint64_t{out.spent})
                 .set("revealed", std::uint64_t{out.revealed})
                 .set("units", std::uint64_t{out.units})
                 .set("amount", a.page.price.amount.str())
                 .set("currency", terms.cur.str())
                 .jcs();
    return a;
}

}  // namespace netpay
