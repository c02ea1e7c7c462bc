// What readers see of the gate: the paywall, an operator's template, titles
// and teasers; and which requests are no reader's.
#include <set>
#include <string>

#include "core/html.h"
#include "core_support.h"
#include "mod_netpay/excerpt.h"
#include "mod_netpay/page.h"
#include "mod_netpay/reader.h"
#include "mod_netpay/template.h"
#include "mod_netpay/wallet_page.h"

namespace netpay::test {
namespace {

bool has(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

class GateReaderTest : public CPPUNIT_NS::TestFixture {
    CPPUNIT_TEST_SUITE(GateReaderTest);
    CPPUNIT_TEST(what_was_fetched_ahead_is_known);
    CPPUNIT_TEST(reloads_are_known);
    CPPUNIT_TEST(who_may_be_paid_for_unasked);
    CPPUNIT_TEST(who_may_be_paid_for_on_order);
    CPPUNIT_TEST(what_is_for_a_frame);
    CPPUNIT_TEST(forms_of_other_sites_are_none);
    CPPUNIT_TEST(no_target_leads_elsewhere);
    CPPUNIT_TEST(paywall_says_what_and_how);
    CPPUNIT_TEST(one_action_by_what_the_wallet_can);
    CPPUNIT_TEST(kinds_of_wallets_are_offered);
    CPPUNIT_TEST(forms_lead_to_brokers_alone);
    CPPUNIT_TEST(wallet_page_says_what_is_there);
    CPPUNIT_TEST(mistakes_are_given_back);
    CPPUNIT_TEST(everything_is_escaped);
    CPPUNIT_TEST(a_shell_takes_the_url_as_one_word);
    CPPUNIT_TEST(forms_are_not_paid_in_a_browser);
    CPPUNIT_TEST(refused_payments_are_explained);
    CPPUNIT_TEST(templates_are_filled);
    CPPUNIT_TEST(templates_with_faults_are_refused);
    CPPUNIT_TEST(excerpts_of_pages);
    CPPUNIT_TEST(excerpts_hold_no_more_than_allowed);
    CPPUNIT_TEST(marks_say_what_is_shown);
    CPPUNIT_TEST(broken_pages_do_no_harm);
    CPPUNIT_TEST(text_is_cut_at_words);
    CPPUNIT_TEST_SUITE_END();

    std::vector<std::string> brokers_{"https://broker.example"};

    PaywallText article() const {
        PaywallText t;
        t.realm = "The News";
        t.vendor = "https://news.example";
        t.target = "/a?x=1";
        t.price = "2 ¢";
        t.title = "Rain";
        t.teaser = "It rains.";
        t.brokers = &brokers_;
        t.status = "Payment required";
        t.detail = "This resource is sold.";
        return t;
    }

    void what_was_fetched_ahead_is_known() {
        CPPUNIT_ASSERT(speculative({"prefetch", "", "", ""}));
        CPPUNIT_ASSERT(speculative({"prefetch;prerender", "", "", ""}));
        CPPUNIT_ASSERT(speculative({"", "Prefetch", "", ""}));
        CPPUNIT_ASSERT(speculative({"", "", "preview", ""}));
        CPPUNIT_ASSERT(speculative({"", "", "", "prefetch"}));
        CPPUNIT_ASSERT(!speculative({}));
        CPPUNIT_ASSERT(!speculative({"", "instant", "", ""}));
    }

    void reloads_are_known() {
        for (const char* said : {"max-age=0", "no-cache", "No-Cache", "private, Max-Age=0"}) CPPUNIT_ASSERT(reloaded(said, ""));
        CPPUNIT_ASSERT(reloaded("", "no-cache"));
        CPPUNIT_ASSERT(!reloaded("", ""));
        CPPUNIT_ASSERT(!reloaded("only-if-cached, max-age=60", ""));
    }

    Fetch typed() const {
        Fetch f;
        f.get = true;
        f.site = "none";
        f.mode = "navigate";
        f.dest = "document";
        f.user = "?1";
        return f;
    }

    void who_may_be_paid_for_unasked() {
        Fetch f = typed();
        CPPUNIT_ASSERT(!may_pay_unasked(f));  // or typed elsewhere, and sent on to here
        for (const char* site : {"same-origin", "same-site"}) {
            f.site = site;
            CPPUNIT_ASSERT(may_pay_unasked(f));
        }
        const auto refused = [&](auto change) {
            Fetch other = f;
            change(other);
            return !may_pay_unasked(other);
        };
        CPPUNIT_ASSERT(refused([](Fetch& o) { o.site = "cross-site"; }));
        CPPUNIT_ASSERT(refused([](Fetch& o) { o.site = ""; }));
        CPPUNIT_ASSERT(refused([](Fetch& o) { o.user = ""; }));
        CPPUNIT_ASSERT(refused([](Fetch& o) { o.ahead = true; }));
        CPPUNIT_ASSERT(refused([](Fetch& o) { o.again = true; }));
        CPPUNIT_ASSERT(refused([](Fetch& o) { o.get = false; }));
        for (const char* mode : {"", "cors", "no-cors", "same-origin", "websocket", "Navigate"})
            CPPUNIT_ASSERT(refused([&](Fetch& o) { o.mode = mode; }));
        for (const char* dest : {"", "iframe", "frame", "image", "empty", "object", "embed", "script", "style"})
            CPPUNIT_ASSERT(refused([&](Fetch& o) { o.dest = dest; }));
        CPPUNIT_ASSERT(!may_pay_unasked({}));
    }

    void who_may_be_paid_for_on_order() {
        Fetch f = typed();
        f.site = "cross-site";  // as after the broker's pages
        f.user = "";
        CPPUNIT_ASSERT(may_pay_ordered(f));
        Fetch silent;
        silent.get = true;
        CPPUNIT_ASSERT(may_pay_ordered(silent));  // an old browser
        silent.get = false;
        CPPUNIT_ASSERT(!may_pay_ordered(silent));
        f.ahead = true;
        CPPUNIT_ASSERT(!may_pay_ordered(f));
        f = typed();
        f.dest = "iframe";
        CPPUNIT_ASSERT(!may_pay_ordered(f));
        f = typed();
        f.mode = "no-cors";
        CPPUNIT_ASSERT(!may_pay_ordered(f));
    }

    void what_is_for_a_frame() {
        Fetch f;
        for (const char* dest : {"iframe", "frame", "embed", "object", "fencedframe"}) {
            f.dest = dest;
            for (const char* site : {"", "none", "same-origin", "same-site", "cross-site"}) {
                f.site = site;
                CPPUNIT_ASSERT(for_a_frame(f));
            }
        }
        for (const char* dest : {"", "document", "image", "empty", "Iframe", "iframes"}) {
            f.dest = dest;
            CPPUNIT_ASSERT(!for_a_frame(f));
        }
    }

    void forms_of_other_sites_are_none() {
        Fetch f;
        const auto own = [&](const char* origin, const char* site) {
            f.origin = origin;
            f.site = site;
            return own_form(f, "https://news.example");
        };
        CPPUNIT_ASSERT(own("https://news.example", "same-origin"));
        CPPUNIT_ASSERT(own("https://news.example", ""));
        CPPUNIT_ASSERT(own("null", "same-origin"));  // a site with Referrer-Policy: no-referrer
        for (const char* site : {"", "cross-site", "same-site", "none"}) CPPUNIT_ASSERT(!own("null", site));
        for (const char* origin : {"", "https://evil.example", "http://news.example", "https://news.example:444",
                                   "https://news.example.evil.example", "https://NEWS.example", "https://news.example/"})
            CPPUNIT_ASSERT(!own(origin, "same-origin"));
        for (const char* site : {"cross-site", "same-site", "none"}) CPPUNIT_ASSERT(!own("https://news.example", site));
    }

    void no_target_leads_elsewhere() {
        CPPUNIT_ASSERT_EQUAL("/a/b.html?x=1&y=%2F#"s, safe_target("/a/b.html?x=1&y=%2F#"));
        CPPUNIT_ASSERT_EQUAL("/a//b"s, safe_target("/a//b"));
        CPPUNIT_ASSERT_EQUAL("/%2Fevil.example/"s, safe_target("//evil.example/"));
        CPPUNIT_ASSERT_EQUAL("/%5Cevil.example"s, safe_target("/\\evil.example"));
        CPPUNIT_ASSERT_EQUAL("/%5C%5Cevil.example"s, safe_target("\\\\evil.example"));
        CPPUNIT_ASSERT_EQUAL("/https:evil.example"s, safe_target("https:evil.example"));
        CPPUNIT_ASSERT_EQUAL("/@evil.example"s, safe_target("@evil.example"));
        CPPUNIT_ASSERT_EQUAL("/a%0D%0ASet-Cookie:x%09%00"s, safe_target(std::string("/a\r\nSet-Cookie:x\t") + '\0'));
        CPPUNIT_ASSERT_EQUAL("/%C3%A9%20%22%3C%3E%7F"s, safe_target("/\xc3\xa9 \"<>\x7f"));
        CPPUNIT_ASSERT_EQUAL("/"s, safe_target(""));
        Random random(20261123);
        for (int i = 0; i < 2000; ++i) {
            std::string target;
            for (int k = 0; k < 12; ++k) target += static_cast<char>(random.below(256));
            const auto safe = safe_target(target);
            CPPUNIT_ASSERT(safe[0] == '/' && (safe.size() < 2 || safe[1] != '/') && safe.find_first_of(" \\\r\n\t\"<>") == std::string::npos);
            CPPUNIT_ASSERT_EQUAL(safe, safe_target(safe));
        }
    }

    using Kind = ewallet::Standing::Kind;

    PaywallText with_wallet(Kind kind) const {
        auto t = article();
        t.forms.server = true;
        t.forms.token = "TOKEN";
        auto& s = t.forms.standing;
        s.kind = kind;
        if (kind == Kind::none) return t;
        s.issuer = "https://broker.example";
        s.currency = *Currency::parse("uusd");
        s.balance = *Amount::from(960000);
        s.today = *Amount::from(500000);
        s.per_day = *Amount::from(1000000);
        s.per_page = *Amount::from(50000);
        return t;
    }

    void one_action_by_what_the_wallet_can() {
        struct Expected { Kind kind; const char* value; const char* label; const char* more; };
        const Expected all[] = {
            {Kind::none, "wallet", "Pay 2 ¢ with my e-wallet", "Get an e-wallet"},
            {Kind::held, "pay", "Read for 2 ¢", "You have 96 ¢ in your e-wallet, of which this site may take 50 ¢ today."},
            {Kind::day_limit, "wallet", "Raise today&#39;s limit", "your limit is $1.00 a day"},
            {Kind::too_little, "wallet", "Add money and read", "does not suffice"},
            {Kind::moved, "wallet", "Bring my e-wallet here and read", "not at this site now"},
        };
        for (const auto& e : all) {
            const auto page = render_paywall(with_wallet(e.kind));
            CPPUNIT_ASSERT_MESSAGE(page, has(page, "<button name=\"netpay\" value=\"" + std::string(e.value) + "\">" + e.label + "</button>"));
            CPPUNIT_ASSERT_MESSAGE(page, has(page, e.more) && has(page, "<form method=\"post\">\n"));
            CPPUNIT_ASSERT(has(page, "name=\"token\" value=\"TOKEN\""));
            CPPUNIT_ASSERT_EQUAL(std::string::npos, page.find("<form", page.find("<form") + 1));
            CPPUNIT_ASSERT_EQUAL(e.kind != Kind::held, has(page, "name=\"broker\" value=\"https://broker.example\""));
            CPPUNIT_ASSERT(has(page, "With another NetPay wallet"));
        }
        auto t = with_wallet(Kind::none);
        CPPUNIT_ASSERT(has(render_paywall(t), "https://broker.example/sign-up?client=https%3A%2F%2Fnews.example&amp;target=%2Fa%3Fx%3D1"));
        t.opened = false;  // a form was sent
        CPPUNIT_ASSERT(!has(render_paywall(t), "<form") && has(render_paywall(t), "Open the page first"));
        t = with_wallet(Kind::held);
        t.notice = "Please try again.";
        t.tried = true;
        CPPUNIT_ASSERT(has(render_paywall(t), "role=\"status\">Please try again.</p>") && !has(render_paywall(t), "Payment required."));
        t.forms.standing.broker_silent = true;
        CPPUNIT_ASSERT(has(render_paywall(t), "it does not answer just now") && has(render_paywall(t), "Read for"));
        t.forms.standing.broker_silent = false;
        const auto own = Template::parse("{{balance}}|{{today}}|{{pay}}");
        CPPUNIT_ASSERT(render_paywall(t, &*own).starts_with("96 ¢|50 ¢|<form"));
        CPPUNIT_ASSERT(render_paywall(with_wallet(Kind::none), &*own).starts_with("||<form"));
    }

    void kinds_of_wallets_are_offered() {
        auto t = with_wallet(Kind::none);
        t.forms.cookie = true;
        auto page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "or your browser does, in a cookie") && !has(render_paywall(with_wallet(Kind::none)), "in a cookie"));
        CPPUNIT_ASSERT(has(page, "value=\"wallet\">Pay 2 ¢ with my e-wallet<") && has(page, "value=\"cookie\" class=\"quiet\">Keep the e-wallet in this browser<"));
        t.forms.server = false;
        page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "value=\"cookie\">Pay 2 ¢ with my e-wallet<") && !has(page, "value=\"wallet\""));
        t = with_wallet(Kind::too_little);
        t.forms.cookie = true;
        CPPUNIT_ASSERT(has(render_paywall(t), "value=\"wallet\">Add money"));
        t.forms.in_cookie = true;
        CPPUNIT_ASSERT(has(render_paywall(t), "value=\"cookie\">Add money"));
        t.forms.server = t.forms.cookie = false;
        CPPUNIT_ASSERT(!has(render_paywall(t), "<form"));
        const std::vector<std::string> many{"https://a.example", "https://b.example", "https://c.example", "https://d.example"};
        t = with_wallet(Kind::none);
        t.brokers = &many;
        page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "Pay 2 ¢ with my e-wallet at a.example") && has(page, "at c.example") && !has(page, "d.example"));
    }

    void forms_lead_to_brokers_alone() {
        const std::vector<std::string> broker{"https://broker.example"};
        CPPUNIT_ASSERT(form_origins(with_wallet(Kind::none)) == broker && form_origins(with_wallet(Kind::moved)) == broker);
        CPPUNIT_ASSERT(form_origins(with_wallet(Kind::held)).empty() && form_origins(article()).empty());
    }

    void wallet_page_says_what_is_there() {
        WalletPageText t;
        t.vendor = "https://news.example";
        CPPUNIT_ASSERT(has(render_wallet_page(t), "no e-wallet at news.example") && !has(render_wallet_page(t), "<form"));
        t.notice = late_notice();
        CPPUNIT_ASSERT(has(render_wallet_page(t), "class=\"fault\" role=\"status\">You came back") && has(render_wallet_page(t), "Nothing was charged."));
        t.notice.clear();
        ewallet::Sight sight;
        sight.standing = with_wallet(Kind::held).forms.standing;
        sight.standing.automatic = true;
        sight.until = 1800000000;
        t.sight = sight;
        t.token = "\"><script>";
        const auto page = render_wallet_page(t);
        for (const char* part : {"<dd>96 ¢</dd>", "up to 5 ¢", "up to $1.00", "without asking", "2027-01-15", "at this site", "broker.example",
                                 "<button>Sign out</button>", "Sign out and return the money at the broker", "action=\"/.well-known/netpay/wallet/leave\"",
                                 "https://broker.example/limits"})
            CPPUNIT_ASSERT_MESSAGE(part, has(page, part));
        CPPUNIT_ASSERT(!has(page, "<script") && !has(page, "mistake"));
    }

    void mistakes_are_given_back() {
        WalletPageText t;
        t.vendor = "https://news.example";
        t.sight.emplace();
        t.sight->standing = with_wallet(Kind::held).forms.standing;
        t.now = 1000;
        ewallet::Paid paid;
        paid.target = "/a?<b>";
        paid.ticket = 77;
        paid.price = {*Amount::from(20000), *Currency::parse("uusd")};
        paid.at = 970;
        t.sight->paid.push_back(paid);
        CPPUNIT_ASSERT(!has(render_wallet_page(t), "Give back"));
        t.give_back_s = 60;
        t.notice = "You got 2 ¢ back.";
        t.done = true;
        const auto page = render_wallet_page(t);
        CPPUNIT_ASSERT(has(page, "value=\"77.AAAAAAAAAAAAAAAAAAAAAA\" aria-label=\"Give back /a?&lt;b&gt;\">Give back</button>") && has(page, "30 seconds ago"));
        CPPUNIT_ASSERT(has(page, "class=\"done\" role=\"status\">You got 2 ¢ back."));
        using Result = till::Till::GivenBack;
        till::Till::GiveBackOutcome out;
        std::set<std::string> said;
        for (const auto r : {Result::given, Result::unknown, Result::reread, Result::too_late, Result::booked, Result::again, Result::too_many, Result::busy}) {
            out.result = r;
            CPPUNIT_ASSERT(said.insert(give_back_notice(out, paid)).second);
        }
    }

    void paywall_says_what_and_how() {
        const auto page = render_paywall(article());
        for (const char* part : {"<h1>Rain</h1>", "It rains.", "2 ¢", "news.example", "The News", "<html lang=\"en\">",
                                 "<a class=\"button\" href=\"https://broker.example/sign-up\">Get an e-wallet</a>",
                                 "href=\"https://broker.example/topup\"", "NetPay extension",
                                 "netpay get &#39;https://news.example/a?x=1&#39;"})
            CPPUNIT_ASSERT_MESSAGE(part, has(page, part));
        CPPUNIT_ASSERT(!has(page, "<script") && !has(page, "Payment required"));
        auto bare = article();
        bare.title = bare.teaser = "";
        CPPUNIT_ASSERT(has(render_paywall(bare), "<h1>This page costs 2 ¢</h1>"));
        const std::vector<std::string> many{"https://a.example", "https://b.example", "https://c.example", "https://d.example"};
        bare.brokers = &many;
        const auto offered = render_paywall(bare);
        CPPUNIT_ASSERT(has(offered, "Get an e-wallet at a.example") && has(offered, "c.example") && !has(offered, "d.example"));
    }

    void everything_is_escaped() {
        auto t = article();
        const std::string evil = "<script>alert('\"&\")</script>";
        t.realm = t.target = t.status = t.detail = evil;
        t.title = t.teaser = evil;
        t.tried = true;
        const auto own = Template::parse("{{site}}{{realm}}{{vendor}}{{url}}{{title}}{{teaser}}{{price}}{{status}}{{detail}}{{pay}}{{other}}");
        for (const auto& page : {render_paywall(t), render_fault(t), render_paywall(t, &*own)}) {
            CPPUNIT_ASSERT(!has(page, "<script"));
            CPPUNIT_ASSERT(!has(page, "'\"&"));
            CPPUNIT_ASSERT(has(page, "&lt;script&gt;"));
        }
    }

    void a_shell_takes_the_url_as_one_word() {
        auto t = article();
        t.target = "/it's;rm";
        CPPUNIT_ASSERT(has(render_paywall(t), "netpay get &#39;https://news.example/it%27s;rm&#39;"));
    }

    void forms_are_not_paid_in_a_browser() {
        auto t = article();
        t.opened = false;
        const auto page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "nothing was charged"));
        CPPUNIT_ASSERT(!has(page, "netpay get") && !has(page, "class=\"button\""));
    }

    void refused_payments_are_explained() {
        auto t = article();
        t.tried = true;
        t.status = "The payment was not accepted";
        t.detail = "This index was used before.";
        const auto page = render_paywall(t);
        CPPUNIT_ASSERT(has(page, "role=\"status\">The payment was not accepted. This index was used before. Nothing was charged."));
        t.status = "The payment cannot be processed now";
        const auto fault = render_fault(t);
        CPPUNIT_ASSERT(has(fault, "<h1>The payment cannot be processed now</h1>") && !has(fault, "Get an e-wallet"));
    }

    void templates_are_filled() {
        const auto own = Template::parse("<title>{{ title }}</title>{{style}}<p>{{price}} {{price}}</p>{{pay}}{{other}}<i>{{url}}</i>{ {x} }");
        CPPUNIT_ASSERT(own.ok());
        const auto page = render_paywall(article(), &*own);
        CPPUNIT_ASSERT(page.starts_with("<title>Rain</title><style>" + std::string(html::kit) + "</style><p>2 ¢ 2 ¢</p>"));
        CPPUNIT_ASSERT(has(page, "Get an e-wallet"));
        CPPUNIT_ASSERT(page.ends_with("<i>https://news.example/a?x=1</i>{ {x} }"));
    }

    void templates_with_faults_are_refused() {
        const auto why = [](const std::string& text) {
            const auto t = Template::parse(text);
            return t ? std::string("accepted") : t.error().detail;
        };
        CPPUNIT_ASSERT(has(why("a\nb\n{{pay}} {{prise}}"), "line 3: there is no placeholder {{prise}}"));
        CPPUNIT_ASSERT(has(why("{{pay}}\n{{price"), "line 2: a placeholder begins"));
        CPPUNIT_ASSERT(has(why("{{pay}}{{pri\nce}}"), "no }}"));
        CPPUNIT_ASSERT(has(why("hello {{price}}"), "{{pay}} is missing"));
        CPPUNIT_ASSERT(has(why(""), "{{pay}} is missing"));
        CPPUNIT_ASSERT(has(why("{{pay}}{{}}"), "no placeholder {{}}"));
        CPPUNIT_ASSERT(has(why("{{pay}}" + std::string(256 << 10, 'x')), "256 KiB"));
        CPPUNIT_ASSERT_EQUAL("accepted"s, why("{{pay}}}}"));
    }

    void excerpts_of_pages() {
        const auto e = excerpt("<!DOCTYPE html><html><head><TITLE>A &amp; B\n &lt;x&gt;</TITLE><style>p{}</style></head><body>"
                               "<nav>menu</nav><script>var a='</p>';</script><h1>A &amp; B &lt;x&gt;</h1>"
                               "<p class=\"a>b\">One<b>two</b> &#8364;&#x20AC; &eacute; 1 < 2<br>three</p><!-- <p>secret --></body>", 300);
        CPPUNIT_ASSERT_EQUAL("A & B <x>"s, e.title);
        CPPUNIT_ASSERT_EQUAL("Onetwo €€ &eacute; 1 < 2 three"s, e.teaser);
        CPPUNIT_ASSERT_EQUAL(""s, excerpt("", 10).teaser);
    }

    void excerpts_hold_no_more_than_allowed() {
        std::string body = "<title>T</title><body>";
        for (int i = 0; i < 1000; ++i) body += "word" + std::to_string(i) + " ";
        const auto e = excerpt(body, 50);
        CPPUNIT_ASSERT(e.teaser.size() <= 50 + 4 && has(e.teaser, "word0 ") && e.teaser.ends_with(" …"));
        CPPUNIT_ASSERT(!has(e.teaser, "word9"));
        const auto long_title = excerpt("<title>" + std::string(5000, 'x') + "</title>", 10).title;
        CPPUNIT_ASSERT(long_title.size() <= title_characters + 4);
    }

    void marks_say_what_is_shown() {
        const std::string page = "<title>T</title><p>paid 1</p><!-- netpay-teaser --><p>Free <i>part</i>.</p><!-- /netpay-teaser --><p>paid 2</p>";
        CPPUNIT_ASSERT_EQUAL("Free part."s, excerpt(page, 5).teaser);
        // Without its end, how much may be shown is not known: nothing is.
        CPPUNIT_ASSERT_EQUAL(""s, excerpt("<p>x</p><!-- netpay-teaser --><p>paid</p>", 300).teaser);
        // An end beyond what is looked at is none.
        CPPUNIT_ASSERT_EQUAL(""s, excerpt("<!-- netpay-teaser -->" + std::string(excerpt_bytes, 'x') + "<!-- /netpay-teaser -->", 300).teaser);
    }

    void broken_pages_do_no_harm() {
        for (const char* page : {"<", "<!--", "<p", "<title>", "</", "<a href='", "&#", "&#99999999999;", "<script>", "&#xd800;", "<title", "&amp"})
            CPPUNIT_ASSERT(excerpt(page, 300).teaser.size() < 20);
        Random random(20261122);
        const std::string pieces[] = {"<", ">", "\"", "'", "<!--", "-->", "<title>", "</title>", "<script>", "</", "&", "#", ";", "x", " ", "\xe2\x82", "<p a=", "<!-- netpay-teaser -->", "<!-- /netpay-teaser -->"};
        for (int i = 0; i < 3000; ++i) {
            std::string page;
            for (int k = 0; k < 30; ++k) page += pieces[random.below(std::size(pieces))];
            const auto e = excerpt(page, 20);
            CPPUNIT_ASSERT(e.teaser.size() <= 4 * teaser_characters);
        }
    }

    void text_is_cut_at_words() {
        CPPUNIT_ASSERT_EQUAL("one two …"s, shortened("one two three", 9));
        CPPUNIT_ASSERT_EQUAL("one two …"s, shortened("one two three", 7));
        CPPUNIT_ASSERT_EQUAL("one two three"s, shortened("one two three", 13));
        CPPUNIT_ASSERT_EQUAL("ééé …"s, shortened("éééé", 3));
        CPPUNIT_ASSERT_EQUAL("abc"s, shortened("a\x01" "b\rc", 3));
        CPPUNIT_ASSERT_EQUAL(" …"s, shortened("abc", 0));
    }
};
CPPUNIT_TEST_SUITE_REGISTRATION(GateReaderTest);

}  // namespace
}  // namespace netpay::test
