/**
 * Questions to the person at the terminal. Each rejects with `CANCELLED` on Ctrl-C.
 *
 * @module
 */
import { confirm, password, select, text } from "npm:@clack/prompts@1.9.0";
import { ForkstackError } from "../../mod.ts";

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
  /** For a yes, on which the cursor stands by default; a no is `CANCELLED` as well. */
  agree(question: string, initial?: boolean): Promise<void>;
}

/** Where questions go. A terminal that does not say how wide it is (under `script`, say) would get one letter a line. */
function output(): typeof process.stderr {
  process.stderr.columns ||= 80;
  return process.stderr;
}

/** Asks on the terminal; what it shows goes to stderr. */
export const ask: Ask = {
  async text(message, { initial, example, check }) {
    const validate = (value = "") => value === "" ? `For example ${example}` : check(value);
    const shown = { message, initialValue: initial, placeholder: example, validate, output: output() };
    return answered(await text(shown));
  },
  async choose(message, options, initialValue) {
    return answered(await select({ message, options: [...options], initialValue, output: output() }));
  },
  async agree(message, initialValue = true) {
    const answer = await confirm({ message, initialValue, output: output() });
    answered(answer === true ? "yes" : Symbol());
  },
};

/** Asks for what is not shown as it is typed. */
export async function askSecret(message: string): Promise<string> {
  return answered(await password({ message, output: output() }));
}

function answered(answer: string | symbol): string {
  if (typeof answer === "string") return answer;
  throw new ForkstackError("CANCELLED", "Cancelled: nothing was changed");
}
