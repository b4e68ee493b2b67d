import assert from "node:assert/strict";
import { Buffer } from "node:buffer";
import { redactor } from "../../../core/http/redact.ts";
import { sized } from "../../sizes.ts";

const MARK = "[redacted]";
const hex = (text: string) => Buffer.from(text).toString("hex");
const perByte = (text: string, write: (byte: string) => string) => hex(text).replace(/../g, write);
const perUnit = (text: string, write: (unit: number) => string) =>
  Array.from({ length: text.length }, (_, at) => write(text.charCodeAt(at))).join("");
const perPoint = (text: string, write: (point: number) => string) =>
  Array.from(text, (one) => write(one.codePointAt(0)!)).join("");
const four = (unit: number) => unit.toString(16).padStart(4, "0");
const NAMED: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
const ASCII: Record<string, string> = { "/": "&sol;", "+": "&plus;", "=": "&equals;", ":": "&colon;", "@": "&commat;" };

const BEYOND: Record<string, string> = { "é": "&eacute;", "ß": "&szlig;", "Ж": "&ZHcy;" };
const base64 = (text: string) => Buffer.from(text).toString("base64");
const perNonAscii = (text: string, write: (byte: string) => string) =>
  text.replace(/[\u0080-\u{10ffff}]+/gu, (one) => perByte(one, write));

/** The ways in which a text may write a secret. */
const WRITTEN: Record<string, (secret: string) => string> = {
  "as it is": (secret) => secret,
  "in upper case": (secret) => secret.replace(/[a-z]/g, (one) => one.toUpperCase()),
  "in lower case": (secret) => secret.replace(/[A-Z]/g, (one) => one.toLowerCase()),
  "hexadecimal": hex,
  "upper hexadecimal": (secret) => hex(secret).toUpperCase(),
  "bytes with colons": (secret) => hex(secret).match(/../g)!.join(":"),
  "bytes as a Buffer is shown": (secret) => hex(secret).match(/../g)!.join(" "),
  "bytes as a C array": (secret) => hex(secret).match(/../g)!.map((byte) => `0x${byte}`).join(", "),
  "by \\x": (secret) => perByte(secret, (byte) => `\\x${byte}`),
  "full percent": (secret) => perByte(secret, (byte) => `%${byte}`),
  "full upper percent": (secret) => perByte(secret, (byte) => `%${byte.toUpperCase()}`),
  "encodeURIComponent": encodeURIComponent,
  "encodeURI": encodeURI,
  "of a form": (secret) => new URLSearchParams([["", secret]]).toString().slice(1),
  "percent twice": (secret) => encodeURIComponent(perByte(secret, (byte) => `%${byte}`)),
  "percent u": (secret) => perUnit(secret, (unit) => `%u${four(unit)}`),
  "named entities": (secret) => secret.replace(/[&<>"']/g, (one) => NAMED[one]!),
  "more named entities": (secret) => secret.replace(/[&<>"'/+=:@]/g, (one) => NAMED[one] ?? ASCII[one]!),
  "decimal entities": (secret) => perPoint(secret, (point) => `&#${point};`),
  "hexadecimal entities": (secret) => perPoint(secret, (point) => `&#x${point.toString(16)};`),
  "padded upper entities": (secret) => perPoint(secret, (point) => `&#X000${point.toString(16).toUpperCase()};`),
  "entities of entities": (secret) => perPoint(secret, (point) => `&amp;#${point};`),
  "JSON": (secret) => JSON.stringify(secret).slice(1, -1),
  "JSON in JSON": (secret) => JSON.stringify(JSON.stringify(secret)).slice(1, -1),
  "JSON escaped throughout": (secret) => perUnit(secret, (unit) => `\\u${four(unit)}`),
  "JavaScript's braces": (secret) => perPoint(secret, (point) => `\\u{${point.toString(16).toUpperCase()}}`),
  "JSON in a query": (secret) => encodeURIComponent(JSON.stringify(secret)),
  "by octal bytes": (secret) => perByte(secret, (byte) => `\\${parseInt(byte, 16).toString(8).padStart(3, "0")}`),
  "as Git quotes a path": (secret) =>
    perNonAscii(JSON.stringify(secret).slice(1, -1), (byte) => `\\${parseInt(byte, 16).toString(8)}`),
  "as Python shows bytes": (secret) => perNonAscii(secret.replaceAll("\\", "\\\\"), (byte) => `\\x${byte}`),
  "as Python escapes": (secret) => perPoint(secret, (point) => `\\U${point.toString(16).padStart(8, "0")}`),
  "all named entities": (secret) => secret.replace(/[&<>"'éßЖ]/g, (one) => NAMED[one] ?? BEYOND[one]!),
  "base64 twice": (secret) => base64(base64(secret)),
  "base64 of base64url": (secret) => base64(Buffer.from(secret).toString("base64url")),
  "base64 of hexadecimal": (secret) => base64(hex(secret)),
  "base64 of upper hexadecimal": (secret) => base64(hex(secret).toUpperCase()),
  "hexadecimal of base64": (secret) => hex(base64(secret)),
  "base64 of JSON": (secret) => base64(JSON.stringify(secret).slice(1, -1)),
  "base64 of percent": (secret) => base64(encodeURIComponent(secret)),
  "base64 of a form": (secret) => base64(encodeURIComponent(secret).replaceAll("%20", "+")),
  "coloured": (secret) => Array.from(secret).join("\x1b[1;31m"),
  "coloured by one byte": (secret) => Array.from(secret).join("\x9b0m"),
  "with a terminal's link": (secret) => Array.from(secret).join("\x1b]8;;http://h\x1b\\"),
  "with a terminal's title": (secret) => Array.from(secret).join("\x1b]0;t\x07\x1b(B"),
  "coloured, in JSON": (secret) => JSON.stringify(Array.from(secret).join("\x1b[38;5;9m")).slice(1, -1),
  "coloured, in a shell's text": (secret) => Array.from(secret, (one) => one === "\\" ? "\\\\" : one).join("\\e[0m"),
  "with marks of direction": (secret) => Array.from(secret).join("\u202e\u2066\u061c"),
  "with marks of variation": (secret) => Array.from(secret).join("\ufe0f\u{e0101}\u034f"),
  "hexadecimal bytes, coloured": (secret) => hex(secret).match(/../g)!.join("\x1b[0m:\x1b[33m"),
  "base64": (secret) => Buffer.from(secret).toString("base64"),
  "base64url": (secret) => Buffer.from(secret).toString("base64url"),
  "base64 in a query": (secret) => encodeURIComponent(Buffer.from(secret).toString("base64")),
  "with a line break": (secret) => `${secret.slice(0, 5)}\n${secret.slice(5)}`,
  "with CRLF and indentation": (secret) => Array.from(secret).join("\r\n    "),
  "with an escaped line break": (secret) =>
    `${JSON.stringify(secret.slice(0, 6)).slice(1, -1)}\\n${JSON.stringify(secret.slice(6)).slice(1, -1)}`,
  "with what shows nothing": (secret) => Array.from(secret).join("\u200b"),
  "hexadecimal in lines": (secret) => hex(secret).replace(/.{7}/g, "$&\n"),
  "base64 in lines": (secret) => Buffer.from(secret).toString("base64").replace(/.{5}/g, "$&\r\n"),
  "entities broken amid one": (secret) => perPoint(secret, (point) => `&#${point};`).replace(/.{7}/g, "$&\n"),
  "percent broken amid one": (secret) => perByte(secret, (byte) => `%${byte}`).replace(/.{8}/g, "$&\r\n"),
  "full percent with spaces": (secret) => perByte(secret, (byte) => `%${byte} `).trim(),
};

/** A generator of numbers below a limit, by a seed. */
function dice(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor(state / 2 ** 32 * limit);
  };
}

const ALPHABETS = [
  "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789",
  "abcdef0123456789",
  "abcXYZ019-_",
  "abcXYZ019+/=",
  "aB3 &<>\"'\\/%+=:@#?;,.!$^*()[]{}|~`",
  "aZ9éüß漢字😀Ж",
];

Deno.test("redactor() finds random secrets however they are written, and leaves what is around them", () => {
  const next = dice(12);
  for (let round = 0; round < sized({ quick: 30, gate: 150, full: 150 }); round++) {
    const letters = Array.from(ALPHABETS[round % ALPHABETS.length]!);
    const length = 8 + next(48);
    const secret = `q${Array.from({ length }, () => letters[next(letters.length)]).join("")}z`;
    const redact = redactor(() => ["another-secret-value", secret]);
    for (const [how, write] of Object.entries(WRITTEN)) {
      const text = `key (${write(secret)}) was refused`;
      const shown = redact(text);
      assert(shown.startsWith("key (") && shown.endsWith(") was refused"), `${how}: ${text} -> ${shown}`);
      const inside = shown.slice("key (".length, -") was refused".length);
      assert(
        /^(0x|\\x)?\[redacted\][=\s]*$|^(\\?["']|%22|&quot;)*\[redacted\](\\?["']|%22|&quot;)*$/.test(inside),
        `${how}: ${secret} in ${text} -> ${shown}`,
      );
    }
  }
});

Deno.test("redactor() finds a secret at each offset of longer base64, in both alphabets, and in lines", () => {
  const next = dice(64);
  for (let round = 0; round < sized({ quick: 40, gate: 200, full: 200 }); round++) {
    const secret = Buffer.from(Array.from({ length: 8 + next(40) }, () => 33 + next(94))).toString();
    const redact = redactor(() => [secret]);
    for (const offset of [0, 1, 2, 3, 7]) {
      const bytes = Buffer.from("user:xyz".slice(0, offset) + secret + "tail".slice(next(4)));
      for (const encoding of ["base64", "base64url"] as const) {
        const encoded = bytes.toString(encoding);
        for (
          const text of [encoded, encoded.replace(/.{9}/g, "$&\n"), encodeURIComponent(encoded), encoded.toLowerCase()]
        ) {
          const shown = redact(text);
          const left = Buffer.from(shown.replaceAll(MARK, "").replace(/\s/g, ""), encoding).toString();
          assert(shown.includes(MARK) && !left.includes(secret.slice(2, -2)), `${secret} in ${text} -> ${shown}`);
          assert(shown.replace(MARK, "").replace(/\s/g, "").length < 24, `${text} -> ${shown}`);
        }
      }
    }
  }
});

Deno.test("redactor() takes a short secret out where it stands whole, and nothing shorter than four characters", () => {
  const redact = redactor(() => ["p@ss", "abc", ""]);
  assert.equal(
    redact("p@ss, P@SS, p%40ss, p&#64;ss, cEBzcw==, 70407373"),
    `${`${MARK}, `.repeat(5)}${MARK}`,
  );
  assert.equal(redact("abc p @ ss, up@\nss, 61 62 63"), "abc p @ ss, up@\nss, 61 62 63");
  assert.equal(redactor(() => [])("text"), "text");
});

Deno.test("redactor() leaves texts without secrets as they are, whatever escapes they hold", () => {
  const redact = redactor(() => ["correct-horse-battery", "AKIAIOSFODNN7EXAMPLE"]);
  for (
    const text of [
      'Cannot read "C:\\new\\table": 100% of &amp; 5 < 6 & %zz %e2%28 \\u12 \\x &#99999999; &nothing; + - _',
      "correct horse",
      "AKIAIOSFODNN7",
      "a\n\n b\t",
      "\ud800 \\ud800 %ed%a0%80",
      "=\n= \\\n",
      "",
    ]
  ) assert.equal(redact(text), text);
  assert.equal(redact("a correct\n-horse-\n battery b"), `a ${MARK} b`);
  assert.equal(redact("AKIAIOSFODNN7EXAMPLEcorrect-horse-battery"), MARK + MARK);
  assert.equal(
    redact("postgres://u:p@h/d and http://u:p@h/p?q=1#f and aa://x"),
    `postgres://${MARK} and http://h/p and aa://${MARK}`,
  );
});

Deno.test("redactor() takes time that grows with the text, not with its square", () => {
  const secret = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
  const redact = redactor(() => [secret, "a.b.c.d.e.f.g.h"]);
  const hostile = ["a", "a.", "%25", "&amp;", "\\\\", "&#x0", "+ ", "=\n", "%u0061", "://", "0x"];
  hostile.push("\x1b[", "\x9b0", "\x9d", "\x1b]", "\x1b ", "\\303", "\\xe2", "&eacute", "\ufe0f");
  for (const piece of hostile) {
    const timeOf = (length: number) => {
      const text = piece.repeat(length / piece.length);
      const began = performance.now();
      redact(text);
      return performance.now() - began;
    };
    timeOf(2_000);
    let [short, long] = [timeOf(20_000), timeOf(160_000)];
    for (let again = 0; again < 2 && long >= 40 * Math.max(short, 5); again++) { // the machine may have been busy
      [short, long] = [Math.min(short, timeOf(20_000)), Math.min(long, timeOf(160_000))];
    }
    assert(long < 40 * Math.max(short, 5), `${piece}: ${short} ms, then ${long} ms`); // 8 times; its square is 64 times
  }
});
