#include "world/curl_transport.h"

#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include "config.h"
#include "core/origin.h"

namespace netpay::world {
namespace {

constexpr std::size_t idle_handles = 8;

struct EasyFree { void operator()(CURL* c) const { curl_easy_cleanup(c); } };
using Easy = std::unique_ptr<CURL, EasyFree>;
struct ListFree { void operator()(curl_slist* l) const { curl_slist_free_all(l); } };
using List = std::unique_ptr<curl_slist, ListFree>;
struct FileClose { void operator()(std::FILE* f) const { std::fclose(f); } };
using File = std::unique_ptr<std::FILE, FileClose>;

struct Sink {
    std::string* body;
    std::size_t limit;
    bool over = false;
};

// C callbacks: nothing may be thrown through libcurl.
std::size_t on_body(char* data, std::size_t, std::size_t n, void* sink) noexcept {
    auto& s = *static_cast<Sink*>(sink);
    s.over = n > s.limit - s.body->size();
    if (s.over) return 0;
    try {
        s.body->append(data, n);
    } catch (...) {
        return 0;
    }
    return n;
}

std::size_t on_read(char* out, std::size_t size, std::size_t n, void* file) noexcept {
    const auto got = std::fread(out, size, n, static_cast<std::FILE*>(file));
    return std::ferror(static_cast<std::FILE*>(file)) ? CURL_READFUNC_ABORT : got;
}

int on_seek(void* file, curl_off_t offset, int origin) noexcept {
    return std::fseek(static_cast<std::FILE*>(file), static_cast<long>(offset), origin) == 0 ? CURL_SEEKFUNC_OK
                                                                                            : CURL_SEEKFUNC_FAIL;
}

List list_of(const std::vector<std::string>& fields) {
    List l;
    for (const auto& f : fields) {
        auto* longer = curl_slist_append(l.get(), f.c_str());
        if (!longer) break;
        l.release();
        l.reset(longer);
    }
    return l;
}

void start_once() {
    static std::once_flag once;
    std::call_once(once, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// An answer out of a cache (RFC 9111 section 5.1) has the Date of another time.
UnixTime date_of(CURL* c) {
    curl_header* field = nullptr;
    if (curl_easy_header(c, "Age", 0, CURLH_HEADER, -1, &field) == CURLHE_OK) return 0;
    if (curl_easy_header(c, "Date", 0, CURLH_HEADER, -1, &field) != CURLHE_OK) return 0;
    return std::max<UnixTime>(curl_getdate(field->value, nullptr), 0);
}

// Whether an address is one that `reach` allows. What is not globally routed
// unicast by RFC 6890 and its registry is this machine's or its network's.
bool in_prefix(const std::uint8_t* address, std::initializer_list<std::uint8_t> prefix, int bits) {
    auto p = prefix.begin();
    for (; bits >= 8; bits -= 8)
        if (*address++ != *p++) return false;
    return bits == 0 || (*address >> (8 - bits)) == (*p >> (8 - bits));
}

bool is_loopback_v4(const std::uint8_t* a) { return a[0] == 127; }
bool is_public_v4(const std::uint8_t* a) {
    return !(a[0] == 0 || a[0] == 10 || a[0] == 127 || a[0] >= 224 || in_prefix(a, {100, 64}, 10) ||
             in_prefix(a, {169, 254}, 16) || in_prefix(a, {172, 16}, 12) || in_prefix(a, {192, 0, 0}, 24) ||
             in_prefix(a, {192, 0, 2}, 24) || in_prefix(a, {192, 168}, 16) || in_prefix(a, {198, 18}, 15) ||
             in_prefix(a, {198, 51, 100}, 24) || in_prefix(a, {203, 0, 113}, 24));
}
bool is_public_v6(const std::uint8_t* a) {
    return in_prefix(a, {0x20}, 3) && !in_prefix(a, {0x20, 0x01, 0x0d, 0xb8}, 32) &&
           !in_prefix(a, {0x20, 0x01, 0x00, 0x00}, 23) && !in_prefix(a, {0x20, 0x02}, 16);
}

bool allowed(const sockaddr* address, CurlTransport::Reach reach) {
    const bool loopback_too = reach == CurlTransport::Reach::public_or_loopback;
    const auto v4 = [&](const std::uint8_t* a) { return is_public_v4(a) || (loopback_too && is_loopback_v4(a)); };
    if (address->sa_family == AF_INET)
        return v4(reinterpret_cast<const std::uint8_t*>(&reinterpret_cast<const sockaddr_in*>(address)->sin_addr));
    if (address->sa_family != AF_INET6) return false;
    const auto& six = reinterpret_cast<const sockaddr_in6*>(address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(&six)) return v4(six.s6_addr + 12);
    return is_public_v6(six.s6_addr) || (loopback_too && IN6_IS_ADDR_LOOPBACK(&six));
}

curl_socket_t open_allowed(void* reach, curlsocktype, curl_sockaddr* a) noexcept {
    if (!allowed(&a->addr, *static_cast<const CurlTransport::Reach*>(reach))) return CURL_SOCKET_BAD;
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

HttpAnswer perform(CURL* c, std::size_t limit) {
    HttpAnswer a;
    Sink sink{&a.body, limit};
    char why[CURL_ERROR_SIZE] = "";
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, &sink);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, why);
    const auto rc = curl_easy_perform(c);
    curl_easy_setopt(c, CURLOPT_ERRORBUFFER, nullptr);
    if (rc != CURLE_OK) {
        a.body.clear();
        a.error = sink.over ? "the answer is larger than " + std::to_string(limit) + " bytes"
                            : *why ? why : curl_easy_strerror(rc);
        return a;
    }
    long status = 0;
    curl_off_t retry = 0;
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    if (curl_easy_getinfo(c, CURLINFO_RETRY_AFTER, &retry) == CURLE_OK) a.retry_after_s = static_cast<long>(retry);
    a.status = static_cast<int>(status);
    a.date = date_of(c);
    return a;
}

}  // namespace

struct CurlTransport::Pool {
    std::mutex mutex;
    std::vector<Easy> idle;

    Easy out() {
        {
            const std::lock_guard g(mutex);
            if (!idle.empty()) {
                Easy e = std::move(idle.back());
                idle.pop_back();
                return e;
            }
        }
        return Easy(curl_easy_init());
    }
    void back(Easy e) {
        curl_easy_reset(e.get());
        const std::lock_guard g(mutex);
        if (idle.size() < idle_handles) idle.push_back(std::move(e));
    }
};

CurlTransport::CurlTransport(Limits limits, std::string ca_file, std::map<std::string, std::string> ca_of)
    : limits_(limits), ca_file_(std::move(ca_file)), ca_of_(std::move(ca_of)), pool_(std::make_unique<Pool>()) {
    start_once();
}
CurlTransport::~CurlTransport() = default;

void CurlTransport::prepare(void* handle, const std::string& url) const {
    CURL* c = handle;
    curl_easy_setopt(c, CURLOPT_URL, url.c_str());
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(limits_.connect_timeout_ms));
    curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(limits_.call_timeout_ms));
    curl_easy_setopt(c, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    // An operator's proxy is for the world, not for this machine.
    curl_easy_setopt(c, CURLOPT_NOPROXY, "localhost,127.0.0.1,::1");
    curl_easy_setopt(c, CURLOPT_USERAGENT, "mod_netpay/" PACKAGE_VERSION);
    if (limits_.reach != Reach::anywhere) {
        // Through a proxy the address would be the proxy's to choose.
        curl_easy_setopt(c, CURLOPT_PROXY, "");
        curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, open_allowed);
        curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, const_cast<Reach*>(&limits_.reach));
    }
    const auto own = ca_of_.find(origin_of(url));
    const std::string& ca = own == ca_of_.end() ? ca_file_ : own->second;
    if (!ca.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, ca.c_str());
}

HttpAnswer CurlTransport::get(const std::string& url) {
    auto c = pool_->out();
    if (!c) return {0, {}, "out of memory", 0};
    prepare(c.get(), url);
    auto a = perform(c.get(), limits_.answer_bytes);
    pool_->back(std::move(c));
    return a;
}

HttpAnswer CurlTransport::post_text(const std::string& url, const std::string& body, std::vector<std::string> fields) {
    auto c = pool_->out();
    if (!c) return {0, {}, "out of memory", 0};
    prepare(c.get(), url);
    fields.emplace_back("Expect:");
    const auto list = list_of(fields);
    curl_easy_setopt(c.get(), CURLOPT_HTTPHEADER, list.get());
    curl_easy_setopt(c.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    curl_easy_setopt(c.get(), CURLOPT_POSTFIELDS, body.c_str());
    auto a = perform(c.get(), limits_.answer_bytes);
    pool_->back(std::move(c));
    return a;
}

HttpAnswer CurlTransport::post(const std::string& url, const std::string& json) {
    return post_text(url, json, {"Content-Type: application/json"});
}

HttpAnswer CurlTransport::post_form(const std::string& url, const std::string& body,
                                    const std::vector<std::string>& fields) {
    auto lines = fields;
    lines.emplace_back("Content-Type: application/x-www-form-urlencoded");
    return post_text(url, body, std::move(lines));
}

HttpAnswer CurlTransport::post_file(const std::string& url, const std::string& path,
                                    const std::vector<std::string>& fields) {
    const File file(std::fopen(path.c_str(), "rbe"));
    struct stat s {};
    if (!file || fstat(fileno(file.get()), &s) != 0) return {0, {}, path + ": " + std::strerror(errno), 0};
    auto c = pool_->out();
    if (!c) return {0, {}, "out of memory", 0};
    prepare(c.get(), url);
    auto lines = fields;
    lines.emplace_back("Expect:");
    const auto list = list_of(lines);
    curl_easy_setopt(c.get(), CURLOPT_POST, 1L);
    curl_easy_setopt(c.get(), CURLOPT_HTTPHEADER, list.get());
    curl_easy_setopt(c.get(), CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(s.st_size));
    curl_easy_setopt(c.get(), CURLOPT_READFUNCTION, on_read);
    curl_easy_setopt(c.get(), CURLOPT_READDATA, file.get());
    curl_easy_setopt(c.get(), CURLOPT_SEEKFUNCTION, on_seek);
    curl_easy_setopt(c.get(), CURLOPT_SEEKDATA, file.get());
    auto a = perform(c.get(), limits_.answer_bytes);
    pool_->back(std::move(c));
    return a;
}

}  // namespace netpay::world
