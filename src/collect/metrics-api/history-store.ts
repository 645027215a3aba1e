import { existsSync, mkdirSync, renameSync } from "node:fs";
import { dirname } from "node:path";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { crc32 } from "node:zlib";
import type { Series } from "../../series/series.ts";
import { CollectError } from "../collect-error.ts";
import type { PodRecord } from "../pods/pod-windows.ts";

/** One observed value of a series, to become part of its step's mean. */
export interface Sample {
  readonly series: string;
  readonly stepMs: number;
  readonly timeMs: number;
  readonly value: number;
}

export interface HistoryStoreOptions {
  /** Path of the file, on a volume; its folder is made. `:memory:` keeps it in memory. */
  readonly file: string;
  /** Steps and pods older than this are dropped; 90 days where absent. */
  readonly retentionMs?: number;
  /** Told, in one sentence, what was lost and where the damaged file went. */
  readonly onWarning?: (message: string) => void;
}

/** Written into the file; a file of another version is not read. */
const schemaVersion = 1;

const schema = `
CREATE TABLE series (id INTEGER PRIMARY KEY, name TEXT NOT NULL, step INTEGER NOT NULL, UNIQUE (name, step));
CREATE TABLE samples (
  series INTEGER NOT NULL, start INTEGER NOT NULL, mean REAL NOT NULL, count INTEGER NOT NULL, newest INTEGER NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY (series, start)
) WITHOUT ROWID;
CREATE TABLE pods (
  workload TEXT NOT NULL, uid TEXT NOT NULL, created INTEGER NOT NULL, record TEXT NOT NULL, sum INTEGER NOT NULL,
  PRIMARY KEY (workload, uid)
) WITHOUT ROWID;
PRAGMA user_version = ${schemaVersion};
`;

/** SQLite's codes for a file that is damaged (CORRUPT) or no database at all (NOTADB). */
const damaged: ReadonlySet<number> = new Set([11, 26]);

interface StoredStep {
  readonly start: number;
  readonly mean: number;
  readonly count: number;
  readonly newest: number;
  readonly sum: number;
}

/**
 * The embedded history: steps' means and pods' records in one SQLite file that one process owns. What cannot be read is
 * lost, never guessed: a damaged file is moved aside and named, and a row whose checksum is wrong is a gap.
 */
export class HistoryStore {
  readonly #file: string;
  readonly #retentionMs: number;
  readonly #onWarning: (message: string) => void;
  #db: DatabaseSync;
  #statements: Map<string, StatementSync> = new Map();

  /** @throws CollectError StoreFailed when the file cannot be made or opened, or another process holds it */
  constructor(options: HistoryStoreOptions) {
    this.#file = options.file;
    this.#retentionMs = options.retentionMs ?? 90 * 86_400_000;
    this.#onWarning = options.onWarning ?? (() => undefined);
    this.#db = this.#open();
  }

  /**
   * Adds samples to the means of their steps, all or none. A step holds the instants after its start up to and with its
   * end, as in `toSeries`. A sample not newer than what its step has already is left out: given twice, it counts once.
   * @throws CollectError StoreFailed, such as for a full disk; nothing is half written then
   */
  add(samples: readonly Sample[]): void {
    this.#guarded("written", () =>
      this.#transaction(() => {
        for (const sample of samples) if (Number.isFinite(sample.value)) this.#addOne(sample);
      }),
    );
  }

  /** A series over the steps of `[fromMs, toMs)`, NaN where nothing is known; begins with the first known step. */
  read(series: string, stepMs: number, fromMs: number, toMs: number): Series {
    const rows = this.#guarded("read", () =>
      this.#all<StoredStep>(
        "SELECT start, mean, count, newest, samples.sum AS sum FROM samples JOIN series ON series.id = samples.series WHERE name = ? AND step = ? AND start >= ? AND start < ? ORDER BY start",
        [series, stepMs, fromMs, toMs],
      ),
    );
    const sound = (rows ?? []).filter(
      (row) => row.sum === sumOf(series, stepMs, row) && Number.isInteger(row.start / stepMs),
    );
    if (sound.length === 0)
      return { startMs: Math.ceil(fromMs / stepMs) * stepMs, stepMs, values: new Float64Array(0) };
    const startMs = sound[0].start;
    const values = new Float64Array((sound[sound.length - 1].start - startMs) / stepMs + 1).fill(NaN);
    for (const { start, mean } of sound) values[(start - startMs) / stepMs] = mean;
    return { startMs, stepMs, values };
  }

  /** Writes records of a workload's pods, in place of what was known of them. @throws CollectError StoreFailed */
  putPods(workload: string, records: readonly PodRecord[]): void {
    this.#guarded("written", () =>
      this.#transaction(() => {
        for (const record of records) {
          const text = JSON.stringify(record, (_, value) => (value === Infinity ? "Infinity" : value));
          this.#run("INSERT OR REPLACE INTO pods (workload, uid, created, record, sum) VALUES (?, ?, ?, ?, ?)", [
            workload,
            record.uid,
            record.createdMs,
            text,
            crc32(`${workload}\0${text}`),
          ]);
        }
      }),
    );
  }

  /** Records of a workload's pods, oldest first. */
  pods(workload: string): PodRecord[] {
    const rows = this.#guarded("read", () =>
      this.#all<{ record: string; sum: number }>("SELECT record, sum FROM pods WHERE workload = ? ORDER BY created", [
        workload,
      ]),
    );
    return (rows ?? [])
      .filter(({ record, sum }) => crc32(`${workload}\0${record}`) === sum)
      .map(({ record }) => JSON.parse(record, (_, value) => (value === "Infinity" ? Infinity : value)) as PodRecord);
  }

  /** Drops what is older than the retention: steps, pods that ended before, and series that have nothing left. */
  prune(nowMs: number): void {
    const before = nowMs - this.#retentionMs;
    this.#guarded("written", () =>
      this.#transaction(() => {
        this.#run("DELETE FROM samples WHERE start < ?", [before]);
        this.#run("DELETE FROM series WHERE id NOT IN (SELECT DISTINCT series FROM samples)", []);
        this.#run("DELETE FROM pods WHERE json_extract(record, '$.endedMs') < ?", [before]);
      }),
    );
  }

  /** Forgets a workload's pods and the series whose names begin with `prefix`. */
  forget(workload: string, prefix: string): void {
    this.#guarded("written", () =>
      this.#transaction(() => {
        this.#run("DELETE FROM samples WHERE series IN (SELECT id FROM series WHERE substr(name, 1, ?) = ?)", [
          prefix.length,
          prefix,
        ]);
        this.#run("DELETE FROM series WHERE substr(name, 1, ?) = ?", [prefix.length, prefix]);
        this.#run("DELETE FROM pods WHERE workload = ?", [workload]);
      }),
    );
  }

  close(): void {
    this.#statements.clear();
    if (this.#db.isOpen) this.#db.close();
  }

  #addOne({ series, stepMs, timeMs, value }: Sample): void {
    const start = (Math.ceil(timeMs / stepMs) - 1) * stepMs;
    const id = this.#seriesId(series, stepMs);
    const [known] = this.#all<StoredStep>(
      "SELECT start, mean, count, newest, sum FROM samples WHERE series = ? AND start = ?",
      [id, start],
    );
    const sound = known && known.sum === sumOf(series, stepMs, known) ? known : undefined;
    if (sound && timeMs <= sound.newest) return;
    const count = (sound?.count ?? 0) + 1;
    const mean = (sound?.mean ?? 0) * ((count - 1) / count) + value / count;
    const row = { start, mean, count, newest: timeMs };
    this.#run("INSERT OR REPLACE INTO samples (series, start, mean, count, newest, sum) VALUES (?, ?, ?, ?, ?, ?)", [
      id,
      start,
      mean,
      count,
      timeMs,
      sumOf(series, stepMs, row),
    ]);
  }

  #seriesId(name: string, stepMs: number): number {
    this.#run("INSERT OR IGNORE INTO series (name, step) VALUES (?, ?)", [name, stepMs]);
    return this.#all<{ id: number }>("SELECT id FROM series WHERE name = ? AND step = ?", [name, stepMs])[0].id;
  }

  #transaction(work: () => void): void {
    this.#db.exec("BEGIN IMMEDIATE");
    try {
      work();
      this.#db.exec("COMMIT");
    } catch (error) {
      if (this.#db.isTransaction) this.#db.exec("ROLLBACK");
      throw error;
    }
  }

  #all<Row>(sql: string, values: (string | number)[]): Row[] {
    return this.#statement(sql).all(...values) as Row[];
  }

  #run(sql: string, values: (string | number)[]): void {
    this.#statement(sql).run(...values);
  }

  #statement(sql: string): StatementSync {
    const statement = this.#statements.get(sql) ?? this.#db.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  /** Runs `work`; a file found damaged is moved aside and begun anew, and the work's outcome is then undefined. */
  #guarded<T>(verb: "read" | "written", work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      if (!isDamage(error)) throw this.#failed(`could not be ${verb}; see the volume's space and rights`, error);
      this.close();
      this.#moveAside("is damaged");
      this.#db = this.#open();
      return undefined;
    }
  }

  #open(): DatabaseSync {
    const trouble = this.#tryOpen();
    if (trouble instanceof DatabaseSync) return trouble;
    this.#moveAside(trouble);
    const again = this.#tryOpen();
    if (again instanceof DatabaseSync) return again;
    throw this.#failed(`${again}, and so is the new one in its place; see the volume`);
  }

  /** The open database, or why its file is of no use. */
  #tryOpen(): DatabaseSync | string {
    let db: DatabaseSync | undefined;
    try {
      if (this.#file !== ":memory:") mkdirSync(dirname(this.#file), { recursive: true, mode: 0o700 });
      db = new DatabaseSync(this.#file, { timeout: 2_000 });
      // FULL in WAL mode costs a sync per write; NORMAL may lose the last writes at a power failure, never the order.
      db.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
      const problems = db.prepare("PRAGMA quick_check(1)").all() as { quick_check: string }[];
      if (problems[0]?.quick_check !== "ok") throw Object.assign(new Error(problems[0]?.quick_check), { errcode: 11 });
      const { user_version: version } = db.prepare("PRAGMA user_version").get() as { user_version: number };
      const { tables } = db.prepare("SELECT count(*) AS tables FROM sqlite_master").get() as { tables: number };
      if (version === 0 && tables === 0) db.exec(`BEGIN EXCLUSIVE; ${schema} COMMIT;`);
      else if (version !== schemaVersion) {
        db.close();
        return `has the schema version ${version}, and this program reads version ${schemaVersion}`;
      }
      return db;
    } catch (error) {
      if (db?.isOpen) db.close();
      if (isDamage(error)) return "is damaged";
      if (codeOf(error) === 5)
        throw this.#failed("is held by another process; give each controller its own file", error);
      throw this.#failed("cannot be opened; see whether the volume is mounted and may be written", error);
    }
  }

  #moveAside(why: string): void {
    if (this.#file === ":memory:") return;
    let aside = `${this.#file}.damaged-1`;
    for (let n = 2; existsSync(aside); n++) aside = `${this.#file}.damaged-${n}`;
    for (const suffix of ["", "-wal", "-shm"])
      if (existsSync(this.#file + suffix)) renameSync(this.#file + suffix, aside + suffix);
    this.#onWarning(
      `the history store ${this.#file} ${why}; it was moved to ${aside}, and history begins anew: forecasts return as it grows`,
    );
  }

  #failed(what: string, cause?: unknown): CollectError {
    return new CollectError("StoreFailed", `the history store ${this.#file} ${what}`, { cause });
  }
}

function codeOf(error: unknown): number {
  return ((error as { errcode?: number }).errcode ?? 0) & 0xff;
}

function isDamage(error: unknown): boolean {
  return damaged.has(codeOf(error));
}

/** SQLite notices a broken page, not a flipped bit within a value. */
function sumOf(series: string, stepMs: number, row: Omit<StoredStep, "sum">): number {
  const bytes = new Float64Array([stepMs, row.start, row.mean, row.count, row.newest]);
  return crc32(new Uint8Array(bytes.buffer), crc32(series));
}
