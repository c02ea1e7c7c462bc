// The network between vendors, broker and customers: a call arrives, or does
// not, or its answer does not, or it arrives twice, or again much later and
// after others; and while it is under way either side may die.
#pragma once

#include <deque>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "test/sim/disks.h"
#include "test/sim/stage.h"
#include "world/world.h"

namespace netpay::sim {

struct Message {
    std::string from;  // the caller's origin
    std::string method, url, body;
    std::map<std::string, std::string, std::less<>> headers;  // names in lower case
};

// Whoever can be called, and can die.
class Node {
public:
    virtual ~Node() = default;
    virtual bool up() const = 0;
    virtual world::HttpAnswer handle(const Message& m) = 0;
    // The process is gone; its disks stay.
    virtual void die() = 0;
    // A fuse of the actor's that burns at one of its next durable writes; null: it has none.
    virtual Fuse* fuse() { return nullptr; }
};

class Network {
public:
    explicit Network(Stage& stage) : stage_(stage) {}

    void add(const std::string& origin, Node& node) { nodes_[origin] = &node; }
    // A call as the caller sees it. Throws SimCrash{m.from} where the caller dies.
    world::HttpAnswer exchange(const Message& m);
    // Runs what an actor does of its own accord; takes it down if it dies meanwhile. False: it did.
    template <class F>
    bool run_as(const std::string& origin, F f);

    // One of the messages that were held back arrives now. False: there is none.
    bool deliver_late();
    std::size_t held_back() const { return late_.size(); }
    void forget_late() { late_.clear(); }

    // Calls between these two fail, both ways, until `until`.
    void cut(const std::string& a, const std::string& b, UnixTime until) { cuts_[key(a, b)] = until; }
    void cut_off(const std::string& a, UnixTime until) { alone_[a] = until; }
    void heal();

private:
    static std::pair<std::string, std::string> key(const std::string& a, const std::string& b) {
        return a < b ? std::pair(a, b) : std::pair(b, a);
    }
    Node* reach(const Message& m);
    world::HttpAnswer deliver(Node& node, const std::string& to, const Message& m);
    void perhaps_light(Node& node);

    Stage& stage_;
    std::map<std::string, Node*> nodes_;
    std::map<std::string, int> frames_;  // how often each actor is on the stack
    std::deque<Message> late_;
    std::map<std::pair<std::string, std::string>, UnixTime> cuts_;
    std::map<std::string, UnixTime> alone_;
};

template <class F>
bool Network::run_as(const std::string& origin, F f) {
    auto& frames = frames_[origin];
    ++frames;
    try {
        f();
    } catch (const SimCrash& crash) {
        --frames;
        // The dead one's objects go once nothing of it is on the stack any more.
        if (crash.who != origin || frames > 0) throw;
        nodes_.at(origin)->die();
        return false;
    } catch (...) {
        --frames;
        throw;
    }
    --frames;
    return true;
}

// One actor's way into the network.
class Wire final : public world::FileTransport {
public:
    Wire(Network& network, std::string from, world::Disk& disk)
        : network_(network), from_(std::move(from)), disk_(disk) {}
    world::HttpAnswer get(const std::string& url) override;
    world::HttpAnswer post(const std::string& url, const std::string& json) override;
    world::HttpAnswer post_file(const std::string& url, const std::string& path,
                                const std::vector<std::string>& fields) override;

private:
    Network& network_;
    const std::string from_;
    world::Disk& disk_;
};

}  // namespace netpay::sim
