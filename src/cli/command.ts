import { parseArgs } from "node:util";

/** One option of a command: what it takes, its default and its line of help stand in one place. */
export interface Option {
  readonly type: "string" | "boolean";
  readonly short?: string;
  readonly default?: string | boolean;
  /** How the value is written in help, such as `FILE`. */
  readonly value?: string;
  readonly help: string;
}

/** What a command may use of the process. */
export interface Io {
  readonly stdin: NodeJS.ReadableStream;
  readonly stdout: NodeJS.WritableStream;
  readonly stderr: NodeJS.WritableStream;
  /** Aborted at the first Ctrl-C or SIGTERM; a command then ends cleanly and soon. */
  readonly signal: AbortSignal;
  /** Where the user stands: relative paths are resolved against it. */
  readonly cwd: string;
}

export type Values = Readonly<Record<string, string | boolean | undefined>>;

/** A subcommand of `forescale`. `run` gives the exit code. */
export interface Command {
  readonly name: string;
  readonly summary: string;
  /** What stands after the name in the usage line. */
  readonly usage: string;
  readonly description: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Lines that work when pasted. */
  readonly examples: readonly string[];
  run(values: Values, positionals: readonly string[], io: Io): Promise<number>;
}

/** The user's mistake: printed as one sentence, exit code 2. */
export class UsageError extends Error {}

/** Parses a command's arguments. @throws UsageError for an unknown flag or a missing value, naming it and the remedy. */
export function parse(command: Command, args: readonly string[]): { values: Values; positionals: string[] } {
  const options = Object.fromEntries(
    Object.entries({ ...command.options, help: { type: "boolean", short: "h", help: "" } satisfies Option }).map(
      ([name, { type, short, default: fallback }]: [string, Option]) => [
        name,
        { type, ...(short && { short }), ...(fallback !== undefined && { default: fallback }) },
      ],
    ),
  );
  try {
    return parseArgs({ args: withNegativeNumbers(args, options), options, allowPositionals: true, strict: true }) as {
      values: Values;
      positionals: string[];
    };
  } catch (error) {
    const message = (error as Error).message.split(/\.\s/)[0];
    throw new UsageError(`${message}; \`forescale ${command.name} --help\` lists what there is`);
  }
}

/** `--target -5` as `--target=-5`: a number that is out of range gets the option's own sentence, not one about dashes. */
function withNegativeNumbers(args: readonly string[], options: Record<string, { type: string } | undefined>): string[] {
  const end = args.indexOf("--");
  const joined: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const takesValue = args[i].startsWith("--") && options[args[i].slice(2)]?.type === "string";
    const isJoined = takesValue && (end < 0 || i < end) && /^-\.?\d/.test(args[i + 1] ?? "");
    joined.push(isJoined ? `${args[i]}=${args[++i]}` : args[i]);
  }
  return joined;
}

/** A command's help page. */
export function helpOf(command: Command): string {
  const rows = Object.entries(command.options).map(([name, option]) => {
    const flag = `${option.short ? `-${option.short}, ` : "    "}--${name}${option.type === "string" ? ` ${option.value ?? "VALUE"}` : ""}`;
    const fallback =
      option.default === undefined || option.default === false || option.default === ""
        ? ""
        : ` (default ${option.default})`;
    return [flag, option.help + fallback] as const;
  });
  const width = Math.max(0, ...rows.map(([flag]) => flag.length));
  return [
    `forescale ${command.name}: ${command.summary}`,
    "",
    `  forescale ${command.name} ${command.usage}`.trimEnd(),
    "",
    command.description,
    ...(rows.length > 0 ? ["", "Options", ...rows.map(([flag, help]) => `  ${flag.padEnd(width)}  ${help}`)] : []),
    "",
    "Examples",
    ...command.examples.map((line) => `  ${line}`),
    "",
  ].join("\n");
}

/**
 * An option's number.
 *
 * @param least `Number.MIN_VALUE` means above 0
 * @throws UsageError with the range
 */
export function numberOf(values: Values, name: string, least: number, most: number): number {
  const text = String(values[name]);
  const number = Number(text);
  if (text.trim() === "" || !(number >= least && number <= most))
    throw new UsageError(
      `--${name} ${text} is not a number ${least === Number.MIN_VALUE ? "above 0" : `from ${least} to ${most}`}`,
    );
  return number;
}

/** The same for a whole number. */
export function wholeNumberOf(values: Values, name: string, least: number, most: number): number {
  const number = Number(values[name]);
  if (values[name] === "" || !Number.isInteger(number) || number < least || number > most)
    throw new UsageError(`--${name} is a whole number from ${least} to ${most}, not "${values[name]}"`);
  return number;
}
