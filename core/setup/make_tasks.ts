/**
 * Targets for GNU Make, in a file of their own that a project's Makefile includes.
 *
 * @module
 */

/** The file with the targets. */
export const MAKE_FILE = "envs.mk";
/**
 * The line of the Makefile: it leads to the file beside it, wherever Make is started, and a Makefile without that file goes
 * on working. The last of MAKEFILE_LIST would be a file that the Makefile included before.
 */
export const INCLUDE = `-include $(dir $(firstword $(MAKEFILE_LIST)))${MAKE_FILE}`;

/** A target, with the command line of its recipe. */
export interface MakeTarget {
  readonly name: string;
  readonly line: string;
  readonly summary: string;
}

/**
 * Words that follow a target are goals to Make: `make envs-new alice` has the goals `envs-new` and `alice`. They get
 * recipes that do nothing, and are handed on, each in quotes; one that can't stand in a rule is refused before anything
 * runs. https://www.gnu.org/software/make/manual/html_node/Goals.html
 *
 * Words with `=` are variables to Make. MAKEOVERRIDES holds them, by the variable below since a Makefile may empty it: the
 * last one first, with a backslash before blanks and backslashes, and with `$` doubled. Options among them are handed on. Their place among the words is lost: where that
 * matters they are refused too. What a Make above this one was given comes down to it, and is none of ours.
 *
 * Rules are of one line each, since the Makefile may have set .RECIPEPREFIX. Nothing in them is newer than GNU Make 3.81, which macOS has.
 */
const WORDS = String.raw`ENVS_WORDS :=
ENVS_OPTIONS :=
ENVS_QUOTED = '$(subst ','\'',$(1))'
ENVS_ARGS = $(if $(filter command,$(origin ARGS)),$(ARGS)) $(ENVS_OPTIONS) $(foreach word,$(ENVS_WORDS),$(call ENVS_QUOTED,$(word)))
ENVS_START = $(if $(filter-out ./,$(ENVS_DIR)),CDPATH= cd $(call ENVS_QUOTED,$(ENVS_DIR)) && )MAKEFLAGS= MAKELEVEL=0

ifneq ($(filter envs-%,$(firstword $(MAKECMDGOALS))),)
ENVS_NO :=
ENVS_BLANK := $(ENVS_NO) $(ENVS_NO)
ENVS_TAB := $(ENVS_NO)	$(ENVS_NO)
ENVS_HASH := \#
define ENVS_LINE


endef
ENVS_WORDS := $(wordlist 2,$(words $(MAKECMDGOALS)),$(MAKECMDGOALS))
ENVS_GIVEN := $(subst \$(ENVS_TAB),\t,$(subst \ ,\s,$(subst \\,\b,$(-*-command-variables-*-))))
ENVS_DASHES := --
ENVS_RULE = $(1): ; @:
ENVS_SIGNS := ; % * ? [ ] \ | & " $$ $(ENVS_HASH)
ENVS_EXAMPLE := make $(firstword $(MAKECMDGOALS)) ARGS='$(if $(filter envs-run,$(firstword $(MAKECMDGOALS))),alice -- npm run dev --port=3000,alice --from dev)'
ENVS_REFUSE = $(error Make $(1): write all words in ARGS, as for a shell (and each $$ twice), like  $(ENVS_EXAMPLE))

$(foreach sign,$(ENVS_SIGNS),$(foreach word,$(ENVS_WORDS),$(if $(findstring $(sign),$(word)),$(call ENVS_REFUSE,cannot hand on $(word)))))
$(foreach word,$(filter .PHONY envs-%,$(ENVS_WORDS)),$(call ENVS_REFUSE,has a target $(word)))
$(if $(findstring $(ENVS_LINE),$(MAKECMDGOALS)$(if $(filter 0,$(MAKELEVEL)),$(-*-command-variables-*-))),$(call ENVS_REFUSE,cannot hand on a word of several lines))
ENVS_TAKEN := $(filter-out ARGS=%,$(if $(filter 0,$(MAKELEVEL)),$(ENVS_GIVEN),$(filter -%,$(ENVS_GIVEN))))
ifneq ($(filter envs-run,$(firstword $(MAKECMDGOALS))),)
$(if $(ENVS_TAKEN),$(call ENVS_REFUSE,takes $(firstword $(ENVS_TAKEN)) for itself))
endif
$(if $(filter -%,$(filter-out --,$(ENVS_WORDS))),$(if $(filter-out -%,$(ENVS_TAKEN)),$(call ENVS_REFUSE,takes $(firstword $(filter-out -%,$(ENVS_TAKEN))) for itself)))
ENVS_OPTIONS := $(foreach word,$(filter -%,$(ENVS_TAKEN)),$(subst \b,\,$(subst \t,$(ENVS_TAB),$(subst \s,$(ENVS_BLANK),$(call ENVS_QUOTED,$(subst $$$$,$$,$(word)))))))

ENVS_GOALS := $(sort $(filter-out --,$(subst :,\:,$(ENVS_WORDS))))
$(foreach goals,$(if $(ENVS_GOALS),ENVS_GOALS) $(if $(filter --,$(ENVS_WORDS)),ENVS_DASHES),$(eval .PHONY: $($(goals)))$(eval $(call ENVS_RULE,$($(goals)))))
endif
`;

/** Lists the targets of a Makefile that `## text` describes. */
const HELP = String.raw`help: ## list the targets
help: ; @awk -F ':.*[#]# ' '/^[a-zA-Z0-9_.-]+:.*[#]# / { printf "  %-18s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
`;

/** Returns the text of `MAKE_FILE`. */
export function makeText(targets: readonly MakeTarget[], { hasHelp }: { readonly hasHelp: boolean }): string {
  const help = hasHelp ? [] : ["help"];
  const names = [...help, ...targets.map(({ name }) => name)];
  const rules = targets.map(({ name, line, summary }) =>
    `${name}: ## ${summary}\n${name}: ; @$(ENVS_PROGRAM)$(ENVS_START) ${line.replaceAll("$", "$$$$")} $(ENVS_ARGS)\n`
  );
  return [
    "# Environments by forkstack:  make envs-new alice  and with options  make -- envs-delete alice --yes\n" +
    '# For a name that is a target here, and for words that Make cannot hold:  make envs-new ARGS="build"  For GNU Make.\n' +
    "# Written by init of forkstack: for a newer one, remove this file and run init again.\n",
    `ENVS_DIR := $(dir $(lastword $(MAKEFILE_LIST)))\n${programCheck(targets)}`,
    `.PHONY: ${names.join(" ")}\n`,
    ...help.map(() => HELP),
    ...rules,
    WORDS,
  ].join("\n");
}

/** The message to a teammate who lacks the program of PATH that the recipes call. */
function programCheck(targets: readonly MakeTarget[]): string {
  const [program = ""] = /^[\w-]+(?= )/.exec(targets[0]?.line ?? "") ?? [];
  if (program === "") return "ENVS_PROGRAM :=\n";
  const what = program === "forkstack" ? "it makes" : "it runs forkstack, which makes";
  const told = `${program} is not in PATH: ${what} this project's environments. Install it and run make again`;
  return `ENVS_PROGRAM = command -v ${program} >/dev/null || { echo "error: ${told}" >&2; exit 127; }; \n`;
}

/** Returns the names of the targets that a Makefile's own text defines. */
export function targetsIn(text: string): ReadonlySet<string> {
  const lines = Array.from(text.matchAll(/^ *([\w.-][\w. -]*?)[ ]*:(?!:*=)/gm), ([, names]) => names!.split(/ +/));
  return new Set(lines.flat());
}
