// POST /custody/acquire, /custody/renew, /custody/transfer (PROTOCOL.md section 7).
#include <algorithm>

#include "broker/api/resource.h"
#include "broker/custody/handovers.h"
#include "broker/custody/leases.h"
#include "broker/vendors/caller.h"
#include "core/limits.h"
#include "core/payword.h"
#include "core/problem.h"

namespace netpay::broker::api {
namespace {

constexpr std::size_t renewals = 1000;  // a call; the token's size allows fewer
// Signed indices a report: a receiver asks at most four vendors one after the other.
constexpr std::size_t handed_over = 16;

Outcome<vendors::Call> call_of(Broker b, const Request& request, std::string_view call, UnixTime now,
                               vendors::Callers callers = vendors::Callers::approved) {
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto token = body->root().string("request");
    if (!token) return missing("request", "a signed netpay-request, a string");
    return b.store.read([&](Sql& sql) { return vendors::verify_call(b.context, sql, *token, call, now, callers); });
}

// A signed request counts as used whatever becomes of it, so what `f` refuses
// is undone alone and the jti stays.
template <class F>
Outcome<Response> use(Broker b, const Request& request, const vendors::Call& call, UnixTime now, F f) {
    return b.store.write([&](Sql& sql) -> Outcome<Response> {
        if (auto fresh = vendors::use_once(sql, call, now); !fresh) return fresh.refusal();
        Savepoint part(sql);
        auto outcome = f(sql);
        if (!outcome) return refuse(b, request, outcome.refusal());
        part.keep();
        return std::move(*outcome);
    });
}

Outcome<custody::Mark> mark_of(const json::Value& v) {
    const auto index = v.uint("index");
    if (!index || *index > limits::max_chain) return missing("index", "an integer from 0 to 1048576");
    const auto text = v.string("payword");
    const auto payword = text ? decode_payword(*text) : std::nullopt;
    if (!payword) return missing("payword", "32 bytes in base64url without padding");
    return custody::Mark{static_cast<std::uint32_t>(*index), *payword};
}

Response granted(const custody::Granted& g) {
    return Response::json(200, json::Object().set("touchstone", g.touchstone).set("custody", g.custody)).no_store();
}

// A problem document with what section 7 gives for that status.
json::Object document(const char* kind, int status, const char* title, const char* detail) {
    return problem_document(std::string("urn:netpay:problem:") + kind, status, title, detail);
}

Response problem(int status, const json::Object& document) {
    Response r;
    r.status = status;
    r.content_type = "application/problem+json";
    r.body = document.jcs();
    return std::move(r).no_store();
}

Response held(const custody::Held& h) {
    return problem(409, document("held", 409, "Another vendor holds the coin",
                                 "Ask its holder for it at the hand-over address in its certificate.")
                            .set("touchstone", h.touchstone)
                            .set("holder", h.holder)
                            .set("epoch", h.epoch)
                            .set("index", std::uint64_t{h.index}));
}

const char* outcome_name(int status) {
    switch (status) {
        case 200: return "granted";
        case 409: return "held";
        case 404: return "unknown";
        case 410: return "gone";
        default: return "refused";
    }
}

Outcome<Response> acquire(Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "custody/acquire", now);
    if (!call) return call.refusal();
    const auto& members = call->request.payload.root();
    const auto coin = members.string("coin");
    if (!coin) return missing("coin", "the coin's name, a string");
    const auto mark = mark_of(members);
    if (!mark) return mark.refusal();
    const std::string name(*coin);
    const auto allowed = b.store.read([&](Sql& sql) { return custody::may_ask(sql, name, *mark, now); });
    auto answer = use(b, request, *call, now, [&](Sql& sql) -> Outcome<Response> {
        if (!allowed) return allowed.refusal();
        auto acquired = custody::acquire(b.context, sql, call->vendor, name, *mark, now);
        if (!acquired) return acquired.refusal();
        if (const auto* g = std::get_if<custody::Granted>(&*acquired)) return granted(*g);
        return held(std::get<custody::Held>(*acquired));
    });
    b.context.metrics.custody("acquire", outcome_name(answer ? answer->status : answer.refusal().status));
    return answer;
}

Outcome<std::vector<custody::RenewalItem>> items_of(const json::Value& members) {
    const auto* list = members.array("coins");
    if (!list || list->size() > renewals) return missing("coins", "an array of at most 1000 objects");
    std::vector<custody::RenewalItem> items;
    for (const auto& v : *list) {
        const auto coin = v.is_object() ? v.string("coin") : std::nullopt;
        const auto epoch = v.is_object() ? v.uint("epoch") : std::nullopt;
        if (!coin || !epoch) return missing("coins", "objects of coin, epoch, index and payword");
        const auto mark = mark_of(v);
        if (!mark) return mark.refusal();
        items.push_back({std::string(*coin), *epoch, *mark, false});
    }
    return items;
}

Response renewed(const custody::Renewed& r) {
    std::vector<json::Object> refused;
    for (const auto& u : r.refused) refused.push_back(json::Object().set("coin", u.coin).set("reason", u.reason));
    return Response::json(200, json::Object().set("custody", r.custody).set("refused", refused)).no_store();
}

Outcome<Response> renew(Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "custody/renew", now);
    if (!call) return call.refusal();
    auto items = items_of(call->request.payload.root());
    if (!items) return items.refusal();
    const auto proven = b.store.read([&](Sql& sql) -> Outcome<Done> {
        custody::prove(sql, *items);
        return Done{};
    });
    if (!proven) return proven.refusal();
    auto answer = use(b, request, *call, now, [&](Sql& sql) -> Outcome<Response> {
        auto result = custody::renew(b.context, sql, call->vendor, *items, now);
        if (!result) return result.refusal();
        return renewed(*result);
    });
    b.context.metrics.custody("renew", answer && answer->status == 200 ? "granted" : "refused");
    return answer;
}

// What a report says, and what of it verified.
struct Report {
    std::vector<custody::Shown> shown;
    std::optional<Refusal> flaw;
};

Outcome<std::vector<std::string>> tokens_of(const Request& request) {
    const auto body = json_body(request);
    if (!body) return body.refusal();
    const auto* list = body->root().array("index");
    if (!list || list->size() == 0 || list->size() > handed_over)
        return missing("index", "an array of 1 to 16 signed indices, oldest first");
    std::vector<std::string> tokens;
    for (const auto& v : *list) {
        const auto token = v.as_string();
        if (!token) return missing("index", "an array of strings");
        tokens.emplace_back(*token);
    }
    return tokens;
}

Refusal unlinked(std::string what) { return {422, "index", "The signed indices do not lead to the caller", std::move(what)}; }

// Each to the signer of the next, the last to the caller or to this broker.
// The caller's own word needs no successor: whoever it gave the coin to may
// never have shown it, and others passed the coin on to the caller since.
std::optional<Refusal> break_in(const std::vector<custody::Shown>& shown, const std::string& caller,
                                const std::string& issuer) {
    for (std::size_t i = 0; i + 1 < shown.size(); ++i)
        if (shown[i].says.iss != caller &&
            (shown[i].says.aud != shown[i + 1].says.iss || shown[i].says.epoch + 1 != shown[i + 1].says.epoch))
            return unlinked("Each has to be addressed to the signer of the next, an epoch later.");
    const auto& aud = shown.back().says.aud;
    if (aud != caller && aud != issuer) return unlinked("The last has to be addressed to the caller.");
    return std::nullopt;
}

Report read_report(Broker b, Sql& sql, const std::vector<std::string>& tokens, std::string_view coin,
                   const std::string& caller) {
    Report report;
    // One that does not verify does not keep the others from being on file.
    for (const auto& token : tokens) {
        auto shown = custody::verify_shown(b.context, sql, token);
        if (!shown) report.flaw = shown.refusal();
        else if (shown->says.coin != coin) report.flaw = unlinked("One is of another coin.");
        else report.shown.push_back(std::move(*shown));
    }
    // In the order in which they were signed each finds the epoch it ends.
    std::stable_sort(report.shown.begin(), report.shown.end(),
                     [](const auto& x, const auto& y) { return x.says.epoch < y.says.epoch; });
    if (!report.flaw) report.flaw = break_in(report.shown, caller, b.context.options.issuer);
    return report;
}

Response overruled(const std::string& deciding) {
    auto d = document("overruled", 409, "The signed index does not decide",
                      "The coin is another's: drop it. What was sold of it can be claimed all the same; if its signer "
                      "deceived you it is paid from the signer's balance.");
    if (!deciding.empty()) d.set("index", deciding);
    return problem(409, d);
}

Response transferred(Broker b, const Request& request, const custody::Applied& last) {
    using What = custody::Applied::What;
    switch (last.what) {
        case What::granted:
            return Response::json(200, json::Object().set("custody", last.custody)).no_store();
        case What::nobody:
            return refuse(b, request, {403, "suspended-vendor", "The vendor is suspended",
                                       "The index is on file; the coin is nobody's. Ask the broker's operator."});
        case What::released:
            return refuse(b, request, {410, "gone", "The coin was given to its broker", "It is being returned."});
        case What::conflict: break;
    }
    return overruled(last.deciding);
}

// Whatever the answer is, what was shown and verified is on file and has its
// effect: a signed index binds its signer whenever it is shown.
Outcome<Response> transfer(Broker b, Request& request) {
    const UnixTime now = b.context.clock.now();
    const auto call = call_of(b, request, "custody/transfer", now, vendors::Callers::suspended_too);
    if (!call) return call.refusal();
    const auto coin = call->request.payload.root().string("coin");
    if (!coin) return missing("coin", "the coin's name, a string");
    const auto tokens = tokens_of(request);
    if (!tokens) return tokens.refusal();
    const auto report = b.store.read([&](Sql& sql) -> Outcome<Report> {
        return read_report(b, sql, *tokens, *coin, call->vendor.origin);
    });
    if (!report) return report.refusal();
    auto answer = use(b, request, *call, now, [&](Sql& sql) -> Outcome<Response> {
        custody::Applied last;
        for (const auto& shown : report->shown) {
            auto applied = custody::apply(b.context, sql, shown, now);
            if (!applied) return applied.refusal();
            last = std::move(*applied);
        }
        if (report->flaw) return refuse(b, request, *report->flaw);
        return transferred(b, request, last);
    });
    const int status = answer ? answer->status : answer.refusal().status;
    b.context.metrics.custody("transfer", status == 409 ? "refused" : outcome_name(status));
    return answer;
}

}  // namespace

void add_custody(Routes& routes, Broker b) {
    // A vendor's hosts share an address: a busy hour brings a coin with every new reader.
    routes.add("POST", path("/custody/acquire"), handler(b, acquire), {16384, 200, 3000});
    routes.add("POST", path("/custody/renew"), handler(b, renew), {512 * 1024, 50, 1000});
    // Sixteen tokens and the request: 4 KiB each at the most.
    routes.add("POST", path("/custody/transfer"), handler(b, transfer), {80 * 1024, 200, 3000});
}

}  // namespace netpay::broker::api
