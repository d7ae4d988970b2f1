// Written by generate.mjs from schema.graphql and operations/; do not edit.

export type Maybe<T> = T | null;
export type InputMaybe<T> = Maybe<T>;
/** All built-in and custom scalars, mapped to their actual values */
export type Scalars = {
  ID: { input: string; output: string; }
  String: { input: string; output: string; }
  Boolean: { input: boolean; output: boolean; }
  Int: { input: number; output: number; }
  Float: { input: number; output: number; }
  /** A place in a list or a feed: opaque and signed. Send it back as it came. */
  Cursor: { input: string; output: string; }
  /** A moment: RFC 3339, in UTC, such as `"2026-11-23T11:15:00.123456Z"`. */
  DateTime: { input: string; output: string; }
  /**
   * An exact decimal number with two decimals for the mall's currency, such as `"12.34"`. Numbers
   * are taken as input too, but a string is safer: many languages read numbers as floats.
   */
  Decimal: { input: string | number; output: string; }
  /** A place in the ledger: opaque, and greater the later. */
  Position: { input: string; output: string; }
  /** A thing by its type and its key: `{ "__typename": "Order", "id": "order_…" }`. */
  _Any: { input: Record<string, unknown>; output: Record<string, unknown>; }
};

/** Something to put into a basket. */
export type AddBasketItemInput = {
  /** Which basket. */
  readonly id: Scalars['ID']['input'];
  /** What. */
  readonly productId: Scalars['ID']['input'];
  /** How many, 1 to 999. */
  readonly quantity: Scalars['Int']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of putting something in. */
export type AddBasketItemPayload = {
  readonly __typename?: 'AddBasketItemPayload';
  /** The basket; null if it is not in the read model yet. */
  readonly basket?: Maybe<Basket>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A product to be put on sale. */
export type AddProductInput = {
  /** The store that sells it. */
  readonly storeId: Scalars['ID']['input'];
  /** What it is called, 1 to 200 characters. */
  readonly name: Scalars['String']['input'];
  /** What it is like, at most 4000 characters. */
  readonly description?: Scalars['String']['input'];
  /** The store's own number for it, 1 to 64 characters; no other product on sale there may have it. */
  readonly sku: Scalars['String']['input'];
  /** What one piece costs, zero or more. */
  readonly price: Scalars['Decimal']['input'];
  /** The new product's id, if the client chooses it: the same input again is answered alike. */
  readonly id?: InputMaybe<Scalars['ID']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of putting a product on sale. */
export type AddProductPayload = {
  readonly __typename?: 'AddProductPayload';
  /** The product; null if it is not in the read model yet. */
  readonly product?: Maybe<Product>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** Another amount for an invoice. */
export type AdjustInvoiceInput = {
  /** Which invoice. */
  readonly id: Scalars['ID']['input'];
  /** How much is to be paid: more than nothing, and no more than the order's payment holds. */
  readonly amount: Scalars['Decimal']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of adjusting an invoice. */
export type AdjustInvoicePayload = {
  readonly __typename?: 'AdjustInvoicePayload';
  /** The invoice; null if it is not in the read model yet. */
  readonly invoice?: Maybe<Invoice>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A list for a bot. */
export type AssignShoppingListInput = {
  /** Which list. */
  readonly id: Scalars['ID']['input'];
  /** Which bot. It must be idle. */
  readonly botId: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of giving a list to a bot. */
export type AssignShoppingListPayload = {
  readonly __typename?: 'AssignShoppingListPayload';
  /** The list; null if it is not in the read model yet. */
  readonly shoppingList?: Maybe<ShoppingList>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** Money to be set aside. */
export type AuthorizePaymentInput = {
  /** Whose money. */
  readonly customerId: Scalars['ID']['input'];
  /** How much: more than nothing. */
  readonly amount: Scalars['Decimal']['input'];
  /** The new payment's id, if the client chooses it: the same input again is answered alike. */
  readonly id?: InputMaybe<Scalars['ID']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of setting money aside. */
export type AuthorizePaymentPayload = {
  readonly __typename?: 'AuthorizePaymentPayload';
  /** The payment; null if it is not in the read model yet. */
  readonly payment?: Maybe<Payment>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A customer's basket. */
export type Basket = Node & {
  readonly __typename?: 'Basket';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** Whose it is. */
  readonly customer: Customer;
  /** Where it stands. */
  readonly status: BasketStatus;
  /** What is in it, in the order it was put in. */
  readonly items: ReadonlyArray<BasketItem>;
  /** What all of it costs. */
  readonly total: Money;
  /** The order it became, once it was bought. */
  readonly order?: Maybe<Order>;
};

/** A line of a basket, with names and price as they were when it was put in. */
export type BasketItem = {
  readonly __typename?: 'BasketItem';
  /** The product as it is now. */
  readonly product: Product;
  /** What the product was called. */
  readonly productName: Scalars['String']['output'];
  /** What the store was called. */
  readonly storeName: Scalars['String']['output'];
  /** What one piece cost. */
  readonly price: Money;
  /** How many. */
  readonly quantity: Scalars['Int']['output'];
  /** What the line costs. */
  readonly lineTotal: Money;
};

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

/** A robot that collects goods. */
export type Bot = Node & {
  readonly __typename?: 'Bot';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** What it is called. */
  readonly name: Scalars['String']['output'];
  /** Where it stands. */
  readonly status: BotStatus;
  /** The list it has now. */
  readonly shoppingList?: Maybe<ShoppingList>;
};

/** A page of bots. */
export type BotConnection = {
  readonly __typename?: 'BotConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<BotEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Bot>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of bots, and its place. */
export type BotEdge = {
  readonly __typename?: 'BotEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Bot;
};

/** Where a bot stands. */
export type BotStatus =
  /** Out of work. */
  | 'OFFLINE'
  /** Waiting for work. */
  | 'IDLE'
  /** At work. */
  | 'ACTIVE';

/** A bot that is ready for work. */
export type BringBotOnlineInput = {
  /** Which bot. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of bringing a bot online. */
export type BringBotOnlinePayload = {
  readonly __typename?: 'BringBotOnlinePayload';
  /** The bot; null if it is not in the read model yet. */
  readonly bot?: Maybe<Bot>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A basket to be put back. */
export type CancelBasketInput = {
  /** Which basket. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of putting a basket back. */
export type CancelBasketPayload = {
  readonly __typename?: 'CancelBasketPayload';
  /** The basket; null if it is not in the read model yet. */
  readonly basket?: Maybe<Basket>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** An invoice to be withdrawn. */
export type CancelInvoiceInput = {
  /** Which invoice. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of withdrawing an invoice. */
export type CancelInvoicePayload = {
  readonly __typename?: 'CancelInvoicePayload';
  /** The invoice; null if it is not in the read model yet. */
  readonly invoice?: Maybe<Invoice>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** An order to be called off. */
export type CancelOrderInput = {
  /** Which order. */
  readonly id: Scalars['ID']['input'];
  /** Why, 1 to 500 characters. */
  readonly reason?: Scalars['String']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of calling an order off. */
export type CancelOrderPayload = {
  readonly __typename?: 'CancelOrderPayload';
  /** The order; null if it is not in the read model yet. */
  readonly order?: Maybe<Order>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** Another number for a customer. */
export type ChangeSmsNumberInput = {
  /** Which customer. */
  readonly id: Scalars['ID']['input'];
  /** Where messages are to reach them, in E.164 form. */
  readonly smsNumber: Scalars['String']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of changing a number. */
export type ChangeSmsNumberPayload = {
  readonly __typename?: 'ChangeSmsNumberPayload';
  /** The customer; null if they are not in the read model yet. */
  readonly customer?: Maybe<Customer>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A basket to be bought. */
export type CheckoutBasketInput = {
  /** Which basket. */
  readonly id: Scalars['ID']['input'];
  /** What pays for it: an authorised payment of the same customer. */
  readonly paymentId: Scalars['ID']['input'];
  /**
   * Whether prices that changed since the basket was filled are accepted. If not, the answer is
   * `PRICE_CHANGED` and names old and new.
   */
  readonly acceptPriceChanges?: Scalars['Boolean']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of buying a basket. */
export type CheckoutBasketPayload = {
  readonly __typename?: 'CheckoutBasketPayload';
  /** The basket; null if it is not in the read model yet. */
  readonly basket?: Maybe<Basket>;
  /** The order it became. Watch it with `orderProgress`. */
  readonly orderId: Scalars['ID']['output'];
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A list whose bot is back. */
export type CompleteShoppingListInput = {
  /** Which list. */
  readonly id: Scalars['ID']['input'];
  /** What could not be brought, if not everything was picked. */
  readonly shortages?: ReadonlyArray<ShortageInput>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of a bot coming back. */
export type CompleteShoppingListPayload = {
  readonly __typename?: 'CompleteShoppingListPayload';
  /** The list; null if it is not in the read model yet. */
  readonly shoppingList?: Maybe<ShoppingList>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** Somebody in this process who acts on messages: a context, the saga runner, the notifier. */
export type Consumer = {
  readonly __typename?: 'Consumer';
  /** What it is called, such as `depot`. */
  readonly name: Scalars['String']['output'];
  /** Up to where it has handled or parked everything that is its. */
  readonly position: Scalars['Position']['output'];
  /** How many messages of the ledger it has not looked at yet. */
  readonly lag: Scalars['Int']['output'];
};

/** A store to be opened. */
export type CreateStoreInput = {
  /** What it is to be called, 1 to 200 characters. */
  readonly name: Scalars['String']['input'];
  /** Where in the mall it is, 1 to 200 characters. */
  readonly location: Scalars['String']['input'];
  /** The new store's id, if the client chooses it: the same input again is answered alike. */
  readonly id?: InputMaybe<Scalars['ID']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of opening a store. */
export type CreateStorePayload = {
  readonly __typename?: 'CreateStorePayload';
  /** The store; null if it is not in the read model yet. */
  readonly store?: Maybe<Store>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A currency, by its ISO 4217 code. */
export type CurrencyCode =
  /** United States dollar. */
  | 'USD'
  /** Euro. */
  | 'EUR'
  /** Pound sterling. */
  | 'GBP';

/** A customer of the mall. */
export type Customer = Node & {
  readonly __typename?: 'Customer';
  /** Names them. */
  readonly id: Scalars['ID']['output'];
  /** What they are called. */
  readonly name: Scalars['String']['output'];
  /** Where messages reach them, in E.164 form. */
  readonly smsNumber: Scalars['String']['output'];
  /** Whether they may shop. */
  readonly enabled: Scalars['Boolean']['output'];
  /** Their orders, newest first. */
  readonly orders: OrderConnection;
  /** What they were told, newest first. */
  readonly notifications: NotificationConnection;
};


/** A customer of the mall. */
export type CustomerOrdersArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};


/** A customer of the mall. */
export type CustomerNotificationsArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};

/** A page of customers. */
export type CustomerConnection = {
  readonly __typename?: 'CustomerConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<CustomerEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Customer>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of customers, and its place. */
export type CustomerEdge = {
  readonly __typename?: 'CustomerEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Customer;
};

/**
 * A message that could not be handled and was parked, together with all that came after it under
 * the same key.
 */
export type DeadLetter = Node & {
  readonly __typename?: 'DeadLetter';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** Who could not handle it. */
  readonly consumer: Scalars['String']['output'];
  /** What it is about: later messages with the same key wait behind it. */
  readonly key: Scalars['String']['output'];
  /** The message's type, such as `depot.CreateShoppingList`. */
  readonly messageName: Scalars['String']['output'];
  /** The message's content, as JSON: as it came, or as an operator mended it. */
  readonly payload: Scalars['String']['output'];
  /** What went wrong last. */
  readonly reason: Scalars['String']['output'];
  /** How often it was tried; 0 if it only waits behind another. */
  readonly attempts: Scalars['Int']['output'];
  /** When it first failed. */
  readonly firstFailedAt: Scalars['DateTime']['output'];
  /** How many messages wait behind it. */
  readonly blocked: Scalars['Int']['output'];
};

/** A page of parked messages. */
export type DeadLetterConnection = {
  readonly __typename?: 'DeadLetterConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<DeadLetterEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<DeadLetter>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of parked messages, and its place. */
export type DeadLetterEdge = {
  readonly __typename?: 'DeadLetterEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: DeadLetter;
};

/** A lower price. */
export type DecreaseProductPriceInput = {
  /** Which product. */
  readonly id: Scalars['ID']['input'];
  /** What one piece is to cost: less than now. */
  readonly price: Scalars['Decimal']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of lowering a price. */
export type DecreaseProductPricePayload = {
  readonly __typename?: 'DecreaseProductPricePayload';
  /** The product; null if it is not in the read model yet. */
  readonly product?: Maybe<Product>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A customer who may shop no longer. */
export type DisableCustomerInput = {
  /** Which customer. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of disabling a customer. */
export type DisableCustomerPayload = {
  readonly __typename?: 'DisableCustomerPayload';
  /** The customer; null if they are not in the read model yet. */
  readonly customer?: Maybe<Customer>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A store that is to participate no longer. */
export type DisableStoreParticipationInput = {
  /** Which store. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of stopping a store from participating. */
export type DisableStoreParticipationPayload = {
  readonly __typename?: 'DisableStoreParticipationPayload';
  /** The store; null if it is not in the read model yet. */
  readonly store?: Maybe<Store>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A parked message to be thrown away. */
export type DiscardDeadLetterInput = {
  /** Which one. What waits behind it is tried again, in order. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of asking for a parked message to be thrown away. */
export type DiscardDeadLetterPayload = {
  readonly __typename?: 'DiscardDeadLetterPayload';
  /** Which one. */
  readonly deadLetterId: Scalars['ID']['output'];
  /** Where the request stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A customer who may shop again. */
export type EnableCustomerInput = {
  /** Which customer. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of enabling a customer. */
export type EnableCustomerPayload = {
  readonly __typename?: 'EnableCustomerPayload';
  /** The customer; null if they are not in the read model yet. */
  readonly customer?: Maybe<Customer>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A store that is to participate. */
export type EnableStoreParticipationInput = {
  /** Which store. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of letting a store participate. */
export type EnableStoreParticipationPayload = {
  readonly __typename?: 'EnableStoreParticipationPayload';
  /** The store; null if it is not in the read model yet. */
  readonly store?: Maybe<Store>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A higher price. */
export type IncreaseProductPriceInput = {
  /** Which product. */
  readonly id: Scalars['ID']['input'];
  /** What one piece is to cost: more than now. */
  readonly price: Scalars['Decimal']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of raising a price. */
export type IncreaseProductPricePayload = {
  readonly __typename?: 'IncreaseProductPricePayload';
  /** The product; null if it is not in the read model yet. */
  readonly product?: Maybe<Product>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** The invoice of an order whose goods are at the depot. */
export type Invoice = Node & {
  readonly __typename?: 'Invoice';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** What it bills. */
  readonly order: Order;
  /** How much. */
  readonly amount: Money;
  /** Where it stands. */
  readonly status: InvoiceStatus;
};

/** Where an invoice stands. */
export type InvoiceStatus =
  /** To be paid. */
  | 'PENDING'
  /** Settled. */
  | 'PAID'
  /** Withdrawn. */
  | 'CANCELED';

/**
 * A message of the ledger: something that happened, and among what led to it and what followed
 * from it also what contexts were asked and how they answered.
 */
export type LedgerEvent = {
  readonly __typename?: 'LedgerEvent';
  /** The message's own id. */
  readonly id: Scalars['ID']['output'];
  /** What it says. */
  readonly kind: LedgerEventKind;
  /** Its place in all history. */
  readonly position: Scalars['Position']['output'];
  /** To what it happened, or whom it is for. */
  readonly stream: Scalars['ID']['output'];
  /** Which event of that it is, from 1; 0 for commands and replies. */
  readonly version: Scalars['Int']['output'];
  /** Its type, such as `ordering.OrderCreated`. */
  readonly name: Scalars['String']['output'];
  /** When it happened. */
  readonly at: Scalars['DateTime']['output'];
  /** Who did it. */
  readonly actor?: Maybe<Scalars['String']['output']>;
  /** Its content, as JSON. */
  readonly payload: Scalars['String']['output'];
  /** The message that led to it, when a message did. */
  readonly causationId?: Maybe<Scalars['ID']['output']>;
  /** The request with which it all began. */
  readonly correlationId?: Maybe<Scalars['ID']['output']>;
  /** The message that led to it, itself. */
  readonly cause?: Maybe<LedgerEvent>;
  /** What followed directly from it, in the order of the ledger. */
  readonly effects: ReadonlyArray<LedgerEvent>;
};

/** A page of what happened to something. */
export type LedgerEventConnection = {
  readonly __typename?: 'LedgerEventConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<LedgerEventEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<LedgerEvent>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of what happened to something, and its place. */
export type LedgerEventEdge = {
  readonly __typename?: 'LedgerEventEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: LedgerEvent;
};

/** What a message of the ledger says. */
export type LedgerEventKind =
  /** That something happened. */
  | 'EVENT'
  /** That a context is to do something. */
  | 'COMMAND'
  /** What became of a command. */
  | 'REPLY';

/** An amount of money. */
export type Money = {
  readonly __typename?: 'Money';
  /** How much, exactly. */
  readonly amount: Scalars['Decimal']['output'];
  /** Of what. The mall has one currency. */
  readonly currency: CurrencyCode;
};

/** The mutations of all contexts. */
export type Mutation = {
  readonly __typename?: 'Mutation';
  /** Opens a store. It does not participate yet. */
  readonly createStore: CreateStorePayload;
  /** Gives a store another name. */
  readonly rebrandStore: RebrandStorePayload;
  /** Lets the bots shop in a store. */
  readonly enableStoreParticipation: EnableStoreParticipationPayload;
  /** Stops the bots from shopping in a store: its products cannot be bought any more. */
  readonly disableStoreParticipation: DisableStoreParticipationPayload;
  /** Puts a product on sale. */
  readonly addProduct: AddProductPayload;
  /** Gives a product another name and description. */
  readonly rebrandProduct: RebrandProductPayload;
  /** Raises a product's price. */
  readonly increaseProductPrice: IncreaseProductPricePayload;
  /** Lowers a product's price. */
  readonly decreaseProductPrice: DecreaseProductPricePayload;
  /** Takes a product off sale, for good. Its SKU is free again. */
  readonly removeProduct: RemoveProductPayload;
  /** Enters a new customer, who may shop at once. */
  readonly registerCustomer: RegisterCustomerPayload;
  /** Changes where messages reach a customer. */
  readonly changeSmsNumber: ChangeSmsNumberPayload;
  /** Lets a customer shop again. */
  readonly enableCustomer: EnableCustomerPayload;
  /**
   * Stops a customer from shopping: their baskets cannot be started and their orders are
   * turned down.
   */
  readonly disableCustomer: DisableCustomerPayload;
  /** Starts a basket for a customer who may shop. */
  readonly startBasket: StartBasketPayload;
  /** Puts pieces of a product into an open basket, at the present price. */
  readonly addBasketItem: AddBasketItemPayload;
  /** Takes pieces of a product out of an open basket. */
  readonly removeBasketItem: RemoveBasketItemPayload;
  /** Puts an open basket back. */
  readonly cancelBasket: CancelBasketPayload;
  /**
   * Buys what is in an open basket. An order is placed, and accepted or turned down within
   * moments: watch it with `orderProgress`.
   */
  readonly checkoutBasket: CheckoutBasketPayload;
  /**
   * Calls an order off whose goods are not at the depot yet. The list is torn up, its bot
   * freed and the money given back: watch it with `orderProgress`.
   */
  readonly cancelOrder: CancelOrderPayload;
  /** Sets a customer's money aside, to pay for one order. */
  readonly authorizePayment: AuthorizePaymentPayload;
  /** Settles an invoice. The money is taken and the order completes. */
  readonly payInvoice: PayInvoicePayload;
  /** Bills another amount, before the invoice is paid. */
  readonly adjustInvoice: AdjustInvoicePayload;
  /** Withdraws an invoice, before it is paid. */
  readonly cancelInvoice: CancelInvoicePayload;
  /** Enters a new bot, which is offline at first. */
  readonly registerBot: RegisterBotPayload;
  /** Makes a bot ready for work. */
  readonly bringBotOnline: BringBotOnlinePayload;
  /** Takes a bot out of work, unless it is at work. */
  readonly takeBotOffline: TakeBotOfflinePayload;
  /** Gives an available list of an approved order to an idle bot. */
  readonly assignShoppingList: AssignShoppingListPayload;
  /** The bot sets out; the order is in progress. */
  readonly startShopping: StartShoppingPayload;
  /** The bot takes pieces of a product from a store's shelf. */
  readonly pickItem: PickItemPayload;
  /** The bot is back and idle again; the order is ready, and billed. */
  readonly completeShoppingList: CompleteShoppingListPayload;
  /** Lets a stuck saga go on: the step it is stuck at is tried again now. */
  readonly retrySaga: RetrySagaPayload;
  /** Tries a parked message again, mended or as it is, then all that waits behind it. */
  readonly retryDeadLetter: RetryDeadLetterPayload;
  /** Throws a parked message away, then tries all that waits behind it. */
  readonly discardDeadLetter: DiscardDeadLetterPayload;
  /**
   * Fills a read model anew from the ledger, beside the live one, and swaps it in when it has
   * caught up. Queries go on meanwhile.
   */
  readonly rebuildProjection: RebuildProjectionPayload;
};


/** The mutations of all contexts. */
export type MutationCreateStoreArgs = {
  input: CreateStoreInput;
};


/** The mutations of all contexts. */
export type MutationRebrandStoreArgs = {
  input: RebrandStoreInput;
};


/** The mutations of all contexts. */
export type MutationEnableStoreParticipationArgs = {
  input: EnableStoreParticipationInput;
};


/** The mutations of all contexts. */
export type MutationDisableStoreParticipationArgs = {
  input: DisableStoreParticipationInput;
};


/** The mutations of all contexts. */
export type MutationAddProductArgs = {
  input: AddProductInput;
};


/** The mutations of all contexts. */
export type MutationRebrandProductArgs = {
  input: RebrandProductInput;
};


/** The mutations of all contexts. */
export type MutationIncreaseProductPriceArgs = {
  input: IncreaseProductPriceInput;
};


/** The mutations of all contexts. */
export type MutationDecreaseProductPriceArgs = {
  input: DecreaseProductPriceInput;
};


/** The mutations of all contexts. */
export type MutationRemoveProductArgs = {
  input: RemoveProductInput;
};


/** The mutations of all contexts. */
export type MutationRegisterCustomerArgs = {
  input: RegisterCustomerInput;
};


/** The mutations of all contexts. */
export type MutationChangeSmsNumberArgs = {
  input: ChangeSmsNumberInput;
};


/** The mutations of all contexts. */
export type MutationEnableCustomerArgs = {
  input: EnableCustomerInput;
};


/** The mutations of all contexts. */
export type MutationDisableCustomerArgs = {
  input: DisableCustomerInput;
};


/** The mutations of all contexts. */
export type MutationStartBasketArgs = {
  input: StartBasketInput;
};


/** The mutations of all contexts. */
export type MutationAddBasketItemArgs = {
  input: AddBasketItemInput;
};


/** The mutations of all contexts. */
export type MutationRemoveBasketItemArgs = {
  input: RemoveBasketItemInput;
};


/** The mutations of all contexts. */
export type MutationCancelBasketArgs = {
  input: CancelBasketInput;
};


/** The mutations of all contexts. */
export type MutationCheckoutBasketArgs = {
  input: CheckoutBasketInput;
};


/** The mutations of all contexts. */
export type MutationCancelOrderArgs = {
  input: CancelOrderInput;
};


/** The mutations of all contexts. */
export type MutationAuthorizePaymentArgs = {
  input: AuthorizePaymentInput;
};


/** The mutations of all contexts. */
export type MutationPayInvoiceArgs = {
  input: PayInvoiceInput;
};


/** The mutations of all contexts. */
export type MutationAdjustInvoiceArgs = {
  input: AdjustInvoiceInput;
};


/** The mutations of all contexts. */
export type MutationCancelInvoiceArgs = {
  input: CancelInvoiceInput;
};


/** The mutations of all contexts. */
export type MutationRegisterBotArgs = {
  input: RegisterBotInput;
};


/** The mutations of all contexts. */
export type MutationBringBotOnlineArgs = {
  input: BringBotOnlineInput;
};


/** The mutations of all contexts. */
export type MutationTakeBotOfflineArgs = {
  input: TakeBotOfflineInput;
};


/** The mutations of all contexts. */
export type MutationAssignShoppingListArgs = {
  input: AssignShoppingListInput;
};


/** The mutations of all contexts. */
export type MutationStartShoppingArgs = {
  input: StartShoppingInput;
};


/** The mutations of all contexts. */
export type MutationPickItemArgs = {
  input: PickItemInput;
};


/** The mutations of all contexts. */
export type MutationCompleteShoppingListArgs = {
  input: CompleteShoppingListInput;
};


/** The mutations of all contexts. */
export type MutationRetrySagaArgs = {
  input: RetrySagaInput;
};


/** The mutations of all contexts. */
export type MutationRetryDeadLetterArgs = {
  input: RetryDeadLetterInput;
};


/** The mutations of all contexts. */
export type MutationDiscardDeadLetterArgs = {
  input: DiscardDeadLetterInput;
};


/** The mutations of all contexts. */
export type MutationRebuildProjectionArgs = {
  input: RebuildProjectionInput;
};

/** Anything that has an id. */
export type Node = {
  /** Names it. */
  readonly id: Scalars['ID']['output'];
};

/** A message to a customer. */
export type Notification = Node & {
  readonly __typename?: 'Notification';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** To whom. */
  readonly customer: Customer;
  /** About which order. */
  readonly order?: Maybe<Order>;
  /** What for, such as `ORDER_APPROVED`. */
  readonly kind: Scalars['String']['output'];
  /** What it says. */
  readonly text: Scalars['String']['output'];
  /** When it went out. */
  readonly sentAt?: Maybe<Scalars['DateTime']['output']>;
  /** How it ended: `REQUESTED`, `SENT` or `FAILED`. */
  readonly status: Scalars['String']['output'];
};

/** A page of messages to a customer. */
export type NotificationConnection = {
  readonly __typename?: 'NotificationConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<NotificationEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Notification>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of messages to a customer, and its place. */
export type NotificationEdge = {
  readonly __typename?: 'NotificationEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Notification;
};

/** An order made of a checked-out basket. */
export type Order = Node & {
  readonly __typename?: 'Order';
  /** Names it: the basket's id with its own prefix. */
  readonly id: Scalars['ID']['output'];
  /** Who ordered. */
  readonly customer: Customer;
  /** Where it stands. */
  readonly status: OrderStatus;
  /** What was ordered, in the order it was put into the basket. */
  readonly items: ReadonlyArray<OrderItem>;
  /** What all of it costs. */
  readonly total: Money;
  /** What pays for it. */
  readonly payment?: Maybe<Payment>;
  /** Its invoice, once the goods are at the depot. */
  readonly invoice?: Maybe<Invoice>;
  /** What a bot collects for it, once it was written. */
  readonly shoppingList?: Maybe<ShoppingList>;
  /**
   * The long process it is in, or was in last: the one that accepts it or, once an accepted
   * order was called off, the one that undoes it.
   */
  readonly saga?: Maybe<Saga>;
  /** When it was placed. */
  readonly createdAt: Scalars['DateTime']['output'];
  /** When it changed last. */
  readonly updatedAt: Scalars['DateTime']['output'];
  /** Why it was turned down: a stable name, such as `CUSTOMER_DISABLED`. */
  readonly rejectionReason?: Maybe<Scalars['String']['output']>;
  /** Why it was called off. */
  readonly cancellationReason?: Maybe<Scalars['String']['output']>;
  /** What happened to it, from the beginning. Its cursors resume `orderProgress` too. */
  readonly timeline: OrderProgressConnection;
};


/** An order made of a checked-out basket. */
export type OrderTimelineArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};

/** A page of orders. */
export type OrderConnection = {
  readonly __typename?: 'OrderConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<OrderEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Order>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of orders, and its place. */
export type OrderEdge = {
  readonly __typename?: 'OrderEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Order;
};

/** Which orders: those that fit all that is given. */
export type OrderFilter = {
  /** Those of one customer. */
  readonly customerId?: InputMaybe<Scalars['ID']['input']>;
  /** Those with something from one of these stores, at most 100. */
  readonly storeIds?: InputMaybe<ReadonlyArray<Scalars['ID']['input']>>;
  /** Those with one of these products, at most 100. */
  readonly productIds?: InputMaybe<ReadonlyArray<Scalars['ID']['input']>>;
  /** Those in one of these states. */
  readonly statuses?: InputMaybe<ReadonlyArray<OrderStatus>>;
  /** Those placed at this moment or later. */
  readonly createdAfter?: InputMaybe<Scalars['DateTime']['input']>;
  /** Those placed before this moment. */
  readonly createdBefore?: InputMaybe<Scalars['DateTime']['input']>;
  /** Those that cost at least this. */
  readonly minTotal?: InputMaybe<Scalars['Decimal']['input']>;
  /** Those that cost at most this. */
  readonly maxTotal?: InputMaybe<Scalars['Decimal']['input']>;
  /** Those with this in the name of the customer, a product or a store, at most 200 characters. */
  readonly text?: InputMaybe<Scalars['String']['input']>;
};

/** A line of an order, with names and price as they were at checkout. */
export type OrderItem = {
  readonly __typename?: 'OrderItem';
  /** What. */
  readonly productId: Scalars['ID']['output'];
  /** What the product was called. */
  readonly productName: Scalars['String']['output'];
  /** Whose. */
  readonly storeId: Scalars['ID']['output'];
  /** What the store was called. */
  readonly storeName: Scalars['String']['output'];
  /** What one piece costs. */
  readonly price: Money;
  /** How many. */
  readonly quantity: Scalars['Int']['output'];
  /** What the line costs. */
  readonly lineTotal: Money;
};

/** Something that happened to an order, as it was at that moment. */
export type OrderProgress = {
  readonly __typename?: 'OrderProgress';
  /** Its place: send it as `after` to go on behind it. */
  readonly cursor: Scalars['Cursor']['output'];
  /** When it happened. */
  readonly at: Scalars['DateTime']['output'];
  /** What it is about. */
  readonly kind: OrderProgressKind;
  /** What happened, in a short sentence. */
  readonly title: Scalars['String']['output'];
  /** Where the order stood then. */
  readonly status: OrderStatus;
  /** The saga's step it is about, as it stood then. */
  readonly sagaStep?: Maybe<SagaStep>;
  /** The order as it is now. */
  readonly order: Order;
};

/** A page of what happened to an order. */
export type OrderProgressConnection = {
  readonly __typename?: 'OrderProgressConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<OrderProgressEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<OrderProgress>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of what happened to an order, and its place. */
export type OrderProgressEdge = {
  readonly __typename?: 'OrderProgressEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: OrderProgress;
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

/** How many orders are in a state. */
export type OrderStatusCount = {
  readonly __typename?: 'OrderStatusCount';
  /** The state. */
  readonly status: OrderStatus;
  /** How many. */
  readonly count: Scalars['Int']['output'];
};

/** Where a page stands in its list. */
export type PageInfo = {
  readonly __typename?: 'PageInfo';
  /** Whether the list goes on behind this page. */
  readonly hasNextPage: Scalars['Boolean']['output'];
  /** Whether the list begins before this page. */
  readonly hasPreviousPage: Scalars['Boolean']['output'];
  /** The place of the page's first item. */
  readonly startCursor?: Maybe<Scalars['Cursor']['output']>;
  /** The place of the page's last item. */
  readonly endCursor?: Maybe<Scalars['Cursor']['output']>;
};

/** An invoice to be paid. */
export type PayInvoiceInput = {
  /** Which invoice. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of paying an invoice. */
export type PayInvoicePayload = {
  readonly __typename?: 'PayInvoicePayload';
  /** The invoice; null if it is not in the read model yet. */
  readonly invoice?: Maybe<Invoice>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** Money a customer has set aside. */
export type Payment = Node & {
  readonly __typename?: 'Payment';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** Whose money it is. */
  readonly customer: Customer;
  /** How much. */
  readonly amount: Money;
  /** Where it stands. */
  readonly status: PaymentStatus;
  /** The order it is, or was, bound to. */
  readonly order?: Maybe<Order>;
};

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

/** Something taken from a shelf. */
export type PickItemInput = {
  /** For which list. */
  readonly id: Scalars['ID']['input'];
  /** In which store. */
  readonly storeId: Scalars['ID']['input'];
  /** What. */
  readonly productId: Scalars['ID']['input'];
  /** How many, 1 to 999. */
  readonly quantity: Scalars['Int']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of taking something. */
export type PickItemPayload = {
  readonly __typename?: 'PickItemPayload';
  /** The list; null if it is not in the read model yet. */
  readonly shoppingList?: Maybe<ShoppingList>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A product of a store. */
export type Product = Node & {
  readonly __typename?: 'Product';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** The store that sells it. */
  readonly store: Store;
  /** What it is called. */
  readonly name: Scalars['String']['output'];
  /** What it is like. */
  readonly description: Scalars['String']['output'];
  /** The store's own number for it. */
  readonly sku: Scalars['String']['output'];
  /** What one piece costs now. */
  readonly price: Money;
  /** Whether it went off sale. */
  readonly removed: Scalars['Boolean']['output'];
};

/** A page of products. */
export type ProductConnection = {
  readonly __typename?: 'ProductConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<ProductEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Product>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of products, and its place. */
export type ProductEdge = {
  readonly __typename?: 'ProductEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Product;
};

/** A family of read models that is filled from the ledger. */
export type Projection = {
  readonly __typename?: 'Projection';
  /** What it is called, such as `orders`. */
  readonly name: Scalars['String']['output'];
  /** Up to where it is filled. */
  readonly position: Scalars['Position']['output'];
  /** How many messages of the ledger it does not know yet. */
  readonly lag: Scalars['Int']['output'];
  /** How many events it could not take in and put aside. */
  readonly parked: Scalars['Int']['output'];
  /** How far a rebuild of it has come, from 0 to 1, while there is one. */
  readonly rebuilding?: Maybe<Scalars['Float']['output']>;
  /** How its last rebuild went, or goes: of it alone or of all. */
  readonly rebuild?: Maybe<Rebuild>;
};

/** The queries of all contexts. */
export type Query = {
  readonly __typename?: 'Query';
  /** Anything, by its id. */
  readonly node?: Maybe<Node>;
  /** Several things, by their ids, in their order; null for what is not there. */
  readonly nodes: ReadonlyArray<Maybe<Node>>;
  /** A store. */
  readonly store?: Maybe<Store>;
  /** The stores of the mall. */
  readonly stores: StoreConnection;
  /** A product, also one that went off sale. */
  readonly product?: Maybe<Product>;
  /** What is on sale in the mall. */
  readonly products: ProductConnection;
  /** A customer. */
  readonly customer?: Maybe<Customer>;
  /** The customers of the mall. */
  readonly customers: CustomerConnection;
  /** A basket. */
  readonly basket?: Maybe<Basket>;
  /** An order, as it is or as it was. */
  readonly order?: Maybe<Order>;
  /** Orders that fit. */
  readonly orders: OrderConnection;
  /** How many of the orders that fit are in each state. Every state is listed. */
  readonly orderStatusCounts: ReadonlyArray<OrderStatusCount>;
  /** A payment. */
  readonly payment?: Maybe<Payment>;
  /** An invoice. An order's invoice bears the order's id with its own prefix. */
  readonly invoice?: Maybe<Invoice>;
  /** A shopping list. */
  readonly shoppingList?: Maybe<ShoppingList>;
  /** The depot's lists, oldest first. */
  readonly shoppingLists: ShoppingListConnection;
  /** The depot's bots. */
  readonly bots: BotConnection;
  /** A saga. */
  readonly saga?: Maybe<Saga>;
  /** Sagas, newest first. */
  readonly sagas: SagaConnection;
  /** How many sagas are in each state. Every state is listed. */
  readonly sagaStateCounts: ReadonlyArray<SagaStateCount>;
  /** What happened to anything, from the beginning, as the ledger has it. */
  readonly history: LedgerEventConnection;
  /**
   * What was said in the mall, newest first: events, commands and replies. What has no cause
   * was begun by somebody; the rest followed from it.
   */
  readonly ledger: LedgerEventConnection;
  /** A message of the ledger. */
  readonly ledgerEvent?: Maybe<LedgerEvent>;
  /** How far those are who act on messages in this process. */
  readonly consumers: ReadonlyArray<Consumer>;
  /** The relay, if this process may be the one that relays. */
  readonly relay?: Maybe<Relay>;
  /** How each family of read models stands. */
  readonly projections: ReadonlyArray<Projection>;
  /** What is parked, in the order of the ledger. */
  readonly deadLetters: DeadLetterConnection;
  /** For routers: things by their types and keys, in their order; null for what is not there. */
  readonly _entities: ReadonlyArray<Maybe<_Entity>>;
  /** For routers: what this service adds to the whole. */
  readonly _service: _Service;
};


/** The queries of all contexts. */
export type QueryNodeArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryNodesArgs = {
  ids: ReadonlyArray<Scalars['ID']['input']>;
};


/** The queries of all contexts. */
export type QueryStoreArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryStoresArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  participating?: InputMaybe<Scalars['Boolean']['input']>;
  text?: InputMaybe<Scalars['String']['input']>;
};


/** The queries of all contexts. */
export type QueryProductArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryProductsArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  storeId?: InputMaybe<Scalars['ID']['input']>;
  text?: InputMaybe<Scalars['String']['input']>;
};


/** The queries of all contexts. */
export type QueryCustomerArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryCustomersArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  text?: InputMaybe<Scalars['String']['input']>;
};


/** The queries of all contexts. */
export type QueryBasketArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryOrderArgs = {
  id: Scalars['ID']['input'];
  asOf?: InputMaybe<Scalars['DateTime']['input']>;
};


/** The queries of all contexts. */
export type QueryOrdersArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  filter?: InputMaybe<OrderFilter>;
  sort?: InputMaybe<OrderSort>;
};


/** The queries of all contexts. */
export type QueryOrderStatusCountsArgs = {
  filter?: InputMaybe<OrderFilter>;
};


/** The queries of all contexts. */
export type QueryPaymentArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryInvoiceArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryShoppingListArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryShoppingListsArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  statuses?: InputMaybe<ReadonlyArray<ShoppingListStatus>>;
};


/** The queries of all contexts. */
export type QueryBotsArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The queries of all contexts. */
export type QuerySagaArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QuerySagasArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  states?: InputMaybe<ReadonlyArray<SagaState>>;
};


/** The queries of all contexts. */
export type QueryHistoryArgs = {
  id: Scalars['ID']['input'];
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The queries of all contexts. */
export type QueryLedgerArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The queries of all contexts. */
export type QueryLedgerEventArgs = {
  id: Scalars['ID']['input'];
};


/** The queries of all contexts. */
export type QueryDeadLettersArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The queries of all contexts. */
export type Query_EntitiesArgs = {
  representations: ReadonlyArray<Scalars['_Any']['input']>;
};

/** What a product is to be called and said to be. */
export type RebrandProductInput = {
  /** Which product. */
  readonly id: Scalars['ID']['input'];
  /** What it is to be called, 1 to 200 characters. */
  readonly name: Scalars['String']['input'];
  /** What it is like, at most 4000 characters. */
  readonly description?: Scalars['String']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of describing a product anew. */
export type RebrandProductPayload = {
  readonly __typename?: 'RebrandProductPayload';
  /** The product; null if it is not in the read model yet. */
  readonly product?: Maybe<Product>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A new name for a store. */
export type RebrandStoreInput = {
  /** Which store. */
  readonly id: Scalars['ID']['input'];
  /** What it is to be called, 1 to 200 characters. */
  readonly name: Scalars['String']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of renaming a store. */
export type RebrandStorePayload = {
  readonly __typename?: 'RebrandStorePayload';
  /** The store; null if it is not in the read model yet. */
  readonly store?: Maybe<Store>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** How a rebuild of a read model goes, or went. */
export type Rebuild = {
  readonly __typename?: 'Rebuild';
  /** Where it stands. */
  readonly state: RebuildState;
  /** Up to where the new tables are filled. */
  readonly done: Scalars['Position']['output'];
  /** Where the ledger ended when that was last looked at. */
  readonly total: Scalars['Position']['output'];
  /** How often it was begun: again when a projector stopped while it was at it. */
  readonly attempts: Scalars['Int']['output'];
  /** What went wrong last. */
  readonly error?: Maybe<Scalars['String']['output']>;
  /** When it was asked for. */
  readonly requestedAt: Scalars['DateTime']['output'];
  /** When it was over. */
  readonly endedAt?: Maybe<Scalars['DateTime']['output']>;
};

/** A read model to be rebuilt. */
export type RebuildProjectionInput = {
  /** What it is called, such as `orders`; or `all`, for every one of them in one go. */
  readonly name: Scalars['String']['input'];
  /** The client's own mark, returned. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of asking for a rebuild. */
export type RebuildProjectionPayload = {
  readonly __typename?: 'RebuildProjectionPayload';
  /** How the read model stands now. Watch `projectionsChanged` for how far the rebuild has come. */
  readonly projection: Projection;
  /** Up to where the ledger was when the rebuild began. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

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

/** A new bot. */
export type RegisterBotInput = {
  /** What it is called, 1 to 200 characters. */
  readonly name: Scalars['String']['input'];
  /** The new bot's id, if the client chooses it: the same input again is answered alike. */
  readonly id?: InputMaybe<Scalars['ID']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of entering a bot. */
export type RegisterBotPayload = {
  readonly __typename?: 'RegisterBotPayload';
  /** The bot; null if it is not in the read model yet. */
  readonly bot?: Maybe<Bot>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A new customer. */
export type RegisterCustomerInput = {
  /** What they are called, 1 to 200 characters. */
  readonly name: Scalars['String']['input'];
  /** Where messages reach them, in E.164 form, such as `+15550100`. */
  readonly smsNumber: Scalars['String']['input'];
  /** The new customer's id, if the client chooses it: the same input again is answered alike. */
  readonly id?: InputMaybe<Scalars['ID']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of registering a customer. */
export type RegisterCustomerPayload = {
  readonly __typename?: 'RegisterCustomerPayload';
  /** The customer; null if they are not in the read model yet. */
  readonly customer?: Maybe<Customer>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** Who publishes the ledger on JetStream, as far as this process knows. */
export type Relay = {
  readonly __typename?: 'Relay';
  /** What it is doing. */
  readonly state: RelayState;
  /** What is in its way. */
  readonly reason?: Maybe<Scalars['String']['output']>;
  /** Up to where the stream has everything. */
  readonly position: Scalars['Position']['output'];
  /** How many messages the stream does not have yet. */
  readonly lag: Scalars['Int']['output'];
};

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

/** Something to take out of a basket. */
export type RemoveBasketItemInput = {
  /** Which basket. */
  readonly id: Scalars['ID']['input'];
  /** What. */
  readonly productId: Scalars['ID']['input'];
  /** How many, 1 to 999; more than there is takes the whole line out. */
  readonly quantity: Scalars['Int']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of taking something out. */
export type RemoveBasketItemPayload = {
  readonly __typename?: 'RemoveBasketItemPayload';
  /** The basket; null if it is not in the read model yet. */
  readonly basket?: Maybe<Basket>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A product to be taken off sale. */
export type RemoveProductInput = {
  /** Which product. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of taking a product off sale. */
export type RemoveProductPayload = {
  readonly __typename?: 'RemoveProductPayload';
  /** The product; null if it is not in the read model yet. */
  readonly product?: Maybe<Product>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A parked message to be tried again. */
export type RetryDeadLetterInput = {
  /** Which one. All that is parked under its key is tried again, in order. */
  readonly id: Scalars['ID']['input'];
  /** What to handle in place of its content: a JSON object, mended. */
  readonly payload?: InputMaybe<Scalars['String']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of asking for a parked message to be tried again. */
export type RetryDeadLetterPayload = {
  readonly __typename?: 'RetryDeadLetterPayload';
  /** Which one. */
  readonly deadLetterId: Scalars['ID']['output'];
  /** Where the request stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A stuck saga that is to go on. */
export type RetrySagaInput = {
  /** Which saga. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of letting a stuck saga go on. */
export type RetrySagaPayload = {
  readonly __typename?: 'RetrySagaPayload';
  /** The saga; null if it is not in the read model yet. */
  readonly saga?: Maybe<Saga>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A long process over several contexts. */
export type Saga = Node & {
  readonly __typename?: 'Saga';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** What it is called: `create_order` or `cancel_order`. */
  readonly name: Scalars['String']['output'];
  /** Where it stands. */
  readonly state: SagaState;
  /** The order it is about. */
  readonly order: Order;
  /** When it began. */
  readonly startedAt: Scalars['DateTime']['output'];
  /** When it arrived, or was back where it began. */
  readonly endedAt?: Maybe<Scalars['DateTime']['output']>;
  /** Its steps, in order. */
  readonly steps: ReadonlyArray<SagaStep>;
  /** Why it turned back: a stable name, such as `CUSTOMER_DISABLED`. */
  readonly refusal?: Maybe<Scalars['String']['output']>;
};

/** A page of sagas. */
export type SagaConnection = {
  readonly __typename?: 'SagaConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<SagaEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Saga>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of sagas, and its place. */
export type SagaEdge = {
  readonly __typename?: 'SagaEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Saga;
};

/** Something that happened to a saga, as it was at that moment. */
export type SagaProgress = {
  readonly __typename?: 'SagaProgress';
  /** Its place: send it as `after` to go on behind it. */
  readonly cursor: Scalars['Cursor']['output'];
  /** When it happened. */
  readonly at: Scalars['DateTime']['output'];
  /** Where the saga stood then. */
  readonly state: SagaState;
  /** The step it is about, as it stood then. */
  readonly step?: Maybe<SagaStep>;
  /** The saga as it is now. */
  readonly saga: Saga;
};

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

/** How many sagas are in a state. */
export type SagaStateCount = {
  readonly __typename?: 'SagaStateCount';
  /** The state. */
  readonly state: SagaState;
  /** How many. */
  readonly count: Scalars['Int']['output'];
};

/** A step of a saga. */
export type SagaStep = {
  readonly __typename?: 'SagaStep';
  /** What it is called, such as `AuthorizeCustomer`. */
  readonly name: Scalars['String']['output'];
  /** Where it stands. */
  readonly state: SagaStepState;
  /** How often it was tried in the direction the saga last went. */
  readonly attempts: Scalars['Int']['output'];
  /** When it was first tried in that direction. */
  readonly startedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When it was done, refused, undone or skipped. */
  readonly endedAt?: Maybe<Scalars['DateTime']['output']>;
  /** When it will be tried again. */
  readonly nextAttemptAt?: Maybe<Scalars['DateTime']['output']>;
  /** Why it was refused or has to be tried again: a stable name. */
  readonly reason?: Maybe<Scalars['String']['output']>;
};

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

/** What a bot collects for an order. */
export type ShoppingList = Node & {
  readonly __typename?: 'ShoppingList';
  /** Names it. An order's list bears the order's id with its own prefix. */
  readonly id: Scalars['ID']['output'];
  /** The order it is for. */
  readonly order: Order;
  /** Where it stands. */
  readonly status: ShoppingListStatus;
  /** The bot that has it, or had it last. */
  readonly bot?: Maybe<Bot>;
  /** Where to go and what to take there. */
  readonly stops: ReadonlyArray<Stop>;
};

/** A page of shopping lists. */
export type ShoppingListConnection = {
  readonly __typename?: 'ShoppingListConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<ShoppingListEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<ShoppingList>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of shopping lists, and its place. */
export type ShoppingListEdge = {
  readonly __typename?: 'ShoppingListEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: ShoppingList;
};

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
  readonly productId: Scalars['ID']['input'];
  /** Why, 1 to 500 characters. */
  readonly reason: Scalars['String']['input'];
};

/** A basket to be started. */
export type StartBasketInput = {
  /** Whose it is. */
  readonly customerId: Scalars['ID']['input'];
  /** The new basket's id, if the client chooses it: the same input again is answered alike. */
  readonly id?: InputMaybe<Scalars['ID']['input']>;
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of starting a basket. */
export type StartBasketPayload = {
  readonly __typename?: 'StartBasketPayload';
  /** The basket; null if it is not in the read model yet. */
  readonly basket?: Maybe<Basket>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A bot setting out. */
export type StartShoppingInput = {
  /** With which list. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of a bot setting out. */
export type StartShoppingPayload = {
  readonly __typename?: 'StartShoppingPayload';
  /** The list; null if it is not in the read model yet. */
  readonly shoppingList?: Maybe<ShoppingList>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** A store to go to. */
export type Stop = {
  readonly __typename?: 'Stop';
  /** The store as it is now. */
  readonly store: Store;
  /** What it was called when the goods were chosen. */
  readonly storeName: Scalars['String']['output'];
  /** Where in the mall it is. */
  readonly location: Scalars['String']['output'];
  /** What to take there. */
  readonly items: ReadonlyArray<StopItem>;
};

/** Something to take. */
export type StopItem = {
  readonly __typename?: 'StopItem';
  /** What. */
  readonly productId: Scalars['ID']['output'];
  /** What it was called when it was chosen. */
  readonly productName: Scalars['String']['output'];
  /** How many to take. */
  readonly quantity: Scalars['Int']['output'];
  /** How many were taken so far. */
  readonly picked: Scalars['Int']['output'];
};

/** A store of the mall. */
export type Store = Node & {
  readonly __typename?: 'Store';
  /** Names it. */
  readonly id: Scalars['ID']['output'];
  /** What it is called. */
  readonly name: Scalars['String']['output'];
  /** Where in the mall it is. */
  readonly location: Scalars['String']['output'];
  /** Whether bots may shop in it: only then can its products be bought. */
  readonly participating: Scalars['Boolean']['output'];
  /** What it sells, in the order it was put on sale. Products that were removed are not in it. */
  readonly products: ProductConnection;
};


/** A store of the mall. */
export type StoreProductsArgs = {
  first?: InputMaybe<Scalars['Int']['input']>;
  after?: InputMaybe<Scalars['Cursor']['input']>;
  last?: InputMaybe<Scalars['Int']['input']>;
  before?: InputMaybe<Scalars['Cursor']['input']>;
  text?: InputMaybe<Scalars['String']['input']>;
};

/** A page of stores. */
export type StoreConnection = {
  readonly __typename?: 'StoreConnection';
  /** The items with their places. */
  readonly edges: ReadonlyArray<StoreEdge>;
  /** The items alone. */
  readonly nodes: ReadonlyArray<Store>;
  /** Where the page stands in the list. */
  readonly pageInfo: PageInfo;
};

/** One of stores, and its place. */
export type StoreEdge = {
  readonly __typename?: 'StoreEdge';
  /** Its place in the list. */
  readonly cursor: Scalars['Cursor']['output'];
  /** The item. */
  readonly node: Store;
};

/** The subscriptions of all contexts. */
export type Subscription = {
  readonly __typename?: 'Subscription';
  /** An order as it is now, and again whenever it changes. */
  readonly orderChanged: Order;
  /**
   * Orders that fit: the newest hundred as they are now, then each one whenever it is placed
   * or changes.
   */
  readonly ordersChanged: Order;
  /**
   * Everything that happens to an order: from the beginning, or from behind a cursor, then each
   * new thing. Nothing is missed and nothing comes twice, across reconnects too.
   */
  readonly orderProgress: OrderProgress;
  /**
   * Everything an order's sagas do, step by step: from the beginning, or from behind a cursor,
   * then each new thing.
   */
  readonly sagaProgress: SagaProgress;
  /** A basket as it is now, and again whenever it changes. */
  readonly basketChanged: Basket;
  /**
   * The products of a store: the oldest hundred as they are now, then each one whenever
   * it is added, changes or goes off sale.
   */
  readonly productsChanged: Product;
  /**
   * The depot board: the oldest hundred lists in these states, then each list whenever it comes
   * into one of them or changes there.
   */
  readonly shoppingListsChanged: ShoppingList;
  /** The bots: the first hundred as they are now, then each one whenever it changes. */
  readonly botsChanged: Bot;
  /**
   * Each message that goes out to a customer: all that went out, or all behind a cursor, then
   * each new one. Each item's cursor is in `extensions.cursor`.
   */
  readonly notificationSent: Notification;
  /**
   * What happened to anything: from the beginning, or from behind a cursor, then each new event.
   * Nothing is missed and nothing comes twice, across reconnects too. Its cursors are those of
   * `history`.
   */
  readonly historyChanged: LedgerEventEdge;
  /**
   * How each family of read models stands: now, and again as they move, at most four times a
   * second.
   */
  readonly projectionsChanged: ReadonlyArray<Projection>;
  /**
   * The first hundred messages that are parked: now, and again whenever one of them is parked,
   * tried, or gone, at most once a second.
   */
  readonly deadLettersChanged: ReadonlyArray<DeadLetter>;
};


/** The subscriptions of all contexts. */
export type SubscriptionOrderChangedArgs = {
  id: Scalars['ID']['input'];
};


/** The subscriptions of all contexts. */
export type SubscriptionOrdersChangedArgs = {
  filter?: InputMaybe<OrderFilter>;
};


/** The subscriptions of all contexts. */
export type SubscriptionOrderProgressArgs = {
  orderId: Scalars['ID']['input'];
  after?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The subscriptions of all contexts. */
export type SubscriptionSagaProgressArgs = {
  orderId: Scalars['ID']['input'];
  after?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The subscriptions of all contexts. */
export type SubscriptionBasketChangedArgs = {
  id: Scalars['ID']['input'];
};


/** The subscriptions of all contexts. */
export type SubscriptionProductsChangedArgs = {
  storeId: Scalars['ID']['input'];
};


/** The subscriptions of all contexts. */
export type SubscriptionShoppingListsChangedArgs = {
  statuses?: InputMaybe<ReadonlyArray<ShoppingListStatus>>;
};


/** The subscriptions of all contexts. */
export type SubscriptionNotificationSentArgs = {
  customerId: Scalars['ID']['input'];
  after?: InputMaybe<Scalars['Cursor']['input']>;
};


/** The subscriptions of all contexts. */
export type SubscriptionHistoryChangedArgs = {
  id: Scalars['ID']['input'];
  after?: InputMaybe<Scalars['Cursor']['input']>;
};

/** A bot that is out of work. */
export type TakeBotOfflineInput = {
  /** Which bot. */
  readonly id: Scalars['ID']['input'];
  /** The client's own mark. The same mark again does nothing again. */
  readonly clientMutationId?: InputMaybe<Scalars['String']['input']>;
};

/** What came of taking a bot offline. */
export type TakeBotOfflinePayload = {
  readonly __typename?: 'TakeBotOfflinePayload';
  /** The bot; null if it is not in the read model yet. */
  readonly bot?: Maybe<Bot>;
  /** Where the change stands in the ledger. */
  readonly position: Scalars['Position']['output'];
  /** The mark the client gave, returned. */
  readonly clientMutationId?: Maybe<Scalars['String']['output']>;
};

/** What other schemas may add to. */
export type _Entity = Store | Product | Customer | Basket | Order | Payment | Invoice | ShoppingList | Bot | Saga | Notification | DeadLetter;

/** What this service is to a router. */
export type _Service = {
  readonly __typename?: '_Service';
  /** Its schema, with what is to be known for joining it with others. */
  readonly sdl?: Maybe<Scalars['String']['output']>;
};

