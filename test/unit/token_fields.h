// For the suites of signed objects: a good payload whose members are taken
// away or replaced one by one. Each such token is signed correctly.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/jws.h"
#include "core_support.h"

namespace netpay::test {

// Member name → its JSON text.
using Fields = std::map<std::string, std::string>;

inline std::string text_of(const Fields& f) {
    std::string out = "{";
    for (const auto& [name, value] : f) out += (out.size() > 1 ? ",\"" : "\"") + name + "\":" + value;
    return out + "}";
}

inline std::string token_of(std::string_view typ, const Fields& f, const SigningKey& key) {
    const auto head = json::Object().set("alg", "EdDSA").set("kid", key.kid()).set("typ", typ).jcs();
    const auto text = b64u_encode(head) + "." + b64u_encode(text_of(f));
    return text + "." + b64u_encode(key.sign(text));
}

inline Fields fields_of(std::string_view token) {
    const auto doc = jws::peek(token);
    CPPUNIT_ASSERT(doc.ok());
    Fields f;
    for (const auto& m : doc->root()) {
        if (m.as_string()) f[std::string(m.name())] = json::quote(*m.as_string());
        else if (m.as_uint()) f[std::string(m.name())] = std::to_string(*m.as_uint());
    }
    return f;
}

// `accepts` must be true of the good token, and false of each that lacks one
// of `needed` or has it of another type.
inline void check_members(std::string_view typ, const Fields& good, const std::vector<std::string>& needed,
                          const SigningKey& key, const std::function<bool(const std::string&)>& accepts) {
    CPPUNIT_ASSERT(accepts(token_of(typ, good, key)));
    auto more = good;
    more["unknown"] = R"({"x":[1]})";
    CPPUNIT_ASSERT_MESSAGE("unknown members are ignored", accepts(token_of(typ, more, key)));
    for (const auto& name : needed) {
        auto f = good;
        f.erase(name);
        CPPUNIT_ASSERT_MESSAGE("without " + name, !accepts(token_of(typ, f, key)));
        const bool text = good.at(name)[0] == '"';
        for (const std::string wrong : {"null", "true", "[]", "-1", "1.0", text ? "7" : "\"7\""}) {
            f[name] = wrong;
            CPPUNIT_ASSERT_MESSAGE(name + ": " + wrong, !accepts(token_of(typ, f, key)));
        }
    }
}

}  // namespace netpay::test
