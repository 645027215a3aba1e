import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 90_000,
    hookTimeout: 180_000,
    // Two cores: the suites that start a cluster are heavy, so files run at most two at a time.
    maxWorkers: 2,
  },
});
