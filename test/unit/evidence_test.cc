#include "core/evidence.h"

#include "core/claim.h"
#include "core/jws.h"
#include "evidence_support.h"

namespace netpay::test {
namespace {

using evidence::Kind;

class EvidenceTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(EvidenceTest);
    CPPUNIT_TEST(a_clean_chain_holds);
    CPPUNIT_TEST(comes_back_from_its_text);
    CPPUNIT_TEST(members_are_needed);
    CPPUNIT_TEST(a_document_of_another_kind);
    CPPUNIT_TEST(touchstone_is_checked);
    CPPUNIT_TEST(keys_given_count);
    CPPUNIT_TEST(certificates_are_checked);
    CPPUNIT_TEST(a_key_counts_while_it_was_certified);
    CPPUNIT_TEST(a_new_key_beside_the_old_one);
    CPPUNIT_TEST(custody_is_checked);
    CPPUNIT_TEST(indices_are_checked);
    CPPUNIT_TEST(the_chain_is_linear);
    CPPUNIT_TEST(founding_indices_fit);
    CPPUNIT_TEST(an_ended_lease_needs_no_index);
    CPPUNIT_TEST(paywords_are_hashed);
    CPPUNIT_TEST(hashing_is_bounded);
    CPPUNIT_TEST(claims_lie_inside_and_apart);
    CPPUNIT_TEST(claims_need_a_payword);
    CPPUNIT_TEST(two_indices_are_fraud);
    CPPUNIT_TEST(an_epoch_never_held_is_fraud);
    CPPUNIT_TEST(a_victim_is_no_culprit);
    CPPUNIT_TEST(below_claims_is_fraud);
    CPPUNIT_TEST(below_its_start_is_fraud);
    CPPUNIT_TEST(a_late_index_reverses_nothing);
    CPPUNIT_TEST(a_victim_shown_too_late);
    CPPUNIT_TEST(findings_are_compared);
    CPPUNIT_TEST(reversals_need_an_index);
    CPPUNIT_TEST(compensations_need_a_fraud);
    CPPUNIT_TEST(receipts_are_checked);
    CPPUNIT_TEST_SUITE_END();

    static std::string all(const evidence::Judgement& j) {
        std::string out;
        for (const auto& f : j.faults) out += f.code + ": " + f.sentence + "\n";
        return out;
    }
    static void assert_holds(const Story& s) {
        const auto j = s.judge();
        CPPUNIT_ASSERT_EQUAL(std::string(), all(j));
    }
    // Every fault has this code, and there is one.
    static void assert_fault(const Story& s, const std::string& code) { assert_code(s.judge(), code); }
    static void assert_code(const evidence::Judgement& j, const std::string& code) {
        CPPUNIT_ASSERT_MESSAGE("no fault, expected " + code, !j.holds());
        for (const auto& f : j.faults) CPPUNIT_ASSERT_EQUAL_MESSAGE(all(j), code, f.code);
    }
    static bool has(const evidence::Judgement& j, const std::string& code) {
        for (const auto& f : j.faults)
            if (f.code == code) return true;
        return false;
    }

    // A story in which news hands the coin to music as well, at 20.
    static Story doubled() {
        Story s;
        const auto second = s.index(s.news, s.music.origin, 1, 20);
        s.document.indices.push_back({Story::t0 + 400, second});
        s.document.findings.push_back({Kind::two_indices, s.news.origin, 1, {s.document.indices[0].token, second}});
        return s;
    }

public:
    void a_clean_chain_holds() {
        const auto j = Story().judge();
        CPPUNIT_ASSERT_EQUAL(std::string(), all(j));
        CPPUNIT_ASSERT_EQUAL(std::size_t{3}, j.story.size());
        CPPUNIT_ASSERT(j.proofs.empty());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{9}, j.signatures);  // touchstone, 3 certificates, 3 custodies, 2 indices
        CPPUNIT_ASSERT(j.hashes <= 100);
    }
    void comes_back_from_its_text() {
        auto s = doubled();
        s.document.reversals.push_back({s.news.origin, 1, 30, 40});
        s.document.compensations.push_back({s.music.origin, s.news.origin, 20, 30, 10000, 500});
        s.document.disputes.push_back({s.music.origin, "not-held", s.sport.origin, 20, 30});
        const auto text = text_of(s.document);
        const auto d = evidence::parse(text);
        CPPUNIT_ASSERT_MESSAGE(d ? "" : d.error().detail, d.ok());
        CPPUNIT_ASSERT_EQUAL(text, text_of(*d));
    }
    void members_are_needed() {
        const auto text = text_of(doubled().document);
        CPPUNIT_ASSERT(evidence::parse(text).ok());
        for (const char* name : {"broker", "coin", "made", "jwks", "touchstone", "certificates", "custody", "indices", "claims",
                                 "paywords", "findings", "token", "epoch", "vendor", "start", "kind", "tokens"}) {
            auto without = text;
            const auto at = without.find("\"" + std::string(name) + "\"");
            without.replace(at + 1, 1, "_");
            const auto d = evidence::parse(without);
            CPPUNIT_ASSERT_MESSAGE(name, !d.ok() && d.error().code == Code::malformed);
        }
        for (const char* name : {"receipts", "reversals", "compensations", "disputes"}) {
            auto without = text;
            without.replace(without.find("\"" + std::string(name) + "\"") + 1, 1, "_");
            CPPUNIT_ASSERT_MESSAGE(name, evidence::parse(without).ok());
        }
    }
    void a_document_of_another_kind() {
        CPPUNIT_ASSERT(!evidence::parse("{}").ok());
        CPPUNIT_ASSERT(!evidence::parse("[]").ok());
        CPPUNIT_ASSERT(!evidence::parse("").ok());
        auto text = text_of(Story().document);
        text.replace(text.find("evidence/1"), 10, "evidence/2");
        CPPUNIT_ASSERT(!evidence::parse(text).ok());
    }
    void touchstone_is_checked() {
        Story s;
        s.document.touchstone.back() = s.document.touchstone.back() == 'A' ? 'Q' : 'A';
        assert_fault(s, "touchstone");
        Story other;
        other.document.coin = coin_id(salt_of(1), word_of(1));
        assert_fault(other, "touchstone");
        Story elsewhere;
        elsewhere.document.broker = "https://other.example";
        CPPUNIT_ASSERT(has(elsewhere.judge(), "touchstone"));
    }
    void keys_given_count() {
        const Story s;
        const auto j = evidence::judge(s.document, key_set(signing_key('x')));
        CPPUNIT_ASSERT(has(j, "touchstone") && has(j, "certificate"));
    }
    void certificates_are_checked() {
        Story s;
        s.document.certificates[2] = sign_certificate(
            {evidence_broker, s.music.origin, s.music.key.public_key(), s.music.origin + "/h", Story::t0, Story::t0 + 9}, s.news.key);
        assert_fault(s, "certificate");
        Story gone;  // nothing shows whose key signed
        gone.document.certificates.erase(gone.document.certificates.begin());
        CPPUNIT_ASSERT(has(gone.judge(), "index-signature"));
    }
    void a_key_counts_while_it_was_certified() {
        Story s;
        s.document.certificates[0] = s.certificate(s.news, Story::t0 - 200, Story::t0 + 149);
        CPPUNIT_ASSERT(has(s.judge(), "index-signature"));
        s.document.certificates[0] = s.certificate(s.news, Story::t0 - 200, Story::t0 + 150);
        assert_holds(s);
        s.document.certificates[0] = s.certificate(s.news, Story::t0 + 210, Story::t0 + 900);  // 60 s of skew
        assert_holds(s);
        s.document.certificates[0] = s.certificate(s.news, Story::t0 + 211, Story::t0 + 900);
        CPPUNIT_ASSERT(has(s.judge(), "index-signature"));
    }
    void a_new_key_beside_the_old_one() {
        Story s;
        const Party renewed{s.news.origin, signing_key('N')};
        s.document.certificates.insert(s.document.certificates.begin(), s.certificate(renewed));
        assert_holds(s);
        const auto first = s.index(renewed, s.sport.origin, 1, 40);
        s.document.custody[1].index = s.document.indices[0].token = first;
        assert_holds(s);
    }
    void custody_is_checked() {
        Story s;
        s.document.custody[1].custody = s.document.custody[2].custody;
        assert_fault(s, "custody-terms");
        Story forged;
        Story thief;
        thief.broker = signing_key('t');
        forged.document.custody[2].custody = thief.custody(thief.music, 3, 70);
        assert_fault(forged, "custody-signature");
        Story late;
        late.document.custody[2].custody = late.custody(late.music, 3, 70, Story::t0 + 999999);
        assert_fault(late, "custody-terms");
        Story other;  // signed well, over a payword of another chain
        Story strange;
        strange.chain = Chain(salt_of(7), word_of(8), 100);
        strange.document.coin = other.document.coin;
        other.document.custody[2].custody = strange.custody(strange.music, 3, 70);
        assert_fault(other, "custody-payword");
    }
    void indices_are_checked() {
        Story s;
        s.document.indices.push_back({1, s.index({s.news.origin, signing_key('x')}, s.sport.origin, 1, 40)});
        assert_fault(s, "index-signature");
        Story other;
        Story elsewhere;
        elsewhere.document.coin = coin_id(salt_of(1), word_of(1));
        other.document.indices.push_back({1, elsewhere.index(other.news, other.sport.origin, 1, 40)});
        assert_fault(other, "index-terms");
        Story strange;
        Story chainless;
        chainless.chain = Chain(salt_of(7), word_of(8), 100);
        strange.document.indices.push_back({1, chainless.index(strange.music, strange.news.origin, 3, 80)});
        assert_fault(strange, "index-payword");
    }
    void the_chain_is_linear() {
        Story open;
        open.document.custody[0].released = -1;
        assert_fault(open, "chain-of-custody");
        Story gap;
        gap.document.custody[0].released = 39;
        gap.document.claims[0].to = 39;
        assert_fault(gap, "chain-of-custody");
        Story missing;
        missing.document.custody.erase(missing.document.custody.begin() + 1);
        CPPUNIT_ASSERT(has(missing.judge(), "chain-of-custody"));
    }
    void founding_indices_fit() {
        Story s;
        const auto low = s.index(s.sport, s.music.origin, 2, 60);
        s.document.custody[2].index = s.document.indices[1].token = low;
        assert_fault(s, "founding-index");
        Story hidden;
        hidden.document.indices.pop_back();
        assert_fault(hidden, "founding-index");
        Story other;
        const auto elsewhere = other.index(other.sport, other.news.origin, 2, 70);
        other.document.custody[2].index = other.document.indices[1].token = elsewhere;
        assert_fault(other, "founding-index");
    }
    void an_ended_lease_needs_no_index() {
        Story s;
        s.document.custody[2].index.clear();
        s.document.indices.pop_back();
        assert_fault(s, "lease");
        CPPUNIT_ASSERT_EQUAL(evidence_broker, s.judge().faults[0].culprit);
        s.document.custody[2].custody = s.custody(s.music, 3, 70, Story::t0 + 100 + 86400 + 601);
        assert_holds(s);
    }
    void paywords_are_hashed() {
        Story s;
        s.document.paywords.push_back({50, s.chain.at(51)});
        assert_fault(s, "payword");
        Story above;
        above.document.paywords.push_back({101, above.chain.at(100)});
        assert_fault(above, "payword");
    }
    void hashing_is_bounded() {
        evidence::Proven proven(salt_of(7), 1u << 20, word_of(1));
        for (std::uint32_t k = 0; k < 100; ++k) CPPUNIT_ASSERT(!proven.prove((1u << 20) - k, word_of(static_cast<std::uint8_t>(k))));
        CPPUNIT_ASSERT(proven.exhausted());
        CPPUNIT_ASSERT(proven.hashes() <= (33u << 20));
    }
    void claims_lie_inside_and_apart() {
        Story s;
        s.document.claims[1].from = 39;
        const auto j = s.judge();
        CPPUNIT_ASSERT(has(j, "credit-outside") && has(j, "credit-overlap"));
        Story strange;
        strange.document.claims[1].vendor = strange.music.origin;
        assert_fault(strange, "credit-outside");
        Story twice;
        twice.document.claims.push_back(twice.document.claims[1]);
        assert_fault(twice, "credit-overlap");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{30}, twice.judge().faults[0].units);
        Story backwards;
        backwards.document.claims[1] = {backwards.sport.origin, 2, 60, 50};
        CPPUNIT_ASSERT(has(backwards.judge(), "credit-outside"));
    }
    void claims_need_a_payword() {
        Story s;
        s.document.claims.push_back({s.music.origin, 3, 70, 75});
        assert_fault(s, "credit-unproven");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, s.judge().faults[0].units);
        s.document.paywords.push_back({75, s.chain.at(75)});
        assert_holds(s);
    }
    void two_indices_are_fraud() {
        const auto s = doubled();
        assert_holds(s);
        const auto j = s.judge();
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, j.proofs.size());
        CPPUNIT_ASSERT(j.proofs[0].kind == Kind::two_indices);
        CPPUNIT_ASSERT_EQUAL(s.news.origin, j.proofs[0].vendor);
        CPPUNIT_ASSERT(j.proofs[0].sentence.find("https://news.example signed two indices for epoch 1: 40 to https://sport.example and 20 to "
                                                 "https://music.example") == 0);
    }
    void an_epoch_never_held_is_fraud() {
        Story s;
        const auto token = s.index(s.music, s.news.origin, 2, 50);
        s.document.indices.push_back({Story::t0, token});
        assert_fault(s, "fraud-missing");
        CPPUNIT_ASSERT_EQUAL(s.music.origin, s.judge().faults[0].culprit);
        s.document.findings.push_back({Kind::never_held, s.music.origin, 2, {token}});
        assert_holds(s);
        Story beyond;
        const auto later = beyond.index(beyond.news, beyond.music.origin, 7, 50);
        beyond.document.indices.push_back({Story::t0, later});
        beyond.document.findings.push_back({Kind::never_held, beyond.news.origin, 7, {later}});
        assert_holds(beyond);
    }
    // news gives the coin to sport and to music; music hands it on before it hears that it lost.
    void a_victim_is_no_culprit() {
        auto s = doubled();
        const auto on = s.index(s.music, s.sport.origin, 2, 25);
        s.document.indices.push_back({Story::t0 + 500, on});
        assert_holds(s);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, s.judge().proofs.size());
        s.document.findings.push_back({Kind::never_held, s.music.origin, 2, {on}});
        assert_fault(s, "fraud-unproven");
    }
    void below_claims_is_fraud() {
        Story s;
        const auto low = s.index(s.news, s.sport.origin, 1, 30);
        s.document.custody = {{1, s.news.origin, 0, 30, s.custody(s.news, 1, 0), ""}, {2, s.sport.origin, 30, -1, s.custody(s.sport, 2, 30), low}};
        s.document.indices = {{Story::t0, low}};
        s.document.claims = {{s.news.origin, 1, 0, 30}};
        s.document.reversals = {{s.news.origin, 1, 30, 40}};
        assert_fault(s, "fraud-missing");
        s.document.findings = {{Kind::below_claims, s.news.origin, 1, {low}}};
        assert_holds(s);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10}, s.judge().proofs[0].units);
    }
    void below_its_start_is_fraud() {
        Story s;
        const auto low = s.index(s.sport, s.music.origin, 2, 30);  // sport was given it at 40
        s.document.custody[1].released = 40;
        s.document.custody[2] = {3, s.music.origin, 40, -1, s.custody(s.music, 3, 40), ""};
        s.document.indices[1].token = low;
        s.document.claims.pop_back();
        assert_fault(s, "fraud-missing");
        s.document.findings = {{Kind::below_claims, s.sport.origin, 2, {low}}};
        assert_holds(s);
    }
    // The lease ended and others went on from 70; what is shown later only contradicts what was claimed.
    void a_late_index_reverses_nothing() {
        Story s;
        const auto low = s.index(s.sport, s.music.origin, 2, 60);
        s.document.custody[2] = {3, s.music.origin, 70, -1, s.custody(s.music, 3, 70, Story::t0 + 90000), ""};
        s.document.indices[1].token = low;
        assert_holds(s);
        s.document.findings = {{Kind::below_claims, s.sport.origin, 2, {low}}};
        assert_holds(s);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, s.judge().proofs.size());
    }
    // Taken for a fraud before it was shown that music had been given the coin.
    void a_victim_shown_too_late() {
        Story s;
        const auto on = s.index(s.music, s.sport.origin, 2, 25);
        const auto second = s.index(s.news, s.music.origin, 1, 20);
        s.document.indices.push_back({Story::t0 + 400, on});
        s.document.indices.push_back({Story::t0 + 500, second});
        s.document.findings.push_back({Kind::two_indices, s.news.origin, 1, {s.document.indices[0].token, second}});
        assert_holds(s);
        s.document.findings.push_back({Kind::never_held, s.music.origin, 2, {on}});
        assert_holds(s);
    }
    void findings_are_compared() {
        auto s = doubled();
        s.document.findings.clear();
        assert_fault(s, "fraud-missing");
        Story innocent;
        innocent.document.findings.push_back({Kind::two_indices, innocent.news.origin, 1, {innocent.document.indices[0].token}});
        assert_fault(innocent, "fraud-unproven");
        auto unseen = doubled();
        unseen.document.findings[0].tokens[1] = unseen.index(unseen.news, unseen.music.origin, 1, 21);
        assert_fault(unseen, "fraud-unproven");
    }
    void reversals_need_an_index() {
        Story s;
        s.document.claims[0].to = 30;
        s.document.reversals = {{s.news.origin, 1, 30, 40}};
        assert_fault(s, "reversal");
        Story still;  // above its index, and credited to it still
        still.document.reversals = {{still.sport.origin, 2, 70, 80}};
        still.document.findings = {{Kind::below_claims, still.sport.origin, 2, {still.document.indices[1].token}}};
        assert_holds(still);
        still.document.claims[1].to = 75;
        CPPUNIT_ASSERT(has(still.judge(), "reversal"));
    }
    void compensations_need_a_fraud() {
        auto s = doubled();
        s.document.compensations = {{s.music.origin, s.news.origin, 20, 30, 10000, 10000}};
        assert_holds(s);
        s.document.compensations[0].due = 10001;
        assert_fault(s, "compensation");
        s.document.compensations[0] = {s.music.origin, s.news.origin, 19, 29, 10000, 0};  // below the index it was given
        assert_fault(s, "compensation");
        s.document.compensations = {{s.music.origin, s.news.origin, 20, 30, 10000, 0}, {s.music.origin, s.news.origin, 25, 35, 10000, 0}};
        assert_fault(s, "compensation");
        Story innocent;
        innocent.document.compensations = {{innocent.sport.origin, innocent.news.origin, 40, 50, 10000, 0}};
        assert_fault(innocent, "compensation");
    }
    void receipts_are_checked() {
        Story s;
        Redeemed r;
        r.iss = evidence_broker;
        r.aud = s.news.origin;
        r.batch = "b1";
        r.digest = "sha-256=:AAAA:";
        r.accepted = 1;
        s.document.receipts.push_back(sign_redeemed(r, s.broker));
        assert_holds(s);
        s.document.receipts.push_back(sign_redeemed(r, s.news.key));
        assert_fault(s, "receipt");
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(EvidenceTest);

}  // namespace
}  // namespace netpay::test
