// `node bin/run.mjs FILE ARGS…`: runs a program of the clone with the project's own Node, installing first where needed.
import { ensureInstalled, runWithProjectNode } from "./bootstrap.mjs";

await ensureInstalled();
await runWithProjectNode(process.argv[2], process.argv.slice(3));
