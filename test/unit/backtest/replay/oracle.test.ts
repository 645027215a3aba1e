import fc from "fast-check";
import { expect, test } from "vitest";
import { oracleReplicas } from "../../../../src/backtest/replay/oracle.ts";
import { Scoreboard } from "../../../../src/backtest/replay/scoreboard.ts";
import { SimulatedDeployment } from "../../../../src/backtest/replay/simulated-deployment.ts";

const demands = fc.array(fc.double({ min: 0, max: 60, noNaN: true }), { minLength: 1, maxLength: 200 });
const startups = fc.integer({ min: 0, max: 15 });

test("the oracle has the largest demand of the start-up ahead, in whole pods", () => {
  fc.assert(
    fc.property(demands, startups, (demand, ticks) => {
      const plain = demand.map((_, i) =>
        Math.max(1, ...demand.slice(i, i + ticks + 1).map((pods) => Math.ceil(pods - 1e-9))),
      );
      expect([...oracleReplicas(Float64Array.from(demand), ticks)]).toEqual(plain);
    }),
  );
});

test("a deployment that follows the oracle is never short of pods, once its first pods are up", () => {
  fc.assert(
    fc.property(demands, startups, (demand, ticks) => {
      const wanted = oracleReplicas(Float64Array.from(demand), ticks);
      const deployment = new SimulatedDeployment(wanted[0], ticks * 15_000);
      const board = new Scoreboard();
      demand.forEach((pods, i) => {
        deployment.advance(i * 15_000);
        deployment.scale(wanted[i], i * 15_000);
        deployment.advance(i * 15_000); // with no start-up time they serve at once
        board.add(deployment.total, deployment.online, pods, 15);
      });
      expect(board.score.underProvisionedMinutes).toBe(0);
      expect(board.score.unserved).toBe(0);
    }),
  );
});

test("scaling down takes pods that still start first, and pods count from their creation", () => {
  const deployment = new SimulatedDeployment(3, 60_000);
  deployment.scale(6, 0);
  expect([deployment.online, deployment.starting]).toEqual([3, 3]);
  deployment.scale(4, 15_000);
  expect([deployment.online, deployment.starting]).toEqual([3, 1]);
  expect(deployment.advance(60_000)).toEqual([60]);
  deployment.scale(2, 75_000);
  expect([deployment.online, deployment.starting]).toEqual([2, 0]);
});
