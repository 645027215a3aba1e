import {
  cpu,
  crons,
  type GoodCase,
  gray,
  ihpa,
  load,
  nine,
  portrait,
  profile,
  secret,
  source,
  withMetric,
} from "./objects.ts";

export const goodCases: readonly GoodCase[] = [
  {
    name: "the least that an autoscaler needs",
    object: ihpa({ minReplicas: undefined, portraitProviders: undefined }),
  },
  { name: "a percentile as a whole number", object: ihpa({ prediction: { quantile: 95 } }) },
  { name: "a percentile as text", object: ihpa({ prediction: { quantile: "99.9" } }) },
  { name: "the largest percentile", object: ihpa({ prediction: { quantile: "99.99" } }) },
  { name: "the smallest percentile", object: ihpa({ prediction: { quantile: 50 } }) },
  { name: "an objective", object: ihpa({ prediction: { objective: { underProvisioned: "0.1%" } } }) },
  {
    name: "a lead in seconds, days of history, a week's horizon",
    object: ihpa({ prediction: { lead: 90, history: "14d", horizon: "7d" } }),
  },
  {
    name: "targets in every way of writing",
    object: ihpa({
      metrics: [
        { ...cpu, name: "a" },
        ...["500m", "2Gi", "1e3", 4].map((averageValue, index) => ({
          ...load,
          name: `m${index}`,
          external: { ...load.external, target: { type: "AverageValue", averageValue } },
        })),
      ],
    }),
  },
  {
    name: "a capacity learnt from CPU and response time",
    object: ihpa({
      metrics: [load],
      capacity: {
        loads: [load.name],
        usage: { name: "cpu", target: "700m" },
        responseTime: { name: "latency", query: "latency_p95", percentile: 95 },
        objective: { percentile: 95, responseTime: "200ms" },
        pods: { query: "sum(pods_ready)" },
      },
    }),
  },
  {
    name: "eight metrics",
    object: ihpa({ metrics: Array.from({ length: 8 }, (_, index) => ({ ...load, name: `m${index}` })) }),
  },
  {
    name: "a metric's query in the source's language",
    object: withMetric({ ...load, source: "prom", query: 'sum(rate(http_requests_total{app="web"}[5m]))' }),
  },
  {
    name: "metrics of the provider's own",
    object: ihpa({
      metrics: undefined,
      portraitProviders: [
        { type: "Dynamic", dynamic: { portraitType: "Reactive", metrics: [cpu], algorithm: { type: "KubeHPA" } } },
      ],
    }),
  },
  {
    name: "each portrait's own algorithm, and one of the user's",
    object: ihpa({
      portraitProviders: [
        { type: "Dynamic", dynamic: { portraitType: "Predictive", algorithm: { type: "RobustSTL" } } },
        { type: "Dynamic", dynamic: { portraitType: "Reactive", algorithm: { type: "External" } } },
        { type: "Dynamic", dynamic: { portraitType: "Burst", algorithm: { type: "Burst" } } },
      ],
    }),
  },
  {
    name: "an external generator's algorithm without metrics",
    object: ihpa({
      metrics: undefined,
      portraitProviders: [
        {
          type: "Dynamic",
          dynamic: {
            portraitType: "Burst",
            externalGeneratorName: "mine",
            algorithm: { type: "Magic", config: { any: { depth: [1, "x"] } } },
          },
        },
      ],
    }),
  },
  {
    name: "windows with bounds, dates and days left out",
    object: ihpa({
      bounds: [
        {
          name: "sale",
          timeZone: "Asia/Shanghai",
          from: "2026-11-10T20:00",
          until: "2026-11-12",
          minReplicas: 40,
          maxReplicas: 200,
        },
        {
          name: "night",
          timeZone: "Europe/Berlin",
          start: "0 22 * * *",
          end: "0 6 * * *",
          maxReplicas: 50,
          excludeDates: ["12-25", "2026-12-31", "* * * * 0"],
        },
      ],
    }),
  },
  { name: "overlapping windows", object: crons(nine, { ...nine, name: "ten", start: "0 10 * * *" }) },
  {
    name: "a window with a floor only",
    object: crons({ name: "floor", start: "0 9 * * *", end: "0 10 * * *", minReplicas: 3 }),
  },
  { name: "29 February", object: crons({ ...nine, start: "0 0 29 2 *" }) },
  {
    name: "a change in steps",
    object: ihpa({
      behavior: { scaleUp: { grayStrategy: { ...gray, grayState: "Online" } }, scaleDown: { grayStrategy: gray } },
    }),
  },
  {
    name: "stability checkers, one with a target of 0",
    object: ihpa({
      stabilityCheckers: [
        {
          type: "Metrics",
          stabilizationAction: "Pause",
          metrics: {
            metrics: [{ ...load, operator: ">", external: { ...load.external, target: { type: "Value", value: 0 } } }],
          },
        },
        {
          type: "External",
          stabilizationAction: "Rollback",
          coolDownSeconds: 60,
          external: { name: "mine", config: { a: "b" } },
        },
        {
          type: "Regression",
          stabilizationAction: "Rollback",
          regression: {
            errorRate: { query: "errors" },
            responseTime: { source: "prometheus", query: "p95" },
            tolerance: "50%",
          },
        },
      ],
      behavior: { replicaProfile: { podSorter: { type: "Cost" }, keepAvailable: true } },
    }),
  },
  {
    name: "a hot pool",
    object: ihpa({
      standby: {
        minReplicas: 2,
        mode: "Swap",
        schedule: [{ name: "day", start: "0 8 * * *", end: "0 20 * * *", minReplicas: 5 }],
      },
    }),
  },
  { name: "a portrait", object: portrait({ prediction: { quantile: 90 } }) },
  {
    name: "a portrait by a job",
    object: portrait({
      algorithm: {
        type: "ExternalJob",
        externalJob: {
          job: { type: "CronJob", cronJob: { template: { spec: { schedule: "0 * * * *", jobTemplate: {} } } } },
          resultSource: { type: "ConfigMap" },
        },
      },
    }),
  },
  { name: "a profile", object: profile({ behavior: { podSorter: { type: "External", external: { name: "mine" } } } }) },
  {
    name: "a Prometheus with a token and a tenant",
    object: source({
      default: true,
      credentials: { bearerToken: secret("token") },
      headers: { "X-Scope-OrgID": "one" },
      tenancy: { namespaces: ["default"] },
      step: "30s",
      lag: "1m",
    }),
  },
  { name: "the cluster's own metrics", object: source({ type: "Resource", url: undefined }) },
  {
    // Every field of Kapacity's own kind that PEERS' converter list names, after the change of group.
    name: "a manifest written for Kapacity",
    object: ihpa({
      paused: false,
      minReplicas: 0,
      maxReplicas: 10,
      scaleMode: "Preview",
      metrics: undefined,
      portraitProviders: [
        { type: "Static", priority: 0, static: { replicas: 3 } },
        { type: "Cron", priority: 1, cron: { crons: [{ ...nine, description: "office hours" }] } },
        {
          type: "Dynamic",
          priority: 2,
          dynamic: {
            portraitType: "Reactive",
            metrics: [{ ...cpu, name: "scale-out", operator: ">" }],
            algorithm: {
              type: "KubeHPA",
              kubeHPA: {
                syncPeriod: "15s",
                tolerance: "0.1",
                cpuInitializationPeriod: "5m",
                initialReadinessDelay: "1m30s",
              },
            },
          },
        },
      ],
      behavior: {
        scaleUp: { disabled: false, grayStrategy: { ...gray, grayState: "Online" } },
        scaleDown: { grayStrategy: { ...gray, observationSeconds: 60 } },
        replicaProfile: { podSorter: { type: "WorkloadDefault" }, podTrafficController: { type: "ReadinessGate" } },
      },
    }),
  },
];
