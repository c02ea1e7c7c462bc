// The one way to the network: HTTP(S) requests, one at a time, without
// redirects. CurlTransport is the real one; tests bring their own.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/result.h"

namespace netpay::wallet {

using HeaderList = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
    std::string method = "GET";
    std::string url;
    HeaderList headers;
    std::optional<std::string> body;
    std::int64_t time_left_ms = 0;  // for the whole exchange; 0: no limit
};

struct HttpHead {
    int status = 0;
    HeaderList headers;  // names in lower case, values as received

    // The first value of a header, by its lower-case name.
    std::optional<std::string_view> header(std::string_view name) const;
};

// Receives an answer: its head once (interim 1xx answers are not shown),
// then its body. Returning false ends the exchange.
class AnswerSink {
public:
    virtual ~AnswerSink() = default;
    virtual bool head(const HttpHead& h) = 0;
    virtual bool data(std::string_view bytes) = 0;
};

struct HttpOutcome {
    bool complete = false;    // a whole answer was received
    bool stopped = false;     // the sink ended it
    bool maybe_sent = true;   // false: certainly no byte of the request left this machine towards the server
    bool timed_out = false;
    std::string trouble;      // for people, if not complete
};

class Transport {
public:
    virtual ~Transport() = default;
    virtual HttpOutcome send(const HttpRequest& r, AnswerSink& sink) = 0;
};

struct TransportOptions {
    std::string proxy;          // "" = as the environment says (http_proxy, https_proxy, all_proxy, no_proxy)
    std::string ca_file;        // "" = the system's
    bool insecure = false;      // no TLS verification; honoured for loopback hosts only
    std::int64_t connect_timeout_ms = 30000;
    std::string user_agent;
};

// Plain http to a loopback host never goes through a proxy: a credential
// would cross a network unprotected.
std::unique_ptr<Transport> curl_transport(const TransportOptions& o);

// Reads a whole answer of at most `most` bytes.
struct HttpAnswer {
    HttpHead head;
    std::string body;
};
Result<HttpAnswer> fetch_whole(Transport& t, const HttpRequest& r, std::size_t most);

// The URL a reference leads to from `base` (RFC 3986 section 5), in curl's
// reading, without fragment; nullopt unless it is http or https without user
// information.
std::optional<std::string> resolve_url(const std::string& base, std::string_view reference);
// A URL as typed, normalised the same way.
std::optional<std::string> normal_url(std::string_view url);
// Its path without the query; "/" at least.
std::string path_of(std::string_view url);

}  // namespace netpay::wallet
