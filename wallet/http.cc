#include "wallet/http.h"

#include <algorithm>
#include <cctype>

#include <curl/curl.h>

#include "core/origin.h"
#include "wallet/text.h"

namespace netpay::wallet {
namespace {

// Header lines of one answer, all together: more is an attack or a mistake.
constexpr std::size_t most_header_bytes = 256 * 1024;
// A connection that moves less than a byte a second for this long is dead,
// also where the owner set no time limit.
constexpr long silence_s = 120;

struct EasyFree { void operator()(CURL* c) const { curl_easy_cleanup(c); } };
struct ListFree { void operator()(curl_slist* l) const { curl_slist_free_all(l); } };
struct UrlFree { void operator()(CURLU* u) const { curl_url_cleanup(u); } };
using Easy = std::unique_ptr<CURL, EasyFree>;
using List = std::unique_ptr<curl_slist, ListFree>;
using Url = std::unique_ptr<CURLU, UrlFree>;

std::string lower(std::string_view s) {
    std::string out(s);
    std::transform(out.begin(), out.end(), out.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    return out;
}

std::string_view trim(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t' || s.back() == '\r' || s.back() == '\n')) s.remove_suffix(1);
    return s;
}

// One exchange, as curl's callbacks see it.
struct Exchange {
    AnswerSink& sink;
    CURL* easy;
    HttpHead head;
    std::size_t header_bytes = 0;
    bool head_given = false;
    bool stopped = false;

    bool give_head() {
        if (head_given) return true;
        head_given = true;
        if (!sink.head(head)) stopped = true;
        return !stopped;
    }
    bool header_line(std::string_view line) {
        header_bytes += line.size();
        if (header_bytes > most_header_bytes) return false;
        if (line.substr(0, 5) == "HTTP/") {  // also after an interim answer or a proxy's own
            head = {};
            return true;
        }
        const auto colon = line.find(':');
        if (colon == std::string_view::npos) return true;
        head.headers.emplace_back(lower(line.substr(0, colon)), std::string(trim(line.substr(colon + 1))));
        return true;
    }
};

std::size_t on_header(char* p, std::size_t size, std::size_t n, void* user) {
    auto& x = *static_cast<Exchange*>(user);
    if (!x.header_line({p, size * n})) return 0;
    long status = 0;
    curl_easy_getinfo(x.easy, CURLINFO_RESPONSE_CODE, &status);
    x.head.status = static_cast<int>(status);
    return size * n;
}

std::size_t on_data(char* p, std::size_t size, std::size_t n, void* user) {
    auto& x = *static_cast<Exchange*>(user);
    if (!x.give_head()) return 0;
    if (!x.sink.data({p, size * n})) {
        x.stopped = true;
        return 0;
    }
    return size * n;
}

class CurlTransport : public Transport {
public:
    explicit CurlTransport(const TransportOptions& o) : options_(o), easy_(curl_easy_init()) {}

    HttpOutcome send(const HttpRequest& r, AnswerSink& sink) override {
        HttpOutcome out;
        if (!easy_) {
            out.maybe_sent = false;
            out.trouble = "libcurl could not be started";
            return out;
        }
        CURL* c = easy_.get();
        curl_easy_reset(c);  // keeps connections
        Exchange x{sink, c, {}, 0, false, false};
        char message[CURL_ERROR_SIZE] = "";
        const List headers = header_list(r);
        set_up(c, r, headers.get(), message);
        curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
        curl_easy_setopt(c, CURLOPT_HEADERDATA, &x);
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_data);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &x);
        const CURLcode code = curl_easy_perform(c);
        return outcome(code, x, message);
    }

private:
    static List header_list(const HttpRequest& r) {
        List list;
        const auto add = [&](const std::string& line) {
            if (auto* longer = curl_slist_append(list.get(), line.c_str())) {
                (void)list.release();
                list.reset(longer);
            }
        };
        for (const auto& [name, value] : r.headers) add(value.empty() ? name + ";" : name + ": " + value);
        add("Expect:");
        return list;
    }

    void set_up(CURL* c, const HttpRequest& r, curl_slist* headers, char* message) const {
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, message);
        curl_easy_setopt(c, CURLOPT_URL, r.url.c_str());
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(c, CURLOPT_SUPPRESS_CONNECT_HEADERS, 1L);
        curl_easy_setopt(c, CURLOPT_USERAGENT, options_.user_agent.c_str());
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(options_.connect_timeout_ms));
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
        curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, silence_s);
        if (r.time_left_ms > 0) curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, static_cast<long>(r.time_left_ms));
        curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
        set_method(c, r);
        set_trust(c, r.url);
    }

    static void set_method(CURL* c, const HttpRequest& r) {
        if (r.body) {
            curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(r.body->size()));
            curl_easy_setopt(c, CURLOPT_POSTFIELDS, r.body->data());
        }
        if (r.method == "HEAD") curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
        curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, r.method.c_str());
    }

    void set_trust(CURL* c, const std::string& url) const {
        const bool loopback = is_loopback(url);
        if (loopback && url.substr(0, 5) == "http:") curl_easy_setopt(c, CURLOPT_PROXY, "");
        else if (!options_.proxy.empty()) curl_easy_setopt(c, CURLOPT_PROXY, options_.proxy.c_str());
        if (!options_.ca_file.empty()) curl_easy_setopt(c, CURLOPT_CAINFO, options_.ca_file.c_str());
        const bool verify = !(options_.insecure && loopback);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
        curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
        curl_easy_setopt(c, CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    }

    HttpOutcome outcome(CURLcode code, Exchange& x, const char* message) const {
        HttpOutcome out;
        if (code == CURLE_OK && x.head.status >= 200 && x.give_head()) {
            out.complete = true;
            return out;
        }
        long request_bytes = 0;
        curl_easy_getinfo(x.easy, CURLINFO_REQUEST_SIZE, &request_bytes);
        out.maybe_sent = request_bytes > 0;
        out.stopped = x.stopped;
        out.timed_out = code == CURLE_OPERATION_TIMEDOUT;
        out.trouble = printable(*message ? message : curl_easy_strerror(code));
        return out;
    }

    TransportOptions options_;
    Easy easy_;
};

class WholeBody : public AnswerSink {
public:
    explicit WholeBody(std::size_t most) : most_(most) {}
    bool head(const HttpHead& h) override {
        answer.head = h;
        return true;
    }
    bool data(std::string_view bytes) override {
        if (answer.body.size() + bytes.size() > most_) return false;
        answer.body += bytes;
        return true;
    }
    HttpAnswer answer;

private:
    std::size_t most_;
};

std::optional<std::string> part(CURLU* u, CURLUPart what, unsigned flags = 0) {
    char* text = nullptr;
    if (curl_url_get(u, what, &text, flags) != CURLUE_OK) return std::nullopt;
    std::string out = text;
    curl_free(text);
    return out;
}

std::optional<std::string> finish(CURLU* u) {
    curl_url_set(u, CURLUPART_FRAGMENT, nullptr, 0);
    const auto scheme = part(u, CURLUPART_SCHEME);
    if (!scheme || (*scheme != "http" && *scheme != "https")) return std::nullopt;
    if (part(u, CURLUPART_USER) || part(u, CURLUPART_PASSWORD)) return std::nullopt;
    auto url = part(u, CURLUPART_URL);
    if (!url || origin_of(*url).empty()) return std::nullopt;
    return origin_of(*url) + url->substr(std::min(url->size(), url->find_first_of("/?", scheme->size() + 3)));
}

}  // namespace

std::optional<std::string_view> HttpHead::header(std::string_view name) const {
    for (const auto& [key, value] : headers)
        if (key == name) return value;
    return std::nullopt;
}

std::unique_ptr<Transport> curl_transport(const TransportOptions& o) { return std::make_unique<CurlTransport>(o); }

Result<HttpAnswer> fetch_whole(Transport& t, const HttpRequest& r, std::size_t most) {
    WholeBody sink(most);
    const auto o = t.send(r, sink);
    if (o.complete) return std::move(sink.answer);
    if (o.stopped) return {Code::limit, "the answer is longer than " + std::to_string(most) + " bytes"};
    return {Code::malformed, o.trouble};
}

std::optional<std::string> normal_url(std::string_view url) {
    const Url u(curl_url());
    for (const char c : url)
        if (static_cast<unsigned char>(c) <= 0x20 || c == 0x7f) return std::nullopt;
    if (!u || curl_url_set(u.get(), CURLUPART_URL, std::string(url).c_str(), 0) != CURLUE_OK) return std::nullopt;
    return finish(u.get());
}

std::optional<std::string> resolve_url(const std::string& base, std::string_view reference) {
    const Url u(curl_url());
    if (!u || curl_url_set(u.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK) return std::nullopt;
    if (curl_url_set(u.get(), CURLUPART_URL, std::string(reference).c_str(), CURLU_URLENCODE) != CURLUE_OK)
        return std::nullopt;
    return finish(u.get());
}

std::string path_of(std::string_view url) {
    const auto scheme = url.find("://");
    const auto slash = url.find('/', scheme == std::string_view::npos ? 0 : scheme + 3);
    if (slash == std::string_view::npos) return "/";
    return std::string(url.substr(slash, url.find_first_of("?#") == std::string_view::npos
                                             ? std::string_view::npos
                                             : url.find_first_of("?#") - slash));
}

}  // namespace netpay::wallet
