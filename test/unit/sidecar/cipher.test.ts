import { execFileSync } from "node:child_process";
import { createCipheriv } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";

const folder = mkdtempSync(join(tmpdir(), "forescale-cipher-"));
const program = join(folder, "cipher");
const native = join(import.meta.dirname, "../../../native");

beforeAll(() => {
  const sources = [join(import.meta.dirname, "cipher.c"), join(native, "gcm.c")];
  execFileSync("gcc", ["-O2", "-maes", "-mpclmul", "-mssse3", "-msse4.2", "-o", program, ...sources]);
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What OpenSSL makes of the same messages. */
function expected(): string[] {
  const key = Buffer.from(Array.from({ length: 32 }, (_, i) => (i * 7 + 1) & 255));
  const nonce = Buffer.from("010203041122334455667788", "hex");
  return Array.from({ length: 41 }, (_, n) => {
    const data = Buffer.from(Array.from({ length: n * 65 }, (_, i) => (i * 3) & 255));
    const cipher = createCipheriv("aes-256-gcm", key, nonce);
    cipher.setAAD(Buffer.from(Array.from({ length: (n * 65) % 60 }, (_, i) => i)));
    return Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()]).toString("hex");
  });
}

const hasAes = /^flags\s*:.*\baes\b/m.test(readFileSync("/proc/cpuinfo", "latin1"));

test.skipIf(!hasAes).each([1, 2, 4])("AES-256-GCM is OpenSSL's, with instructions for at most %i blocks", (most) => {
  expect(
    execFileSync(program, [String(most)], { encoding: "latin1" })
      .trim()
      .split("\n"),
  ).toEqual(expected());
});
