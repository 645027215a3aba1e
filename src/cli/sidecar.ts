import { join } from "node:path";
import { createLog } from "../log.ts";
import { probePort, sidecarEnvironment, sidecarPaths } from "../pods/inject/sidecar-layout.ts";
import { runSidecar } from "../sidecar/run.ts";
import { type Command, type Io, UsageError, type Values } from "./command.ts";

export const command: Command = {
  name: "sidecar",
  summary: "runs beside an application in its pod: freezes it, gives its memory back, and wakes it",
  usage: "[--helper FILE]",
  description: [
    "Added to pods by the webhook (label forescale.io/inject: standby), which also sets its environment and volumes: nobody",
    "has to start it by hand. It holds one stream to `forescale serve`, opens no port but that of the probes, and without the",
    "server leaves everything as it is. Logs go to standard output, as JSON.",
    "",
    `Environment: ${Object.values(sidecarEnvironment).join(", ")}.`,
  ].join("\n"),
  options: {
    helper: { type: "string", value: "FILE", help: "the native helper; that of the installation unless given" },
    "state-folder": { type: "string", value: "DIR", default: sidecarPaths.state, help: "images and journal, on disk" },
    "key-folder": { type: "string", value: "DIR", default: sidecarPaths.key, help: "the images' key, in memory" },
    "identity-folder": {
      type: "string",
      value: "DIR",
      default: sidecarPaths.identity,
      help: "token, labels and annotations",
    },
    "server-name": { type: "string", value: "NAME", help: "name in the server's certificate, if not the host's" },
    "probe-port": { type: "string", value: "PORT", default: String(probePort), help: "where the kubelet asks" },
  },
  examples: ["FORESCALE_SERVER=127.0.0.1:6443 forescale sidecar --state-folder /tmp/state --key-folder /dev/shm/key"],
  run,
};

async function run(values: Values, positionals: readonly string[], io: Io): Promise<number> {
  if (positionals.length > 0)
    throw new UsageError(`"${positionals[0]}" is not expected; \`forescale sidecar --help\` lists the options`);
  const { env } = process;
  const server = env[sidecarEnvironment.server];
  if (!server)
    throw new UsageError(
      `${sidecarEnvironment.server} is not set: the webhook adds the sidecar to pods labelled forescale.io/inject: standby`,
    );
  const port = Number(values["probe-port"]);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new UsageError(`--probe-port ${values["probe-port"]} is no port`);
  const state = String(values["state-folder"]);
  const identity = String(values["identity-folder"]);
  const log = createLog(io.stdout);
  await runSidecar(
    {
      server,
      serverName: (values["server-name"] as string | undefined) ?? env[sidecarEnvironment.serverName],
      authorities: env[sidecarEnvironment.authorities] ?? "",
      probes: env[sidecarEnvironment.probes] || "[]",
      probePort: port,
      hasSwap: env[sidecarEnvironment.swap] === "true",
      files: {
        state,
        key: String(values["key-folder"]),
        leaving: join(state, "leaving"),
        token: join(identity, "token"),
        labels: join(identity, "labels"),
        annotations: join(identity, "annotations"),
      },
      helper:
        (values.helper as string | undefined) ??
        join(import.meta.dirname, "..", "..", "native", "build", "forescale-standby"),
      log,
    },
    io.signal,
  );
  return 0;
}
