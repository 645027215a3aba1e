import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { definitions, objectSchema } from "../../src/api/kinds/definitions.ts";
import { apiVersion, group, type Kind, kinds, listPath, objectPath } from "../../src/api/kinds.ts";
import { applyDefaults } from "../../src/api/validation/defaults.ts";
import { readManifest } from "../../src/api/validation/read-manifest.ts";
import { type Cluster, startCluster } from "../cluster/control-plane.ts";
import { describeCluster } from "../cluster/suite.ts";
import { badCases } from "../unit/api/bad-cases.ts";
import { badLoadCases } from "../unit/api/bad-load-cases.ts";
import { goodCases } from "../unit/api/good-cases.ts";
import { ihpa, type Plain } from "../unit/api/objects.ts";
import { type Answer, apiClient } from "./api-client.ts";

const all = Object.keys(kinds) as Kind[];
const crdPath = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";

describeCluster("a real API server and our CRDs", () => {
  let cluster: Cluster;
  let send: (method: string, path: string, body?: unknown) => Promise<Answer>;

  beforeAll(async () => {
    cluster = await startCluster();
    send = apiClient(readFileSync(cluster.kubeconfig, "utf8"));
    for (const kind of all) {
      const answer = await send("PATCH", `${crdPath}/${kinds[kind].plural}.${group}?fieldManager=test&force=true`, {
        yaml: readFileSync(join("manifests/crds", `${kinds[kind].plural}.yaml`), "utf8"),
      });
      expect(answer).toMatchObject({ warnings: [] });
      expect([200, 201]).toContain(answer.status);
    }
    await cluster.kubectl(["wait", "--for=condition=Established", "--timeout=20s", ...all.map(crdName)]);
    await cluster.kubectl(["wait", "--for=condition=NamesAccepted", "--timeout=20s", ...all.map(crdName)]);
  });
  afterAll(() => cluster?.stop());

  const create = (object: Plain, query = "?dryRun=All") =>
    send("POST", `${listPath(object.kind, "default")}${query}`, object);

  test.each(goodCases)("accepts without a warning: $name", async ({ object }) => {
    const answer = await create(object, "?dryRun=All&fieldValidation=Strict");
    expect(answer).toMatchObject({ status: 201, warnings: [] });
  });

  test.each(goodCases)("fills in the very defaults that we do: $name", async ({ object }) => {
    const { body } = await create(object);
    expect(body.spec).toEqual(applyDefaults(definitions[object.kind].spec, object.spec));
    expect(body.spec).toEqual(readManifest(JSON.stringify(object)).object.spec);
  });

  const refused = [...badLoadCases, ...badCases].filter(({ by }) => by !== "Validate");
  test.each(refused)("refuses, in our words where the rule is ours: $name", async ({ object, by, says }) => {
    const { status, body } = await create(object);
    expect(status).toBe(422);
    if (by === "Rule") expect(body.message).toContain(says);
  });

  const unknowable = [...badLoadCases, ...badCases].filter(({ by }) => by === "Validate");
  test.each(unknowable)("accepts what only we can know to be wrong: $name", async ({ object }) => {
    expect(await create(object)).toMatchObject({ status: 201 });
  });

  test("52: prunes an unknown field, with a warning that names it", async () => {
    const { status, body, warnings } = await create(ihpa({ maxreplicas: 3 }), "?dryRun=All&fieldValidation=Warn");
    expect(status).toBe(201);
    expect(body.spec).not.toHaveProperty("maxreplicas");
    expect(warnings).toEqual([expect.stringContaining("spec.maxreplicas")]);
  });

  test("53: gives back what was written, nothing lost and nothing added", async () => {
    for (const [index, { object }] of goodCases.entries()) {
      const name = `round-trip-${index}`;
      await create({ ...object, metadata: { ...object.metadata, name } }, "");
      const path = objectPath(object.kind, name, "default");
      const { body } = await send("GET", path);
      const again = await send("PUT", path, body);
      expect(again).toMatchObject({ status: 200, body: { metadata: { generation: 1 } } });
      expect(again.body.spec).toEqual(readManifest(JSON.stringify(object)).object.spec);
      await send("DELETE", path);
    }
  });

  test("54: a user's write to the main resource leaves the status alone", async () => {
    const path = objectPath("IntelligentHorizontalPodAutoscaler", "forged", "default");
    const status = { desiredReplicas: 500 };
    const made = await create({ ...ihpa({}, { name: "forged" }), status } as Plain, "");
    expect(made.body).not.toHaveProperty("status");
    const written = await send("PATCH", `${path}/status?fieldManager=test`, {
      yaml: JSON.stringify({ ...ihpa({}, { name: "forged" }), spec: undefined, status: { desiredReplicas: 5 } }),
    });
    expect(written.body).toMatchObject({ metadata: { generation: 1 }, status: { desiredReplicas: 5 } });
    await send("PUT", path, { ...written.body, status });
    expect((await send("GET", path)).body).toMatchObject({ status: { desiredReplicas: 5 } });
    await send("DELETE", path);
  });

  test("nothing can scale an autoscaler: it has no scale subresource", async () => {
    for (const kind of all) {
      const { body } = await send("GET", `${crdPath}/${kinds[kind].plural}.${group}`);
      expect(body.spec.versions[0].subresources).toEqual({ status: {} });
    }
  });

  test("the whole status that a controller writes is kept", async () => {
    await create(ihpa({}, { name: "status" }), "");
    const path = objectPath("IntelligentHorizontalPodAutoscaler", "status", "default");
    const time = "2026-01-31T09:00:00Z";
    const status = {
      observedGeneration: 1,
      currentReplicas: 4,
      desiredReplicas: 6,
      forecastReplicas: 7,
      decision: {
        time,
        online: 6,
        cutoff: 0,
        standby: 0,
        total: 6,
        rung: "Fresh",
        reason: "Predictive",
        provider: "Predictive",
        load: [{ name: "load", value: 5.25 }],
      },
      lead: { seconds: 42.5, source: "Measured", samples: 12 },
      accuracy: { percent: 93, relativeError: 0.61, coverage: [{ level: 0.9, observed: 0.91, samples: 200 }] },
      hpa: { mode: "Managed", name: "forescale-status", toleranceBand: "0%" },
      currentPortraitValue: { provider: "Predictive", replicas: 6, expireTime: time },
      conditions: [
        {
          type: "Ready",
          status: "True",
          reason: "AsExpected",
          message: "",
          lastTransitionTime: time,
          observedGeneration: 1,
        },
      ],
    };
    const { body } = await send("PATCH", `${path}/status?fieldManager=test&fieldValidation=Strict`, {
      yaml: JSON.stringify({
        apiVersion,
        kind: "IntelligentHorizontalPodAutoscaler",
        metadata: { name: "status" },
        status,
      }),
    });
    expect(body.status).toEqual(status);
    const columns = await cluster.kubectl(["get", "ihpa", "status", "-o", "wide", "--no-headers"]);
    expect(columns.trim().split(/\s+/).slice(0, 12)).toEqual([
      "status",
      "web",
      "Auto",
      "1",
      "200",
      "4",
      "6",
      "7",
      "Predictive",
      "Fresh",
      expect.stringMatching(/^\d+[dy]/),
      "True",
    ]);
    await send("DELETE", path);
  });

  test("`kubectl get forescale` and `kubectl explain` know every kind and field", async () => {
    const names = await cluster.kubectl(["api-resources", "--categories=forescale", "-o", "name"]);
    expect(names.trim().split("\n").toSorted()).toEqual(all.map((kind) => `${kinds[kind].plural}.${group}`).toSorted());
    for (const kind of all) {
      const explained = await cluster.kubectl(["explain", `${kinds[kind].shortNames[0]}.spec`]);
      expect(explained).toContain(objectSchema(kind).properties.spec.description);
    }
  });
});

function crdName(kind: Kind): string {
  return `customresourcedefinition/${kinds[kind].plural}.${group}`;
}
