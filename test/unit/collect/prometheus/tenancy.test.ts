import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { confined } from "../../../../src/collect/prometheus/tenancy.ts";

const inShop = (query: string) => confined(query, "namespace", "shop", "prometheus");

describe("a tenant's query reads only its own namespace", () => {
  test.each([
    ["sum(rate(http_requests_total[5m]))", 'sum(rate(http_requests_total{namespace="shop"}[5m]))'],
    ["foo{}", 'foo{namespace="shop"}'],
    ['foo{a="b",}', 'foo{namespace="shop",a="b",}'],
    ['{__name__=~"x.*"}', '{namespace="shop",__name__=~"x.*"}'],
    ['foo{a="}"} or bar', 'foo{namespace="shop",a="}"} or bar{namespace="shop"}'],
    ["max_over_time(sum(foo)[1h:5m])", 'max_over_time(sum(foo{namespace="shop"})[1h:5m])'],
    ["foo[5m] @ end() offset 1h", 'foo{namespace="shop"}[5m] @ end() offset 1h'],
    [
      'a / on(x) group_left b{namespace="kube-system"}',
      'a{namespace="shop"} / on(x) group_left b{namespace="shop",namespace="kube-system"}',
    ],
    ["foo # }{ a comment", 'foo{namespace="shop"} # }{ a comment'],
    ["vector(1e18)", "vector(1e18)"],
  ])("%s", (query, expected) => {
    expect(inShop(query)).toBe(expected);
  });

  test.each(["sum(", "foo bar", "foo{", '{a="b"', "foo{a=b}", 'foo"'])(
    "%s is refused, as it cannot be parsed",
    (query) => {
      expect(() => inShop(query)).toThrow(/is not understood near character \d+/);
    },
  );

  test("no text gets a selector past the rule", () => {
    const piece = fc.constantFrom(..."foo{}[]()\"'`=,#@ \n\\:5m".split(""), "sum", " or ", "namespace", '"x"');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 25 }), (pieces) => {
        let result: string;
        try {
          result = inShop(pieces.join(""));
        } catch {
          return; // refused
        }
        // Confining again finds the same selectors, and each has the matcher already.
        const selectors = inShop(result).split('namespace="shop"').length - 1;
        expect(selectors).toBe(2 * (result.split('namespace="shop"').length - 1));
      }),
      { numRuns: 2000 },
    );
  });
});
