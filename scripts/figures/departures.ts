import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { readHeader, readHistory } from "../../src/cli/read-history.ts";
import { trailingMean } from "../../src/demo/trace.ts";
import { resample } from "../../src/series/resample.ts";
import type { Series } from "../../src/series/series.ts";

export const minuteMs = 60_000;
export const hourMs = 60 * minuteMs;
export const dayMs = 24 * hourMs;

const file = new URL("../../src/demo/traces/us-departures-2001.csv.gz", import.meta.url);

let read: Series | undefined;

/** The bundled trace: departures a minute, 14 May to 17 June 2001, its hours taken as UTC. */
export function departures(): Series {
  if (read === undefined) {
    const text = gunzipSync(readFileSync(file)).toString();
    read = [...readHistory(text, readHeader(text)).values()][0];
  }
  return read;
}

/** The same as means over `minutes`. */
export function departuresEvery(minutes: number): Series {
  return resample(departures(), minutes * minuteMs);
}

/** The same as a metrics store shows it: each minute the rate over the last five. */
export function departureRate(): Series {
  return trailingMean(departures(), 5 * minuteMs);
}

/** What was known at a moment. */
export function before({ startMs, stepMs, values }: Series, timeMs: number): Series {
  return { startMs, stepMs, values: values.slice(0, Math.floor((timeMs - startMs) / stepMs)) };
}

/** What came from a moment on. */
export function between({ startMs, stepMs, values }: Series, fromMs: number, untilMs: number): Series {
  const first = Math.round((fromMs - startMs) / stepMs);
  const last = Math.round((untilMs - startMs) / stepMs);
  return { startMs: startMs + first * stepMs, stepMs, values: values.slice(first, last) };
}
