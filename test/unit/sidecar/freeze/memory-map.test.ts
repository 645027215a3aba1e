import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isMovable,
  type Mapping,
  movableRanges,
  parseSmaps,
  sumMemory,
} from "../../../../src/sidecar/freeze/memory-map.ts";
import { checkMode, defaultPreflightLimits, type PreflightFacts } from "../../../../src/sidecar/preflight.ts";

const smaps = `55d0c0a00000-55d0c0c00000 rw-p 00000000 00:00 0                          [heap]
Size:               2048 kB
Rss:                2000 kB
Shared_Clean:          0 kB
Shared_Dirty:          8 kB
Anonymous:          1992 kB
Swap:                 16 kB
VmFlags: rd wr mr mw me ac sd
7f0000000000-7f0000400000 rw-p 00001000 fe:00 315149                     /usr/lib/jvm/lib/server/classes with a space.jsa
Size:               4096 kB
Rss:                4000 kB
Shared_Clean:       1000 kB
Shared_Dirty:          0 kB
Anonymous:          3000 kB
VmFlags: rd wr mr mw me ac
7ffd00000000-7ffd00021000 rw-p 00000000 00:00 0                          [stack]
Rss:                 100 kB
Anonymous:           100 kB
VmFlags: rd wr mr mw me gd ac
`;

test("smaps is read mapping by mapping", () => {
  const [heap, archive, stack] = parseSmaps(smaps);
  expect(heap).toMatchObject({
    ...{ start: 0x55d0c0a00000n, end: 0x55d0c0c00000n, permissions: "rw-p", inode: 0, name: "[heap]" },
    ...{ rss: 2000 * 1024, anonymous: 1992 * 1024, swap: 16 * 1024, shared: 8 * 1024 },
  });
  expect(archive).toMatchObject({ inode: 315149, name: "/usr/lib/jvm/lib/server/classes with a space.jsa", swap: 0 });
  expect([...stack.flags]).toEqual(["rd", "wr", "mr", "mw", "me", "gd", "ac"]);
  expect([heap, archive, stack].map(isMovable)).toEqual([true, true, false]);
  expect(parseSmaps("")).toEqual([]);
});

const mib = 2 ** 20;

function mapping(over: Partial<Mapping> = {}): Mapping {
  return {
    ...{ start: 0x100000n, end: 0x500000n, permissions: "rw-p", inode: 0, name: "", rss: 4 * mib, anonymous: 4 * mib },
    ...{ swap: 0, shared: 0, flags: new Set<string>() },
    ...over,
  };
}

test.each([
  { name: "private and anonymous", over: {}, movable: true },
  { name: "the JVM's code cache", over: { permissions: "rwxp" }, movable: true },
  { name: "a file's pages that were written to", over: { inode: 7 }, movable: true },
  { name: "swapped out already", over: { anonymous: 0, swap: mib }, movable: true },
  { name: "not writable: it could not be written back", over: { permissions: "r--p" }, movable: false },
  { name: "shared", over: { permissions: "rw-s" }, movable: false },
  { name: "next to nothing", over: { anonymous: 4096 }, movable: false },
  ...["lo", "ht", "io", "pf", "um", "uw", "dp", "ss"].map((flag) => ({
    ...{ name: `flag ${flag}`, over: { flags: new Set([flag]) }, movable: false },
  })),
])("$name: movable $movable", ({ over, movable }) => {
  expect(isMovable(mapping(over))).toBe(movable);
});

test("ranges are in order, apart, inside the mappings, and leave out the pages to keep and no others", () => {
  const pages = fc.array(
    fc.record({ gap: fc.integer({ min: 0, max: 3 }), size: fc.integer({ min: 1, max: 9 }), ofFile: fc.boolean() }),
  );
  fc.assert(
    fc.property(pages, fc.array(fc.integer({ min: 0, max: 120 })), (parts, kept) => {
      let at = 16;
      const mappings = parts.map(({ gap, size, ofFile }) => {
        const start = at + gap;
        at = start + size;
        return mapping({ start: BigInt(start * 4096), end: BigInt(at * 4096), inode: Number(ofFile) });
      });
      const ranges = movableRanges(
        mappings,
        kept.map((page) => BigInt(page * 4096)),
      );
      const covered = ranges.flatMap(({ start, end, ofFile }) =>
        Array.from({ length: Number((end - start) / 4096n) }, (_, i) => `${Number(start / 4096n) + i} ${ofFile}`),
      );
      const wanted = mappings.flatMap(({ start, end, inode }) =>
        Array.from({ length: Number((end - start) / 4096n) }, (_, i) => Number(start / 4096n) + i)
          .filter((page) => !kept.includes(page))
          .map((page) => `${page} ${inode !== 0}`),
      );
      expect(covered).toEqual(wanted);
      for (const [i, range] of ranges.entries()) expect(range.start >= (ranges[i - 1]?.end ?? 0n)).toBe(true);
    }),
  );
});

describe("a mode is refused before anything is stopped", () => {
  const memory = sumMemory([mapping({ rss: 400 * mib, anonymous: 400 * mib })]);
  const facts: PreflightFacts = {
    ...{ memory, storageBytes: 1000 * mib, swap: { totalBytes: 1000 * mib, freeBytes: 1000 * mib } },
    ...{ hasKernelIo: false, hasCipher: true },
  };
  const of = (...mappings: Partial<Mapping>[]) => ({ memory: sumMemory(mappings.map((over) => mapping(over))) });
  const large = { rss: 300 * mib, anonymous: 300 * mib };

  test("not an ordinary application", () => {
    expect(() => checkMode("Image", facts, defaultPreflightLimits)).not.toThrow();
    expect(() => checkMode("Swap", facts, defaultPreflightLimits)).not.toThrow();
  });

  test.each([
    { mode: "Image", over: { storageBytes: 479 * mib }, code: "DiskFull" },
    { mode: "Image", over: { hasCipher: false }, code: "NoCipher" },
    { mode: "Image", over: { hasKernelIo: true }, code: "AsyncIo" },
    { mode: "Image", over: of(large, { name: "/[aio] (deleted)", inode: 3 }), code: "AsyncIo" },
    { mode: "Swap", over: { swap: { totalBytes: 0, freeBytes: 0 } }, code: "NoSwap" },
    { mode: "Swap", over: { swap: { totalBytes: 1000 * mib, freeBytes: 439 * mib } }, code: "SwapFull" },
    { mode: "Image", over: of({ anonymous: 127 * mib }), code: "SmallMemory" },
    { mode: "Swap", over: of(large, { flags: new Set(["lo"]), rss: 101 * mib }), code: "UnmovableMemory" },
    { mode: "Image", over: of({ ...large, shared: 76 * mib }), code: "UnmovableMemory" },
    { mode: "Image", over: of(large, { permissions: "rw-s", rss: 101 * mib }), code: "UnmovableMemory" },
    { mode: "Image", over: of(large, { flags: new Set(["ht"]), rss: 101 * mib }), code: "UnmovableMemory" },
    { mode: "Image", over: of(large, { flags: new Set(["um"]) }), code: "Userfaultfd" },
    { mode: "Swap", over: of(large, { flags: new Set(["pf", "io"]), name: "/dev/nvidia0" }), code: "DeviceMemory" },
  ] as const)("$mode: $code", ({ mode, over, code }) => {
    expect(() => checkMode(mode, { ...facts, ...over }, defaultPreflightLimits)).toThrow(
      expect.objectContaining({ code }),
    );
  });

  test("not for the kernel's own pages, nor for a file's that others map", () => {
    const others = [
      { name: "[vvar]", flags: new Set(["io", "pf"]) },
      { inode: 9, name: "/lib/libc.so", shared: 400 * mib, rss: 400 * mib },
    ];
    expect(() => checkMode("Image", { ...facts, ...of(large, ...others) }, defaultPreflightLimits)).not.toThrow();
  });
});
