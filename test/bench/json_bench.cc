// Which JSON library reads a credential and a claim line fastest under the
// contract's rules (duplicate members refused, integers as integer tokens,
// depth bounded)? core/json over RapidJSON against simdjson, both to the same
// result: every member the caller needs, checked.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

#include "core/base64url.h"
#include "core/claim.h"
#include "core/json.h"
#include "core/payword.h"

#ifdef HAVE_SIMDJSON
#include <simdjson.h>
#endif

namespace {

using Clock = std::chrono::steady_clock;

// The longest credential of everyday use: a session challenge and no touchstone.
const std::string credential =
    R"({"challenge":{"expires":"2026-11-22T12:05:00Z","id":"aRRu8W4EhHTdO8p_Nh9-cIsis0EJmqHwjHtx09zV25A","intent":"session",)"
    R"("method":"netpay","realm":"news","request":"eyJhbW91bnQiOiIyMDAwMCIsImN1cnJlbmN5IjoidXVzZCIsIm1ldGhvZERldGFpbHMiOnsiYnJva2VycyI6)"
    R"(WyJodHRwczovL2Jyb2tlci5leGFtcGxlIl19LCJyZWNpcGllbnQiOiJodHRwczovL25ld3MuZXhhbXBsZSJ9"},)"
    R"("payload":{"coin":"A_HjtEXqI6u9MlXlOg8k4Q","index":20,"payword":"Mr4gtJozj5PGBJfvgOWcm-R0YubK4aU-8_8xoXf2CqU"}})";
const std::string claim =
    R"({"coin":"A_HjtEXqI6u9MlXlOg8k4Q","from":0,"payword":"Mr4gtJozj5PGBJfvgOWcm-R0YubK4aU-8_8xoXf2CqU","to":20})";

constexpr int rounds = 300000;

template <class Read>
void measure(const char* what, const std::string& text, Read read) {
    std::size_t sum = 0;
    for (int i = 0; i < rounds / 10; ++i) sum += read(text);
    double best = 1e9;
    for (int repeat = 0; repeat < 5; ++repeat) {
        const auto t = Clock::now();
        for (int i = 0; i < rounds; ++i) sum += read(text);
        best = std::min(best, std::chrono::duration<double, std::nano>(Clock::now() - t).count() / rounds);
    }
    if (sum == 0) std::abort();
    std::printf("%-44s %7.0f ns\n", what, best);
}

std::size_t core_credential(const std::string& text) {
    const auto doc = netpay::json::Document::parse(text);
    if (!doc) return 0;
    const auto *c = doc->root().object("challenge"), *p = doc->root().object("payload");
    if (!c || !p) return 0;
    std::size_t sum = 0;
    for (const char* name : {"id", "realm", "method", "intent", "request", "expires"}) sum += c->string(name)->size();
    return sum + p->string("coin")->size() + *p->uint("index") + p->string("payword")->size();
}

std::size_t core_claim(const std::string& text) {
    const auto doc = netpay::json::Document::parse(text);
    if (!doc) return 0;
    const auto& v = doc->root();
    return v.string("coin")->size() + *v.uint("from") + *v.uint("to") + v.string("payword")->size();
}

#ifdef HAVE_SIMDJSON

// What simdjson leaves to its caller.
bool no_duplicates(simdjson::dom::object o) {
    for (auto i = o.begin(); i != o.end(); ++i) {
        for (auto j = o.begin(); j != i; ++j)
            if ((*i).key == (*j).key) return false;
        simdjson::dom::object inner;
        if ((*i).value.get(inner) == simdjson::SUCCESS && !no_duplicates(inner)) return false;
    }
    return true;
}

std::size_t dom_string(simdjson::dom::object o, const char* name) {
    std::string_view s;
    return o[name].get(s) == simdjson::SUCCESS ? s.size() : 0;
}

std::size_t dom_uint(simdjson::dom::object o, const char* name) {
    simdjson::dom::element e;
    if (o[name].get(e) != simdjson::SUCCESS || (!e.is<std::int64_t>() && !e.is<std::uint64_t>())) return 0;
    std::uint64_t u = 0;
    return e.get(u) == simdjson::SUCCESS && u < (1ull << 53) ? u : 0;
}

// `copied`: the text has no room for simdjson's padding behind it, as a header field of httpd has not.
template <bool copied>
std::size_t dom_credential(const std::string& text) {
    thread_local simdjson::dom::parser parser(8192);
    thread_local const simdjson::padded_string padded(text);
    simdjson::dom::object o, c, p;
    const auto root = copied ? parser.parse(text.data(), text.size(), true) : parser.parse(padded);
    if (root.get(o) != simdjson::SUCCESS || !no_duplicates(o)) return 0;
    if (o["challenge"].get(c) != simdjson::SUCCESS || o["payload"].get(p) != simdjson::SUCCESS) return 0;
    std::size_t sum = 0;
    for (const char* name : {"id", "realm", "method", "intent", "request", "expires"}) sum += dom_string(c, name);
    return sum + dom_string(p, "coin") + dom_uint(p, "index") + dom_string(p, "payword");
}

std::size_t dom_claim(const std::string& text) {
    thread_local simdjson::dom::parser parser(8192);
    simdjson::dom::object o;
    if (parser.parse(text.data(), text.size(), true).get(o) != simdjson::SUCCESS || !no_duplicates(o)) return 0;
    return dom_string(o, "coin") + dom_uint(o, "from") + dom_uint(o, "to") + dom_string(o, "payword");
}

#endif

}  // namespace

int main() {
    std::printf("credential of %zu bytes, claim of %zu bytes\n", credential.size(), claim.size());
    measure("credential, core/json (RapidJSON)", credential, core_credential);
    measure("claim,      core/json (RapidJSON)", claim, core_claim);
#ifdef HAVE_SIMDJSON
    std::printf("simdjson %s, %s\n", SIMDJSON_STRINGIFY(SIMDJSON_VERSION), simdjson::get_active_implementation()->name().c_str());
    measure("credential, simdjson, text copied and padded", credential, dom_credential<true>);
    measure("credential, simdjson, text padded already", credential, dom_credential<false>);
    measure("claim,      simdjson, text copied and padded", claim, dom_claim);
#else
    std::puts("simdjson is not installed (Debian package libsimdjson-dev): only core/json was measured");
#endif
}
