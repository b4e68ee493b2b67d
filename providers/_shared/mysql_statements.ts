/** Splitting of MySQL scripts. */

const TOKEN = /--(?=\s|$)[^\n]*|#[^\n]*|\/\*[^]*?\*\/|'(?:[^'\\]|\\[^]|'')*'|"(?:[^"\\]|\\[^]|"")*"|`[^`]*`|;|\s+|[^]/g;

/** Splits a MySQL script at each `;` outside of quotes and comments, with the line where each statement begins. */
export function mysqlStatements(sql: string): { readonly text: string; readonly line: number }[] {
  const found: { text: string; line: number }[] = [];
  let [began, line, counted] = [-1, 1, 0];
  const end = (at: number) => {
    if (began < 0) return;
    for (; counted < began; counted++) if (sql[counted] === "\n") line++;
    found.push({ text: sql.slice(began, at), line });
    began = -1;
  };
  for (const { 0: token, index } of sql.matchAll(TOKEN)) {
    if (token === ";") end(index);
    else if (began < 0 && !/^(\s|#|\/\*(?!!)|--)/.test(token)) began = index; // `/*!` is a statement
  }
  end(sql.length);
  return found;
}
