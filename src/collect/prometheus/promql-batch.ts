/** The label that tells a batch's queries apart. */
export const batchLabel = "forescale_key";

/**
 * Queries as one: each result carries its query's number in `batchLabel`. The queries must be self-contained; a newline
 * ends a comment that one may end with.
 */
export function batchQuery(queries: readonly string[]): string {
  return queries.map((query, i) => `label_replace(\n${query}\n,"${batchLabel}","${i}","","")`).join(" or ");
}

/**
 * True where a query can stand as an argument without reaching out of its place: strings end, brackets pair up, and no
 * comma stands outside of them. A query such as `up,"k","1","","") or label_replace(up` would else speak for another.
 */
export function isSelfContained(query: string): boolean {
  const open: string[] = [];
  for (let i = 0; i < query.length; i++) {
    const char = query[i];
    if (char === '"' || char === "'" || char === "`") {
      for (i++; i < query.length && query[i] !== char; i++) {
        if (query[i] === "\\" && char !== "`") i++;
        else if (query[i] === "\n" && char !== "`") return false;
      }
      if (i >= query.length) return false;
    } else if (char === "#") {
      while (i + 1 < query.length && query[i + 1] !== "\n") i++;
    } else if (char in closing) open.push(closing[char]);
    else if (char === ")" || char === "]" || char === "}") {
      if (open.pop() !== char) return false;
    } else if (char === "," && open.length === 0) return false;
  }
  return open.length === 0 && query.trim() !== "";
}

const closing: Readonly<Record<string, string>> = { "(": ")", "[": "]", "{": "}" };
