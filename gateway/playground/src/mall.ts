/** The mall that serves this page. */
import { createClient } from "@mallbots/client";
import { token } from "./token";

export const url = new URL("/graphql", location.href).href;

/** Carries the subscriptions. */
export const mall = createClient({ url, token: () => token.get() });
