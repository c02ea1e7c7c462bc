#include "test/sim/network.h"

#include <algorithm>
#include <cctype>

#include "core/origin.h"

namespace netpay::sim {
namespace {

// Messages held back at most: beyond it the oldest are lost.
constexpr std::size_t most_late = 64;

world::HttpAnswer nothing(const char* why) {
    world::HttpAnswer a;
    a.error = why;
    return a;
}

// For the log of events: which call it was, without the names in it.
std::string call_of(const std::string& url) {
    const auto at = url.find("/api/v1/");
    if (at == std::string::npos) return url.substr(url.rfind('/') + 1);
    return url.substr(at + 8, url.find('/', at + 8 + 10) == std::string::npos ? std::string::npos : 24);
}

}  // namespace

void Network::heal() {
    cuts_.clear();
    alone_.clear();
}

Node* Network::reach(const Message& m) {
    const auto to = std::string(origin_of(m.url));
    const auto node = nodes_.find(to);
    if (node == nodes_.end() || !node->second->up()) return nullptr;
    const auto cut = cuts_.find(key(m.from, to));
    if (cut != cuts_.end() && cut->second > stage_.now) return nullptr;
    for (const auto& who : {m.from, to}) {
        const auto alone = alone_.find(who);
        if (alone != alone_.end() && alone->second > stage_.now) return nullptr;
    }
    return node->second;
}

void Network::perhaps_light(Node& node) {
    auto* fuse = node.fuse();
    if (fuse && !stage_.calm && stage_.dice.one_in(400)) fuse->light(static_cast<int>(stage_.dice.below(3)), stage_.dice.one_in(2));
}

// Handles the call; the callee may die of it.
world::HttpAnswer Network::deliver(Node& node, const std::string& to, const Message& m) {
    world::HttpAnswer answer = nothing("the connection broke off");
    perhaps_light(node);
    const bool lives = run_as(to, [&] { answer = node.handle(m); });
    if (auto* fuse = node.fuse()) fuse->put_out();
    if (!lives) {
        stage_.count("died in a call");
        stage_.note("dies " + to);
        return nothing("the connection broke off");
    }
    return answer;
}

world::HttpAnswer Network::exchange(const Message& m) {
    const auto to = std::string(origin_of(m.url));
    if (stage_.calm) {
        auto* node = reach(m);
        return node ? deliver(*node, to, m) : nothing("no answer");
    }
    auto& dice = stage_.dice;
    const auto fate = dice.below(1000);
    const auto tell = [&](const char* what) {
        stage_.count(what);
        stage_.note(std::string(what) + ": " + m.from + " > " + to + " " + call_of(m.url));
    };
    if (dice.one_in(50)) stage_.now += dice.between(1, 4);  // it took its time
    auto* node = reach(m);
    if (!node) return nothing("no answer");
    if (fate < 10) return tell("request lost"), nothing("timed out");
    if (fate < 22) {
        tell("request held back");
        late_.push_back(m);
        if (late_.size() > most_late) late_.pop_front();
        return nothing("timed out");
    }
    if (fate < 25 && nodes_.contains(m.from)) {
        tell("caller dies before");
        throw SimCrash{m.from};
    }
    if (fate < 28) {
        tell("callee dies before");
        run_as(to, [&] { throw SimCrash{to}; });
        return nothing("the connection broke off");
    }
    auto answer = deliver(*node, to, m);
    if (fate < 40) return tell("answer lost"), nothing("timed out");
    if (fate < 46 && nodes_.contains(m.from)) {
        tell("caller dies after");
        throw SimCrash{m.from};
    }
    if (fate < 50 && node->up()) {
        tell("callee dies after");
        run_as(to, [&] { throw SimCrash{to}; });
        return dice.one_in(2) ? answer : nothing("the connection broke off");
    }
    if (fate < 60 && node->up()) {
        tell("request twice");
        const auto again = deliver(*node, to, m);
        return dice.one_in(2) ? answer : again;
    }
    if (fate < 70) {
        tell("request again later");
        late_.push_back(m);
        if (late_.size() > most_late) late_.pop_front();
    }
    return answer;
}

bool Network::deliver_late() {
    if (late_.empty()) return false;
    // Any of them: later messages overtake earlier ones.
    const auto at = stage_.dice.below(late_.size());
    const Message m = late_[at];
    late_.erase(late_.begin() + static_cast<std::ptrdiff_t>(at));
    auto* node = reach(m);
    if (!node) return true;
    const auto to = std::string(origin_of(m.url));
    stage_.note("arrives late: " + m.from + " > " + to + " " + call_of(m.url));
    deliver(*node, to, m);
    return true;
}

world::HttpAnswer Wire::get(const std::string& url) { return network_.exchange({from_, "GET", url, {}, {}}); }

world::HttpAnswer Wire::post(const std::string& url, const std::string& json) {
    return network_.exchange({from_, "POST", url, json, {{"content-type", "application/json"}}});
}

world::HttpAnswer Wire::post_file(const std::string& url, const std::string& path,
                                  const std::vector<std::string>& fields) {
    const auto body = disk_.read(path, std::size_t{1} << 30);
    if (!body) return nothing("the file cannot be read");
    Message m{from_, "POST", url, *body, {}};
    for (const auto& line : fields) {
        const auto colon = line.find(':');
        auto name = line.substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
        m.headers[name] = line.substr(line.find_first_not_of(' ', colon + 1));
    }
    return network_.exchange(m);
}

}  // namespace netpay::sim
