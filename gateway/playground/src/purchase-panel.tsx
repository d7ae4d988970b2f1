/** The way through a whole purchase, step by step or at one go. */
import { useGraphiQL, useGraphiQLActions, type GraphiQLPlugin } from "@graphiql/react";
import { OperationTypeNode, parse, type OperationDefinitionNode } from "graphql";
import { useEffect, useRef, useState } from "react";
import { letGo, onAnswer, type Answer } from "./fetcher";
import { watches } from "./live";
import { begin, came, purchase, steps, type Outcome, type Step } from "./purchase";
import { useStore } from "./store";

/** What may only be too early: the mall is still on its way there. */
const EARLY = ["FAILED_PRECONDITION", "NOT_FOUND"];

onAnswer((operation, answer) => {
  if (steps.some((step) => step.operation === operation)) came(operation, outcomeOf(answer));
});

// What a subscription comes to is told by its watch.
watches.subscribe(() => {
  const last = watches.get().filter(({ name }) => name === "OrderProgress").at(-1);
  if (!last) return;
  const outcome: Outcome =
    last.status === "failed" ? { status: "refused", why: last.problem ?? "" } : { status: last.count ? "done" : "running" };
  const known = purchase.get().outcomes["OrderProgress"];
  if (JSON.stringify(known) !== JSON.stringify(outcome)) came("OrderProgress", outcome);
});

function outcomeOf({ errors }: Answer): Outcome {
  return errors?.length ? { status: "refused", why: errors[0]!.message } : { status: "done" };
}

function useRunner() {
  const { run, stop, addTab, changeTab, updateActiveTabValues, setOperationFacts, setOperationName } =
    useGraphiQLActions();
  const editors = useGraphiQL(({ queryEditor, variableEditor, responseEditor, tabs, activeTabIndex }) => ({
    queryEditor,
    variableEditor,
    responseEditor,
    tabs,
    activeTabIndex,
  }));
  // Steps are run one after the other without this being rendered in between.
  const now = useRef(editors);
  now.current = editors;

  /** Shows a step in the one tab that is for steps; what else is open stays as it is. */
  function open(step: Step) {
    letGo();
    stop();
    const { tabs, activeTabIndex, queryEditor, variableEditor, responseEditor } = now.current;
    const isStep = (tab: { title: string } | undefined) => steps.some(({ operation }) => operation === tab?.title);
    const place = isStep(tabs[activeTabIndex]) ? activeTabIndex : tabs.findIndex(isStep);
    if (place < 0) addTab();
    else if (place !== activeTabIndex) changeTab(place);
    else if (tabs[place]?.title !== step.operation) responseEditor?.setValue("");
    const query = step.document;
    const variables = JSON.stringify(step.variables(purchase.get().ids), null, 2);
    queryEditor?.setValue(query);
    variableEditor?.setValue(variables);
    // Otherwise the editor finds out a moment later, and would run what was there before.
    const documentAST = parse(query);
    const operations = documentAST.definitions as readonly OperationDefinitionNode[];
    setOperationFacts({ documentAST, operationName: step.operation, operations: [...operations] });
    setOperationName(step.operation);
    updateActiveTabValues({ query, variables, operationName: step.operation });
  }

  async function go(step: Step): Promise<Answer> {
    open(step);
    // The new tab has to be there before its answer is.
    await settled();
    came(step.operation, { status: "running" });
    if (step.kind === OperationTypeNode.SUBSCRIPTION) {
      run();
      return {};
    }
    return new Promise((resolve) => {
      const off = onAnswer((operation, answer) => {
        if (operation !== step.operation) return;
        off();
        resolve(answer);
      });
      run();
    });
  }

  async function goThrough() {
    begin();
    for (const step of steps) {
      for (let tried = 0; ; tried++) {
        const { errors } = await go(step);
        if (!errors?.length) break;
        if (tried === 20 || !EARLY.includes(errors[0]?.extensions?.code ?? "")) return;
        await new Promise((resolve) => setTimeout(resolve, 250));
      }
      // Slow enough to be followed.
      await new Promise((resolve) => setTimeout(resolve, 350));
    }
  }

  return { open, go, goThrough };
}

function settled(): Promise<void> {
  return new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve)));
}

const WHO = { customer: "Customer", store: "Store", mall: "Mall", depot: "Depot" };

function PurchasePanel() {
  const { outcomes } = useStore(purchase);
  const { open, go, goThrough } = useRunner();
  const ready = useGraphiQL(({ queryEditor, responseEditor }) => Boolean(queryEditor && responseEditor));
  const active = useGraphiQL(({ tabs, activeTabIndex }) => tabs[activeTabIndex]?.title);
  const [busy, setBusy] = useState(false);
  const list = useRef<HTMLOListElement>(null);
  useEffect(() => {
    list.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
  }, [active]);
  const alone = (work: () => Promise<unknown>) => async () => {
    setBusy(true);
    await work().finally(() => setBusy(false));
  };
  return (
    <section className="purchase" aria-label="A whole purchase">
      <h2>A whole purchase</h2>
      <p>
        From a new customer to a paid order, with everything filled in. Look at each step in the editor, or let them all
        run and watch the order move.
      </p>
      <div className="purchase-actions">
        <button type="button" className="loud" disabled={busy || !ready} onClick={alone(goThrough)}>
          {busy ? "Running…" : "Run the whole purchase"}
        </button>
        <button type="button" className="quiet" disabled={busy} onClick={begin} title="New ids for everything">
          Begin anew
        </button>
      </div>
      <ol ref={list}>
        {steps.map((step, place) => {
          const outcome = outcomes[step.operation];
          return (
            <li
              key={step.operation}
              className={outcome?.status ?? "waiting"}
              aria-current={active === step.operation ? "step" : undefined}
            >
              <span className="number" aria-hidden="true">
                {outcome?.status === "done" ? "✓" : outcome?.status === "refused" ? "!" : place + 1}
              </span>
              <button type="button" className="step" disabled={!ready} onClick={() => open(step)}>
                <b>{step.title}</b>
                <span className={`who ${step.who}`}>{WHO[step.who]}</span>
                <small>{outcome?.status === "refused" ? outcome.why : step.note}</small>
              </button>
              <button
                type="button"
                className="run"
                disabled={busy || !ready}
                aria-label={`Run: ${step.title}`}
                title={`Run: ${step.title}`}
                onClick={alone(() => go(step))}
              >
                <svg viewBox="0 0 10 10" aria-hidden="true">
                  <path d="M2 1l7 4-7 4z" />
                </svg>
              </button>
            </li>
          );
        })}
      </ol>
    </section>
  );
}

function PurchaseIcon() {
  return (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.7" strokeLinecap="round" strokeLinejoin="round">
      <path d="M3 4h2.2l2.3 11h10l2.5-8H6.2" />
      <circle cx="9" cy="19.5" r="1.4" />
      <circle cx="16.5" cy="19.5" r="1.4" />
    </svg>
  );
}

export const PURCHASE: GraphiQLPlugin = { title: "A whole purchase", icon: PurchaseIcon, content: PurchasePanel };
