import { parser } from "@prometheus-io/lezer-promql";
import { CollectError, printable } from "../collect-error.ts";

/**
 * The query with a matcher added to every selector in it, so that it reads only series with that label value, whatever
 * it says itself: matchers of one selector must all hold, so a matcher that is there already can only narrow.
 *
 * @param source name of the metric source, for messages
 * @throws CollectError `BadQuery` for a query that cannot be parsed: what is not understood cannot be confined
 */
export function confined(query: string, label: string, value: string, source: string): string {
  const matcher = `${label}=${JSON.stringify(value)}`;
  const insertions: { at: number; text: string }[] = [];
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError) throw unreadable(query, node.from, source);
      if (node.name !== "VectorSelector") return;
      const matchers = node.node.getChild("LabelMatchers");
      if (matchers) {
        const isEmpty = query.slice(matchers.from + 1, matchers.to - 1).trim() === "";
        insertions.push({ at: matchers.from + 1, text: isEmpty ? matcher : `${matcher},` });
      } else insertions.push({ at: node.to, text: `{${matcher}}` });
    },
  });
  return insertions.reduceRight((text, { at, text: added }) => text.slice(0, at) + added + text.slice(at), query);
}

function unreadable(query: string, at: number, source: string): CollectError {
  return new CollectError(
    "BadQuery",
    `metric source ${source}: the query ${printable(query)} is not understood near character ${at + 1}, so it cannot be ` +
      "confined to the workload's namespace; mend the query, or have the administrator set tenancy.rule: None",
  );
}
