/**
 * The token that requests and connections carry, kept under the same name as
 * the playground's.
 */
const KEY = "mallbots:token";
const ROLE = "role:";

const told = document.documentElement.dataset["tokens"];

/** Tokens that the server offers, by role, in development mode. */
export const offered: readonly [role: string, token: string][] = Object.entries(JSON.parse(told || "{}"));

let token: string | null = remembered();
/** Whether the server looks at tokens, as far as is known. */
let counts = told !== undefined || token !== null;
const listeners = new Set<() => void>();

// The token of a role is another each time: what is kept is which role it was.
function remembered(): string | null {
  const kept = localStorage.getItem(KEY);
  if (!kept?.startsWith(ROLE)) return kept;
  return offered.find(([role]) => ROLE + role === kept)?.[1] ?? null;
}

export function current(): string | null {
  return token;
}

export function tokensCount(): boolean {
  return counts;
}

/** The server would not answer without a token, or not with this one. */
export function wanted() {
  if (counts) return;
  counts = true;
  tell();
}

export function use(next: string | null) {
  token = next?.trim() || null;
  if (token === null) localStorage.removeItem(KEY);
  else {
    const role = offered.find(([, its]) => its === token)?.[0];
    localStorage.setItem(KEY, role === undefined ? token : ROLE + role);
  }
  tell();
}

export function onToken(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function tell() {
  for (const listener of [...listeners]) listener();
}
