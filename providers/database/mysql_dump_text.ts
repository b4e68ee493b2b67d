/**
 * The encoding of a dump of `mysqldump` or `mariadb-dump`: the one that the dump itself names, else UTF-8. Text in
 * another one would be changed without an error, because dumps turn the strict mode off. Bytes of binary columns may
 * stand in it as they are: MariaDB writes them like text, so that only the column's type tells them apart; MySQL
 * marks them by `_binary`.
 *
 * - https://dev.mysql.com/doc/refman/8.4/en/charset-introducer.html, https://mariadb.com/kb/en/mariadb-dump/
 */
import { BEYOND_ASCII, bytesOfLines, utf8Text } from "../_shared/text_lines.ts";

/** The encoding that the lines after a statement are in; `@…` restores the one of the session. */
const ENCODING = /^(?:\/\*M?!\d+ )?SET (NAMES|character_set_client)\s*=?\s*['"]?(@?\w+)/i;
const TABLE = /^CREATE TABLE (?:IF NOT EXISTS )?`((?:[^`]|``)+)` \(\r?\n?$/;
const COLUMN = /^\s+`((?:[^`]|``)+)` (\w+)/;
const INSERT = /^(?:INSERT|REPLACE)\s+(?:IGNORE\s+)?INTO `((?:[^`]|``)+)`(?: \(([^)]*)\))? VALUES\b/;
const BINARY =
  /^(?:(?:tiny|medium|long)?blob|(?:var)?binary|bit|geometry|(?:multi)?(?:point|linestring|polygon)|geom(?:etry)?collection|vector)$/i;

/** Returns a function that takes a dump's lines in turn, one character a byte, and throws on one that is not text. */
export function dumpTextCheck(): (line: string) => void {
  let [session, encoding, number] = ["utf8", "utf8", 0];
  /** Each table's columns in order, with whether they are binary. */
  const tables = new Map<string, Map<string, boolean>>();
  let open: Map<string, boolean> | undefined;
  let filled: readonly boolean[] | undefined; // the columns of the rows that follow
  return (line) => {
    number++;
    const [, what, named] = ENCODING.exec(line) ?? [];
    if (named !== undefined) encoding = named.startsWith("@") ? session : named;
    if (named !== undefined && what!.toUpperCase() === "NAMES") session = encoding;
    const table = TABLE.exec(line)?.[1];
    if (table !== undefined) tables.set(table, open = new Map());
    else if (line.startsWith(")")) open = undefined;
    const [, column, type] = (open && COLUMN.exec(line)) ?? [];
    if (column !== undefined) open!.set(column, BINARY.test(type!));
    const [, into, list] = INSERT.exec(line) ?? [];
    if (into !== undefined) filled = columnsOf(tables.get(into), list);
    if (BEYOND_ASCII.test(line) && /^utf8/i.test(encoding) && !isUtf8(line)) {
      utf8Text(bytesOfLines([textIn(line, filled)]), number);
    }
    if (/;\s*$/.test(line.slice(-3))) filled = undefined;
  };
}

function isUtf8(line: string): boolean {
  try {
    utf8Text(bytesOfLines([line]));
    return true;
  } catch {
    return false;
  }
}

function columnsOf(table: Map<string, boolean> | undefined, list: string | undefined): boolean[] {
  if (list === undefined) return [...table?.values() ?? []];
  return list.split(/, ?/).map((name) => table?.get(name.replace(/^`|`$/g, "")) === true);
}

/** Returns a line without the literals that are not in the dump's encoding: of binary columns, or with an introducer. */
function textIn(line: string, isBinary: readonly boolean[] = []): string {
  const edge = /[(),'"`]/g;
  let [text, from, depth, column] = ["", 0, 0, 0];
  for (let match = edge.exec(line); match !== null; match = edge.exec(line)) {
    const [sign] = match;
    if (sign === "(" && depth++ === 0) column = 0;
    else if (sign === ")") depth = Math.max(0, depth - 1);
    else if (sign === "," && depth === 1) column++;
    if (!/['"`]/.test(sign)) continue;
    const end = endOf(line, match.index);
    const introduced = /(?:^|[\s,(])_(?!utf8)\w+\s*$/i.test(line.slice(Math.max(0, match.index - 24), match.index));
    if (introduced || (sign !== "`" && depth > 0 && isBinary[column] === true)) {
      text += line.slice(from, match.index);
      from = end;
    }
    edge.lastIndex = end;
  }
  return text + line.slice(from);
}

/** Returns the offset after a quoted text: a doubled quote is part of it, and what a backslash precedes. */
function endOf(line: string, begin: number): number {
  const quote = line[begin]!;
  const stop = quote === "`" ? /`/g : new RegExp(`[${quote}\\\\]`, "g");
  stop.lastIndex = begin + 1;
  for (let match = stop.exec(line); match !== null; match = stop.exec(line)) {
    if (match[0] === quote && line[match.index + 1] !== quote) return match.index + 1;
    stop.lastIndex = match.index + 2;
  }
  return line.length;
}
