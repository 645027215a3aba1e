import { type Markup, markup } from "../../src/backtest/report/markup.ts";
import { type Colour, fill, type Panel, picture, pictureWidth, stroke } from "./picture.ts";

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly title: string;
  readonly lines?: readonly string[];
}

/** The programs, what each is made of, and what goes between them. */
export function architecture(): string {
  return picture(
    "Three programs: the controller decides, the servers answer, a sidecar freezes",
    ["Bold: folders of src. They meet in the API server's objects alone, so each goes on without the others."],
    [drawing()],
  );
}

function drawing(): Panel {
  const content = [
    arrowHead,
    // The world around.
    box(
      { x: 4, y: 60, width: 132, height: 64, title: "metric sources", lines: ["Prometheus,", "metrics APIs"] },
      "cron",
    ),
    frame({ x: 330, y: 286, width: 184, height: 150, title: "kube-apiserver" }, "hpa"),
    ...[
      "IHPA and its status",
      "HorizontalPortrait",
      "ReplicaProfile",
      "HorizontalPodAutoscaler",
      "pods: labels, gates",
    ].map((text, line) => markup`<text x="346" y="${330 + 21 * line}">${text}</text>`),
    box({ x: 716, y: 290, width: 140, height: 50, title: "native HPA", lines: ["scales the workload"] }, "hpa"),
    frame({ x: 690, y: 384, width: 166, height: 128, title: "a pod" }, "cron"),
    // The controller.
    frame({ x: 172, y: 8, width: 500, height: 232, title: "controller (one, elected)" }, "forescale"),
    ...steps.map((title, at) => box({ x: 186 + 80 * at, y: 60, width: 70, height: 64, ...title }, "forescale")),
    ...steps.slice(1).map((_, at) => way(`M${256 + 80 * at} 92h10`)),
    box(
      { x: 186, y: 164, width: 150, height: 60, title: "controllers", lines: ["tick, reconcile loops"] },
      "forescale",
    ),
    box({ x: 356, y: 164, width: 130, height: 60, title: "stability", lines: ["checks of a change"] }, "forescale"),
    box({ x: 506, y: 164, width: 150, height: 60, title: "pods", lines: ["which pod changes"] }, "forescale"),
    way("M136 92h48"),
    way("M621 124v14H261v24"),
    markup`<text x="420" y="154">the decision, with its reason</text>`,
    // The server.
    frame({ x: 4, y: 286, width: 268, height: 226, title: "servers (two)" }, "good"),
    box(
      { x: 18, y: 316, width: 240, height: 50, title: "serve/metrics-api", lines: ["the number that the HPA reads"] },
      "good",
    ),
    box(
      { x: 18, y: 380, width: 240, height: 50, title: "serve/admission", lines: ["validates, adds gate and sidecar"] },
      "good",
    ),
    box(
      { x: 18, y: 444, width: 240, height: 50, title: "serve/sidecar-gateway", lines: ["what each pod should be"] },
      "good",
    ),
    // In the pod.
    box({ x: 704, y: 410, width: 138, height: 36, title: "sidecar" }, "forescale"),
    box({ x: 704, y: 462, width: 138, height: 36, title: "application" }, "soft"),
    way("M773 446v14"),
    // Between them.
    way("M422 240v44", true),
    markup`<text x="430" y="266">watches, writes</text>`,
    way("M330 341h-56", true),
    markup`<text x="284" y="333">reads</text>`,
    way("M514 315h200", true),
    markup`<text x="528" y="307">external metric, each 15 s</text>`,
    way("M716 328h-60V372h-142"),
    markup`<text x="560" y="388">spec.replicas</text>`,
    way("M704 428H614V478H260", true),
    markup`<text x="330" y="470">sidecar pulls its state, reports</text>`,
  ];
  return { width: pictureWidth, height: 520, content: markup`${content}` };
}

const steps = [
  { title: "collect", lines: ["reads"] },
  { title: "series", lines: ["one grid"] },
  { title: "forecast", lines: ["quantiles"] },
  { title: "capacity", lines: ["pods for", "a load"] },
  { title: "portrait", lines: ["pods over", "the day"] },
  { title: "decide", lines: ["pods now"] },
];

const arrowHead = markup`<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto-start-reverse"><path d="M0 0 8 4 0 8z" style="${fill("soft")}"/></marker></defs>`;

function box({ x, y, width, height, title, lines = [] }: Box, colour: Colour): Markup {
  const first = y + height / 2 + 4 - 8 * lines.length;
  return markup`<rect style="${fill(colour)};opacity:.12" x="${x}" y="${y}" width="${width}" height="${height}" rx="7"/><rect style="fill:none;${stroke(colour)}" x="${x}" y="${y}" width="${width}" height="${height}" rx="7"/><text class="label" text-anchor="middle" x="${x + width / 2}" y="${first}">${title}</text>${lines.map(
    (line, at) => markup`<text text-anchor="middle" x="${x + width / 2}" y="${first + 16 * (at + 1)}">${line}</text>`,
  )}`;
}

function frame({ x, y, width, height, title }: Box, colour: Colour): Markup {
  return markup`<rect style="fill:none;${stroke(colour)};stroke-dasharray:5 4" x="${x}" y="${y}" width="${width}" height="${height}" rx="10"/><text class="label" x="${x + 14}" y="${y + 20}">${title}</text>`;
}

function way(path: string, isBoth = false): Markup {
  const start = isBoth ? markup` marker-start="url(#tip)"` : markup``;
  return markup`<path class="line" style="${stroke("soft")}" marker-end="url(#tip)"${start} d="${path}"/>`;
}
