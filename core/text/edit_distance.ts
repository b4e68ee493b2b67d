/** The edit distance of two words. In a separate file, so that its package is loaded only when needed. */
export { distance } from "npm:fastest-levenshtein@1.0.16";
