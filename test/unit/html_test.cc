// core/html and core/form: what is shown to people and what they send.
#include "core/form.h"
#include "core/html.h"
#include "core_support.h"

namespace netpay::test {
namespace {

std::string shown(std::uint64_t micro, const char* currency) {
    return html::price(*Amount::from(micro), *Currency::parse(currency));
}

class HtmlTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(HtmlTest);
    CPPUNIT_TEST(escapes_what_means_something);
    CPPUNIT_TEST(prices_for_people);
    CPPUNIT_TEST(documents_hold_together);
    CPPUNIT_TEST(policies_name_the_style);
    CPPUNIT_TEST(forms_are_parsed);
    CPPUNIT_TEST(values_are_encoded_and_come_back);
    CPPUNIT_TEST(cookies_are_found_once_or_not_at_all);
    CPPUNIT_TEST(cookie_names_carry_the_port);
    CPPUNIT_TEST_SUITE_END();

    void escapes_what_means_something() {
        CPPUNIT_ASSERT_EQUAL("&lt;a href=&quot;x&quot;&gt;&amp;&#39;"s, html::escape("<a href=\"x\">&'"));
        CPPUNIT_ASSERT_EQUAL("a\tb\nc é"s, html::escape("a\tb\nc\r\x01\x1b\x7f é"));
        CPPUNIT_ASSERT_EQUAL("ab"s, html::escape(std::string_view("a\0b", 3)));
    }

    void prices_for_people() {
        CPPUNIT_ASSERT_EQUAL("2 ¢"s, shown(20000, "uusd"));
        CPPUNIT_ASSERT_EQUAL("0.5 ¢"s, shown(5000, "ueur"));
        CPPUNIT_ASSERT_EQUAL("0.0001 ¢"s, shown(1, "uusd"));
        CPPUNIT_ASSERT_EQUAL("99.9999 ¢"s, shown(999999, "uusd"));
        CPPUNIT_ASSERT_EQUAL("10 ¢"s, shown(100000, "uusd"));
        CPPUNIT_ASSERT_EQUAL("$1.00"s, shown(1000000, "uusd"));
        CPPUNIT_ASSERT_EQUAL("€1.20"s, shown(1200000, "ueur"));
        CPPUNIT_ASSERT_EQUAL("$1.234567"s, shown(1234567, "uusd"));
        CPPUNIT_ASSERT_EQUAL("0.02 CHF"s, shown(20000, "uchf"));
        CPPUNIT_ASSERT_EQUAL("free"s, shown(0, "uusd"));
        CPPUNIT_ASSERT_EQUAL("$9007199254.740991"s, shown(limits::max_amount, "uusd"));
    }

    void documents_hold_together() {
        const auto d = html::document("A <title>", "<h1>x</h1>\n", "<header>y</header>\n");
        CPPUNIT_ASSERT(d.find("<title>A &lt;title&gt;</title>") != std::string::npos);
        CPPUNIT_ASSERT(d.find("<header>y</header>\n<main>\n<h1>x</h1>\n</main>") != std::string::npos);
        CPPUNIT_ASSERT(d.find("<style>" + std::string(html::kit) + "</style>") != std::string::npos);
        CPPUNIT_ASSERT(d.find("<html lang=\"en\">") != std::string::npos);
        CPPUNIT_ASSERT(html::kit.find("</") == std::string_view::npos);
        CPPUNIT_ASSERT(html::kit.find("url(") == std::string_view::npos);
        CPPUNIT_ASSERT(html::kit.find("prefers-color-scheme:dark") != std::string_view::npos);
    }

    void policies_name_the_style() {
        // echo -n 'body{}' | openssl dgst -sha256 -binary | base64
        CPPUNIT_ASSERT_EQUAL("'sha256-fJgEClQWV1hGkK4qHMO0KotTsVnMYMXTq7/suurGyUo='"s, html::hash_source("body{}"));
        const auto p = html::policy("body{}", {"https://a.example", "https://b.example"});
        CPPUNIT_ASSERT_EQUAL("default-src 'none'; style-src 'sha256-fJgEClQWV1hGkK4qHMO0KotTsVnMYMXTq7/suurGyUo='; img-src 'self'; "
                             "form-action 'self' https://a.example https://b.example; base-uri 'none'; frame-ancestors 'none'"s, p);
        CPPUNIT_ASSERT(html::policy("body{}", {}, html::Styles::own_files_too).find(" 'self'; font-src 'self'; img-src") != std::string::npos);
    }

    void forms_are_parsed() {
        const auto f = form::parse("a=1+2&b=%41%2b&c&=x&&d=e=f");
        CPPUNIT_ASSERT(f.has_value());
        CPPUNIT_ASSERT_EQUAL("1 2"s, f->find("a")->second);
        CPPUNIT_ASSERT_EQUAL("A+"s, f->find("b")->second);
        CPPUNIT_ASSERT_EQUAL(""s, f->find("c")->second);
        CPPUNIT_ASSERT_EQUAL("e=f"s, f->find("d")->second);
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, form::parse("")->size());
        for (const char* bad : {"a=%", "a=%4", "a=%g0", "a=1&a=2", "%zz=1"}) CPPUNIT_ASSERT(!form::parse(bad));
    }

    void values_are_encoded_and_come_back() {
        CPPUNIT_ASSERT_EQUAL("https%3A%2F%2Fnews.example%2Fa%3Fb%3D%C3%A9%20c"s, form::encode("https://news.example/a?b=é c"));
        std::string all;
        for (int c = 0; c < 256; ++c) all += static_cast<char>(c);
        CPPUNIT_ASSERT_EQUAL(all, form::parse("x=" + form::encode(all))->find("x")->second);
    }

    void cookies_are_found_once_or_not_at_all() {
        CPPUNIT_ASSERT_EQUAL("1"s, *form::cookie("a=1", "a"));
        CPPUNIT_ASSERT_EQUAL("x=y"s, *form::cookie("b=2;  a=x=y ; c", "a"));
        CPPUNIT_ASSERT_EQUAL(""s, *form::cookie("a=", "a"));
        CPPUNIT_ASSERT(!form::cookie("aa=1; b=a=2", "a"));
        CPPUNIT_ASSERT(!form::cookie("a=1; a=1", "a"));
        CPPUNIT_ASSERT(!form::cookie("", "a"));
    }

    void cookie_names_carry_the_port() {
        CPPUNIT_ASSERT_EQUAL("__Host-netpay-site"s, form::cookie_name("https://broker.example", "site"));
        CPPUNIT_ASSERT_EQUAL("__Host-netpay-site-8402"s, form::cookie_name("http://127.0.0.1:8402", "site"));
        CPPUNIT_ASSERT_EQUAL("__Host-netpay-site"s, form::cookie_name("http://[::1]", "site"));
        CPPUNIT_ASSERT_EQUAL("__Host-netpay-site-81"s, form::cookie_name("http://[::1]:81", "site"));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(HtmlTest);

}  // namespace
}  // namespace netpay::test
