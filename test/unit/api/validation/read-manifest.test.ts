import { describe, expect, test } from "vitest";
import { stringify } from "yaml";
import { ManifestError, readManifest } from "../../../../src/api/validation/read-manifest.ts";
import { badCases } from "../bad-cases.ts";
import { badLoadCases } from "../bad-load-cases.ts";
import { goodCases } from "../good-cases.ts";
import { costRatio } from "../least-cost.ts";
import { ihpa } from "../objects.ts";

function problemsOf(text: string) {
  try {
    readManifest(text);
  } catch (error) {
    if (error instanceof ManifestError) return error.problems;
    throw error;
  }
  return [];
}

describe("good objects are read without a problem or a warning", () => {
  test.each(goodCases)("$name", ({ object }) => {
    expect(readManifest(JSON.stringify(object)).warnings).toEqual([]);
  });
});

describe("bad objects are refused at the field, with the remedy", () => {
  test.each([...badLoadCases, ...badCases])("$name", ({ object, field, says }) => {
    const problems = problemsOf(JSON.stringify(object));
    expect(problems).toContainEqual({ field, message: expect.stringContaining(says) });
  });

  test("every problem is told at once, each with its path", () => {
    const object = ihpa({ minReplicas: -1, scaleMode: "auto", maxReplicas: "many" });
    expect(() => readManifest(JSON.stringify(object))).toThrow(
      /spec\.minReplicas: .*\n(.*\n)*spec\.scaleMode: |spec\.scaleMode: .*\n(.*\n)*spec\.minReplicas: /,
    );
    expect(problemsOf(JSON.stringify(object))).toHaveLength(3);
  });
});

describe("what the cluster would do with a manifest, the reader does", () => {
  test("defaults are filled in", () => {
    const { object } = readManifest(JSON.stringify(ihpa({ minReplicas: undefined, portraitProviders: undefined })), {
      kind: "IntelligentHorizontalPodAutoscaler",
    });
    expect(object.metadata.namespace).toBe("default");
    expect(object.spec).toMatchObject({
      paused: false,
      minReplicas: 1,
      scaleMode: "Auto",
      hpa: "Managed",
      prediction: {
        timeZone: "UTC",
        lead: "Measured",
        history: "14d",
        horizon: "24h",
        accuracyGate: { enabled: true },
      },
    });
    expect(object.spec.portraitProviders.map(({ dynamic }) => dynamic?.portraitType)).toEqual([
      "Predictive",
      "Reactive",
    ]);
  });

  test("52: an unknown field is dropped with a warning that names it", () => {
    const { object, warnings } = readManifest(JSON.stringify(ihpa({ maxreplicas: 3 })));
    expect(warnings).toEqual(["unknown field spec.maxreplicas is ignored; check its spelling"]);
    expect(object.spec).not.toHaveProperty("maxreplicas");
  });

  test("an unknown field shows beside the problem that it caused", () => {
    const misspelt = ihpa({ maxReplicas: undefined, maxreplicas: 3 });
    expect(() => readManifest(JSON.stringify(misspelt))).toThrow(
      /spec\.maxReplicas: is missing(.|\n)*spec\.maxreplicas is ignored/,
    );
  });

  test("47: a large annotation is ignored", () => {
    const { object } = readManifest(JSON.stringify(ihpa({}, { annotations: { note: "x".repeat(500_000) } })));
    expect(object.spec).toBeDefined();
  });

  test("null stands for absent", () => {
    const { object } = readManifest(JSON.stringify(ihpa({ scaleMode: null, bounds: null })), {
      kind: "IntelligentHorizontalPodAutoscaler",
    });
    expect(object.spec.scaleMode).toBe("Auto");
    expect(object.spec).not.toHaveProperty("bounds");
  });

  test("50: a key __proto__ is refused and changes nothing", () => {
    const text = `${stringify(ihpa())}  __proto__: {polluted: true}\n`;
    expect(problemsOf(text)).toEqual([{ field: "spec.__proto__", message: expect.stringContaining("reserved") }]);
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });
});

describe("what is no manifest of ours", () => {
  const levels = [..."abcdefghij"];
  const bomb = levels
    .map(
      (name, index) =>
        `${name}: &${name} [${Array(10)
          .fill(index === 0 ? "x" : `*${levels[index - 1]}`)
          .join(", ")}]`,
    )
    .join("\n");

  test.each([
    { name: "empty text", text: "", says: "holds no object" },
    { name: "comments only", text: "# nothing\n", says: "holds no object" },
    { name: "a text", text: "hello", says: "holds no object" },
    { name: "broken YAML", text: "a: [1", says: "the manifest is no YAML" },
    { name: "a key twice", text: "a: 1\na: 2", says: "the manifest is no YAML" },
    { name: "another kind", text: "kind: Deployment\napiVersion: apps/v1", says: "is no kind of ours" },
    {
      name: "another version",
      text: "kind: ReplicaProfile\napiVersion: autoscaling.kapacitystack.io/v1alpha1",
      says: "write autoscaling.forescale.io/v1alpha1",
    },
    { name: "brackets without end", text: "[".repeat(100_000), says: "nests brackets more than 64 deep" },
    { name: "dashes without end", text: `${"- ".repeat(100_000)}a`, says: "the manifest" },
    { name: "a megabyte of text", text: `a: ${"x".repeat(2 << 20)}`, says: "at most 1048576 are read" },
    { name: "an unknown alias", text: "a: *b", says: "Unresolved alias" },
  ])("$name", ({ text, says }) => {
    expect(problemsOf(text)).toEqual([{ field: expect.anything(), message: expect.stringContaining(says) }]);
  });

  test("80: no character of a manifest acts on a terminal", () => {
    const clear = "\u001b[2J";
    const window = { name: "a", start: `0${clear} 9 * * *`, end: "0 10 * * *", replicas: 1 };
    const crons = ihpa({ portraitProviders: [{ type: "Cron", cron: { crons: [window] } }] });
    for (const object of [
      crons,
      ihpa({ scaleMode: clear }),
      ihpa({ [clear]: 1, maxReplicas: "x" }),
      ihpa({}, { name: clear }),
    ])
      expect(() => readManifest(JSON.stringify(object))).toThrow(/^[^\p{Cc}]*(\n[^\p{Cc}]*)*$/u);
  });

  test("79: an alias bomb is refused before it goes off: as soon as a manifest is read", () => {
    expect(problemsOf(bomb)[0].message).toContain("Excessive alias count");
    const manifest = JSON.stringify(ihpa());
    expect(
      costRatio(
        () => problemsOf(bomb),
        () => readManifest(manifest),
      ),
    ).toBeLessThan(40);
  });

  test("of several documents the one of the kind asked for is read", () => {
    const service = "apiVersion: v1\nkind: Service\nmetadata: {name: web}\n";
    const text = `${service}---\n${JSON.stringify(ihpa())}\n`;
    const { object } = readManifest(text, { kind: "IntelligentHorizontalPodAutoscaler" });
    expect(object.metadata.name).toBe("case");
    expect(() =>
      readManifest(`${text}---\n${JSON.stringify(ihpa())}`, { kind: "IntelligentHorizontalPodAutoscaler" }),
    ).toThrow("3 objects, 2 of them of kind IntelligentHorizontalPodAutoscaler; keep one");
  });
});
