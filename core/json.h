// JSON as the contract wants it: a strict reader (RFC 8259; duplicate members,
// bad UTF-8, trailing text and excessive depth are errors; integers are
// integer tokens) and a canonical writer (RFC 8785, JCS).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/limits.h"
#include "core/result.h"

namespace netpay::json {

enum class Kind : std::uint8_t { null, boolean, integer, other_number, string, array, object };

class Value;

// A parsed text. Values and string views point into it and live as long.
class Document {
public:
    // Parses a whole text. Errors: malformed (not JSON, duplicate member),
    // limit (deeper or wider than core/limits.h allows, or more values than this).
    // depth: for what others define; at most limits::json_depth_of_others.
    static Result<Document> parse(std::string_view text, std::size_t values = limits::json_values,
                                  std::size_t depth = limits::json_depth);

    Document(Document&&) noexcept = default;
    Document& operator=(Document&&) noexcept = default;

    const Value& root() const;

private:
    friend class Builder;
    Document() = default;
    std::unique_ptr<char[]> text_;  // unescaped in place by the parser; stable under moves
    std::vector<Value> values_;     // pre-order
};

class Value {
public:
    Kind kind() const { return kind_; }
    bool is_object() const { return kind_ == Kind::object; }
    bool is_array() const { return kind_ == Kind::array; }

    // The member of an object, or null. Unknown members are for the caller to ignore.
    const Value* find(std::string_view name) const;

    // Members of the wanted kind; nullopt if absent or of another kind.
    std::optional<std::string_view> string(std::string_view name) const;
    std::optional<std::uint64_t> uint(std::string_view name) const;  // 0 … 2^53 - 1
    const Value* object(std::string_view name) const;
    const Value* array(std::string_view name) const;

    // This value itself.
    std::optional<std::string_view> as_string() const;
    std::optional<std::uint64_t> as_uint() const;
    std::optional<bool> as_bool() const;
    std::string_view name() const { return name_; }  // as a member of its object

    // Elements of an array, or members of an object, in the order of the text.
    class Iterator {
    public:
        explicit Iterator(const Value* v) : v_(v) {}
        const Value& operator*() const { return *v_; }
        const Value* operator->() const { return v_; }
        Iterator& operator++() { v_ += v_->span_; return *this; }
        bool operator!=(const Iterator& o) const { return v_ != o.v_; }
    private:
        const Value* v_;
    };
    Iterator begin() const { return Iterator(this + 1); }
    Iterator end() const { return Iterator(this + span_); }
    std::size_t size() const;

private:
    friend class Builder;
    Kind kind_ = Kind::null;
    bool negative_ = false;
    std::uint32_t span_ = 1;       // this value and all below it, in Document::values_
    std::uint64_t number_ = 0;     // integer: magnitude; boolean: 0 or 1
    std::string_view text_;        // string
    std::string_view name_;
};

// An object to be written in canonical form. Member names are ASCII, so that
// byte order is the UTF-16 order of RFC 8785. Values are valid UTF-8.
class Object {
public:
    Object& set(std::string_view name, std::string_view value);
    Object& set(std::string_view name, const char* value) { return set(name, std::string_view(value)); }
    Object& set(std::string_view name, const std::string& value) { return set(name, std::string_view(value)); }
    Object& set(std::string_view name, std::uint64_t value);   // below 2^53
    Object& set(std::string_view name, bool value);
    Object& set(std::string_view name, const Object& value);
    Object& set(std::string_view name, const std::vector<std::string>& strings);
    Object& set(std::string_view name, const std::vector<Object>& objects);
    Object& set_null(std::string_view name);
    Object& set_integer(std::string_view name, std::int64_t value);  // magnitude below 2^53

    bool empty() const { return members_.empty(); }
    std::string jcs() const;

private:
    std::map<std::string, std::string, std::less<>> members_;  // name → its value's text
};

// A JSON string literal with quotes, escaped as RFC 8785 section 3.2.2.2 says.
std::string quote(std::string_view text);

}  // namespace netpay::json
