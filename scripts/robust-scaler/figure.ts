import type { Outcome } from "./compare.ts";

const colors: Record<string, string> = {
  BP: "#8c8c8c",
  AdapBP: "#c77d0a",
  HP: "#1668c7",
  RT: "#0f8a4b",
  Cost: "#a1259c",
  "HP renewed": "#1668c7",
  "RT renewed": "#0f8a4b",
  "Cost renewed": "#a1259c",
};
const [width, height] = [380, 250];
const margin = { left: 52, top: 34, gap: 90, bottom: 52 };

/** The curves of each workload as an SVG: above, hit rate against relative cost; below, mean response time. */
export function drawCurves(
  results: readonly { readonly title: string; readonly outcomes: readonly Outcome[] }[],
  serviceSeconds: number,
  startupSeconds: number,
): string {
  const panels = results.flatMap(({ title, outcomes }, column) => {
    const worth = outcomes.filter(({ hitRate }) => hitRate < 0.985).map(({ cost }) => cost);
    const widest = Math.max(...worth.filter((cost) => cost < 8)) - 1;
    const mostCost = 1 + (widest < 2 ? 0.4 * Math.ceil(widest / 0.4) : 4 * Math.ceil(widest / 4)); // round ticks
    const x = margin.left + column * (width + margin.gap);
    return [
      panel(x, margin.top, `${title}: hit rate, %`, outcomes, mostCost, (o) => 100 * o.hitRate, [0, 100]),
      panel(
        x,
        margin.top + height + margin.bottom + 20,
        `${title}: mean response, s`,
        outcomes,
        mostCost,
        (o) => o.responseSeconds,
        [serviceSeconds, serviceSeconds + startupSeconds],
      ),
    ];
  });
  const w = margin.left + results.length * (width + margin.gap) - margin.gap + 20;
  const h = margin.top + 2 * (height + margin.bottom + 20) + 10;
  const keys = Object.entries(colors).map(
    ([name, color], k) =>
      `<line x1="${margin.left + 106 * k}" x2="${margin.left + 24 + 106 * k}" y1="${h - 14}" y2="${h - 14}" stroke="${color}" stroke-width="2"${dashOf(name)}/><text x="${margin.left + 29 + 106 * k}" y="${h - 10}">${name}</text>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${w} ${h}" font-family="system-ui, sans-serif" font-size="12" fill="#333">`,
    `<title>Hit rate and response time against relative cost, five policies</title>`,
    `<rect width="${w}" height="${h}" fill="#fff"/>`,
    ...panels,
    ...keys,
    "</svg>",
    "",
  ].join("\n");
}

/** Plans that are renewed at every interval are dashed. */
function dashOf(name: string): string {
  return name.endsWith("renewed") ? ' stroke-dasharray="5 3"' : "";
}

function panel(
  left: number,
  top: number,
  title: string,
  outcomes: readonly Outcome[],
  mostCost: number,
  of: (outcome: Outcome) => number,
  [low, high]: readonly [number, number],
): string {
  const x = (cost: number) => left + (width * (cost - 1)) / (mostCost - 1);
  const y = (value: number) => top + height * (1 - (value - low) / (high - low));
  const ticks = [0, 0.25, 0.5, 0.75, 1];
  const lines = Object.entries(colors).map(([name, color]) => {
    const curve = outcomes.filter((o) => o.policy === name && o.cost <= mostCost).toSorted((a, b) => a.cost - b.cost);
    const points = curve.map((o) => `${x(o.cost).toFixed(1)},${y(of(o)).toFixed(1)}`);
    const dots = points.map((point) => {
      const [cx, cy] = point.split(",");
      return `<circle cx="${cx}" cy="${cy}" r="3" fill="${color}"/>`;
    });
    return `<polyline points="${points.join(" ")}" fill="none" stroke="${color}" stroke-width="1.6"${dashOf(name)}/>${dots.join("")}`;
  });
  return [
    `<text x="${left}" y="${top - 10}" font-weight="600">${title}</text>`,
    ...ticks.map((tick) => {
      const value = low + tick * (high - low);
      const cost = 1 + tick * (mostCost - 1);
      return (
        `<line x1="${left}" x2="${left + width}" y1="${y(value)}" y2="${y(value)}" stroke="#e4e4e4"/>` +
        `<text x="${left - 6}" y="${y(value) + 4}" text-anchor="end">${Number(value.toFixed(1))}</text>` +
        `<text x="${x(cost).toFixed(1)}" y="${top + height + 16}" text-anchor="middle">${Number(cost.toFixed(2))}</text>`
      );
    }),
    `<text x="${left + width / 2}" y="${top + height + 32}" text-anchor="middle">relative cost (1 = an instance per arrival, none ahead)</text>`,
    ...lines,
  ].join("\n");
}
