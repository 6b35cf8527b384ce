/*
 * The one style sheet of the pages. Its address carries a hash of it, so that
 * browsers may keep it for ever.
 */
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "oauth.h"
#include "page.h"
#include "request.h"

static const char style[] =
    ":root{color-scheme:light dark;--bg:#f3f4f7;--card:#fff;--ink:#14171c;"
    "--soft:#56606e;--line:#dde1e7;--edge:#868f9c;--go:#1d5bc9;"
    "--go-over:#174ba8;--go-ink:#fff;--warn:#7a4100;--warn-bg:#fff3dd;"
    "--warn-line:#e9b44c;--bad:#b3261e;--bad-bg:#fdeceb;--ok:#1b7f46}\n"
    "@media (prefers-color-scheme:dark){:root{--bg:#0e1115;--card:#171b21;"
    "--ink:#eceff3;--soft:#a0aab8;--line:#2b313a;--edge:#6d7786;"
    "--go:#7fabff;--go-over:#a3c3ff;--go-ink:#0b1220;--warn:#ffd79a;"
    "--warn-bg:#2f2410;--warn-line:#8a6420;--bad:#ff9c93;--bad-bg:#34191a;"
    "--ok:#6fd39b}}\n"
    "*{box-sizing:border-box}\n"
    "html{-webkit-text-size-adjust:100%;text-size-adjust:100%}\n"
    "body{margin:0;background:var(--bg);color:var(--ink);"
    "font:16px/1.5 system-ui,-apple-system,\"Segoe UI\",Roboto,sans-serif}\n"
    "main{max-width:29rem;margin:0 auto;padding:4vh 1rem 2.5rem}\n"
    "h1{font-size:1.3rem;line-height:1.3;margin:0 0 .75rem;"
    "overflow-wrap:anywhere;text-wrap:balance}\n"
    "h2{font-size:1rem;margin:1.5rem 0 .25rem}\n"
    "p{margin:.5rem 0}\n"
    ".card{background:var(--card);border:1px solid var(--line);"
    "border-radius:14px;padding:1.5rem;"
    "box-shadow:0 1px 2px rgb(0 0 0/.06),0 8px 24px rgb(0 0 0/.05)}\n"
    ".gate{color:var(--soft);font-size:.875rem;margin:0 .25rem .75rem;"
    "overflow-wrap:anywhere}\n"
    ".gate b{color:var(--ink);font-weight:600}\n"
    ".soft,small{color:var(--soft)}\n"
    ".soft b{color:var(--ink);font-weight:600}\n"
    ".to{border:1px solid var(--line);border-radius:10px;"
    "background:var(--bg);padding:.8rem 1rem .9rem;margin:1rem 0}\n"
    ".to p{margin:0;overflow-wrap:anywhere}\n"
    ".to .host{font-size:clamp(1.65rem,7vw,2.1rem);font-weight:700;"
    "line-height:1.2;margin:.1rem 0 .3rem;letter-spacing:-.01em}\n"
    ".to .uri{font-size:.8125rem;color:var(--soft)}\n"
    ".warn,.error{border-radius:10px;padding:.75rem 1rem;margin:1rem 0;"
    "border:1px solid var(--warn-line);background:var(--warn-bg);"
    "color:var(--warn)}\n"
    ".error{border-color:var(--bad);background:var(--bad-bg);"
    "color:var(--bad);font-weight:600}\n"
    "ul.may{list-style:none;margin:.25rem 0 1rem;padding:0}\n"
    "ul.may li{padding:.3rem 0 .3rem 1.7rem;position:relative;"
    "overflow-wrap:anywhere}\n"
    "ul.may li::before{content:\"\\2713\";position:absolute;left:.2rem;"
    "color:var(--ok);font-weight:700}\n"
    "ul.may small{display:block}\n"
    "dl{margin:1rem 0 0;padding:.75rem 0 0;border-top:1px solid var(--line);"
    "font-size:.875rem}\n"
    "dl div{display:flex;gap:.75rem;padding:.15rem 0}\n"
    "dt{flex:0 0 6.25rem;color:var(--soft)}\n"
    "dd{margin:0;min-width:0;overflow-wrap:anywhere}\n"
    "dl.how{font-size:1rem;margin:.5rem 0 0;padding:0;border:0}\n"
    "dl.how div{display:block;padding:.65rem 0;"
    "border-top:1px solid var(--line)}\n"
    "dl.how div:first-child{border-top:0}\n"
    "dl.how dt{color:var(--ink);font-weight:600}\n"
    "dl.how dd{color:var(--soft)}\n"
    "label{display:block;font-weight:600;margin:1rem 0 .35rem}\n"
    "input{width:100%;min-height:46px;padding:.5rem .8rem;font:inherit;"
    "color:inherit;background:var(--bg);border:1px solid var(--edge);"
    "border-radius:9px}\n"
    ".row{display:flex;gap:.75rem;margin-top:1.5rem;flex-wrap:wrap}\n"
    "button,.button{flex:1 1 8rem;min-height:46px;padding:.55rem 1rem;"
    "font:inherit;font-weight:600;border-radius:9px;"
    "border:1px solid var(--edge);background:transparent;color:var(--ink);"
    "cursor:pointer;text-align:center;text-decoration:none}\n"
    "button:hover,.button:hover{border-color:var(--ink)}\n"
    "button.go,.button.go{background:var(--go);border-color:var(--go);"
    "color:var(--go-ink)}\n"
    "button.go:hover,.button.go:hover{background:var(--go-over);"
    "border-color:var(--go-over)}\n"
    ":focus-visible{outline:3px solid var(--go);outline-offset:2px}\n"
    "code{font:.9em ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
    "color:var(--ink);overflow-wrap:anywhere}\n"
    "dl:not(.how) code{font-size:.8rem}\n"
    "code.copy{display:block;user-select:all;-webkit-user-select:all;"
    "background:var(--bg);border:1px solid var(--line);border-radius:9px;"
    "line-height:1.45;padding:.6rem .8rem;margin:.5rem 0}\n"
    "code.big{font-size:1.05rem;font-weight:600;padding:.85rem 1rem;"
    "margin:1rem 0}\n"
    "@media (max-width:26rem){main{padding-top:1.25rem}"
    ".card{padding:1.25rem}.warn,.error{padding:.65rem .85rem}}\n"
    "@media (min-width:60rem){main{padding-top:10vh}}\n"
    "@media (forced-colors:active){button.go,.button.go{"
    "border-width:3px}}\n";

const char *
style_url(void)
{
	static char url[48];
	uint32_t h = 2166136261U; /* FNV-1a */
	size_t i;

	if (url[0] == '\0') {
		for (i = 0; i < sizeof(style) - 1; i++)
			h = (h ^ (unsigned char)style[i]) * 16777619U;
		snprintf(url, sizeof(url), "/oauth/style.css?v=%08x",
		    (unsigned int)h);
	}
	return url;
}

void
oauth_style(struct request *rq)
{
	reply_header(
	    rq, "Cache-Control", "public, max-age=31536000, immutable");
	reply(rq, 200, "text/css; charset=utf-8", style, sizeof(style) - 1);
}
