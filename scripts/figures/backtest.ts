import { backtest } from "../../src/backtest/backtest.ts";
import { targetText } from "../../src/backtest/replay/tune-target.ts";
import { curve, place } from "../../src/backtest/report/axes.ts";
import { policyTitle } from "../../src/backtest/report/describe.ts";
import { markup } from "../../src/backtest/report/markup.ts";
import { fill, legend, percent, picture, plot, stroke } from "./picture.ts";
import { startupSeconds, workloadOf } from "./workload.ts";

const colours = {
  forescale: "forescale",
  hpaTuned: "hpa",
  hpaDefault: "hpa",
  cronTuned: "cron",
  fixed: "fixed",
  oracle: "oracle",
} as const;
const quantiles = ["90", "95", "99"];
const shownPolicies = ["hpaDefault", "fixed", "oracle"] as const;

/** What each policy costs over the trace's last two days, and how long it lacks pods. */
export function backtestPolicies(): string {
  const results = quantiles.map((quantile) => ({ quantile, ...backtest(workloadOf(quantile), { startupSeconds }) }));
  const { policies, tried } = results[1];
  const points = [...Object.values(policies), ...tried, ...results.map((each) => each.policies.forescale)];
  const cheapest = 0.97 * Math.min(...points.map(({ overOracle }) => overOracle));
  const dearest = 1.06 * Math.max(...points.map(({ overOracle }) => overOracle));
  const shortest = 1.1 * Math.max(...points.map(({ underProvisioned }) => underProvisioned));
  const root = Math.sqrt;
  const tuned = policies.hpaTuned;
  return picture(
    "Backtest: the trace's last two days, pods start in 60 s; low and left is good",
    [
      `At quantile 95 Forescale takes ${policies.forescale.overOracle.toFixed(3)} × the oracle's pod-hours and lacks pods ${percent(policies.forescale.underProvisioned, 2)} of the time.`,
      `The tuned HPA, at ${targetText(tuned.target ?? 0)} of a full pod, takes ${tuned.overOracle.toFixed(3)} × for ${percent(tuned.underProvisioned, 2)}; which target that is, only hindsight tells.`,
    ],
    [
      legend([
        { text: `Forescale at quantiles ${quantiles.join(", ")}`, colour: "forescale", kind: "dot" },
        { text: "HPA, each target tried", colour: "hpa", kind: "line" },
        { text: "the past's schedule + HPA", colour: "cron", kind: "line" },
      ]),
      plot({
        height: 360,
        x: {
          from: Math.log(cheapest),
          to: Math.log(dearest),
          ticks: [0.6, 0.7, 0.8, 0.9, 1, 1.2, 1.5, 2, 3, 4, 6, 8]
            .filter((value) => value >= cheapest && value <= dearest)
            .map((value) => ({ value: Math.log(value), label: `${value}×` })),
          title: "pod-hours ÷ the oracle's",
        },
        y: {
          from: 0,
          to: root(shortest),
          ticks: [0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1]
            .filter((share) => share <= shortest)
            .map((share) => ({ value: root(share), label: `${Number((100 * share).toFixed(1))} %` })),
          title: "share of time with too few pods",
        },
        draw: (x, y, frame) => {
          const front = (policy: "hpa" | "cron") => {
            const each = tried.filter((one) => one.policy === policy);
            return [
              markup`<path class="line thin" style="${stroke(policy)}" d="${curve(
                each.map(({ overOracle }) => x(Math.log(overOracle))),
                each.map(({ underProvisioned }) => root(underProvisioned)),
                y,
              )}"/>`,
              ...each.map(
                ({ target, overOracle, underProvisioned }) =>
                  markup`<circle class="dot" style="${fill(policy)}" cx="${place(x(Math.log(overOracle)))}" cy="${place(y(root(underProvisioned)))}" r="3"><title>target ${targetText(target)}: ${overOracle.toFixed(3)} ×, too few pods ${percent(underProvisioned, 2)}</title></circle>`,
              ),
            ];
          };
          const mark = (
            text: string,
            colour: (typeof colours)[keyof typeof colours],
            { overOracle, underProvisioned }: { readonly overOracle: number; readonly underProvisioned: number },
          ) => {
            const [cx, cy] = [x(Math.log(overOracle)), y(root(underProvisioned))];
            const isLate = cx > frame.width * 0.8;
            return markup`<circle class="dot" style="${fill(colour)}" cx="${place(cx)}" cy="${place(cy)}" r="6"><title>${text}: ${overOracle.toFixed(3)} ×, too few pods ${percent(underProvisioned, 2)} of the time</title></circle><text class="label" x="${place(isLate ? cx - 10 : cx + 9)}" y="${place(cy - 8)}" text-anchor="${isLate ? "end" : "start"}">${text}</text>`;
          };
          return [
            ...front("cron"),
            ...front("hpa"),
            ...shownPolicies.map((policy) =>
              mark(policyTitle(policy, policies[policy]), colours[policy], policies[policy]),
            ),
            ...results.map((each) => mark(each.quantile, "forescale", each.policies.forescale)),
          ];
        },
      }),
    ],
  );
}
