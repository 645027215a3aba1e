import { type StubRequest, startStub, succeed } from "../unit/collect/stub.ts";

/** A Prometheus in which every metric has had its present load for ever. */
export interface LoadStore {
  readonly url: string;
  /** MetricReader by the metric's name; one that is not there has no value, past or present. */
  readonly loads: Map<string, number>;
  /** It refuses all requests while this is set. */
  isDown: boolean;
  stop(): Promise<void>;
}

export async function startLoadStore(): Promise<LoadStore> {
  const stub = await startStub((request, response) => {
    if (store.isDown) response.writeHead(403).end();
    else answer(request, store.loads, (type, result) => succeed(response, type, result));
  });
  const store: LoadStore = { url: stub.url, loads: new Map(), isDown: false, stop: () => stub.close() };
  return store;
}

function answer(
  { path, parameters }: StubRequest,
  loads: ReadonlyMap<string, number>,
  succeedWith: (type: string, result: unknown) => void,
): void {
  const query = parameters.get("query")!;
  const loadOf = (text: string) => (text === "vector(1)" ? 1 : loads.get(/__name__="([^"]*)"/.exec(text)?.[1] ?? ""));
  if (path.endsWith("/query_range")) {
    const [start, end, step] = ["start", "end", "step"].map((name) => Number(parameters.get(name)));
    const load = loadOf(query);
    const points = Array.from({ length: Math.floor((end - start) / step) + 1 }, (_, i) => start + i * step);
    const found = load === undefined ? [] : [{ metric: {}, values: points.map((at) => [at, String(load)]) }];
    succeedWith("matrix", found);
    return;
  }
  const at = Number(parameters.get("time") ?? Date.now() / 1000);
  const batch = [...query.matchAll(/label_replace\(\n([\s\S]*?)\n,"forescale_key","(\d+)"/g)];
  const parts =
    batch.length > 0
      ? batch.map(([, text, key]) => ({ text, metric: { forescale_key: key } }))
      : [{ text: query, metric: {} }];
  succeedWith(
    "vector",
    parts.flatMap(({ text, metric }) => {
      const load = loadOf(text);
      return load === undefined ? [] : [{ metric, value: [at, String(load)] }];
    }),
  );
}
