#!/usr/bin/env node
// The program's front door: plain JavaScript, so that any Node from 18 on can open it. It makes sure that the
// clone has its packages (Node 24 among them) and then runs src/main.ts, which Node 24 reads as it is.
import { ensureInstalled, runWithProjectNode } from "./bootstrap.mjs";

await ensureInstalled();
await runWithProjectNode("src/main.ts", process.argv.slice(2));
