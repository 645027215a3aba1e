import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SimulatedDeployment } from "../../../../src/backtest/replay/simulated-deployment.ts";

const shown = ({ online, starting, cutoff, standby }: SimulatedDeployment) =>
  `${online} online, ${starting} starting, ${cutoff} cut off, ${standby} on standby`;

describe("a simulated deployment", () => {
  test("new pods serve after the start-up time, and their seconds are reported once", () => {
    const deployment = new SimulatedDeployment(2, 60_000);
    deployment.scale(4, 0);
    expect(deployment.advance(59_000)).toEqual([]);
    expect(shown(deployment)).toBe("2 online, 2 starting, 0 cut off, 0 on standby");
    expect(deployment.advance(60_000)).toEqual([60, 60]);
    expect(deployment.advance(75_000)).toEqual([]);
    expect(deployment.online).toBe(4);
  });

  test("pods leave service only where more serve than are wanted", () => {
    const deployment = new SimulatedDeployment(6, 60_000);
    deployment.moveTo({ online: 4, cutoff: 2, standby: 0 }, 0);
    expect(shown(deployment)).toBe("4 online, 0 starting, 2 cut off, 0 on standby");
    deployment.moveTo({ online: 4, cutoff: 0, standby: 0 }, 15_000);
    expect(deployment.cutoff).toBe(2); // they go with the next scale-down, not back into service
    deployment.scale(4, 22_500);
    expect(shown(deployment)).toBe("4 online, 0 starting, 0 cut off, 0 on standby");
  });

  test("cut-off pods come back at once, frozen ones after the time to wake, and no start-up is reported for them", () => {
    const deployment = new SimulatedDeployment(6, 60_000);
    deployment.moveTo({ online: 2, cutoff: 2, standby: 2 }, 0);
    deployment.moveTo({ online: 6, cutoff: 0, standby: 0 }, 15_000);
    expect(shown(deployment)).toBe("4 online, 2 starting, 0 cut off, 0 on standby");
    expect(deployment.advance(30_000)).toEqual([]);
    expect(deployment.online).toBe(6);
  });

  test("a scale-down deletes starting pods first, then cut-off ones, then frozen ones, then those that serve", () => {
    const deployment = new SimulatedDeployment(5, 60_000);
    deployment.moveTo({ online: 3, cutoff: 1, standby: 1 }, 0);
    deployment.scale(6, 0);
    const seen = [5, 4, 3, 2].map((replicas) => {
      deployment.scale(replicas, 1000);
      return shown(deployment);
    });
    expect(seen).toEqual([
      "3 online, 0 starting, 1 cut off, 1 on standby",
      "3 online, 0 starting, 0 cut off, 1 on standby",
      "3 online, 0 starting, 0 cut off, 0 on standby",
      "2 online, 0 starting, 0 cut off, 0 on standby",
    ]);
  });

  test("moving pods between states makes and loses none", () => {
    const numbers = fc.record({ online: fc.nat(9), cutoff: fc.nat(9), standby: fc.nat(9) });
    fc.assert(
      fc.property(fc.nat(20), fc.array(numbers, { maxLength: 8 }), (replicas, wishes) => {
        const deployment = new SimulatedDeployment(replicas, 60_000);
        wishes.forEach((wish, k) => {
          deployment.moveTo(wish, k * 15_000);
          deployment.advance(k * 15_000 + 15_000);
          expect(deployment.total).toBe(replicas);
          expect(Math.min(deployment.online, deployment.cutoff, deployment.standby)).toBeGreaterThanOrEqual(0);
        });
      }),
    );
  });
});
