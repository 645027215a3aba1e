import { dirname } from "node:path";
import { type Command, helpOf, type Io, parse, UsageError } from "./cli/command.ts";

/** The subcommands in the order of the help page; each is loaded only when it is called, so that pipes start fast. */
const commands: Readonly<Record<string, { summary: string; load: () => Promise<Command> }>> = {
  backtest: {
    summary: "replays the past: what Forescale would have cost and served, and whether to enable it",
    load: async () => (await import("./cli/backtest.ts")).command,
  },
  controller: {
    summary: "runs the controllers: learns, forecasts and decides for every IHPA of a cluster",
    load: async () => (await import("./cli/controller.ts")).command,
  },
  decide: {
    summary: "decides a workload's pods tick by tick, one JSON line in, one out",
    load: async () => (await import("./cli/decide.ts")).command,
  },
  demo: {
    summary: "replays a real load through the real server and decision path, no cluster needed",
    load: async () => (await import("./cli/demo.ts")).command,
  },
  forecast: {
    summary: "forecasts series with quantiles, one JSON line in, one out",
    load: async () => (await import("./cli/forecast.ts")).command,
  },
  serve: {
    summary: "answers the external metrics API, and validates objects, for the API server",
    load: async () => (await import("./cli/serve.ts")).command,
  },
  sidecar: {
    summary: "runs beside an application in its pod: freezes it, gives its memory back, and wakes it",
    load: async () => (await import("./cli/sidecar.ts")).command,
  },
  periods: {
    summary: "finds the periods of series, one JSON line in, one out",
    load: async () => (await import("./cli/periods.ts")).command,
  },
};

async function main(args: string[]): Promise<number> {
  const [name, ...rest] = args;
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    const target = name === "help" ? rest[0] : undefined;
    if (target !== undefined && target in commands) process.stdout.write(helpOf(await commands[target].load()));
    else process.stdout.write(overview());
    return name === undefined ? 2 : 0;
  }
  if (name === "--version") {
    process.stdout.write(`${(await import("./telemetry.ts")).version}\n`);
    return 0;
  }
  if (!Object.hasOwn(commands, name))
    throw new UsageError(`there is no command "${name}"; \`forescale --help\` lists the commands`);
  const command = await commands[name].load();
  const { values, positionals } = parse(command, rest);
  if (values.help) {
    process.stdout.write(helpOf(command));
    return 0;
  }
  return command.run(values, positionals, processIo());
}

function overview(): string {
  const width = Math.max(0, ...Object.keys(commands).map((name) => name.length));
  return [
    "forescale: makes the native HorizontalPodAutoscaler predictive",
    "",
    ...Object.entries(commands).map(([name, { summary }]) => `  ${name.padEnd(width)}  ${summary}`),
    "",
    "`forescale COMMAND --help` explains a command and shows an example; `forescale --version` tells the version.",
    "From a clone, `npm run -s forescale --` stands for `forescale`.",
    "",
  ].join("\n");
}

function processIo(): Io {
  const stop = new AbortController();
  let askedMs = Number.POSITIVE_INFINITY;
  for (const signal of ["SIGINT", "SIGTERM"] as const)
    process.on(signal, () => {
      // npm and the launcher pass on what the terminal sends to everyone: one Ctrl-C comes several times.
      if (performance.now() - askedMs > 500) process.exit(130); // asked twice: leave at once
      askedMs = Math.min(askedMs, performance.now());
      stop.abort(new Error(signal));
    });
  // npm's shell keeps signals to itself: when it is gone, this process has to stop by itself.
  const parent = process.ppid;
  if (process.env.npm_lifecycle_event !== undefined)
    setInterval(() => process.ppid !== parent && stop.abort(new Error("npm has ended")), 1000).unref();
  const cwd = userFolder();
  return { stdin: process.stdin, stdout: process.stdout, stderr: process.stderr, signal: stop.signal, cwd };
}

/**
 * Where the user stands. npm runs scripts from the package's root and leaves the user's folder in INIT_CWD; what is
 * started elsewhere, such as by the script of another package, inherits that variable from npm and stands where it is.
 */
function userFolder(): string {
  const here = process.cwd();
  return here === dirname(import.meta.dirname) ? (process.env.INIT_CWD ?? here) : here;
}

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  const detail = process.env.FORESCALE_DEBUG ? (error as Error).stack : (error as Error).message;
  process.stderr.write(`forescale: ${detail}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
