// What every HTML page of a vendor or a broker is made of: escaping, prices
// for people, one style sheet, and the Content-Security-Policy that goes with
// it. Pages have no script and load nothing from elsewhere.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/money.h"

namespace netpay::html {

// Text made safe for HTML content and for quoted attributes. Control
// characters other than tab and line feed are dropped.
std::string escape(std::string_view text);

// An amount for people: "2 ¢" and "0.5 ¢" below one dollar or euro, "$1.20",
// "€1.20", "0.02 CHF" for other currencies, "free" for nothing. UTF-8, not
// escaped (it has nothing to escape).
std::string price(Amount amount, const Currency& currency);

// The style sheet of document(): light and dark by the reader's preference,
// from 320 pixels up, visible focus, contrast of at least 4.5 to 1, buttons of
// 44 pixels, no motion. What it offers beyond plain elements:
//   .button       the one primary action, on <a> or <button>
//   .quiet        a secondary <button> or link-button
//   .price        the price, large
//   .note         a remark; .done, .fault: what became of a form (with role="status" or "alert")
//   .phrase       a passphrase or token to copy
//   .actions      a row of buttons
//   .later        around forms that are not the next thing to do: their buttons are secondary
//   .scroll       wraps a wide table (with tabindex="0" role="region" and a label)
//   .stack        a table whose rows become blocks on a phone, each cell behind its data-label
//   .number       a table cell of digits
//   header > nav  the links of a site
// Forms: <label> before its <input>, each on a line of its own.
extern const std::string_view kit;

// A whole document: doctype, viewport, `robots: noindex`, the kit, then
// banner (a <header>, or nothing) and <main> with `main`. The title is text
// and escaped here; banner and main are HTML.
std::string document(std::string_view title, std::string_view main, std::string_view banner = {});

// "'sha256-…'": the source expression of an inline style (CSP level 3 section 2.3.1).
std::string hash_source(std::string_view inline_text);

// The Content-Security-Policy of a page with `style` inline, whose forms go to
// its own origin and, where they are redirected, to form_origins. Site files:
// style sheets and fonts of the own origin are allowed as well.
enum class Styles { inline_only, own_files_too };
std::string policy(std::string_view style, const std::vector<std::string>& form_origins = {},
                   Styles styles = Styles::inline_only);

}  // namespace netpay::html
