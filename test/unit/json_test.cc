#include "core/json.h"

#include "core/limits.h"
#include "core_support.h"

namespace netpay::test {
namespace {

using json::Document;
using json::Kind;
using json::Object;

class JsonTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(JsonTest);
    CPPUNIT_TEST(reads_every_kind);
    CPPUNIT_TEST(walks_nested_values);
    CPPUNIT_TEST(integers_are_integer_tokens);
    CPPUNIT_TEST(integers_end_at_2_53);
    CPPUNIT_TEST(refuses_what_is_not_json);
    CPPUNIT_TEST(refuses_duplicate_members);
    CPPUNIT_TEST(refuses_bad_utf8);
    CPPUNIT_TEST(refuses_lone_surrogates);
    CPPUNIT_TEST(escapes);
    CPPUNIT_TEST(depth_is_limited);
    CPPUNIT_TEST(width_is_limited);
    CPPUNIT_TEST(values_are_limited);
    CPPUNIT_TEST(wrong_kinds_read_as_absent);
    CPPUNIT_TEST(survives_moves);
    CPPUNIT_TEST_SUITE_END();

    static Document parse(std::string_view text) {
        auto d = Document::parse(text);
        CPPUNIT_ASSERT_MESSAGE(std::string(text) + ": " + (d ? "" : d.error().detail), d.ok());
        return std::move(*d);
    }
    static void refuse(std::string_view text, Code code = Code::malformed) {
        const auto d = Document::parse(text);
        CPPUNIT_ASSERT_MESSAGE("taken: " + std::string(text.substr(0, 60)), !d.ok());
        CPPUNIT_ASSERT_MESSAGE(d.error().detail, d.error().code == code);
        CPPUNIT_ASSERT(!d.error().detail.empty());
    }

    void reads_every_kind() {
        const auto d = parse(R"( {"n":null,"t":true,"f":false,"i":42,"m":-1,"d":1.5,"s":"x","a":[],"o":{}} )");
        const auto& v = d.root();
        CPPUNIT_ASSERT(v.is_object() && v.size() == 9);
        const Kind kinds[] = {Kind::null, Kind::boolean, Kind::boolean, Kind::integer, Kind::integer,
                              Kind::other_number, Kind::string, Kind::array, Kind::object};
        std::size_t k = 0;
        for (const auto& m : v) CPPUNIT_ASSERT(m.kind() == kinds[k++]);
        CPPUNIT_ASSERT(v.find("t")->as_bool() == true && v.find("f")->as_bool() == false);
        CPPUNIT_ASSERT(v.uint("i") == 42u);
        CPPUNIT_ASSERT(!v.uint("m"));
        CPPUNIT_ASSERT(v.string("s") == "x"sv);
        CPPUNIT_ASSERT(v.array("a")->size() == 0 && v.object("o")->size() == 0);
        CPPUNIT_ASSERT(parse("7").root().as_uint() == 7u);
        CPPUNIT_ASSERT(parse("\"\"").root().as_string() == ""sv);
    }

    void walks_nested_values() {
        const auto d = parse(R"({"a":[{"x":1,"y":[2,3]},{"x":4}],"b":5})");
        CPPUNIT_ASSERT(d.root().uint("b") == 5u);
        const auto& a = *d.root().array("a");
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, a.size());
        auto i = a.begin();
        CPPUNIT_ASSERT(i->uint("x") == 1u && i->array("y")->size() == 2);
        ++i;
        CPPUNIT_ASSERT(i->uint("x") == 4u && !i->find("y") && !i->find("b"));
    }

    void integers_are_integer_tokens() {
        for (const char* text : {"1.0", "1e0", "1E2", "-1", "-0", "0.0", "\"1\"", "true", "null", "[1]"})
            CPPUNIT_ASSERT_MESSAGE(text, !parse("{\"v\":"s + text + "}").root().uint("v"));
        for (const char* text : {"01", "+1", "1.", ".5", "1e", "0x1", "- 1", "1_0", "NaN", "Infinity", "-", "1e999"})
            refuse("{\"v\":"s + text + "}");
    }

    void integers_end_at_2_53() {
        CPPUNIT_ASSERT(parse("[0]").root().begin()->as_uint() == 0u);
        CPPUNIT_ASSERT(parse("[9007199254740991]").root().begin()->as_uint() == limits::max_amount);
        for (const char* n : {"9007199254740992", "9223372036854775808", "18446744073709551615", "18446744073709551616",
                              "100000000000000000000000000000000", "-9223372036854775808", "-9223372036854775809"})
            CPPUNIT_ASSERT_MESSAGE(n, !parse("["s + n + "]").root().begin()->as_uint());
    }

    void refuses_what_is_not_json() {
        for (const auto text :
             {""sv, " "sv, "{"sv, "}"sv, "{}}"sv, "{} x"sv, "{}{}"sv, "[1,]"sv, "{\"a\":1,}"sv, "{a:1}"sv, "{'a':1}"sv,
              "[1 2]"sv, "{\"a\" 1}"sv, "nul"sv, "True"sv, "\"a"sv, "\"\\x\""sv, "\"\\u12\""sv, "\"\\u12g4\""sv,
              "/**/1"sv, "1//"sv, "\xef\xbb\xbf{}"sv, "{}\0"sv, "\0"sv, "{\"a\0\":1}"sv, "\"a\nb\""sv, "\"\x01\""sv,
              "\"\x1f\""sv, "[\"a\",\0]"sv, "{\"a\"}"sv, "{1:2}"sv, ","sv, "[,1]"sv, "\v1"sv, "\xc2\xa0{}"sv})
            refuse(text);
    }

    void refuses_duplicate_members() {
        refuse(R"({"a":1,"a":1})");
        refuse(R"({"a":1,"b":{"x":1},"a":2})");
        refuse(R"({"o":{"x":1,"y":[1],"x":2}})");
        refuse(R"([{"x":1,"\u0078":2}])");  // the same name, written otherwise
        refuse(R"({"":1,"":2})");
        parse(R"({"a":{"a":{"a":1}},"b":{"a":1}})");
        parse(R"([{"a":1},{"a":1}])");
    }

    void refuses_bad_utf8() {
        for (const auto bytes : {"\x80"sv, "\xbf"sv, "\xc0\xaf"sv, "\xc1\xbf"sv, "\xc3"sv, "\xc3("sv, "\xe0\x9f\xbf"sv,
                                 "\xe2\x82"sv, "\xed\xa0\x80"sv, "\xed\xbf\xbf"sv, "\xf0\x8f\xbf\xbf"sv, "\xf0\x9f\x98"sv,
                                 "\xf4\x90\x80\x80"sv, "\xf5\x80\x80\x80"sv, "\xfe"sv, "\xff"sv}) {
            refuse("\""s + std::string(bytes) + "\"");
            refuse("{\"" + std::string(bytes) + "\":1}");
            refuse("\""s + std::string(bytes));  // the text ends where more bytes were promised
        }
        for (const auto bytes : {"\x7f"sv, "\xc2\x80"sv, "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xed\x9f\xbf"sv, "\xee\x80\x80"sv,
                                 "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv, "\xf4\x8f\xbf\xbf"sv})
            CPPUNIT_ASSERT(parse("\""s + std::string(bytes) + "\"").root().as_string() == bytes);
    }

    void refuses_lone_surrogates() {
        for (const char* text : {R"("\ud800")", R"("\ud800x")", R"("\ud800\n")", R"("\ud800\u0041")", R"("\ud800\ud800")",
                                 R"("\udbff")", R"("\udc00")", R"("x\udfff")", R"({"\udc00":1})", R"("\uDC00\uD800")",
                                 R"("\ud83d\ude00\ude00")"})
            refuse(text);
        CPPUNIT_ASSERT(parse(R"("\ud83d\ude00")").root().as_string() == "\xf0\x9f\x98\x80"sv);
        CPPUNIT_ASSERT(parse(R"("\ud7ff\ue000")").root().as_string() == "\xed\x9f\xbf\xee\x80\x80"sv);
    }

    void escapes() {
        CPPUNIT_ASSERT(parse(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20ac")").root().as_string() ==
                       "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac"sv);
        CPPUNIT_ASSERT(parse(R"("a\u0000b")").root().as_string() == "a\0b"sv);
        CPPUNIT_ASSERT(parse(R"({"\u0061":1})").root().uint("a") == 1u);
    }

    static std::string nested(std::size_t depth, char open, char close) {
        std::string out;
        for (std::size_t i = 0; i < depth; ++i) out += open == '{' ? i + 1 < depth ? "{\"a\":" : "{" : "[";
        return out + std::string(depth, close);
    }

    void depth_is_limited() {
        parse(nested(limits::json_depth, '[', ']'));
        parse(nested(limits::json_depth, '{', '}'));
        refuse(nested(limits::json_depth + 1, '[', ']'), Code::limit);
        refuse(nested(limits::json_depth + 1, '{', '}'), Code::limit);
        refuse(std::string(1000000, '['), Code::limit);
        std::string objects;
        for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
        refuse(objects, Code::limit);
    }

    static std::string wide(std::size_t members) {
        std::string out = "{";
        for (std::size_t i = 0; i < members; ++i) out += (i ? ",\"m" : "\"m") + std::to_string(i) + "\":0";
        return out + "}";
    }

    void width_is_limited() {
        CPPUNIT_ASSERT_EQUAL(limits::json_members, parse(wide(limits::json_members)).root().size());
        refuse(wide(limits::json_members + 1), Code::limit);
    }

    void values_are_limited() {
        std::string array = "[0";
        for (std::size_t i = 2; i < limits::json_values; ++i) array += ",0";
        CPPUNIT_ASSERT_EQUAL(limits::json_values - 1, parse(array + "]").root().size());
        refuse(array + ",0]", Code::limit);
    }

    void wrong_kinds_read_as_absent() {
        const auto d = parse(R"({"s":"1","i":1,"a":[],"o":{}})");
        const auto& v = d.root();
        CPPUNIT_ASSERT(!v.string("i") && !v.string("a") && !v.string("none"));
        CPPUNIT_ASSERT(!v.uint("s") && !v.uint("o") && !v.uint("none"));
        CPPUNIT_ASSERT(!v.object("a") && !v.array("o") && !v.object("none"));
        CPPUNIT_ASSERT(!v.find("i")->find("x") && !parse("[1]").root().find("x"));
        CPPUNIT_ASSERT_EQUAL(std::size_t{0}, v.find("i")->size());
    }

    void survives_moves() {
        auto d = parse(R"({"name":"a value long enough to have a place of its own","n":[1,2]})");
        const auto moved = std::move(d);
        CPPUNIT_ASSERT(moved.root().string("name") == "a value long enough to have a place of its own"sv);
        CPPUNIT_ASSERT_EQUAL(std::size_t{2}, moved.root().array("n")->size());
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(JsonTest);

class JcsTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(JcsTest);
    CPPUNIT_TEST(members_are_sorted);
    CPPUNIT_TEST(strings_are_escaped_as_rfc8785_says);
    CPPUNIT_TEST(values);
    CPPUNIT_TEST(what_is_written_reads_back);
    CPPUNIT_TEST_SUITE_END();

    void members_are_sorted() {
        CPPUNIT_ASSERT_EQUAL(R"({"":3,"1":2,"10":1,"Z":6,"a":5,"aa":4})"s, Object()
                                                                              .set("10", std::uint64_t{1})
                                                                              .set("1", std::uint64_t{2})
                                                                              .set("", std::uint64_t{3})
                                                                              .set("aa", std::uint64_t{4})
                                                                              .set("a", std::uint64_t{5})
                                                                              .set("Z", std::uint64_t{6})
                                                                              .jcs());
        CPPUNIT_ASSERT_EQUAL(R"({"a":"2"})"s, Object().set("a", "1").set("a", "2").jcs());
    }

    void strings_are_escaped_as_rfc8785_says() {
        CPPUNIT_ASSERT_EQUAL("\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0000\\u000b\\u001f\x7f\xe2\x82\xac\""s,
                             json::quote("\"\\/\b\f\n\r\t\0\v\x1f\x7f\xe2\x82\xac"sv));
    }

    void values() {
        CPPUNIT_ASSERT_EQUAL("{}"s, Object().jcs());
        CPPUNIT_ASSERT(Object().empty());
        CPPUNIT_ASSERT_EQUAL(
            R"({"a":["x","y"],"e":[],"l":[{"k":1},{}],"n":null,"o":{"b":true},"u":9007199254740991})"s,
            Object()
                .set("u", std::uint64_t{limits::max_amount})
                .set("o", Object().set("b", true))
                .set("a", std::vector<std::string>{"x", "y"})
                .set("e", std::vector<std::string>{})
                .set("l", std::vector<Object>{Object().set("k", std::uint64_t{1}), Object()})
                .set_null("n")
                .jcs());
    }

    void what_is_written_reads_back() {
        Random random(2);
        for (int round = 0; round < 300; ++round) {
            std::string text;
            for (auto n = random.below(20); n > 0; --n) text += static_cast<char>(random.below(128));
            const auto written = Object().set("t", text).jcs();
            const auto d = Document::parse(written);
            CPPUNIT_ASSERT_MESSAGE(written, d.ok());
            CPPUNIT_ASSERT(d->root().string("t") == text);
        }
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(JcsTest);

}  // namespace
}  // namespace netpay::test
