// The frozen bytes of the contract: test/vectors/*.json.
#include <cppunit/TestAssert.h>
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>

#include <fstream>
#include <set>
#include <sstream>
#include <string>

#include "core/base64url.h"
#include "core/challenge.h"
#include "core/credential.h"
#include "core/json.h"
#include "core/jws.h"
#include "core/payword.h"
#include "core/spend.h"
#include "core/touchstone.h"

namespace netpay {
namespace {

json::Document load(const std::string& name) {
    std::ifstream in(std::string(VECTORS) + "/" + name);
    CPPUNIT_ASSERT_MESSAGE("cannot read " + name, in.good());
    std::stringstream text;
    text << in.rdbuf();
    auto doc = json::Document::parse(text.str());
    CPPUNIT_ASSERT_MESSAGE(name + ": " + (doc ? "" : doc.error().detail), doc.ok());
    return std::move(*doc);
}

std::string str(const json::Value& v, std::string_view name) {
    const auto s = v.string(name);
    CPPUNIT_ASSERT_MESSAGE("no string " + std::string(name), s.has_value());
    return std::string(*s);
}

std::uint64_t num(const json::Value& v, std::string_view name) {
    const auto n = v.uint(name);
    CPPUNIT_ASSERT_MESSAGE("no number " + std::string(name), n.has_value());
    return *n;
}

const char* name_of(Verdict v) {
    switch (v) {
        case Verdict::paid: return "paid";
        case Verdict::replayed: return "replayed";
        case Verdict::insufficient: return "insufficient";
        case Verdict::already_spent: return "already-spent";
        case Verdict::forged: return "forged";
        case Verdict::hop_too_long: return "hop-too-long";
        case Verdict::expired: return "expired";
        case Verdict::lease_over: return "lease-over";
        case Verdict::busy: return "busy";
    }
    return "?";
}

class VectorsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(VectorsTest);
    CPPUNIT_TEST(chains);
    CPPUNIT_TEST(touchstone_good);
    CPPUNIT_TEST(touchstone_bad);
    CPPUNIT_TEST(challenges);
    CPPUNIT_TEST(credential);
    CPPUNIT_TEST(spend_machine);
    CPPUNIT_TEST_SUITE_END();

    void chains() {
        const auto doc = load("payword.json");
        unsigned seen = 0;
        for (const auto& c : *doc.root().array("chains")) {
            ++seen;
            const auto salt = *b64u_decode_array<16>(str(c, "salt"));
            const auto seed = *decode_payword(str(c, "seed"));
            const auto n = static_cast<std::uint32_t>(num(c, "n"));
            const Chain chain(salt, seed, n);
            CPPUNIT_ASSERT_EQUAL(str(c, "coin"), coin_id(salt, chain.at(0)));
            if (c.find("root")) CPPUNIT_ASSERT_EQUAL(str(c, "root"), encode_payword(chain.at(0)));
            if (c.find("w500")) CPPUNIT_ASSERT_EQUAL(str(c, "w500"), encode_payword(chain.at(500)));
            if (const auto* words = c.array("paywords")) {
                std::uint32_t i = 0;
                for (const auto& w : *words) {
                    CPPUNIT_ASSERT_EQUAL(std::string(*w.as_string()), encode_payword(chain.at(i)));
                    ++i;
                }
                CPPUNIT_ASSERT_EQUAL(n + 1, i);
            }
        }
        CPPUNIT_ASSERT_EQUAL(3u, seen);
    }

    KeySet keys(const json::Value& v) {
        std::vector<PublicKey> out;
        for (const auto& k : *v.object("jwks")->array("keys")) out.push_back(*PublicKey::from_jwk(k));
        return KeySet(out);
    }

    void touchstone_good() {
        const auto doc = load("touchstone.json");
        const auto& v = doc.root();
        const auto set = keys(v);
        CPPUNIT_ASSERT_EQUAL(str(*v.object("jwks")->array("keys")->begin(), "kid"), set.keys().front().kid());
        const auto t = verify_touchstone(str(v, "jws"), str(v, "issuer"), set, static_cast<UnixTime>(num(v, "now")));
        CPPUNIT_ASSERT(t.ok());
        const auto& want = *v.object("payload");
        CPPUNIT_ASSERT_EQUAL(str(want, "coin"), t->coin);
        CPPUNIT_ASSERT_EQUAL(num(want, "n"), std::uint64_t{t->n});
        CPPUNIT_ASSERT_EQUAL(num(want, "unit"), t->unit.micro());
        const auto key = SigningKey::from_bytes(Secret(*b64u_decode(str(v, "private_d"))));
        CPPUNIT_ASSERT(key.ok());
        CPPUNIT_ASSERT_EQUAL(str(v, "jws"), sign_touchstone(*t, *key));
    }

    void touchstone_bad() {
        const auto doc = load("touchstone.json");
        const auto& v = doc.root();
        const auto set = keys(v);
        unsigned seen = 0;
        for (const auto& b : *v.array("bad")) {
            ++seen;
            const auto t = verify_touchstone(str(b, "jws"), str(v, "issuer"), set, static_cast<UnixTime>(num(v, "now")));
            CPPUNIT_ASSERT_MESSAGE(str(b, "why"), !t.ok());
        }
        CPPUNIT_ASSERT_EQUAL(19u, seen);
    }

    Challenge challenge(const json::Value& v) {
        Challenge c;
        c.id = str(v, "id");
        c.realm = str(v, "realm");
        c.method = str(v, "method");
        c.intent = str(v, "intent");
        c.request = str(v, "request");
        c.expires = str(v, "expires");
        if (v.find("opaque")) c.opaque = str(v, "opaque");
        return c;
    }

    void challenges() {
        const auto doc = load("challenge.json");
        const auto& v = doc.root();
        const Hmac secret(Secret(*b64u_decode(str(v, "secret"))));
        PaymentTerms terms{*Amount::from(20000), *Currency::parse("uusd"), "https://news.example",
                           {"https://broker.example"}};
        const auto& resource = *v.object("resource");
        const auto binding = resource_binding(str(resource, "method"), str(resource, "uri"));
        CPPUNIT_ASSERT_EQUAL(str(resource, "binding"), b64u_encode(binding));
        for (const char* intent : {"session", "charge"}) {
            const auto c = challenge(*v.object(intent));
            CPPUNIT_ASSERT_EQUAL(c.request, encode_terms(terms));
            CPPUNIT_ASSERT_EQUAL(c.id, *challenge_id(c, secret));
            CPPUNIT_ASSERT(verify_challenge_id(c, secret, nullptr));
            const auto again = parse_challenges("Basic realm=\"x\", " + format_challenge(c));
            CPPUNIT_ASSERT_EQUAL(std::size_t{1}, again.size());
            CPPUNIT_ASSERT_EQUAL(c.id, *challenge_id(again[0], secret));
            auto other = c;
            other.realm = "sport";
            CPPUNIT_ASSERT(!verify_challenge_id(other, secret, nullptr));
            if (c.opaque) {
                CPPUNIT_ASSERT_EQUAL(*c.opaque, encode_opaque(binding));
                CPPUNIT_ASSERT(parse_opaque(*c.opaque) == binding);
            }
        }
    }

    void credential() {
        const auto doc = load("challenge.json");
        const auto& v = doc.root();
        const auto& want = *v.object("credential");
        const std::string header = str(want, "authorization");
        const auto c = parse_credential(std::string_view(header).substr(8));
        CPPUNIT_ASSERT(c.ok());
        const auto& payload = *want.object("payload");
        CPPUNIT_ASSERT_EQUAL(str(payload, "coin"), c->payload.coin);
        CPPUNIT_ASSERT_EQUAL(num(payload, "index"), c->payload.index);
        CPPUNIT_ASSERT_EQUAL(str(payload, "payword"), encode_payword(c->payload.payword));
        CPPUNIT_ASSERT_EQUAL(header, "Payment " + format_credential(*c));
    }

    void spend_machine() {
        const auto doc = load("spend.json");
        const auto& v = doc.root();
        const auto salt = *b64u_decode_array<16>(str(v, "salt"));
        const auto seeds = load("payword.json");
        const Chain chain(salt, *decode_payword(str(*seeds.root().array("chains")->begin(), "seed")), 1000);
        unsigned steps = 0;
        for (const auto& c : *v.array("cases")) {
            const auto& start = *c.object("start");
            const auto from = static_cast<std::uint32_t>(num(start, "spent"));
            constexpr UnixTime never = 1ll << 40;
            auto time = [&](const char* name) { return start.find(name) ? static_cast<UnixTime>(num(start, name)) : never; };
            auto state = SpendState::taken_over(salt, 1000, from, chain.at(from), time("exp"), time("lease"));
            Reservations open;
            SpendRules rules;
            rules.grace_s = static_cast<std::int64_t>(num(v, "grace"));
            rules.max_hop = start.find("max_hop") ? static_cast<std::uint32_t>(num(start, "max_hop")) : 1000;
            unsigned k = 0;
            for (const auto& s : *c.array("steps")) {
                ++steps;
                const std::string at = str(c, "name") + ", step " + std::to_string(++k);
                Payment p;
                p.index = num(s, "index");
                p.word = *decode_payword(str(s, "payword"));
                p.units = static_cast<std::uint32_t>(num(s, "price"));
                p.resource = resource_binding("GET", "https://news.example/" + str(s, "key"));
                p.is_get = true;
                p.now = static_cast<UnixTime>(num(s, "now"));
                const auto j = reserve(state, open, p, rules, 1);
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, str(s, "verdict"), std::string(name_of(j.verdict)));
                if (j.verdict == Verdict::paid) CPPUNIT_ASSERT_MESSAGE(at, settle(state, open, p));
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, num(s, "spent"), std::uint64_t{state.spent});
                CPPUNIT_ASSERT_EQUAL_MESSAGE(at, num(s, "revealed"), std::uint64_t{state.revealed});
                if (s.find("needed")) CPPUNIT_ASSERT_EQUAL_MESSAGE(at, num(s, "needed"), std::uint64_t{j.needed});
                CPPUNIT_ASSERT(state.tickets.valid(state.n) && open.empty());
            }
        }
        CPPUNIT_ASSERT(steps > 1200);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(VectorsTest);

}  // namespace
}  // namespace netpay
