/**
 * Cuts the bundled trace: departures per minute in the United States, five weeks of 2001, out of the npm package
 * vega-datasets (flights-3m.parquet). Run by `npm run trace`; needs the npm registry, writes src/demo/traces/.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdDecompressSync } from "node:zlib";
import { asyncBufferFromFile, parquetRead } from "hyparquet";

const source = {
  package: "vega-datasets@3.2.1",
  file: "package/data/flights-3m.parquet",
  sha1: "9c4e0b480a1a60954a7e5c6bcc43e1c91a73caaa",
};
const from = Date.UTC(2001, 4, 14); // a Monday
const minutes = 35 * 1440;
const target = join(import.meta.dirname, "..", "src", "demo", "traces");

const folder = mkdtempSync(join(tmpdir(), "forescale-trace-"));
try {
  process.stderr.write(`fetching ${source.package} …\n`);
  const packed = execFileSync("npm", ["pack", source.package, "--silent"], { cwd: folder, encoding: "utf8" }).trim();
  execFileSync("tar", ["xzf", packed, source.file], { cwd: folder });
  const parquet = join(folder, source.file);
  // The package's own list of files has the hash that git gives a blob.
  const bytes = readFileSync(parquet);
  const sha1 = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
  if (sha1 !== source.sha1) throw new Error(`${source.file} has SHA-1 ${sha1}, not ${source.sha1}: another edition`);

  const counts = new Uint32Array(minutes);
  process.stderr.write("counting departures …\n");
  await parquetRead({
    file: await asyncBufferFromFile(parquet),
    columns: ["date"],
    compressors: { ZSTD: (input: Uint8Array) => zstdDecompressSync(input) },
    onComplete: (rows: unknown[][]) => {
      for (const [date] of rows) {
        const minute = Math.floor(((date as Date).getTime() - from) / 60_000);
        if (minute >= 0 && minute < minutes) counts[minute]++;
      }
    },
  });

  const lines = Array.from(counts, (count, i) => `${new Date(from + i * 60_000).toISOString().slice(0, 19)}Z,${count}`);
  const csv = ["timestamp,departures", ...lines, ""].join("\n");
  writeFileSync(join(target, "us-departures-2001.csv.gz"), gzipSync(csv, { level: 9 }));
  process.stderr.write(`wrote ${minutes} minutes, ${counts.reduce((a, b) => a + b, 0)} departures\n`);
} finally {
  rmSync(folder, { recursive: true });
}
