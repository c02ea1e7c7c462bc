#include "core/html.h"

#include <algorithm>

#include "core/base64url.h"
#include "core/hash.h"

namespace netpay::html {
namespace {

constexpr std::uint64_t micro_per_whole = 1000000;
constexpr std::uint64_t micro_per_cent = 10000;

// micro / per as a decimal of at least `least` places and no more than needed.
std::string decimal(std::uint64_t micro, std::uint64_t per, std::size_t least) {
    std::string fraction = std::to_string(per + micro % per).substr(1);
    while (fraction.size() > least && fraction.back() == '0') fraction.pop_back();
    const std::string whole = std::to_string(micro / per);
    return fraction.empty() ? whole : whole + "." + fraction;
}

}  // namespace

// The colours, on their backgrounds: text 15:1 and 13:1, links and buttons at
// least 6:1, faults 6:1, borders of inputs 3:1 in either scheme.
const std::string_view kit =
    ":root{color-scheme:light dark;--back:#fff;--text:#1d2126;--soft:#565d66;--line:#7a828c;--card:#f4f5f7;"
    "--link:#0b57a4;--act:#0b57a4;--on-act:#fff;--fault:#a11212;--done:#17633a}\n"
    "@media (prefers-color-scheme:dark){:root{--back:#15181c;--text:#e6e8eb;--soft:#a8b0ba;--line:#7f8792;--card:#20242a;"
    "--link:#8ec2ff;--act:#8ec2ff;--on-act:#0d1b2a;--fault:#ff9d9d;--done:#86d9a8}}\n"
    "*,::before,::after{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\n"
    "body{margin:0;background:var(--back);color:var(--text);font:1.0625rem/1.55 system-ui,sans-serif}\n"
    "main,header>nav{max-width:42rem;margin:0 auto;padding:0 1.1rem}\n"
    "main{padding-top:clamp(1rem,6vh,4rem);padding-bottom:4rem}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:0 0 .8rem;overflow-wrap:anywhere}\n"
    "h2{font-size:1.2rem;line-height:1.3;margin:2rem 0 .5rem}\n"
    "p,dd,li{overflow-wrap:anywhere}\n"
    "a{color:var(--link)}\n"
    "header{border-bottom:1px solid var(--line)}\n"
    "header>nav{display:flex;flex-wrap:wrap;gap:.2rem .8rem;align-items:center;padding-top:.3rem;padding-bottom:.3rem;font-size:.95rem}\n"
    "header>nav a,header>nav strong{display:inline-flex;align-items:center;min-height:2.75rem}\n"
    "header>nav form{margin:0 0 0 auto}\n"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.3rem 1.2rem;margin:1rem 0}\n"
    "dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}\n"
    "form{margin:1.2rem 0}\n"
    "label{display:block;margin-top:.9rem;font-weight:600}\n"
    "input,select,textarea{display:block;width:100%;min-height:2.75rem;padding:.5rem .6rem;font:inherit;color:inherit;"
    "background:var(--back);border:1px solid var(--line);border-radius:.4rem}\n"
    "input[type=radio],input[type=checkbox]{display:inline-block;width:1.4rem;min-height:1.4rem;height:1.4rem;"
    "margin:0 .6rem 0 0;vertical-align:middle}\n"
    "label:has(>[type=checkbox]){padding-left:2rem}label:has(>[type=checkbox])>input{margin-left:-2rem}\n"
    "input[type=file]{border-style:dashed}\n"
    "fieldset{border:1px solid var(--line);border-radius:.4rem;margin:1rem 0;padding:.4rem 1rem 1rem}\n"
    "button,.button,.quiet{display:inline-flex;align-items:center;justify-content:center;min-height:2.75rem;margin:1rem 0 0;"
    "padding:.5rem 1.3rem;font:inherit;font-weight:600;text-decoration:none;border-radius:.4rem;cursor:pointer;"
    "border:2px solid var(--act);background:var(--act);color:var(--on-act)}\n"
    "button.quiet,.quiet{background:transparent;color:var(--link)}\n"
    "header .quiet,header button,td .quiet,td button{margin:0;min-height:2.75rem;padding:.2rem .8rem}\n"
    ".actions{display:flex;flex-wrap:wrap;gap:0 .8rem}.actions form{margin:0}\n"
    "nav [aria-current]{color:var(--text);text-decoration:none;box-shadow:inset 0 -.2rem var(--act)}\n"
    ".quiet[aria-current]{border-color:var(--line);background:var(--card);color:var(--text)}\n"
    ".later button,.later .button{background:transparent;color:var(--link)}\n"
    ":focus-visible{outline:3px solid var(--link);outline-offset:2px}\n"
    ".price{font-size:1.7rem;font-weight:700;margin:.4rem 0}\n"
    ".note{color:var(--soft)}\n"
    ".done,.fault{border-left:.3rem solid var(--done);background:var(--card);padding:.5rem .9rem;margin:1rem 0}\n"
    ".fault{border-color:var(--fault)}\n"
    ".teaser{border-left:.2rem solid var(--line);padding-left:.9rem;white-space:pre-line}\n"
    ".phrase{display:block;font:600 1.2rem/1.6 ui-monospace,monospace;background:var(--card);border:1px solid var(--line);"
    "border-radius:.4rem;padding:.8rem 1rem;overflow-wrap:anywhere}\n"
    "code{font:.93em ui-monospace,monospace;overflow-wrap:anywhere}\n"
    "pre{font:.93em/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere}\n"
    "details{margin-top:2rem}summary{cursor:pointer;min-height:2.75rem;padding:.6rem 0;color:var(--link)}\n"
    ".rows{list-style:none;margin:0;padding:0}.rows form,.rows button{margin:0}\n"
    ".rows>li{display:flex;flex-wrap:wrap;align-items:center;justify-content:space-between;gap:.3rem 1rem;padding:.6rem 0;"
    "border-bottom:1px solid var(--line)}\n"
    ".scroll{overflow-x:auto}\n"
    "table{border-collapse:collapse;width:100%}\n"
    "caption{text-align:left;font-weight:600;padding:.4rem 0}\n"
    "th,td{text-align:left;vertical-align:top;padding:.45rem .8rem .45rem 0;border-bottom:1px solid var(--line)}\n"
    ".stack{font-size:.95em}.stack code,time{white-space:nowrap}\n"
    ".number{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}\n"
    // Each row a block of its own, of lines with a label and a value.
    "@media (max-width:40rem){.stack,.stack tbody,.stack tr,.stack td{display:block}"
    ".stack thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}"
    ".stack tr{padding:.5rem 0;border-bottom:1px solid var(--line)}"
    ".stack td{display:flex;justify-content:space-between;gap:1rem;padding:.15rem 0;border:0;text-align:right;overflow-wrap:anywhere}"
    ".stack td:empty{display:none}"
    ".stack td::before{content:attr(data-label);content:attr(data-label)/\"\";flex:none;max-width:50%;color:var(--soft);text-align:left}}\n"
    "@media (max-width:30rem){main .button,main .actions,main .actions form,main .actions button{width:100%}}\n"
    "@media (forced-colors:active){button,.button,.quiet{border-color:ButtonText}}\n"
    "@media print{header,form,.actions{display:none}}\n";

std::string escape(std::string_view text) {
    std::string out;
    out.reserve(text.size() + 16);
    for (const char c : text) {
        switch (c) {
            case '&': out += "&amp;"; break;
            case '<': out += "&lt;"; break;
            case '>': out += "&gt;"; break;
            case '"': out += "&quot;"; break;
            case '\'': out += "&#39;"; break;
            default:
                if (static_cast<unsigned char>(c) >= 0x20 ? c != 0x7f : c == '\t' || c == '\n') out += c;
        }
    }
    return out;
}

std::string price(Amount amount, const Currency& currency) {
    if (amount.micro() == 0) return "free";
    const std::string iso = currency.iso();
    const std::string_view sign = iso == "USD" ? "$" : iso == "EUR" ? "€" : "";
    if (sign.empty()) return amount.pretty(currency);
    if (amount.micro() < micro_per_whole) return decimal(amount.micro(), micro_per_cent, 0) + " ¢";
    return std::string(sign) + decimal(amount.micro(), micro_per_whole, 2);
}

std::string document(std::string_view title, std::string_view main, std::string_view banner) {
    std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
                      "<meta name=\"robots\" content=\"noindex\">\n<title>";
    out.append(escape(title)).append("</title>\n<style>").append(kit).append("</style>\n</head>\n<body>\n");
    out.append(banner).append("<main>\n").append(main).append("</main>\n</body>\n</html>\n");
    return out;
}

std::string hash_source(std::string_view inline_text) {
    // CSP writes base64 with the standard alphabet and padding; 32 bytes leave one place of the last four.
    std::string hash = b64u_encode(sha256(inline_text));
    std::replace(hash.begin(), hash.end(), '-', '+');
    std::replace(hash.begin(), hash.end(), '_', '/');
    return "'sha256-" + hash + "='";
}

std::string policy(std::string_view style, const std::vector<std::string>& form_origins, Styles styles) {
    std::string out = "default-src 'none'; style-src " + hash_source(style);
    if (styles == Styles::own_files_too) out += " 'self'; font-src 'self'";
    out += "; img-src 'self'; form-action 'self'";
    for (const auto& origin : form_origins) out += " " + origin;
    return out + "; base-uri 'none'; frame-ancestors 'none'";
}

}  // namespace netpay::html
