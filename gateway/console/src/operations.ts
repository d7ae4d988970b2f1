// Written by generate.mjs from schema.graphql and operations/; do not edit.

/** Internal type. DO NOT USE DIRECTLY. */
type Exact<T extends { [key: string]: unknown }> = { [K in keyof T]: T[K] };
/** Internal type. DO NOT USE DIRECTLY. */
export type Incremental<T> = T | { [P in keyof T]?: P extends ' $fragmentName' | '__typename' ? T[P] : never };
import type { DocumentTypeDecoration } from '@graphql-typed-document-node/core';
/** Where a basket stands. */
export type BasketStatus =
  /** It is being filled. */
  | 'OPEN'
  /** It was bought. */
  | 'CHECKED_OUT'
  /** It was put back. */
  | 'CANCELED'
  /** Nobody touched it for so long that it was cleared away. */
  | 'ABANDONED';

/** Where a bot stands. */
export type BotStatus =
  /** Out of work. */
  | 'OFFLINE'
  /** Waiting for work. */
  | 'IDLE'
  /** At work. */
  | 'ACTIVE';

/** A currency, by its ISO 4217 code. */
export type CurrencyCode =
  /** United States dollar. */
  | 'USD'
  /** Euro. */
  | 'EUR'
  /** Pound sterling. */
  | 'GBP';

/** Where an invoice stands. */
export type InvoiceStatus =
  /** To be paid. */
  | 'PENDING'
  /** Settled. */
  | 'PAID'
  /** Withdrawn. */
  | 'CANCELED';

/** What a message of the ledger says. */
export type LedgerEventKind =
  /** That something happened. */
  | 'EVENT'
  /** That a context is to do something. */
  | 'COMMAND'
  /** What became of a command. */
  | 'REPLY';

/** Which orders: those that fit all that is given. */
export type OrderFilter = {
  /** Those of one customer. */
  readonly customerId?: string | number | null | undefined;
  /** Those with something from one of these stores, at most 100. */
  readonly storeIds?: ReadonlyArray<string | number> | null | undefined;
  /** Those with one of these products, at most 100. */
  readonly productIds?: ReadonlyArray<string | number> | null | undefined;
  /** Those in one of these states. */
  readonly statuses?: ReadonlyArray<OrderStatus> | null | undefined;
  /** Those placed at this moment or later. */
  readonly createdAfter?: string | null | undefined;
  /** Those placed before this moment. */
  readonly createdBefore?: string | null | undefined;
  /** Those that cost at least this. */
  readonly minTotal?: string | number | null | undefined;
  /** Those that cost at most this. */
  readonly maxTotal?: string | number | null | undefined;
  /** Those with this in the name of the customer, a product or a store, at most 200 characters. */
  readonly text?: string | null | undefined;
};

/** What an item of an order's progress is about. */
export type OrderProgressKind =
  /** The order itself. */
  | 'ORDER'
  /** A saga's step. */
  | 'SAGA'
  /** What bots do for it. */
  | 'SHOPPING'
  /** Its payment or invoice. */
  | 'PAYMENT'
  /** A message to the customer. */
  | 'NOTIFICATION';

/** How orders are sorted; those of equal time or total by id. */
export type OrderSort =
  /** Newest first. */
  | 'CREATED_DESC'
  /** Oldest first. */
  | 'CREATED_ASC'
  /** Dearest first. */
  | 'TOTAL_DESC'
  /** Cheapest first. */
  | 'TOTAL_ASC';

/** Where an order stands. */
export type OrderStatus =
  /** It waits to be accepted. */
  | 'PENDING'
  /** It was accepted; a bot will shop for it. */
  | 'APPROVED'
  /** It was turned down. */
  | 'REJECTED'
  /** A bot is shopping for it. */
  | 'IN_PROGRESS'
  /** The goods are at the depot; the invoice is to be paid. */
  | 'READY'
  /** It is paid and handed over. */
  | 'COMPLETED'
  /** It was called off. */
  | 'CANCELED';

/** Where a payment stands. */
export type PaymentStatus =
  /** The money is set aside. */
  | 'AUTHORIZED'
  /** It is bound to an order. */
  | 'CONFIRMED'
  /** The money was taken. */
  | 'CAPTURED'
  /** It was let go. */
  | 'RELEASED'
  /** It was paid back. */
  | 'REFUNDED';

/** Where a rebuild stands. */
export type RebuildState =
  /** It was asked for and waits for the projector. */
  | 'REQUESTED'
  /** New tables are being filled. */
  | 'RUNNING'
  /** The new tables are the live ones. */
  | 'DONE'
  /** It was given up; the live tables are as they were. */
  | 'FAILED';

/** What a relay is doing. */
export type RelayState =
  /** Another process relays. */
  | 'STANDBY'
  /** NATS is away. */
  | 'DISCONNECTED'
  /** It looks where the stream stands. */
  | 'LOOKING'
  /** It publishes, or waits for something to publish. */
  | 'RUNNING'
  /** Something is in the way; it is tried again and again. */
  | 'FAILING'
  /** The stream has what the ledger does not have: somebody has to see to that. */
  | 'HALTED';

/** Where a saga stands. */
export type SagaState =
  /** It goes forward. */
  | 'RUNNING'
  /** It goes back, undoing what it did. */
  | 'COMPENSATING'
  /** It arrived. */
  | 'COMPLETED'
  /** It is back where it began. */
  | 'COMPENSATED'
  /** It waits for an operator: `retrySaga` lets it go on. */
  | 'STUCK';

/** Where a step stands. */
export type SagaStepState =
  /** Its turn has not come. */
  | 'WAITING'
  /** It was asked for. */
  | 'RUNNING'
  /** It was done. */
  | 'SUCCEEDED'
  /** The context said no. */
  | 'REFUSED'
  /** It will be tried again. */
  | 'RETRYING'
  /** It is being undone. */
  | 'COMPENSATING'
  /** It was undone. */
  | 'COMPENSATED'
  /** The saga turned back before it. */
  | 'SKIPPED'
  /** It needs an operator. */
  | 'STUCK';

/** Where a shopping list stands. */
export type ShoppingListStatus =
  /** It is written, but no bot may take it yet. */
  | 'PENDING'
  /** It waits for a bot. */
  | 'AVAILABLE'
  /** A bot has it. */
  | 'ASSIGNED'
  /** The bot is shopping. */
  | 'ACTIVE'
  /** The goods are at the depot. */
  | 'COMPLETED'
  /** It was torn up. */
  | 'CANCELED';

/** Something that could not be brought. */
export type ShortageInput = {
  /** What. */
  readonly productId: string | number;
  /** Why, 1 to 500 characters. */
  readonly reason: string;
};

export type ListCardFragment = { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> };

export type ListsQueryVariables = Exact<{
  statuses?: ReadonlyArray<ShoppingListStatus> | ShoppingListStatus | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type ListsQuery = { readonly shoppingLists: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type RecentlyDoneQueryVariables = Exact<{ [key: string]: never; }>;


export type RecentlyDoneQuery = { readonly shoppingLists: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> }> } };

export type ListsLiveSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type ListsLiveSubscription = { readonly shoppingListsChanged: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> } };

export type BotsLiveSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type BotsLiveSubscription = { readonly botsChanged: { readonly id: string, readonly name: string, readonly status: BotStatus } };

export type RegisterBotMutationVariables = Exact<{
  id: string | number;
  name: string;
}>;


export type RegisterBotMutation = { readonly registerBot: { readonly position: string, readonly bot: { readonly id: string, readonly name: string, readonly status: BotStatus } | null } };

export type BringBotOnlineMutationVariables = Exact<{
  id: string | number;
}>;


export type BringBotOnlineMutation = { readonly bringBotOnline: { readonly position: string, readonly bot: { readonly id: string, readonly name: string, readonly status: BotStatus } | null } };

export type TakeBotOfflineMutationVariables = Exact<{
  id: string | number;
}>;


export type TakeBotOfflineMutation = { readonly takeBotOffline: { readonly position: string, readonly bot: { readonly id: string, readonly name: string, readonly status: BotStatus } | null } };

export type AssignListMutationVariables = Exact<{
  id: string | number;
  bot: string | number;
}>;


export type AssignListMutation = { readonly assignShoppingList: { readonly position: string, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> } | null } };

export type StartShoppingMutationVariables = Exact<{
  id: string | number;
}>;


export type StartShoppingMutation = { readonly startShopping: { readonly position: string, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> } | null } };

export type PickItemMutationVariables = Exact<{
  id: string | number;
  store: string | number;
  product: string | number;
  quantity: number;
}>;


export type PickItemMutation = { readonly pickItem: { readonly position: string, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> } | null } };

export type CompleteListMutationVariables = Exact<{
  id: string | number;
  shortages: ReadonlyArray<ShortageInput> | ShortageInput;
}>;


export type CompleteListMutation = { readonly completeShoppingList: { readonly position: string, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly location: string, readonly store: { readonly id: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly quantity: number, readonly picked: number }> }> } | null } };

export type PulseSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type PulseSubscription = { readonly projectionsChanged: ReadonlyArray<{ readonly name: string, readonly position: string, readonly lag: number, readonly parked: number, readonly rebuilding: number | null, readonly rebuild: { readonly state: RebuildState, readonly done: string, readonly total: string, readonly attempts: number, readonly error: string | null, readonly requestedAt: string, readonly endedAt: string | null } | null }> };

export type MachineryQueryVariables = Exact<{ [key: string]: never; }>;


export type MachineryQuery = { readonly consumers: ReadonlyArray<{ readonly name: string, readonly position: string, readonly lag: number }>, readonly relay: { readonly state: RelayState, readonly reason: string | null, readonly position: string, readonly lag: number } | null };

export type SagasQueryVariables = Exact<{ [key: string]: never; }>;


export type SagasQuery = { readonly sagaStateCounts: ReadonlyArray<{ readonly state: SagaState, readonly count: number }>, readonly stuck: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly state: SagaState, readonly startedAt: string, readonly refusal: string | null, readonly order: { readonly id: string, readonly status: OrderStatus }, readonly steps: ReadonlyArray<{ readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly nextAttemptAt: string | null, readonly reason: string | null }> }> }, readonly moving: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly state: SagaState, readonly startedAt: string, readonly refusal: string | null, readonly order: { readonly id: string, readonly status: OrderStatus }, readonly steps: ReadonlyArray<{ readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly nextAttemptAt: string | null, readonly reason: string | null }> }> }, readonly ended: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly state: SagaState, readonly startedAt: string, readonly endedAt: string | null }> } };

export type SagaLineFragment = { readonly id: string, readonly name: string, readonly state: SagaState, readonly startedAt: string, readonly refusal: string | null, readonly order: { readonly id: string, readonly status: OrderStatus }, readonly steps: ReadonlyArray<{ readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly nextAttemptAt: string | null, readonly reason: string | null }> };

export type DeadLettersSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type DeadLettersSubscription = { readonly deadLettersChanged: ReadonlyArray<{ readonly id: string, readonly consumer: string, readonly key: string, readonly messageName: string, readonly reason: string, readonly attempts: number, readonly firstFailedAt: string, readonly blocked: number, readonly payload: string }> };

export type RetrySagaMutationVariables = Exact<{
  id: string | number;
}>;


export type RetrySagaMutation = { readonly retrySaga: { readonly position: string, readonly saga: { readonly id: string, readonly state: SagaState } | null } };

export type RetryDeadLetterMutationVariables = Exact<{
  id: string | number;
  payload?: string | null | undefined;
}>;


export type RetryDeadLetterMutation = { readonly retryDeadLetter: { readonly deadLetterId: string, readonly position: string } };

export type DiscardDeadLetterMutationVariables = Exact<{
  id: string | number;
}>;


export type DiscardDeadLetterMutation = { readonly discardDeadLetter: { readonly deadLetterId: string, readonly position: string } };

export type RebuildMutationVariables = Exact<{
  name: string;
}>;


export type RebuildMutation = { readonly rebuildProjection: { readonly position: string, readonly projection: { readonly name: string, readonly rebuilding: number | null } } };

export type LedgerLineFragment = { readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null };

export type LedgerPageQueryVariables = Exact<{
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type LedgerPageQuery = { readonly ledger: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type HistoryQueryVariables = Exact<{
  id: string | number;
  after?: string | null | undefined;
}>;


export type HistoryQuery = { readonly history: { readonly nodes: ReadonlyArray<{ readonly payload: string, readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type LedgerMessageQueryVariables = Exact<{
  id: string | number;
}>;


export type LedgerMessageQuery = { readonly ledgerEvent: { readonly payload: string, readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null, readonly cause: { readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null, readonly cause: { readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null } | null } | null, readonly effects: ReadonlyArray<{ readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null, readonly effects: ReadonlyArray<{ readonly id: string, readonly kind: LedgerEventKind, readonly position: string, readonly stream: string, readonly version: number, readonly name: string, readonly at: string, readonly actor: string | null, readonly causationId: string | null, readonly correlationId: string | null }> }> } | null };

export type OrderRowFragment = { readonly id: string, readonly status: OrderStatus, readonly createdAt: string, readonly updatedAt: string, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly customer: { readonly id: string, readonly name: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly storeId: string, readonly storeName: string, readonly quantity: number }> };

export type StepFragment = { readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly startedAt: string | null, readonly endedAt: string | null, readonly nextAttemptAt: string | null, readonly reason: string | null };

export type SagaPictureFragment = { readonly id: string, readonly name: string, readonly state: SagaState, readonly startedAt: string, readonly endedAt: string | null, readonly refusal: string | null, readonly steps: ReadonlyArray<{ readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly startedAt: string | null, readonly endedAt: string | null, readonly nextAttemptAt: string | null, readonly reason: string | null }> };

export type OrdersQueryVariables = Exact<{
  filter?: OrderFilter | null | undefined;
  sort?: OrderSort | null | undefined;
  first?: number | null | undefined;
  after?: string | null | undefined;
}>;


export type OrdersQuery = { readonly orders: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly status: OrderStatus, readonly createdAt: string, readonly updatedAt: string, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly customer: { readonly id: string, readonly name: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly storeId: string, readonly storeName: string, readonly quantity: number }> }>, readonly pageInfo: { readonly hasNextPage: boolean, readonly endCursor: string | null } } };

export type OrderCountsQueryVariables = Exact<{
  filter?: OrderFilter | null | undefined;
}>;


export type OrderCountsQuery = { readonly orderStatusCounts: ReadonlyArray<{ readonly status: OrderStatus, readonly count: number }> };

export type OrdersLiveSubscriptionVariables = Exact<{
  filter?: OrderFilter | null | undefined;
}>;


export type OrdersLiveSubscription = { readonly ordersChanged: { readonly id: string, readonly status: OrderStatus, readonly createdAt: string, readonly updatedAt: string, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly customer: { readonly id: string, readonly name: string }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly storeId: string, readonly storeName: string, readonly quantity: number }> } };

export type OrderWholeQueryVariables = Exact<{
  id: string | number;
}>;


export type OrderWholeQuery = { readonly order: { readonly id: string, readonly status: OrderStatus, readonly createdAt: string, readonly updatedAt: string, readonly rejectionReason: string | null, readonly cancellationReason: string | null, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly customer: { readonly id: string, readonly name: string, readonly smsNumber: string, readonly enabled: boolean }, readonly items: ReadonlyArray<{ readonly productId: string, readonly productName: string, readonly storeName: string, readonly quantity: number, readonly price: { readonly amount: string }, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode } }>, readonly payment: { readonly id: string, readonly status: PaymentStatus, readonly amount: { readonly amount: string, readonly currency: CurrencyCode } } | null, readonly invoice: { readonly id: string, readonly status: InvoiceStatus, readonly amount: { readonly amount: string, readonly currency: CurrencyCode } } | null, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly id: string, readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly items: ReadonlyArray<{ readonly productName: string, readonly quantity: number, readonly picked: number }> }> } | null } | null };

export type OrderAsOfQueryVariables = Exact<{
  id: string | number;
  asOf: string;
}>;


export type OrderAsOfQuery = { readonly order: { readonly id: string, readonly status: OrderStatus, readonly updatedAt: string, readonly rejectionReason: string | null, readonly cancellationReason: string | null, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly items: ReadonlyArray<{ readonly productName: string, readonly storeName: string, readonly quantity: number, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode } }> } | null };

export type OrderLifeSubscriptionVariables = Exact<{
  order: string | number;
  after?: string | null | undefined;
}>;


export type OrderLifeSubscription = { readonly orderProgress: { readonly cursor: string, readonly at: string, readonly kind: OrderProgressKind, readonly title: string, readonly status: OrderStatus, readonly sagaStep: { readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly reason: string | null } | null } };

export type SagaLifeSubscriptionVariables = Exact<{
  order: string | number;
  after?: string | null | undefined;
}>;


export type SagaLifeSubscription = { readonly sagaProgress: { readonly cursor: string, readonly at: string, readonly saga: { readonly id: string, readonly name: string, readonly state: SagaState, readonly startedAt: string, readonly endedAt: string | null, readonly refusal: string | null, readonly steps: ReadonlyArray<{ readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly startedAt: string | null, readonly endedAt: string | null, readonly nextAttemptAt: string | null, readonly reason: string | null }> } } };

export type CancelOrderMutationVariables = Exact<{
  id: string | number;
  reason: string;
}>;


export type CancelOrderMutation = { readonly cancelOrder: { readonly position: string } };

export type PayInvoiceMutationVariables = Exact<{
  id: string | number;
}>;


export type PayInvoiceMutation = { readonly payInvoice: { readonly position: string, readonly invoice: { readonly id: string, readonly status: InvoiceStatus } | null } };

export type OpenStoresQueryVariables = Exact<{ [key: string]: never; }>;


export type OpenStoresQuery = { readonly stores: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly location: string, readonly products: { readonly nodes: ReadonlyArray<{ readonly id: string }> } }> } };

export type ShelfSubscriptionVariables = Exact<{
  store: string | number;
}>;


export type ShelfSubscription = { readonly productsChanged: { readonly id: string, readonly name: string, readonly description: string, readonly sku: string, readonly removed: boolean, readonly price: { readonly amount: string, readonly currency: CurrencyCode } } };

export type FindProductsQueryVariables = Exact<{
  text: string;
}>;


export type FindProductsQuery = { readonly products: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly description: string, readonly sku: string, readonly removed: boolean, readonly price: { readonly amount: string, readonly currency: CurrencyCode }, readonly store: { readonly id: string, readonly name: string, readonly participating: boolean } }> } };

export type CustomersQueryVariables = Exact<{
  text?: string | null | undefined;
}>;


export type CustomersQuery = { readonly customers: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly smsNumber: string, readonly enabled: boolean }> } };

export type RegisterCustomerMutationVariables = Exact<{
  id: string | number;
  name: string;
  smsNumber: string;
}>;


export type RegisterCustomerMutation = { readonly registerCustomer: { readonly position: string, readonly customer: { readonly id: string, readonly name: string, readonly enabled: boolean } | null } };

export type BasketWholeFragment = { readonly id: string, readonly status: BasketStatus, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly items: ReadonlyArray<{ readonly productName: string, readonly storeName: string, readonly quantity: number, readonly price: { readonly amount: string }, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode }, readonly product: { readonly id: string, readonly removed: boolean, readonly price: { readonly amount: string } } }> };

export type BasketNowQueryVariables = Exact<{
  id: string | number;
}>;


export type BasketNowQuery = { readonly basket: { readonly id: string, readonly status: BasketStatus, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly items: ReadonlyArray<{ readonly productName: string, readonly storeName: string, readonly quantity: number, readonly price: { readonly amount: string }, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode }, readonly product: { readonly id: string, readonly removed: boolean, readonly price: { readonly amount: string } } }> } | null };

export type BasketLiveSubscriptionVariables = Exact<{
  id: string | number;
}>;


export type BasketLiveSubscription = { readonly basketChanged: { readonly id: string, readonly status: BasketStatus, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly items: ReadonlyArray<{ readonly productName: string, readonly storeName: string, readonly quantity: number, readonly price: { readonly amount: string }, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode }, readonly product: { readonly id: string, readonly removed: boolean, readonly price: { readonly amount: string } } }> } };

export type StartBasketMutationVariables = Exact<{
  id: string | number;
  customer: string | number;
}>;


export type StartBasketMutation = { readonly startBasket: { readonly position: string } };

export type AddItemMutationVariables = Exact<{
  basket: string | number;
  product: string | number;
  quantity: number;
}>;


export type AddItemMutation = { readonly addBasketItem: { readonly position: string, readonly basket: { readonly id: string, readonly status: BasketStatus, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly items: ReadonlyArray<{ readonly productName: string, readonly storeName: string, readonly quantity: number, readonly price: { readonly amount: string }, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode }, readonly product: { readonly id: string, readonly removed: boolean, readonly price: { readonly amount: string } } }> } | null } };

export type RemoveItemMutationVariables = Exact<{
  basket: string | number;
  product: string | number;
  quantity: number;
}>;


export type RemoveItemMutation = { readonly removeBasketItem: { readonly position: string, readonly basket: { readonly id: string, readonly status: BasketStatus, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly items: ReadonlyArray<{ readonly productName: string, readonly storeName: string, readonly quantity: number, readonly price: { readonly amount: string }, readonly lineTotal: { readonly amount: string, readonly currency: CurrencyCode }, readonly product: { readonly id: string, readonly removed: boolean, readonly price: { readonly amount: string } } }> } | null } };

export type AuthorizePaymentMutationVariables = Exact<{
  id: string | number;
  customer: string | number;
  amount: string | number;
}>;


export type AuthorizePaymentMutation = { readonly authorizePayment: { readonly position: string, readonly payment: { readonly id: string, readonly status: PaymentStatus } | null } };

export type CheckoutMutationVariables = Exact<{
  basket: string | number;
  payment: string | number;
  acceptPriceChanges: boolean;
}>;


export type CheckoutMutation = { readonly checkoutBasket: { readonly orderId: string, readonly position: string } };

export type AllStoresQueryVariables = Exact<{
  text?: string | null | undefined;
}>;


export type AllStoresQuery = { readonly stores: { readonly nodes: ReadonlyArray<{ readonly id: string, readonly name: string, readonly location: string, readonly participating: boolean, readonly products: { readonly nodes: ReadonlyArray<{ readonly id: string }> } }> } };

export type CreateStoreMutationVariables = Exact<{
  id: string | number;
  name: string;
  location: string;
}>;


export type CreateStoreMutation = { readonly createStore: { readonly position: string, readonly store: { readonly id: string } | null } };

export type RebrandStoreMutationVariables = Exact<{
  id: string | number;
  name: string;
}>;


export type RebrandStoreMutation = { readonly rebrandStore: { readonly position: string, readonly store: { readonly id: string, readonly name: string } | null } };

export type EnableStoreMutationVariables = Exact<{
  id: string | number;
}>;


export type EnableStoreMutation = { readonly enableStoreParticipation: { readonly position: string, readonly store: { readonly id: string, readonly participating: boolean } | null } };

export type DisableStoreMutationVariables = Exact<{
  id: string | number;
}>;


export type DisableStoreMutation = { readonly disableStoreParticipation: { readonly position: string, readonly store: { readonly id: string, readonly participating: boolean } | null } };

export type AddProductMutationVariables = Exact<{
  store: string | number;
  id: string | number;
  name: string;
  description: string;
  sku: string;
  price: string | number;
}>;


export type AddProductMutation = { readonly addProduct: { readonly position: string, readonly product: { readonly id: string } | null } };

export type RebrandProductMutationVariables = Exact<{
  id: string | number;
  name: string;
  description: string;
}>;


export type RebrandProductMutation = { readonly rebrandProduct: { readonly position: string, readonly product: { readonly id: string } | null } };

export type IncreasePriceMutationVariables = Exact<{
  id: string | number;
  price: string | number;
}>;


export type IncreasePriceMutation = { readonly increaseProductPrice: { readonly position: string, readonly product: { readonly id: string } | null } };

export type DecreasePriceMutationVariables = Exact<{
  id: string | number;
  price: string | number;
}>;


export type DecreasePriceMutation = { readonly decreaseProductPrice: { readonly position: string, readonly product: { readonly id: string } | null } };

export type RemoveProductMutationVariables = Exact<{
  id: string | number;
}>;


export type RemoveProductMutation = { readonly removeProduct: { readonly position: string, readonly product: { readonly id: string } | null } };

export class TypedDocumentString<TResult, TVariables>
  extends String
  implements DocumentTypeDecoration<TResult, TVariables>
{
  __apiType?: NonNullable<DocumentTypeDecoration<TResult, TVariables>['__apiType']>;
  private value: string;
  public __meta__?: Record<string, any> | undefined;

  constructor(value: string, __meta__?: Record<string, any> | undefined) {
    super(value);
    this.value = value;
    this.__meta__ = __meta__;
  }

  override toString(): string & DocumentTypeDecoration<TResult, TVariables> {
    return this.value;
  }
}
export const ListCardFragmentDoc = new TypedDocumentString(`
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}
    `, {"fragmentName":"ListCard"}) as unknown as TypedDocumentString<ListCardFragment, unknown>;
export const SagaLineFragmentDoc = new TypedDocumentString(`
    fragment SagaLine on Saga {
  id
  name
  state
  startedAt
  refusal
  order {
    id
    status
  }
  steps {
    name
    state
    attempts
    nextAttemptAt
    reason
  }
}
    `, {"fragmentName":"SagaLine"}) as unknown as TypedDocumentString<SagaLineFragment, unknown>;
export const LedgerLineFragmentDoc = new TypedDocumentString(`
    fragment LedgerLine on LedgerEvent {
  id
  kind
  position
  stream
  version
  name
  at
  actor
  causationId
  correlationId
}
    `, {"fragmentName":"LedgerLine"}) as unknown as TypedDocumentString<LedgerLineFragment, unknown>;
export const OrderRowFragmentDoc = new TypedDocumentString(`
    fragment OrderRow on Order {
  id
  status
  createdAt
  updatedAt
  total {
    amount
    currency
  }
  customer {
    id
    name
  }
  items {
    productId
    productName
    storeId
    storeName
    quantity
  }
}
    `, {"fragmentName":"OrderRow"}) as unknown as TypedDocumentString<OrderRowFragment, unknown>;
export const StepFragmentDoc = new TypedDocumentString(`
    fragment Step on SagaStep {
  name
  state
  attempts
  startedAt
  endedAt
  nextAttemptAt
  reason
}
    `, {"fragmentName":"Step"}) as unknown as TypedDocumentString<StepFragment, unknown>;
export const SagaPictureFragmentDoc = new TypedDocumentString(`
    fragment SagaPicture on Saga {
  id
  name
  state
  startedAt
  endedAt
  refusal
  steps {
    ...Step
  }
}
    fragment Step on SagaStep {
  name
  state
  attempts
  startedAt
  endedAt
  nextAttemptAt
  reason
}`, {"fragmentName":"SagaPicture"}) as unknown as TypedDocumentString<SagaPictureFragment, unknown>;
export const BasketWholeFragmentDoc = new TypedDocumentString(`
    fragment BasketWhole on Basket {
  id
  status
  total {
    amount
    currency
  }
  items {
    productName
    storeName
    quantity
    price {
      amount
    }
    lineTotal {
      amount
      currency
    }
    product {
      id
      removed
      price {
        amount
      }
    }
  }
}
    `, {"fragmentName":"BasketWhole"}) as unknown as TypedDocumentString<BasketWholeFragment, unknown>;
export const ListsDocument = new TypedDocumentString(`
    query Lists($statuses: [ShoppingListStatus!], $first: Int, $after: Cursor) {
  shoppingLists(statuses: $statuses, first: $first, after: $after) {
    nodes {
      ...ListCard
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<ListsQuery, ListsQueryVariables>;
export const RecentlyDoneDocument = new TypedDocumentString(`
    query RecentlyDone {
  shoppingLists(last: 12, statuses: [COMPLETED]) {
    nodes {
      ...ListCard
    }
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<RecentlyDoneQuery, RecentlyDoneQueryVariables>;
export const ListsLiveDocument = new TypedDocumentString(`
    subscription ListsLive {
  shoppingListsChanged {
    ...ListCard
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<ListsLiveSubscription, ListsLiveSubscriptionVariables>;
export const BotsLiveDocument = new TypedDocumentString(`
    subscription BotsLive {
  botsChanged {
    id
    name
    status
  }
}
    `) as unknown as TypedDocumentString<BotsLiveSubscription, BotsLiveSubscriptionVariables>;
export const RegisterBotDocument = new TypedDocumentString(`
    mutation RegisterBot($id: ID!, $name: String!) {
  registerBot(input: {id: $id, name: $name}) {
    bot {
      id
      name
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RegisterBotMutation, RegisterBotMutationVariables>;
export const BringBotOnlineDocument = new TypedDocumentString(`
    mutation BringBotOnline($id: ID!) {
  bringBotOnline(input: {id: $id}) {
    bot {
      id
      name
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<BringBotOnlineMutation, BringBotOnlineMutationVariables>;
export const TakeBotOfflineDocument = new TypedDocumentString(`
    mutation TakeBotOffline($id: ID!) {
  takeBotOffline(input: {id: $id}) {
    bot {
      id
      name
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<TakeBotOfflineMutation, TakeBotOfflineMutationVariables>;
export const AssignListDocument = new TypedDocumentString(`
    mutation AssignList($id: ID!, $bot: ID!) {
  assignShoppingList(input: {id: $id, botId: $bot}) {
    shoppingList {
      ...ListCard
    }
    position
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<AssignListMutation, AssignListMutationVariables>;
export const StartShoppingDocument = new TypedDocumentString(`
    mutation StartShopping($id: ID!) {
  startShopping(input: {id: $id}) {
    shoppingList {
      ...ListCard
    }
    position
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<StartShoppingMutation, StartShoppingMutationVariables>;
export const PickItemDocument = new TypedDocumentString(`
    mutation PickItem($id: ID!, $store: ID!, $product: ID!, $quantity: Int!) {
  pickItem(
    input: {id: $id, storeId: $store, productId: $product, quantity: $quantity}
  ) {
    shoppingList {
      ...ListCard
    }
    position
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<PickItemMutation, PickItemMutationVariables>;
export const CompleteListDocument = new TypedDocumentString(`
    mutation CompleteList($id: ID!, $shortages: [ShortageInput!]!) {
  completeShoppingList(input: {id: $id, shortages: $shortages}) {
    shoppingList {
      ...ListCard
    }
    position
  }
}
    fragment ListCard on ShoppingList {
  id
  status
  bot {
    id
    name
  }
  stops {
    storeName
    location
    store {
      id
    }
    items {
      productId
      productName
      quantity
      picked
    }
  }
}`) as unknown as TypedDocumentString<CompleteListMutation, CompleteListMutationVariables>;
export const PulseDocument = new TypedDocumentString(`
    subscription Pulse {
  projectionsChanged {
    name
    position
    lag
    parked
    rebuilding
    rebuild {
      state
      done
      total
      attempts
      error
      requestedAt
      endedAt
    }
  }
}
    `) as unknown as TypedDocumentString<PulseSubscription, PulseSubscriptionVariables>;
export const MachineryDocument = new TypedDocumentString(`
    query Machinery {
  consumers {
    name
    position
    lag
  }
  relay {
    state
    reason
    position
    lag
  }
}
    `) as unknown as TypedDocumentString<MachineryQuery, MachineryQueryVariables>;
export const SagasDocument = new TypedDocumentString(`
    query Sagas {
  sagaStateCounts {
    state
    count
  }
  stuck: sagas(first: 20, states: [STUCK]) {
    nodes {
      ...SagaLine
    }
  }
  moving: sagas(first: 20, states: [RUNNING, COMPENSATING]) {
    nodes {
      ...SagaLine
    }
  }
  ended: sagas(first: 60, states: [COMPLETED, COMPENSATED]) {
    nodes {
      id
      state
      startedAt
      endedAt
    }
  }
}
    fragment SagaLine on Saga {
  id
  name
  state
  startedAt
  refusal
  order {
    id
    status
  }
  steps {
    name
    state
    attempts
    nextAttemptAt
    reason
  }
}`) as unknown as TypedDocumentString<SagasQuery, SagasQueryVariables>;
export const DeadLettersDocument = new TypedDocumentString(`
    subscription DeadLetters {
  deadLettersChanged {
    id
    consumer
    key
    messageName
    reason
    attempts
    firstFailedAt
    blocked
    payload
  }
}
    `) as unknown as TypedDocumentString<DeadLettersSubscription, DeadLettersSubscriptionVariables>;
export const RetrySagaDocument = new TypedDocumentString(`
    mutation RetrySaga($id: ID!) {
  retrySaga(input: {id: $id}) {
    saga {
      id
      state
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RetrySagaMutation, RetrySagaMutationVariables>;
export const RetryDeadLetterDocument = new TypedDocumentString(`
    mutation RetryDeadLetter($id: ID!, $payload: String) {
  retryDeadLetter(input: {id: $id, payload: $payload}) {
    deadLetterId
    position
  }
}
    `) as unknown as TypedDocumentString<RetryDeadLetterMutation, RetryDeadLetterMutationVariables>;
export const DiscardDeadLetterDocument = new TypedDocumentString(`
    mutation DiscardDeadLetter($id: ID!) {
  discardDeadLetter(input: {id: $id}) {
    deadLetterId
    position
  }
}
    `) as unknown as TypedDocumentString<DiscardDeadLetterMutation, DiscardDeadLetterMutationVariables>;
export const RebuildDocument = new TypedDocumentString(`
    mutation Rebuild($name: String!) {
  rebuildProjection(input: {name: $name}) {
    projection {
      name
      rebuilding
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RebuildMutation, RebuildMutationVariables>;
export const LedgerPageDocument = new TypedDocumentString(`
    query LedgerPage($first: Int, $after: Cursor) {
  ledger(first: $first, after: $after) {
    nodes {
      ...LedgerLine
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment LedgerLine on LedgerEvent {
  id
  kind
  position
  stream
  version
  name
  at
  actor
  causationId
  correlationId
}`) as unknown as TypedDocumentString<LedgerPageQuery, LedgerPageQueryVariables>;
export const HistoryDocument = new TypedDocumentString(`
    query History($id: ID!, $after: Cursor) {
  history(id: $id, first: 100, after: $after) {
    nodes {
      ...LedgerLine
      payload
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment LedgerLine on LedgerEvent {
  id
  kind
  position
  stream
  version
  name
  at
  actor
  causationId
  correlationId
}`) as unknown as TypedDocumentString<HistoryQuery, HistoryQueryVariables>;
export const LedgerMessageDocument = new TypedDocumentString(`
    query LedgerMessage($id: ID!) {
  ledgerEvent(id: $id) {
    ...LedgerLine
    payload
    cause {
      ...LedgerLine
      cause {
        ...LedgerLine
      }
    }
    effects {
      ...LedgerLine
      effects {
        ...LedgerLine
      }
    }
  }
}
    fragment LedgerLine on LedgerEvent {
  id
  kind
  position
  stream
  version
  name
  at
  actor
  causationId
  correlationId
}`) as unknown as TypedDocumentString<LedgerMessageQuery, LedgerMessageQueryVariables>;
export const OrdersDocument = new TypedDocumentString(`
    query Orders($filter: OrderFilter, $sort: OrderSort, $first: Int, $after: Cursor) {
  orders(filter: $filter, sort: $sort, first: $first, after: $after) {
    nodes {
      ...OrderRow
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
    fragment OrderRow on Order {
  id
  status
  createdAt
  updatedAt
  total {
    amount
    currency
  }
  customer {
    id
    name
  }
  items {
    productId
    productName
    storeId
    storeName
    quantity
  }
}`) as unknown as TypedDocumentString<OrdersQuery, OrdersQueryVariables>;
export const OrderCountsDocument = new TypedDocumentString(`
    query OrderCounts($filter: OrderFilter) {
  orderStatusCounts(filter: $filter) {
    status
    count
  }
}
    `) as unknown as TypedDocumentString<OrderCountsQuery, OrderCountsQueryVariables>;
export const OrdersLiveDocument = new TypedDocumentString(`
    subscription OrdersLive($filter: OrderFilter) {
  ordersChanged(filter: $filter) {
    ...OrderRow
  }
}
    fragment OrderRow on Order {
  id
  status
  createdAt
  updatedAt
  total {
    amount
    currency
  }
  customer {
    id
    name
  }
  items {
    productId
    productName
    storeId
    storeName
    quantity
  }
}`) as unknown as TypedDocumentString<OrdersLiveSubscription, OrdersLiveSubscriptionVariables>;
export const OrderWholeDocument = new TypedDocumentString(`
    query OrderWhole($id: ID!) {
  order(id: $id) {
    id
    status
    createdAt
    updatedAt
    rejectionReason
    cancellationReason
    total {
      amount
      currency
    }
    customer {
      id
      name
      smsNumber
      enabled
    }
    items {
      productId
      productName
      storeName
      quantity
      price {
        amount
      }
      lineTotal {
        amount
        currency
      }
    }
    payment {
      id
      status
      amount {
        amount
        currency
      }
    }
    invoice {
      id
      status
      amount {
        amount
        currency
      }
    }
    shoppingList {
      id
      status
      bot {
        id
        name
      }
      stops {
        storeName
        items {
          productName
          quantity
          picked
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<OrderWholeQuery, OrderWholeQueryVariables>;
export const OrderAsOfDocument = new TypedDocumentString(`
    query OrderAsOf($id: ID!, $asOf: DateTime!) {
  order(id: $id, asOf: $asOf) {
    id
    status
    updatedAt
    rejectionReason
    cancellationReason
    total {
      amount
      currency
    }
    items {
      productName
      storeName
      quantity
      lineTotal {
        amount
        currency
      }
    }
  }
}
    `) as unknown as TypedDocumentString<OrderAsOfQuery, OrderAsOfQueryVariables>;
export const OrderLifeDocument = new TypedDocumentString(`
    subscription OrderLife($order: ID!, $after: Cursor) {
  orderProgress(orderId: $order, after: $after) {
    cursor
    at
    kind
    title
    status
    sagaStep {
      name
      state
      attempts
      reason
    }
  }
}
    `) as unknown as TypedDocumentString<OrderLifeSubscription, OrderLifeSubscriptionVariables>;
export const SagaLifeDocument = new TypedDocumentString(`
    subscription SagaLife($order: ID!, $after: Cursor) {
  sagaProgress(orderId: $order, after: $after) {
    cursor
    at
    saga {
      ...SagaPicture
    }
  }
}
    fragment Step on SagaStep {
  name
  state
  attempts
  startedAt
  endedAt
  nextAttemptAt
  reason
}
fragment SagaPicture on Saga {
  id
  name
  state
  startedAt
  endedAt
  refusal
  steps {
    ...Step
  }
}`) as unknown as TypedDocumentString<SagaLifeSubscription, SagaLifeSubscriptionVariables>;
export const CancelOrderDocument = new TypedDocumentString(`
    mutation CancelOrder($id: ID!, $reason: String!) {
  cancelOrder(input: {id: $id, reason: $reason}) {
    position
  }
}
    `) as unknown as TypedDocumentString<CancelOrderMutation, CancelOrderMutationVariables>;
export const PayInvoiceDocument = new TypedDocumentString(`
    mutation PayInvoice($id: ID!) {
  payInvoice(input: {id: $id}) {
    invoice {
      id
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<PayInvoiceMutation, PayInvoiceMutationVariables>;
export const OpenStoresDocument = new TypedDocumentString(`
    query OpenStores {
  stores(first: 100, participating: true) {
    nodes {
      id
      name
      location
      products(first: 1) {
        nodes {
          id
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<OpenStoresQuery, OpenStoresQueryVariables>;
export const ShelfDocument = new TypedDocumentString(`
    subscription Shelf($store: ID!) {
  productsChanged(storeId: $store) {
    id
    name
    description
    sku
    removed
    price {
      amount
      currency
    }
  }
}
    `) as unknown as TypedDocumentString<ShelfSubscription, ShelfSubscriptionVariables>;
export const FindProductsDocument = new TypedDocumentString(`
    query FindProducts($text: String!) {
  products(first: 60, text: $text) {
    nodes {
      id
      name
      description
      sku
      removed
      price {
        amount
        currency
      }
      store {
        id
        name
        participating
      }
    }
  }
}
    `) as unknown as TypedDocumentString<FindProductsQuery, FindProductsQueryVariables>;
export const CustomersDocument = new TypedDocumentString(`
    query Customers($text: String) {
  customers(first: 50, text: $text) {
    nodes {
      id
      name
      smsNumber
      enabled
    }
  }
}
    `) as unknown as TypedDocumentString<CustomersQuery, CustomersQueryVariables>;
export const RegisterCustomerDocument = new TypedDocumentString(`
    mutation RegisterCustomer($id: ID!, $name: String!, $smsNumber: String!) {
  registerCustomer(input: {id: $id, name: $name, smsNumber: $smsNumber}) {
    customer {
      id
      name
      enabled
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RegisterCustomerMutation, RegisterCustomerMutationVariables>;
export const BasketNowDocument = new TypedDocumentString(`
    query BasketNow($id: ID!) {
  basket(id: $id) {
    ...BasketWhole
  }
}
    fragment BasketWhole on Basket {
  id
  status
  total {
    amount
    currency
  }
  items {
    productName
    storeName
    quantity
    price {
      amount
    }
    lineTotal {
      amount
      currency
    }
    product {
      id
      removed
      price {
        amount
      }
    }
  }
}`) as unknown as TypedDocumentString<BasketNowQuery, BasketNowQueryVariables>;
export const BasketLiveDocument = new TypedDocumentString(`
    subscription BasketLive($id: ID!) {
  basketChanged(id: $id) {
    ...BasketWhole
  }
}
    fragment BasketWhole on Basket {
  id
  status
  total {
    amount
    currency
  }
  items {
    productName
    storeName
    quantity
    price {
      amount
    }
    lineTotal {
      amount
      currency
    }
    product {
      id
      removed
      price {
        amount
      }
    }
  }
}`) as unknown as TypedDocumentString<BasketLiveSubscription, BasketLiveSubscriptionVariables>;
export const StartBasketDocument = new TypedDocumentString(`
    mutation StartBasket($id: ID!, $customer: ID!) {
  startBasket(input: {id: $id, customerId: $customer}) {
    position
  }
}
    `) as unknown as TypedDocumentString<StartBasketMutation, StartBasketMutationVariables>;
export const AddItemDocument = new TypedDocumentString(`
    mutation AddItem($basket: ID!, $product: ID!, $quantity: Int!) {
  addBasketItem(input: {id: $basket, productId: $product, quantity: $quantity}) {
    basket {
      ...BasketWhole
    }
    position
  }
}
    fragment BasketWhole on Basket {
  id
  status
  total {
    amount
    currency
  }
  items {
    productName
    storeName
    quantity
    price {
      amount
    }
    lineTotal {
      amount
      currency
    }
    product {
      id
      removed
      price {
        amount
      }
    }
  }
}`) as unknown as TypedDocumentString<AddItemMutation, AddItemMutationVariables>;
export const RemoveItemDocument = new TypedDocumentString(`
    mutation RemoveItem($basket: ID!, $product: ID!, $quantity: Int!) {
  removeBasketItem(input: {id: $basket, productId: $product, quantity: $quantity}) {
    basket {
      ...BasketWhole
    }
    position
  }
}
    fragment BasketWhole on Basket {
  id
  status
  total {
    amount
    currency
  }
  items {
    productName
    storeName
    quantity
    price {
      amount
    }
    lineTotal {
      amount
      currency
    }
    product {
      id
      removed
      price {
        amount
      }
    }
  }
}`) as unknown as TypedDocumentString<RemoveItemMutation, RemoveItemMutationVariables>;
export const AuthorizePaymentDocument = new TypedDocumentString(`
    mutation AuthorizePayment($id: ID!, $customer: ID!, $amount: Decimal!) {
  authorizePayment(input: {id: $id, customerId: $customer, amount: $amount}) {
    payment {
      id
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<AuthorizePaymentMutation, AuthorizePaymentMutationVariables>;
export const CheckoutDocument = new TypedDocumentString(`
    mutation Checkout($basket: ID!, $payment: ID!, $acceptPriceChanges: Boolean!) {
  checkoutBasket(
    input: {id: $basket, paymentId: $payment, acceptPriceChanges: $acceptPriceChanges}
  ) {
    orderId
    position
  }
}
    `) as unknown as TypedDocumentString<CheckoutMutation, CheckoutMutationVariables>;
export const AllStoresDocument = new TypedDocumentString(`
    query AllStores($text: String) {
  stores(first: 100, text: $text) {
    nodes {
      id
      name
      location
      participating
      products(first: 1) {
        nodes {
          id
        }
      }
    }
  }
}
    `) as unknown as TypedDocumentString<AllStoresQuery, AllStoresQueryVariables>;
export const CreateStoreDocument = new TypedDocumentString(`
    mutation CreateStore($id: ID!, $name: String!, $location: String!) {
  createStore(input: {id: $id, name: $name, location: $location}) {
    store {
      id
    }
    position
  }
}
    `) as unknown as TypedDocumentString<CreateStoreMutation, CreateStoreMutationVariables>;
export const RebrandStoreDocument = new TypedDocumentString(`
    mutation RebrandStore($id: ID!, $name: String!) {
  rebrandStore(input: {id: $id, name: $name}) {
    store {
      id
      name
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RebrandStoreMutation, RebrandStoreMutationVariables>;
export const EnableStoreDocument = new TypedDocumentString(`
    mutation EnableStore($id: ID!) {
  enableStoreParticipation(input: {id: $id}) {
    store {
      id
      participating
    }
    position
  }
}
    `) as unknown as TypedDocumentString<EnableStoreMutation, EnableStoreMutationVariables>;
export const DisableStoreDocument = new TypedDocumentString(`
    mutation DisableStore($id: ID!) {
  disableStoreParticipation(input: {id: $id}) {
    store {
      id
      participating
    }
    position
  }
}
    `) as unknown as TypedDocumentString<DisableStoreMutation, DisableStoreMutationVariables>;
export const AddProductDocument = new TypedDocumentString(`
    mutation AddProduct($store: ID!, $id: ID!, $name: String!, $description: String!, $sku: String!, $price: Decimal!) {
  addProduct(
    input: {storeId: $store, id: $id, name: $name, description: $description, sku: $sku, price: $price}
  ) {
    product {
      id
    }
    position
  }
}
    `) as unknown as TypedDocumentString<AddProductMutation, AddProductMutationVariables>;
export const RebrandProductDocument = new TypedDocumentString(`
    mutation RebrandProduct($id: ID!, $name: String!, $description: String!) {
  rebrandProduct(input: {id: $id, name: $name, description: $description}) {
    product {
      id
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RebrandProductMutation, RebrandProductMutationVariables>;
export const IncreasePriceDocument = new TypedDocumentString(`
    mutation IncreasePrice($id: ID!, $price: Decimal!) {
  increaseProductPrice(input: {id: $id, price: $price}) {
    product {
      id
    }
    position
  }
}
    `) as unknown as TypedDocumentString<IncreasePriceMutation, IncreasePriceMutationVariables>;
export const DecreasePriceDocument = new TypedDocumentString(`
    mutation DecreasePrice($id: ID!, $price: Decimal!) {
  decreaseProductPrice(input: {id: $id, price: $price}) {
    product {
      id
    }
    position
  }
}
    `) as unknown as TypedDocumentString<DecreasePriceMutation, DecreasePriceMutationVariables>;
export const RemoveProductDocument = new TypedDocumentString(`
    mutation RemoveProduct($id: ID!) {
  removeProduct(input: {id: $id}) {
    product {
      id
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RemoveProductMutation, RemoveProductMutationVariables>;
