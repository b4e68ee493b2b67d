/**
 * A registry server and vendors that lie: a value of a row, or of what a vendor shows, is a stranger's. What they tell is
 * never the truth that the invariants are held against.
 */
import { resourceTitle } from "../../mod.ts";
import type { SqlRow } from "../../core/state/sql.ts";
import type { Dice } from "./random.ts";
import { PROJECT, PROTECTED } from "./scenario.ts";
import type { Answer, Item, Shown } from "./vendor.ts";
import type { ResourceRow } from "../../core/state/records.ts";

/** Who lies, in a scenario. */
export type Liar = "registry" | "vendor";

/** How often an answer is a lie. */
const RATE = 0.08;

const TEXTS: readonly unknown[] = [
  ...["../../victim", "/etc/passwd", "\x1b[2J", "a\nb", "a\0b", "\u202egnp", "", " ", "a".repeat(100_000), "__proto__"],
  ...["'; DROP TABLE environments; --", "$(id)", "x#../../victim", "constructor", "1e999", "forkstack:v1:%:a:b:c"],
  ...[0, -1, 1e300, true, null, {}, []],
];

/** Names of what is not ours, or is another environment's. */
function namesOf(kind: string): readonly string[] {
  const of = (project: string, env: string) => resourceTitle(kind as "database", project, env);
  const ours = of(PROJECT, "alice");
  return [
    of(PROJECT, "prod"),
    `${ours}-2`,
    of(PROJECT, PROTECTED),
    of(`${PROJECT}-alice`, "bob"),
    of(PROJECT, "carol"),
  ];
}

/** What is not ours, of the vendor of one kind. */
export type Others = (kind: string) => readonly Pick<Item, "id" | "name">[];

/** A row as a lying server tells it; the key is of the draw. */
export function liedRow(dice: Dice, key: string, row: SqlRow, others: Others): SqlRow {
  if (!dice.chance(`${key} lies`, RATE)) return row;
  const columns = Object.keys(row);
  if (columns.includes("title") && dice.chance(`${key} title`, 0.5)) {
    const { id, name } = dice.pick(`${key} other`, others(String(row.kind)));
    return { ...row, title: name, ...(dice.chance(`${key} id`, 0.7) ? { id } : { id: null, state: "creating" }) };
  }
  return { ...row, [dice.pick(`${key} column`, columns)]: dice.pick(`${key} text`, TEXTS) as string };
}

/** A row that has been checked already, and then names what is not ours: for a planted bug. */
export function liedTitle(dice: Dice, key: string, row: ResourceRow, others: Others): ResourceRow {
  const { id, name } = dice.pick(`${key} other`, others(row.kind));
  return { ...row, title: name, id };
}

/** What a lying vendor shows. */
export function liedAnswer(dice: Dice, key: string, answer: Answer): Answer {
  if (!dice.chance(`${key} lies`, RATE)) return answer;
  const { item, items } = answer;
  const lied = (shown: Shown, at = 0): Shown => {
    const field = dice.pick(`${key} field ${at}`, ["id", "name", "name", "note", "state"] as const);
    const name = dice.pick(`${key} name ${at}`, [...namesOf("database"), ...namesOf("storage")]);
    const text = dice.pick(`${key} text ${at}`, TEXTS);
    return { ...shown, [field]: field === "name" && dice.chance(`${key} other ${at}`, 0.5) ? name : text };
  };
  if (items !== undefined) return { ...answer, items: items.map((one, at) => lied(one, at)) };
  return item === undefined ? answer : { ...answer, item: lied(item) };
}
