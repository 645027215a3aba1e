import { describe, expect, test } from "vitest";
import {
  type DrainProgress,
  drainStep,
  inboundConnections,
  parseActivities,
  parseSockets,
  type Socket,
} from "../../../src/sidecar/sockets.ts";

const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000005 00:00000000 00000000     0        0 500 1 0 100 0 0 10 0
   1: 0100007F:1F90 0100007F:C350 01 00000000:00000010 00:00000000 00000000     0        0 501 1 0 20 4 30 10 -1
   2: 0100007F:1F90 0100007F:C351 06 00000000:00000000 03:00000FA0 00000000     0        0 0 3 0
   3: 0100007F:C352 0100007F:0CEA 01 00000000:00000000 00:00000000 00000000     0        0 502 1 0 20 4 30 10 -1
   4: 00000000:2345 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 900 1 0 100 0 0 10 0
   5: 0100007F:2345 0100007F:C360 01 00000000:00000000 00:00000000 00000000     0        0 901 1 0 20 4 30 10 -1
`;
const table6 = `  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000000000000000000000000000:1F91 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 600 1 0 100 0 0 10 0
   1: 0000000000000000FFFF00000100007F:1F91 0000000000000000FFFF00000100007F:C370 01 00000003:00000000 00:00000000 00000000     0        0 601 1 0 20 4 30 10 -1
`;

test("inbound are the established connections to ports on which the application itself listens", () => {
  const sockets = [...parseSockets(table), ...parseSockets(table6)];
  const theirs = new Set(["500", "600"]); // the accepted ones may be another process's
  const inbound = inboundConnections(sockets, (inode) => theirs.has(inode));
  expect(inbound.map(({ inode, localPort, queuedBytes }) => [inode, localPort, queuedBytes])).toEqual([
    ["501", 8080, 16],
    ["601", 8081, 3],
  ]);
  expect(parseSockets("no table\n")).toEqual([]);
});

describe("a drain", () => {
  const limits = { pollMs: 100, quietMs: 1000, owedMs: 5000, limitMs: 10_000 };
  const open = (name: string, queuedBytes = 0) => ({
    ...{ name, queuedBytes, localPort: 80, isListening: false, isEstablished: true, inode: "1" },
  });

  function look(...looks: [atMs: number, connections: Socket[]][]): boolean[] {
    let progress: DrainProgress | undefined;
    return looks.map(([atMs, connections]) => {
      progress = drainStep(progress, connections, atMs, limits);
      return progress.isDrained;
    });
  }

  test.each([
    { name: "without connections ends at once", looks: [[0, []]], drained: [true] },
    {
      name: "waits for kept connections to stay quiet",
      looks: [
        [0, [open("a")]],
        [999, [open("a")]],
        [1000, [open("a")]],
      ],
      drained: [false, false, true],
    },
    {
      name: "begins anew when something is queued",
      looks: [
        [0, [open("a")]],
        [900, [open("a", 7)]],
        [1100, [open("a")]],
        [2099, [open("a")]],
        [2100, [open("a")]],
      ],
      drained: [false, false, false, false, true],
    },
    {
      name: "begins anew when another connection comes",
      looks: [
        [0, [open("a")]],
        [900, [open("a"), open("b")]],
        [1100, [open("b"), open("a")]],
        [2100, [open("a"), open("b")]],
      ],
      drained: [false, false, false, true],
    },
    {
      name: "ends when the last one closes",
      looks: [
        [0, [open("a", 5)]],
        [100, []],
      ],
      drained: [false, true],
    },
  ] as const)("$name", ({ looks, drained }) => {
    expect(look(...(looks as unknown as Parameters<typeof look>))).toEqual(drained);
  });

  test.each<{ name: string; received: number; sent: number; bytes: number; answered?: boolean; drained: boolean }>([
    { name: "gave its answer long ago", received: 3000, sent: 2999, bytes: 90, answered: true, drained: true },
    { name: "gave its answer a moment ago", received: 800, sent: 750, bytes: 90, answered: true, drained: false },
    {
      name: "took a request that has no answer yet",
      received: 3000,
      sent: 9000,
      bytes: 90,
      answered: true,
      drained: false,
    },
    { name: "took its first request as soon as it was opened", received: 3000, sent: 3000, bytes: 90, drained: false },
    {
      name: "took something long ago that needed no answer",
      received: 5000,
      sent: 9000,
      bytes: 90,
      answered: true,
      drained: true,
    },
    { name: "was opened long ago and never used", received: 8000, sent: 9000, bytes: 0, drained: true },
    { name: "was opened a moment ago", received: 900, sent: 900, bytes: 0, drained: false },
  ])("where the kernel tells when data moved, a connection that $name: drained $drained", (each) => {
    const sentBytes = each.answered ? 70 : 0;
    const activity = { receivedMs: each.received, sentMs: each.sent, receivedBytes: each.bytes, sentBytes };
    expect(look([0, [{ ...open("a"), activity }]])).toEqual([each.drained]);
    // One of which nothing is known is looked at for as long as ever.
    expect(look([0, [{ ...open("a"), activity }, open("b")]])).toEqual([false]);
  });

  test("what the helper says is read by inode", () => {
    expect(parseActivities(",501:12:3:90:7,0:4:4:0:0")).toEqual(
      new Map([
        ["501", { receivedMs: 12, sentMs: 3, receivedBytes: 90, sentBytes: 7 }],
        ["0", { receivedMs: 4, sentMs: 4, receivedBytes: 0, sentBytes: 0 }],
      ]),
    );
    expect(parseActivities("")).toEqual(new Map());
  });
});
