import { coveredLevels, type Errors } from "../accuracy.ts";
import type { BacktestResult } from "../backtest.ts";
import { policyNames } from "../backtest.ts";
import {
  change,
  coverageAt,
  describeCapacity,
  describeSpan,
  horizonText,
  notesOf,
  percent,
  policyTitle,
  verdictTitle,
} from "./describe.ts";
import { type Markup, markup } from "./markup.ts";
import { costLegend, costPlot, coverageLegend, coveragePlot, replayLegend, replayPlot } from "./plots.ts";
import { style } from "./report-style.ts";

/**
 * The results as one page that needs nothing else: no script, no font, no picture from elsewhere. Text from outside is
 * escaped.
 *
 * @param failures workloads that could not be replayed, and why
 */
export function reportPage(
  results: readonly BacktestResult[],
  failures: readonly { readonly name: string; readonly message: string }[] = [],
): string {
  const title = results.length === 1 ? `Backtest of ${results[0].name}` : `Backtest of ${results.length} workloads`;
  const page = markup`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="color-scheme" content="light dark">
<title>${title} · Forescale</title>
<style>${style}</style>
</head>
<body>
<header><p class="brand">Forescale backtest</p><h1>${title}</h1></header>
<main>
${failures.length > 0 && markup`<section class="failures"><h2>Not replayed</h2><ul>${failures.map(({ message }) => markup`<li>${message}</li>`)}</ul></section>`}
${results.length > 1 && overview(results)}
${results.map((result, k) => section(result, k, results.length))}
</main>
<footer><p>${footer}</p></footer>
</body>
</html>
`;
  return page.text;
}

const footer =
  "All policies see the same load, 30 s late, through the same model of a cluster: HPA rounds every 15 s, new pods serve after their start-up time, pods that do not serve yet go first. " +
  "The tuned HPA and the schedule take, in hindsight, the cheapest target at which they lack pods no longer than Forescale. The oracle knows the future: no policy that never lacks pods can do with fewer. " +
  "A * marks a workload of which no target of the plain HPA lacks pods as little: its best is compared. " +
  "wQL: weighted quantile loss over the levels 0.1 to 0.9, divided by that of repeating the last day; below 1 the forecast is better.";

function overview(results: readonly BacktestResult[]): Markup {
  const count = (verdict: BacktestResult["verdict"]) => results.filter((each) => each.verdict === verdict).length;
  return markup`<section><p class="counts">${(["Enable", "KeepObserving", "NotPredictable"] as const).map(
    (verdict) => markup`<span>${chip(verdict)} ${count(verdict)}</span>`,
  )}</p><div class="wide"><table><thead><tr><th>workload</th><th class="verdict">verdict</th><th>pod-hours</th><th>÷ oracle's</th><th>to tuned HPA</th><th>too few pods</th><th>unserved</th><th>actions</th><th>wQL</th><th>≤ q90</th></tr></thead><tbody>${results.map(
    ({ name, verdict, policies: { forescale, hpaTuned }, accuracy }, k) =>
      markup`<tr><td><a href="#w${k}">${name}</a></td><td>${chip(verdict)}</td><td>${forescale.podHours.toFixed(1)}</td><td>${forescale.overOracle.toFixed(3)}</td><td>${change(forescale.podHours, hpaTuned)}</td><td>${percent(forescale.underProvisioned)}</td><td>${percent(forescale.unserved)}</td><td>${forescale.actions}</td><td>${accuracy?.relativeWql?.toFixed(2) ?? "–"}</td><td>${coverageAt(accuracy, 0.9)}</td></tr>`,
  )}</tbody></table></div></section>`;
}

function section(result: BacktestResult, k: number, many: number): Markup {
  const body = markup`<p class="span">${describeSpan(result)}. ${describeCapacity(result)}</p>
${tiles(result)}
<ul class="reasons">${result.reasons.map(
    ({ isGood, isCaution, message }) =>
      markup`<li class="${isCaution ? "caution" : isGood ? "good" : "bad"}"><b aria-hidden="true">${isCaution ? "!" : isGood ? "✓" : "✗"}</b><span>${message}</span></li>`,
  )}</ul>
<figure><figcaption>The replay</figcaption>${replayLegend(result)}<div class="scroll">${replayPlot(result)}</div></figure>
<div class="pair"><figure><figcaption>What each policy costs, and how it serves</figcaption>${costLegend()}${costPlot(result)}</figure>${coverageFigure(result)}</div>
${policyTable(result)}
${forecastTable(result)}`;
  if (many === 1)
    return markup`<section class="workload" id="w${k}"><h2>Verdict ${chip(result.verdict)}</h2>${body}</section>`;
  return markup`<details class="workload"${many <= 3 && markup` open`}><summary><h2>${result.name} ${chip(result.verdict)}</h2></summary><div id="w${k}">${body}</div></details>`;
}

function tiles({ policies: { forescale, hpaTuned }, accuracy }: BacktestResult): Markup {
  const tile = (value: string, text: string) => markup`<div><strong>${value}</strong><span>${text}</span></div>`;
  return markup`<div class="tiles">${[
    tile(
      change(forescale.podHours, hpaTuned).replace(" *", ""),
      hpaTuned.isAsGood === false
        ? "pod-hours to the best HPA, which serves worse"
        : "pod-hours to an HPA that serves as well",
    ),
    tile(
      `${forescale.underProvisionedMinutes.toFixed(1)} min`,
      `with too few pods, ${percent(forescale.underProvisioned)} of the time`,
    ),
    tile(percent(forescale.unserved), `of the demand unserved, by the HPA ${percent(hpaTuned.unserved)}`),
    tile(String(forescale.actions), `changes of the size, by the HPA ${hpaTuned.actions}`),
    tile(`${forescale.overOracle.toFixed(2)}×`, "the oracle's pod-hours"),
    tile(
      accuracy?.relativeWql?.toFixed(2) ?? "–",
      `of the loss of repeating the last day; ${coverageAt(accuracy, 0.9)} of values within the 0.9 quantile`,
    ),
  ]}</div>`;
}

function coverageFigure(result: BacktestResult): Markup | undefined {
  const plot = coveragePlot(result);
  return (
    plot &&
    markup`<figure><figcaption>How honest the forecast is, by horizon</figcaption>${coverageLegend()}${plot}</figure>`
  );
}

function policyTable(result: BacktestResult): Markup {
  return markup`<div class="wide"><table><thead><tr><th>policy</th><th>pod-hours</th><th>÷ oracle's</th><th>too few pods</th><th>of the time</th><th>demand unserved</th><th>actions</th></tr></thead><tbody>${policyNames.map(
    (name) => {
      const policy = result.policies[name];
      return markup`<tr class="${name}"><td>${policyTitle(name, policy)}</td><td>${policy.podHours.toFixed(1)}</td><td>${policy.overOracle.toFixed(3)}</td><td>${policy.underProvisionedMinutes.toFixed(1)} min</td><td>${percent(policy.underProvisioned)}</td><td>${percent(policy.unserved)}</td><td>${policy.actions}</td></tr>`;
    },
  )}</tbody></table></div>${notesOf(result).map((note) => markup`<p class="note">${note}</p>`)}`;
}

function forecastTable({ accuracy, algorithm, metric, podTargets }: BacktestResult): Markup | undefined {
  if (accuracy === undefined) return undefined;
  const row = (title: string, errors: Errors) =>
    markup`<tr><td>${title}</td><td>${errors.samples}</td><td>${errors.wape === undefined ? "–" : percent(errors.wape)}</td><td>${errors.relativeWql?.toFixed(3) ?? "–"}</td>${coveredLevels.map((level) => markup`<td>${coverageAt(errors, level)}</td>`)}</tr>`;
  const by = algorithm === "Forecast" ? "" : ` by ${algorithm}`;
  const about = Object.keys(podTargets).length > 1 ? `Forecast of ${metric}${by}, ` : by && `Forecast${by}, `;
  return markup`<div class="wide"><table><thead><tr><th>${about}${accuracy.origins} origins</th><th>values</th><th>WAPE</th><th>wQL</th>${coveredLevels.map((level) => markup`<th>≤ q${level * 100}</th>`)}</tr></thead><tbody>${accuracy.horizons.map((bucket) => row(horizonText(bucket), bucket))}${row("all", accuracy)}</tbody></table></div>`;
}

function chip(verdict: BacktestResult["verdict"]): Markup {
  return markup`<span class="chip ${verdict}">${verdictTitle(verdict)}</span>`;
}
