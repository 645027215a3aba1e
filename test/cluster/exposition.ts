import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { type Point, valueAt } from "./replay.ts";

/** A series under a name and labels. */
export interface LabelledSeries {
  readonly metric: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly points: readonly Point[];
}

/** A server whose gauges move as time passes. */
export interface Exposition {
  /** `HOST:PORT` of loopback, for Prometheus's scrape configuration; the path is /metrics. */
  readonly target: string;
  stop(): Promise<void>;
}

/** Serves each series' value of the present moment as a gauge; `nowMs` may be moved by a test. */
export async function startExposition(
  series: readonly LabelledSeries[],
  nowMs: () => number = Date.now,
): Promise<Exposition> {
  const server = createServer((_request, response) => {
    const families = Map.groupBy(series, (each) => each.metric);
    const text = [...families].map(([metric, members]) => {
      const samples = members.map((each) => `${sampleName(each)} ${valueAt(each.points, nowMs())}\n`);
      return `# TYPE ${metric} gauge\n${samples.join("")}`;
    });
    response.writeHead(200, { "content-type": "text/plain; version=0.0.4" }).end(text.join(""));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    target: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A finished series as OpenMetrics text with times, without the closing EOF line. */
export function openMetrics(series: LabelledSeries): string {
  const name = sampleName(series);
  return series.points.map(({ timeMs, value }) => `${name} ${value} ${timeMs / 1000}\n`).join("");
}

/** The name and labels as both text formats write them. */
function sampleName({ metric, labels = {} }: LabelledSeries): string {
  // JSON escapes the three characters that the format wants escaped, in the same way.
  const pairs = Object.entries(labels).map(([name, value]) => `${name}=${JSON.stringify(value)}`);
  return `${metric}{${pairs.join(",")}}`;
}
