import { describe, expect, test } from "vitest";
import { checkedUrl, refusalOf } from "../../../../src/collect/http/address.ts";

describe("addresses", () => {
  test.each([
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "0.0.0.0",
    "0.1.2.3",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fd00:ec2::254",
    "fd20:ce::254",
    "ff02::1",
    "::ffff:169.254.169.254",
    "::ffff:a9fe:a9fe",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::1",
    "not-an-address",
  ])("%s is refused whatever is allowed", (address) => {
    expect(refusalOf(address, { allowLoopback: true, allowPrivate: true })).toBeDefined();
  });

  test.each([
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "fd12:3456::1",
    "::ffff:10.0.0.1",
  ])("%s is private: fine unless refused", (address) => {
    expect(refusalOf(address, {})).toBeUndefined();
    expect(refusalOf(address, { allowPrivate: false })).toBe("a private address");
  });

  test.each(["127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1", "::127.0.0.1"])(
    "%s is loopback: to be allowed by name",
    (address) => {
      expect(refusalOf(address, {})).toBe("a loopback address");
      expect(refusalOf(address, { allowLoopback: true })).toBeUndefined();
    },
  );

  test.each(["8.8.8.8", "172.32.0.1", "2606:4700::1111", "100.128.0.1"])("%s is public", (address) => {
    expect(refusalOf(address, { allowPrivate: false })).toBeUndefined();
  });

  test("the installation can refuse more, in any spelling", () => {
    const policy = { refused: ["10.96.0.1", "2606:4700:0:0::1111"] };
    expect(refusalOf("::ffff:10.96.0.1", policy)).toBe("refused by this installation");
    expect(refusalOf("2606:4700::1111", policy)).toBe("refused by this installation");
    expect(refusalOf("10.96.0.2", policy)).toBeUndefined();
  });
});

describe("URLs", () => {
  test.each([
    ["not a url with p4ssword", /cannot be read/],
    ["file:///etc/passwd", /only http: and https:/],
    ["http://user:p4ssword@prom:9090", /Secret/],
    ["http://prom:9090/?x=p4ssword", /\? or #/],
    ["http://169.254.169.254/", /metadata/],
    ["http://2852039166/", /metadata/], // the same address as one number
    ["http://0xa9.0xfe.0xa9.0xfe/", /metadata/],
    ["http://[::ffff:169.254.169.254]/", /metadata/],
    ["http://127.1:9090", /loopback/],
  ])("%s is refused", (url, says) => {
    const refused = () => checkedUrl(url, "main", {});
    expect(refused).toThrow(says);
    expect(refused).not.toThrow(/p4ssword/);
  });

  test("a store in the cluster is fine", () => {
    expect(checkedUrl("http://prometheus.monitoring.svc:9090/prom/", "main", {}).pathname).toBe("/prom");
  });
});
