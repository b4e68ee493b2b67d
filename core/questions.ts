/**
 * Questions to the person at the terminal. Each rejects with `CANCELLED` on Ctrl-C.
 *
 * @module
 */
import { confirm, select, text } from "npm:@clack/prompts@1.9.0";
import { ForkstackError } from "../mod.ts";

/** What can be asked. */
export interface Ask {
  /** For a text, until `check` finds nothing wrong with it. */
  text(
    question: string,
    options: { initial?: string; example: string; check: (answer: string) => string | undefined },
  ): Promise<string>;
  /** For one of several. */
  choose(
    question: string,
    options: readonly { value: string; label: string; hint: string }[],
    initial: string,
  ): Promise<string>;
  /** For a yes; a no is `CANCELLED` as well. */
  agree(question: string): Promise<void>;
}

/** Asks on the terminal; what it shows goes to stderr. */
export const ask: Ask = {
  async text(message, { initial, example, check }) {
    const validate = (value = "") => value === "" ? `For example ${example}` : check(value);
    const shown = { message, initialValue: initial, placeholder: example, validate, output: process.stderr };
    return answered(await text(shown));
  },
  async choose(message, options, initialValue) {
    return answered(await select({ message, options: [...options], initialValue, output: process.stderr }));
  },
  async agree(message) {
    const answer = await confirm({ message, initialValue: true, output: process.stderr });
    answered(answer === true ? "yes" : Symbol());
  },
};

function answered(answer: string | symbol): string {
  if (typeof answer === "string") return answer;
  throw new ForkstackError("CANCELLED", "Cancelled: nothing was changed");
}
