#include "broker/http/server.h"

#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <set>

#include "broker/http/session.h"

namespace netpay::broker {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;
using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;
using TlsContext = asio::ssl::context;

// After the stop's time-out, for handlers that cannot be interrupted.
constexpr auto last_grace = std::chrono::seconds(5);
// One peer's share of max-connections, so that one cannot take them all.
constexpr unsigned peer_share = 4;

Error failed(const std::string& what, const error_code& ec) { return {Code::malformed, what + ": " + ec.message()}; }

Result<std::shared_ptr<TlsContext>> load_tls(const Options& o) {
    auto c = std::make_shared<TlsContext>(TlsContext::tls_server);
    error_code ec;
    c->set_options(TlsContext::default_workarounds | TlsContext::no_sslv2 | TlsContext::no_sslv3 |
                       TlsContext::no_tlsv1 | TlsContext::no_tlsv1_1 | TlsContext::no_compression,
                   ec);
    SSL_CTX_set_options(c->native_handle(), SSL_OP_NO_RENEGOTIATION | SSL_OP_CIPHER_SERVER_PREFERENCE);
    // A key file under a passphrase is refused instead of asked for.
    c->set_password_callback([](std::size_t, TlsContext::password_purpose) { return std::string(); }, ec);
    c->use_certificate_chain_file(o.tls_certificate, ec);
    if (ec) return failed("tls-certificate " + o.tls_certificate + " is not a readable PEM chain", ec);
    c->use_private_key_file(o.tls_key, TlsContext::pem, ec);
    if (ec) return failed("tls-key " + o.tls_key + " is not a readable PEM key for that certificate", ec);
    if (SSL_CTX_check_private_key(c->native_handle()) != 1)
        return Error{Code::mismatch, "tls-key " + o.tls_key + " does not belong to tls-certificate " + o.tls_certificate};
    return c;
}

Result<Protocol::endpoint> to_socket_address(const Endpoint& at) {
    if (at.is_unix()) {
        if (at.path.size() > 107)
            return Error{Code::limit, "unix socket path of more than 107 bytes: " + at.path};
        return Protocol::endpoint(asio::local::stream_protocol::endpoint(at.path));
    }
    error_code ec;
    const auto address = asio::ip::make_address(at.host, ec);
    if (ec) return failed("listen address " + at.str(), ec);
    return Protocol::endpoint(asio::ip::tcp::endpoint(address, at.port));
}

std::string address_of(const Protocol::endpoint& e) {
    if (e.data()->sa_family != AF_INET && e.data()->sa_family != AF_INET6) return "unix";
    asio::ip::tcp::endpoint t;
    if (e.size() > t.capacity()) return "unknown";
    std::copy_n(reinterpret_cast<const unsigned char*>(e.data()), e.size(), reinterpret_cast<unsigned char*>(t.data()));
    auto a = t.address();
    if (a.is_v6() && a.to_v6().is_v4_mapped()) a = asio::ip::make_address_v4(asio::ip::v4_mapped, a.to_v6());
    return a.to_string();
}

// A socket left behind by a daemon that was killed is removed; one that
// answers, or a file of another kind, is left alone and bind() complains.
void remove_stale_socket(asio::io_context& io, const Endpoint& at) {
    struct stat st{};
    if (lstat(at.path.c_str(), &st) != 0 || !S_ISSOCK(st.st_mode)) return;
    asio::local::stream_protocol::socket probe(io);
    error_code ec;
    probe.connect(asio::local::stream_protocol::endpoint(at.path), ec);
    if (ec == asio::error::connection_refused) ::unlink(at.path.c_str());
}

struct Listener {
    Endpoint at;
    Acceptor acceptor;
    Front front;
    bool tls;
};

}  // namespace

struct Server::Impl {
    explicit Impl(Context& c)
        : context(c), guard(asio::make_work_guard(io)), signals(io), stop_timer(io),
          workers(c.options.threads, c.options.queue) {}
    ~Impl() {
        sessions.clear();  // their sockets must not outlive io
        for (const auto& l : listeners)
            if (l->at.is_unix()) ::unlink(l->at.path.c_str());
    }

    Result<bool> listen(const Binding& b);
    asio::awaitable<void> accept_loop(Listener& l);
    void begin(Listener& l, Socket socket);
    asio::awaitable<void> serve(std::shared_ptr<Session> session, std::string peer);
    void watch_signals();
    void hang_up();
    void begin_stop();
    void drain(Listener& l);
    void finish_if_done();
    void force();

    Context& context;
    std::set<std::shared_ptr<Session>> sessions;
    std::map<std::string, unsigned> by_peer;
    bool stopping = false;
    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> guard;
    asio::signal_set signals;
    asio::steady_timer stop_timer;
    std::shared_ptr<TlsContext> tls;
    std::vector<std::unique_ptr<Listener>> listeners;
    std::vector<Endpoint> bound;
    std::function<void()> on_hangup;
    Workers workers;  // last: joined before anything else goes
};

Result<bool> Server::Impl::listen(const Binding& b) {
    const auto address = to_socket_address(b.at);
    if (!address) return address.error();
    if (b.at.is_unix()) remove_stale_socket(io, b.at);
    Acceptor a(io);
    error_code ec;
    a.open(address->protocol(), ec);
    if (!ec && !b.at.is_unix()) a.set_option(asio::socket_base::reuse_address(true), ec);
    // The socket's own mode decides who may connect: owner and group.
    const mode_t mask = ::umask(0117);
    if (!ec) a.bind(*address, ec);
    ::umask(mask);
    if (!ec) a.listen(asio::socket_base::max_listen_connections, ec);
    if (ec) return failed("cannot listen on " + b.at.str(), ec);
    Endpoint at = b.at;
    if (!at.is_unix()) {
        const auto local = a.local_endpoint(ec);
        // sin_port and sin6_port stand at the same place.
        at.port = ntohs(reinterpret_cast<const sockaddr_in*>(local.data())->sin_port);
    }
    const bool use_tls = b.tls && !b.at.is_unix();
    listeners.push_back(std::unique_ptr<Listener>(
        new Listener{at, std::move(a), Front(context, *b.router), use_tls}));
    bound.push_back(at);
    context.log.info("listening", json::Object().set("address", at.str()).set("tls", use_tls));
    return true;
}

asio::awaitable<void> Server::Impl::accept_loop(Listener& l) {
    while (!stopping) {
        error_code ec;
        Socket socket = co_await l.acceptor.async_accept(asio::redirect_error(asio::use_awaitable, ec));
        if (!ec) {
            begin(l, std::move(socket));
        } else if (ec != asio::error::operation_aborted && ec != asio::error::connection_aborted) {
            // Out of descriptors or memory: others may give some back.
            context.log.error("accept-failed", json::Object().set("reason", ec.message()));
            asio::steady_timer pause(io, std::chrono::milliseconds(200));
            co_await pause.async_wait(asio::redirect_error(asio::use_awaitable, ec));
        }
    }
}

void Server::Impl::begin(Listener& l, Socket socket) {
    error_code ec;
    const auto remote = socket.remote_endpoint(ec);
    PeerName peer{l.at.is_unix() ? "unix" : ec ? "unknown" : address_of(remote), l.at.is_unix()};
    const auto& proxies = context.options.trusted_proxies;
    if (std::find(proxies.begin(), proxies.end(), peer.text) != proxies.end()) peer.trusted = true;
    const unsigned all = context.options.max_connections;
    const unsigned share = std::max(1u, peer.trusted ? all : all / peer_share);
    if (sessions.size() >= all || by_peer[peer.text] >= share) {
        context.metrics.refused("connections");
        if (by_peer[peer.text] == 0) by_peer.erase(peer.text);
        return;  // the socket closes
    }
    if (!l.at.is_unix()) socket.set_option(asio::ip::tcp::no_delay(true), ec);
    auto session = make_session({io, l.front, workers, context.clock, stopping}, std::move(socket), peer,
                                l.tls ? tls : nullptr);
    sessions.insert(session);
    ++by_peer[peer.text];
    context.metrics.connection_opened();
    asio::co_spawn(io, serve(std::move(session), peer.text), asio::detached);
}

asio::awaitable<void> Server::Impl::serve(std::shared_ptr<Session> session, std::string peer) {
    try {
        co_await session->run();
    } catch (const std::exception&) {
        // Memory, or a failing system call outside the error codes: this
        // connection ends, the others go on.
        context.log.error("connection-failed");
    }
    sessions.erase(session);
    const auto count = by_peer.find(peer);
    if (count != by_peer.end() && --count->second == 0) by_peer.erase(count);
    context.metrics.connection_closed();
    finish_if_done();
}

void Server::Impl::watch_signals() {
    signals.async_wait([this](const error_code& ec, int number) {
        if (ec) return;
        watch_signals();  // before a stop that finds nothing to wait for cancels it
        if (number == SIGHUP) {
            hang_up();
        } else if (!stopping) {
            begin_stop();
        } else {
            force();  // asked twice: now
        }
    });
}

void Server::Impl::hang_up() {
    if (context.options.tls()) {
        auto fresh = load_tls(context.options);
        if (fresh) tls = std::move(*fresh);
        else context.log.error("tls-not-reloaded", json::Object().set("reason", fresh.error().detail));
    }
    if (on_hangup) on_hangup();
}

// Connections that clients believe to be open are served once more.
void Server::Impl::drain(Listener& l) {
    error_code ec;
    l.acceptor.cancel(ec);
    l.acceptor.non_blocking(true, ec);
    while (!ec) {
        Socket socket(io);
        l.acceptor.accept(socket, ec);
        if (!ec) begin(l, std::move(socket));
    }
    l.acceptor.close(ec);
}

void Server::Impl::begin_stop() {
    if (stopping) return;
    context.log.info("stopping");
    for (const auto& l : listeners) drain(*l);
    stopping = true;
    for (const auto& s : sessions) s->close_if_idle();
    stop_timer.expires_after(std::chrono::seconds(context.options.stop_timeout_s));
    stop_timer.async_wait([this](const error_code& ec) {
        if (!ec) force();
    });
    finish_if_done();
}

void Server::Impl::force() {
    if (!sessions.empty())
        context.log.warning("connections-cut",
                            json::Object().set("connections", static_cast<std::uint64_t>(sessions.size())));
    for (const auto& s : sessions) s->abort();
    stop_timer.expires_after(last_grace);
    stop_timer.async_wait([this](const error_code& ec) {
        if (ec) return;
        workers.abandon();
        io.stop();
    });
}

void Server::Impl::finish_if_done() {
    if (!stopping || !sessions.empty()) return;
    error_code ec;
    signals.cancel(ec);
    stop_timer.cancel(ec);
    guard.reset();
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Server::~Server() = default;
const std::vector<Endpoint>& Server::bound() const { return impl_->bound; }

Result<std::unique_ptr<Server>> Server::create(Context& context, const std::vector<Binding>& bindings) {
    auto impl = std::make_unique<Impl>(context);
    if (context.options.tls()) {
        auto tls = load_tls(context.options);
        if (!tls) return tls.error();
        impl->tls = std::move(*tls);
    }
    for (const auto& b : bindings) {
        const auto listening = impl->listen(b);
        if (!listening) return listening.error();
    }
    return std::unique_ptr<Server>(new Server(std::move(impl)));
}

void Server::run(std::function<void()> on_hangup) {
    auto& s = *impl_;
    s.on_hangup = std::move(on_hangup);
    std::signal(SIGPIPE, SIG_IGN);
    for (const int number : {SIGTERM, SIGINT, SIGHUP}) s.signals.add(number);
    s.watch_signals();
    for (const auto& l : s.listeners) asio::co_spawn(s.io, s.accept_loop(*l), asio::detached);
    s.io.run();
}

void Server::stop() {
    asio::post(impl_->io, [this] { impl_->begin_stop(); });
}

}  // namespace netpay::broker
