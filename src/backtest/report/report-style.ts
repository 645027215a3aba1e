import { Markup } from "./markup.ts";

/** Its colours, by day and by night: also those of the figures in the docs. */
export const palette = `
:root{--ink:#16202e;--soft:#5b6778;--line:#e3e7ee;--page:#f5f7fa;--card:#fff;--forescale:#2563eb;--hpa:#d9730d;--cron:#0f9488;--oracle:#94a0b2;--fixed:#b4478f;--band:#7c5cf0;--good:#15803d;--goodback:#dcf5e4;--wait:#8a5a00;--waitback:#fdf0cf;--bad:#b42318;--badback:#fde5e2}
@media (prefers-color-scheme:dark){:root{--ink:#e7ebf2;--soft:#9aa6b8;--line:#2a3342;--page:#0f141c;--card:#171e29;--forescale:#6ea8ff;--hpa:#f5a04c;--cron:#35c9b9;--oracle:#6d7a8f;--fixed:#e07fbe;--band:#9b86ff;--good:#5fd38d;--goodback:#123322;--wait:#f0c05a;--waitback:#3a2e10;--bad:#ff8b7f;--badback:#41201d}}`;

/** The page's look. */
export const style = new Markup(`${palette}
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--ink);font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",sans-serif;-webkit-text-size-adjust:100%}
header,main,footer{max-width:1200px;margin:0 auto;padding:0 24px}
header{padding-top:28px}
.brand{margin:0;color:var(--soft);font-size:13px;letter-spacing:.04em}
h1{margin:2px 0 20px;font-size:28px;line-height:1.2;overflow-wrap:anywhere}
h2{margin:0;font-size:19px;overflow-wrap:anywhere}
section,details.workload{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:22px 24px;margin:0 0 20px}
summary{cursor:pointer}
summary h2{display:inline}
.span{color:var(--soft);margin:8px 0 16px}
.chip{display:inline-block;vertical-align:middle;border-radius:999px;padding:2px 12px;font-size:14px;font-weight:600;white-space:nowrap}
.chip.Enable{color:var(--good);background:var(--goodback)}
.chip.KeepObserving{color:var(--wait);background:var(--waitback)}
.chip.NotPredictable{color:var(--bad);background:var(--badback)}
.counts{display:flex;gap:24px;flex-wrap:wrap;margin:0 0 14px;font-weight:600}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(170px,1fr));gap:12px;margin:0 0 16px}
.tiles div{border:1px solid var(--line);border-radius:10px;padding:12px 14px}
.tiles strong{display:block;font-size:24px;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles span{color:var(--soft);font-size:13px;line-height:1.35;display:block}
.reasons{list-style:none;margin:0 0 20px;padding:0}
.reasons li{display:flex;gap:10px;margin:4px 0}
.good b{color:var(--good)}
.bad b{color:var(--bad)}
.caution b{color:var(--wait)}
.failures{border-color:var(--bad)}
figure{margin:0 0 20px}
figcaption{font-weight:600;margin-bottom:2px}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,420px),1fr));gap:24px}
svg{display:block;width:100%;height:auto}
.scroll{overflow-x:auto}
.scroll svg{min-width:760px}
svg text{font-size:12px;fill:var(--soft)}
svg text.title{fill:var(--soft)}
svg text.label{font-weight:600;fill:var(--ink)}
.axis line{stroke:var(--line)}
.axis line.tick{stroke:var(--soft)}
.line{fill:none;stroke-width:1.6;stroke-linejoin:round}
.line.load{stroke:var(--ink);stroke-width:1.3}
.line.median{stroke:var(--band);stroke-width:1.1;stroke-dasharray:4 3}
.line.forescale{stroke:var(--forescale);stroke-width:2}
.line.hpa{stroke:var(--hpa)}
.line.cron{stroke:var(--cron)}
.line.oracle{stroke:var(--oracle);stroke-width:1.2}
.peak{fill:var(--ink);opacity:.22}
.band{fill:var(--band);opacity:.2}
.dot{stroke:var(--card);stroke-width:1}
.dot.forescale{fill:var(--forescale)}
.dot.hpa{fill:var(--hpa)}
.dot.cron{fill:var(--cron)}
.dot.fixed{fill:var(--fixed)}
.dot.oracle{fill:var(--oracle)}
.bar.q0,.key.q0{fill:var(--oracle);background:var(--oracle)}
.bar.q1,.key.q1{fill:var(--cron);background:var(--cron)}
.bar.q2,.key.q2{fill:var(--forescale);background:var(--forescale)}
.bar.q3,.key.q3{fill:var(--band);background:var(--band)}
.nominal{stroke:var(--ink);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;gap:4px 18px;margin:0 0 4px;color:var(--soft);font-size:13px}
.key{display:inline-block;width:16px;height:3px;border-radius:2px;margin-right:6px;vertical-align:middle}
.key.load,.key.nominal{background:var(--ink)}
.key.band{height:10px;background:var(--band);opacity:.35}
.key.forescale{background:var(--forescale)}
.key.hpa{background:var(--hpa)}
.key.cron{background:var(--cron)}
.key.oracle{background:var(--oracle)}
.key.q0,.key.q1,.key.q2,.key.q3{width:10px;height:10px}
.wide{overflow-x:auto;margin:0 0 14px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:7px 10px;text-align:right;border-bottom:1px solid var(--line);white-space:nowrap}
th{color:var(--soft);font-weight:500;font-size:13px}
th:first-child,td:first-child{text-align:left}
td:has(.chip),th.verdict{text-align:left}
tr.forescale td{font-weight:600}
tbody tr:last-child td{border-bottom:0}
a{color:var(--forescale)}
.note,footer{color:var(--soft);font-size:13px}
footer{padding-bottom:32px}
@media (max-width:640px){header,main,footer{padding-left:12px;padding-right:12px}section,details.workload{padding:16px 14px}}
@media print{body{background:#fff}details.workload{break-inside:avoid}}
`);
