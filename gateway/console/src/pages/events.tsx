/** The event browser: what happened to anything, why, and how it stood at any instant. */
import type { ComponentChildren } from "preact";
import { useEffect, useState } from "preact/hooks";
import { count, duration, instant, moment, money, plural, words } from "../format";
import { asId, prefixOf } from "../ids";
import { ask, problemOf, useQuery, useReturns, useSettled } from "../mall";
import {
  HistoryDocument,
  type HistoryQuery,
  type LedgerLineFragment,
  LedgerMessageDocument,
  LedgerPageDocument,
  OrderAsOfDocument,
} from "../operations";
import { become, go, usePlace } from "../route";
import { usePulse } from "../pulse";
import { At, Badge, Choice, Empty, Field, Id, Json, Panel, Problem } from "../ui";
import { Messages, Name } from "./operations";

type Event = HistoryQuery["history"]["nodes"][number];

export function Events({ id }: { id: string | null }) {
  return id ? <History id={id} /> : <Ledger />;
}

function Find() {
  const [text, setText] = useState("");
  return (
    <form
      class="row wrap end"
      role="search"
      onSubmit={(event) => {
        event.preventDefault();
        const wanted = text.trim();
        if (wanted) go(`/events/${encodeURIComponent(wanted)}`);
      }}
    >
      <Field label="Id of anything" value={text} onInput={setText} placeholder="order_01…" spellcheck={false} autocomplete="off" />
      <button disabled={!text.trim()}>Show its history</button>
    </form>
  );
}

type Kinds = "ALL" | "EVENT" | "COMMAND" | "REPLY";

/** The ledger, the latest first. */
function Ledger() {
  const [kind, setKind] = useState<Kinds>("ALL");
  const [pages, setPages] = useState<readonly LedgerLineFragment[]>([]);
  const [after, setAfter] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const latest = useQuery(LedgerPageDocument, { first: 50, after: null }, { every: pages.length ? 0 : 1_500 });
  const head = latest.data?.ledger;
  const lines = pages.length ? pages : (head?.nodes ?? []);
  const more = async () => {
    try {
      const { ledger } = await ask(LedgerPageDocument, { first: 100, after: after ?? head?.pageInfo.endCursor ?? null });
      setPages([...lines, ...ledger.nodes]);
      setAfter(ledger.pageInfo.endCursor ?? null);
      setProblem(null);
    } catch (error) {
      setProblem(problemOf(error));
    }
  };
  return (
    <>
      <h1>Events</h1>
      <p class="lead">
        Everything that was said in the mall, in one gapless order. Choose anything to see its history, what led to it and
        what followed.
      </p>
      <div class="row wrap end">
        <Find />
        <div class="push">
          <Choice
            label="Kinds of messages"
            options={[
              ["ALL", "All"],
              ["EVENT", "Events"],
              ["COMMAND", "Commands"],
              ["REPLY", "Replies"],
            ]}
            value={kind}
            onChange={setKind}
          />
        </div>
      </div>
      <Problem text={latest.problem ?? problem} />
      <Panel
        title="The ledger"
        side={
          pages.length ? (
            <button
              type="button"
              class="plain"
              onClick={() => {
                setPages([]);
                setAfter(null);
              }}
            >
              Back to the latest
            </button>
          ) : (
            <span class="faint small">the latest, live</span>
          )
        }
      >
        {lines.length === 0 ? (
          <Empty>{head ? "Nothing happened yet." : "Looking …"}</Empty>
        ) : (
          <Messages lines={lines.filter((line) => kind === "ALL" || line.kind === kind)} />
        )}
      </Panel>
      <div class="more">
        <button type="button" onClick={more} disabled={lines.length === 0}>
          Earlier
        </button>
      </div>
    </>
  );
}

/** The kinds of things that bear one UUID: what belongs together. */
const FAMILY: Record<string, readonly string[]> = Object.fromEntries(
  ["basket", "order", "list", "invoice", "saga"].map((prefix) => [prefix, ["basket", "order", "list", "invoice"]]),
);

function History({ id }: { id: string }) {
  const { query } = usePlace();
  const { events, problem, loaded } = useHistory(id);
  const message = query.get("message") ?? events.at(-1)?.id ?? null;
  return (
    <>
      <div class="title">
        <h1>
          History of <Id id={id} />
        </h1>
        <span class="faint">{loaded && plural(events.length, "event")}</span>
        <a class="push" href="/events">
          The whole ledger
        </a>
      </div>
      <p class="row wrap small">
        <code class="whole">{id}</code>
        {FAMILY[prefixOf(id)]?.map((prefix) =>
          prefix === prefixOf(id) ? null : (
            <a key={prefix} href={`/events/${asId(prefix, id)}`}>
              its {prefix}
            </a>
          ),
        )}
        {prefixOf(id) === "order" && <a href={`/orders/${id}`}>the order itself</a>}
      </p>
      <Problem text={problem} />
      {prefixOf(id) === "order" && events.length > 0 && <TimeTravel id={id} events={events} />}
      <div class="columns">
        <Panel title="What happened to it">
          {events.length === 0 ? (
            <Empty>{loaded ? "Nothing." : problem ? "There is nothing to see." : "Looking …"}</Empty>
          ) : (
            <ol class="history">
              {events.map((event) => (
                <li key={event.id}>
                  <a
                    href={`/events/${id}?message=${event.id}`}
                    aria-current={event.id === message ? "true" : undefined}
                    onClick={(click) => {
                      click.preventDefault();
                      become(`/events/${id}?message=${event.id}`);
                    }}
                  >
                    <span class="version">{event.version}</span>
                    <Name of={event} />
                    <At at={event.at} />
                    <span class="small faint">{event.actor}</span>
                  </a>
                </li>
              ))}
            </ol>
          )}
        </Panel>
        {message && <Message id={message} />}
      </div>
    </>
  );
}

/** All of a history, and what is added to it. */
function useHistory(id: string) {
  const [state, set] = useState<{ events: readonly Event[]; problem: string | null; loaded: boolean }>({
    events: [],
    problem: null,
    loaded: false,
  });
  const returns = useReturns();
  // Something may have been added whenever the ledger has grown.
  const head = useSettled(usePulse().head, 300);
  useEffect(() => {
    let gone = false;
    const look = async () => {
      const events: Event[] = [];
      for (let after: string | null = null, more = true; more; ) {
        const { history }: HistoryQuery = await ask(HistoryDocument, { id, after });
        if (gone) return;
        events.push(...history.nodes);
        after = history.pageInfo.endCursor ?? null;
        more = history.pageInfo.hasNextPage && events.length < 2_000;
      }
      set((before) => (before.loaded && before.events.length === events.length ? before : { events, problem: null, loaded: true }));
    };
    look().catch((error: unknown) => {
      if (!gone) set((before) => ({ ...before, problem: problemOf(error) }));
    });
    return () => {
      gone = true;
    };
  }, [id, returns, head]);
  return state;
}

/** A message with what led to it and what followed. */
function Message({ id }: { id: string }) {
  const { data, problem } = useQuery(LedgerMessageDocument, { id });
  const message = data?.ledgerEvent;
  if (!message) return <Panel title="The message">{problem ? <Problem text={problem} /> : <Empty>Looking …</Empty>}</Panel>;
  const { cause } = message;
  return (
    <Panel title={<Name of={message} />} side={<Badge state={message.kind} />}>
      <dl class="facts">
        <dt>When</dt>
        <dd>
          <At at={message.at} long />
        </dd>
        <dt>Who</dt>
        <dd>{message.actor ?? "unknown"}</dd>
        <dt>{message.kind === "EVENT" ? "To what" : "For whom"}</dt>
        <dd>
          <Id id={message.stream} to={`/events/${message.stream}`} />
          {message.kind === "EVENT" && <span class="faint"> version {count(message.version)}</span>}
        </dd>
        <dt>Position</dt>
        <dd>{count(Number(message.position))}</dd>
        <dt>Begun with</dt>
        <dd>
          <code class="whole">{message.correlationId}</code>
        </dd>
      </dl>
      <h3>Why, and what followed</h3>
      <ol class="chain">
        {cause?.cause && <Link of={cause.cause} from={message.at} />}
        {cause ? <Link of={cause} from={message.at} /> : <li class="origin small faint">begun by {message.actor ?? "somebody"}</li>}
        <li class="here">
          <span class="message">
            <Name of={message} />
          </span>
        </li>
        {message.effects.map((effect) => (
          <Link key={effect.id} of={effect} from={message.at}>
            {effect.effects.length > 0 && (
              <ol>
                {effect.effects.map((next) => (
                  <Link key={next.id} of={next} from={message.at} />
                ))}
              </ol>
            )}
          </Link>
        ))}
        {message.effects.length === 0 && <li class="origin small faint">nothing followed from it</li>}
      </ol>
      <h3>Content</h3>
      <Json text={message.payload} label="The message's content" />
    </Panel>
  );
}

/** A message of the chain, and how much earlier or later it was. */
function Link({ of, from, children }: { of: LedgerLineFragment; from: string; children?: ComponentChildren }) {
  const apart = instant(of.at) - instant(from);
  return (
    <li>
      <a href={`/events/${of.stream}?message=${of.id}`}>
        <Name of={of} />
      </a>{" "}
      <span class="small faint">
        {prefixOf(of.stream)} · {apart === 0 ? "at once" : `${duration(Math.abs(apart))} ${apart < 0 ? "before" : "later"}`}
      </span>
      {children}
    </li>
  );
}

/** How an order stood at any instant. */
function TimeTravel({ id, events }: { id: string; events: readonly Event[] }) {
  const begin = instant(events[0]!.at);
  const end = instant(events.at(-1)!.at);
  const span = Math.max(1, end - begin);
  const [share, setShare] = useState(1000);
  const at = share >= 1000 ? end : begin + (span * share) / 1000;
  const asOf = useSettled(micros(at), 80);
  const { data, problem } = useQuery(OrderAsOfDocument, { id, asOf });
  const order = data?.order;
  const last = [...events].reverse().find((event) => instant(event.at) <= at) ?? events[0]!;
  return (
    <Panel title="As it was" class="travel" side={order && <Badge key={order.status} state={order.status} />}>
      <div class="slider">
        <input
          type="range"
          min={0}
          max={1000}
          value={share}
          aria-label="The instant to look at"
          aria-valuetext={`${moment(at)}: ${order ? words(order.status).toLowerCase() : ""}`}
          onInput={(event) => setShare(Number(event.currentTarget.value))}
        />
        <svg viewBox="0 0 1000 14" preserveAspectRatio="none" aria-hidden="true">
          {events.map((event) => (
            <line
              key={event.id}
              x1={((instant(event.at) - begin) / span) * 1000}
              x2={((instant(event.at) - begin) / span) * 1000}
              y1={0}
              y2={14}
            />
          ))}
        </svg>
      </div>
      <div class="row wrap">
        <b>{moment(at)}</b>
        <span class="faint small">{duration(at - begin)} after it was placed</span>
        <span class="small">
          the latest then: <Name of={last} />
        </span>
        <span class="push row">
          <button type="button" class="plain" disabled={last === events[0]} onClick={() => setShare(step(events, last, -1, begin, span))}>
            ← Event before
          </button>
          <button type="button" class="plain" disabled={last === events.at(-1)} onClick={() => setShare(step(events, last, 1, begin, span))}>
            Next event →
          </button>
        </span>
      </div>
      <Problem text={problem} />
      {order && (
        <p class="small">
          {order.items.map(({ productName, quantity }) => `${quantity} × ${productName}`).join(", ")} for {money(order.total)}
          {order.rejectionReason && `; turned down: ${words(order.rejectionReason).toLowerCase()}`}
          {order.cancellationReason && `; called off: ${order.cancellationReason}`}
        </p>
      )}
    </Panel>
  );
}

/** Where the slider stands at the event before or behind another. */
function step(events: readonly Event[], from: Event, by: 1 | -1, begin: number, span: number): number {
  const event = events[events.indexOf(from) + by] ?? from;
  return ((instant(event.at) - begin) / span) * 1000;
}

/** A moment to the microsecond, not before the event that it stands for. */
function micros(at: number): string {
  const whole = Math.floor(at);
  const fraction = Math.min(999, Math.ceil((at - whole) * 1000));
  return new Date(whole).toISOString().replace("Z", `${String(fraction).padStart(3, "0")}Z`);
}
