#include "test/sim/mallory.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/certificate.h"
#include "core/claim.h"
#include "core/index.h"
#include "core/jws.h"
#include "core/request.h"

namespace netpay::sim {
namespace {

SigningKey key_for(std::uint64_t seed) {
    Bytes d(32);
    SeededRandom(seed).fill(d.data(), d.size());
    return *SigningKey::from_bytes(Secret(std::move(d)));
}

std::string text(const json::Value& v, std::string_view name) { return std::string(v.string(name).value_or("")); }

}  // namespace

Mallory::Mallory(Stage& stage, Network& network, Referee& referee, int number)
    : stage_(stage), referee_(referee), origin_("https://mallory" + std::to_string(number) + ".example"),
      random_(stage.seed ^ (0x6d616c6cull << 8) ^ static_cast<std::uint64_t>(number)),
      key_(key_for(stage.seed * 1000 + 500 + static_cast<std::uint64_t>(number))), disk_(stage, origin_),
      wire_(network, origin_, disk_) {}

Mallory::Loot& Mallory::loot(CoinTruth& coin, std::uint32_t index, const Payword& word) {
    auto& l = loot_[coin.name];
    l.coin = &coin;
    if (index > l.revealed) {
        l.revealed = index;
        l.word = word;
    }
    return l;
}

Mallory::Loot* Mallory::any() {
    if (loot_.empty()) return nullptr;
    auto at = loot_.begin();
    std::advance(at, static_cast<std::ptrdiff_t>(stage_.dice.below(loot_.size())));
    return &at->second;
}

std::string Mallory::request(const std::string& aud, const std::string& what, json::Object members) {
    return sign_request({origin_, aud, what, stage_.now, *world::fresh_name(random_)}, std::move(members), key_);
}

world::HttpAnswer Mallory::call(const std::string& what, json::Object members) {
    const auto body = json::Object().set("request", request(issuer, what, std::move(members))).jcs();
    auto answer = wire_.post(issuer + "/api/v1/" + what, body);
    if (answer.status == 403 && answer.body.find("suspended-vendor") != std::string::npos) suspended = true;
    return answer;
}

const std::string& Mallory::certificate() {
    if (!certificate_.empty()) return certificate_;
    const auto answer = wire_.get(issuer + "/api/v1/vendors/" + b64u_encode(origin_));
    if (answer.status == 200)
        if (const auto doc = json::Document::parse(answer.body)) certificate_ = text(doc->root(), "certificate");
    return certificate_;
}

std::string Mallory::sign(Loot& l, const std::string& aud, std::uint64_t epoch, std::uint32_t index) {
    l.coin->tainted = true;
    const auto at = std::min(index, l.revealed);
    stage_.count("false or true indices signed by hostile vendors");
    return sign_index({origin_, aud, l.coin->name, epoch, at, walk_down(l.coin->salt, l.revealed, l.word, at), stage_.now,
                       std::max(l.lease, stage_.now + 600)},
                      key_);
}

bool Mallory::take_from(Loot& l, const std::string& holder, const std::string& handoff, std::uint64_t epoch, std::uint32_t index) {
    if (certificate().empty()) return false;
    if (index > l.revealed) return false;
    auto members = json::Object().set("coin", l.coin->name).set("index", std::uint64_t{index}).set(
        "payword", encode_payword(walk_down(l.coin->salt, l.revealed, l.word, index)));
    if (epoch) members.set("epoch", epoch);
    const auto body = json::Object().set("request", request(holder, "handoff", members)).set("certificate", certificate()).jcs();
    const auto answer = wire_.post(handoff, body);
    if (answer.status != 200) return false;
    const auto doc = json::Document::parse(answer.body);
    const auto token = doc ? text(doc->root(), "index") : "";
    const auto said = jws::peek(token);
    if (!said) return false;
    l.holds = true;
    l.coin->tainted = true;
    l.epoch = said->root().uint("epoch").value_or(0) + 1;
    l.start = l.spent = static_cast<std::uint32_t>(said->root().uint("index").value_or(0));
    l.lease = static_cast<UnixTime>(said->root().uint("exp").value_or(0));
    l.indices = {token};
    l.given.clear();
    stage_.count("coins taken over by hostile vendors");
    return true;
}

bool Mallory::take(Loot& l) {
    const auto answer = call("custody/acquire", json::Object().set("coin", l.coin->name).set("index", std::uint64_t{l.revealed}).set(
                                                    "payword", encode_payword(l.word)));
    const auto doc = json::Document::parse(answer.body);
    if (!doc || !doc->root().is_object()) return false;
    if (answer.status == 200) {
        const auto said = jws::peek(text(doc->root(), "custody"));
        if (!said) return false;
        l.holds = true;
        l.coin->tainted = true;
        l.epoch = said->root().uint("epoch").value_or(0);
        l.start = static_cast<std::uint32_t>(said->root().uint("index").value_or(0));
        l.spent = std::max(l.spent, l.start);
        l.lease = static_cast<UnixTime>(said->root().uint("exp").value_or(0));
        l.indices.clear();
        l.given.clear();
        stage_.count("coins acquired by hostile vendors");
        return true;
    }
    if (answer.status != 409) return false;
    const auto holder = jws::peek(text(doc->root(), "holder"));
    if (!holder) return false;
    return take_from(l, text(holder->root(), "sub"), text(holder->root(), "handoff"), doc->root().uint("epoch").value_or(0),
                     static_cast<std::uint32_t>(doc->root().uint("index").value_or(0) + 1));
}

void Mallory::report(Loot& l) {
    if (l.indices.empty()) return;
    const auto body = json::Object()
                          .set("request", request(issuer, "custody/transfer", json::Object().set("coin", l.coin->name)))
                          .set("index", l.indices)
                          .jcs();
    const auto answer = wire_.post(issuer + "/api/v1/custody/transfer", body);
    stage_.count("hostile reports answered " + std::to_string(answer.status));
    if (answer.status == 200) l.indices.clear();
}

Served Mallory::serve(CoinTruth& coin, const PaymentPayload& payload, std::uint32_t units) {
    auto& l = loot(coin, static_cast<std::uint32_t>(payload.index), payload.payword);
    if (!l.holds || l.lease < stage_.now) l.holds = take(l);
    if (!l.indices.empty() && stage_.dice.one_in(2)) report(l);
    if (!l.holds) return {Served::Kind::refused, Decision::custody_unavailable, 0, 0, 0, 0};
    if (stage_.dice.one_in(20))  // asks for more than the page costs
        return {Served::Kind::refused, Decision::insufficient, l.spent, l.revealed, l.revealed + units + 2, 0};
    if (stage_.dice.one_in(20)) return {};
    if (l.revealed < l.spent + units)
        return {Served::Kind::refused, Decision::insufficient, l.spent, l.revealed, l.spent + units, 0};
    l.spent += units;
    stage_.count("pages sold by hostile vendors");
    return {Served::Kind::receipt, Decision::paid, l.spent, l.revealed, 0, 0};
}

// POST handoff, answered by the dice. It learns the payword it is shown.
world::HttpAnswer Mallory::handle(const Message& m) {
    world::HttpAnswer a;
    a.date = stage_.now;
    a.status = 503;
    a.retry_after_s = 1;
    const auto body = json::Document::parse(m.body);
    const auto asked = body && body->root().is_object() ? jws::peek(text(body->root(), "request")) : Result<json::Document>(Code::malformed, "");
    if (!asked) return a;
    const auto& r = asked->root();
    auto* coin = referee_.find(text(r, "coin"));
    const auto word = decode_payword(text(r, "payword"));
    if (!coin) return a;
    auto& l = word ? loot(*coin, static_cast<std::uint32_t>(r.uint("index").value_or(0)), *word) : loot_[coin->name];
    if (!l.coin) return a;
    const auto aud = text(r, "iss");
    std::uint64_t epoch = r.uint("epoch").value_or(l.epoch ? l.epoch : 1);
    std::uint32_t index = l.spent;
    switch (stage_.dice.weighted({40, 15, 15, 10, 10, 10})) {
        case 0:  // as an honest one would
            if (const auto before = l.given.find(aud); before != l.given.end()) {
                a.status = 200;
                a.body = json::Object().set("index", before->second).set("touchstone", coin->touchstone).jcs();
                return a;
            }
            if (!l.holds) return a;
            l.holds = false;
            break;
        case 1: index = l.start; break;                                    // lower than true
        case 2: index = l.revealed; break;                                 // all that was revealed
        case 3: index = static_cast<std::uint32_t>(stage_.dice.below(std::uint64_t{l.revealed} + 1)); break;
        case 4: epoch = static_cast<std::uint64_t>(stage_.dice.between(1, 9)); break;  // perhaps never its own
        default: return a;                                                 // sits on it
    }
    if (stage_.dice.one_in(3) && !l.indices.empty()) report(l);
    const auto token = sign(l, aud, epoch, index);
    l.given[aud] = token;
    a.status = 200;
    a.retry_after_s = 0;
    a.body = json::Object().set("index", token).set("touchstone", coin->touchstone).jcs();
    return a;
}

// Ranges it held and ranges it never held, some twice, some with others' between.
void Mallory::claim() {
    std::string body;
    std::string what;
    for (int lines = static_cast<int>(stage_.dice.between(1, 4)); lines > 0; --lines) {
        auto* l = any();
        if (!l || l->revealed == 0) return;
        const auto to = static_cast<std::uint32_t>(stage_.dice.between(1, l->revealed));
        const auto from = stage_.dice.one_in(2) ? std::min(l->start, to - 1)
                                                : static_cast<std::uint32_t>(stage_.dice.below(to));
        const Claim c{l->coin->name, from, to, walk_down(l->coin->salt, l->revealed, l->word, to)};
        body += format_claim(c) + "\n";
        if (stage_.dice.one_in(3)) body += format_claim(c) + "\n";
    }
    const auto path = origin_ + "/batch";
    if (!disk_.replace(path, body)) return;
    const auto token = sign_batch({origin_, issuer, "m" + std::to_string(++batches_), content_digest(sha256(body)), stage_.now}, key_);
    const auto answer = wire_.post_file(issuer + "/api/v1/redemptions", path, {"Content-Type: application/x-ndjson", "NetPay-Batch: " + token});
    if (answer.status == 200) stage_.count("hostile batches answered");
    stage_.note("hostile batch " + std::to_string(answer.status));
}

void Mallory::scheme() {
    auto* l = any();
    if (!l) return;
    switch (stage_.dice.weighted({50, 15, 15, 20})) {
        case 0: claim(); break;
        case 1: report(*l); break;
        case 2:  // an index of its own to itself, for an epoch it may never have held
            l->indices = {sign(*l, origin_, static_cast<std::uint64_t>(stage_.dice.between(1, 9)),
                               static_cast<std::uint32_t>(stage_.dice.below(std::uint64_t{l->revealed} + 1)))};
            report(*l);
            l->indices.clear();
            break;
        default: l->holds = take(*l) || l->holds; break;
    }
}

}  // namespace netpay::sim
