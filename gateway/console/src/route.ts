/** Where the visitor is: the address of the page, and how to go elsewhere. */
import { useEffect, useState } from "preact/hooks";

export interface Place {
  /** Such as `/orders/order_01…`. */
  readonly path: string;
  readonly query: URLSearchParams;
}

let place = read();
const listeners = new Set<(place: Place) => void>();

function read(): Place {
  return { path: location.pathname, query: new URLSearchParams(location.search) };
}

function arrive() {
  place = read();
  for (const listener of [...listeners]) listener(place);
}

addEventListener("popstate", arrive);

// Links within the console stay within the page.
addEventListener("click", (event) => {
  const link = event.target instanceof Element ? event.target.closest("a[href]") : null;
  if (!(link instanceof HTMLAnchorElement) || link.target || link.origin !== location.origin) return;
  if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
  if (!isOurs(link.pathname) || link.hash) return;
  event.preventDefault();
  go(link.pathname + link.search);
});

/** What is served as the console; everything else is another page's. */
export const SECTIONS = ["kiosk", "orders", "depot", "stores", "operations", "events"] as const;

function isOurs(path: string): boolean {
  return path === "/" || SECTIONS.some((section) => path === `/${section}` || path.startsWith(`/${section}/`));
}

/** Goes somewhere, as a link does. */
export function go(address: string) {
  if (address === location.pathname + location.search) return;
  history.pushState(null, "", address);
  scrollTo(0, 0);
  arrive();
}

/** Changes the address without leaving a step to go back to. */
export function become(address: string) {
  if (address === location.pathname + location.search) return;
  history.replaceState(null, "", address);
  arrive();
}

export function usePlace(): Place {
  const [now, set] = useState(place);
  useEffect(() => {
    set(place);
    listeners.add(set);
    return () => void listeners.delete(set);
  }, []);
  return now;
}
