/** Money, times and names as people read them. */

const currencies = new Map<string, Intl.NumberFormat>();

export function money({ amount, currency }: { amount: string; currency: string }): string {
  let format = currencies.get(currency);
  if (!format) {
    format = new Intl.NumberFormat(undefined, { style: "currency", currency });
    currencies.set(currency, format);
  }
  // Amounts are exact; a number is only what is shown.
  return format.format(Number(amount));
}

const integer = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const decimal = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });

export function count(number: number): string {
  return integer.format(number);
}

export function plural(number: number, noun: string): string {
  return `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
}

export function rate(number: number): string {
  return number < 10 ? decimal.format(number) : integer.format(number);
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export function time(at: string): string {
  return clock.format(new Date(at));
}

export function moment(at: string | number): string {
  const date = new Date(at);
  return `${day.format(date)}, ${clock.format(date)}`;
}

/** Milliseconds since 1970, with the microseconds that the mall tells. */
export function instant(at: string): number {
  const whole = Date.parse(at);
  const fraction = /\.\d{3}(\d{1,3})/.exec(at)?.[1] ?? "";
  return whole + Number(fraction.padEnd(3, "0")) / 1000;
}

export function duration(milliseconds: number): string {
  if (milliseconds < 1) return "< 1 ms";
  if (milliseconds < 1_000) return `${Math.round(milliseconds)} ms`;
  if (milliseconds < 10_000) return `${(milliseconds / 1_000).toFixed(1)} s`;
  if (milliseconds < 100_000) return `${Math.round(milliseconds / 1_000)} s`;
  const minutes = Math.round(milliseconds / 60_000);
  return minutes < 100 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** `AuthorizeCustomer` and `create_order` as words. */
export function words(name: string): string {
  const spaced = name
    .replace(/_/g, " ")
    .replace(/([a-z])([A-Z])/g, "$1 $2")
    .toLowerCase();
  return spaced.charAt(0).toUpperCase() + spaced.slice(1);
}
