/**
 * Questions to the user at the terminal. Each rejects with `CANCELLED` on Ctrl-C.
 *
 * @module
 */
import { confirm, password, select, text } from "npm:@clack/prompts@1.9.0";
import { ForkstackError } from "../../mod.ts";

/** The kinds of questions. */
export interface Ask {
  /** Asks for a text, again until `check` finds no problem. */
  text(
    question: string,
    options: { initial?: string; example: string; check: (answer: string) => string | undefined },
  ): Promise<string>;
  /** Asks to choose one of several. */
  choose(
    question: string,
    options: readonly { value: string; label: string; hint: string }[],
    initial: string,
  ): Promise<string>;
  /** Asks for a yes, which is preselected by default; rejects with `CANCELLED` on a no. */
  agree(question: string, initial?: boolean): Promise<void>;
}

/**
 * Returns the stream for questions. A terminal without a known width (under `script`, say) would get one letter per
 * line.
 */
function output(): typeof process.stderr {
  process.stderr.columns ||= 80;
  return process.stderr;
}

/** Asks on the terminal, by stderr. */
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

/** Asks for a secret, which is not shown while it is typed. */
export async function askSecret(message: string): Promise<string> {
  return answered(await password({ message, output: output() }));
}

function answered(answer: string | symbol): string {
  if (typeof answer === "string") return answer;
  throw new ForkstackError("CANCELLED", "Cancelled: nothing was changed");
}
