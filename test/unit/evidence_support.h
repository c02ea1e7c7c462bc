// A coin that travelled from one vendor to the next, as evidence: every token
// signed by the right key, so that a test can change one thing.
#pragma once

#include <vector>

#include "core/evidence.h"
#include "core/json.h"
#include "core_support.h"

namespace netpay::test {

inline const std::string evidence_broker = "https://broker.example";

struct Party {
    std::string origin;
    SigningKey key;
};

// Three vendors, a coin of 100 units: news sold 1 … 40 and handed over to
// sport, sport sold 41 … 70 and handed over to music, which has it still.
class Story {
public:
    static constexpr UnixTime t0 = 1790000000;

    Story() {
        document.broker = evidence_broker;
        document.made = t0 + 9000;
        document.keys = KeySet({broker.public_key()});
        Touchstone t;
        t.iss = evidence_broker;
        t.cur = uusd();
        t.unit = *Amount::from(1000);
        t.n = chain.n();
        t.salt = chain.salt();
        t.root = chain.at(0);
        t.coin = document.coin = coin_id(t.salt, t.root);
        t.iat = t0;
        t.exp = t0 + 1000000;
        document.touchstone = sign_touchstone(t, broker);
        for (const auto* p : {&news, &sport, &music}) document.certificates.push_back(certificate(*p));
        const auto first = index(news, sport.origin, 1, 40), second = index(sport, music.origin, 2, 70);
        document.custody = {{1, news.origin, 0, 40, custody(news, 1, 0), ""},
                            {2, sport.origin, 40, 70, custody(sport, 2, 40), first},
                            {3, music.origin, 70, -1, custody(music, 3, 70), second}};
        document.indices = {{t0 + 200, first}, {t0 + 300, second}};
        document.claims = {{news.origin, 1, 0, 40}, {sport.origin, 2, 40, 70}};
        document.paywords = {{40, chain.at(40)}, {70, chain.at(70)}};
    }

    std::string certificate(const Party& p, UnixTime iat = t0 - 100, UnixTime exp = t0 + 100000) const {
        return sign_certificate({evidence_broker, p.origin, p.key.public_key(), p.origin + "/handoff", iat, exp}, broker);
    }
    std::string custody(const Party& p, std::uint64_t epoch, std::uint32_t at, UnixTime iat = t0 + 100) const {
        Custody c;
        c.iss = evidence_broker;
        c.sub = p.origin;
        c.coin = document.coin;
        c.epoch = epoch;
        c.index = at;
        c.payword = chain.at(at);
        c.iat = iat;
        c.exp = iat + 86400;
        return sign_custody(c, broker);
    }
    std::string index(const Party& p, const std::string& to, std::uint64_t epoch, std::uint32_t at, UnixTime iat = t0 + 150) const {
        SignedIndex i;
        i.iss = p.origin;
        i.aud = to;
        i.coin = document.coin;
        i.epoch = epoch;
        i.index = at;
        i.payword = chain.at(at);
        i.iat = iat;
        i.exp = iat + 86400;
        return sign_index(i, p.key);
    }
    evidence::Judgement judge() const { return evidence::judge(document, document.keys); }

    SigningKey broker = signing_key('b');
    Party news{"https://news.example", signing_key('n')}, sport{"https://sport.example", signing_key('s')},
        music{"https://music.example", signing_key('m')};
    Chain chain{salt_of(7), word_of(9), 100};
    evidence::Document document;
};

// The document as a broker writes it.
inline std::string text_of(const evidence::Document& d) {
    const auto range = [](const evidence::Range& r) {
        return json::Object().set("vendor", r.vendor).set("epoch", r.epoch).set("from", std::uint64_t{r.from}).set("to", std::uint64_t{r.to});
    };
    std::vector<json::Object> custody, indices, claims, paywords, reversals, compensations, disputes, findings, keys;
    for (const auto& h : d.custody) {
        custody.push_back(json::Object().set("epoch", h.epoch).set("vendor", h.vendor).set("start", std::uint64_t{h.start}).set("custody", h.custody).set("index", h.index));
        if (h.released >= 0) custody.back().set("released", static_cast<std::uint64_t>(h.released));
    }
    for (const auto& i : d.indices) indices.push_back(json::Object().set("at", static_cast<std::uint64_t>(i.at)).set("token", i.token));
    for (const auto& r : d.claims) claims.push_back(range(r));
    for (const auto& m : d.paywords) paywords.push_back(json::Object().set("index", std::uint64_t{m.index}).set("payword", encode_payword(m.payword)));
    for (const auto& r : d.reversals) reversals.push_back(range(r));
    for (const auto& c : d.compensations)
        compensations.push_back(json::Object().set("to", c.to).set("from_vendor", c.from_vendor).set("from", std::uint64_t{c.from}).set("to_index", std::uint64_t{c.to_index}).set("due", c.due).set("paid", c.paid));
    for (const auto& x : d.disputes)
        disputes.push_back(json::Object().set("vendor", x.vendor).set("from", std::uint64_t{x.from}).set("to", std::uint64_t{x.to}).set("reason", x.reason).set("against", x.against));
    for (const auto& f : d.findings) findings.push_back(json::Object().set("kind", evidence::name_of(f.kind)).set("vendor", f.vendor).set("epoch", f.epoch).set("tokens", f.tokens));
    for (const auto& k : d.keys.keys()) keys.push_back(k.jwk_for_set());
    return json::Object()
        .set("netpay", "evidence/1")
        .set("broker", d.broker)
        .set("coin", d.coin)
        .set("made", static_cast<std::uint64_t>(d.made))
        .set("jwks", json::Object().set("keys", keys))
        .set("touchstone", d.touchstone)
        .set("certificates", d.certificates)
        .set("custody", custody)
        .set("indices", indices)
        .set("claims", claims)
        .set("paywords", paywords)
        .set("receipts", d.receipts)
        .set("reversals", reversals)
        .set("compensations", compensations)
        .set("disputes", disputes)
        .set("findings", findings)
        .jcs();
}

}  // namespace netpay::test
