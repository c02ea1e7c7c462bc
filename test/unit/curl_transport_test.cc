// The libcurl transport against servers that hang, drip, never end or send
// elsewhere: every call is over in time and in bounded memory.
#include <arpa/inet.h>
#include <cppunit/TestCase.h>
#include <cppunit/extensions/HelperMacros.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "world/curl_transport.h"
#include "test/unit/custody_support.h"

namespace netpay::custody_test {
namespace {

// Accepts connections on a free loopback port and does with each what a test says.
class Server {
public:
    using Serve = std::function<void(int fd, const std::string& request)>;

    explicit Server(Serve serve) : serve_(std::move(serve)) {
        listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in a{};
        a.sin_family = AF_INET;
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CPPUNIT_ASSERT_EQUAL(0, bind(listener_, reinterpret_cast<sockaddr*>(&a), sizeof a));
        CPPUNIT_ASSERT_EQUAL(0, listen(listener_, 8));
        socklen_t n = sizeof a;
        getsockname(listener_, reinterpret_cast<sockaddr*>(&a), &n);
        url = "http://127.0.0.1:" + std::to_string(ntohs(a.sin_port));
        thread_ = std::thread([this] { run(); });
    }
    ~Server() {
        stopping = true;
        shutdown(listener_, SHUT_RDWR);
        thread_.join();
        close(listener_);
    }
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    static bool say(int fd, std::string_view text) {
        while (!text.empty()) {
            const auto n = send(fd, text.data(), text.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            text.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    std::string url;
    std::atomic<int> connections = 0;
    std::atomic<bool> stopping = false;

private:
    void run() {
        for (;;) {
            const int fd = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
            if (fd < 0) return;
            ++connections;
            serve_(fd, read_request(fd));
            close(fd);
        }
    }
    static std::string read_request(int fd) {
        std::string r;
        char c[4096];
        std::size_t want = std::string::npos;
        while (r.size() < want) {
            const auto n = recv(fd, c, sizeof c, 0);
            if (n <= 0) break;
            r.append(c, static_cast<std::size_t>(n));
            const auto end = r.find("\r\n\r\n");
            if (end == std::string::npos) continue;
            const auto length = r.find("Content-Length: ");
            want = end + 4 + (length < end ? std::stoul(r.substr(length + 16)) : 0);
        }
        return r;
    }
    Serve serve_;
    int listener_ = -1;
    std::thread thread_;
};

class CurlTransportTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(CurlTransportTest);
    CPPUNIT_TEST(plain_answers);
    CPPUNIT_TEST(hanging_server);
    CPPUNIT_TEST(dripping_server);
    CPPUNIT_TEST(endless_body);
    CPPUNIT_TEST(endless_header);
    CPPUNIT_TEST(announced_size);
    CPPUNIT_TEST(cut_short);
    CPPUNIT_TEST(no_redirects);
    CPPUNIT_TEST(nobody_there);
    CPPUNIT_TEST(other_schemes);
    CPPUNIT_TEST(retry_after);
    CPPUNIT_TEST(files_are_sent_whole);
    CPPUNIT_TEST(forms_carry_the_callers_fields);
    CPPUNIT_TEST(the_date);
    CPPUNIT_TEST(addresses_of_this_network);
    CPPUNIT_TEST(loopback_where_it_is_allowed);
    CPPUNIT_TEST(a_redirect_into_this_network);
    CPPUNIT_TEST_SUITE_END();

    // Where an answer is expected a busy machine may take its time.
    world::CurlTransport curl_{{20000, 60000, 65536}, {}};
    world::CurlTransport hasty_{{200, 400, 65536}, {}};

    // Longer than the hasty one's time-out by what a busy machine may add.
    static constexpr auto bound = std::chrono::seconds(15);
    using Reach = world::CurlTransport::Reach;
    static world::CurlTransport reaching(Reach reach) { return {{20000, 60000, 65536, reach}, {}}; }
    template <class Call>
    HttpAnswer timed(Call call) {
        const auto begun = std::chrono::steady_clock::now();
        auto a = call();
        CPPUNIT_ASSERT(std::chrono::steady_clock::now() - begun < bound);
        return a;
    }
    void fails(const HttpAnswer& a) {
        CPPUNIT_ASSERT_EQUAL(0, a.status);
        CPPUNIT_ASSERT(!a.error.empty());
        CPPUNIT_ASSERT(a.body.empty());
    }

    void plain_answers() {
        std::string seen;
        Server s([&](int fd, const std::string& r) {
            seen = r;
            Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        });
        auto a = curl_.get(s.url + "/.well-known/netpay");
        CPPUNIT_ASSERT_EQUAL(200, a.status);
        CPPUNIT_ASSERT_EQUAL(std::string("{}"), a.body);
        CPPUNIT_ASSERT(seen.starts_with("GET /.well-known/netpay HTTP/1.1\r\n"));
        a = curl_.post(s.url + "/x", R"({"a":1})");
        CPPUNIT_ASSERT_EQUAL(200, a.status);
        CPPUNIT_ASSERT(seen.ends_with("\r\n\r\n{\"a\":1}"));
        CPPUNIT_ASSERT(seen.find("Content-Type: application/json\r\n") != std::string::npos);
        CPPUNIT_ASSERT(seen.find("Expect") == std::string::npos);
    }

    void hanging_server() {
        Server s([](int fd, const std::string&) {
            char c;
            recv(fd, &c, 1, 0);  // until the client goes
        });
        fails(timed([&] { return hasty_.get(s.url); }));
        fails(timed([&] { return hasty_.post(s.url, "{}"); }));
    }

    void dripping_server() {
        Server s([&](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
            while (Server::say(fd, "x")) std::this_thread::sleep_for(std::chrono::milliseconds(20));
        });
        fails(timed([&] { return hasty_.get(s.url); }));
    }

    void endless_body() {
        Server s([&](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 200 OK\r\n\r\n");
            while (Server::say(fd, std::string(16384, 'x'))) {}
        });
        const auto a = timed([&] { return curl_.get(s.url); });
        fails(a);
        CPPUNIT_ASSERT(a.error.find("65536") != std::string::npos);
    }

    void endless_header() {
        Server s([&](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 200 OK\r\n");
            while (Server::say(fd, "X-Y: " + std::string(8192, 'x') + "\r\n")) {}
        });
        fails(timed([&] { return curl_.get(s.url); }));
    }

    void announced_size() {
        const auto serve = [](std::size_t n) {
            return [n](int fd, const std::string&) {
                Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(n) + "\r\nConnection: close\r\n\r\n" +
                                    std::string(n, 'x'));
            };
        };
        Server fits(serve(65536)), over(serve(65537));
        CPPUNIT_ASSERT_EQUAL(std::size_t{65536}, curl_.get(fits.url).body.size());
        fails(curl_.get(over.url));
    }

    void cut_short() {
        Server s([](int fd, const std::string&) { Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{}"); });
        fails(curl_.get(s.url));
        Server garbage([](int fd, const std::string&) { Server::say(fd, "\x16\x03\x01 what"); });
        fails(timed([&] { return curl_.get(garbage.url); }));
    }

    void no_redirects() {
        Server target([](int fd, const std::string&) { Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); });
        Server s([&](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 302 Found\r\nLocation: " + target.url + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
        CPPUNIT_ASSERT_EQUAL(302, curl_.get(s.url).status);
        CPPUNIT_ASSERT_EQUAL(302, curl_.post(s.url, "{}").status);
        CPPUNIT_ASSERT_EQUAL(0, target.connections.load());
    }

    void nobody_there() {
        std::string url;
        { Server s([](int, const std::string&) {}); url = s.url; }
        fails(timed([&] { return curl_.get(url); }));
    }

    void other_schemes() {
        fails(curl_.get("file:///etc/passwd"));
        fails(curl_.get("ftp://127.0.0.1/"));
        fails(curl_.get("not a url"));
    }

    void retry_after() {
        Server s([](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 503 Busy\r\nRetry-After: 17\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        });
        const auto a = curl_.get(s.url);
        CPPUNIT_ASSERT_EQUAL(503, a.status);
        CPPUNIT_ASSERT_EQUAL(17L, a.retry_after_s);
    }

    void files_are_sent_whole() {
        const TempDir dir;
        const auto path = dir.path + "/body";
        std::string body;
        for (int i = 0; i < 20000; ++i) body += "line " + std::to_string(i) + "\n";
        std::ofstream(path) << body;
        std::string seen;
        Server s([&](int fd, const std::string& r) {
            seen = r;
            Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        });
        const auto a = curl_.post_file(s.url + "/redemptions", path, {"Content-Type: application/x-ndjson", "NetPay-Batch: t"});
        CPPUNIT_ASSERT_EQUAL(200, a.status);
        CPPUNIT_ASSERT(seen.ends_with("\r\n\r\n" + body));
        CPPUNIT_ASSERT(seen.find("Content-Length: " + std::to_string(body.size()) + "\r\n") != std::string::npos);
        CPPUNIT_ASSERT(seen.find("NetPay-Batch: t\r\n") != std::string::npos);
        CPPUNIT_ASSERT(seen.find("Transfer-Encoding") == std::string::npos);
        fails(curl_.post_file(s.url, dir.path + "/none", {}));
    }

    void forms_carry_the_callers_fields() {
        std::string seen;
        Server s([&](int fd, const std::string& r) {
            seen = r;
            Server::say(fd, "HTTP/1.1 402 No\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        });
        const auto a = curl_.post_form(s.url + "/v1", "a=1&b=%20", {"Authorization: Bearer k", "Idempotency-Key: r"});
        CPPUNIT_ASSERT_EQUAL(402, a.status);
        CPPUNIT_ASSERT_EQUAL(std::string("{}"), a.body);
        CPPUNIT_ASSERT(seen.starts_with("POST /v1 HTTP/1.1\r\n") && seen.ends_with("\r\n\r\na=1&b=%20"));
        for (const auto* field : {"Authorization: Bearer k\r\n", "Idempotency-Key: r\r\n",
                                  "Content-Type: application/x-www-form-urlencoded\r\n", "Content-Length: 9\r\n"})
            CPPUNIT_ASSERT_MESSAGE(field, seen.find(field) != std::string::npos);
    }

    void the_date() {
        std::string fields;
        Server s([&](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 200 OK\r\n" + fields + "Content-Length: 2\r\nConnection: close\r\n\r\n{}");
        });
        CPPUNIT_ASSERT_EQUAL(UnixTime{0}, curl_.get(s.url).date);
        fields = "Date: Sun, 22 Nov 2026 12:00:00 GMT\r\n";
        CPPUNIT_ASSERT_EQUAL(UnixTime{1795348800}, curl_.get(s.url).date);
        CPPUNIT_ASSERT_EQUAL(UnixTime{1795348800}, curl_.post(s.url, "{}").date);
        fields += "Age: 17\r\n";  // out of a cache
        CPPUNIT_ASSERT_EQUAL(UnixTime{0}, curl_.get(s.url).date);
        fields = "Date: yesterday at noon\r\n";
        CPPUNIT_ASSERT_EQUAL(UnixTime{0}, curl_.get(s.url).date);
    }

    // Literal addresses, in the forms that C libraries read, and names that stand for them.
    void addresses_of_this_network() {
        Server s([](int fd, const std::string&) { Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"); });
        const auto port = s.url.substr(s.url.rfind(':'));
        auto open = reaching(Reach::public_only), loopback = reaching(Reach::public_or_loopback);
        for (const char* host : {"10.0.0.1", "10.255.255.255", "172.16.0.1", "172.31.255.255", "192.168.1.1", "169.254.169.254",
                                 "100.64.0.1", "100.127.255.255", "0.0.0.0", "0.1.2.3", "192.0.0.8", "192.0.2.1", "198.18.0.1",
                                 "198.19.255.255", "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.1.1.1", "240.0.0.1",
                                 "255.255.255.255", "[::]", "[fe80::1]", "[fc00::1]", "[fd12:3456::1]", "[ff02::1]", "[fec0::1]",
                                 "[2001:db8::1]", "[2001:0:1::1]", "[2002:7f00:1::]", "[64:ff9b::7f00:1]", "[::ffff:10.0.0.1]",
                                 "[::ffff:192.168.1.1]", "[::10.0.0.1]", "167772161", "0xa000001", "012.0.0.1", "10.1"}) {
            for (auto* t : {&open, &loopback}) {
                const auto a = timed([&] { return t->post("http://" + std::string(host) + port + "/x", "{}"); });
                CPPUNIT_ASSERT_EQUAL_MESSAGE(host, 0, a.status);
                CPPUNIT_ASSERT_MESSAGE(host, a.error.find("ime") == std::string::npos);  // refused at once, no time-out
            }
        }
        for (const char* host : {"127.0.0.1", "127.1.2.3", "localhost", "[::1]", "[::ffff:127.0.0.1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"})
            CPPUNIT_ASSERT_EQUAL_MESSAGE(host, 0, timed([&] { return open.get("http://" + std::string(host) + port + "/x"); }).status);
        CPPUNIT_ASSERT_EQUAL(0, s.connections.load());
    }

    void loopback_where_it_is_allowed() {
        Server s([](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}");
        });
        auto loopback = reaching(Reach::public_or_loopback), anywhere = reaching(Reach::anywhere);
        CPPUNIT_ASSERT_EQUAL(200, loopback.get(s.url).status);
        CPPUNIT_ASSERT_EQUAL(200, anywhere.get(s.url).status);
        // An operator's proxy must not be the way round the rule.
        setenv("http_proxy", s.url.c_str(), 1);
        auto open = reaching(Reach::public_only);
        const auto a = timed([&] { return open.get("http://10.0.0.1/x"); });
        unsetenv("http_proxy");
        fails(a);
        CPPUNIT_ASSERT_EQUAL(2, s.connections.load());
    }

    void a_redirect_into_this_network() {
        Server target([](int fd, const std::string&) { Server::say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); });
        std::string status = "302 Found";
        Server s([&](int fd, const std::string&) {
            Server::say(fd, "HTTP/1.1 " + status + "\r\nLocation: " + target.url + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        });
        auto t = reaching(Reach::public_or_loopback);
        for (const char* each : {"301 Moved", "302 Found", "307 Temporary", "308 Permanent"}) {
            status = each;
            CPPUNIT_ASSERT_EQUAL(std::stoi(status), t.post(s.url, "{}").status);
        }
        CPPUNIT_ASSERT_EQUAL(0, target.connections.load());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(CurlTransportTest);

}  // namespace
}  // namespace netpay::custody_test
