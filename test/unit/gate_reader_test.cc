// What readers see of the gate: the paywall, an operator's template, titles
// and teasers; and which requests are no reader's.
#include <string>

#include "core/html.h"
#include "core_support.h"
#include "mod_netpay/excerpt.h"
#include "mod_netpay/page.h"
#include "mod_netpay/reader.h"
#include "mod_netpay/template.h"

namespace netpay::test {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class GateReaderTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(GateReaderTest);
    CPPUNIT_TEST(what_was_fetched_ahead_is_known);
    CPPUNIT_TEST(paywall_says_what_and_how);
    CPPUNIT_TEST(everything_is_escaped);
    CPPUNIT_TEST(a_shell_takes_the_url_as_one_word);
    CPPUNIT_TEST(forms_are_not_paid_in_a_browser);
    CPPUNIT_TEST(refused_payments_are_explained);
    CPPUNIT_TEST(templates_are_filled);
    CPPUNIT_TEST(templates_with_faults_are_refused);
    CPPUNIT_TEST(excerpts_of_pages);
    CPPUNIT_TEST(excerpts_hold_no_more_than_allowed);
    CPPUNIT_TEST(marks_say_what_is_shown);
    CPPUNIT_TEST(broken_pages_do_no_harm);
    CPPUNIT_TEST(text_is_cut_at_words);
    CPPUNIT_TEST_SUITE_END();

    std::vector<std::string> brokers_{"https://broker.example"};

    PaywallText article() const {
        PaywallText t;
        t.realm = "The News";
        t.vendor = "https://news.example";
        t.target = "/a?x=1";
        t.price = "2 ¢";
        t.title = "Rain";
        t.teaser = "It rains.";
        t.brokers = &brokers_;
        t.status = "Payment required";
        t.detail = "This resource is sold.";
        return t;
    }

    void what_was_fetched_ahead_is_known() {
        CPPUNIT_ASSERT(speculative({"prefetch", "", "", ""}));
        CPPUNIT_ASSERT(speculative({"prefetch;prerender", "", "", ""}));
        CPPUNIT_ASSERT(speculative({"", "Prefetch", "", ""}));
        CPPUNIT_ASSERT(speculative({"", "", "preview", ""}));
        CPPUNIT_ASSERT(speculative({"", "", "", "prefetch"}));
        CPPUNIT_ASSERT(!speculative({}));
        CPPUNIT_ASSERT(!speculative({"", "instant", "", ""}));
    }

    void paywall_says_what_and_how() {
        const auto page = render_paywall(article());
        for (const char* part : {"<h1>Rain</h1>", "It rains.", "2 ¢", "news.example", "The News", "<html lang=\"en\">",
                                 "<a class=\"button\" href=\"https://broker.example/sign-up\">Get an e-wallet</a>",
                                 "href=\"https://broker.example/topup\"", "NetPay extension",
                                 "netpay get &#39;https://news.example/a?x=1&#39;"})
            CPPUNIT_ASSERT_MESSAGE(part, has(page, part));
        CPPUNIT_ASSERT(!has(page, "<script") && !has(page, "Payment required"));
        auto bare = article();
        bare.title = bare.teaser = "";
        CPPUNIT_ASSERT(has(render_paywall(bare), "<h1>This page costs 2 ¢</h1>"));
        const std::vector<std::string> many{"https://a.example", "https://b.example", "https://c.example", "https://d.example"};
        bare.brokers = &many;
        const auto offered = render_paywall(bare);
        CPPUNIT_ASSERT(has(offered, "Get an e-wallet at a.example") && has(offered, "c.example") && !has(offered, "d.example"));
    }

    void everything_is_escaped() {
        auto t = article();
        const std::string evil = "<script>alert('\"&\")</script>";
        t.realm = t.target = t.status = t.detail = evil;
        t.title = t.teaser = evil;
        t.tried = true;
        const auto own = Template::parse("{{site}}{{realm}}{{vendor}}{{url}}{{title}}{{teaser}}{{price}}{{status}}{{detail}}{{pay}}{{other}}");
        for (const auto& page : {render_paywall(t), render_fault(t), render_paywall(t, &*own)}) {
            CPPUNIT_ASSERT(!has(page, "<script"));
            CPPUNIT_ASSERT(!has(page, "'\"&"));
            CPPUNIT_ASSERT(has(page, "&lt;script&gt;"));
        }
    }

    void a_shell_takes_the_url_as_one_word() {
        auto t = article();
        t.target = "/it's;rm";
        CPPUNIT_ASSERT(has(render_paywall(t), "netpay get &#39;https://news.example/it%27s;rm&#39;"));
    }

    void forms_are_not_paid_in_a_browser() {
        auto t = article();
        t.opened = false;
        const auto page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "nothing was charged"));
        CPPUNIT_ASSERT(!has(page, "netpay get") && !has(page, "class=\"button\""));
    }

    void refused_payments_are_explained() {
        auto t = article();
        t.tried = true;
        t.status = "The payment was not accepted";
        t.detail = "This index was used before.";
        const auto page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "role=\"status\">The payment was not accepted. This index was used before. Nothing was charged."));
        t.status = "The payment cannot be processed now";
        const auto fault = render_fault(t);
        CPPUNIT_ASSERT(has(fault, "<h1>The payment cannot be processed now</h1>") && !has(fault, "Get an e-wallet"));
    }

    void templates_are_filled() {
        const auto own = Template::parse("<title>{{ title }}</title>{{style}}<p>{{price}} {{price}}</p>{{pay}}{{other}}<i>{{url}}</i>{ {x} }");
        CPPUNIT_ASSERT(own.ok());
        const auto page = render_paywall(article(), &*own);
        CPPUNIT_ASSERT(page.starts_with("<title>Rain</title><style>" + std::string(html::kit) + "</style><p>2 ¢ 2 ¢</p>"));
        CPPUNIT_ASSERT(has(page, "Get an e-wallet"));
        CPPUNIT_ASSERT(page.ends_with("<i>https://news.example/a?x=1</i>{ {x} }"));
    }

    void templates_with_faults_are_refused() {
        const auto why = [](const std::string& text) {
            const auto t = Template::parse(text);
            return t ? std::string("accepted") : t.error().detail;
        };
        CPPUNIT_ASSERT(has(why("a\nb\n{{pay}} {{prise}}"), "line 3: there is no placeholder {{prise}}"));
        CPPUNIT_ASSERT(has(why("{{pay}}\n{{price"), "line 2: a placeholder begins"));
        CPPUNIT_ASSERT(has(why("{{pay}}{{pri\nce}}"), "no }}"));
        CPPUNIT_ASSERT(has(why("hello {{price}}"), "{{pay}} is missing"));
        CPPUNIT_ASSERT(has(why(""), "{{pay}} is missing"));
        CPPUNIT_ASSERT(has(why("{{pay}}{{}}"), "no placeholder {{}}"));
        CPPUNIT_ASSERT(has(why("{{pay}}" + std::string(256 << 10, 'x')), "256 KiB"));
        CPPUNIT_ASSERT_EQUAL("accepted"s, why("{{pay}}}}"));
    }

    void excerpts_of_pages() {
        const auto e = excerpt("<!DOCTYPE html><html><head><TITLE>A &amp; B\n &lt;x&gt;</TITLE><style>p{}</style></head><body>"
                               "<nav>menu</nav><script>var a='</p>';</script><h1>A &amp; B &lt;x&gt;</h1>"
                               "<p class=\"a>b\">One<b>two</b> &#8364;&#x20AC; &eacute; 1 < 2<br>three</p><!-- <p>secret --></body>", 300);
        CPPUNIT_ASSERT_EQUAL("A & B <x>"s, e.title);
        CPPUNIT_ASSERT_EQUAL("Onetwo €€ &eacute; 1 < 2 three"s, e.teaser);
        CPPUNIT_ASSERT_EQUAL(""s, excerpt("", 10).teaser);
    }

    void excerpts_hold_no_more_than_allowed() {
        std::string body = "<title>T</title><body>";
        for (int i = 0; i < 1000; ++i) body += "word" + std::to_string(i) + " ";
        const auto e = excerpt(body, 50);
        CPPUNIT_ASSERT(e.teaser.size() <= 50 + 4 && has(e.teaser, "word0 ") && e.teaser.ends_with(" …"));
        CPPUNIT_ASSERT(!has(e.teaser, "word9"));
        const auto long_title = excerpt("<title>" + std::string(5000, 'x') + "</title>", 10).title;
        CPPUNIT_ASSERT(long_title.size() <= title_characters + 4);
    }

    void marks_say_what_is_shown() {
        const std::string page = "<title>T</title><p>paid 1</p><!-- netpay-teaser --><p>Free <i>part</i>.</p><!-- /netpay-teaser --><p>paid 2</p>";
        CPPUNIT_ASSERT_EQUAL("Free part."s, excerpt(page, 5).teaser);
        // Without its end, how much may be shown is not known: nothing is.
        CPPUNIT_ASSERT_EQUAL(""s, excerpt("<p>x</p><!-- netpay-teaser --><p>paid</p>", 300).teaser);
        // An end beyond what is looked at is none.
        CPPUNIT_ASSERT_EQUAL(""s, excerpt("<!-- netpay-teaser -->" + std::string(excerpt_bytes, 'x') + "<!-- /netpay-teaser -->", 300).teaser);
    }

    void broken_pages_do_no_harm() {
        for (const char* page : {"<", "<!--", "<p", "<title>", "</", "<a href='", "&#", "&#99999999999;", "<script>", "&#xd800;", "<title", "&amp"})
            CPPUNIT_ASSERT(excerpt(page, 300).teaser.size() < 20);
        Random random(20261122);
        const std::string pieces[] = {"<", ">", "\"", "'", "<!--", "-->", "<title>", "</title>", "<script>", "</", "&", "#", ";", "x", " ", "\xe2\x82", "<p a=", "<!-- netpay-teaser -->", "<!-- /netpay-teaser -->"};
        for (int i = 0; i < 3000; ++i) {
            std::string page;
            for (int k = 0; k < 30; ++k) page += pieces[random.below(std::size(pieces))];
            const auto e = excerpt(page, 20);
            CPPUNIT_ASSERT(e.teaser.size() <= 4 * teaser_characters);
        }
    }

    void text_is_cut_at_words() {
        CPPUNIT_ASSERT_EQUAL("one two …"s, shortened("one two three", 9));
        CPPUNIT_ASSERT_EQUAL("one two …"s, shortened("one two three", 7));
        CPPUNIT_ASSERT_EQUAL("one two three"s, shortened("one two three", 13));
        CPPUNIT_ASSERT_EQUAL("ééé …"s, shortened("éééé", 3));
        CPPUNIT_ASSERT_EQUAL("abc"s, shortened("a\x01" "b\rc", 3));
        CPPUNIT_ASSERT_EQUAL(" …"s, shortened("abc", 0));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(GateReaderTest);

}  // namespace
}  // namespace netpay::test
