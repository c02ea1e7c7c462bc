#include "broker/web/table.h"

#include "broker/web/site.h"
#include "core/html.h"
#include "core/timestamp.h"

namespace netpay::broker::web {

std::string table(std::string_view id, std::string_view heading, const std::vector<Column>& columns,
                  const std::vector<std::vector<std::string>>& rows, std::string_view none) {
    const std::string name(id);
    std::string out = "<section><h2 id=\"" + name + "\">" + html::escape(heading) + "</h2>\n";
    if (rows.empty()) return out.append("<p>").append(none).append("</p></section>\n");
    out += "<div class=\"scroll\" tabindex=\"0\" role=\"region\" aria-labelledby=\"" + name + "\">";
    // Browsers take a table's blocks for no table: the roles say what they are.
    const bool stack = columns.size() > 2;
    const auto role = [&](std::string_view what) { return stack ? " role=\"" + std::string(what) + "\"" : std::string(); };
    out += (stack ? "<table class=\"stack\"" : "<table") + role("table") + "><thead" + role("rowgroup") + "><tr" + role("row") + ">";
    const auto number = [&](std::size_t i) { return columns[i].number ? " class=\"number\"" : ""; };
    for (std::size_t i = 0; i < columns.size(); ++i)
        out.append("<th scope=\"col\"").append(role("columnheader")).append(number(i)).append(">").append(columns[i].heading).append("</th>");
    out += "</tr></thead><tbody" + role("rowgroup") + ">\n";
    for (const auto& row : rows) {
        out += "<tr" + role("row") + ">";
        for (std::size_t i = 0; i < row.size(); ++i) {
            out.append("<td").append(role("cell")).append(number(i));
            if (stack) out.append(" data-label=\"").append(html::escape(columns[i].heading)).append("\"");
            out.append(">").append(row[i]).append("</td>");
        }
        out += "</tr>\n";
    }
    return out + "</tbody></table></div></section>\n";
}

std::string short_name(std::string_view name) {
    constexpr std::size_t longest = 12, shown = 8;
    if (name.size() <= longest) return "<code>" + html::escape(name) + "</code>";
    return "<code title=\"" + html::escape(name) + "\">" + html::escape(name.substr(0, shown)) + "…</code>";
}

std::string money(Int micro, std::string_view cur) {
    const auto currency = Currency::parse(cur);
    const auto amount = Amount::from(static_cast<std::uint64_t>(micro < 0 ? -micro : micro));
    if (!currency || !amount) return {};
    return (micro < 0 ? "-" : "") + money(*amount, *currency);
}

std::string moment(UnixTime t) { return "<time>" + minute(t) + "</time>"; }
std::string day(UnixTime t) { return format_rfc3339(t).substr(0, 10); }
std::string minute(UnixTime t) { return day(t) + " " + format_rfc3339(t).substr(11, 5); }

}  // namespace netpay::broker::web
