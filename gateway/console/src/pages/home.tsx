/** The mall at a glance: where everything is, and what moves. */
import type { ComponentChildren } from "preact";
import { count, money } from "../format";
import { useFeed, usePaced, useQuery } from "../mall";
import {
  BotsLiveDocument,
  type BotsLiveSubscription,
  OrderCountsDocument,
  type OrderRowFragment,
  OrdersLiveDocument,
  type OrderStatus,
} from "../operations";
import { rateNow, usePulse } from "../pulse";
import { Gauge } from "../spark";
import { At, Badge, Empty, Id, Panel } from "../ui";

type Bot = BotsLiveSubscription["botsChanged"];

/** How many orders are listed. */
const SHOWN = 12;

export function Home() {
  const orders = useFeed(
    OrdersLiveDocument,
    {},
    () => new Map<string, OrderRowFragment>(),
    (orders, { ordersChanged: order }) => {
      orders.set(order.id, order);
      if (orders.size > 400) {
        const oldest = [...orders.values()].sort(byChange).slice(200);
        for (const { id } of oldest) orders.delete(id);
      }
    },
  );
  const bots = useFeed(BotsLiveDocument, {}, () => new Map<string, Bot>(), (bots, { botsChanged: bot }) => {
    bots.set(bot.id, bot);
  });
  const moved = usePaced(orders.changes, 1_000);
  const counts = useQuery(OrderCountsDocument, {}, { on: moved });
  // Feeds of what is not there say nothing.
  const answered = counts.data !== undefined;
  const pulse = usePulse();
  const of = (status: OrderStatus) => counts.data?.orderStatusCounts.find((count) => count.status === status)?.count ?? 0;
  const latest = [...orders.state.values()].sort(byChange).slice(0, SHOWN);
  const all = [...bots.state.values()];
  const working = all.filter(({ status }) => status === "ACTIVE").length;

  return (
    <>
      <h1>A shopping mall served by robots</h1>
      <p class="lead">
        Customers check out, a <a href="/operations">saga</a> accepts the order or turns it down, a robot collects the
        goods, the customer pays. Every step is an <a href="/events">event</a>; everything you see here follows the
        events live.
      </p>

      <section aria-label="Orders, by where they stand" class="flow">
        <Stage status="PENDING" name="Placed" count={of("PENDING")}>
          The saga asks customers, depot and payments
        </Stage>
        <Stage status="APPROVED" name="Accepted" count={of("APPROVED")}>
          A shopping list waits for a bot
        </Stage>
        <Stage status="IN_PROGRESS" name="Collected" count={of("IN_PROGRESS")}>
          A bot goes from store to store
        </Stage>
        <Stage status="READY" name="At the depot" count={of("READY")}>
          The invoice is to be paid
        </Stage>
        <Stage status="COMPLETED" name="Completed" count={of("COMPLETED")}>
          Paid and handed over
        </Stage>
        <div class="aside">
          <Stage status="REJECTED" name="Turned down" count={of("REJECTED")}>
            The saga walked back
          </Stage>
          <Stage status="CANCELED" name="Called off" count={of("CANCELED")}>
            Everything was undone
          </Stage>
        </div>
      </section>

      <div class="columns two-one">
        <Panel title="Moving now" side={<a href="/orders">All orders</a>}>
          {latest.length === 0 ? (
            <Empty>
              {answered ? "No orders yet. " : "Looking … "}
              <a href="/kiosk">Place one at the kiosk.</a>
            </Empty>
          ) : (
            <table>
              <thead>
                <tr>
                  <th scope="col">Order</th>
                  <th scope="col">Customer</th>
                  <th scope="col" class="wide">
                    What
                  </th>
                  <th scope="col" class="number">
                    Total
                  </th>
                  <th scope="col">Where it stands</th>
                  <th scope="col" class="wide">
                    Since
                  </th>
                </tr>
              </thead>
              <tbody>
                {latest.map((order) => (
                  <tr key={order.id}>
                    <td>
                      <Id id={order.id} to={`/orders/${order.id}`} />
                    </td>
                    <td>{order.customer.name}</td>
                    <td class="wide clip">{contents(order)}</td>
                    <td class="number">{money(order.total)}</td>
                    <td>
                      <Badge key={order.status} state={order.status} />
                    </td>
                    <td class="wide">
                      <At at={order.updatedAt} />
                    </td>
                  </tr>
                ))}
              </tbody>
            </table>
          )}
        </Panel>
        <div class="stack">
          <Panel title="Bots" side={<a href="/depot">Depot</a>}>
            {all.length === 0 ? (
              <Empty>{answered ? "No bots yet." : "Looking …"}</Empty>
            ) : (
              <>
                <p class="small faint">
                  {working} of {all.length} at work
                </p>
                <ul class="bots">
                  {all.slice(0, 24).map((bot) => (
                    <li key={bot.id}>
                      <BotFace status={bot.status} />
                      <span>{bot.name}</span>
                    </li>
                  ))}
                </ul>
              </>
            )}
          </Panel>
          <Panel title="Pulse" side={<a href="/operations">Operations</a>}>
            <Gauge
              title="Messages in the ledger"
              value={count(Math.round(rateNow(pulse)))}
              unit="a second"
              values={pulse.rates}
              hint={`${count(pulse.head)} since the mall opened`}
            />
          </Panel>
        </div>
      </div>
    </>
  );
}

function byChange(one: OrderRowFragment, other: OrderRowFragment): number {
  return other.updatedAt < one.updatedAt ? -1 : other.updatedAt > one.updatedAt ? 1 : 0;
}

export function contents(order: Pick<OrderRowFragment, "items">): string {
  return order.items.map(({ productName, quantity }) => (quantity > 1 ? `${quantity} × ${productName}` : productName)).join(", ");
}

function Stage(props: { status: OrderStatus; name: string; count: number; children: ComponentChildren }) {
  return (
    <a class={`stage s-${props.status.toLowerCase()}`} href={`/orders?status=${props.status}`}>
      <b>{count(props.count)}</b>
      <span class="name">{props.name}</span>
      <span class="small">{props.children}</span>
    </a>
  );
}

/** A bot's face: awake, at work, or asleep. */
export function BotFace({ status }: { status: Bot["status"] }) {
  return (
    <svg class={`face ${status.toLowerCase()}`} viewBox="0 0 32 32" width="26" height="26" role="img" aria-label={status.toLowerCase()}>
      <path d="M16 2v5" />
      <rect x="4" y="7" width="24" height="19" rx="6" />
      {status === "OFFLINE" ? (
        <path class="eyes" d="M10 16.5h4M18 16.5h4" />
      ) : (
        <>
          <circle class="eyes" cx="12" cy="16" r="2.4" />
          <circle class="eyes" cx="20" cy="16" r="2.4" />
        </>
      )}
    </svg>
  );
}
