/** Formats variables and headers, keeping comments, without a whole JavaScript parser. */
import { applyEdits, format } from "jsonc-parser";

export async function formatJSONC(content: string): Promise<string> {
  return applyEdits(content, format(content, undefined, { insertSpaces: true, tabSize: 2 }));
}
