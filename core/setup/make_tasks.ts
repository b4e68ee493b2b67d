/**
 * Targets for GNU Make, in a file of their own that a project's Makefile includes.
 *
 * @module
 */

/** The file with the targets. */
export const MAKE_FILE = "envs.mk";
/** The line of the Makefile. */
export const INCLUDE = `include ${MAKE_FILE}`;

/** A project's Makefile. */
export interface Makefile {
  readonly name: "GNUmakefile" | "makefile" | "Makefile";
  /** Absent if it can't be read, or is too large for one that a person wrote: it stays as it is. */
  readonly content: Uint8Array | undefined;
}

/** A target, with the command line of its recipe. */
export interface MakeTarget {
  readonly name: string;
  readonly line: string;
  readonly summary: string;
}

/**
 * Names that follow a target are goals to Make: `make envs-new alice` has the goals `envs-new` and `alice`. They get
 * recipes that do nothing, and are handed on, each in quotes. https://www.gnu.org/software/make/manual/html_node/Goals.html
 */
const WORDS = String.raw`ifneq ($(filter envs-%,$(firstword $(MAKECMDGOALS))),)
ENVS_WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
ENVS_GOALS := $(sort $(filter-out --,$(subst :,\:,$(ENVS_WORDS))))
$(if $(ENVS_GOALS),$(eval .PHONY: $(ENVS_GOALS))$(eval $(ENVS_GOALS): ; @:))
$(if $(filter --,$(ENVS_WORDS)),$(eval .PHONY: --)$(eval --: ; @:))
endif
ENVS_ARGS = $(if $(filter command,$(origin ARGS)),$(ARGS)) $(foreach word,$(ENVS_WORDS),'$(subst ','\'',$(word))')
`;

/** Lists the targets of a Makefile that `## text` describes. */
const HELP = String.raw`help: ## list the targets
	@awk -F ':.*## ' '/^[a-zA-Z0-9_.-]+:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
`;

/** Returns the text of `MAKE_FILE`. */
export function makeText(targets: readonly MakeTarget[], { hasHelp }: { readonly hasHelp: boolean }): string {
  const help = hasHelp ? [] : ["help"];
  const names = [...help, ...targets.map(({ name }) => name)];
  const rules = targets.map(({ name, line, summary }) =>
    `${name}: ## ${summary}\n\t@${line.replaceAll("$", "$$$$")} $(ENVS_ARGS)\n`
  );
  return [
    "# Environments by forkstack:  make envs-new alice  and with options  make -- envs-delete alice --yes\n" +
    '# For a name that is a target here:  make envs-new ARGS="build"  For GNU Make.\n' +
    "# Written by init of forkstack: for a newer one, remove this file and run init again.\n",
    `.PHONY: ${names.join(" ")}\n`,
    ...help.map(() => HELP),
    ...rules,
    WORDS,
  ].join("\n");
}

/** Returns the names of the targets that a Makefile's own text defines. */
export function targetsIn(text: string): ReadonlySet<string> {
  const lines = Array.from(text.matchAll(/^([\w.-][\w. -]*?)[ ]*:(?!:*=)/gm), ([, names]) => names!.split(/ +/));
  return new Set(lines.flat());
}
