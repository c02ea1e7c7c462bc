#include "broker/http/router.h"

#include <algorithm>
#include <set>

namespace netpay::broker {
namespace {

bool is_parameter(const std::string& segment) { return segment.starts_with('{'); }

std::vector<std::string> split_pattern(std::string_view pattern) {
    std::vector<std::string> out;
    while (!pattern.empty()) {
        pattern.remove_prefix(1);
        const auto end = std::min(pattern.find('/'), pattern.size());
        if (end > 0) out.emplace_back(pattern.substr(0, end));
        pattern.remove_prefix(end);
    }
    return out;
}

bool fits(const Route& r, const Target& t) {
    if (r.segments.size() != t.segments.size()) return false;
    for (std::size_t i = 0; i < r.segments.size(); ++i)
        if (!is_parameter(r.segments[i]) && r.segments[i] != t.segments[i]) return false;
    return true;
}

// Both fit the same target.
bool more_literal(const Route& a, const Route& b) {
    for (std::size_t i = 0; i < a.segments.size(); ++i)
        if (is_parameter(a.segments[i]) != is_parameter(b.segments[i])) return is_parameter(b.segments[i]);
    return false;
}

std::string join(const std::set<std::string>& methods) {
    std::string out;
    for (const auto& m : methods) out.append(out.empty() ? "" : ", ").append(m);
    return out;
}

}  // namespace

void Router::insert(Route route) {
    route.segments = split_pattern(route.pattern);
    route.id = routes_.size();
    routes_.push_back(std::move(route));
}

void Router::add(std::string method, std::string pattern, Handler handler, RouteLimits limits) {
    insert({std::move(method), std::move(pattern), {}, std::move(handler), {}, limits});
}

void Router::add_stream(std::string method, std::string pattern, StreamHandler handler, RouteLimits limits) {
    insert({std::move(method), std::move(pattern), {}, {}, std::move(handler), limits});
}

void Router::scale_rates(double factor) {
    for (auto& r : routes_) {
        r.limits.per_second *= factor;
        r.limits.burst *= factor;
    }
}

bool Router::set_rate(std::string_view name, double per_second, double burst) {
    for (auto& r : routes_) {
        if (r.name() != name) continue;
        r.limits.per_second = per_second;
        r.limits.burst = burst;
        return true;
    }
    return false;
}

Router::Match Router::match(std::string_view method, const Target& target) const {
    const Route* best = nullptr;  // of any method: it names the path
    for (const auto& r : routes_)
        if (fits(r, target) && (!best || more_literal(r, *best))) best = &r;
    if (!best) return {};
    Match m;
    m.pattern = best->pattern;
    std::set<std::string> methods{"OPTIONS"};
    const std::string_view wanted = method == "HEAD" ? "GET" : method;
    for (const auto& r : routes_) {
        if (r.pattern != best->pattern) continue;
        methods.insert(r.method);
        if (r.method == "GET") methods.insert("HEAD");
        if (r.method == wanted) m.route = &r;
    }
    m.allow = join(methods);
    if (!m.route) return m;
    for (std::size_t i = 0; i < m.route->segments.size(); ++i) {
        const auto& s = m.route->segments[i];
        if (is_parameter(s)) m.params.emplace(s.substr(1, s.size() - 2), target.segments[i]);
    }
    return m;
}

}  // namespace netpay::broker
