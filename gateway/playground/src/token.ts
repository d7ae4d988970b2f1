/**
 * The token that requests and connections carry.
 *
 * The page has a box for it where the server says that it looks at tokens:
 * `<html data-tokens='{"admin": "…"}'>`, with the tokens of the roles that it
 * offers, in development mode. Otherwise there is none.
 */
import { Store } from "./store";

const KEY = "mallbots:token";

const told = document.documentElement.dataset["tokens"];

/** Whether the server looks at tokens. */
export const tokensCount = told !== undefined;

/** Tokens that the server offers, by role. */
export const offered: readonly [role: string, token: string][] = Object.entries(JSON.parse(told || "{}"));

export const token = new Store<string | null>(tokensCount ? localStorage.getItem(KEY) : null);

token.subscribe(() => {
  const now = token.get();
  if (now === null) localStorage.removeItem(KEY);
  else localStorage.setItem(KEY, now);
});
