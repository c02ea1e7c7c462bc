#include "core/challenge.h"

#include <array>

#include "core/base64url.h"
#include "core/json.h"
#include "core/limits.h"

namespace netpay {

std::string encode_terms(const PaymentTerms& t) {
    return b64u_encode(json::Object()
                           .set("amount", t.amount.str())
                           .set("currency", t.currency.str())
                           .set("recipient", t.recipient)
                           .set("methodDetails", json::Object().set("brokers", t.brokers))
                           .jcs());
}

Result<PaymentTerms> parse_terms(std::string_view request) {
    const auto text = b64u_decode(request);
    if (!text) return {Code::malformed, "request is not base64url"};
    const auto doc = json::Document::parse(*text);
    if (!doc) return {doc.error().code, "request: " + doc.error().detail};
    const auto& v = doc->root();
    const auto amount = v.string("amount"), currency = v.string("currency"), recipient = v.string("recipient");
    const auto* details = v.object("methodDetails");
    const auto* brokers = details ? details->array("brokers") : nullptr;
    if (!amount || !currency || !recipient || !brokers)
        return {Code::malformed, "request: amount, currency, recipient and methodDetails.brokers are needed"};
    PaymentTerms t;
    const auto a = Amount::parse(*amount);
    const auto c = Currency::parse(*currency);
    if (!a || a->micro() == 0) return {Code::malformed, "request: amount"};
    if (!c) return {Code::malformed, "request: currency"};
    t.amount = *a;
    t.currency = *c;
    t.recipient = *recipient;
    for (const auto& b : *brokers) {
        const auto s = b.as_string();
        if (!s) return {Code::malformed, "request: brokers"};
        t.brokers.emplace_back(*s);
    }
    return t;
}

namespace {

// The text under the HMAC; nullopt if a parameter would blur the slots.
std::optional<std::string> id_text(const Challenge& c) {
    const std::array<std::string_view, 7> slots = {
        c.realm, c.method, c.intent, c.request, c.expires ? *c.expires : std::string_view{},
        c.digest ? *c.digest : std::string_view{}, c.opaque ? *c.opaque : std::string_view{}};
    std::string text;
    text.reserve(512);
    for (std::size_t i = 0; i < slots.size(); ++i) {
        if (slots[i].find('|') != std::string_view::npos) return std::nullopt;
        if (i) text += '|';
        text += slots[i];
    }
    if (c.header) {
        if (c.header->find('|') != std::string::npos) return std::nullopt;
        text += '|';
        text += *c.header;
    }
    return text;
}

}  // namespace

Result<std::string> challenge_id(const Challenge& c, const Hmac& secret) {
    const auto text = id_text(c);
    if (!text) return {Code::malformed, "a challenge parameter contains '|'"};
    return b64u_encode(secret.mac(*text));
}

bool verify_challenge_id(const Challenge& c, const Hmac& current, const Hmac* previous) {
    const auto text = id_text(c);
    const auto id = b64u_decode_array<32>(c.id);
    if (!text || !id) return false;
    return equal_ct(as_view(*id), as_view(current.mac(*text))) ||
           (previous && equal_ct(as_view(*id), as_view(previous->mac(*text))));
}

UnixTime challenge_expires(UnixTime now, std::int64_t life_s) {
    constexpr auto step = limits::challenge_step_s;
    return (now + life_s + step - 1) / step * step;
}

Tag16 resource_binding(std::string_view method, std::string_view uri) { return first16(sha256({method, " ", uri})); }

std::string encode_opaque(const Tag16& binding) {
    return b64u_encode(json::Object().set("b", b64u_encode(binding)).jcs());
}

std::optional<Tag16> parse_opaque(std::string_view opaque) {
    const auto text = b64u_decode(opaque);
    if (!text) return std::nullopt;
    const auto doc = json::Document::parse(*text);
    if (!doc) return std::nullopt;
    const auto b = doc->root().string("b");
    return b ? b64u_decode_array<16>(*b) : std::nullopt;
}

namespace {

struct Param {
    const char* name;
    std::string Challenge::*required;
    std::optional<std::string> Challenge::*optional;
};
constexpr Param params[] = {
    {"id", &Challenge::id, nullptr},           {"realm", &Challenge::realm, nullptr},
    {"method", &Challenge::method, nullptr},   {"intent", &Challenge::intent, nullptr},
    {"request", &Challenge::request, nullptr}, {"expires", nullptr, &Challenge::expires},
    {"digest", nullptr, &Challenge::digest},   {"opaque", nullptr, &Challenge::opaque},
    {"header", nullptr, &Challenge::header},
};

std::string quoted(std::string_view s) {
    std::string out = "\"";
    for (const char c : s) {
        if (c == '"' || c == '\\') out += '\\';
        out += c;
    }
    return out += '"';
}

bool token_char(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
           (c != '\0' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

std::string lower(std::string_view s) {
    std::string out(s);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

// Reads challenges of any scheme: scheme [ 1*SP ( token68 / #auth-param ) ].
class Scanner {
public:
    explicit Scanner(std::string_view s) : s_(s) {}

    void skip(std::string_view set) { while (at_ < s_.size() && set.find(s_[at_]) != std::string_view::npos) ++at_; }
    bool done() const { return at_ >= s_.size(); }
    bool peek(char c) const { return at_ < s_.size() && s_[at_] == c; }
    bool take(char c) { return peek(c) ? (++at_, true) : false; }
    std::string_view token() {
        const auto from = at_;
        while (at_ < s_.size() && token_char(s_[at_])) ++at_;
        return s_.substr(from, at_ - from);
    }
    std::optional<std::string> value() {
        if (!take('"')) {
            const auto t = token();
            if (t.empty()) return std::nullopt;
            return std::string(t);
        }
        std::string out;
        while (!done()) {
            char c = s_[at_++];
            if (c == '"') return out;
            if (c == '\\') {
                if (done()) return std::nullopt;
                c = s_[at_++];
            }
            out += c;
        }
        return std::nullopt;
    }
    // Passes over a token68 if one stands here and nothing else does before the next comma.
    void skip_token68() {
        const auto from = at_;
        while (at_ < s_.size() && (token_char(s_[at_]) || s_[at_] == '/')) ++at_;
        const bool some = at_ > from;
        skip("=");
        skip(" \t");
        if (!some || !(done() || peek(','))) at_ = from;
    }
    std::size_t position() const { return at_; }
    void back_to(std::size_t at) { at_ = at; }

private:
    std::string_view s_;
    std::size_t at_ = 0;
};

constexpr std::size_t most_challenges = 32;

}  // namespace

std::string format_challenge(const Challenge& c) {
    std::string out = "Payment ";
    for (const auto& p : params) {
        if (p.optional && !(c.*p.optional)) continue;
        if (out.back() != ' ') out += ", ";
        out += p.name;
        out += '=';
        out += quoted(p.required ? c.*p.required : *(c.*p.optional));
    }
    return out;
}

std::vector<Challenge> parse_challenges(std::string_view field) {
    std::vector<Challenge> out;
    Scanner s(field);
    for (std::size_t n = 0; n < most_challenges; ++n) {
        s.skip(" \t,");
        const std::string scheme = lower(s.token());
        if (scheme.empty()) break;
        Challenge c;
        bool clear = true;
        s.skip(" \t");
        s.skip_token68();
        for (;;) {
            const auto before = s.position();
            s.skip(" \t,");
            const std::string name = lower(s.token());
            s.skip(" \t");
            if (name.empty() || !s.take('=')) {  // the next scheme, or the end
                s.back_to(before);
                break;
            }
            s.skip(" \t");
            const auto value = s.value();
            if (!value) break;
            for (const auto& p : params) {
                if (name != p.name) continue;
                // Said twice, a parameter would be one thing to this reader and another to the next.
                if (p.required ? !(c.*p.required).empty() : (c.*p.optional).has_value()) clear = false;
                if (p.required) c.*p.required = *value;
                else c.*p.optional = *value;
            }
        }
        if (clear && scheme == "payment" && !c.id.empty() && !c.realm.empty() && !c.method.empty() && !c.intent.empty() &&
            !c.request.empty())
            out.push_back(std::move(c));
    }
    return out;
}

}  // namespace netpay
