import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ImageStore } from "../../../../src/sidecar/freeze/image-store.ts";
import { Journal, type JournalEntry } from "../../../../src/sidecar/freeze/journal.ts";
import { parseSwap } from "../../../../src/sidecar/freeze/swap-mode.ts";
import { faultOf, isRefusal, SidecarError } from "../../../../src/sidecar/sidecar-error.ts";

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "forescale-journal-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const entry: JournalEntry = {
  ...{ state: "Standby", mode: "Image", boot: "b", frozenMs: 5, savedBytes: 7 },
  processes: [{ pid: 3, started: "44", threads: 2, switches: 9, ranges: ["1000-3000", "7000-8000-file"] }],
};

describe("the journal", () => {
  test("gives the last entry back, and nothing before the first", () => {
    const journal = new Journal(folder);
    expect(journal.read()).toBeUndefined();
    journal.write({ ...entry, state: "Dropping" });
    journal.write(entry);
    expect(new Journal(folder).read()).toEqual(entry);
  });

  test("is damaged when any byte of it is not what was written", () => {
    const journal = new Journal(folder);
    journal.write(entry);
    const path = join(folder, "journal");
    const right = readFileSync(path);
    for (let at = 0; at < right.length - 1; at++) {
      const wrong = Buffer.from(right);
      wrong[at] ^= 1;
      writeFileSync(path, wrong);
      expect(journal.read(), `byte ${at}`).toBe("Damaged");
    }
    writeFileSync(path, right.subarray(0, 100));
    expect(journal.read()).toBe("Damaged");
    writeFileSync(path, "");
    expect(journal.read()).toBe("Damaged");
  });
});

test("each image gets a key of its own, and goes with it", () => {
  const keys = mkdtempSync(join(folder, "keys-"));
  const store = new ImageStore(folder, keys);
  store.renewKey();
  const first = readFileSync(store.key);
  writeFileSync(store.image, "x");
  expect(store.isComplete).toBe(true);
  store.renewKey();
  expect(store.isComplete, "the old image is gone with its key").toBe(false);
  expect(readFileSync(store.key)).toHaveLength(32);
  expect(readFileSync(store.key).equals(first)).toBe(false);
  store.clear();
  store.clear();
  expect(store.freeBytes).toBeGreaterThan(0);
});

test.each([
  { swaps: "", isZram: false, zram: [] },
  { swaps: "/dev/zram0 partition 1 0 100\n/dev/zram1 partition 1 0 100\n", isZram: true, zram: ["zram0", "zram1"] },
  { swaps: "/dev/zram0 partition 1 0 100\n/swapfile file 1 0 -2\n", isZram: false, zram: ["zram0"] },
])("what swap the node has: $swaps", ({ swaps, isZram, zram }) => {
  const facts = parseSwap(
    "MemTotal: 9 kB\nSwapTotal:    2048 kB\nSwapFree:     1024 kB\n",
    `Filename Type Size Used Priority\n${swaps}`,
  );
  expect(facts).toEqual({ totalBytes: 2 * 2 ** 20, freeBytes: 2 ** 20, isZram, zram });
});

test("a full disk is a refusal, another failure of a file a fault", () => {
  const full = faultOf(Object.assign(new Error("no space left"), { code: "ENOSPC" }));
  expect([full.code, isRefusal(full)]).toEqual(["DiskFull", true]);
  const broken = faultOf(Object.assign(new Error("input/output error"), { code: "EIO" }));
  expect([broken.code, isRefusal(broken)]).toEqual(["FileFailed", false]);
  const own = new SidecarError("Traced", "a debugger is attached");
  expect(faultOf(own)).toBe(own);
});
