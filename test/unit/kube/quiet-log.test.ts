import { expect, test } from "vitest";
import { quieted } from "../../../src/kube/quiet-log.ts";
import { FakeClock } from "./fake-clock.ts";

test("six caches that fail together for an hour write some lines, and say how often it was", async () => {
  const clock = new FakeClock();
  const lines: { message: string; fields: object | undefined }[] = [];
  const write = (message: string, fields?: object) => void lines.push({ message, fields });
  const log = quieted({ debug: write, info: write, warn: write, error: write }, clock);
  const fail = (cause: string) => {
    for (const resource of ["pods", "ihpas", "portraits", "profiles", "sources", "hpas"])
      log.warn("cache lists again", { resource, cause, error: `list ${resource}: no answer` });
  };
  fail("Unreachable");
  expect(lines).toEqual([
    { message: "cache lists again", fields: expect.objectContaining({ resource: "pods", cause: "Unreachable" }) },
  ]);
  for (let seconds = 0; seconds < 3600; seconds += 5) {
    await clock.advance(5_000);
    fail("Unreachable");
  }
  expect(lines.length).toBeGreaterThan(5);
  expect(lines.length).toBeLessThan(20);
  const repeated = lines.reduce((sum, { fields }) => sum + ((fields as { repeated?: number }).repeated ?? 0), 0);
  expect(repeated).toBeGreaterThan(3000);

  const before = lines.length;
  fail("Forbidden"); // another cause is news
  log.info("leading");
  log.error("the Lease is lost");
  expect(lines.length).toBe(before + 3);
  await clock.advance(900_000);
  fail("Unreachable"); // and so is what had ended
  expect(lines.at(-1)?.fields).not.toHaveProperty("repeated");
});
