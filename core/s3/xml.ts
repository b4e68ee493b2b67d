/**
 * S3's XML, both ways.
 *
 * @module
 */
import { XMLParser } from "npm:fast-xml-parser@5.12.1";
import { S3Error } from "./error.ts";

/** What an element may hold: text, elements, or several of the same name. */
export type Xml = string | number | boolean | undefined | { readonly [name: string]: Xml } | readonly Xml[];

const NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/";

/** A document with one root; elements that are `undefined` are left out, an array is one element for each of it. */
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

/** Control characters as references, which is what S3 does; most parsers take them, though XML 1.0 has no such thing. */
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

/** What is in a document's root element; text is never taken for a number. */
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

/** The elements of this name, be it none, one or many; each must hold others, or nothing. */
export function elements(of: Record<string, unknown>, name: string): Record<string, unknown>[] {
  const found = Object.hasOwn(of, name) ? of[name] : [];
  const all = Array.isArray(found) ? found : [found];
  return all.map((one) => {
    if (typeof one === "object" && one !== null) return one;
    if (typeof one === "string" && one.trim() === "") return {};
    throw malformed();
  });
}

/** The text of an element, if it is there; once, and nothing but text. */
export function elementText(of: Record<string, unknown>, name: string): string | undefined {
  const found = Object.hasOwn(of, name) ? of[name] : undefined;
  if (found === undefined || typeof found === "string") return found;
  throw malformed();
}

function malformed(): S3Error {
  return new S3Error("MalformedXML", "The XML you provided was not well-formed or did not validate against our schema");
}
