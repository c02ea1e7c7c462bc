#include "mod_netpay/excerpt.h"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "mod_netpay/text.h"

namespace netpay {
namespace {

constexpr std::string_view teaser_begin = "<!-- netpay-teaser -->", teaser_end = "<!-- /netpay-teaser -->";
constexpr auto npos = std::string_view::npos;

bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool begins_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }

// Elements whose content is not the page's text.
bool dropped(std::string_view name) {
    for (const char* n : {"head", "script", "style", "template", "noscript", "svg", "math", "iframe", "object", "select", "textarea", "nav", "title"})
        if (name == n) return true;
    return false;
}

void append_utf8(std::string& out, std::uint32_t c) {
    const auto put = [&](std::uint32_t b) { out += static_cast<char>(b); };
    if (c < 0x80) {
        put(c);
    } else if (c < 0x800) {
        put(0xc0 | c >> 6);
        put(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        put(0xe0 | c >> 12);
        put(0x80 | (c >> 6 & 0x3f));
        put(0x80 | (c & 0x3f));
    } else {
        put(0xf0 | c >> 18);
        put(0x80 | (c >> 12 & 0x3f));
        put(0x80 | (c >> 6 & 0x3f));
        put(0x80 | (c & 0x3f));
    }
}

// The character reference at the front of text ("&amp;"), appended to out;
// the number of bytes it takes, 0 if it is none that is known here.
std::size_t reference(std::string_view text, std::string& out) {
    struct Named { std::string_view name, value; };
    static constexpr Named known[] = {{"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", " "},
                                      {"ndash", "–"}, {"mdash", "—"}, {"hellip", "…"}, {"lsquo", "‘"}, {"rsquo", "’"},
                                      {"ldquo", "“"}, {"rdquo", "”"}, {"shy", ""}, {"euro", "€"}};
    const auto end = text.substr(0, 12).find(';');
    if (end == npos || end < 2) return 0;
    auto name = text.substr(1, end - 1);
    if (name[0] != '#') {
        for (const auto& k : known) {
            if (k.name != name) continue;
            out += k.value;
            return end + 1;
        }
        return 0;
    }
    name.remove_prefix(1);
    const int base = !name.empty() && (name[0] == 'x' || name[0] == 'X') ? 16 : 10;
    if (base == 16) name.remove_prefix(1);
    std::uint32_t c = 0;
    const auto [stop, ec] = std::from_chars(name.data(), name.data() + name.size(), c, base);
    const bool good = ec == std::errc{} && stop == name.data() + name.size() && c >= 0x20 && c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
    if (!good) return 0;
    append_utf8(out, c);
    return end + 1;
}

// A tag at the front of html: its name in lower case, and its length.
struct Tag {
    std::string name;
    bool closing = false;
    std::size_t length = 0;
};
Tag tag_at(std::string_view html) {
    Tag t;
    std::size_t i = 1;
    if (i < html.size() && html[i] == '/') {
        t.closing = true;
        ++i;
    }
    const auto from = i;
    while (i < html.size() && !blank(html[i]) && html[i] != '>' && html[i] != '/') ++i;
    t.name = lower(html.substr(from, i - from));
    char quote = 0;
    for (; i < html.size(); ++i) {
        if (quote) {
            if (html[i] == quote) quote = 0;
        } else if (html[i] == '"' || html[i] == '\'') {
            quote = html[i];
        } else if (html[i] == '>') {
            break;
        }
    }
    t.length = std::min(i + 1, html.size());
    return t;
}

// Where the content of element `name` ends: at its end tag, else with the page.
std::size_t end_of(std::string_view html, std::size_t from, std::string_view name) {
    for (auto at = html.find("</", from); at != npos; at = html.find("</", at + 2))
        if (equal_nocase(html.substr(at + 2, name.size()), name)) return at;
    return html.size();
}

// The text of html up to about `most` bytes, white space folded.
std::string text_of(std::string_view html, std::size_t most) {
    std::string out;
    const auto put_blank = [&] {
        if (!out.empty() && out.back() != ' ') out += ' ';
    };
    for (std::size_t i = 0; i < html.size() && out.size() < most;) {
        const auto rest = html.substr(i);
        if (rest.starts_with("<!--")) {
            const auto end = html.find("-->", i + 4);
            i = end == npos ? html.size() : end + 3;
        } else if (rest.size() > 1 && rest[0] == '<' && (letter(rest[1]) || rest[1] == '/' || rest[1] == '!' || rest[1] == '?')) {
            const Tag tag = tag_at(rest);
            i += tag.length;
            if (!tag.closing && dropped(tag.name)) i = end_of(html, i, tag.name);
            static constexpr std::string_view inside[] = {"a", "b", "i", "em", "strong", "span", "abbr", "sup", "sub", "wbr", "q", "cite", "small", "u", "s", "mark", "code", "time"};
            if (std::find(std::begin(inside), std::end(inside), tag.name) == std::end(inside)) put_blank();
        } else if (blank(rest[0])) {
            put_blank();
            ++i;
        } else if (const std::size_t n = rest[0] == '&' ? reference(rest, out) : 0) {
            i += n;
        } else {
            out += rest[0];
            ++i;
        }
    }
    if (!out.empty() && out.back() == ' ') out.pop_back();
    return out;
}

std::string title_of(std::string_view page) {
    for (auto at = page.find('<'); at != npos; at = page.find('<', at + 1)) {
        if (!equal_nocase(page.substr(at + 1, 5), "title")) continue;
        const auto begin = page.find('>', at);
        if (begin == npos) break;
        return text_of(page.substr(begin + 1, end_of(page, begin, "title") - begin - 1), 4 * title_characters);
    }
    return {};
}

}  // namespace

std::string shortened(std::string_view text, std::size_t characters) {
    std::string clean;
    for (const char c : text)
        if (static_cast<unsigned char>(c) >= 0x20 || c == '\n') clean += c;
    std::size_t end = 0, count = 0;
    while (end < clean.size() && (count < characters || !begins_character(clean[end]))) {
        if (begins_character(clean[end])) ++count;
        ++end;
    }
    if (end == clean.size()) return clean;
    // Back to the end of a word, unless it is a very long one.
    auto cut = end;
    while (cut > 0 && !blank(clean[cut])) --cut;
    if (cut < end / 2) cut = end;
    while (cut > 0 && blank(clean[cut - 1])) --cut;
    return clean.substr(0, cut) + " …";
}

Excerpt excerpt(std::string_view page, std::size_t characters) {
    page = page.substr(0, excerpt_bytes);
    Excerpt out;
    out.title = shortened(title_of(page), title_characters);
    if (const auto begin = page.find(teaser_begin); begin != npos) {
        const auto end = page.find(teaser_end, begin);
        if (end == npos) return out;  // the mark's end is missing: how much may be shown is not known
        const auto from = begin + teaser_begin.size();
        out.teaser = shortened(text_of(page.substr(from, end - from), excerpt_bytes), teaser_characters);
        return out;
    }
    std::string text = text_of(page, 4 * (characters + title_characters) + 8);
    if (!out.title.empty() && text.starts_with(out.title))  // the heading says the title again
        text = text.substr(std::min(text.find_first_not_of(' ', out.title.size()), text.size()));
    out.teaser = shortened(text, characters);
    return out;
}

}  // namespace netpay
