#include "core/json.h"

#include <algorithm>
#include <cstring>
#include <iterator>

// Strings are skipped sixteen bytes at a time where the machine can; a
// credential is nearly all string.
#if defined(__SSE2__)
#define RAPIDJSON_SSE2
#elif defined(__ARM_NEON)
#define RAPIDJSON_NEON
#endif
#include <rapidjson/error/en.h>
#include <rapidjson/reader.h>

namespace netpay::json {

// Receives RapidJSON's events and lays the values out in pre-order.
class Builder {
public:
    using Ch = char;
    using SizeType = rapidjson::SizeType;

    // escapes: whether the text contains a backslash at all.
    Builder(Document& d, bool escapes, std::size_t most, std::size_t deepest)
        : d_(d), escapes_(escapes), most_(most), deepest_(std::min(deepest, std::size(stack_))) {
        d_.values_.reserve(21);  // a credential fits; one more, and malloc would tidy its heap for it each time
    }

    bool Null() { return add(Kind::null); }
    bool Bool(bool b) { return add(Kind::boolean, b); }
    bool Int(int i) { return Int64(i); }
    bool Uint(unsigned u) { return Uint64(u); }
    bool Uint64(std::uint64_t u) { return add(Kind::integer, u); }
    // RapidJSON calls this for a minus sign only, so "-0" is negative too.
    bool Int64(std::int64_t i) {
        if (!add(Kind::integer, 0 - static_cast<std::uint64_t>(i))) return false;
        d_.values_.back().negative_ = true;
        return true;
    }
    bool Double(double) { return add(Kind::other_number); }
    bool RawNumber(const Ch*, SizeType, bool) { return false; }
    bool String(const Ch* s, SizeType n, bool) {
        if (!whole({s, n}) || !add(Kind::string)) return false;
        d_.values_.back().text_ = {s, n};
        return true;
    }
    bool StartObject() { return open(Kind::object); }
    bool StartArray() { return open(Kind::array); }
    bool EndObject(SizeType) { return close(); }
    bool EndArray(SizeType) { return close(); }
    bool Key(const Ch* s, SizeType n, bool) {
        const std::string_view key(s, n);
        if (!whole(key)) return false;
        const Value& object = d_.values_[stack_[depth_ - 1]];
        // A second member of the same name: readers would differ about which counts.
        const Value* end = d_.values_.data() + d_.values_.size();
        std::size_t members = 0;
        for (const Value* v = &object + 1; v < end; v += v->span_) {
            if (v->name_ == key) { why_ = "duplicate member"; return false; }
            if (++members == limits::json_members) return over("too many members");
        }
        name_ = key;
        return true;
    }

    const char* why() const { return why_; }
    Code code() const { return code_; }

private:
    bool add(Kind kind, std::uint64_t number = 0) {
        if (d_.values_.size() >= most_) return over("too many values");
        Value v;
        v.kind_ = kind;
        v.number_ = number;
        v.name_ = name_;
        name_ = {};
        d_.values_.push_back(v);
        return true;
    }
    bool open(Kind kind) {
        if (depth_ == deepest_) return over("nested too deeply");
        if (!add(kind)) return false;
        stack_[depth_++] = d_.values_.size() - 1;
        return true;
    }
    bool close() {
        const std::size_t at = stack_[--depth_];
        d_.values_[at].span_ = static_cast<std::uint32_t>(d_.values_.size() - at);
        return true;
    }
    // An escaped low surrogate that stands alone becomes three bytes that are
    // not UTF-8. Nothing else in a text that is begins ED A0 … ED BF.
    bool whole(std::string_view s) {
        if (!escapes_) return true;
        for (auto at = s.find('\xed'); at != std::string_view::npos; at = s.find('\xed', at + 1)) {
            if (static_cast<unsigned char>(s[at + 1]) < 0xa0) continue;
            why_ = "lone surrogate";
            return false;
        }
        return true;
    }
    bool over(const char* why) { why_ = why; code_ = Code::limit; return false; }

    Document& d_;
    bool escapes_;
    std::size_t most_;
    std::size_t deepest_;
    std::size_t stack_[limits::json_depth_of_others];
    std::size_t depth_ = 0;
    std::string_view name_;
    const char* why_ = nullptr;
    Code code_ = Code::malformed;
};

namespace {

// RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF. RapidJSON's
// own check looks at every byte of a string, reads past the end of a text that
// stops short, and costs four times the rest of the parsing.
bool is_utf8(std::string_view text) {
    const auto* p = reinterpret_cast<const unsigned char*>(text.data());
    const auto* const end = p + text.size();
    while (p < end) {
        std::uint64_t eight;
        if (end - p >= 8 && (std::memcpy(&eight, p, 8), (eight & 0x8080808080808080) == 0)) {
            p += 8;
            continue;
        }
        const unsigned char lead = *p++;
        if (lead < 0x80) continue;
        const int more = lead < 0xc2 ? 0 : lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : lead < 0xf5 ? 3 : 0;
        if (more == 0 || end - p < more) return false;
        // The second byte's range is narrower after four of the leading bytes.
        const unsigned char low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
        const unsigned char high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
        if (*p < low || *p > high) return false;
        for (int i = 1; i < more; ++i)
            if (p[i] < 0x80 || p[i] > 0xbf) return false;
        p += more;
    }
    return true;
}

}  // namespace

Result<Document> Document::parse(std::string_view text, std::size_t values, std::size_t depth) {
    // The parser takes a NUL for the end of its input.
    if (text.find('\0') != std::string_view::npos) return {Code::malformed, "NUL byte in JSON"};
    if (!is_utf8(text)) return {Code::malformed, "JSON that is not UTF-8"};
    Document d;
    // The NUL that ends the text, and room for the last of the parser's reads of sixteen bytes.
    constexpr std::size_t behind = 32;
    d.text_ = std::make_unique_for_overwrite<char[]>(text.size() + behind);
    text.copy(d.text_.get(), text.size());  // unlike memcpy, an empty view may be null
    std::memset(d.text_.get() + text.size(), 0, behind);
    rapidjson::InsituStringStream in(d.text_.get());
    rapidjson::Reader reader;
    Builder builder(d, text.find('\\') != std::string_view::npos, values, depth);
    const auto r = reader.Parse<rapidjson::kParseInsituFlag>(in, builder);
    if (r.IsError()) {
        if (builder.why()) return {builder.code(), builder.why()};
        return {Code::malformed, std::string("not JSON: ") + rapidjson::GetParseError_En(r.Code())};
    }
    return d;
}

const Value& Document::root() const { return values_.front(); }

const Value* Value::find(std::string_view name) const {
    if (kind_ != Kind::object) return nullptr;
    for (const Value& v : *this)
        if (v.name_ == name) return &v;
    return nullptr;
}

std::optional<std::string_view> Value::as_string() const {
    if (kind_ != Kind::string) return std::nullopt;
    return text_;
}

std::optional<std::uint64_t> Value::as_uint() const {
    if (kind_ != Kind::integer || negative_ || number_ > limits::max_amount) return std::nullopt;
    return number_;
}

std::optional<bool> Value::as_bool() const {
    if (kind_ != Kind::boolean) return std::nullopt;
    return number_ != 0;
}

std::optional<std::string_view> Value::string(std::string_view name) const {
    const Value* v = find(name);
    return v ? v->as_string() : std::nullopt;
}

std::optional<std::uint64_t> Value::uint(std::string_view name) const {
    const Value* v = find(name);
    return v ? v->as_uint() : std::nullopt;
}

const Value* Value::object(std::string_view name) const {
    const Value* v = find(name);
    return v && v->is_object() ? v : nullptr;
}

const Value* Value::array(std::string_view name) const {
    const Value* v = find(name);
    return v && v->is_array() ? v : nullptr;
}

std::size_t Value::size() const {
    if (kind_ != Kind::object && kind_ != Kind::array) return 0;
    std::size_t n = 0;
    for (auto i = begin(); i != end(); ++i) ++n;
    return n;
}

std::string quote(std::string_view text) {
    static constexpr char hex[] = "0123456789abcdef";
    std::string out;
    out.reserve(text.size() + 2);
    out += '"';
    std::size_t plain = 0;  // where the characters begin that stand for themselves
    for (std::size_t i = 0; i < text.size(); ++i) {
        const auto c = static_cast<unsigned char>(text[i]);
        if (c >= 0x20 && c != '"' && c != '\\') continue;
        out.append(text, plain, i - plain);
        plain = i + 1;
        out += '\\';
        switch (c) {
            case '"':
            case '\\': out += text[i]; break;
            case '\b': out += 'b'; break;
            case '\f': out += 'f'; break;
            case '\n': out += 'n'; break;
            case '\r': out += 'r'; break;
            case '\t': out += 't'; break;
            default: out.append("u00").append(1, hex[c >> 4]).append(1, hex[c & 15]);
        }
    }
    return out.append(text, plain).append(1, '"');
}

namespace {
template <class Items, class Text>
std::string list(const Items& items, Text text) {
    std::string out = "[";
    for (const auto& i : items) {
        if (out.size() > 1) out += ',';
        out += text(i);
    }
    return out += ']';
}
}  // namespace

Object& Object::set(std::string_view name, std::string_view value) {
    members_.insert_or_assign(std::string(name), quote(value));
    return *this;
}
Object& Object::set(std::string_view name, std::uint64_t value) {
    members_.insert_or_assign(std::string(name), std::to_string(value));
    return *this;
}
Object& Object::set(std::string_view name, bool value) {
    members_.insert_or_assign(std::string(name), value ? "true" : "false");
    return *this;
}
Object& Object::set(std::string_view name, const Object& value) {
    members_.insert_or_assign(std::string(name), value.jcs());
    return *this;
}
Object& Object::set(std::string_view name, const std::vector<std::string>& strings) {
    members_.insert_or_assign(std::string(name), list(strings, [](const std::string& s) { return quote(s); }));
    return *this;
}
Object& Object::set(std::string_view name, const std::vector<Object>& objects) {
    members_.insert_or_assign(std::string(name), list(objects, [](const Object& o) { return o.jcs(); }));
    return *this;
}
Object& Object::set_integer(std::string_view name, std::int64_t value) {
    members_.insert_or_assign(std::string(name), std::to_string(value));
    return *this;
}
Object& Object::set_null(std::string_view name) {
    members_.insert_or_assign(std::string(name), "null");
    return *this;
}

std::string Object::jcs() const {
    std::string out = "{";
    for (const auto& [name, value] : members_) {
        if (out.size() > 1) out += ',';
        out += quote(name);
        out += ':';
        out += value;
    }
    return out += '}';
}

}  // namespace netpay::json
