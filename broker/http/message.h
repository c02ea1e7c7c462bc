// What an API call sees of HTTP: no sockets, no Beast.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/bytes.h"
#include "core/json.h"

namespace netpay::broker {

struct Request {
    std::string method;                        // upper case
    std::string path;                          // decoded, without query
    std::map<std::string, std::string> query;  // decoded
    std::map<std::string, std::string, std::less<>> headers;  // names in lower case; repeated ones joined with ", "
    std::map<std::string, std::string, std::less<>> params;   // of the route, e.g. {"coin": "…"}
    std::string body;                          // whole, for ordinary routes
    std::string peer;                          // address, or the forwarded one behind a trusted unix socket
    UnixTime now = 0;
    std::string request_id;

    std::optional<std::string_view> header(std::string_view lower_case_name) const {
        const auto i = headers.find(lower_case_name);
        if (i == headers.end()) return std::nullopt;
        return i->second;
    }
    // The bearer token (RFC 6750) of Authorization, if there is one.
    std::optional<std::string_view> bearer() const;
};

struct Response {
    int status = 200;
    std::string content_type = "application/json";
    std::vector<std::pair<std::string, std::string>> headers;
    std::string body;

    static Response json(int status, const json::Object& body);
    // problem+json; `kind` becomes the last part of the type URI, detail is for people and names the remedy.
    static Response problem(int status, std::string_view kind, std::string_view title, std::string_view detail);
    Response&& no_store() &&;  // for answers that carry a token or seed
};

// Handlers run on worker threads, several at a time, and may wait for the store.
using Handler = std::function<Response(Request&)>;

// For bodies too large to hold: fed as they stream in, bounded by the route's
// limit. Calls come one after another, but not always on the same thread, so
// no lock may be held between them. A sink that goes without finish() belongs
// to a body that broke off: nothing of it may take effect.
class BodySink {
public:
    virtual ~BodySink() = default;
    // An answer here ends the call early.
    virtual std::optional<Response> chunk(std::string_view bytes) = 0;
    virtual Response finish() = 0;
};
using StreamHandler = std::function<std::unique_ptr<BodySink>(Request&)>;  // body is empty

struct RouteLimits {
    std::size_t body_bytes = 16384;
    double per_second = 20;   // for one peer address
    double burst = 60;        // 0: no limit
    std::string_view media = "application/json";  // of a body; a static text
};

// Where API files register themselves. Patterns: "/api/v1/coins/{coin}/return".
class Routes {
public:
    virtual ~Routes() = default;
    virtual void add(std::string method, std::string pattern, Handler handler, RouteLimits limits = {}) = 0;
    virtual void add_stream(std::string method, std::string pattern, StreamHandler handler, RouteLimits limits) = 0;
};

}  // namespace netpay::broker
