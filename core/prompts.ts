/** Questions on a terminal. A file of its own, so that the package is loaded with the first of them. */
export { confirm, password } from "npm:@clack/prompts@1.9.0";
