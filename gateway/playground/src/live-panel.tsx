/** Lists every item of every subscription, with its time and its cursor. */
import { useState } from "react";
import { clear, connection, entries, goOn, stop, watches, type Entry, type Watch } from "./live";
import { useStore } from "./store";

export function LivePanel() {
  const all = useStore(watches);
  const items = useStore(entries);
  const [open, setOpen] = useState(true);
  const several = all.length > 1;
  return (
    <section className="live" aria-label="Live items">
      <header>
        <button type="button" className="live-title" aria-expanded={open} onClick={() => setOpen(!open)}>
          <span className={open ? "arrow open" : "arrow"} aria-hidden="true" />
          Live
          <Connection />
        </button>
        <div className="live-watches">
          {all.map((watch) => (
            <WatchChip key={watch.id} watch={watch} />
          ))}
        </div>
        {all.length > 0 && (
          <button type="button" className="quiet" onClick={clear}>
            Clear
          </button>
        )}
      </header>
      {open &&
        (items.length === 0 ? (
          <p className="live-empty">
            Every item of every subscription is listed here, with its time and the cursor behind which the feed can be
            resumed. Run “Watch the order”, or any subscription: it goes on here while you work in other tabs.
          </p>
        ) : (
          <div className="live-items">
            <table>
              <thead>
                <tr>
                  <th>Time</th>
                  {several && <th>Subscription</th>}
                  <th>Item</th>
                  <th>Cursor</th>
                </tr>
              </thead>
              <tbody>
                {items.map((entry) => (
                  <Row key={entry.key} entry={entry} named={several} />
                ))}
              </tbody>
            </table>
          </div>
        ))}
    </section>
  );
}

const WORDS = { idle: "", connecting: "connecting", open: "connected", waiting: "connecting again", closed: "closed" };

function Connection() {
  const { status } = useStore(connection);
  return (
    <span className={`connection ${status}`} role="status">
      {WORDS[status]}
    </span>
  );
}

function WatchChip({ watch: { id, name, status, count, cursor, problem } }: { watch: Watch }) {
  const live = status === "live";
  const hint = problem ?? (live ? "" : cursor ? "Goes on behind the last item" : "Begins with what is");
  return (
    <span className={`watch ${status}`} title={problem ?? undefined} data-watch={name}>
      <i aria-hidden="true" />
      {name} <b>{count}</b>
      <button type="button" title={hint} onClick={() => (live ? stop(id) : goOn(id))}>
        {live ? "Stop" : "Go on"}
      </button>
    </span>
  );
}

function Row({ entry: { name, at, cursor, summary, state, data }, named }: { entry: Entry; named: boolean }) {
  const [open, setOpen] = useState(false);
  const time = new Date(at);
  const clock = `${time.toLocaleTimeString("en-GB")}.${String(time.getMilliseconds()).padStart(3, "0")}`;
  return (
    <>
      <tr className="item" onClick={() => setOpen(!open)}>
        <td>
          <time dateTime={time.toISOString()}>{clock}</time>
        </td>
        {named && <td className="name">{name}</td>}
        <td className="summary">
          {summary} {state && <small>{state}</small>}
        </td>
        <td className="cursor">{cursor ? <code title={cursor}>{cursor}</code> : "–"}</td>
      </tr>
      {open && (
        <tr className="whole">
          <td colSpan={4}>
            <pre>{JSON.stringify(data, null, 2)}</pre>
          </td>
        </tr>
      )}
    </>
  );
}
