/**
 * Builds the helper of the sidecar, `native/build/forescale-standby`, from native/*.c with gcc, statically; does nothing
 * when it stands there for these very sources. Run by `npm run native`.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const folder = join(import.meta.dirname, "..", "native");
const flags = [
  ...["-std=gnu17", "-O2", "-static", "-pthread", "-Wall", "-Wextra", "-Werror"],
  ...["-fstack-protector-strong", "-D_FORTIFY_SOURCE=2"],
  // Used only where the processor says that it has them.
  ...["-maes", "-mpclmul", "-mssse3", "-msse4.2"],
];

/** The helper's path, built anew when its sources have changed. @throws Error when gcc is missing or refuses the sources */
export function buildHelper(): string {
  const names = readdirSync(folder).filter((name) => /\.[ch]$/.test(name));
  const hash = createHash("sha256").update(flags.join(" "));
  for (const name of names.sort()) hash.update(name).update(readFileSync(join(folder, name)));
  const digest = hash.digest("hex");

  const program = join(folder, "build", "forescale-standby");
  const stamp = `${program}.sha256`;
  if (existsSync(program) && existsSync(stamp) && readFileSync(stamp, "utf8") === digest) return program;
  mkdirSync(join(folder, "build"), { recursive: true });
  const fresh = `${program}.${process.pid}`;
  const sources = names.filter((name) => name.endsWith(".c")).map((name) => join(folder, name));
  execFileSync("gcc", [...flags, "-o", fresh, ...sources], { stdio: ["ignore", "inherit", "inherit"] });
  renameSync(fresh, program);
  writeFileSync(stamp, digest);
  return program;
}

if (import.meta.main) process.stdout.write(`${buildHelper()}\n`);
