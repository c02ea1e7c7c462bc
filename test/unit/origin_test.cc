#include "core/origin.h"

#include "core/certificate.h"
#include "core_support.h"

namespace netpay::test {
namespace {

class OriginTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(OriginTest);
    CPPUNIT_TEST(canonical_origins);
    CPPUNIT_TEST(what_is_no_origin);
    CPPUNIT_TEST(origins_of_urls);
    CPPUNIT_TEST(urls_without_an_origin);
    CPPUNIT_TEST(loopback);
    CPPUNIT_TEST(handoff_addresses);
    CPPUNIT_TEST_SUITE_END();

    void canonical_origins() {
        for (const char* o : {"https://news.example", "http://news.example", "https://news.example:8443", "http://a",
                              "https://127.0.0.1:1", "https://[::1]", "https://[2001:db8::1]:65535", "http://x.example:443",
                              "https://x.example:80", "https://a_b.example", "https://xn--bcher-kva.example"})
            CPPUNIT_ASSERT_MESSAGE(o, is_origin(o) && origin_of(o) == o && origin_of(o + "/x"s) == o);
    }

    void what_is_no_origin() {
        for (const auto o :
             {""sv, "https://"sv, "http://"sv, "news.example"sv, "ftp://news.example"sv, "HTTPS://news.example"sv,
              "https://News.example"sv, "https://news.example/"sv, "https://news.example?x"sv, "https://news.example#x"sv,
              "https://news.example:443"sv, "http://news.example:80"sv, "https://news.example:"sv, "https://news.example:0"sv,
              "https://news.example:08443"sv, "https://news.example:65536"sv, "https://news.example:99999999"sv,
              "https://news.example:-1"sv, "https://news.example:8a"sv, "https://u@news.example"sv, "https://u:p@news.example"sv,
              "https://.example"sv, "https://news.example."sv, "https://news..example"sv, "https://-a.example"sv, "https://a-"sv,
              "https://a b"sv, "https://a\0b"sv, "https://a\r\nb"sv, "https://b\xc3\xbc.example"sv, "https://[]"sv, "https://[::1"sv,
              "https://[::1]x"sv, "https://[::g]"sv, "https://::1"sv, "https:///"sv, "https:/a"sv, "https:a"sv, "null"sv,
              "https://a%2eb"sv, "https://a,b"sv, "https://*.example"sv})
            CPPUNIT_ASSERT_MESSAGE(std::string(o), !is_origin(o));
        CPPUNIT_ASSERT(!is_origin("https://" + std::string(254, 'a')));
        CPPUNIT_ASSERT(!is_origin("https://" + std::string(400, 'a')));
    }

    void origins_of_urls() {
        const std::pair<const char*, const char*> pairs[] = {
            {"https://News.Example/a?b#c", "https://news.example"}, {"https://a:443/x", "https://a"},
            {"http://a:80", "http://a"}, {"http://a:443/", "http://a:443"}, {"https://a?x=/", "https://a"},
            {"https://a#x", "https://a"}, {"https://a/@b", "https://a"}, {"http://[::1]:8080/p", "http://[::1]:8080"}};
        for (const auto& [url, want] : pairs) CPPUNIT_ASSERT_EQUAL(std::string(want), origin_of(url));
    }

    void urls_without_an_origin() {
        for (const char* url : {"", "/path", "a.example/x", "https://", "https:///x", "https://user@a.example/", "ftp://a/",
                                "javascript:alert(1)", "https://a:b/", "https://a:1:2/", "https://a\\@b/", "https:\\\\a", "http://a b/"})
            CPPUNIT_ASSERT_EQUAL_MESSAGE(url, ""s, origin_of(url));
    }

    void loopback() {
        for (const char* u : {"http://localhost", "http://localhost:8080", "https://LOCALHOST/x", "http://127.0.0.1", "http://127.255.0.9:1/p",
                              "http://[::1]", "http://[::1]:8080/x"})
            CPPUNIT_ASSERT_MESSAGE(u, is_loopback(u));
        for (const char* u : {"", "http://localhost.evil.example", "http://127.0.0.1.evil.example", "http://127.0.0.1@evil.example",
                              "http://evil.example/127.0.0.1", "http://128.0.0.1", "http://127.1", "http://127.0.0.256", "http://127.0.0.1.1",
                              "http://127.0.0.1\\.evil.example", "http://[::2]", "http://0.0.0.0", "http://evil.example#localhost",
                              "http://127.0.0.99999999999", "localhost"})
            CPPUNIT_ASSERT_MESSAGE(u, !is_loopback(u));
    }

    void handoff_addresses() {
        CPPUNIT_ASSERT(handoff_fits("https://a.example/netpay/handoff", "https://a.example"));
        CPPUNIT_ASSERT(handoff_fits("https://a.example:8443/h?x", "https://a.example:8443"));
        CPPUNIT_ASSERT(handoff_fits("http://127.0.0.1:80/h", "http://127.0.0.1"));
        CPPUNIT_ASSERT(!handoff_fits("http://a.example/h", "http://a.example"));
        CPPUNIT_ASSERT(!handoff_fits("https://b.example/h", "https://a.example"));
        CPPUNIT_ASSERT(!handoff_fits("https://a.example.evil.example/h", "https://a.example"));
        CPPUNIT_ASSERT(!handoff_fits("https://a.example@evil.example/h", "https://a.example"));
        CPPUNIT_ASSERT(!handoff_fits("https://a.example/h\r\nHost: evil.example", "https://a.example"));
        CPPUNIT_ASSERT(!handoff_fits("https://a.example/a b", "https://a.example"));
        CPPUNIT_ASSERT(!handoff_fits("https://a.example/" + std::string(1000, 'x'), "https://a.example"));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(OriginTest);

}  // namespace
}  // namespace netpay::test
