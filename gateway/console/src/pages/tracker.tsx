/** One order: where it stands, its sagas as pictures, and everything that happened to it. */
import { useState } from "preact/hooks";
import { instant, money, words } from "../format";
import { asId, shortId } from "../ids";
import { ask, useFeed, usePaced, useQuery } from "../mall";
import {
  CancelOrderDocument,
  OrderLifeDocument,
  type OrderLifeSubscription,
  type OrderProgressKind,
  type OrderStatus,
  OrderWholeDocument,
  type OrderWholeQuery,
  PayInvoiceDocument,
  SagaLifeDocument,
  type SagaPictureFragment,
} from "../operations";
import { Saga } from "../saga";
import { At, Badge, Empty, Id, Panel, Problem, useDeed } from "../ui";

type Whole = NonNullable<OrderWholeQuery["order"]>;
type Item = OrderLifeSubscription["orderProgress"];

/** The way of an order that nothing goes wrong with. */
const WAY: readonly (readonly [OrderStatus, string])[] = [
  ["PENDING", "Placed"],
  ["APPROVED", "Accepted"],
  ["IN_PROGRESS", "Collected"],
  ["READY", "At the depot"],
  ["COMPLETED", "Completed"],
];

export function Tracker({ id, fresh = false }: { id: string; fresh?: boolean }) {
  const life = useFeed(OrderLifeDocument, { order: id }, () => [] as Item[], (items, { orderProgress }) => {
    items.push(orderProgress);
  });
  const sagas = useFeed(
    SagaLifeDocument,
    { order: id },
    () => new Map<string, SagaPictureFragment>(),
    (sagas, { sagaProgress: { saga } }) => {
      sagas.set(saga.id, saga);
    },
  );
  const whole = useQuery(OrderWholeDocument, { id }, { on: usePaced(life.changes, 250) });
  const order = whole.data?.order;
  const status = life.state.at(-1)?.status ?? order?.status;

  return (
    <>
      <div class="title">
        <h1>
          {fresh ? "Thank you! Your order" : "Order"} <code title={id}>{shortId(id)}</code>
        </h1>
        {status && <Badge key={status} state={status} />}
        <a class="push" href={`/events/${id}`}>
          History in the ledger
        </a>
      </div>
      <Problem text={life.problem ?? (order ? null : whole.problem)} />
      {status && <Ribbon status={status} items={life.state} />}
      {order?.rejectionReason && (
        <p class="remark bad">Turned down: {words(order.rejectionReason).toLowerCase()}.</p>
      )}
      {order?.cancellationReason && <p class="remark">Called off: {order.cancellationReason}.</p>}

      <Panel title="Saga" class="sagas">
        {sagas.state.size === 0 ? (
          <Empty>{life.heard ? "The saga is about to begin." : "Looking …"}</Empty>
        ) : (
          [...sagas.state.values()].map((saga) => <Saga key={saga.id} saga={saga} />)
        )}
      </Panel>

      <div class="columns">
        <Panel title="What happened" side={<span class="faint small">{life.state.length} entries, live</span>}>
          <Timeline items={life.state} />
        </Panel>
        <div class="stack">{order && <Details order={order} status={status ?? order.status} />}</div>
      </div>
    </>
  );
}

/** Where the order stands on its way, and when it came there. */
function Ribbon({ status, items }: { status: OrderStatus; items: readonly Item[] }) {
  const off = status === "REJECTED" || status === "CANCELED";
  const reached = new Map<OrderStatus, string>();
  for (const { status, at } of items) if (!reached.has(status)) reached.set(status, at);
  const at = WAY.findIndex(([step]) => step === status);
  const stops = off
    ? [
        ...WAY.filter(([step]) => reached.has(step)),
        [status, status === "REJECTED" ? "Turned down" : "Called off"] as const,
      ]
    : WAY;
  return (
    <ol class={`ribbon ${off ? "off" : ""}`} aria-label="Where the order stands">
      {stops.map(([step, name], index) => {
        const isNow = step === status;
        const when = reached.get(step);
        return (
          <li
            key={step}
            class={`${isNow ? "now" : off || index <= at ? "past" : "due"} ${step.toLowerCase()}`}
            aria-current={isNow ? "step" : undefined}
          >
            <b>{name}</b>
            <span class="small">{when ? <At at={when} /> : "–"}</span>
          </li>
        );
      })}
    </ol>
  );
}

const KINDS: Record<OrderProgressKind, string> = {
  ORDER: "order",
  SAGA: "saga",
  SHOPPING: "depot",
  PAYMENT: "payment",
  NOTIFICATION: "message",
};

function Timeline({ items }: { items: readonly Item[] }) {
  if (items.length === 0) return <Empty>Nothing yet.</Empty>;
  const begin = instant(items[0]!.at);
  return (
    <ol class="timeline" aria-live="polite" aria-relevant="additions">
      {items
        .map((item) => (
          <li key={item.cursor} class={item.kind.toLowerCase()}>
            <At at={item.at} />
            <span class="kind">{KINDS[item.kind]}</span>
            <span class="text">
              {item.title}
              {item.sagaStep?.reason && <em> {words(item.sagaStep.reason)}.</em>}
            </span>
            <span class="faint small since">+{since(instant(item.at) - begin)}</span>
          </li>
        ))
        .reverse()}
    </ol>
  );
}

function since(milliseconds: number): string {
  return milliseconds < 60_000 ? `${(milliseconds / 1_000).toFixed(2)} s` : `${(milliseconds / 60_000).toFixed(1)} min`;
}

function Details({ order, status }: { order: Whole; status: OrderStatus }) {
  const deed = useDeed();
  const canCancel = ["PENDING", "APPROVED", "IN_PROGRESS"].includes(status);
  const [sure, setSure] = useState(false);
  const invoice = order.invoice;
  return (
    <>
      {(invoice?.status === "PENDING" || canCancel) && (
        <Panel title="What you can do">
          <div class="row wrap">
            {invoice?.status === "PENDING" && (
              <button
                type="button"
                class="loud"
                disabled={deed.busy}
                onClick={() => deed.run(() => ask(PayInvoiceDocument, { id: invoice.id }))}
              >
                Pay {money(invoice.amount)}
              </button>
            )}
            {canCancel &&
              (sure ? (
                <>
                  <button
                    type="button"
                    class="danger"
                    disabled={deed.busy}
                    onClick={() =>
                      deed
                        .run(() => ask(CancelOrderDocument, { id: order.id, reason: "the customer changed their mind" }))
                        .then(() => setSure(false))
                    }
                  >
                    Yes, call it off
                  </button>
                  <button type="button" onClick={() => setSure(false)}>
                    No
                  </button>
                </>
              ) : (
                <button type="button" onClick={() => setSure(true)}>
                  Call the order off
                </button>
              ))}
          </div>
          <Problem text={deed.problem} />
        </Panel>
      )}
      <Panel title="Goods">
        <table>
          <thead>
            <tr>
              <th scope="col">What</th>
              <th scope="col" class="number">
                Picked
              </th>
              <th scope="col" class="number">
                Price
              </th>
            </tr>
          </thead>
          <tbody>
            {order.items.map((item) => (
              <tr key={item.productId}>
                <td>
                  {item.productName} <span class="faint small">{item.storeName}</span>
                </td>
                <td class="number">
                  {picked(order, item.productName, item.storeName)} / {item.quantity}
                </td>
                <td class="number">{money(item.lineTotal)}</td>
              </tr>
            ))}
          </tbody>
          <tfoot>
            <tr>
              <th scope="row">Total</th>
              <td />
              <td class="number">{money(order.total)}</td>
            </tr>
          </tfoot>
        </table>
      </Panel>
      <Panel title="Who and what">
        <dl class="facts">
          <dt>Customer</dt>
          <dd>
            {order.customer.name} <span class="faint small">{order.customer.smsNumber}</span>
            {!order.customer.enabled && <Badge state="REFUSED">may not shop</Badge>}
          </dd>
          <dt>Bot</dt>
          <dd>{order.shoppingList?.bot?.name ?? <span class="faint">none yet</span>}</dd>
          <dt>List</dt>
          <dd>
            {order.shoppingList ? (
              <>
                <Id id={order.shoppingList.id} to={`/events/${order.shoppingList.id}`} />{" "}
                <Badge state={order.shoppingList.status} />
              </>
            ) : (
              <span class="faint">none yet</span>
            )}
          </dd>
          <dt>Payment</dt>
          <dd>
            {order.payment ? (
              <>
                <Id id={order.payment.id} to={`/events/${order.payment.id}`} /> <Badge state={order.payment.status} />
              </>
            ) : (
              <span class="faint">none</span>
            )}
          </dd>
          <dt>Invoice</dt>
          <dd>
            {invoice ? (
              <>
                <Id id={invoice.id} to={`/events/${invoice.id}`} /> <Badge state={invoice.status} />
              </>
            ) : (
              <span class="faint">none yet</span>
            )}
          </dd>
          <dt>Basket</dt>
          <dd>
            <Id id={asId("basket", order.id)} to={`/events/${asId("basket", order.id)}`} />
          </dd>
        </dl>
      </Panel>
    </>
  );
}

function picked(order: Whole, product: string, store: string): number {
  const stop = order.shoppingList?.stops.find(({ storeName }) => storeName === store);
  return stop?.items.find(({ productName }) => productName === product)?.picked ?? 0;
}
