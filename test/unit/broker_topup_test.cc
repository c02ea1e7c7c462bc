// Money by card: what the provider is asked, what its signed events do to the
// books, and what they do not.
#include <algorithm>
#include <array>
#include <cstdio>

#include "broker/accounts/accounts.h"
#include "broker/topup/card.h"
#include "broker/topup/checkouts.h"
#include "broker/topup/minor.h"
#include "broker/topup/webhook.h"
#include "core/form.h"
#include "core/hash.h"
#include "test/unit/broker_world.h"

namespace netpay::broker::test {
namespace {

constexpr std::string_view secret = "whsec_of_a_test";

std::string hex(const Digest& d) {
    std::string out;
    for (const auto b : d) {
        char two[3];
        std::snprintf(two, sizeof two, "%02x", unsigned{b});
        out += two;
    }
    return out;
}

std::string sign(const std::string& body, UnixTime at, std::string_view under = secret) {
    return hex(Hmac(Secret(under)).mac(std::to_string(at) + "." + body));
}

// Answers as it is told, and keeps what it was asked.
struct Provider final : public world::FormTransport {
    struct Call {
        std::string url, body;
        std::vector<std::string> fields;
    };
    world::HttpAnswer post_form(const std::string& url, const std::string& body, const std::vector<std::string>& fields) override {
        calls.push_back({url, body, fields});
        return answer;
    }
    world::HttpAnswer answer{200, R"({"id":"cs_1","url":"https://pay.example/cs_1#x"})", "", 0, 0};
    std::vector<Call> calls;
};

class TopupTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TopupTest);
    CPPUNIT_TEST(counts_as_currencies_do);
    CPPUNIT_TEST(signatures);
    CPPUNIT_TEST(asks_the_provider);
    CPPUNIT_TEST(a_provider_that_fails_leaves_nothing);
    CPPUNIT_TEST(believes_no_address_but_a_safe_one);
    CPPUNIT_TEST(limits_what_is_begun);
    CPPUNIT_TEST(pays_once);
    CPPUNIT_TEST(pays_what_was_asked_only);
    CPPUNIT_TEST(a_late_payment_counts);
    CPPUNIT_TEST(foreign_events_do_nothing);
    CPPUNIT_TEST(gives_back_out_of_the_balance);
    CPPUNIT_TEST(events_may_nest_deeper_than_the_contract);
    CPPUNIT_TEST(what_was_spent_is_lost);
    CPPUNIT_TEST(a_refund_that_comes_first_comes_again);
    CPPUNIT_TEST(a_refund_that_fails_comes_back);
    CPPUNIT_TEST(a_failure_gives_back_the_loss_first);
    CPPUNIT_TEST(refunds_and_failures_in_any_order);
    CPPUNIT_TEST(a_failure_that_comes_first_comes_again);
    CPPUNIT_TEST(failures_that_are_none);
    CPPUNIT_TEST(events_are_forgotten_in_time);
    CPPUNIT_TEST(the_checks_name_what_was_changed);
    CPPUNIT_TEST_SUITE_END();

public:
    void setUp() override {
        world_ = std::make_unique<World>();
        world_->options().card_key = "set";
        world_->options().card_amounts = {{*Amount::from(5000000), usd}, {*Amount::from(20000000), usd}};
        auto provider = std::make_unique<Provider>();
        provider_ = provider.get();
        shop_ = std::make_unique<topup::CardShop>();
        shop_->key = Secret(std::string_view("sk_of_a_test"));
        shop_->webhook_secret = Secret(secret);
        shop_->transport = std::move(provider);
        world_->context.cards = shop_.get();
        token_ = world_->account();
        account_ = must_account(token_);
    }
    void tearDown() override {
        world_.reset();
        shop_.reset();
    }

    void counts_as_currencies_do() {
        const auto yen = *Currency::parse("ujpy"), dinar = *Currency::parse("ukwd");
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{500}, topup::to_minor(*Amount::from(5000000), usd).value());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5}, topup::to_minor(*Amount::from(5000000), yen).value());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000}, topup::to_minor(*Amount::from(5000000), dinar).value());
        CPPUNIT_ASSERT(!topup::to_minor(*Amount::from(5000001), usd));
        CPPUNIT_ASSERT(!topup::to_minor(*Amount::from(500000), yen));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, topup::from_minor(500, usd)->micro());
        CPPUNIT_ASSERT(!topup::from_minor(std::uint64_t{1} << 62, usd));
    }

    void signatures() {
        const std::string body = "{}";
        const UnixTime now = 1000000;
        const auto holds = [&](const std::string& field) { return topup::signature_holds(field, body, Secret(secret), now); };
        const auto at = [&](UnixTime t) { return "t=" + std::to_string(t) + ",v1=" + sign(body, t); };
        CPPUNIT_ASSERT(holds(at(now)));
        CPPUNIT_ASSERT(holds(at(now - 300)));
        CPPUNIT_ASSERT(holds(at(now + 300)));
        CPPUNIT_ASSERT(!holds(at(now - 301)));
        CPPUNIT_ASSERT(!holds(at(now + 301)));
        const auto good = sign(body, now), t = "t=" + std::to_string(now);
        // While a secret is replaced there are two.
        CPPUNIT_ASSERT(holds(t + ",v1=" + sign(body, now, "another") + ",v1=" + good + ",v0=ff"));
        CPPUNIT_ASSERT(holds(t + ", v1=" + good));
        for (const auto& bad : {std::string(), t, "v1=" + good, t + ",v0=" + good, t + "," + t + ",v1=" + good, t + ",v1=",
                                t + ",v1=" + good.substr(1), t + ",v1=" + sign("{ }", now), "t=,v1=" + good, "t=-1,v1=" + good,
                                "t=99999999999999999999,v1=" + good, t + ",nonsense,v1=" + good})
            CPPUNIT_ASSERT_MESSAGE(bad, !holds(bad));
    }

    void asks_the_provider() {
        const auto step = begin();
        CPPUNIT_ASSERT(step.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("https://pay.example/cs_1#x"), step->elsewhere);
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, provider_->calls.size());
        const auto& call = provider_->calls[0];
        CPPUNIT_ASSERT_EQUAL(std::string("https://api.stripe.com/v1/checkout/sessions"), call.url);
        const auto asked = form::parse(call.body).value();
        CPPUNIT_ASSERT_EQUAL(std::string("payment"), asked.at("mode"));
        CPPUNIT_ASSERT_EQUAL(std::string("500"), asked.at("line_items[0][price_data][unit_amount]"));
        CPPUNIT_ASSERT_EQUAL(std::string("usd"), asked.at("line_items[0][price_data][currency]"));
        CPPUNIT_ASSERT_EQUAL(issuer + "/topup?paid=1", asked.at("success_url"));
        const auto reference = asked.at("client_reference_id");
        CPPUNIT_ASSERT_EQUAL(std::size_t{22}, reference.size());
        CPPUNIT_ASSERT_EQUAL(reference, asked.at("payment_intent_data[metadata][netpay_reference]"));
        CPPUNIT_ASSERT_EQUAL(std::string("Authorization: Bearer sk_of_a_test"), call.fields[0]);
        CPPUNIT_ASSERT_EQUAL("Idempotency-Key: " + reference, call.fields[1]);
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM checkouts WHERE state = 'open' AND amount = 5000000"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        world_->assert_sound();
    }

    void a_provider_that_fails_leaves_nothing() {
        for (const auto& [status, body] : std::initializer_list<std::pair<int, const char*>>{
                 {0, ""}, {500, "{}"}, {401, R"({"error":{"type":"x","message":"sk_of_a_test"}})"}, {200, "[]"}, {200, "no"}}) {
            provider_->answer = {status, body, status ? "" : "timed out", 0, 0};
            const auto step = begin();
            CPPUNIT_ASSERT(!step.ok());
            CPPUNIT_ASSERT_EQUAL(502, step.refusal().status);
        }
        CPPUNIT_ASSERT_EQUAL(Int{0}, world_->count("SELECT COUNT(*) FROM checkouts"));
        shop_->free_calls = 0;
        CPPUNIT_ASSERT_EQUAL(503, begin().refusal().status);
        CPPUNIT_ASSERT_EQUAL(std::size_t{5}, provider_->calls.size());
        // However often that happens, nobody is kept from paying once the provider is back.
        for (Int i = 0; i < topup::unfinished_checkouts; ++i) CPPUNIT_ASSERT(!begin().ok());
        shop_->free_calls = 1;
        provider_->answer = {200, R"({"url":"https://pay.example/cs_1"})", "", 0, 0};
        CPPUNIT_ASSERT(begin().ok());
        CPPUNIT_ASSERT_EQUAL(422, begin("1:uusd").refusal().status);
        CPPUNIT_ASSERT_EQUAL(422, begin("").refusal().status);
    }

    void believes_no_address_but_a_safe_one() {
        for (const auto* url : {"http://pay.example/", "javascript:alert(1)", "//pay.example/", "https://a@pay.example/x", "",
                                "https://pay.example/ x", "https://pay.example/\n"}) {
            provider_->answer = {200, json::Object().set("url", url).jcs(), "", 0, 0};
            CPPUNIT_ASSERT_MESSAGE(url, !begin().ok());
        }
        provider_->answer = {200, R"({"url":"http://127.0.0.1:99/x"})", "", 0, 0};
        CPPUNIT_ASSERT(begin().ok());
    }

    void limits_what_is_begun() {
        for (Int i = 0; i < topup::unfinished_checkouts; ++i) CPPUNIT_ASSERT(begin().ok());
        CPPUNIT_ASSERT_EQUAL(429, begin().refusal().status);
        world_->clock.time += 86401;
        CPPUNIT_ASSERT(begin().ok());
    }

    void pays_once() {
        const auto reference = checkout();
        for (int i = 0; i < 10; ++i) assert_ok(send(completed("evt_1", reference)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        // Another event about the same payment, as providers send at times.
        assert_ok(send(completed("evt_2", reference)));
        assert_ok(send(event("evt_3", "checkout.session.expired", session(reference))));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->ledger("cash"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM movements WHERE kind = 'card'"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM checkouts WHERE state = 'paid' AND payment = 'pi_1'"));
        world_->assert_sound();
    }

    void pays_what_was_asked_only() {
        const auto reference = checkout();
        assert_problem(422, "checkout-amount", send(completed("evt_1", reference, 50000)));
        assert_problem(422, "checkout-amount", send(completed("evt_1", reference, 500, "eur")));
        assert_problem(422, "checkout-amount", send(completed("evt_1", reference, 500, "jpy")));
        assert_problem(400, "malformed-event", send(event("evt_1", "checkout.session.completed",
                                                          json::Object().set("client_reference_id", reference).set("payment_status", "paid"))));
        // Not signed, signed long ago, signed by another, changed on its way.
        const auto body = completed("evt_1", reference).jcs();
        for (const auto& field : {std::string(), "t=" + std::to_string(world_->clock.now()) + ",v1=" + sign(body, world_->clock.now(), "x"),
                                  "t=" + std::to_string(world_->clock.now() - 301) + ",v1=" + sign(body, world_->clock.now() - 301),
                                  signature(body + " ")})
            assert_problem(400, "event-signature", world_->call("POST /webhooks/card", body, {}, {}, {{"stripe-signature", field}}));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(Int{0}, world_->count("SELECT COUNT(*) FROM checkout_events"));
        assert_ok(send(completed("evt_1", reference)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
    }

    void a_late_payment_counts() {
        const auto reference = checkout();
        assert_ok(send(event("evt_1", "checkout.session.completed", session(reference).set("payment_status", "unpaid"))));
        assert_ok(send(event("evt_2", "checkout.session.async_payment_failed", session(reference))));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM checkouts WHERE state = 'failed'"));
        assert_ok(send(event("evt_3", "checkout.session.async_payment_succeeded", session(reference).set("payment_status", "paid"))));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        world_->assert_sound();
    }

    void foreign_events_do_nothing() {
        assert_ok(send(completed("evt_1", "AAAAAAAAAAAAAAAAAAAAAA")));
        assert_ok(send(charge("evt_2", "", "pi_foreign", 500)));
        assert_ok(send(event("evt_3", "invoice.paid", json::Object())));
        CPPUNIT_ASSERT_EQUAL(Int{0}, world_->count("SELECT COUNT(*) FROM movements"));
        for (const auto* body : {"", "[]", "{", "{}", R"({"id":"","type":"x","data":{"object":{}}})", R"({"id":"e","type":"x","data":[]})"})
            CPPUNIT_ASSERT_EQUAL_MESSAGE(body, 400,
                                         world_->call("POST /webhooks/card", body, {}, {}, {{"stripe-signature", signature(body)}}).status);
        world_->context.cards = nullptr;
        assert_problem(404, "no-cards", send(completed("evt_4", "x")));
    }

    void gives_back_out_of_the_balance() {
        const auto reference = checkout();
        assert_ok(send(completed("evt_1", reference)));
        assert_ok(send(charge("evt_2", reference, "pi_1", 200)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3000000}, world_->balance(token_));
        assert_ok(send(charge("evt_2", reference, "pi_1", 200)));
        // The sum until now; one that was overtaken names less.
        assert_ok(send(charge("evt_4", reference, "pi_1", 500)));
        assert_ok(send(charge("evt_3", reference, "pi_1", 300)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        assert_problem(422, "checkout-amount", send(charge("evt_5", reference, "pi_1", 501)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->ledger("cash"));
        CPPUNIT_ASSERT_EQUAL(Int{2}, world_->count("SELECT COUNT(*) FROM movements WHERE kind = 'card-refund'"));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM checkouts WHERE state = 'refunded' AND lost = 0"));
        // A payment told of once more does not come back to life.
        assert_ok(send(completed("evt_6", reference)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        world_->assert_sound();
    }

    void events_may_nest_deeper_than_the_contract() {
        const auto nested = [](int levels) {
            json::Object deep;
            for (int i = 1; i < levels; ++i) deep = json::Object().set("a", deep);
            return deep;
        };
        auto paid = session(checkout()).set("payment_status", "paid").set("more", nested(20));
        assert_ok(send(event("evt_1", "checkout.session.completed", paid)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        assert_problem(400, "malformed-json", send(event("evt_2", "x", nested(40))));
    }

    void what_was_spent_is_lost() {
        const auto reference = checkout();
        assert_ok(send(completed("evt_1", reference)));
        const auto coin = world_->coin(token_, 1000);  // one dollar of five
        const auto shop = world_->shop("https://news.example");
        assert_ok(world_->acquire(shop, coin, 1));
        assert_ok(world_->redeem(shop, "batch-1", World::claim(coin, 0, 1000)));
        assert_ok(send(charge("evt_2", reference, "pi_1", 500)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, world_->ledger("card:losses"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, world_->ledger("operator"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, world_->ledger("cash"));
        world_->assert_sound();
        // The vendor is paid all the same.
        world_->pass(3 * 86400);
        CPPUNIT_ASSERT(pay_out(world_->context, world_->store(), shop.origin, std::nullopt, false).ok());
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->ledger("cash"));
        world_->assert_sound();
    }

    void a_refund_that_comes_first_comes_again() {
        const auto reference = checkout();
        assert_problem(409, "checkout-unpaid", send(charge("evt_2", reference, "pi_1", 500)));
        assert_ok(send(completed("evt_1", reference)));
        assert_ok(send(charge("evt_2", reference, "pi_1", 500)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        world_->assert_sound();
    }

    void a_refund_that_fails_comes_back() {
        const auto reference = checkout();
        assert_ok(send(completed("evt_1", reference)));
        assert_ok(send(charge("evt_2", reference, "pi_1", 500)));
        world_->clock.time += 86400;
        // However many events tell of it, and whichever comes first.
        assert_ok(send(failure("evt_3", "charge.refund.updated", "re_1", 500, "pi_1", -86400)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM checkouts WHERE state = 'paid' AND refunded = 0"));
        for (const auto* type : {"refund.failed", "refund.updated", "charge.refund.updated"})
            assert_ok(send(failure(std::string("evt_") + type, type, "re_1", 500, "pi_1", -86400)));
        assert_ok(send(failure("evt_3", "charge.refund.updated", "re_1", 500, "pi_1", -86400)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM movements WHERE kind = 'card-refund-failed'"));
        world_->assert_sound();
        // The first refund told of once more is as old as it was; another one is new, though its sum is the same.
        assert_ok(send(charge("evt_4", reference, "pi_1", 500, -86400)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        world_->clock.time += 10;
        assert_ok(send(charge("evt_5", reference, "pi_1", 500)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(Int{1}, world_->count("SELECT COUNT(*) FROM checkouts WHERE state = 'refunded'"));
        world_->assert_sound();
    }

    void a_failure_gives_back_the_loss_first() {
        const auto reference = checkout();
        assert_ok(send(completed("evt_1", reference)));
        world_->coin(token_, 1000);  // one dollar of five
        assert_ok(send(charge("evt_2", reference, "pi_1", 200)));
        assert_ok(send(charge("evt_3", reference, "pi_1", 500)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{1000000}, world_->ledger("card:losses"));
        assert_ok(send(failure("evt_4", "refund.failed", "re_1", 50)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{500000}, world_->ledger("card:losses"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->balance(token_));
        world_->assert_sound();
        assert_ok(send(failure("evt_5", "refund.failed", "re_2", 450)));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->ledger("card:losses"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{0}, world_->ledger("operator"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{4000000}, world_->balance(token_));
        world_->assert_sound();
    }

    // Two dollars back, three dollars back, the two fail, one dollar back, the
    // three fail: whatever comes when, once all has come, one dollar is back.
    void refunds_and_failures_in_any_order() {
        const auto told = [&](const std::string& reference, const std::string& payment, int which) {
            const auto id = payment + "_" + std::to_string(which);
            switch (which) {
                case 0: return charge(id, reference, payment, 200, 100);
                case 1: return charge(id, reference, payment, 500, 200);
                case 2: return failure(id, "refund.failed", "re_1" + payment, 200, payment, 100, 300);
                case 3: return charge(id, reference, payment, 400, 400);
                default: return failure(id, "refund.failed", "re_2" + payment, 300, payment, 200, 500);
            }
        };
        std::array<int, 5> order = {0, 1, 2, 3, 4};
        int round = 0;
        do {
            const std::string payment = "pi_" + std::to_string(++round);
            const auto account = world_->account();
            account_ = must_account(account);
            const auto reference = checkout();
            assert_ok(send(event(payment, "checkout.session.completed",
                                 session(reference).set("payment_intent", payment).set("payment_status", "paid"))));
            std::vector<int> waiting(order.begin(), order.end());
            while (!waiting.empty()) {
                std::vector<int> again;
                for (const int which : waiting) {
                    const int status = send(told(reference, payment, which)).status;
                    CPPUNIT_ASSERT(status == 200 || status == 409);
                    if (status == 409) again.push_back(which);
                }
                CPPUNIT_ASSERT_MESSAGE("nothing is refused for ever", again.size() < waiting.size());
                waiting = std::move(again);
            }
            CPPUNIT_ASSERT_EQUAL_MESSAGE(payment, std::uint64_t{4000000}, world_->balance(account));
        } while (std::next_permutation(order.begin(), order.end()));
        CPPUNIT_ASSERT_EQUAL(120, round);
        world_->assert_sound();
    }

    void a_failure_that_comes_first_comes_again() {
        const auto reference = checkout();
        const auto failed = failure("evt_3", "refund.failed", "re_1", 200);
        assert_problem(409, "refund-unknown", send(failed));  // the payment may be the one that was begun
        assert_ok(send(completed("evt_1", reference)));
        assert_problem(409, "refund-unknown", send(failed));
        assert_ok(send(charge("evt_2", reference, "pi_1", 200, -3600)));
        world_->clock.time += 3600;
        // What was told of is another refund.
        assert_problem(409, "refund-unknown", send(failure("evt_5", "refund.failed", "re_2", 200)));
        assert_ok(send(charge("evt_4", reference, "pi_1", 400, -3600)));
        assert_ok(send(failed));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3000000}, world_->balance(token_));
        world_->assert_sound();
    }

    void failures_that_are_none() {
        const auto reference = checkout();
        assert_ok(send(completed("evt_1", reference)));
        assert_ok(send(charge("evt_2", reference, "pi_1", 200)));
        const auto now = world_->clock.now();
        for (const auto* status : {"succeeded", "pending", "requires_action"})
            assert_ok(send(event(std::string("evt_") + status, "refund.updated", refund("re_1", 200, "pi_1", now).set("status", status))));
        assert_ok(send(failure("evt_3", "refund.failed", "re_1", 200, "pi_foreign")));
        assert_problem(422, "checkout-amount", send(failure("evt_4", "refund.failed", "re_1", 501)));
        assert_problem(422, "checkout-amount",
                       send(event("evt_5", "refund.failed", refund("re_1", 200, "pi_1", now).set("currency", "eur"))));
        assert_problem(400, "malformed-event", send(event("evt_6", "refund.failed", refund("", 200, "pi_1", now))));
        assert_problem(400, "malformed-event", send(event("evt_7", "refund.failed", json::Object().set("id", "re_1"))));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{3000000}, world_->balance(token_));
        CPPUNIT_ASSERT_EQUAL(Int{0}, world_->count("SELECT COUNT(*) FROM checkout_failures"));
        // A refund that was called off before it was made.
        assert_ok(send(event("evt_8", "refund.updated", refund("re_1", 200, "pi_1", now).set("status", "canceled"))));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000000}, world_->balance(token_));
        world_->assert_sound();
    }

    void events_are_forgotten_in_time() {
        assert_ok(send(completed("evt_1", checkout())));
        world_->clock.time += topup::events_kept_s + 1;
        tick(world_->context, world_->store());
        CPPUNIT_ASSERT_EQUAL(Int{0}, world_->count("SELECT COUNT(*) FROM checkout_events"));
    }

    // The daemon's check and the auditor's both see every column.
    void the_checks_name_what_was_changed() {
        const auto reference = checkout();
        assert_ok(send(completed("evt_1", reference)));
        assert_ok(send(charge("evt_2", reference, "pi_1", 200)));
        (void)checkout();
        for (const auto* change : {"amount = amount + 1 WHERE state = 'paid'", "refunded = refunded - 1 WHERE state = 'paid'",
                                   "lost = 1 WHERE state = 'paid'", "state = 'paid' WHERE state = 'open'",
                                   "state = 'failed' WHERE state = 'paid'", "cur = 'ueur' WHERE state = 'paid'"}) {
            world_->assert_sound();
            write("CREATE TABLE kept AS SELECT * FROM checkouts");
            write(std::string("UPDATE checkouts SET ") + change);
            CPPUNIT_ASSERT_MESSAGE(change, !world_->check().ok());
            CPPUNIT_ASSERT_MESSAGE(change, !netpay::test::audited(world_->store().path(), world_->keys(), world_->clock.now()).text().empty());
            write("REPLACE INTO checkouts SELECT * FROM kept");
            write("DROP TABLE kept");
        }
        world_->assert_sound();
        assert_ok(send(failure("evt_3", "refund.failed", "re_1", 100)));
        for (const auto* change : {"UPDATE checkout_refunds SET total = total + ", "UPDATE checkout_failures SET amount = amount + "}) {
            world_->assert_sound();
            write(std::string(change) + "1");
            CPPUNIT_ASSERT_MESSAGE(change, !world_->check().ok());
            CPPUNIT_ASSERT_MESSAGE(change, !netpay::test::audited(world_->store().path(), world_->keys(), world_->clock.now()).text().empty());
            write(std::string(change) + "-1");
        }
        world_->assert_sound();
    }

private:
    accounts::Account must_account(const std::string& token) {
        const auto account = world_->store().read([&](Sql& sql) { return accounts::authenticate(sql, token); });
        CPPUNIT_ASSERT(account.ok());
        return *account;
    }
    void write(const std::string& text) {
        const auto done = world_->store().write([&](Sql& sql) -> Outcome<Done> {
            run(sql, text);
            return Done{};
        });
        CPPUNIT_ASSERT_MESSAGE(text, done.ok());
    }
    Outcome<topup::Step> begin(const std::string& amount = "5000000:uusd") {
        return topup::Card().begin({world_->context, world_->store()}, account_, {{"amount", amount}});
    }
    // A payment that was begun; gives its reference.
    std::string checkout() {
        CPPUNIT_ASSERT(begin().ok());
        return form::parse(provider_->calls.back().body).value().at("client_reference_id");
    }
    // at: since now.
    json::Object event(const std::string& id, const std::string& type, const json::Object& object, std::int64_t at = 0) const {
        return json::Object()
            .set("id", id)
            .set("object", "event")
            .set("created", static_cast<std::uint64_t>(world_->clock.now() + at))
            .set("type", type)
            .set("data", json::Object().set("object", object));
    }
    static json::Object session(const std::string& reference, std::uint64_t minor = 500, const std::string& currency = "usd") {
        return json::Object()
            .set("id", "cs_1")
            .set("client_reference_id", reference)
            .set("payment_intent", "pi_1")
            .set("amount_total", minor)
            .set("currency", currency);
    }
    json::Object completed(const std::string& id, const std::string& reference, std::uint64_t minor = 500,
                           const std::string& currency = "usd") const {
        return event(id, "checkout.session.completed", session(reference, minor, currency).set("payment_status", "paid"));
    }
    json::Object charge(const std::string& id, const std::string& reference, const std::string& payment, std::uint64_t refunded,
                        std::int64_t at = 0) const {
        json::Object metadata;
        if (!reference.empty()) metadata.set("netpay_reference", reference);
        return event(id, "charge.refunded", json::Object()
                                                .set("id", "ch_1")
                                                .set("payment_intent", payment)
                                                .set("amount", std::uint64_t{500})
                                                .set("amount_refunded", refunded)
                                                .set("currency", "usd")
                                                .set("metadata", metadata),
                     at);
    }
    static json::Object refund(const std::string& id, std::uint64_t minor, const std::string& payment, UnixTime begun) {
        return json::Object()
            .set("id", id)
            .set("object", "refund")
            .set("amount", minor)
            .set("charge", "ch_1")
            .set("created", static_cast<std::uint64_t>(begun))
            .set("currency", "usd")
            .set("payment_intent", payment)
            .set("status", "failed");
    }
    // begun, at: since now.
    json::Object failure(const std::string& id, const std::string& type, const std::string& name, std::uint64_t minor,
                         const std::string& payment = "pi_1", std::int64_t begun = 0, std::int64_t at = 0) const {
        return event(id, type, refund(name, minor, payment, world_->clock.now() + begun), at);
    }
    std::string signature(const std::string& body) const {
        return "t=" + std::to_string(world_->clock.now()) + ",v1=" + sign(body, world_->clock.now());
    }
    Response send(const json::Object& event) {
        const auto body = event.jcs();
        return world_->call("POST /webhooks/card", body, {}, {}, {{"stripe-signature", signature(body)}});
    }

    const Currency usd = *Currency::parse("uusd");
    std::unique_ptr<topup::CardShop> shop_;
    Provider* provider_ = nullptr;
    std::unique_ptr<World> world_;
    std::string token_;
    accounts::Account account_;
};

CPPUNIT_TEST_SUITE_REGISTRATION(TopupTest);

}  // namespace
}  // namespace netpay::broker::test
