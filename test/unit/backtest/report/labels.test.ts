import { describe, expect, test } from "vitest";
import { placeLabels } from "../../../../src/backtest/report/labels.ts";

const frame = { width: 548, height: 330, left: 52, right: 24, top: 30, bottom: 38 };
const width = (title: string) => 7 * title.length;

describe("names beside their points", () => {
  test.each([
    {
      name: "on one place",
      points: [
        [200, 290],
        [200, 290],
        [200, 290],
      ],
    },
    {
      name: "close together",
      points: [
        [210, 288],
        [200, 292],
        [230, 280],
      ],
    },
    {
      name: "close at the right edge",
      points: [
        [520, 200],
        [515, 204],
        [518, 190],
      ],
    },
    {
      name: "close at the left edge",
      points: [
        [56, 200],
        [60, 204],
        [58, 190],
      ],
    },
  ])("do not overlap, and stay in the picture: $name", ({ points }) => {
    const titles = ["Forescale", "oracle", "fixed at the peak"];
    const named = points.map(([cx, cy], k) => ({ cx, cy, title: titles[k] }));
    const boxes = placeLabels(frame, named).map(({ x, y, anchor }, k) => {
      const left = anchor === "start" ? x : x - width(titles[k]);
      return { left, right: left + width(titles[k]), y };
    });
    for (const [k, a] of boxes.entries()) {
      expect(a.left).toBeGreaterThanOrEqual(frame.left);
      expect(a.right).toBeLessThanOrEqual(frame.width);
      for (const b of boxes.slice(k + 1))
        expect(a.right < b.left || b.right < a.left || Math.abs(a.y - b.y) >= 12).toBe(true);
    }
  });

  test("stand at the right, a little above, where there is room", () => {
    expect(placeLabels(frame, [{ cx: 100, cy: 100, title: "oracle" }])).toEqual([{ x: 110, y: 92, anchor: "start" }]);
  });
});
