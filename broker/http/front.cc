#include "broker/http/front.h"

#include <arpa/inet.h>
#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <ctime>
#include <cstdlib>
#include <exception>
#include <stdexcept>
#include <typeinfo>

#include "core/html.h"

namespace netpay::broker {
namespace {

std::string_view trim(std::string_view s) {
    while (!s.empty() && (s.front() == ' ' || s.front() == '\t')) s.remove_prefix(1);
    while (!s.empty() && (s.back() == ' ' || s.back() == '\t')) s.remove_suffix(1);
    return s;
}

std::string lower(std::string_view s) {
    std::string out(s);
    for (auto& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

bool is_address(const std::string& text) {
    std::array<unsigned char, 16> a;
    return inet_pton(AF_INET, text.c_str(), a.data()) == 1 || inet_pton(AF_INET6, text.c_str(), a.data()) == 1;
}

// PROTOCOL.md asks no Content-Type of a JSON call, so a body without one is
// taken for what the call takes; another type is a mistake worth naming.
bool may_be(std::string_view media, const Head& head) {
    const auto i = head.headers.find("content-type");
    if (i == head.headers.end()) return true;
    return lower(trim(std::string_view(i->second).substr(0, i->second.find(';')))) == media;
}

Response with(Response r, std::string name, std::string value) {
    r.headers.emplace_back(std::move(name), std::move(value));
    return r;
}

Response bad_request(std::string_view detail) {
    return Response::problem(400, "bad-request", "The request cannot be read", detail);
}

Response options_answer(std::string allow) {
    Response r;
    r.status = 204;
    r.content_type.clear();
    r.headers.emplace_back("Allow", std::move(allow));
    return r;
}

// The two header fields of a body that this server does not take.
std::optional<Response> coding_refused(const Head& head) {
    const auto te = head.headers.find("transfer-encoding");
    if (te != head.headers.end() && lower(trim(te->second)) != "chunked")
        return Response::problem(501, "transfer-coding", "Unknown transfer coding",
                                 "the only Transfer-Encoding is chunked");
    const auto ce = head.headers.find("content-encoding");
    if (ce != head.headers.end() && lower(trim(ce->second)) != "identity")
        return Response::problem(415, "content-coding", "Content codings are not accepted",
                                 "send the body without Content-Encoding");
    return std::nullopt;
}

std::optional<Response> body_refused(const Head& head, const Route& route) {
    if (auto r = coding_refused(head)) return r;
    if (head.content_length.value_or(0) > route.limits.body_bytes)
        return Response::problem(413, "body-too-large", "The body is too large",
                                 "at most " + std::to_string(route.limits.body_bytes) + " bytes are accepted here");
    const std::string media(route.limits.media);
    if (route.handler && head.has_body() && !may_be(media, head))
        return with(Response::problem(415, "media-type",
                                      media == "application/json" ? "The body is not JSON" : "The body is of another type",
                                      "send it with Content-Type: " + media),
                    "Accept", media);
    return std::nullopt;
}

std::optional<Response> expectation_refused(const Head& head) {
    const auto e = head.headers.find("expect");
    if (e == head.headers.end() || lower(trim(e->second)) == "100-continue") return std::nullopt;
    return Response::problem(417, "expectation", "Unknown expectation", "the only Expect is 100-continue");
}

// Whether a browser asks for something to be read by a person.
bool for_people(const Head& head) {
    const auto accept = head.headers.find("accept");
    return accept != head.headers.end() && lower(accept->second).find("text/html") != std::string::npos &&
           !head.target.starts_with("/api/") && !head.target.starts_with("/.well-known/");
}

constexpr std::string_view page_banner = "<header><nav aria-label=\"Site\"><strong><a href=\"/\">NetPay</a></strong></nav></header>\n";

// A problem document as a page; its detail speaks to programs where nothing is found.
Response as_page(Response r) {
    const auto doc = json::Document::parse(r.body);
    if (!doc || !doc->root().is_object()) return r;
    const auto text = [&](std::string_view name) { return html::escape(doc->root().string(name).value_or("")); };
    const auto detail = r.status == 404 ? "No page has this address. It may have been mistyped or cut off." : text("detail");
    r.body = html::document(doc->root().string("title").value_or(""),
                            "<h1>" + text("title") + "</h1>\n<p>" + detail + "</p>\n<p><a href=\"/\">To the start</a></p>\n", page_banner);
    r.content_type = "text/html; charset=utf-8";
    r.headers.emplace_back("Content-Security-Policy", html::policy(html::kit));
    r.headers.emplace_back("X-Frame-Options", "DENY");
    return r;
}

std::string_view reason(int status) {
    switch (status) {
        case 200: return "OK";
        case 201: return "Created";
        case 202: return "Accepted";
        case 204: return "No Content";
        case 303: return "See Other";
        case 304: return "Not Modified";
        case 400: return "Bad Request";
        case 401: return "Unauthorized";
        case 402: return "Payment Required";
        case 403: return "Forbidden";
        case 404: return "Not Found";
        case 405: return "Method Not Allowed";
        case 409: return "Conflict";
        case 410: return "Gone";
        case 413: return "Content Too Large";
        case 415: return "Unsupported Media Type";
        case 417: return "Expectation Failed";
        case 422: return "Unprocessable Content";
        case 429: return "Too Many Requests";
        case 431: return "Request Header Fields Too Large";
        case 500: return "Internal Server Error";
        case 501: return "Not Implemented";
        case 503: return "Service Unavailable";
        default: return "Status";
    }
}

std::string http_date(UnixTime t) {
    static constexpr const char* days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr const char* months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                             "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = t;
    std::tm tm{};
    gmtime_r(&seconds, &tm);
    std::array<char, 40> out{};
    std::snprintf(out.data(), out.size(), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                  months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    return out.data();
}

void add_field(std::string& out, std::string_view name, std::string_view value) {
    out.append(name).append(": ");
    for (const char c : value)
        if (static_cast<unsigned char>(c) >= 0x20 && c != 0x7F) out += c;
    out.append("\r\n");
}

bool has_field(const Response& r, std::string_view lower_name) {
    for (const auto& [name, value] : r.headers)
        if (lower(name) == lower_name) return true;
    return false;
}

// The type of the exception under way. Its text may quote values of the
// store's and is kept out of the log.
std::string exception_type() {
    const auto* type = abi::__cxa_current_exception_type();
    if (!type) return "unknown";
    int status = 0;
    char* name = abi::__cxa_demangle(type->name(), nullptr, nullptr, &status);
    std::string out = status == 0 ? name : type->name();
    std::free(name);
    return out;
}

}  // namespace

std::string asker(const Head& head, const std::vector<std::string>& trusted) {
    const auto field = head.headers.find("x-forwarded-for");
    if (!head.peer_trusted || field == head.headers.end()) return head.peer;
    std::string_view list = field->second;
    std::string last = head.peer;
    while (!list.empty()) {
        const auto comma = list.rfind(',');
        const std::string address(trim(comma == std::string_view::npos ? list : list.substr(comma + 1)));
        list = comma == std::string_view::npos ? std::string_view{} : list.substr(0, comma);
        if (!is_address(address)) break;
        last = address;
        bool is_proxy = false;
        for (const auto& t : trusted) is_proxy = is_proxy || t == address;
        if (!is_proxy) break;
    }
    return last;
}

std::string response_head(const Response& r, const std::string& request_id, UnixTime now, bool keep_alive) {
    std::string out = "HTTP/1.1 " + std::to_string(r.status) + ' ';
    out.append(reason(r.status)).append("\r\n");
    add_field(out, "Date", http_date(now));
    if (!r.content_type.empty()) add_field(out, "Content-Type", r.content_type);
    if (r.status != 204 && r.status != 304) add_field(out, "Content-Length", std::to_string(r.body.size()));
    add_field(out, "X-Content-Type-Options", "nosniff");
    add_field(out, "X-Request-Id", request_id);
    if (r.status >= 400 && !has_field(r, "cache-control")) add_field(out, "Cache-Control", "no-store");
    for (const auto& [name, value] : r.headers) add_field(out, name, value);
    add_field(out, "Connection", keep_alive ? "keep-alive" : "close");
    return out.append("\r\n");
}

Front::Front(Context& context, const Router& router) : context_(context), router_(router) {
    static constexpr char digits[] = "0123456789abcdef";
    for (const auto b : context.random.bytes<5>()) id_prefix_.append({digits[b >> 4], digits[b & 15]});
}

std::string Front::next_id() { return id_prefix_ + '-' + std::to_string(++id_count_); }

Plan Front::refuse(std::string method, std::string peer, Response response) {
    Plan p;
    p.request.method = method;
    p.request.request_id = next_id();
    p.request.now = context_.clock.now();
    p.trace = {p.request.request_id, std::move(peer), std::move(method), "other", {}, 0, 0, 0, 0};
    p.early = std::move(response);
    return p;
}

std::optional<Response> Front::judge(const Head& head, const Route& route, const std::string& peer, double now_s) {
    if (route.limits.burst > 0) {
        const long wait = limiter_.take(world::rate_key(peer), route.id, route.limits.per_second,
                                        std::max(1.0, route.limits.burst), now_s);
        if (wait > 0) {
            context_.metrics.refused("rate");
            return with(Response::problem(429, "too-many-requests", "Too many requests",
                                          "ask again in " + std::to_string(wait) + " s"),
                        "Retry-After", std::to_string(wait));
        }
    }
    if (auto r = body_refused(head, route)) return r;
    return expectation_refused(head);
}

Plan Front::plan(Head head, double now_s) {
    const std::string peer = asker(head, context_.options.trusted_proxies);
    if (head.http11 && head.hosts != 1)
        return refuse(head.method, peer, bad_request("an HTTP/1.1 request has exactly one Host field"));
    if (head.method == "OPTIONS" && head.target == "*")
        return refuse(head.method, peer, options_answer("GET, HEAD, OPTIONS, POST"));
    auto target = parse_target(head.target);
    if (!target) {
        auto bad = bad_request("the request target is not a well-formed path and query");
        return refuse(head.method, peer, for_people(head) ? as_page(std::move(bad)) : std::move(bad));
    }
    auto match = router_.match(head.method, *target);
    Plan p = refuse(head.method, peer, {});
    p.trace.pattern = match.pattern;
    const auto coin = match.params.find("coin");
    if (coin != match.params.end()) p.trace.coin = printable(coin->second, 8);
    if (match.allow.empty()) {
        p.early = Response::problem(404, "not-found", "There is nothing here", "see /.well-known/netpay for the API");
    } else if (head.method == "OPTIONS") {
        p.early = options_answer(match.allow);
    } else if (!match.route) {
        p.early = with(Response::problem(405, "method-not-allowed", "This method is not allowed here",
                                         "allowed: " + match.allow),
                       "Allow", match.allow);
    } else {
        p.early = judge(head, *match.route, peer, now_s);
    }
    if (p.early && p.early->status >= 400 && for_people(head)) p.early = as_page(std::move(*p.early));
    if (p.early) return p;
    p.route = match.route;
    const auto expect = head.headers.find("expect");
    p.send_continue = head.http11 && head.has_body() && expect != head.headers.end();
    p.request.path = target->path();
    p.request.query = std::move(target->query);
    p.request.headers = std::move(head.headers);
    p.request.params = std::move(match.params);
    p.request.peer = peer;
    return p;
}

Response Front::failed(const Request& request, const char* what) const noexcept {
    try {
        context_.log.error("handler-failed", json::Object()
                                                 .set("id", request.request_id)
                                                 .set("where", what)
                                                 .set("exception", printable(exception_type())));
        return Response::problem(500, "internal", "The broker failed",
                                 "the operator finds request " + request.request_id + " in the log");
    } catch (...) {
        Response r;  // out of memory: an answer without a body
        r.status = 500;
        return r;
    }
}

Response Front::call(const Route& route, Request& request) const noexcept {
    try {
        return route.handler(request);
    } catch (...) {
        return failed(request, "handler");
    }
}

std::unique_ptr<BodySink> Front::open(const Route& route, Request& request,
                                      std::optional<Response>& failure) const noexcept {
    try {
        if (auto sink = route.stream(request)) return sink;
        throw std::logic_error("no sink");
    } catch (...) {
        failure = failed(request, "sink");
        return nullptr;
    }
}

std::optional<Response> Front::feed(BodySink& sink, const Request& request, std::string_view bytes) const noexcept {
    try {
        return sink.chunk(bytes);
    } catch (...) {
        return failed(request, "chunk");
    }
}

Response Front::finish(BodySink& sink, const Request& request) const noexcept {
    try {
        return sink.finish();
    } catch (...) {
        return failed(request, "finish");
    }
}

void Front::done(const Trace& t) {
    context_.metrics.request(t.method, t.pattern, t.status, t.seconds);
    json::Object line;
    line.set("id", t.id).set("peer", printable(t.peer, 64)).set("method", printable(t.method, 16));
    line.set("route", t.pattern).set("status", static_cast<std::uint64_t>(t.status));
    line.set("bytes_in", t.bytes_in).set("bytes_out", t.bytes_out);
    line.set("us", static_cast<std::uint64_t>(t.seconds * 1e6));
    if (!t.coin.empty()) line.set("coin", t.coin);
    context_.log.info("request", std::move(line));
}

}  // namespace netpay::broker
