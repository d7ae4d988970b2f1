/** Operations: how fast the mall is, what is behind, what is stuck, and how to mend it. */
import { useEffect, useRef, useState } from "preact/hooks";
import { count, duration, instant, moment, plural, rate, words } from "../format";
import { ask, useFeed, usePaced, useQuery } from "../mall";
import {
  DeadLettersDocument,
  type DeadLettersSubscription,
  DiscardDeadLetterDocument,
  type LedgerLineFragment,
  LedgerPageDocument,
  MachineryDocument,
  type MachineryQuery,
  RebuildDocument,
  RetryDeadLetterDocument,
  RetrySagaDocument,
  SagasDocument,
  type SagasQuery,
} from "../operations";
import { type Projection, rateNow, usePulse } from "../pulse";
import { Dots } from "../saga";
import { Gauge, quantile } from "../spark";
import { At, Badge, Choice, Dialog, Empty, Id, Meter, Panel, pretty, Problem, useDeed } from "../ui";

type Letter = DeadLettersSubscription["deadLettersChanged"][number];

const begin = (): { letters: readonly Letter[] | undefined } => ({ letters: undefined });

/**
 * How often the gauges are read. Where consumers and the relay stand moves with
 * every message, and whoever looks wants a sample: a subscription would be a
 * timer in the server. How long the answers take is a gauge itself.
 */
const EVERY = 2_000;
/** What follows from the ledger is asked for when it has grown, so often at most. */
const PACE = 1_000;
/** So many dead letters are told of. */
const LETTERS = 100;

/** Counts on as the ledger grows. */
function useGrowth(): number {
  return usePaced(usePulse().head, PACE);
}

export function Operations() {
  const machinery = useQuery(MachineryDocument, {}, { every: EVERY });
  const sagas = useQuery(SagasDocument, {}, { on: useGrowth() });
  return (
    <>
      <h1>Operations</h1>
      <Problem text={machinery.problem ?? sagas.problem} />
      <Gauges machinery={machinery.data} sagas={sagas.data} />
      <div class="columns">
        <Sagas data={sagas.data} again={sagas.again} />
        <DeadLetters />
      </div>
      <div class="columns">
        <Projections />
        <Consumers data={machinery.data} />
      </div>
      <Audit />
    </>
  );
}

function Gauges({ machinery, sagas }: { machinery: MachineryQuery | undefined; sagas: SagasQuery | undefined }) {
  const pulse = usePulse();
  const answers = useRoundTrips(machinery);
  const ended = sagas?.ended.nodes.filter(({ state }) => state === "COMPLETED") ?? [];
  const took = ended
    .map(({ startedAt, endedAt }) => (endedAt ? instant(endedAt) - instant(startedAt) : 0))
    .reverse();
  const lag = pulse.lags.at(-1) ?? 0;
  return (
    <section class="gauges" aria-label="How fast">
      <Gauge
        title="Throughput"
        value={rate(rateNow(pulse))}
        unit="messages/s"
        values={pulse.rates}
        hint={`${count(pulse.head)} in the ledger`}
      />
      <Gauge
        title="Accepting an order"
        value={took.length ? duration(quantile(took, 0.5)) : "–"}
        unit="median"
        values={took}
        hint={took.length ? `95 % within ${duration(quantile(took, 0.95))}, of the last ${took.length}` : "no saga has ended yet"}
      />
      <Gauge
        title="Answer to this page"
        value={answers.length ? duration(answers.at(-1) ?? 0) : "–"}
        unit="round trip"
        values={answers}
        hint={answers.length ? `95 % within ${duration(quantile(answers, 0.95))}` : " "}
      />
      <Gauge
        title="Read models behind"
        value={count(lag)}
        unit={lag === 1 ? "message" : "messages"}
        values={pulse.lags}
        hint={`at most ${count(Math.max(0, ...pulse.lags))} in the last two minutes`}
      />
    </section>
  );
}

/** How long the page's own questions took. */
function useRoundTrips(data: unknown): readonly number[] {
  const [took, set] = useState<readonly number[]>([]);
  const seen = useRef(0);
  useEffect(() => {
    if (!data) return;
    const last = performance
      .getEntriesByType("resource")
      .filter((entry) => entry.name.endsWith("/graphql") && entry.startTime > seen.current);
    if (last.length === 0) return;
    seen.current = last.at(-1)!.startTime;
    set((before) => [...before, ...last.map(({ duration }) => duration)].slice(-60));
    performance.clearResourceTimings();
  }, [data]);
  return took;
}

const STATES = ["STUCK", "COMPENSATING", "RUNNING", "COMPENSATED", "COMPLETED"] as const;

function Sagas({ data, again }: { data: SagasQuery | undefined; again: () => void }) {
  const deed = useDeed();
  const of = (state: (typeof STATES)[number]) => data?.sagaStateCounts.find((count) => count.state === state)?.count ?? 0;
  const lines = [...(data?.stuck.nodes ?? []), ...(data?.moving.nodes ?? [])];
  return (
    <Panel title="Sagas">
      <ul class="tallies">
        {STATES.map((state) => (
          <li key={state} class={of(state) ? "" : "zero"}>
            <b>{data ? count(of(state)) : "–"}</b> <Badge state={state} />
          </li>
        ))}
      </ul>
      <Problem text={deed.problem} />
      {lines.length === 0 ? (
        <Empty>{data ? "None is under way, and none is stuck." : "Looking …"}</Empty>
      ) : (
        <table>
          <thead>
            <tr>
              <th scope="col">Order</th>
              <th scope="col">Saga</th>
              <th scope="col">Steps</th>
              <th scope="col" class="wide">
                Why
              </th>
              <th scope="col">
                <span class="unseen">What to do</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {lines.map((saga) => {
              const step = saga.steps.find(({ state }) => ["STUCK", "RETRYING", "RUNNING", "COMPENSATING"].includes(state));
              return (
                <tr key={saga.id}>
                  <td>
                    <Id id={saga.order.id} to={`/orders/${saga.order.id}`} />
                  </td>
                  <td>
                    <Badge key={saga.state} state={saga.state} />
                  </td>
                  <td>
                    <Dots steps={saga.steps} />
                  </td>
                  <td class="wide small">
                    {step && `${words(step.name)}${step.attempts > 1 ? `, try ${step.attempts}` : ""}`}
                    {step?.reason && `: ${words(step.reason).toLowerCase()}`}
                  </td>
                  <td class="number">
                    {saga.state === "STUCK" && (
                      <button
                        type="button"
                        disabled={deed.busy}
                        aria-label={`Retry the saga of order ${saga.order.id.slice(-6)}`}
                        onClick={() => deed.run(() => ask(RetrySagaDocument, { id: saga.id })).then(again)}
                      >
                        Retry
                      </button>
                    )}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

function DeadLetters() {
  const feed = useFeed(DeadLettersDocument, {}, begin, (told, { deadLettersChanged }) => (told.letters = deadLettersChanged));
  const { letters } = feed.state;
  const [open, setOpen] = useState<string | null>(null);
  const letter = letters?.find(({ id }) => id === open);
  const held = letters?.reduce((sum, { attempts, blocked }) => sum + (attempts > 0 ? blocked : 0), 0) ?? 0;
  return (
    <Panel
      title="Dead letters"
      side={
        letters && letters.length > 0 ? (
          <span class="badge bad">
            {count(letters.length)}
            {letters.length === LETTERS ? "+" : ""} parked
          </span>
        ) : undefined
      }
    >
      <Problem text={feed.problem} />
      {!letters || letters.length === 0 ? (
        <Empty>{letters ? "Nothing is parked. Every message was handled." : "Looking …"}</Empty>
      ) : (
        <>
          <p class="small faint">Each blocks what came later under the same key{held > 0 && `: ${count(held)} in all`}.</p>
          <table>
            <thead>
              <tr>
                <th scope="col">Message</th>
                <th scope="col">About</th>
                <th scope="col" class="number">
                  Blocks
                </th>
                <th scope="col">
                  <span class="unseen">What to do</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {letters.map((letter) => (
                <tr key={letter.id}>
                  <td>
                    <b class="message">{letter.messageName}</b>
                    <span class="small faint clip block">{letter.attempts ? letter.reason : "waits behind another"}</span>
                  </td>
                  <td>
                    <Key of={letter.key} /> <span class="small faint">{letter.consumer}</span>
                  </td>
                  <td class="number">{count(letter.blocked)}</td>
                  <td class="number">
                    <button type="button" aria-label={`Open ${letter.messageName} about ${letter.key.slice(-6)}`} onClick={() => setOpen(letter.id)}>
                      Open
                    </button>
                  </td>
                </tr>
              ))}
            </tbody>
          </table>
        </>
      )}
      {letter && (
        <Mend
          letter={letter}
          onClose={() => setOpen(null)}
          onDone={() => setOpen(null)}
        />
      )}
    </Panel>
  );
}

/** What a parked message is about: a thing, or the UUID that several share. */
function Key({ of }: { of: string }) {
  return of.includes("_") ? <Id id={of} to={`/events/${of}`} /> : <Id id={of} />;
}

/** A parked message: read, tried again, mended, or thrown away. */
function Mend({ letter, onClose, onDone }: { letter: Letter; onClose: () => void; onDone: () => void }) {
  const deed = useDeed();
  const [text, setText] = useState(() => pretty(letter.payload));
  const [sure, setSure] = useState(false);
  const mended = text !== pretty(letter.payload);
  const fault = mended ? faultOf(text) : null;
  return (
    <Dialog title={letter.messageName} onClose={onClose}>
      <dl class="facts">
        <dt>What went wrong</dt>
        <dd>{letter.reason}</dd>
        <dt>Tried</dt>
        <dd>
          {letter.attempts === 0 ? "not yet: it waits behind another" : plural(letter.attempts, "time")}, since {moment(letter.firstFailedAt)}
        </dd>
        <dt>About</dt>
        <dd>
          <Key of={letter.key} /> for {letter.consumer}
        </dd>
        <dt>Blocks</dt>
        <dd>
          {letter.blocked === 0 ? "nothing" : `${plural(letter.blocked, "later message")} under this key`}
        </dd>
      </dl>
      <label for="payload">Content</label>
      <textarea id="payload" rows={12} spellcheck={false} value={text} onInput={(event) => setText(event.currentTarget.value)} />
      {fault && <p class="small problem">{fault}</p>}
      <div class="row wrap">
        <button
          type="button"
          class="loud"
          disabled={deed.busy || fault !== null}
          onClick={() => deed.run(() => ask(RetryDeadLetterDocument, { id: letter.id, payload: mended ? text : null })).then((done) => done && onDone())}
        >
          {mended ? "Mend and retry" : "Retry"}
        </button>
        {mended && (
          <button type="button" onClick={() => setText(pretty(letter.payload))}>
            As it was
          </button>
        )}
        <button
          type="button"
          class="danger push"
          disabled={deed.busy}
          onClick={() => {
            if (!sure) setSure(true);
            else void deed.run(() => ask(DiscardDeadLetterDocument, { id: letter.id })).then((done) => done && onDone());
          }}
        >
          {sure ? "Yes, discard it" : "Discard"}
        </button>
      </div>
      <Problem text={deed.problem} />
    </Dialog>
  );
}

function faultOf(text: string): string | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value) ? null : "A message's content is a JSON object.";
  } catch (error) {
    return error instanceof Error ? error.message : "This is not JSON.";
  }
}

function Projections() {
  const { projections } = usePulse();
  const deed = useDeed();
  // What was asked for shows its progress from the start, however short it is.
  const [asked, setAsked] = useState<{ name: string; before: string | undefined } | null>(null);
  const stands = (name: string) => projections.find((projection) => name === "all" || projection.name === name)?.rebuild;
  const last = asked ? stands(asked.name) : undefined;
  const over = last && last.requestedAt !== asked?.before && last.endedAt;
  useEffect(() => {
    if (asked && (over || deed.problem)) setAsked(null);
  }, [asked, over, deed.problem]);
  const busy = asked !== null || projections.some(({ rebuilding }) => typeof rebuilding === "number");
  const rebuild = (name: string) => {
    setAsked({ name, before: stands(name)?.requestedAt });
    void deed.run(() => ask(RebuildDocument, { name }));
  };
  return (
    <Panel
      title="Read models"
      side={
        <button type="button" class="plain" disabled={deed.busy || busy} onClick={() => rebuild("all")}>
          Rebuild all
        </button>
      }
    >
      <Problem text={deed.problem} />
      <table class="tight">
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col" class="number">
              Position
            </th>
            <th scope="col" class="number">
              Behind
            </th>
            <th scope="col" class="number wide">
              Parked
            </th>
            <th scope="col">Rebuild</th>
          </tr>
        </thead>
        <tbody>
          {projections.map((projection) => (
            <tr key={projection.name}>
              <td>{words(projection.name)}</td>
              <td class="number">{count(Number(projection.position))}</td>
              <td class={`number ${projection.lag > 500 ? "bad" : ""}`}>{count(projection.lag)}</td>
              <td class={`number wide ${projection.parked ? "bad" : "faint"}`}>{count(projection.parked)}</td>
              <td>
                <Rebuilding
                  projection={projection}
                  asked={asked?.name === projection.name || asked?.name === "all"}
                  busy={deed.busy || busy}
                  onRebuild={() => rebuild(projection.name)}
                />
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </Panel>
  );
}

function Rebuilding(props: { projection: Projection; asked: boolean; busy: boolean; onRebuild: () => void }) {
  const { projection, asked, busy, onRebuild } = props;
  const { rebuild, rebuilding, name } = projection;
  if (asked || typeof rebuilding === "number") {
    return <Meter value={rebuilding ?? 0} label={`Rebuild of ${name}`} />;
  }
  return (
    <span class="row">
      <button type="button" class="plain small" disabled={busy} aria-label={`Rebuild ${words(name).toLowerCase()}`} onClick={onRebuild}>
        rebuild
      </button>
      {rebuild?.state === "DONE" && rebuild.endedAt && (
        <span class="small faint" title={moment(rebuild.endedAt)}>
          done <At at={rebuild.endedAt} />
        </span>
      )}
      {rebuild?.state === "FAILED" && (
        <span class="small bad" title={rebuild.error ?? ""}>
          given up
        </span>
      )}
    </span>
  );
}

function Consumers({ data }: { data: MachineryQuery | undefined }) {
  const relay = data?.relay;
  return (
    <Panel title="Who handles messages">
      <table class="tight">
        <thead>
          <tr>
            <th scope="col">Consumer</th>
            <th scope="col" class="number">
              Position
            </th>
            <th scope="col" class="number">
              Behind
            </th>
          </tr>
        </thead>
        <tbody>
          {data?.consumers.map((consumer) => (
            <tr key={consumer.name}>
              <td>{words(consumer.name)}</td>
              <td class="number">{count(Number(consumer.position))}</td>
              <td class={`number ${consumer.lag > 500 ? "bad" : ""}`}>{count(consumer.lag)}</td>
            </tr>
          ))}
          <tr>
            <td>
              Relay to JetStream {relay && <Badge state={relay.state} />}
              {relay?.reason && <span class="small bad block">{relay.reason}</span>}
            </td>
            <td class="number">{relay ? count(Number(relay.position)) : <span class="faint">{data ? "none" : "–"}</span>}</td>
            <td class="number">{relay ? count(relay.lag) : <span class="faint">–</span>}</td>
          </tr>
        </tbody>
      </table>
      {data && !relay && <p class="small faint">This process reads messages from the ledger itself, or another relays.</p>}
    </Panel>
  );
}

/** How many lines the audit has. */
const LINES = 50;

/** Who did what, the latest first. */
function Audit() {
  const [which, setWhich] = useState<"people" | "all">("people");
  const page = useQuery(LedgerPageDocument, { first: 100, after: null }, { on: useGrowth() });
  const lines = (page.data?.ledger.nodes ?? []).filter(({ causationId }) => which === "all" || causationId === null).slice(0, LINES);
  return (
    <Panel
      title="Who did what"
      side={
        <Choice
          label="Whose deeds"
          options={[
            ["people", "Begun by somebody"],
            ["all", "Everything"],
          ]}
          value={which}
          onChange={setWhich}
        />
      }
    >
      <Problem text={page.problem} />
      {lines.length === 0 ? <Empty>{page.data ? "Nothing lately." : "Looking …"}</Empty> : <Messages lines={lines} />}
      <p class="small">
        <a href="/events">The whole ledger</a>
      </p>
    </Panel>
  );
}

/** Messages of the ledger as a table. */
export function Messages({ lines, chosen }: { lines: readonly LedgerLineFragment[]; chosen?: string | undefined }) {
  return (
    <table class="tight">
      <thead>
        <tr>
          <th scope="col">When</th>
          <th scope="col" class="wide">
            Who
          </th>
          <th scope="col">What</th>
          <th scope="col">To what</th>
          <th scope="col" class="number wide">
            Position
          </th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.id} class={line.id === chosen ? "chosen" : undefined}>
            <td>
              <At at={line.at} />
            </td>
            <td class="wide">{line.actor ?? <span class="faint">unknown</span>}</td>
            <td>
              <a href={`/events/${line.stream}?message=${line.id}`}>
                <Name of={line} />
              </a>
            </td>
            <td>
              <Id id={line.stream} to={`/events/${line.stream}`} />
            </td>
            <td class="number wide">{count(Number(line.position))}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

/** A message's name, its context apart. */
export function Name({ of }: { of: { name: string; kind: string } }) {
  const [context = "", name = ""] = of.name.split(".");
  return (
    <span class={`message ${of.kind.toLowerCase()}`}>
      <span class="prefix">{context}.</span>
      {name}
    </span>
  );
}

