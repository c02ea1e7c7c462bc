// What a browser says of why it asks for a page, and what may be spent on its word.
#pragma once

#include <string>
#include <string_view>

namespace netpay {

// The fields by which browsers mark a request that no reader has made yet;
// empty where absent.
struct Purpose {
    std::string_view sec_purpose;  // Fetch Metadata, "prefetch;prerender"
    std::string_view purpose;      // older Chromium and Safari
    std::string_view x_purpose, x_moz;
};

// Whether the page is fetched ahead, for a preview or for a reader who may
// never come. Such a request never spends, whatever it carries.
bool speculative(const Purpose& purpose);

// Whether the reader loads a page again that she is on: browsers say the same
// of a reload as of a link, but for these fields (Cache-Control, Pragma).
bool reloaded(std::string_view cache_control, std::string_view pragma);

// Who asks for what (Fetch Metadata); empty where absent. No script and no
// other site can set these fields.
struct Fetch {
    bool get = false;         // GET, and no HEAD
    bool ahead = false;       // speculative()
    bool again = false;       // reloaded()
    std::string_view site;    // Sec-Fetch-Site: none, same-origin, same-site, cross-site
    std::string_view mode;    // Sec-Fetch-Mode
    std::string_view dest;    // Sec-Fetch-Dest
    std::string_view user;    // Sec-Fetch-User: "?1" if she clicked, typed or chose a bookmark
    std::string_view origin;  // Origin
};

// Whether a reader follows a link of this site, so that the page may be paid
// without asking where she allowed that: not by a link on another site, in a
// frame, by a script, a refresh or a picture's address. Nor by an address that
// she typed or a bookmark: browsers say "none" of those, and go on saying it
// where another site, or a shortened address, sends her on to a page she never
// named. Nor by a reload, for she has the page already. A browser that does not
// say so is asked.
bool may_pay_unasked(const Fetch& fetch);

// Whether a page that she ordered a moment ago may be paid: opened as a page.
// The order itself is her word, so a browser that says nothing will do.
bool may_pay_ordered(const Fetch& fetch);

// Whether the page will be shown in a frame, whoever's frame that is: what frames
// it may be framed itself. A browser that does not say so is asked for each page,
// so that nobody gains by framing one for it.
bool for_a_frame(const Fetch& fetch);

// Whether a form was sent from a page of `origin`: browsers name the sender of
// every POST, unless the site's own Referrer-Policy forbids it. Then they say
// "null", and it counts if they say as well that the sender is the same site.
bool own_form(const Fetch& fetch, std::string_view origin);

// A request-target in origin form, as it may stand behind an origin in a
// Location: what could lead elsewhere once that is cut off ("//host",
// "/\host"), or end a header line, is percent-encoded; everything else is as
// it was sent, so that a browser asks for the same page.
std::string safe_target(std::string_view target);

}  // namespace netpay
