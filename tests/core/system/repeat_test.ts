import assert from "node:assert/strict";
import { isRepeatable, repeatable } from "../../../core/system/repeat.ts";

const request = (method: string) => new Request("https://api.example/things", { method });

Deno.test("a request that says nothing of it is repeated by its method alone", () => {
  for (const method of ["GET", "HEAD", "OPTIONS", "DELETE"]) {
    assert(isRepeatable(repeatable(request(method), undefined)), method);
  }
  for (const method of ["POST", "PUT", "PATCH"]) {
    assert(!isRepeatable(repeatable(request(method), undefined)), `a second ${method} may make a second thing`);
  }
});

Deno.test("a request's own word goes before its method", () => {
  assert(isRepeatable(repeatable(request("POST"), true)));
  assert(!isRepeatable(repeatable(request("DELETE"), false)));
});
