// The broker daemon's HTTP side below its sockets, options and key store.
#include <cppunit/TestAssert.h>
#include <cppunit/extensions/HelperMacros.h>

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "broker/http/front.h"
#include "broker/http/workers.h"
#include "broker/options.h"

namespace netpay::broker {
namespace {

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

class Directory {
public:
    Directory() {
        char name[] = "/tmp/netpay-unit.XXXXXX";
        CPPUNIT_ASSERT(::mkdtemp(name));
        path_ = name;
    }
    ~Directory() { std::filesystem::remove_all(path_); }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

class StoppedClock final : public Clock {
public:
    UnixTime now() const override { return at; }
    UnixTime at = 1795348800;
};

class TargetTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(TargetTest);
    CPPUNIT_TEST(decodes);
    CPPUNIT_TEST(refuses_bad_escapes);
    CPPUNIT_TEST(splits_before_decoding);
    CPPUNIT_TEST(reads_queries);
    CPPUNIT_TEST(refuses_bad_targets);
    CPPUNIT_TEST_SUITE_END();

    void decodes() {
        CPPUNIT_ASSERT(percent_decode("a%20b%C3%bc+") == "a b\xC3\xBC+");
        CPPUNIT_ASSERT(percent_decode("") == "");
    }
    void refuses_bad_escapes() {
        for (const char* bad : {"%", "%4", "%zz", "%00", "%0a", "%7f", "%ff", "%C3", "%C0%80", "%ED%A0%80",
                                "%F4%90%80%80", "a b", "\xC3\xBC", "\x01"})
            CPPUNIT_ASSERT_MESSAGE(bad, !percent_decode(bad));
    }
    void splits_before_decoding() {
        const auto t = parse_target("/a%2Fb/c");
        CPPUNIT_ASSERT(t && t->segments.size() == 2);
        CPPUNIT_ASSERT_EQUAL(std::string("a/b"), t->segments[0]);
        CPPUNIT_ASSERT_EQUAL(std::string("/"), parse_target("/")->path());
        CPPUNIT_ASSERT_EQUAL(std::string("/x"), parse_target("http://h:81/x?y")->path());
    }
    void reads_queries() {
        const auto t = parse_target("/x?a=1&b=%26&c&&");
        CPPUNIT_ASSERT(t && t->query.size() == 3);
        CPPUNIT_ASSERT_EQUAL(std::string("&"), t->query.at("b"));
        CPPUNIT_ASSERT_EQUAL(std::string(), t->query.at("c"));
    }
    void refuses_bad_targets() {
        std::string many = "/x?";
        for (int i = 0; i < 40; ++i) many += "n" + std::to_string(i) + "=1&";
        for (const std::string& bad : {std::string("x"), std::string(""), std::string("*"), std::string("/a//b"),
                                       std::string("/a/../b"), std::string("/%2e%2E"), std::string("/a/"),
                                       std::string("/x?a=1&a=2"), std::string("/x#f"), std::string("http://h"),
                                       std::string("ftp://h/x"), std::string("//h/x"), many})
            CPPUNIT_ASSERT_MESSAGE(bad, !parse_target(bad));
    }
};

class RouterTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(RouterTest);
    CPPUNIT_TEST(finds);
    CPPUNIT_TEST(prefers_literals);
    CPPUNIT_TEST(names_methods);
    CPPUNIT_TEST(overrides_rates);
    CPPUNIT_TEST_SUITE_END();

    static Handler nothing() {
        return [](Request&) { return Response{}; };
    }
    static Router::Match match(const Router& r, std::string_view method, std::string_view target) {
        return r.match(method, *parse_target(target));
    }

    void finds() {
        Router r;
        r.add("POST", "/coins/{coin}/return", nothing());
        const auto m = match(r, "POST", "/coins/abc/return");
        CPPUNIT_ASSERT(m.route);
        CPPUNIT_ASSERT_EQUAL(std::string("abc"), m.params.at("coin"));
        CPPUNIT_ASSERT(match(r, "POST", "/coins/abc").allow.empty());
        CPPUNIT_ASSERT(match(r, "POST", "/coins/abc/return/x").allow.empty());
        CPPUNIT_ASSERT(match(r, "POST", "/").pattern == "other");
    }
    void prefers_literals() {
        Router r;
        r.add("GET", "/a/{id}", nothing());
        r.add("GET", "/a/me", nothing());
        CPPUNIT_ASSERT_EQUAL(std::string("/a/me"), match(r, "GET", "/a/me").route->pattern);
        CPPUNIT_ASSERT_EQUAL(std::string("/a/{id}"), match(r, "GET", "/a/you").route->pattern);
    }
    void names_methods() {
        Router r;
        r.add("GET", "/a", nothing());
        r.add("POST", "/a", nothing());
        CPPUNIT_ASSERT(match(r, "HEAD", "/a").route);
        const auto m = match(r, "DELETE", "/a");
        CPPUNIT_ASSERT(!m.route);
        CPPUNIT_ASSERT_EQUAL(std::string("GET, HEAD, OPTIONS, POST"), m.allow);
    }
    void overrides_rates() {
        Router r;
        r.add("GET", "/a", nothing());
        CPPUNIT_ASSERT(r.set_rate("GET /a", 2, 7));
        CPPUNIT_ASSERT_EQUAL(7.0, r.routes()[0].limits.burst);
        CPPUNIT_ASSERT(!r.set_rate("POST /a", 2, 7));
        r.scale_rates(2);
        CPPUNIT_ASSERT_EQUAL(14.0, r.routes()[0].limits.burst);
    }
};

class WorkersTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(WorkersTest);
    CPPUNIT_TEST(bounded_and_finished);
    CPPUNIT_TEST_SUITE_END();

    void bounded_and_finished() {
        std::atomic<int> ran = 0;
        std::mutex gate;
        {
            std::unique_lock closed(gate);
            Workers w(1, 2);
            const auto job = [&] {
                const std::lock_guard wait(gate);
                ++ran;
            };
            int taken = 0;
            for (int i = 0; i < 10; ++i) taken += w.offer(job);
            CPPUNIT_ASSERT(taken == 2 || taken == 3);  // one may run already
            w.push(job);
            closed.unlock();
            while (ran < taken + 1) std::this_thread::yield();
            for (int i = 0; i < 5; ++i) w.push(job);
        }
        CPPUNIT_ASSERT(ran >= 8);
    }
};

class OptionsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(OptionsTest);
    CPPUNIT_TEST(reads);
    CPPUNIT_TEST(annotated_file);
    CPPUNIT_TEST(errors_name_line_and_remedy);
    CPPUNIT_TEST(cross_checks);
    CPPUNIT_TEST(endpoints);
    CPPUNIT_TEST(command_line);
    CPPUNIT_TEST_SUITE_END();

    static constexpr const char* base =
        "issuer=http://127.0.0.1:9000\nlisten=127.0.0.1:9000\nstore=/x/db\nkeys=/x/keys\n";

    static std::string error_of(const std::string& text) {
        const auto o = parse_config(text, "f.conf");
        CPPUNIT_ASSERT_MESSAGE(text, !o);
        return o.error().detail;
    }
    static void expect(const std::string& extra, const std::string& part) {
        const auto e = error_of(base + extra);
        CPPUNIT_ASSERT_MESSAGE(extra + " → " + e, contains(e, part));
    }

    void reads() {
        const auto o = parse_config(std::string(base) +
                                        "currency=uusd\ncurrency = ueur  # both\ndenomination=1000:5\ncoin-days=7\n"
                                        "allow-http-vendors=yes\nlisten=unix:/run/s\nrate=POST /a/{b}:0.5:3\n",
                                    "f.conf");
        CPPUNIT_ASSERT_MESSAGE(o ? "" : o.error().detail, o.ok());
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, o->currencies.size());
        CPPUNIT_ASSERT_EQUAL(std::size_t{1}, o->denominations.size());
        CPPUNIT_ASSERT_EQUAL(5u, o->denominations[0].n);
        CPPUNIT_ASSERT_EQUAL(std::int64_t{7}, o->coin_days);
        CPPUNIT_ASSERT(o->allow_http_vendors && o->listen[1].is_unix() && o->threads >= 4);
        CPPUNIT_ASSERT_EQUAL(std::string("POST /a/{b}"), o->rate_overrides[0].route);
        CPPUNIT_ASSERT_EQUAL(std::string("http://127.0.0.1:9000/api/v1"), o->api());
    }
    // conf/broker.conf is good as it stands, names every key there is, and
    // its commented defaults can be read.
    void annotated_file() {
        std::ifstream in(std::string(VECTORS) + "/../../conf/broker.conf");
        CPPUNIT_ASSERT(in.good());
        std::string text, line, all;
        while (std::getline(in, line)) {
            text += line + "\n";
            const auto eq = line.find('=');
            if (line.starts_with('#') && eq != std::string::npos && line.find(' ') > eq) line.erase(0, 1);
            all += line + "\n";
        }
        const auto plain = parse_config(text, "broker.conf");
        CPPUNIT_ASSERT_MESSAGE(plain ? "" : plain.error().detail, plain.ok());
        const auto full = parse_config(all, "broker.conf");
        CPPUNIT_ASSERT_MESSAGE(full ? "" : full.error().detail, full.ok());
        const auto help = help_text();
        const auto keys = help.substr(help.find("Configuration keys"));
        int named = 0;
        for (auto at = keys.find("\n  "); at != std::string::npos; at = keys.find("\n  ", at + 1), ++named) {
            const auto name = keys.substr(at + 3, keys.find('=', at) - at - 2);  // with its "="
            CPPUNIT_ASSERT_MESSAGE(name + " is not in broker.conf", contains(all, "\n" + name));
        }
        CPPUNIT_ASSERT(named > 20);
    }
    void errors_name_line_and_remedy() {
        expect("lisen=127.0.0.1:1\n", "f.conf:5: unknown key \"lisen\"; did you mean \"listen\"?");
        expect("[section]\n", "f.conf:5: sections are not used");
        expect("threads\n", "f.conf:5: expected KEY=VALUE");
        expect("threads=\n", "threads has no value");
        expect("threads=many\n", "threads is a whole number of threads from 1 to 256, not \"many\"");
        expect("threads=0\n", "from 1 to 256");
        expect("coin-days=99999\n", "f.conf:5: coin-days");
        expect("currency=usd\n", "uusd, not \"usd\"");
        for (const char* bad : {"1000", "0:5", "1000:0", "1000:1048577", "x:y", "9007199254740991:2", ":", "1000:"})
            expect(std::string("denomination=") + bad + "\n", "denomination is UNIT:N");
        expect("allow-http-vendors=true\n", "yes or no");
        expect("trusted-proxy=host\n", "trusted-proxy is an IP address");
        expect("rate=POST /x:1\n", "rate is");
        expect("rate-scale=-1\n", "rate-scale");
        expect("store=/y\n", "f.conf:5: store was already given at f.conf:3");
        CPPUNIT_ASSERT(contains(error_of(""), "f.conf: issuer is missing"));
        CPPUNIT_ASSERT(contains(error_of("issuer=https://b.example\n"), "listen is missing"));
        CPPUNIT_ASSERT(contains(error_of("issuer=https://B.example/\nlisten=127.0.0.1:1\nstore=a\nkeys=b\n"),
                                "write issuer=https://b.example"));
    }
    void cross_checks() {
        expect("listen=0.0.0.0:80\n", "f.conf:5: listen on 0.0.0.0:80 needs tls-certificate");
        expect("tls-key=/k\n", "tls-key without tls-certificate");
        expect("tls-key=/k\ntls-certificate=/c\n", "f.conf:1: issuer is http:// but tls-certificate is set");
        expect("metrics-listen=10.0.0.1:80\n", "metrics-listen is plain HTTP");
        CPPUNIT_ASSERT(contains(error_of("issuer=http://b.example\nlisten=127.0.0.1:1\nstore=a\nkeys=b\n"),
                                "not loopback"));
        CPPUNIT_ASSERT(parse_config("issuer=https://b.example\nlisten=0.0.0.0:443\nstore=a\nkeys=b\n"
                                    "tls-certificate=c\ntls-key=k\n", "f").ok());
    }
    void endpoints() {
        CPPUNIT_ASSERT_EQUAL(std::string("[::1]:80"), parse_endpoint("[::1]:80")->str());
        CPPUNIT_ASSERT(parse_endpoint("[::1]:80")->is_loopback());
        CPPUNIT_ASSERT(!parse_endpoint("0.0.0.0:80")->is_loopback());
        CPPUNIT_ASSERT(!parse_endpoint("[::]:80")->is_loopback());
        CPPUNIT_ASSERT_EQUAL(std::string("127.0.0.1:1"), parse_endpoint("localhost:1")->str());
        for (const char* bad : {"", "80", "::1:80", "1.2.3.4", "1.2.3.4:99999", "1.2.3.4:x", "host:80", "unix:s", "unix:"})
            CPPUNIT_ASSERT_MESSAGE(bad, !parse_endpoint(bad));
    }

    static Result<Invocation> invoke(std::vector<const char*> args) {
        args.insert(args.begin(), "netpay-brokerd");
        return parse_invocation(static_cast<int>(args.size()), args.data());
    }
    void command_line() {
        const Directory d;
        const std::string file = d.path() + "/f.conf";
        std::ofstream(file) << base;
        const auto mint = invoke({"--config", file.c_str(), "voucher", "mint", "--amount", "5", "-o", "log=/l"});
        CPPUNIT_ASSERT_MESSAGE(mint ? "" : mint.error().detail, mint.ok());
        CPPUNIT_ASSERT_EQUAL(std::string("5"), mint->flags.at("amount"));
        CPPUNIT_ASSERT_EQUAL(std::string("/l"), mint->options.log);
        CPPUNIT_ASSERT(invoke({"--config", file.c_str()})->command == std::vector<std::string>{"serve"});
        CPPUNIT_ASSERT(invoke({"--help"})->kind == Invocation::Kind::help);
        CPPUNIT_ASSERT(invoke({"--version"})->kind == Invocation::Kind::version);
        for (const auto& bad : std::vector<std::vector<const char*>>{{"fly"},
                                                                     {"voucher"},
                                                                     {"vendor", "approve"},
                                                                     {"check", "more"},
                                                                     {"check", "--amount", "5"},
                                                                     {"--nope"},
                                                                     {"--conf", "x"},
                                                                     {"--config", "/nowhere/at/all"}})
            CPPUNIT_ASSERT(!invoke(bad));
    }
};

class KeyStoreTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(KeyStoreTest);
    CPPUNIT_TEST(rotates);
    CPPUNIT_TEST(seen_by_another);
    CPPUNIT_TEST(refuses_open_doors);
    CPPUNIT_TEST(refuses_damage);
    CPPUNIT_TEST_SUITE_END();

    static constexpr UnixTime t0 = 1795348800;
    static constexpr std::int64_t life = 1000;

    void rotates() {
        const Directory d;
        const auto keys = std::move(*KeyStore::init(d.path() + "/k", t0));
        const std::string first = keys->current()->kid();
        CPPUNIT_ASSERT_EQUAL(first, (*KeyStore::init(d.path() + "/k", t0))->current()->kid());
        const std::string second = *keys->add(t0);
        CPPUNIT_ASSERT(keys->listed()->find(second));
        CPPUNIT_ASSERT_EQUAL(first, keys->current()->kid());
        CPPUNIT_ASSERT(!keys->activate(second, t0 + 10, life, false));
        CPPUNIT_ASSERT(!keys->activate(first, t0 + 4000, life, false));
        CPPUNIT_ASSERT(!keys->activate("nobody", t0 + 4000, life, false));
        CPPUNIT_ASSERT(keys->activate(second, t0 + 4000, life, false).ok());
        CPPUNIT_ASSERT_EQUAL(second, keys->current()->kid());
        CPPUNIT_ASSERT(keys->listed()->find(first));
        CPPUNIT_ASSERT(!keys->retire(second, t0 + 4000, true));
        CPPUNIT_ASSERT(!keys->retire(first, t0 + 4000, false));
        CPPUNIT_ASSERT(keys->reload(t0 + 4000 + life + 1).ok());
        CPPUNIT_ASSERT(!keys->listed()->find(first));
        CPPUNIT_ASSERT(keys->retire(first, t0 + 4001, true).ok());
        CPPUNIT_ASSERT(!keys->listed()->find(first));
        const std::string third = *keys->add(t0);
        CPPUNIT_ASSERT(keys->retire(third, t0, false).ok());
        CPPUNIT_ASSERT(!keys->listed()->find(third));
    }
    void seen_by_another() {
        const Directory d;
        const auto daemon = std::move(*KeyStore::init(d.path() + "/k", t0));
        const auto held = daemon->current();
        const auto command = std::move(*KeyStore::open(d.path() + "/k", t0));
        const auto kid = *command->add(t0);
        CPPUNIT_ASSERT(command->activate(kid, t0, life, true).ok());
        CPPUNIT_ASSERT(*daemon->reload(t0));
        CPPUNIT_ASSERT(!*daemon->reload(t0));
        CPPUNIT_ASSERT_EQUAL(kid, daemon->current()->kid());
        CPPUNIT_ASSERT(held->public_key().verify("x", held->sign("x")));  // still good
    }
    void refuses_open_doors() {
        const Directory d;
        const std::string dir = d.path() + "/k";
        CPPUNIT_ASSERT(!KeyStore::open(dir, t0));
        const auto kid = (*KeyStore::init(dir, t0))->current()->kid();
        for (const auto& [path, mode, better] : {std::tuple{dir, 0750u, 0700u},
                                                 std::tuple{dir + "/" + kid + ".pem", 0640u, 0600u},
                                                 std::tuple{dir + "/keys.json", 0644u, 0600u}}) {
            ::chmod(path.c_str(), mode);
            const auto r = KeyStore::open(dir, t0);
            CPPUNIT_ASSERT(!r && contains(r.error().detail, "chmod"));
            ::chmod(path.c_str(), better);
        }
        CPPUNIT_ASSERT(KeyStore::open(dir, t0).ok());
    }
    void refuses_damage() {
        const Directory d;
        const std::string dir = d.path() + "/k";
        const auto keys = std::move(*KeyStore::init(dir, t0));
        const auto kid = keys->current()->kid();
        for (const char* bad : {"", "{", "{\"keys\":[]}", "{\"keys\":[{\"kid\":\"x\",\"state\":\"active\"}]}"}) {
            std::ofstream(dir + "/keys.json", std::ios::trunc) << bad;
            const auto r = keys->reload(t0);
            CPPUNIT_ASSERT(!r && contains(r.error().detail, "keys.json"));
            CPPUNIT_ASSERT_EQUAL(kid, keys->current()->kid());  // what is in memory stays
        }
    }
};

class FrontTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(FrontTest);
    CPPUNIT_TEST(forwarded_addresses);
    CPPUNIT_TEST(refusals);
    CPPUNIT_TEST(guards_handlers);
    CPPUNIT_TEST(bearer_tokens);
    CPPUNIT_TEST(no_field_injection);
    CPPUNIT_TEST_SUITE_END();

    struct World {
        World() : log(std::move(*Log::open(dir.path() + "/log", clock))), keys(std::move(*KeyStore::init(dir.path() + "/k", 0))) {
            router.add("POST", "/json", [](Request&) { return Response{}; }, {100, 1000, 1000});
            router.add("GET", "/slow-lane", [](Request&) { return Response{}; }, {0, 1, 1});
            router.add("GET", "/boom", [](Request&) -> Response { throw std::runtime_error("the password is xyzzy"); });
        }
        int status(Head h) {
            const auto p = front.plan(std::move(h), 1);
            return p.early ? p.early->status : 0;
        }
        Directory dir;
        StoppedClock clock;
        SystemRandom random;
        Options options;
        Metrics metrics;
        std::unique_ptr<Log> log;
        std::unique_ptr<KeyStore> keys;
        Context context{options, *keys, *log, metrics, clock, random};
        Router router;
        Front front{context, router};
    };
    static Head head(const char* method, const char* target) {
        Head h;
        h.method = method;
        h.target = target;
        h.hosts = 1;
        h.peer = "10.0.0.9";
        return h;
    }

    void forwarded_addresses() {
        Head h = head("GET", "/");
        h.headers["x-forwarded-for"] = "6.6.6.6, 1.2.3.4";
        CPPUNIT_ASSERT_EQUAL(std::string("10.0.0.9"), asker(h, {}));  // not trusted: a client may write anything
        h.peer_trusted = true;
        CPPUNIT_ASSERT_EQUAL(std::string("1.2.3.4"), asker(h, {}));
        CPPUNIT_ASSERT_EQUAL(std::string("6.6.6.6"), asker(h, {"1.2.3.4"}));
        h.headers["x-forwarded-for"] = "1.2.3.4, nonsense";
        CPPUNIT_ASSERT_EQUAL(std::string("10.0.0.9"), asker(h, {}));
    }
    void refusals() {
        World w;
        CPPUNIT_ASSERT_EQUAL(404, w.status(head("GET", "/nowhere")));
        CPPUNIT_ASSERT_EQUAL(405, w.status(head("DELETE", "/json")));
        CPPUNIT_ASSERT_EQUAL(204, w.status(head("OPTIONS", "/json")));
        CPPUNIT_ASSERT_EQUAL(400, w.status(head("GET", "/%zz")));
        CPPUNIT_ASSERT_EQUAL(0, w.status(head("POST", "/json")));  // without a body
        Head h = head("GET", "/json");
        h.hosts = 2;
        CPPUNIT_ASSERT_EQUAL(400, w.status(h));
        h = head("POST", "/json");
        h.content_length = 101;
        CPPUNIT_ASSERT_EQUAL(413, w.status(h));
        h.content_length = 2;
        CPPUNIT_ASSERT_EQUAL(0, w.status(h));  // without a Content-Type
        h.headers["content-type"] = "text/plain";
        CPPUNIT_ASSERT_EQUAL(415, w.status(h));
        h.headers["content-type"] = "Application/JSON ; charset=utf-8";
        CPPUNIT_ASSERT_EQUAL(0, w.status(h));
        h.headers["content-encoding"] = "gzip";
        CPPUNIT_ASSERT_EQUAL(415, w.status(h));
        h.headers.erase("content-encoding");
        h.headers["transfer-encoding"] = "gzip, chunked";
        CPPUNIT_ASSERT_EQUAL(501, w.status(h));
        h.headers.erase("transfer-encoding");
        h.headers["expect"] = "miracles";
        CPPUNIT_ASSERT_EQUAL(417, w.status(h));
        CPPUNIT_ASSERT_EQUAL(0, w.status(head("GET", "/slow-lane")));
        CPPUNIT_ASSERT_EQUAL(429, w.status(head("GET", "/slow-lane")));
    }
    void guards_handlers() {
        World w;
        auto plan = w.front.plan(head("GET", "/boom"), 1);
        const auto r = w.front.call(*plan.route, plan.request);
        CPPUNIT_ASSERT_EQUAL(500, r.status);
        std::ifstream in(w.dir.path() + "/log");
        const std::string log((std::istreambuf_iterator<char>(in)), {});
        CPPUNIT_ASSERT(contains(log, "handler-failed"));
        CPPUNIT_ASSERT(!contains(log, "xyzzy") && !contains(r.body, "xyzzy"));
    }
    void bearer_tokens() {
        Request r;
        const auto with = [&r](const char* value) {
            r.headers["authorization"] = value;
            return r.bearer();
        };
        CPPUNIT_ASSERT(!r.bearer());
        CPPUNIT_ASSERT(with("Bearer abc") == "abc");
        CPPUNIT_ASSERT(with("bEARER  abc") == "abc");
        for (const char* bad : {"", "Bearer", "Bearer ", "Basic abc", "Bearerabc", "Bearer a b", "Bearer a, Bearer b"})
            CPPUNIT_ASSERT_MESSAGE(bad, !with(bad));
    }
    void no_field_injection() {
        Response r;
        r.headers.emplace_back("X-Name", "a\r\nSet-Cookie: b");
        const auto text = response_head(r, "id", 0, true);
        CPPUNIT_ASSERT(!contains(text, "\nSet-Cookie"));
        CPPUNIT_ASSERT(contains(text, "nosniff") && text.ends_with("\r\n\r\n"));
    }
};

CPPUNIT_TEST_SUITE_REGISTRATION(TargetTest);
CPPUNIT_TEST_SUITE_REGISTRATION(RouterTest);
CPPUNIT_TEST_SUITE_REGISTRATION(WorkersTest);
CPPUNIT_TEST_SUITE_REGISTRATION(OptionsTest);
CPPUNIT_TEST_SUITE_REGISTRATION(KeyStoreTest);
CPPUNIT_TEST_SUITE_REGISTRATION(FrontTest);

}  // namespace
}  // namespace netpay::broker
