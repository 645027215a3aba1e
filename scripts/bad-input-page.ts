import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { badCases } from "../test/unit/api/bad-cases.ts";
import { badLoadCases } from "../test/unit/api/bad-load-cases.ts";
import { rows } from "../test/unit/serve/bad-input.ts";

const root = join(import.meta.dirname, "..");

/** A number at the beginning of a test's name: of bad input, or with an F of a fault. */
const numbered = /^((?:F?\d{1,2}[a-z]?)(?:, F?\d{1,2}[a-z]?)*): (.+)$/;
/** The first string of a test, of a row that is an array, or of a row's name. */
const titles = /(?:\b(?:describe|test|it)\(|\[|\bname: )\s*"((?:[^"\\]|\\.)+)"/g;

/** Bad requests to the servers, with the status that each gets. */
export function badRequests(): string {
  const lines = rows.map(({ row, name, codes, upstream }) => {
    const other = upstream ? `${upstream.codes.join(" or ")}: ${upstream.why}` : "";
    return `| ${row} | ${cell(name)} | ${codes.join(" or ")} | ${cell(other)} |`;
  });
  return table(["No.", "Request", "Status", "A server on the upstream library"], lines);
}

/** Manifests that are refused, with who refuses them and what is said. */
export function badManifests(): string {
  const by = { Rule: "rule", Structure: "schema", Validate: "webhook" };
  const lines = [...badCases, ...badLoadCases].map((each) => {
    const [, number = "", name = each.name] = numbered.exec(each.name) ?? [];
    return `| ${number} | ${cell(name)} | \`${each.field}\` | ${cell(each.says)} | ${by[each.by]} |`;
  });
  return table(["No.", "Manifest", "Field", "The message says", "Refused by"], lines);
}

/** Every other test that has a number, with its file. */
export function otherFaults(): string {
  const own = new Set([
    "test/unit/api/bad-cases.ts",
    "test/unit/api/bad-load-cases.ts",
    "test/unit/serve/bad-input.ts",
  ]);
  const found = readdirSync(join(root, "test"), { recursive: true, encoding: "utf8" })
    .map((name) => join("test", name))
    .filter((path) => path.endsWith(".ts") && !own.has(path))
    .flatMap((path) =>
      [...readFileSync(join(root, path), "utf8").matchAll(titles)].flatMap(([, title]) => {
        const [, numbers, name] = numbered.exec(title) ?? [];
        return numbers === undefined ? [] : [{ numbers, name, path }];
      }),
    );
  const order = ({ numbers }: { readonly numbers: string }) =>
    Number.parseInt(numbers.replace("F", ""), 10) + (numbers.startsWith("F") ? 1000 : 0);
  found.sort((a, b) => order(a) - order(b) || a.path.localeCompare(b.path, "en") || a.name.localeCompare(b.name, "en"));
  return table(
    ["No.", "What happens", "Test"],
    found.map(({ numbers, name, path }) => `| ${numbers} | ${cell(name.replaceAll('\\"', '"'))} | \`${path}\` |`),
  );
}

function table(heads: readonly string[], lines: readonly string[]): string {
  return [`| ${heads.join(" | ")} |`, `| ${heads.map(() => "---").join(" | ")} |`, ...lines].join("\n");
}

/** Text within a cell: a bar would end it, and angle brackets would be tags. */
function cell(text: string): string {
  return text
    .replaceAll("|", "\\|")
    .replaceAll("<", "&lt;")
    .replaceAll(/[\n\t]+/g, " ");
}
