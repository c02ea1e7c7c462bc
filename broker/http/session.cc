#include "broker/http/session.h"

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/ssl/context.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/basic_stream.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/buffer_body.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>

#include <array>
#include <chrono>
#include <limits>
#include <optional>

namespace netpay::broker {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::use_awaitable;
using beast::error_code;
using std::chrono::steady_clock;
using Duration = steady_clock::duration;

using Plain = beast::basic_stream<asio::generic::stream_protocol>;
using Tls = asio::ssl::stream<Plain>;
using Parser = http::request_parser<http::buffer_body>;

// A request line with its fields: a credential is 7 KB at most, and no call of
// this API carries more than one.
constexpr std::uint32_t header_bytes = 16384;
// A piece of a body: read by the I/O thread, then worked on by a worker.
constexpr std::size_t piece_bytes = 65536;
// What is read and thrown away after a refusal, so that the client is not
// reset before it has read the answer.
constexpr std::size_t linger_bytes = 1 << 20;
constexpr auto linger_time = std::chrono::seconds(2);

Plain& lowest(Plain& s) { return s; }
Plain& lowest(Tls& s) { return s.next_layer(); }

std::string lower(boost::string_view s) {
    std::string out(s.data(), s.size());
    for (auto& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

double seconds(Duration d) { return std::chrono::duration<double>(d).count(); }
double now_s() { return seconds(steady_clock::now().time_since_epoch()); }

Response unreadable(const error_code& ec) {
    if (ec == http::error::header_limit || ec == http::error::buffer_overflow)
        return Response::problem(431, "header-too-large", "The request header is too large",
                                 "at most " + std::to_string(header_bytes) + " bytes are accepted");
    return Response::problem(400, "bad-request", "The request is not HTTP/1.1", ec.message());
}

Response body_too_large(std::size_t limit) {
    return Response::problem(413, "body-too-large", "The body is too large",
                             "at most " + std::to_string(limit) + " bytes are accepted here");
}

Response busy() {
    auto r = Response::problem(503, "busy", "The broker is busy", "ask again in a second");
    r.headers.emplace_back("Retry-After", "1");
    return r;
}

template <class Stream>
class HttpSession final : public Session, public std::enable_shared_from_this<HttpSession<Stream>> {
public:
    template <class... A>
    HttpSession(const SessionBase& base, PeerName peer, std::shared_ptr<asio::ssl::context> tls, A&&... stream)
        : base_(base), options_(base.front.options()), peer_(std::move(peer)), tls_(std::move(tls)),
          stream_(std::forward<A>(stream)...) {}

    asio::awaitable<void> run() override;
    void close_if_idle() override;
    void abort() override { lowest(stream_).close(); }

private:
    asio::awaitable<bool> handshake();
    asio::awaitable<bool> exchange();
    asio::awaitable<bool> wait_for_request();
    asio::awaitable<bool> answer(Plan& plan);
    asio::awaitable<Response> ordinary(Plan& plan);
    asio::awaitable<Response> streamed(Plan& plan);
    asio::awaitable<std::optional<Response>> pump(Plan& plan, BodySink& sink);
    asio::awaitable<std::size_t> read_piece(Plan& plan);
    asio::awaitable<bool> send_continue(const Plan& plan);
    asio::awaitable<bool> write(std::string text);
    asio::awaitable<void> close();
    asio::awaitable<void> linger();
    template <class F>
    asio::awaitable<bool> on_worker(F f, bool under_way);
    Head head() const;
    void expire_in(Duration d) { lowest(stream_).expires_after(d); }
    std::chrono::seconds header_time() const { return std::chrono::seconds(options_.header_timeout_s); }

    const SessionBase base_;
    const Options& options_;
    const PeerName peer_;
    const std::shared_ptr<asio::ssl::context> tls_;
    Stream stream_;
    beast::flat_buffer buffer_{piece_bytes};
    std::optional<Parser> parser_;
    std::array<char, piece_bytes> piece_;
    error_code body_error_;      // set when a body could not be read to its end
    Duration body_waited_{};     // for the client, in this body
    bool first_ = true;
    bool idle_ = false;          // waiting for a request, nothing read of it
    bool broken_ = false;        // the connection is of no more use
    bool unread_ = false;        // the client may still be sending what is not wanted
};

template <class Stream>
asio::awaitable<void> HttpSession<Stream>::run() {
    const auto self = this->shared_from_this();
    const bool up = co_await handshake();
    if (!up) co_return;
    for (;;) {
        const bool more = co_await exchange();
        if (!more) break;
    }
    co_await close();
}

template <class Stream>
asio::awaitable<bool> HttpSession<Stream>::handshake() {
    if constexpr (std::is_same_v<Stream, Tls>) {
        error_code ec;
        expire_in(header_time());
        co_await stream_.async_handshake(asio::ssl::stream_base::server, asio::redirect_error(use_awaitable, ec));
        if (ec) lowest(stream_).close();
        co_return !ec;
    }
    co_return true;
}

template <class Stream>
void HttpSession<Stream>::close_if_idle() {
    if (!idle_) return;
    // A request that has arrived and was not yet read is still served.
    error_code ec;
    if (lowest(stream_).socket().available(ec) > 0 && !ec) return;
    lowest(stream_).close();
}

template <class Stream>
asio::awaitable<bool> HttpSession<Stream>::wait_for_request() {
    if (buffer_.size() > 0) co_return true;  // pipelined
    error_code ec;
    if (base_.stopping && !first_ && (lowest(stream_).socket().available(ec) == 0 || ec)) co_return false;
    expire_in(base_.stopping ? std::chrono::seconds(1)
              : first_       ? header_time()
                             : std::chrono::seconds(options_.idle_timeout_s));
    idle_ = true;
    const auto room = buffer_.prepare(4096);
    const std::size_t n = co_await stream_.async_read_some(room, asio::redirect_error(use_awaitable, ec));
    idle_ = false;
    buffer_.commit(n);
    co_return !ec;
}

template <class Stream>
asio::awaitable<bool> HttpSession<Stream>::exchange() {
    const bool there = co_await wait_for_request();
    if (!there) co_return false;
    first_ = false;
    const auto start = steady_clock::now();
    parser_.emplace();
    parser_->header_limit(header_bytes);
    parser_->body_limit(std::numeric_limits<std::uint64_t>::max());  // each route has its own
    body_error_ = {};
    body_waited_ = {};
    error_code ec;
    expire_in(header_time());
    co_await http::async_read_header(stream_, buffer_, *parser_, asio::redirect_error(use_awaitable, ec));
    if (ec == beast::error::timeout) base_.front.metrics().refused("timeout");
    if (ec && (ec.category() != make_error_code(http::error::bad_method).category() ||
               ec == http::error::partial_message || ec == http::error::end_of_stream))
        co_return false;
    Plan plan = ec ? base_.front.refuse("other", peer_.text, unreadable(ec)) : base_.front.plan(head(), now_s());
    unread_ = ec || !parser_->is_done();
    const bool keep = co_await answer(plan);
    if (plan.trace.status) {
        plan.trace.seconds = seconds(steady_clock::now() - start);
        base_.front.done(plan.trace);
    }
    co_return keep && !broken_;
}

template <class Stream>
Head HttpSession<Stream>::head() const {
    const auto& m = parser_->get();
    Head h;
    h.method.assign(m.method_string().data(), m.method_string().size());
    h.target.assign(m.target().data(), m.target().size());
    h.http11 = m.version() == 11;
    h.chunked = parser_->chunked();
    if (const auto n = parser_->content_length()) h.content_length = *n;
    h.peer = peer_.text;
    h.peer_trusted = peer_.trusted;
    for (const auto& f : m) {
        std::string name = lower(f.name_string());
        if (name == "host") ++h.hosts;
        auto& value = h.headers[std::move(name)];
        if (!value.empty()) value.append(", ");
        value.append(f.value().data(), f.value().size());
    }
    return h;
}

// The whole answer to one request. False: the connection ends with it.
template <class Stream>
asio::awaitable<bool> HttpSession<Stream>::answer(Plan& plan) {
    Response response;
    if (plan.early) {
        response = std::move(*plan.early);
    } else if (plan.route->stream) {
        response = co_await streamed(plan);
    } else {
        response = co_await ordinary(plan);
    }
    if (broken_) co_return false;
    const bool keep = !unread_ && !base_.stopping && parser_->is_done() && parser_->keep_alive();
    std::string text = response_head(response, plan.trace.id, base_.clock.now(), keep);
    if (plan.request.method != "HEAD") text += response.body;
    plan.trace.status = response.status;
    plan.trace.bytes_out = text.size();
    const bool sent = co_await write(std::move(text));
    co_return sent && keep;
}

// Runs f on a worker and comes back to the I/O thread. False if the queue was
// full and f did not run.
template <class Stream>
template <class F>
asio::awaitable<bool> HttpSession<Stream>::on_worker(F f, bool under_way) {
    auto initiate = [this, f, under_way](auto handler) mutable {
        auto resume = std::make_shared<decltype(handler)>(std::move(handler));
        auto& io = base_.io;
        Workers::Job job = [f, resume, &io]() mutable {
            f();
            asio::post(io, [resume = std::move(resume)] { (*resume)(true); });
        };
        if (under_way) base_.workers.push(std::move(job));
        else if (!base_.workers.offer(std::move(job))) asio::post(io, [resume] { (*resume)(false); });
    };
    const bool ran = co_await asio::async_initiate<const asio::use_awaitable_t<>&, void(bool)>(initiate, use_awaitable);
    co_return ran;
}

// At most piece_bytes of the body into piece_; 0 at its end or on an error,
// which is then in body_error_. The client has the header's time for it, and
// more for each byte that has come, at the slowest rate that is waited for.
template <class Stream>
asio::awaitable<std::size_t> HttpSession<Stream>::read_piece(Plan& plan) {
    std::size_t n = 0;
    while (n == 0 && !body_error_ && !parser_->is_done()) {
        auto& body = parser_->get().body();
        body.data = piece_.data();
        body.size = piece_.size();
        body.more = true;
        const auto earned = std::chrono::seconds(static_cast<std::int64_t>(plan.trace.bytes_in) /
                                                 options_.body_bytes_per_second);
        const auto start = steady_clock::now();
        expire_in(std::max<Duration>(header_time() + earned - body_waited_, std::chrono::milliseconds(1)));
        co_await http::async_read_some(stream_, buffer_, *parser_, asio::redirect_error(use_awaitable, body_error_));
        body_waited_ += steady_clock::now() - start;
        if (body_error_ == http::error::need_buffer) body_error_ = {};
        n = piece_.size() - parser_->get().body().size;
    }
    plan.trace.bytes_in += n;
    if (parser_->is_done()) unread_ = false;
    co_return body_error_ ? 0 : n;
}

template <class Stream>
asio::awaitable<bool> HttpSession<Stream>::send_continue(const Plan& plan) {
    if (!plan.send_continue || buffer_.size() > 0) co_return true;  // it did not wait
    const bool sent = co_await write("HTTP/1.1 100 Continue\r\n\r\n");
    co_return sent;
}

template <class Stream>
asio::awaitable<Response> HttpSession<Stream>::ordinary(Plan& plan) {
    broken_ = !co_await send_continue(plan);
    while (!broken_) {
        const std::size_t n = co_await read_piece(plan);
        if (n == 0) break;
        if (plan.request.body.size() + n > plan.route->limits.body_bytes)
            co_return body_too_large(plan.route->limits.body_bytes);
        plan.request.body.append(piece_.data(), n);
    }
    if (body_error_) {
        if (body_error_ == beast::error::timeout) base_.front.metrics().refused("timeout");
        broken_ = body_error_.category() != make_error_code(http::error::bad_chunk).category();
        unread_ = true;
        co_return unreadable(body_error_);
    }
    if (broken_) co_return Response{};
    Response response;
    const bool ran = co_await on_worker(
        [this, &plan, &response] { response = base_.front.call(*plan.route, plan.request); }, false);
    if (!ran) {
        base_.front.metrics().refused("queue");
        response = busy();
    }
    co_return response;
}

template <class Stream>
asio::awaitable<Response> HttpSession<Stream>::streamed(Plan& plan) {
    std::unique_ptr<BodySink> sink;
    std::optional<Response> failure;
    const bool ran = co_await on_worker(
        [this, &plan, &sink, &failure] { sink = base_.front.open(*plan.route, plan.request, failure); }, false);
    if (!ran) {
        base_.front.metrics().refused("queue");
        co_return busy();
    }
    if (!failure) failure = co_await pump(plan, *sink);
    Response response;
    if (failure) response = std::move(*failure);
    // A sink may hold the store's transaction: it goes where handlers run.
    const bool finish = !failure && !broken_;
    co_await on_worker(
        [this, &plan, &sink, &response, finish] {
            if (finish) response = base_.front.finish(*sink, plan.request);
            sink.reset();
        },
        true);
    co_return response;
}

// Feeds the sink piece by piece; the next is read when the last was taken.
template <class Stream>
asio::awaitable<std::optional<Response>> HttpSession<Stream>::pump(Plan& plan, BodySink& sink) {
    broken_ = !co_await send_continue(plan);
    std::optional<Response> early;
    while (!broken_) {
        const std::size_t n = co_await read_piece(plan);
        if (n == 0) break;
        if (plan.trace.bytes_in > plan.route->limits.body_bytes)
            co_return body_too_large(plan.route->limits.body_bytes);
        co_await on_worker(
            [this, &plan, &sink, &early, n] {
                early = base_.front.feed(sink, plan.request, std::string_view(piece_.data(), n));
            },
            true);
        if (early) co_return early;
    }
    if (body_error_) {
        if (body_error_ == beast::error::timeout) base_.front.metrics().refused("timeout");
        broken_ = body_error_.category() != make_error_code(http::error::bad_chunk).category();
        unread_ = true;
        co_return unreadable(body_error_);
    }
    co_return std::nullopt;
}

template <class Stream>
asio::awaitable<bool> HttpSession<Stream>::write(std::string text) {
    error_code ec;
    expire_in(header_time() + std::chrono::seconds(static_cast<std::int64_t>(text.size()) /
                                                   options_.body_bytes_per_second));
    co_await asio::async_write(stream_, asio::buffer(text), asio::redirect_error(use_awaitable, ec));
    if (ec) broken_ = true;
    co_return !ec;
}

template <class Stream>
asio::awaitable<void> HttpSession<Stream>::linger() {
    error_code ec;
    lowest(stream_).socket().shutdown(asio::socket_base::shutdown_send, ec);
    expire_in(linger_time);
    for (std::size_t left = linger_bytes; !ec && left > 0;) {
        const std::size_t n =
            co_await lowest(stream_).async_read_some(asio::buffer(piece_), asio::redirect_error(use_awaitable, ec));
        left -= std::min(n, left);
    }
}

template <class Stream>
asio::awaitable<void> HttpSession<Stream>::close() {
    error_code ec;
    if constexpr (std::is_same_v<Stream, Tls>) {
        if (!broken_ && lowest(stream_).socket().is_open()) {
            expire_in(linger_time);
            co_await stream_.async_shutdown(asio::redirect_error(use_awaitable, ec));
        }
    }
    if (!broken_ && lowest(stream_).socket().is_open() &&
        (unread_ || lowest(stream_).socket().available(ec) > 0))
        co_await linger();
    lowest(stream_).close();
}

}  // namespace

std::shared_ptr<Session> make_session(const SessionBase& base, Socket socket, PeerName peer,
                                      std::shared_ptr<asio::ssl::context> tls) {
    if (!tls) return std::make_shared<HttpSession<Plain>>(base, std::move(peer), tls, std::move(socket));
    auto& context = *tls;
    return std::make_shared<HttpSession<Tls>>(base, std::move(peer), tls, Plain(std::move(socket)), context);
}

}  // namespace netpay::broker
