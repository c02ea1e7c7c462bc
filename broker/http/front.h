// What is decided about a request when its head has been read and before its
// body is: where it goes, or why it is refused. Knows nothing of sockets.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "broker/context.h"
#include "broker/http/message.h"
#include "broker/http/router.h"
#include "world/rate_limiter.h"

namespace netpay::broker {

// A request's head as it came, field names in lower case.
struct Head {
    std::string method, target;
    std::map<std::string, std::string, std::less<>> headers;  // repeated ones joined with ", "
    unsigned hosts = 0;                          // Host fields
    bool http11 = true;
    bool chunked = false;
    std::optional<std::uint64_t> content_length;
    std::string peer;                            // address of the socket's other end; "unix"
    bool peer_trusted = false;                   // its X-Forwarded-For is believed
    bool has_body() const { return chunked || content_length.value_or(0) > 0; }
};

// The access log's view of one request.
struct Trace {
    std::string id, peer, method;
    std::string_view pattern = "other";  // of the path; the path itself is never logged
    std::string coin;                    // first 8 characters of the parameter, if there is one
    std::uint64_t bytes_in = 0, bytes_out = 0;
    int status = 0;
    double seconds = 0;
};

struct Plan {
    Request request;
    const Route* route = nullptr;   // null: answer `early`
    std::optional<Response> early;
    bool send_continue = false;     // the client waits for 100 (RFC 9110 section 10.1.1)
    Trace trace;
};

class Front {
public:
    Front(Context& context, const Router& router);

    // Reads the target, finds the route, and checks rate, size, type and
    // expectations in this order. Called by one thread. now_s: monotonic.
    Plan plan(Head head, double now_s);
    // An answer to what could not even be read as a request.
    Plan refuse(std::string method, std::string peer, Response response);

    // Runs handlers; what they throw becomes a 500 that says nothing of the
    // inside. Safe from several threads.
    Response call(const Route& route, Request& request) const noexcept;
    std::unique_ptr<BodySink> open(const Route& route, Request& request, std::optional<Response>& failure) const noexcept;
    std::optional<Response> feed(BodySink& sink, const Request& request, std::string_view bytes) const noexcept;
    Response finish(BodySink& sink, const Request& request) const noexcept;

    // Counts and logs a request that was answered.
    void done(const Trace& trace);

    const Options& options() const { return context_.options; }
    Metrics& metrics() { return context_.metrics; }

private:
    std::optional<Response> judge(const Head& head, const Route& route, const std::string& peer, double now_s);
    Response failed(const Request& request, const char* what) const noexcept;
    std::string next_id();

    Context& context_;
    const Router& router_;
    world::RateLimiter limiter_;
    std::string id_prefix_;
    std::uint64_t id_count_ = 0;
};

// Who is asking: the socket's peer, or behind a trusted one the last address
// in X-Forwarded-For that is not itself a trusted proxy.
std::string asker(const Head& head, const std::vector<std::string>& trusted_proxies);

// "HTTP/1.1 200 OK\r\n" … and the empty line. Field values lose control characters.
std::string response_head(const Response& response, const std::string& request_id, UnixTime now, bool keep_alive);

}  // namespace netpay::broker
