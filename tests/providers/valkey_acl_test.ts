/** What the user of a fork can do to other environments: nothing by any of these commands. */
import assert from "node:assert/strict";
import * as v from "npm:valibot@1.5.0";
import type { Redis } from "npm:ioredis@6.0.0";
import type { Secret } from "../../core/secret.ts";
import provider from "../../providers/cache/valkey.ts";
import { Server, WHY_NO_SERVER } from "../emulators/redis_server.ts";
import { testIf } from "../helpers.ts";
import { contextOf, targetOf } from "./_redis.ts";

const schema = provider.options as v.GenericSchema<unknown, Parameters<typeof provider.probe>[2]["options"]>;
const PROD = "shop.cache:secret-of-prod";
const BOB = "shop-bob.cache:secret-of-bob";
const OWN = "shop-alice.cache:own";

/** One command a line; {prod} and {bob} are others' keys, {own} is alice's. Quoted words hold spaces. */
const REACHING = `
KEYS *
KEYS shop*
SCAN 0
SCAN 0 MATCH * COUNT 1000
SCAN 0 TYPE string
RANDOMKEY
DBSIZE
FLUSHALL
FLUSHALL ASYNC
FLUSHDB
SELECT 1
SELECT 2
SWAPDB 0 1
MOVE {own} 1
MOVE {prod} 1
COPY {prod} {own}
COPY {own} {bob}
COPY {own} shop-alice.cache:x DB 1
MIGRATE 127.0.0.1 1 {prod} 0 100
MIGRATE 127.0.0.1 1 "" 0 100 KEYS {own} {prod}
GET {prod}
SET {prod} x
SETNX shop-bob.cache:new x
GETSET {bob} x
GETDEL {bob}
GETEX {prod} PERSIST
APPEND {prod} x
STRLEN {prod}
GETRANGE {prod} 0 -1
SETRANGE {prod} 0 x
MGET {own} {prod}
MSET {own} x {bob} y
INCR shop.cache:count
DEL {prod}
DEL {own} {bob}
UNLINK {bob}
EXISTS {prod}
TYPE {prod}
TTL {prod}
PEXPIRETIME {prod}
EXPIRE {prod} 1
PERSIST {prod}
TOUCH {prod}
RENAME {prod} {own}
RENAME {own} {bob}
RENAMENX {own} shop-bob.cache:new
DUMP {prod}
RESTORE {bob} 0 x REPLACE
OBJECT ENCODING {prod}
MEMORY USAGE {prod}
SORT shop.cache:list
SORT {own} BY shop.cache:* GET shop.cache:*
SORT_RO {own} GET {prod}
BITOP OR {own} {prod}
BITCOUNT {prod}
HGETALL shop.cache:hash
HSET shop-bob.cache:hash a 1
HSCAN shop.cache:hash 0
LRANGE shop.cache:list 0 -1
LPUSH shop-bob.cache:list x
LMOVE shop.cache:list {own} LEFT LEFT
RPOPLPUSH shop.cache:list {own}
BLPOP shop.cache:list 0.01
SMEMBERS shop.cache:set
SUNIONSTORE {own} shop.cache:set
SMOVE shop.cache:set {own} a
ZRANGE shop.cache:zset 0 -1
ZRANGESTORE {own} shop.cache:zset 0 -1
ZUNIONSTORE {own} 1 shop.cache:zset
GEOSEARCHSTORE {own} shop.cache:geo FROMLONLAT 0 0 BYRADIUS 1 km
PFMERGE {own} shop.cache:hll
PFCOUNT shop.cache:hll
XREAD STREAMS shop.cache:stream 0
XADD shop-bob.cache:stream * a 1
XREADGROUP GROUP g c STREAMS shop.cache:stream >
WATCH {prod}
EVAL "return redis.call('GET', '{prod}')" 0
EVAL "return redis.call('GET', KEYS[1])" 1 {prod}
EVAL "return redis.pcall('KEYS', '*')" 0
EVAL "return redis.pcall('SCAN', 0)" 0
EVAL "return redis.pcall('RANDOMKEY')" 0
EVAL "redis.call('SELECT', 1) return redis.call('SET', '{own}', 1)" 0
EVAL "return redis.call('FLUSHALL')" 0
EVAL "return redis.call('SET', 'shop-bob.cache:'..'new', 1)" 0
EVAL_RO "return redis.call('GET', '{prod}')" 0
FCALL read_any 0 {prod}
FUNCTION LIST
FUNCTION LIST WITHCODE
FUNCTION DUMP
FUNCTION FLUSH
FUNCTION DELETE tools
FUNCTION LOAD "#!lua name=mine"
SCRIPT FLUSH
SCRIPT KILL
PUBLISH news x
PUBLISH shop.cache:news x
SUBSCRIBE news
SUBSCRIBE __keyspace@0__:{prod}
PSUBSCRIBE *
PSUBSCRIBE __keyevent@*__:*
SSUBSCRIBE shop.cache:news
SPUBLISH shop.cache:news x
PUBSUB CHANNELS *
PUBSUB NUMSUB news
CLIENT LIST
CLIENT KILL TYPE normal
CLIENT KILL USER shop-bob.cache
CLIENT PAUSE 1
CLIENT NO-EVICT on
CLIENT UNBLOCK 1
CLIENT TRACKING ON BCAST
CLIENT TRACKING ON BCAST PREFIX shop.cache:
CONFIG GET *
CONFIG SET maxmemory 1
CONFIG REWRITE
CONFIG RESETSTAT
ACL LIST
ACL USERS
ACL WHOAMI
ACL GETUSER default
ACL SETUSER shop-alice.cache allkeys
ACL SETUSER default nopass
ACL DELUSER shop-bob.cache
ACL LOG
ACL SAVE
ACL LOAD
ACL DRYRUN default GET {prod}
AUTH shop-bob.cache guess
AUTH default guess
HELLO 3 AUTH default guess
MONITOR
SLOWLOG GET
LATENCY RESET
DEBUG OBJECT {prod}
DEBUG SLEEP 0
SAVE
BGSAVE
BGREWRITEAOF
LASTSAVE
SHUTDOWN NOSAVE
REPLICAOF 127.0.0.1 1
SYNC
PSYNC ? -1
FAILOVER ABORT
MODULE LIST
CLUSTER RESET
ROLE
INFO
INFO keyspace
COMMAND COUNT
RESET
`.trim().split("\n");

/** How the server refuses; a script is told in other words. */
const REFUSED = /\b(NOPERM|WRONGPASS)\b|can't (run this command|access at least one of the keys)|permission/;

/** Of those, what is not refused: it must be known why. */
const HARMLESS = /^(ACL WHOAMI|INFO|COMMAND COUNT|RESET|CLUSTER RESET)/;

async function seed(server: Server): Promise<void> {
  const { admin } = server;
  await admin.set(PROD, "canary-of-prod");
  await admin.hset("shop.cache:hash", "a", "canary-of-prod");
  await admin.rpush("shop.cache:list", "canary-of-prod");
  await admin.sadd("shop.cache:set", "a", "canary-of-prod");
  await admin.zadd("shop.cache:zset", 1, "canary-of-prod");
  await admin.geoadd("shop.cache:geo", 0, 0, "canary-of-prod");
  await admin.pfadd("shop.cache:hll", "x");
  await admin.xadd("shop.cache:stream", "1-1", "a", "canary-of-prod");
  await admin.xgroup("CREATE", "shop.cache:stream", "g", "0");
  const tools =
    "#!lua name=tools\nredis.register_function('read_any', function(_, args) return redis.call('GET', args[1]) end)";
  await admin.call("FUNCTION", "LOAD", tools);
}

/** What the application of an environment connects with. */
async function urlOf(server: Server, isolation: "database" | "prefix", env: string): Promise<string> {
  const target = targetOf("cache", v.parse(schema, { isolation }), env);
  const context = contextOf(server.url());
  const fork = await provider.create(context, target);
  return ((await provider.outputs(context, fork, target)).CACHE_URL as Secret).reveal();
}

function wordsOf(line: string): string[] {
  const keyed = line.replaceAll("{prod}", PROD).replaceAll("{bob}", BOB).replaceAll("{own}", OWN);
  return [...keyed.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, plain]) => quoted ?? plain!);
}

function clientOf(server: Server, url: string): Redis {
  const { username, password, pathname } = new URL(url);
  const options = { username, password: decodeURIComponent(password), db: Number(pathname.slice(1)) };
  return server.client({ ...options, protocol: 2, retryStrategy: () => null, maxRetriesPerRequest: 0 });
}

async function closed(client: Redis): Promise<void> {
  if (client.status === "end") return;
  const ended = new Promise((resolve) => client.once("end", resolve));
  client.disconnect();
  await ended;
}

testIf(
  WHY_NO_SERVER,
  "valkey: with a prefix, over 100 commands that would reach other environments are refused",
  async () => {
    await using server = await Server.start();
    await seed(server);
    const url = await urlOf(server, "prefix", "alice");
    await urlOf(server, "prefix", "bob");
    await server.admin.set(BOB, "canary-of-bob");
    await server.admin.set(OWN, "mine");
    const earlier = await server.things();
    let refused = 0;
    for (const line of REACHING) {
      const client = clientOf(server, url);
      const [name, ...args] = wordsOf(line);
      let reply: unknown;
      try {
        reply = await client.call(name!, ...args);
      } catch (error) {
        const { message } = error as Error;
        assert.match(message, REFUSED, line);
        reply = message;
        refused++;
      }
      const isRefused = REFUSED.test(String(reply));
      assert(isRefused || HARMLESS.test(line), `"${line}" answers ${JSON.stringify(reply)}`);
      assert.doesNotMatch(JSON.stringify(reply), /canary|shop-bob|secret-of-(prod|bob)"|maxmemory-policy/, line);
      await closed(client);
    }
    assert(refused >= 100, `${refused} of ${REACHING.length} are refused`);
    assert.deepEqual(await server.things(), earlier, "none of them changed anything");
    const client = clientOf(server, url);
    await client.set("shop-alice.cache:more", "x", "EX", 60);
    assert.equal(await client.get("shop-alice.cache:more"), "x", "its own keys it has");
    assert.equal(await client.eval("return redis.call('GET', KEYS[1])", 1, OWN), "mine");
    await client.publish("shop-alice.cache:news", "x");
    await client.call("RESET");
    await assert.rejects(client.get(PROD), /NOAUTH/, "the default user asks for a password");
    await closed(client);
  },
);

testIf(
  WHY_NO_SERVER,
  "valkey: by logical database, what leads out of it is refused; what can't be is known",
  async () => {
    await using server = await Server.start();
    await seed(server);
    const url = await urlOf(server, "database", "alice");
    const earlier = await server.things();
    const client = clientOf(server, url);
    const leaving = REACHING.filter((line) =>
      /^(SELECT 2|FLUSHALL|SWAPDB|MOVE|COPY .* DB|MIGRATE|EVAL.*FLUSHALL|P?SUBSCRIBE|PUBLISH|PUBSUB|CLIENT|CONFIG|ACL [SDL]|FUNCTION|SCRIPT|DEBUG|MONITOR|SLOWLOG|SHUTDOWN|REPLICAOF|SAVE|AUTH)/
        .test(line)
    );
    assert(leaving.length > 40);
    for (const line of [...leaving, "SELECT 0", "EVAL \"return redis.call('SELECT', 0)\" 0"]) {
      const [name, ...args] = wordsOf(line);
      await assert.rejects(client.call(name!, ...args), REFUSED, line);
    }
    assert.deepEqual(await server.things(), earlier);
    await client.flushdb(); // its own
    assert.deepEqual(await client.keys("*"), []);
    assert.equal(await server.admin.get(PROD), "canary-of-prod");
    await closed(client);
    // A connection that selects nothing is in database 0, and no rule changes that: docs/caches.md says so.
    const astray = clientOf(server, url.replace(/\/\d+$/, "/0"));
    await assert.rejects(astray.select(0), /NOPERM/);
    assert.equal(await astray.get(PROD), "canary-of-prod");
    await closed(astray);
  },
);
