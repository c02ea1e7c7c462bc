// The HTTP/1.1 server: listeners on TCP (plain or TLS) and unix sockets, one
// thread for input and output, workers for the handlers.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "broker/context.h"
#include "broker/http/router.h"
#include "core/result.h"

namespace netpay::broker {

// A listener and what it serves. TLS where the options name a certificate and
// `tls` is set; a unix socket is always plain.
struct Binding {
    Endpoint at;            // port 0: a free one
    const Router* router;   // outlives the server
    bool tls = false;
};

class Server {
public:
    // Binds all listeners; connections wait in the kernel until run(). Errors:
    // malformed, naming the address or file and the system's reason.
    static Result<std::unique_ptr<Server>> create(Context& context, const std::vector<Binding>& bindings);
    ~Server();
    Server(const Server&) = delete;
    Server& operator=(const Server&) = delete;

    // Where it really listens, in the order of the bindings.
    const std::vector<Endpoint>& bound() const;

    // Serves until SIGTERM, SIGINT or stop(). Then it takes no more
    // connections than those already waiting, finishes every request under
    // way, for at most stop-timeout, and returns. SIGHUP reads the TLS files
    // again and calls on_hangup; both happen on this thread.
    void run(std::function<void()> on_hangup);
    // Safe from any thread.
    void stop();

private:
    struct Impl;
    explicit Server(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace netpay::broker
