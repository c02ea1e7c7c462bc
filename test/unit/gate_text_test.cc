// What the gate reads and writes as text: prices, fields, secrets, pages, logs, metrics.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <memory>

#include "core/json.h"
#include "core_support.h"
#include "mod_netpay/accept.h"
#include "mod_netpay/counters.h"
#include "mod_netpay/paylog.h"
#include "mod_netpay/presented.h"
#include "mod_netpay/price.h"
#include "mod_netpay/refusal.h"
#include "mod_netpay/secret.h"

namespace netpay::test {
namespace {

class GateTextTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(GateTextTest);
    CPPUNIT_TEST(price_rules);
    CPPUNIT_TEST(price_rules_refused);
    CPPUNIT_TEST(price_values);
    CPPUNIT_TEST(the_price_that_holds);
    CPPUNIT_TEST(accept_payment_filters_and_orders);
    CPPUNIT_TEST(who_prefers_html);
    CPPUNIT_TEST(credentials_presented);
    CPPUNIT_TEST(problems_carry_their_members);
    CPPUNIT_TEST(secrets);
    CPPUNIT_TEST(secrets_of_programs);
    CPPUNIT_TEST(log_lines_fit_a_pipe);
    CPPUNIT_TEST(counters_add_up);
    CPPUNIT_TEST(hand_overs_are_counted_by_their_outcome);
    CPPUNIT_TEST(gauges_of_every_vendor);
    CPPUNIT_TEST_SUITE_END();

    void price_rules() {
        const auto r = parse_price_rule({"0.02", "usd", "methods=get,POST", "type=Text/HTML"});
        CPPUNIT_ASSERT(r);
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, r->price.amount.micro());
        CPPUNIT_ASSERT_EQUAL("uusd"sv, r->price.currency.str());
        CPPUNIT_ASSERT((r->methods == std::vector<std::string>{"GET", "POST"}));
        CPPUNIT_ASSERT_EQUAL("text/html"s, r->type);
        CPPUNIT_ASSERT(parse_price_rule({"free"})->price.free());
        CPPUNIT_ASSERT(parse_price_rule({"0", "eur"})->price.free());
        CPPUNIT_ASSERT_EQUAL("ueur"sv, parse_price_rule({"1", "ueur"})->price.currency.str());
    }

    void price_rules_refused() {
        for (const auto& bad : std::vector<std::vector<std::string>>{
                 {}, {"0.02"}, {"two", "usd"}, {"-1", "usd"}, {"0.0000001", "usd"}, {"0.02", "dollars"},
                 {"0.02", "usd", "methods="}, {"0.02", "usd", "methods=G E"}, {"0.02", "usd", "type=html"},
                 {"0.02", "usd", "colour=red"}, {"99999999999999", "usd"}})
            CPPUNIT_ASSERT(!parse_price_rule(bad));
    }

    void price_values() {
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{10000}, parse_price_value(" 0.01 ", uusd())->amount.micro());
        CPPUNIT_ASSERT_EQUAL("ueur"sv, parse_price_value("0.01 eur", uusd())->currency.str());
        CPPUNIT_ASSERT(parse_price_value("free", uusd())->free());
        CPPUNIT_ASSERT(parse_price_value("0", uusd())->free());
        for (const auto bad : {"", "x", "0.01 dollars", "1e3", "0,01", "NaN"})
            CPPUNIT_ASSERT_MESSAGE(bad, !parse_price_value(bad, uusd()));
    }

    void the_price_that_holds() {
        std::vector<PriceRule> rules;
        for (const auto& line : std::vector<std::vector<std::string>>{
                 {"0.02", "usd"}, {"0.10", "usd", "methods=POST"}, {"0.005", "usd", "type=image/*"}})
            rules.push_back(*parse_price_rule(line));
        const auto micro = [&](std::string_view method, std::string_view type) {
            const auto* p = choose_price(rules, method, type);
            return p ? p->amount.micro() : 0;
        };
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, micro("GET", "text/html"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{20000}, micro("HEAD", ""));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{100000}, micro("POST", "text/html; charset=utf-8"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000}, micro("GET", "image/png"));
        CPPUNIT_ASSERT_EQUAL(std::uint64_t{5000}, micro("POST", "Image/PNG"));
        rules.erase(rules.begin());
        CPPUNIT_ASSERT(!choose_price(rules, "GET", "text/html"));
        CPPUNIT_ASSERT(choose_price({*parse_price_rule({"1", "usd", "methods=GET"})}, "HEAD", ""));
    }

    void accept_payment_filters_and_orders() {
        const std::vector<std::string_view> both = {"session", "charge"};
        const auto joined = [&](std::string_view field) {
            std::string out;
            for (const auto i : accepted_intents(field, both)) out += std::string(i) + " ";
            return out;
        };
        CPPUNIT_ASSERT_EQUAL("session charge "s, joined(""));
        CPPUNIT_ASSERT_EQUAL("charge "s, joined("netpay/charge"));
        CPPUNIT_ASSERT_EQUAL("charge session "s, joined("netpay/session;q=0.4, NetPay/charge;q=0.5"));
        CPPUNIT_ASSERT_EQUAL("session "s, joined("netpay/*, netpay/charge;q=0"));
        CPPUNIT_ASSERT_EQUAL("session charge "s, joined("*/*"));
        CPPUNIT_ASSERT_EQUAL("session charge "s, joined("other/charge"));
        CPPUNIT_ASSERT_EQUAL("session charge "s, joined("nonsense;;=,/"));
        CPPUNIT_ASSERT_EQUAL("charge "s, joined("other/x, netpay/charge;q=0.001"));
    }

    void who_prefers_html() {
        CPPUNIT_ASSERT(prefers_html("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        CPPUNIT_ASSERT(prefers_html("text/html"));
        CPPUNIT_ASSERT(prefers_html("text/*"));
        for (const auto not_html : {"", "*/*", "application/json", "text/html;q=0.5, application/json",
                                    "text/html;q=0, */*", "text/html, application/problem+json"})
            CPPUNIT_ASSERT_MESSAGE(not_html, !prefers_html(not_html));
    }

    void credentials_presented() {
        using C = Presented::Count;
        const auto count = [](std::string_view a, std::string_view p) { return Presented::read(a, p).count; };
        CPPUNIT_ASSERT(count("", "") == C::none);
        CPPUNIT_ASSERT(count("Basic dTpw", "") == C::none);
        CPPUNIT_ASSERT(count("Digest username=\"a, Payment b\", realm=\"x\"", "") == C::none);
        CPPUNIT_ASSERT(count("Payment abc", "") == C::one);
        CPPUNIT_ASSERT_EQUAL("abc"sv, Presented::read("payment  abc ", "").token);
        CPPUNIT_ASSERT(count("Payment abc, Payment def", "") == C::several);
        CPPUNIT_ASSERT(count("Basic dTpw, Payment def", "") == C::several);
        CPPUNIT_ASSERT(count("Payment abc", "Payment abc") == C::several);
        CPPUNIT_ASSERT(count("Basic dTpw", "Payment abc") == C::one);
        CPPUNIT_ASSERT(Presented::read("Basic dTpw", "Payment abc").own_field);
        CPPUNIT_ASSERT(count("Payment a=b, c=d", "") == C::one);
        CPPUNIT_ASSERT(count("Payment", "") == C::one);
        CPPUNIT_ASSERT(holds_payment("Basic x, payment y"));
        CPPUNIT_ASSERT(!holds_payment("Bearer Payment"));
    }

    void problems_carry_their_members() {
        CPPUNIT_ASSERT_EQUAL(
            R"({"coin":"c","detail":"The units revealed so far do not cover the price.","needed":30,"revealed":20,"spent":10,"status":402,"title":"The payment does not suffice","type":"https://paymentauth.org/problems/payment-insufficient"})"s,
            problem_body(refuse::judged(Verdict::insufficient, "c", 10, 20, 30, 5)));
        const auto member = [](const Refusal& r, const char* name) {
            const auto doc = json::Document::parse(problem_body(r));
            const auto* v = doc->root().find(name);
            return !v ? "-"s : v->as_string() ? std::string(*v->as_string()) : std::to_string(*v->as_uint());
        };
        const auto used = refuse::judged(Verdict::already_spent, "c", 10, 20, 0, 5);
        CPPUNIT_ASSERT_EQUAL("already-spent"s, member(used, "reason"));
        CPPUNIT_ASSERT_EQUAL("20"s, member(used, "revealed"));
        CPPUNIT_ASSERT_EQUAL("5"s, member(refuse::judged(Verdict::hop_too_long, "c", 0, 0, 0, 5), "max_hop"));
        CPPUNIT_ASSERT_EQUAL("-"s, member(refuse::judged(Verdict::forged, "c", 7, 8, 0, 5), "spent"));
        CPPUNIT_ASSERT_EQUAL(503, refuse::judged(Verdict::busy, "c", 0, 0, 0, 5).status);
        CPPUNIT_ASSERT_EQUAL(400, refuse::several_credentials().status);
        CPPUNIT_ASSERT_EQUAL(403, refuse::insecure().status);
        CPPUNIT_ASSERT_EQUAL(400, refuse::unreadable({Code::mismatch, ""}).status);
        CPPUNIT_ASSERT(refuse::unreadable({Code::malformed_payload, ""}).problem == "invalid-payload");
        CPPUNIT_ASSERT(refuse::unreadable({Code::limit, ""}).problem == "malformed-credential");
    }

    struct File {
        explicit File(const std::string& content, mode_t mode) {
            char name[] = "/tmp/netpay-secret-XXXXXX";
            ::close(::mkstemp(name));
            path = name;
            std::ofstream(path) << content;
            ::chmod(path.c_str(), mode);
        }
        ~File() { ::unlink(path.c_str()); }
        std::string path;
    };

    void secrets() {
        const File good("0123456789abcdef\n", 0600), open("0123456789abcdef", 0644), empty("", 0600);
        const auto read = [](const std::string& argument) { return read_secret(*SecretSource::parse(argument, false, true)); };
        CPPUNIT_ASSERT_EQUAL("0123456789abcdef"sv, read("file:" + good.path)->expose());
        CPPUNIT_ASSERT(!read("file:" + open.path));
        CPPUNIT_ASSERT(!read("file:" + empty.path));
        CPPUNIT_ASSERT(!read("file:/nonexistent"));
        CPPUNIT_ASSERT_EQUAL("inline secret"sv, read("inline secret")->expose());
        CPPUNIT_ASSERT(!check_secret(*SecretSource::parse("file:" + open.path, false, false)));
        CPPUNIT_ASSERT(!check_secret(*SecretSource::parse("exec:/nonexistent x", false, false)));
        CPPUNIT_ASSERT(!SecretSource::parse("inline secret", false, false));
        CPPUNIT_ASSERT(!SecretSource::parse("file:", true, false));
        CPPUNIT_ASSERT(SecretSource::parse("/path", true, false)->kind == SecretSource::Kind::file);
        CPPUNIT_ASSERT(world_readable(open.path) && !world_readable(good.path));
    }

    void secrets_of_programs() {
        const auto run = [](const char* line) { return read_secret(*SecretSource::parse(line, false, false)); };
        CPPUNIT_ASSERT_EQUAL("a b"sv, run("exec:/bin/echo a b")->expose());
        CPPUNIT_ASSERT(!run("exec:/bin/false"));
        CPPUNIT_ASSERT(!run("exec:/bin/true"));
        CPPUNIT_ASSERT(!run("exec:/nonexistent"));
        CPPUNIT_ASSERT(!run("exec:/usr/bin/yes"));  // says more than a secret has
    }

    void log_lines_fit_a_pipe() {
        PaylogLine line;
        const std::string uri = "/\x01\"\\\xff" + std::string(9000, '"');
        line.vendor = "https://news.example";
        line.coin = "A_HjtEXq";
        line.decision = Decision::already_spent;
        line.method = "GET";
        line.uri = uri;
        line.status = 402;
        line.priced = true;
        const std::string text = format_paylog(line);
        CPPUNIT_ASSERT(text.size() < paylog_bytes);
        CPPUNIT_ASSERT(text.find('\n') == std::string::npos);
        const auto doc = json::Document::parse(text);
        CPPUNIT_ASSERT(doc);
        CPPUNIT_ASSERT(doc->root().string("verdict") == "verification-failed");
        CPPUNIT_ASSERT(doc->root().string("reason") == "already-spent");
        CPPUNIT_ASSERT(doc->root().string("uri")->starts_with("/%01\"\\%FF\""));
        CPPUNIT_ASSERT(!doc->root().string("wallet"));
        line.wallet = "cookie";
        CPPUNIT_ASSERT(format_paylog(line).find("\"wallet\":\"cookie\"") != std::string::npos);
    }

    void counters_add_up() {
        const auto c = std::make_unique<Counters>();
        c->count(Decision::paid);
        c->count(Decision::paid);
        c->count(Decision::ordered);
        c->count(Decision::given_back);
        c->count(Tick::cache_hit, 3);
        c->count(Tick::wallet_server, 2);
        c->took(uusd(), *Amount::from(20000), 20);
        c->took(*Currency::parse("ueur"), *Amount::from(5), 1);
        c->took(uusd(), *Amount::from(1), 1);
        c->payment_step(7);
        c->payment_step(5000000);
        const std::string text = c->prometheus();
        for (const auto line : {"netpay_requests_total{verdict=\"paid\",reason=\"\"} 2\n",
                                "netpay_requests_total{verdict=\"ordered\",reason=\"\"} 1\n",
                                "netpay_requests_total{verdict=\"given-back\",reason=\"\"} 1\n",
                                "netpay_cache_lookups_total{result=\"hit\"} 3\n",
                                "netpay_wallet_pages_total{wallet=\"server\"} 2\n",
                                "netpay_money_micro_total{currency=\"uusd\"} 20001\n",
                                "netpay_units_total{currency=\"ueur\"} 1\n",
                                "netpay_payment_step_seconds_bucket{le=\"0.000005\"} 0\n",
                                "netpay_payment_step_seconds_bucket{le=\"0.000010\"} 1\n",
                                "netpay_payment_step_seconds_bucket{le=\"+Inf\"} 2\n",
                                "netpay_payment_step_seconds_sum 5.000007\n"})
            CPPUNIT_ASSERT_MESSAGE(line, text.find(line) != std::string::npos);
    }

    void hand_overs_are_counted_by_their_outcome() {
        const auto c = std::make_unique<Counters>();
        for (const std::string outcome : {"given", "again", "elsewhere", "busy", "refused", "unknown", "unavailable"}) {
            c->count(handover_tick(outcome));
            const std::string line = "netpay_handovers_total{result=\"" + outcome + "\"} 1\n";
            CPPUNIT_ASSERT_MESSAGE(line, c->prometheus().find(line) != std::string::npos);
        }
        CPPUNIT_ASSERT(handover_tick("what nobody named yet") == Tick::handover_refused);
        for (const std::string way : {"direct", "broker", "chain", "regain"}) {
            c->count(*takeover_tick(way));
            const std::string line = "netpay_takeovers_total{way=\"" + way + "\"} 1\n";
            CPPUNIT_ASSERT_MESSAGE(line, c->prometheus().find(line) != std::string::npos);
        }
        CPPUNIT_ASSERT(!takeover_tick(""));
    }

    void gauges_of_every_vendor() {
        const std::string text = prometheus({{"https://a.example", 3, -75, false, 2, 10}, {"https://b.example"}});
        for (const auto line : {"# TYPE netpay_unreported gauge\nnetpay_unreported{vendor=\"https://a.example\"} 3\n"
                                "netpay_unreported{vendor=\"https://b.example\"} 0\n",
                                "netpay_clock_skew_seconds{vendor=\"https://a.example\"} -75\n",
                                "netpay_clock_good{vendor=\"https://a.example\"} 0\n",
                                "netpay_clock_good{vendor=\"https://b.example\"} 1\n",
                                "netpay_vendors_known{vendor=\"https://a.example\"} 2\n",
                                "netpay_vendor_list_age_seconds{vendor=\"https://b.example\"} -1\n"})
            CPPUNIT_ASSERT_MESSAGE(line, text.find(line) != std::string::npos);
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(GateTextTest);

}  // namespace
}  // namespace netpay::test
