/** The console: the frame around all pages, and which page it is. */
import type { ComponentChildren } from "preact";
import { render } from "preact";
import { useEffect, useReducer, useRef, useState } from "preact/hooks";
import { count, duration, rate } from "./format";
import { useConnection } from "./mall";
import { Depot } from "./pages/depot";
import { Events } from "./pages/events";
import { Home } from "./pages/home";
import { Kiosk } from "./pages/kiosk";
import { Operations } from "./pages/operations";
import { Orders } from "./pages/orders";
import { Stores } from "./pages/stores";
import { Tracker } from "./pages/tracker";
import { rateNow, usePulse } from "./pulse";
import { usePlace } from "./route";
import { current, offered, onToken, tokensCount, use } from "./token";
import { Dialog, Field } from "./ui";

const SECTIONS: readonly (readonly [path: string, name: string, icon: string])[] = [
  ["/", "The mall", "M3 10l9-6l9 6v10h-6v-6h-6v6H3z"],
  ["/kiosk", "Kiosk", "M4 8h16l-1.5 12h-13zM8 8a4 4 0 0 1 8 0"],
  ["/orders", "Orders", "M6 3h12v18l-3-2l-3 2l-3-2l-3 2zM9 8h6M9 12h6"],
  ["/depot", "Depot", "M5 9h14v10H5zM12 9V5M9 13.5v1M15 13.5v1M3 13v3M21 13v3"],
  ["/stores", "Stores", "M4 10l1-6h14l1 6M5 10v10h14V10M4 10a2.6 2.6 0 0 0 5.3 0a2.6 2.6 0 0 0 5.4 0A2.6 2.6 0 0 0 20 10"],
  ["/operations", "Operations", "M3 13h4l3-8l4 14l3-6h4"],
  ["/events", "Events", "M6 4v16M6 7h12M6 12h9M6 17h12"],
];

function page(path: string): { name: string; content: ComponentChildren } {
  const [, section = "", id] = path.split("/");
  switch (section) {
    case "":
      return { name: "The mall", content: <Home /> };
    case "kiosk":
      return { name: "Kiosk", content: <Kiosk /> };
    case "orders":
      return id ? { name: "Order", content: <Tracker key={id} id={id} /> } : { name: "Orders", content: <Orders /> };
    case "depot":
      return { name: "Depot", content: <Depot /> };
    case "stores":
      return { name: "Stores", content: <Stores /> };
    case "operations":
      return { name: "Operations", content: <Operations /> };
    case "events":
      return { name: "Events", content: <Events key={id ?? ""} id={id ?? null} /> };
    default:
      return { name: "Nothing here", content: <h1>There is nothing here</h1> };
  }
}

function Console() {
  const { path } = usePlace();
  const { name, content } = page(path);
  const main = useRef<HTMLElement>(null);
  const first = useRef(true);
  useEffect(() => {
    document.title = name === "The mall" ? "MallBots" : `${name} · MallBots`;
    document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
    // Who reads with their ears hears which page it is.
    if (!first.current) main.current?.focus({ preventScroll: true });
    first.current = false;
  }, [path]);
  return (
    <>
      <a class="skip" href="#main">
        Skip to the page
      </a>
      <header class="side">
        <a class="brand" href="/">
          <img src="/console/icon.svg" alt="" width="28" height="28" /> MallBots
        </a>
        <nav aria-label="Pages">
          {SECTIONS.map(([to, name, icon]) => (
            <a key={to} href={to} aria-current={isAt(path, to) ? "page" : undefined}>
              <svg viewBox="0 0 24 24" width="18" height="18" aria-hidden="true">
                <path d={icon} />
              </svg>
              <span>{name}</span>
            </a>
          ))}
        </nav>
        <div class="foot">
          <Connection />
          <Who />
          <p class="links">
            <a href="/playground">Playground</a>
            <a href="/schema.graphql">Schema</a>
            <a href="/errors.md">Errors</a>
            <a href="/readyz">Health</a>
          </p>
        </div>
      </header>
      <main id="main" class="page" ref={main} tabIndex={-1}>
        {content}
      </main>
    </>
  );
}

function isAt(path: string, section: string): boolean {
  return section === "/" ? path === "/" : path === section || path.startsWith(`${section}/`);
}

/** How the connection stands, always, and how fast the mall's heart beats. */
function Connection() {
  const state = useConnection();
  const pulse = usePulse();
  const [now, tick] = useState(Date.now());
  useEffect(() => {
    if (state.status !== "waiting") return;
    const timer = setInterval(() => tick(Date.now()), 200);
    return () => clearInterval(timer);
  }, [state.status]);
  const lost = state.status === "waiting" || (state.status === "connecting" && state.attempt > 0);
  const said =
    state.status === "open"
      ? "Live"
      : lost
        ? "Connection lost"
        : state.status === "closed"
          ? "Closed"
          : state.status === "idle"
            ? "Nothing to watch"
            : "Connecting";
  const wait = state.status === "waiting" ? Math.max(0, state.until - now) : 0;
  return (
    <div class={`connection ${state.status === "open" ? "open" : lost ? "lost" : "opening"}`}>
      <p role="status">
        <i aria-hidden="true" />
        {said}
      </p>
      <p class="beat">
        {state.status === "open" ? (
          <>
            {rate(rateNow(pulse))}/s <span>· {count(pulse.head)} messages</span>
          </>
        ) : lost ? (
          wait > 0 ? `again in ${duration(Math.ceil(wait / 100) * 100)}; nothing is missed` : "trying again; nothing is missed"
        ) : (
          " "
        )}
      </p>
    </div>
  );
}

/** Who the visitor is, where the mall looks at tokens. */
function Who() {
  const [, again] = useReducer((count: number) => count + 1, 0);
  const [asking, setAsking] = useState(false);
  const [text, setText] = useState("");
  useEffect(() => onToken(() => again(undefined)), []);
  if (!tokensCount()) return null;
  const role = offered.find(([, token]) => token === current())?.[0];
  const take = (token: string | null) => {
    use(token);
    // Everything that is on the page was read as somebody else.
    location.reload();
  };
  return (
    <div class="who">
      <button type="button" class="plain" onClick={() => setAsking(true)}>
        {/* A mall that offers tokens takes whoever has none for its administrator. */}
        {current() === null ? (offered.length ? "You are admin" : "Sign in") : `You are ${role ?? "signed in"}`}
      </button>
      {asking && (
        <Dialog title="Who are you?" onClose={() => setAsking(false)}>
          {offered.length > 0 && (
            <div class="row wrap">
              {offered.map(([role, token]) => (
                <button key={role} type="button" onClick={() => take(token)}>
                  {role}
                </button>
              ))}
            </div>
          )}
          <form
            onSubmit={(event) => {
              event.preventDefault();
              take(text);
            }}
          >
            <Field label="Token" value={text} onInput={setText} autocomplete="off" spellcheck={false} />
            <div class="row">
              <button class="loud" disabled={!text.trim()}>
                Use it
              </button>
              <button type="button" onClick={() => take(null)} disabled={current() === null}>
                Forget it
              </button>
            </div>
          </form>
        </Dialog>
      )}
    </div>
  );
}

const root = document.getElementById("app");
if (root) {
  root.textContent = "";
  render(<Console />, root);
}
