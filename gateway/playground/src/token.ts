/**
 * The token that requests and connections carry.
 *
 * The page has a box for it where the server says that it looks at tokens:
 * `<html data-tokens='{"admin": "…"}'>`, with the tokens of the roles that it
 * offers, in development mode. Elsewhere the attribute is empty.
 */
import { Store } from "./store";

const KEY = "mallbots:token";
const ROLE = "role:";

const told = document.documentElement.dataset["tokens"];

/** Whether the server looks at tokens. */
export const tokensCount = told !== undefined;

/** Tokens that the server offers, by role. */
export const offered: readonly [role: string, token: string][] = Object.entries(JSON.parse(told || "{}"));

export const token = new Store<string | null>(tokensCount ? remembered() : null);

// The token of a role is another each time: what is kept is which role it was.
function remembered(): string | null {
  const kept = localStorage.getItem(KEY);
  if (!kept?.startsWith(ROLE)) return kept;
  return offered.find(([role]) => ROLE + role === kept)?.[1] ?? null;
}

token.subscribe(() => {
  const now = token.get();
  const role = offered.find(([, its]) => its === now)?.[0];
  if (now === null) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, role === undefined ? now : ROLE + role);
});
