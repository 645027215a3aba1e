import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, expect, test } from "vitest";
import { forecast } from "../../../../src/forecast/experts/expert-forecast.ts";
import type { ForecastRequest } from "../../../../src/forecast/forecast.ts";
import { createForecastPool, type ForecastPool } from "../../../../src/forecast/workers/worker-pool.ts";

const folder = mkdtempSync(join(tmpdir(), "forecast-pool-"));
afterAll(() => rmSync(folder, { recursive: true }));

let pool: ForecastPool | undefined;
afterEach(() => pool?.close());

function requestOf(level: number): ForecastRequest {
  const values = Float64Array.from({ length: 96 }, (_, i) => level + Math.sin((2 * Math.PI * i) / 24));
  const series = { startMs: Date.UTC(2025, 2, 3), stepMs: 3_600_000, values };
  return { series, horizon: 12, levels: [0.1, 0.5, 0.9], timeZone: "UTC" };
}

/** A thread that dies at a horizon of 13 and otherwise answers TooShort with the horizon. */
function fragileWorker(): URL {
  const file = join(folder, "fragile.mjs");
  writeFileSync(
    file,
    `import { parentPort } from "node:worker_threads";
     parentPort.on("message", ({ id, request }) => {
       if (request.horizon === 13) throw new Error("thirteen");
       if (request.horizon === 14) return;
       parentPort.postMessage({ id, outcome: { kind: "TooShort", samples: request.horizon, needed: 0 } });
     });`,
  );
  return pathToFileURL(file);
}

test("a thread gives what the function gives, and the caller keeps its series", async () => {
  pool = createForecastPool(2);
  const requests = [10, 20, 30].map(requestOf);
  const outcomes = await Promise.all(requests.map((request) => pool!.forecast(request)));
  expect(outcomes).toEqual(requests.map(forecast));
  expect(requests[0].series.values).toHaveLength(96);
});

test("the caller's mistake comes back as the error that the function throws", async () => {
  pool = createForecastPool(1);
  await expect(pool.forecast({ ...requestOf(1), timeZone: "Mars/Olympus" })).rejects.toThrow(RangeError);
  await expect(pool.forecast({ ...requestOf(1), levels: [2] })).rejects.toThrow("level 2 is not between 0 and 1");
});

test("a thread that dies fails its own request with a reason and is replaced", async () => {
  pool = createForecastPool(1, fragileWorker());
  const asked = [1, 13, 2].map((horizon) => pool!.forecast({ ...requestOf(1), horizon }));
  const [first, died, after] = await Promise.allSettled(asked);
  expect(first).toMatchObject({ status: "fulfilled", value: { samples: 1 } });
  expect(died).toMatchObject({
    status: "rejected",
    reason: { code: "WorkerDied", message: "the worker thread of the forecast ended (thirteen); try again" },
  });
  expect(after).toMatchObject({ status: "fulfilled", value: { samples: 2 } });
});

test("an aborted request leaves the queue and the others go on", async () => {
  pool = createForecastPool(1, fragileWorker());
  const stop = new AbortController();
  const running = pool.forecast({ ...requestOf(1), horizon: 3 });
  const waiting = pool.forecast(requestOf(1), stop.signal);
  stop.abort(new Error("not wanted any more"));
  await expect(waiting).rejects.toThrow("not wanted any more");
  await expect(running).resolves.toMatchObject({ samples: 3 });
  await expect(pool.forecast(requestOf(1), stop.signal)).rejects.toThrow("not wanted any more");
});

test("closing fails what runs, what waits and what comes later", async () => {
  pool = createForecastPool(1, fragileWorker());
  const asked = [14, 5].map((horizon) => pool!.forecast({ ...requestOf(1), horizon }));
  const settled = Promise.allSettled(asked);
  await pool.close();
  for (const result of await settled) expect(result).toMatchObject({ status: "rejected", reason: { code: "Closed" } });
  await expect(pool.forecast(requestOf(1))).rejects.toMatchObject({ code: "Closed" });
});

test.each([0, -1, 1.5, Number.NaN])("a pool of %s threads is refused", (size) => {
  expect(() => createForecastPool(size)).toThrow(RangeError);
});
