// Routes by method and path pattern. Filled before the server starts, then
// only read.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "broker/http/message.h"
#include "broker/http/target.h"

namespace netpay::broker {

struct Route {
    std::string method, pattern;
    std::vector<std::string> segments;  // "{name}" for a parameter
    Handler handler;                    // one of the two
    StreamHandler stream;
    RouteLimits limits;
    std::size_t id = 0;                 // position, for the rate limiter's key

    std::string name() const { return method + " " + pattern; }
};

class Router final : public Routes {
public:
    void add(std::string method, std::string pattern, Handler handler, RouteLimits limits = {}) override;
    void add_stream(std::string method, std::string pattern, StreamHandler handler, RouteLimits limits) override;

    struct Match {
        const Route* route = nullptr;  // null: no such path (allow empty), or not by this method
        std::map<std::string, std::string, std::less<>> params;
        std::string allow;             // methods of the path, "GET, HEAD, OPTIONS"; empty: no such path
        std::string_view pattern = "other";  // of the path, for logs and metrics
    };
    // HEAD is answered by a GET route. Where several patterns fit, the one
    // with a literal at the first difference wins: "/me" before "/{id}".
    Match match(std::string_view method, const Target& target) const;

    const std::vector<Route>& routes() const { return routes_; }
    // Multiplies every rate and burst; 0: no limits.
    void scale_rates(double factor);
    // Replaces a route's rate; false if there is no route of that name.
    bool set_rate(std::string_view name, double per_second, double burst);

private:
    void insert(Route route);
    std::vector<Route> routes_;
};

}  // namespace netpay::broker
