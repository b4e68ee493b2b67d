/** How far two words are from each other. A file of its own, so that the package is loaded with the first typo. */
export { distance } from "npm:fastest-levenshtein@1.0.16";
