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

export type SagaProgressSubscriptionVariables = Exact<{
  order: string | number;
  after?: string | null | undefined;
}>;


export type SagaProgressSubscription = { readonly sagaProgress: { readonly cursor: string, readonly at: string, readonly state: SagaState, readonly step: { readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly reason: string | null } | null } };

export type NotificationSentSubscriptionVariables = Exact<{
  customer: string | number;
  after?: string | null | undefined;
}>;


export type NotificationSentSubscription = { readonly notificationSent: { readonly id: string, readonly kind: string, readonly text: string, readonly sentAt: string | null } };

export type OrdersChangedSubscriptionVariables = Exact<{
  filter?: OrderFilter | null | undefined;
}>;


export type OrdersChangedSubscription = { readonly ordersChanged: { readonly id: string, readonly status: OrderStatus, readonly updatedAt: string, readonly total: { readonly amount: string, readonly currency: CurrencyCode } } };

export type ShoppingListsChangedSubscriptionVariables = Exact<{
  statuses?: ReadonlyArray<ShoppingListStatus> | ShoppingListStatus | null | undefined;
}>;


export type ShoppingListsChangedSubscription = { readonly shoppingListsChanged: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly name: string } | null, readonly stops: ReadonlyArray<{ readonly storeName: string, readonly items: ReadonlyArray<{ readonly productName: string, readonly quantity: number, readonly picked: number }> }> } };

export type BotsChangedSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type BotsChangedSubscription = { readonly botsChanged: { readonly id: string, readonly name: string, readonly status: BotStatus } };

export type ProjectionsChangedSubscriptionVariables = Exact<{ [key: string]: never; }>;


export type ProjectionsChangedSubscription = { readonly projectionsChanged: ReadonlyArray<{ readonly name: string, readonly position: string, readonly lag: number, readonly parked: number, readonly rebuilding: number | null }> };

export type RegisterCustomerMutationVariables = Exact<{
  customer: string | number;
  name: string;
  smsNumber: string;
}>;


export type RegisterCustomerMutation = { readonly registerCustomer: { readonly position: string, readonly customer: { readonly id: string, readonly name: string, readonly smsNumber: string, readonly enabled: boolean } | null } };

export type OpenStoreMutationVariables = Exact<{
  store: string | number;
  name: string;
  location: string;
}>;


export type OpenStoreMutation = { readonly createStore: { readonly store: { readonly id: string, readonly name: string, readonly location: string } | null }, readonly enableStoreParticipation: { readonly position: string, readonly store: { readonly id: string, readonly participating: boolean } | null } };

export type AddProductMutationVariables = Exact<{
  store: string | number;
  product: string | number;
  name: string;
  sku: string;
  price: string | number;
}>;


export type AddProductMutation = { readonly addProduct: { readonly position: string, readonly product: { readonly id: string, readonly name: string, readonly sku: string, readonly price: { readonly amount: string, readonly currency: CurrencyCode }, readonly store: { readonly name: string } } | null } };

export type FillBasketMutationVariables = Exact<{
  customer: string | number;
  basket: string | number;
  product: string | number;
  quantity: number;
}>;


export type FillBasketMutation = { readonly startBasket: { readonly basket: { readonly id: string, readonly status: BasketStatus } | null }, readonly addBasketItem: { readonly position: string, readonly basket: { readonly items: ReadonlyArray<{ readonly productName: string, readonly quantity: number, readonly lineTotal: { readonly amount: string } }>, readonly total: { readonly amount: string, readonly currency: CurrencyCode } } | null } };

export type AuthorizePaymentMutationVariables = Exact<{
  customer: string | number;
  payment: string | number;
  amount: string | number;
}>;


export type AuthorizePaymentMutation = { readonly authorizePayment: { readonly position: string, readonly payment: { readonly id: string, readonly status: PaymentStatus, readonly amount: { readonly amount: string, readonly currency: CurrencyCode } } | null } };

export type CheckoutBasketMutationVariables = Exact<{
  basket: string | number;
  payment: string | number;
}>;


export type CheckoutBasketMutation = { readonly checkoutBasket: { readonly orderId: string, readonly position: string, readonly basket: { readonly status: BasketStatus } | null } };

export type OrderProgressSubscriptionVariables = Exact<{
  order: string | number;
  after?: string | null | undefined;
}>;


export type OrderProgressSubscription = { readonly orderProgress: { readonly cursor: string, readonly at: string, readonly kind: OrderProgressKind, readonly title: string, readonly status: OrderStatus, readonly sagaStep: { readonly name: string, readonly state: SagaStepState, readonly attempts: number, readonly reason: string | null } | null } };

export type RegisterBotMutationVariables = Exact<{
  bot: string | number;
  name: string;
}>;


export type RegisterBotMutation = { readonly registerBot: { readonly bot: { readonly id: string, readonly name: string } | null }, readonly bringBotOnline: { readonly position: string, readonly bot: { readonly id: string, readonly status: BotStatus } | null } };

export type SendBotMutationVariables = Exact<{
  list: string | number;
  bot: string | number;
}>;


export type SendBotMutation = { readonly assignShoppingList: { readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus, readonly bot: { readonly name: string } | null } | null }, readonly startShopping: { readonly position: string, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus } | null } };

export type CollectGoodsMutationVariables = Exact<{
  list: string | number;
  store: string | number;
  product: string | number;
  quantity: number;
}>;


export type CollectGoodsMutation = { readonly pickItem: { readonly shoppingList: { readonly stops: ReadonlyArray<{ readonly storeName: string, readonly items: ReadonlyArray<{ readonly productName: string, readonly quantity: number, readonly picked: number }> }> } | null }, readonly completeShoppingList: { readonly position: string, readonly shoppingList: { readonly id: string, readonly status: ShoppingListStatus } | null } };

export type PayInvoiceMutationVariables = Exact<{
  invoice: string | number;
}>;


export type PayInvoiceMutation = { readonly payInvoice: { readonly position: string, readonly invoice: { readonly id: string, readonly status: InvoiceStatus, readonly amount: { readonly amount: string, readonly currency: CurrencyCode } } | null } };

export type OrderQueryVariables = Exact<{
  order: string | number;
}>;


export type OrderQuery = { readonly order: { readonly id: string, readonly status: OrderStatus, readonly customer: { readonly name: string }, readonly items: ReadonlyArray<{ readonly productName: string, readonly quantity: number, readonly storeName: string, readonly lineTotal: { readonly amount: string } }>, readonly total: { readonly amount: string, readonly currency: CurrencyCode }, readonly payment: { readonly status: PaymentStatus } | null, readonly invoice: { readonly status: InvoiceStatus, readonly amount: { readonly amount: string } } | null, readonly shoppingList: { readonly status: ShoppingListStatus, readonly bot: { readonly name: string } | null } | null, readonly saga: { readonly name: string, readonly state: SagaState, readonly steps: ReadonlyArray<{ readonly name: string, readonly state: SagaStepState, readonly attempts: number }> } | null } | null };

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

export const SagaProgressDocument = new TypedDocumentString(`
    subscription SagaProgress($order: ID!, $after: Cursor) {
  sagaProgress(orderId: $order, after: $after) {
    cursor
    at
    state
    step {
      name
      state
      attempts
      reason
    }
  }
}
    `) as unknown as TypedDocumentString<SagaProgressSubscription, SagaProgressSubscriptionVariables>;
export const NotificationSentDocument = new TypedDocumentString(`
    subscription NotificationSent($customer: ID!, $after: Cursor) {
  notificationSent(customerId: $customer, after: $after) {
    id
    kind
    text
    sentAt
  }
}
    `) as unknown as TypedDocumentString<NotificationSentSubscription, NotificationSentSubscriptionVariables>;
export const OrdersChangedDocument = new TypedDocumentString(`
    subscription OrdersChanged($filter: OrderFilter) {
  ordersChanged(filter: $filter) {
    id
    status
    updatedAt
    total {
      amount
      currency
    }
  }
}
    `) as unknown as TypedDocumentString<OrdersChangedSubscription, OrdersChangedSubscriptionVariables>;
export const ShoppingListsChangedDocument = new TypedDocumentString(`
    subscription ShoppingListsChanged($statuses: [ShoppingListStatus!]) {
  shoppingListsChanged(statuses: $statuses) {
    id
    status
    bot {
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
    `) as unknown as TypedDocumentString<ShoppingListsChangedSubscription, ShoppingListsChangedSubscriptionVariables>;
export const BotsChangedDocument = new TypedDocumentString(`
    subscription BotsChanged {
  botsChanged {
    id
    name
    status
  }
}
    `) as unknown as TypedDocumentString<BotsChangedSubscription, BotsChangedSubscriptionVariables>;
export const ProjectionsChangedDocument = new TypedDocumentString(`
    subscription ProjectionsChanged {
  projectionsChanged {
    name
    position
    lag
    parked
    rebuilding
  }
}
    `) as unknown as TypedDocumentString<ProjectionsChangedSubscription, ProjectionsChangedSubscriptionVariables>;
export const RegisterCustomerDocument = new TypedDocumentString(`
    mutation RegisterCustomer($customer: ID!, $name: String!, $smsNumber: String!) {
  registerCustomer(input: {id: $customer, name: $name, smsNumber: $smsNumber}) {
    customer {
      id
      name
      smsNumber
      enabled
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RegisterCustomerMutation, RegisterCustomerMutationVariables>;
export const OpenStoreDocument = new TypedDocumentString(`
    mutation OpenStore($store: ID!, $name: String!, $location: String!) {
  createStore(input: {id: $store, name: $name, location: $location}) {
    store {
      id
      name
      location
    }
  }
  enableStoreParticipation(input: {id: $store}) {
    store {
      id
      participating
    }
    position
  }
}
    `) as unknown as TypedDocumentString<OpenStoreMutation, OpenStoreMutationVariables>;
export const AddProductDocument = new TypedDocumentString(`
    mutation AddProduct($store: ID!, $product: ID!, $name: String!, $sku: String!, $price: Decimal!) {
  addProduct(
    input: {storeId: $store, id: $product, name: $name, sku: $sku, price: $price}
  ) {
    product {
      id
      name
      sku
      price {
        amount
        currency
      }
      store {
        name
      }
    }
    position
  }
}
    `) as unknown as TypedDocumentString<AddProductMutation, AddProductMutationVariables>;
export const FillBasketDocument = new TypedDocumentString(`
    mutation FillBasket($customer: ID!, $basket: ID!, $product: ID!, $quantity: Int!) {
  startBasket(input: {customerId: $customer, id: $basket}) {
    basket {
      id
      status
    }
  }
  addBasketItem(input: {id: $basket, productId: $product, quantity: $quantity}) {
    basket {
      items {
        productName
        quantity
        lineTotal {
          amount
        }
      }
      total {
        amount
        currency
      }
    }
    position
  }
}
    `) as unknown as TypedDocumentString<FillBasketMutation, FillBasketMutationVariables>;
export const AuthorizePaymentDocument = new TypedDocumentString(`
    mutation AuthorizePayment($customer: ID!, $payment: ID!, $amount: Decimal!) {
  authorizePayment(input: {customerId: $customer, id: $payment, amount: $amount}) {
    payment {
      id
      status
      amount {
        amount
        currency
      }
    }
    position
  }
}
    `) as unknown as TypedDocumentString<AuthorizePaymentMutation, AuthorizePaymentMutationVariables>;
export const CheckoutBasketDocument = new TypedDocumentString(`
    mutation CheckoutBasket($basket: ID!, $payment: ID!) {
  checkoutBasket(input: {id: $basket, paymentId: $payment}) {
    orderId
    basket {
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<CheckoutBasketMutation, CheckoutBasketMutationVariables>;
export const OrderProgressDocument = new TypedDocumentString(`
    subscription OrderProgress($order: ID!, $after: Cursor) {
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
    `) as unknown as TypedDocumentString<OrderProgressSubscription, OrderProgressSubscriptionVariables>;
export const RegisterBotDocument = new TypedDocumentString(`
    mutation RegisterBot($bot: ID!, $name: String!) {
  registerBot(input: {id: $bot, name: $name}) {
    bot {
      id
      name
    }
  }
  bringBotOnline(input: {id: $bot}) {
    bot {
      id
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<RegisterBotMutation, RegisterBotMutationVariables>;
export const SendBotDocument = new TypedDocumentString(`
    mutation SendBot($list: ID!, $bot: ID!) {
  assignShoppingList(input: {id: $list, botId: $bot}) {
    shoppingList {
      id
      status
      bot {
        name
      }
    }
  }
  startShopping(input: {id: $list}) {
    shoppingList {
      id
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<SendBotMutation, SendBotMutationVariables>;
export const CollectGoodsDocument = new TypedDocumentString(`
    mutation CollectGoods($list: ID!, $store: ID!, $product: ID!, $quantity: Int!) {
  pickItem(
    input: {id: $list, storeId: $store, productId: $product, quantity: $quantity}
  ) {
    shoppingList {
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
  completeShoppingList(input: {id: $list}) {
    shoppingList {
      id
      status
    }
    position
  }
}
    `) as unknown as TypedDocumentString<CollectGoodsMutation, CollectGoodsMutationVariables>;
export const PayInvoiceDocument = new TypedDocumentString(`
    mutation PayInvoice($invoice: ID!) {
  payInvoice(input: {id: $invoice}) {
    invoice {
      id
      status
      amount {
        amount
        currency
      }
    }
    position
  }
}
    `) as unknown as TypedDocumentString<PayInvoiceMutation, PayInvoiceMutationVariables>;
export const OrderDocument = new TypedDocumentString(`
    query Order($order: ID!) {
  order(id: $order) {
    id
    status
    customer {
      name
    }
    items {
      productName
      quantity
      storeName
      lineTotal {
        amount
      }
    }
    total {
      amount
      currency
    }
    payment {
      status
    }
    invoice {
      status
      amount {
        amount
      }
    }
    shoppingList {
      status
      bot {
        name
      }
    }
    saga {
      name
      state
      steps {
        name
        state
        attempts
      }
    }
  }
}
    `) as unknown as TypedDocumentString<OrderQuery, OrderQueryVariables>;
