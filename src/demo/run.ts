import { createForecastPool } from "../forecast/workers/worker-pool.ts";
import { Forecasts } from "./forecasts.ts";
import { demoIhpa } from "./manifest.ts";
import { openMetricServer } from "./metric-server.ts";
import { Replay, tickMs } from "./replay.ts";
import { ReplayClock } from "./replay-clock.ts";
import { type Summary, summarise } from "./summary.ts";
import type { Trace } from "./trace.ts";

export interface DemoOptions {
  readonly trace: Trace;
  /** Simulated seconds a second. */
  readonly speed: number;
  /** How long to replay, by the machine's clock; without end where absent. */
  readonly durationMs?: number;
  readonly port: number;
  /** Percentile of the load to be ready for. */
  readonly quantile: string;
  /** Aborted: the replay ends and is summed up. */
  readonly signal: AbortSignal;
}

/** What shows a replay while it runs. */
export interface Display {
  /** Once, before the first tick. */
  begin(stage: Stage): void;
  /** Often: after each tick, and while the replay waits. */
  show(stage: Stage): void;
  /** Once, also after a failure. */
  end(): void;
}

/** All that a display may show. */
export interface Stage {
  readonly trace: Trace;
  readonly replay: Replay;
  readonly forecasts: Forecasts;
  readonly pace: ReplayClock;
  readonly curl: string;
}

/**
 * Runs the demo to the trace's end, for its duration or until it is aborted.
 *
 * @throws Error with one sentence when the port is taken or not permitted, ManifestError for a quantile that cannot be
 */
export async function runDemo(options: DemoOptions, display: Display): Promise<Summary> {
  const { trace, speed, port, quantile, signal } = options;
  const ihpa = demoIhpa(trace, quantile);
  const server = await openMetricServer({
    port,
    name: ihpa.metadata.name,
    fromMs: trace.replayFromMs,
    untilMs: trace.replayUntilMs,
  });
  const pool = createForecastPool(1);
  const close = () => pool.close(); // what a tick may be waiting for
  signal.addEventListener("abort", close, { once: true });
  try {
    const forecasts = new Forecasts(pool, trace.load);
    const replay = new Replay({ trace, ihpa, server, forecasts });
    const pace = new ReplayClock(speed, () => performance.now());
    const stage: Stage = { trace, replay, forecasts, pace, curl: server.curl };
    try {
      if (!signal.aborted) {
        await replay.tick(); // learns from the history first; from now on the metric can be read
        display.begin(stage);
        pace.start();
      }
      while (!signal.aborted && !replay.isOver && pace.elapsedMs < (options.durationMs ?? Infinity)) {
        await replay.tick();
        pace.advance(tickMs);
        display.show(stage);
        await pace.wait({ signal, untilMs: options.durationMs, meanwhile: () => display.show(stage) });
      }
    } catch (error) {
      if (!signal.aborted) throw error; // an abort cuts a tick short
    } finally {
      display.end();
    }
    const done = replay.ticks.done * tickMs;
    return summarise({ trace: trace.name, source: trace.source }, pace.reached, done, (policy) => replay.score(policy));
  } finally {
    signal.removeEventListener("abort", close);
    await Promise.all([pool.close(), server.close()]);
  }
}
