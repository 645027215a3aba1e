/** What a folder of src may import. `test/unit/imports.test.ts` holds it; `npm run generate` writes it into docs/architecture.md. */
export interface FolderRules {
  readonly purpose: string;
  /** Other folders of src, or files directly in src. */
  readonly imports: readonly string[];
  /** No clock, randomness, environment, files or network. */
  readonly isPure?: boolean;
  /** Of each sub-folder: which of its siblings it may import; "." stands for the files of the folder itself. */
  readonly inside?: Readonly<Record<string, readonly string[]>>;
}

/** Data flows down this table. */
export const importTable: Readonly<Record<string, FolderRules>> = {
  api: {
    purpose: "the kinds: schemas, types, defaults, validation, labels, conditions",
    imports: [],
    isPure: true,
    inside: { values: [], fields: ["."], kinds: [".", "fields"], validation: [".", "fields", "kinds", "values"] },
  },
  series: {
    purpose: "values on a grid: resampling, transforms, statistics",
    imports: [],
    isPure: true,
    inside: { transforms: ["."], statistics: ["transforms"] },
  },
  kube: {
    purpose: "the Kubernetes client: caches, work queue, leader election, apply, Events",
    imports: ["api"],
    inside: { client: [".", "loop", "watch"], loop: [".", "client"], watch: [".", "client", "loop"] },
  },
  collect: {
    purpose: "Prometheus, metrics APIs and pods turned into series",
    imports: ["api", "series"],
    inside: { http: ["."], prometheus: [".", "http"], pods: [".", "http"], "metrics-api": [".", "http", "pods"] },
  },
  forecast: {
    purpose: "one sub-folder for each method, and what they share",
    imports: ["series"],
    isPure: true,
    inside: {
      quantiles: [],
      data: ["quantiles"],
      periods: ["data"],
      experts: [".", "data", "periods", "quantiles"],
      decomposition: [".", "quantiles"],
      nhpp: [".", "periods"],
      proactive: [".", "decomposition", "periods", "quantiles"],
      sntsf: [".", "quantiles"],
      workers: ["."],
    },
  },
  capacity: { purpose: "from loads to pods", imports: ["api", "series"], isPure: true },
  hpa: { purpose: "the native HPA's own arithmetic", imports: [], isPure: true },
  portrait: {
    purpose: "from spec and forecast to pods over the next hours; schedules",
    imports: ["api", "series", "forecast", "capacity"],
    isPure: true,
  },
  pods: {
    purpose: "pod states: transitions, order, what the webhook adds",
    imports: ["api"],
    isPure: true,
    inside: { inject: ["."] },
  },
  stability: { purpose: "what a stability check says of a change", imports: ["api"], isPure: true },
  decide: {
    purpose: "the decision: one recommender and its chain of rules",
    imports: ["api", "series", "capacity", "portrait", "stability"],
    isPure: true,
    inside: {
      demand: [],
      burst: ["demand"],
      gate: ["burst", "demand"],
      lead: ["burst", "demand"],
      price: [".", "demand", "lead"],
      metric: ["burst", "demand", "gate", "lead", "price"],
      providers: [".", "metric"],
      rules: [".", "metric", "providers"],
      steps: ["."],
    },
  },
  serve: {
    purpose: "HTTPS for the API server (external metrics, admission) and the sidecars",
    imports: ["api", "kube", "portrait", "decide", "pods"],
    inside: {
      http: [".", "access", "tls"],
      access: [".", "http"],
      tls: [".", "access"],
      "metrics-api": [".", "http"],
      admission: ["http", "metrics-api"],
      "sidecar-gateway": ["access"],
    },
  },
  sidecar: {
    purpose: "beside the application: freezes, wakes, answers probes",
    imports: ["api", "pods"],
    inside: { freeze: ["."] },
  },
  controllers: {
    purpose: "one reconcile loop for each kind, and the tick",
    imports: ["api", "series", "kube", "collect", "forecast", "capacity", "portrait", "decide", "pods", "stability"],
    inside: {
      status: [],
      "external-programs": [],
      "metric-source": ["status"],
      workload: ["metric-source", "pods"],
      pods: ["external-programs", "workload"],
      stability: ["external-programs", "metric-source", "pods", "workload"],
      portrait: [".", "ihpa", "status", "workload"],
      ihpa: [".", "pods", "portrait", "stability", "status", "workload"],
      "replica-profile": ["ihpa", "pods", "status"],
    },
  },
  backtest: {
    purpose: "replays a history through the recommender, beside other policies",
    imports: ["api", "series", "forecast", "capacity", "portrait", "decide", "hpa"],
    isPure: true,
    inside: { replay: ["."], report: [".", "replay"], workers: ["."] },
  },
  demo: {
    purpose: "the main job without a cluster: a trace, the real server, the real decisions",
    imports: ["api", "series", "kube", "forecast", "capacity", "portrait", "decide", "hpa", "serve", "backtest"],
  },
  cli: {
    purpose: "one file for each subcommand: parse, call, print",
    imports: [
      "api",
      "series",
      "kube",
      "collect",
      "forecast",
      "capacity",
      "portrait",
      "decide",
      "pods",
      "hpa",
      "serve",
      "stability",
      "sidecar",
      "controllers",
      "backtest",
      "demo",
      "log.ts",
      "telemetry.ts",
    ],
  },
};

/** The table as Markdown: folders first, then the sub-folders of those that have any. */
export function importTablePage(): string {
  const folders = Object.entries(importTable).map(([folder, { purpose, imports, isPure }]) => {
    const missing = Object.keys(importTable).filter((other) => other !== folder && !imports.includes(other));
    const files = imports.filter((each) => each.endsWith(".ts"));
    const whole =
      missing.length === 0
        ? ["all above", ...files].join(", ")
        : imports.length === 0
          ? "nothing"
          : imports.map(code).join(" ");
    return `| ${code(folder)} | ${purpose} | ${isPure ? "yes" : ""} | ${whole} |`;
  });
  const inside = Object.entries(importTable).flatMap(([folder, rules]) =>
    Object.entries(rules.inside ?? {}).map(([part, siblings]) => {
      const may = siblings.map((each) => (each === "." ? "the folder's own files" : code(each)));
      return `| ${code(`${folder}/${part}`)} | ${may.length === 0 ? "nothing" : may.join(", ")} |`;
    }),
  );
  return [
    "| Folder | What lives there | Pure | May import |",
    "| --- | --- | --- | --- |",
    ...folders,
    "",
    "Within a folder its own files may import every sub-folder, and the sub-folders each other as follows.",
    "",
    "| Sub-folder | May import, within its folder |",
    "| --- | --- |",
    ...inside,
  ].join("\n");
}

function code(text: string): string {
  return `\`${text}\``;
}
