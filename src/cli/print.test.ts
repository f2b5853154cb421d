import { expect, test } from "bun:test";
import { fields, jsonText, table, visible } from "./print.ts";

test("table() lines columns up, and pads no last one", () => {
  const rows = [
    ["a", "long one", "x"],
    ["bbb", "é", ""],
  ];
  expect(table(["ID", "NAME", "REST"], rows)).toBe("ID   NAME      REST\na    long one  x\nbbb  é\n");
});

test("table() of nothing is nothing", () => {
  expect(table(["ID"], [])).toBe("");
});

test("fields() leaves out what isn't there, and goes on below", () => {
  const text = fields([
    ["id", "fix"],
    ["hostname", undefined],
    ["unions", ["/", "/home"]],
    ["none", []],
  ]);
  expect(text).toBe("id        fix\nunions    /\n          /home\n");
});

test("visible() shows a terminal no control characters", () => {
  expect(visible("a\u001b[31mb\nc\u009bd\u007f é")).toBe("a\\x1b[31mb\\x0ac\\x9bd\\x7f é");
  expect(table(["A"], [["x\u0007"]])).toBe("A\nx\\x07\n");
});

test("jsonText() ends with a newline and writes 64-bit numbers as text", () => {
  expect(jsonText({ a: 1, b: 2n ** 60n, c: undefined })).toBe('{\n  "a": 1,\n  "b": "1152921504606846976"\n}\n');
});
