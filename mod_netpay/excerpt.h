// The words of an HTML page that may be shown to who has not paid for it.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace netpay {

struct Excerpt {
    std::string title, teaser;  // text, not escaped; UTF-8 if the page is
};

// Titles and teasers are cut at these, in characters: a heading of three
// lines, and a long paragraph.
inline constexpr std::size_t title_characters = 200, teaser_characters = 1000;

// How much of a page is looked at: heads with styles and scripts come first.
inline constexpr std::size_t excerpt_bytes = 64u << 10;

// The page's <title>, and the text between <!-- netpay-teaser --> and
// <!-- /netpay-teaser --> or, if there are no such marks, the first
// `characters` of its text. `page` is the page's beginning. Tags, comments,
// head, scripts, styles and the like are dropped, white space is folded.
Excerpt excerpt(std::string_view page, std::size_t characters);

// Text of one line or several without control characters, cut after at most
// `characters` at the end of a word, with "…" where it was cut.
std::string shortened(std::string_view text, std::size_t characters);

}  // namespace netpay
