/** What a request can be answered with, among the types that `Accept` lists. */
export type Representation =
  | { readonly kind: "Json" }
  /** The aggregated discovery document of this version. */
  | { readonly kind: "Discovery"; readonly version: "v2" | "v2beta1" }
  | { readonly kind: "None" };

const json: Representation = { kind: "Json" };
const none: Representation = { kind: "None" };

/**
 * Chooses a representation: JSON, or aggregated discovery where `offersDiscovery`. Clauses count in the client's order
 * of preference. A clause that asks for another shape (a Table, PartialObjectMetadata) or another encoding is passed over.
 *
 * @param accept the header; absent or empty means anything
 */
export function negotiate(accept: string | undefined, offersDiscovery = false): Representation {
  if (accept === undefined || accept.trim() === "") return json;
  const clauses = accept.split(",", 64).map(readClause);
  clauses.sort((a, b) => b.quality - a.quality); // stable: equal ones keep their order
  for (const { type, parameters, quality } of clauses) {
    if (quality === 0 || !isJson(type)) continue;
    const as = parameters.get("as");
    if (as === undefined) {
      if (!parameters.has("stream")) return json;
      continue;
    }
    const version = parameters.get("v");
    if (
      offersDiscovery &&
      as === "APIGroupDiscoveryList" &&
      parameters.get("g") === "apidiscovery.k8s.io" &&
      (version === "v2" || version === "v2beta1")
    )
      return { kind: "Discovery", version };
  }
  return none;
}

function isJson(type: string): boolean {
  return type === "application/json" || type === "*/*" || type === "application/*";
}

function readClause(clause: string): { type: string; parameters: Map<string, string>; quality: number } {
  const [type, ...rest] = clause.split(";");
  const parameters = new Map(
    rest.map((part) => {
      const [key, value = ""] = part.split("=", 2);
      return [key.trim().toLowerCase(), value.trim().replace(/^"(.*)"$/, "$1")] as const;
    }),
  );
  const quality = Number(parameters.get("q") ?? 1);
  return { type: type.trim().toLowerCase(), parameters, quality: Number.isFinite(quality) ? quality : 0 };
}
