import { type Command, UsageError } from "../../../src/cli/command.ts";

/** `forescale rungs`: lists the rungs of the served number, best first. */
export const command: Command = {
  name: "rungs",
  summary: "lists what a served number can rest on",
  usage: "[--count]",
  description: "Prints one rung a line, best first.",
  options: { count: { type: "boolean", default: false, help: "print how many there are" } },
  examples: ["forescale rungs --count"],
  async run({ count }, positionals, { stdout }) {
    if (positionals.length > 0) throw new UsageError(`"${positionals[0]}" is not expected; rungs takes options only`);
    const { rungs } = await import("../../../src/api/conditions.ts");
    stdout.write(count ? `${rungs.length}\n` : `${rungs.join("\n")}\n`);
    return 0;
  },
};
