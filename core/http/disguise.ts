/**
 * Finds secrets in a text in any notation: plain, in other case, with percent signs, HTML entities or escapes of JSON
 * and similar, in hexadecimal or base64, in two of these combined, or broken by white space, colour sequences and
 * invisible characters. The text is decoded, rather than the secret encoded, because an encoder may write any character
 * of a secret in several ways. Only hexadecimal and base64 are searched for in their usual forms.
 *
 * The time grows linearly with the length of the text.
 *
 * @module
 */
import { Buffer } from "node:buffer";

/** A part of a text: start offset, and end offset (exclusive). */
export type Span = readonly [from: number, to: number];

/** Shortest secret that is found in base64 inside longer base64, and across white space. */
const MIN_BROKEN_LENGTH = 8;
const PREFIX = 4;
const DEPTH = 2;

/** A decoded text, with the offset in the original text for each of its units. */
interface View {
  readonly text: string;
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** Texts to search for: as they are, and with white space ignored. */
export interface Needles {
  readonly whole: Sought;
  readonly broken: Sought;
}

/** Texts by their first characters, longest first; `mayBegin` rules out most offsets of a text quickly. */
interface Sought {
  readonly byPrefix: ReadonlyMap<string, readonly string[]>;
  readonly mayBegin: Uint8Array;
}

/** Prepares a search for these secrets, each of at least four characters. */
export function needlesOf(secrets: readonly string[]): Needles {
  const all = [...new Set(secrets)].flatMap((secret) => [...new Set([secret, secret.toWellFormed()])]);
  const long = all.filter((secret) => secret.length >= MIN_BROKEN_LENGTH);
  return {
    whole: sought(all.flatMap((secret) => [secret, ...encodingsOf(secret)])),
    broken: sought(long.flatMap((secret) => [secret, ...encodingsOf(secret)]).map((one) => one.replace(IDLE, ""))),
  };
}

function sought(needles: readonly string[]): Sought {
  const byPrefix = new Map<string, string[]>();
  const mayBegin = new Uint8Array(2 ** 16);
  for (const needle of new Set(needles.map(folded))) {
    if (needle.length < PREFIX) continue;
    const prefix = needle.slice(0, PREFIX);
    byPrefix.set(prefix, [...byPrefix.get(prefix) ?? [], needle].sort((a, b) => b.length - a.length));
    mayBegin[hashAt(needle, 0)] = 1;
  }
  return { byPrefix, mayBegin };
}

/** Returns a hash of the four units at this offset. */
function hashAt(text: string, at: number): number {
  let hash = 0;
  for (let unit = at; unit < at + PREFIX; unit++) hash = (hash * 31 + text.charCodeAt(unit)) & 0xffff;
  return hash;
}

/** Returns the hexadecimal and base64 forms of a secret, plain or encoded once already. */
function encodingsOf(secret: string): string[] {
  return [secret, ...writtenOnce(secret)].flatMap(inBytes);
}

function inBytes(text: string): string[] {
  const bytes = Buffer.from(text);
  const base64 = bytes.toString("base64");
  const forms = [bytes.toString("hex"), base64, base64.replace(/=+$/, "")];
  return text.length < MIN_BROKEN_LENGTH ? forms : [...forms, ...embeddedBase64(bytes)];
}

/** Returns the secret as encoders usually write it. Needed for base64, which keeps case and alphabet. */
function writtenOnce(secret: string): Set<string> {
  const hex = Buffer.from(secret).toString("hex");
  const base64 = inBytes(secret).slice(1);
  const html = secret.replace(
    /[&<>"']/g,
    (one) => `&${{ "&": "amp", "<": "lt", ">": "gt", '"': "quot" }[one] ?? "#39"};`,
  );
  const percent = encodeURIComponent(secret.toWellFormed());
  return new Set([
    ...[hex, hex.toUpperCase(), ...base64],
    ...base64.map((one) => one.replaceAll("+", "-").replaceAll("/", "_")),
    ...[percent, percent.replaceAll("%20", "+"), JSON.stringify(secret).slice(1, -1), html],
  ]);
}

/**
 * Returns the constant part of the base64 of these bytes inside other bytes, for each of the three possible offsets.
 */
function embeddedBase64(bytes: Buffer): string[] {
  return [0, 1, 2].map((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
    const encoded = shifted.toString("base64").replace(/=+$/, "");
    return encoded.slice([0, 2, 3][offset], shifted.length % 3 === 0 ? undefined : -1);
  });
}

/** Returns the parts of a text that hold one of the secrets, in order, without overlaps. */
export function findSecrets(text: string, needles: Needles): Span[] {
  if (needles.whole.byPrefix.size === 0) return [];
  const units = Array.from({ length: text.length }, (_, at) => at);
  const raw: View = { text, from: units, to: units.map((at) => at + 1) };
  const spans = viewsOf(raw).flatMap((view) => {
    const broken = [[IDLE], [CONTINUED, IDLE], [IDLE, BETWEEN_BYTES]].map((patterns) => patterns.reduce(without, view));
    const distinct = broken.filter(({ text }, at) => broken.findIndex((one) => one.text === text) === at);
    return [...searched(view, needles.whole), ...distinct.flatMap((one) => searched(one, needles.broken))];
  });
  // A line may have been broken amid an escape.
  for (const view of viewsOf(without(raw, IDLE))) spans.push(...searched(without(view, IDLE), needles.broken));
  const merged: [number, number][] = [];
  for (const [from, to] of spans.sort((a, b) => a[0] - b[0])) {
    const last = merged.at(-1);
    if (last !== undefined && from < last[1]) last[1] = Math.max(last[1], to);
    else merged.push([from, to]);
  }
  return merged;
}

function searched({ text, from, to }: View, { byPrefix, mayBegin }: Sought): Span[] {
  const found: Span[] = [];
  const plain = folded(text);
  for (let at = 0; at + PREFIX <= plain.length; at++) {
    if (mayBegin[hashAt(plain, at)] === 0) continue;
    const needle = byPrefix.get(plain.slice(at, at + PREFIX))?.find((one) => plain.startsWith(one, at));
    if (needle !== undefined) found.push([from[at], to[at + needle.length - 1]]);
  }
  return found;
}

/** Returns the text in lower case, with base64's two alphabets as one; the length stays the same. */
function folded(text: string): string {
  const lower = text.toLowerCase();
  const same = lower.length === text.length
    ? lower
    : text.replace(/[^]/g, (one) => one.toLowerCase().length === 1 ? one.toLowerCase() : one);
  return same.replaceAll("-", "+").replaceAll("_", "/");
}

/**
 * White space and invisible characters: marks of direction and variation, and a terminal's sequences, which ECMA-48
 * begins by CSI (colours) or by OSC (links), or are an escape and one more.
 */
const IDLE =
  // deno-lint-ignore no-control-regex
  /(?:(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c\x9d]*(?:\x07|\x1b\\|\x9c)|\x1b[ -/]*[0-~]|[\s\x00-\x1f\x7f-\x9f\p{Cf}\p{DI}])+/gu;
/** Line continuations of a shell or a mail. */
const CONTINUED = /[=\\]\r?\n/g;
/** Separators between hexadecimal bytes. */
const BETWEEN_BYTES = /0x|\\x|[\s:;,-]+/gi;

function without(view: View, pattern: RegExp): View {
  return replaced(view, pattern, () => "");
}

type Decoder = readonly [pattern: RegExp, decode: (match: RegExpExecArray) => string];

const UTF8 =
  /%u[0-9a-f]{4}|%[0-7][0-9a-f]|%[cd][0-9a-f]%[89ab][0-9a-f]|%e[0-9a-f](?:%[89ab][0-9a-f]){2}|%f[0-7](?:%[89ab][0-9a-f]){3}/gi;
const NAMES: Readonly<Record<string, string>> = {
  ...{ amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\xa0", tab: "\t", newline: "\n", excl: "!", num: "#" },
  ...{ dollar: "$", percnt: "%", lpar: "(", rpar: ")", ast: "*", midast: "*", plus: "+", comma: ",", period: "." },
  ...{ sol: "/", colon: ":", semi: ";", equals: "=", quest: "?", commat: "@", lsqb: "[", lbrack: "[", bsol: "\\" },
  ...{ rsqb: "]", rbrack: "]", hat: "^", lowbar: "_", underbar: "_", grave: "`", lcub: "{", lbrace: "{", verbar: "|" },
  ...{ vert: "|", verticalline: "|", rcub: "}", rbrace: "}", hyphen: "-", dash: "-", shy: "\xad" },
};
/** Letters with an accent, as HTML names them: `eacute`, `Scaron`. */
const ACCENTED = /^([a-z])(grave|acute|circ|tilde|macr|breve|dot|uml|ring|dblac|caron|cedil|ogon)$/i;
const ACCENTS: Readonly<Record<string, string>> = {
  ...{
    grave: "\u0300",
    acute: "\u0301",
    circ: "\u0302",
    tilde: "\u0303",
    macr: "\u0304",
    breve: "\u0306",
    dot: "\u0307",
  },
  ...{ uml: "\u0308", ring: "\u030a", dblac: "\u030b", caron: "\u030c", cedil: "\u0327", ogon: "\u0328" },
};
/** Other entity names, of consecutive characters. In lower case, because case is ignored later. */
const ROWS: readonly (readonly [first: number, names: string])[] = [
  [
    0xa0,
    "nbsp iexcl cent pound curren yen brvbar sect uml copy ordf laquo not shy reg macr deg plusmn sup2 sup3 acute micro " +
    "para middot cedil sup1 ordm raquo frac14 frac12 frac34 iquest",
  ],
  [0xd7, "times"],
  [0xdf, "szlig"],
  [0xe6, "aelig"],
  [0xf0, "eth"],
  [0xf7, "divide oslash"],
  [0xfe, "thorn"],
  [0x111, "dstrok"],
  [0x127, "hstrok"],
  [0x131, "imath"],
  [0x142, "lstrok"],
  [0x153, "oelig"],
  [0x192, "fnof"],
  [0x2c6, "circ caron"],
  [0x2dc, "tilde"],
  [
    0x3b1,
    "alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigmaf sigma tau upsilon " +
    "phi chi psi omega",
  ],
  [
    0x430,
    "acy bcy vcy gcy dcy iecy zhcy zcy icy jcy kcy lcy mcy ncy ocy pcy rcy scy tcy ucy fcy khcy tscy chcy shcy shchcy " +
    "hardcy ycy softcy ecy yucy yacy",
  ],
  [0x451, "iocy djcy gjcy jukcy dscy iukcy yicy jsercy ljcy njcy tshcy kjcy"],
  [0x45e, "ubrcy dzcy"],
  [0x2002, "ensp emsp"],
  [0x2009, "thinsp"],
  [0x200c, "zwnj zwj lrm rlm"],
  [0x2013, "ndash mdash"],
  [0x2018, "lsquo rsquo sbquo"],
  [0x201c, "ldquo rdquo bdquo"],
  [0x2020, "dagger Dagger bull"],
  [0x2026, "hellip"],
  [0x2030, "permil"],
  [0x2032, "prime Prime"],
  [0x2039, "lsaquo rsaquo"],
  [0x203e, "oline"],
  [0x2044, "frasl"],
  [0x20ac, "euro"],
  [0x2116, "numero"],
  [0x2122, "trade"],
  [0x2190, "larr uarr rarr darr harr"],
  [0x21d0, "lArr uArr rArr dArr hArr"],
  [0x2260, "ne equiv"],
  [0x2264, "le ge"],
  [0x25ca, "loz"],
  [0x2660, "spades"],
  [0x2663, "clubs"],
  [0x2665, "hearts diams"],
];
const IN_ROWS = new Map(
  ROWS.flatMap(([first, names]) => names.split(" ").map((name, at) => [name, String.fromCharCode(first + at)])),
);

/** Returns the character of an HTML entity's name, or `undefined`. */
function named(name: string): string | undefined {
  const lower = name.toLowerCase();
  const [, letter, accent] = ACCENTED.exec(name) ?? [];
  return NAMES[lower] ?? IN_ROWS.get(name) ?? IN_ROWS.get(lower) ??
    (accent === undefined ? undefined : `${letter}${ACCENTS[accent.toLowerCase()]}`.normalize());
}

const ESCAPES: Readonly<Record<string, string>> = {
  ...{ n: "\n", r: "\r", t: "\t", b: "\b", f: "\f", v: "\v", a: "\x07", e: "\x1b", E: "\x1b", "0": "\0" },
};
const ESCAPE = new RegExp(
  [
    /u\{([0-9a-fA-F]{1,6})\}/,
    /U(00(?:0[0-9a-fA-F]|10)[0-9a-fA-F]{4})/,
    /[uU]([0-9a-fA-F]{4})/,
    /[xX]([0-9a-fA-F]{2})/,
    /([0-3][0-7]{2})/,
    /(\r?\n)/,
    /([^])/,
  ].map(({ source }) => source).join("|").replace(/^(.*)$/s, String.raw`\\(?:$1)`),
  "g",
);
/** Characters beyond ASCII as their UTF-8 bytes, which Git and C write in octal and Python in hexadecimal. */
const BYTES = new RegExp(
  [
    /\\(?:30[2-7]|3[1-3][0-7])\\2[0-7]{2}|\\3[45][0-7](?:\\2[0-7]{2}){2}|\\36[0-4](?:\\2[0-7]{2}){3}/,
    /\\x[cdCD][0-9a-fA-F]\\x[89abAB][0-9a-fA-F]/,
    /\\x[eE][0-9a-fA-F](?:\\x[89abAB][0-9a-fA-F]){2}/,
    /\\x[fF][0-4](?:\\x[89abAB][0-9a-fA-F]){3}/,
    ESCAPE,
  ].map(({ source }) => source).join("|"),
  "g",
);

const DECODERS: readonly Decoder[] = [
  [UTF8, ([one]) => percent(one)],
  [new RegExp(`${UTF8.source}|\\+`, "gi"), ([one]) => one === "+" ? " " : percent(one)],
  [
    /&(?:#x0{0,20}([0-9a-f]{1,6})|#0{0,20}([0-9]{1,7})|(sup[123]|frac(?:12|14|34)|[a-z]{2,12}));?/gi,
    ([all, hex, decimal, name]) =>
      name === undefined ? character(parseInt(hex ?? decimal, hex ? 16 : 10)) : named(name) ?? all,
  ],
  [ESCAPE, escaped],
  [BYTES, (match) => match.slice(1).every((part) => part === undefined) ? ofBytes(match[0]) : escaped(match)],
];

function escaped([, braced, eight, four, two, octal, line, one]: RegExpExecArray): string {
  if (line !== undefined) return "";
  if (one !== undefined) return ESCAPES[one] ?? one;
  return character(octal === undefined ? parseInt(braced ?? eight ?? four ?? two, 16) : parseInt(octal, 8));
}

function ofBytes(text: string): string {
  const isHex = /^\\x/.test(text);
  return percent(
    text.split(/\\x?/).slice(1).map((byte) => `%${parseInt(byte, isHex ? 16 : 8).toString(16)}`).join(""),
  );
}

function percent(one: string): string {
  if (/^%u/i.test(one)) return String.fromCharCode(parseInt(one.slice(2), 16));
  try {
    return decodeURIComponent(one);
  } catch {
    return one; // bytes of no character
  }
}

function character(code: number): string {
  return code <= 0x10_ffff ? String.fromCodePoint(code) : "\ufffd";
}

/** Returns a text, its decoding by each decoder, and by each pair of decoders. */
function viewsOf(raw: View): View[] {
  const known = new Set([raw.text]);
  const all = [raw];
  let last = [raw];
  for (let depth = 1; depth <= DEPTH; depth++) {
    last = last.flatMap((view) => DECODERS.map(([pattern, decode]) => replaced(view, pattern, decode)))
      .filter(({ text }) => !known.has(text) && known.add(text));
    all.push(...last);
  }
  return all;
}

function replaced(view: View, pattern: RegExp, replacement: (match: RegExpExecArray) => string): View {
  const pieces: string[] = [];
  const from: number[] = [];
  const to: number[] = [];
  let done = 0;
  const keep = (end: number) => {
    pieces.push(view.text.slice(done, end));
    for (; done < end; done++) {
      from.push(view.from[done]);
      to.push(view.to[done]);
    }
  };
  for (const match of view.text.matchAll(pattern)) {
    keep(match.index);
    const text = replacement(match);
    const end = match.index + match[0].length;
    if (text === match[0]) {
      keep(end);
      continue;
    }
    pieces.push(text);
    for (let unit = 0; unit < text.length; unit++) {
      from.push(view.from[match.index]);
      to.push(view.to[end - 1]);
    }
    done = end;
  }
  if (done === 0) return view;
  keep(view.text.length);
  return { text: pieces.join(""), from, to };
}
