// Makes development certificates here: `npm run certs -- [NAME…]`, for a server called localhost unless named otherwise.
// For a server or a proxy on your own machine; clusters get theirs from `forescale serve`, which makes and rotates them.
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { issueAuthority, issueClient, issueServing } from "../src/serve/tls/certificates.ts";

const dayMs = 86_400_000;
const usage = `Usage: npm run certs -- [--days 30] [--user developer] [--group system:masters] [NAME…]

Writes to this folder, which git ignores: ca.crt and ca.key (the authority), server.crt and server.key (for the NAMEs:
DNS names or addresses, localhost and loopback unless given), client.crt and client.key (for the user).`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    days: { type: "string", default: "30" },
    user: { type: "string", default: "developer" },
    group: { type: "string", multiple: true, default: ["system:masters"] },
    help: { type: "boolean", short: "h", default: false },
  },
});
const days = Number(values.days);
if (values.help) console.log(usage);
else if (!(days > 0 && days <= 3650)) {
  console.error(`--days ${values.days} is not a number from 1 to 3650\n\n${usage}`);
  process.exitCode = 2;
} else {
  const nowMs = Date.now();
  const lifetimeMs = days * dayMs;
  const names = positionals.length > 0 ? positionals : ["localhost", "127.0.0.1", "::1"];
  const authority = await issueAuthority("forescale-development-ca", lifetimeMs, nowMs);
  const [server, client] = await Promise.all([
    issueServing(authority, names, lifetimeMs, nowMs),
    issueClient(authority, { name: values.user, groups: values.group }, lifetimeMs, nowMs),
  ]);
  for (const [name, { certificate, key }] of Object.entries({ ca: authority, server, client })) {
    writeFileSync(join(import.meta.dirname, `${name}.crt`), certificate);
    const keyFile = join(import.meta.dirname, `${name}.key`);
    writeFileSync(keyFile, key, { mode: 0o600 });
    chmodSync(keyFile, 0o600); // a file of before keeps its mode otherwise
  }
  console.log(
    `Written to ${import.meta.dirname}: ca, server (${names.join(", ")}) and client (${values.user}), for ${days} days.`,
  );
}
