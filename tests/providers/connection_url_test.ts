/** URLs by which clients connect. */
import assert from "node:assert/strict";
import { type Address, givenUrl, urlOf } from "../../providers/_shared/connection_url.ts";

const URLS: Readonly<Record<string, Address>> = {
  "redis://localhost": { scheme: "redis", host: "localhost" },
  "rediss://default:p%40ss%2Fw%3Ard@db.example:6380/3": {
    scheme: "rediss",
    user: "default",
    password: "p@ss/w:rd",
    host: "db.example",
    port: 6380,
    database: 3,
  },
  "redis://:secret@localhost:6379/0": {
    scheme: "redis",
    password: "secret",
    host: "localhost",
    port: 6379,
    database: 0,
  },
  "postgres://alice@[::1]:5432/shop%20%C3%BC": {
    scheme: "postgres",
    user: "alice",
    host: "::1",
    port: "5432",
    database: "shop ü",
  },
  "postgresql://a:b@db.example/shop?sslmode=verify-full": {
    scheme: "postgresql",
    user: "a",
    password: "b",
    host: "db.example",
    port: "",
    database: "shop",
    query: { sslmode: "verify-full" },
  },
};

for (const [url, address] of Object.entries(URLS)) {
  Deno.test(`urlOf() of ${url}`, () => {
    assert.equal(urlOf(address), url);
    const { username, password } = new URL(url);
    assert.deepEqual(
      [username, password].map(decodeURIComponent),
      [address.user ?? "", address.password ?? ""],
      "read back",
    );
  });
}

for (const password of ["p@ss/w:rd?#%&ü €", "100%", "%zz", "a+b c", "'\"\\`", "日本"]) {
  Deno.test(`givenUrl() reads what urlOf() wrote: ${password}`, () => {
    const text = urlOf({ scheme: "mysql", user: password, password, host: "db.example", database: password });
    const given = givenUrl(text, /^mysql:$/)!;
    assert.deepEqual([given.user, given.password, given.path, given.url.hostname], [
      ...[password, password, password],
      "db.example",
    ]);
    assert.equal(givenUrl(text, /^redis:$/), undefined, "another protocol");
  });
}

for (const password of ["p@ss/word", "12/34", "what?ever", "12?34", "ha#sh", "100%", "%zz", "%ff", "a@b/c@d"]) {
  Deno.test(`givenUrl() takes no URL whose password is not encoded: ${password}`, () => {
    assert.equal(givenUrl(`mysql://forks:${password}@db.example:3306/shop?ssl-mode=REQUIRED`, /^mysql:$/), undefined);
  });
}

for (const text of ["postgres:///shop?host=/run/postgresql", "mysql://root@localhost?socket=/run/mysqld.sock"]) {
  Deno.test(`givenUrl() takes ${text}`, () => assert.equal(givenUrl(text, /^\w+:$/)!.url.href, new URL(text).href));
}
