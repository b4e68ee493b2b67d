/**
 * Formats and parses S3's XML.
 *
 * @module
 */
import { XMLParser } from "npm:fast-xml-parser@5.12.1";
import { S3Error } from "./error.ts";

/** The content of an element: text, elements, or several of the same name. */
export type Xml = string | number | boolean | undefined | { readonly [name: string]: Xml } | readonly Xml[];

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";

/**
 * Formats a document with one root; elements that are `undefined` are left out, an array becomes one element per item.
 */
export function xmlDocument(root: string, content: Xml): string {
  const space = root === "Error" ? "" : ` xmlns="${NAMESPACE}"`; // S3's errors are in none
  return `<?xml version="1.0" encoding="UTF-8"?>\n<${root}${space}>${inner(content)}</${root}>`;
}

function inner(content: Xml): string {
  if (content === undefined) return "";
  if (typeof content !== "object") return escape(String(content));
  return Object.entries(content).flatMap(([name, value]) => {
    const all = Array.isArray(value) ? value : [value];
    return all.map((one: Xml) => one === undefined ? "" : `<${name}>${inner(one)}</${name}>`);
  }).join("");
}

const ENTITIES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };

/** Escapes control characters as references, as S3 does; most parsers accept them, although XML 1.0 has none. */
function escape(text: string): string {
  // deno-lint-ignore no-control-regex
  return text.replace(/[&<>"\x00-\x08\x0b-\x1f\x7f\x85]/g, (c) => ENTITIES[c] ?? `&#x${c.charCodeAt(0).toString(16)};`);
}

const parser = new XMLParser({
  parseTagValue: false,
  ignoreAttributes: true,
  removeNSPrefix: true,
  trimValues: false,
  htmlEntities: true,
});

/** Returns the content of a document's root element; text is never converted to a number. */
export function parseXml(text: string, root: string): Record<string, unknown> {
  try {
    // S3 has no document types, and without one there are no entities that grow.
    if (/<!(DOCTYPE|ENTITY)/i.test(text)) throw new TypeError("a document type");
    const document = parser.parse(text, true) as Record<string, unknown>;
    const content = document[root];
    if (typeof content === "object" && content !== null) return content as Record<string, unknown>;
  } catch {
    // said below
  }
  throw malformed();
}

/** Lists the elements of this name; each must hold elements, or nothing. */
export function elements(of: Record<string, unknown>, name: string): Record<string, unknown>[] {
  const found = Object.hasOwn(of, name) ? of[name] : [];
  const all = Array.isArray(found) ? found : [found];
  return all.map((one) => {
    if (typeof one === "object" && one !== null) return one;
    if (typeof one === "string" && one.trim() === "") return {};
    throw malformed();
  });
}

/** Returns the text of an element; `undefined` if it is missing. Throws if it is repeated or holds elements. */
export function elementText(of: Record<string, unknown>, name: string): string | undefined {
  const found = Object.hasOwn(of, name) ? of[name] : undefined;
  if (found === undefined || typeof found === "string") return found;
  throw malformed();
}

function malformed(): S3Error {
  return new S3Error("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema");
}
