// Private to server.cc and session.cc: one connection. Everything here runs
// on the server's one I/O thread; handlers run on the workers.
#pragma once

#include <utility>  // before awaitable.hpp, which forgets it (Boost 1.74)

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include <memory>
#include <string>

#include "broker/http/front.h"
#include "broker/http/workers.h"

namespace boost::asio::ssl {
class context;
}

namespace netpay::broker {

using Socket = boost::asio::generic::stream_protocol::socket;

// What a session stands on; all of it outlives the session.
struct SessionBase {
    boost::asio::io_context& io;
    Front& front;
    Workers& workers;
    const Clock& clock;
    const bool& stopping;  // finish the request under way and close
};

struct PeerName {
    std::string text;      // an address, or "unix"
    bool trusted = false;  // see Head::peer_trusted
};

class Session {
public:
    virtual ~Session() = default;
    // Serves the connection to its end.
    virtual boost::asio::awaitable<void> run() = 0;
    // Closes a connection that waits for its next request with nothing read.
    virtual void close_if_idle() = 0;
    virtual void abort() = 0;
};

// tls: null for a plain connection; kept by the session.
std::shared_ptr<Session> make_session(const SessionBase& base, Socket socket, PeerName peer,
                                      std::shared_ptr<boost::asio::ssl::context> tls);

}  // namespace netpay::broker
