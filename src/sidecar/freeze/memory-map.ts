import type { AddressRange, MemoryRange } from "./helper.ts";

/** One mapping of /proc/PID/smaps; sizes in bytes. */
export interface Mapping extends AddressRange {
  /** Such as `rw-p`. */
  readonly permissions: string;
  readonly inode: number;
  readonly name: string;
  readonly rss: number;
  readonly anonymous: number;
  readonly swap: number;
  /** Resident pages that another process maps too. */
  readonly shared: number;
  /** Two letters each, such as `lo` for locked. */
  readonly flags: ReadonlySet<string>;
}

const head = /^([0-9a-f]+)-([0-9a-f]+) (\S{4}) \S+ \S+ (\d+)\s*(.*)$/;

/** Parses smaps. Fields that a kernel does not write count as 0. */
export function parseSmaps(text: string): Mapping[] {
  const mappings: Mapping[] = [];
  let current: { line: RegExpMatchArray; sizes: Map<string, number>; flags: string[] } | undefined;
  const finish = () => {
    if (!current) return;
    const [, start, end, permissions, inode, name] = current.line;
    const size = (field: string) => (current?.sizes.get(field) ?? 0) * 1024;
    mappings.push({
      start: BigInt(`0x${start}`),
      end: BigInt(`0x${end}`),
      permissions,
      inode: Number(inode),
      name,
      rss: size("Rss"),
      anonymous: size("Anonymous"),
      swap: size("Swap"),
      shared: size("Shared_Clean") + size("Shared_Dirty"),
      flags: new Set(current.flags),
    });
  };
  for (const line of text.split("\n")) {
    const match = line.match(head);
    if (match) {
      finish();
      current = { line: match, sizes: new Map(), flags: [] };
      continue;
    }
    const colon = line.indexOf(":");
    if (!current || colon < 0) continue;
    const field = line.slice(0, colon);
    if (field === "VmFlags")
      current.flags = line
        .slice(colon + 1)
        .trim()
        .split(" ");
    else current.sizes.set(field, Number.parseInt(line.slice(colon + 1), 10));
  }
  finish();
  return mappings;
}

const smallestWorth = 64 * 1024;

/** Locked, huge, of a device, dropped by the kernel at will, or a shadow stack: pages that are not ours to take. */
const untouchable = ["lo", "ht", "io", "pf", "um", "uw", "ui", "dp", "ss"];

/**
 * Private memory that can be written back, and holds enough pages of its own to be worth a system call: anonymous mappings,
 * and those of files that the process has written to, such as the JVM's archive of classes.
 */
export function isMovable(mapping: Mapping): boolean {
  return (
    mapping.permissions.startsWith("rw") &&
    mapping.permissions[3] === "p" &&
    !/^\[(stack|v)/.test(mapping.name) &&
    !untouchable.some((flag) => mapping.flags.has(flag)) &&
    mapping.anonymous + mapping.swap >= smallestWorth
  );
}

/** The movable mappings as ranges, neighbours of one kind joined, without the pages to keep; in the order of addresses. */
export function movableRanges(mappings: readonly Mapping[], keepPages: readonly bigint[] = []): MemoryRange[] {
  const page = 4096n;
  const keep = [...new Set(keepPages)].toSorted((a, b) => (a < b ? -1 : 1));
  const joined: { start: bigint; end: bigint; kind: Omit<MemoryRange, keyof AddressRange> }[] = [];
  for (const { start, end, inode, flags } of mappings.filter(isMovable)) {
    const last = joined.at(-1);
    const kind = { ofFile: inode !== 0, ...(flags.has("nh") && { smallPages: true }) };
    const isAlike = last && last.kind.ofFile === kind.ofFile && last.kind.smallPages === kind.smallPages;
    if (isAlike && last.end === start) last.end = end;
    else joined.push({ start, end, kind });
  }
  return joined.flatMap(({ start, end, kind }) => {
    const parts: MemoryRange[] = [];
    for (const hole of keep.filter((at) => at >= start && at < end)) {
      if (hole > start) parts.push({ start, end: hole, ...kind });
      start = hole + page;
    }
    if (end > start) parts.push({ start, end, ...kind });
    return parts;
  });
}

/** What the mappings of one process, or of several together, add up to; bytes. */
export interface MemorySums {
  readonly rss: number;
  readonly anonymous: number;
  readonly swap: number;
  /** Locked, huge or shared with another process: it stays in RAM. */
  readonly unmovable: number;
  /** A mapping of a device or of memory outside the kernel's page structures holds data. */
  readonly hasDevice: boolean;
  readonly hasUserfaultfd: boolean;
  /** A ring of Linux's older asynchronous I/O, whose buffers the kernel may write at any time. */
  readonly hasAio: boolean;
}

/** Adds mappings up. Pages of files that others map too count as unmovable only when they are shared anonymous memory. */
export function sumMemory(mappings: readonly Mapping[]): MemorySums {
  let [rss, anonymous, swap, unmovable] = [0, 0, 0, 0];
  for (const mapping of mappings) {
    rss += mapping.rss;
    anonymous += mapping.anonymous;
    swap += mapping.swap;
    const isFile = mapping.inode !== 0 && !mapping.name.startsWith("/dev/shm/") && !mapping.name.startsWith("/memfd:");
    if (mapping.flags.has("lo") || mapping.flags.has("ht")) unmovable += mapping.rss;
    // A file's pages belong to the page cache; anonymous pages shared after a fork stay where they are.
    else if (!isFile) unmovable += mapping.permissions[3] === "s" ? mapping.rss : mapping.shared;
  }
  const special = (flag: string) => mappings.some(({ flags, name }) => flags.has(flag) && !/^\[v/.test(name));
  return {
    rss,
    anonymous,
    swap,
    unmovable,
    hasDevice: special("pf") || special("io"),
    hasUserfaultfd: special("um") || special("uw") || special("ui"),
    hasAio: mappings.some(({ name }) => name.startsWith("/[aio]")),
  };
}
