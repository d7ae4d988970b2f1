/**
 * Styles that a strict Content-Security-Policy lets pass.
 *
 * The policy forbids `<style>` elements and `style` attributes in markup, and
 * the editor makes both. Style sheets that are constructed by a script, and
 * styles that it sets on an element, are allowed: what the editor makes is
 * turned into these. The build puts the calls where they belong.
 */

/** Stands for `<style>`: its text is the text of a constructed style sheet. */
class AdoptedStyle extends HTMLElement {
  readonly sheet = new CSSStyleSheet();
  readonly #changes = new MutationObserver(() => this.#read());

  connectedCallback() {
    this.#changes.observe(this, { childList: true, characterData: true, subtree: true });
    this.#read();
    document.adoptedStyleSheets = [...document.adoptedStyleSheets, this.sheet];
  }

  disconnectedCallback() {
    this.#changes.disconnect();
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((sheet) => sheet !== this.sheet);
  }

  #read() {
    // Rules that were inserted one by one are kept where there is no text.
    const text = this.textContent ?? "";
    if (text !== "") this.sheet.replaceSync(text);
  }
}

customElements.define("adopted-style", AdoptedStyle);

/** What to make in place of a `<style>` element. */
export function createStyleElement(): HTMLElement {
  return document.createElement("adopted-style");
}

/** Takes styles out of markup before it is parsed. Text cannot be mistaken for a tag: its `<` are escaped. */
export function withoutStyles(markup: { toString(): string }): string {
  return markup.toString().replace(/(<[a-z]+[^<>]*?\s)style="/g, '$1data-style="');
}

/** Gives the elements the styles that were taken out. */
export function applyStyles(within: ParentNode): void {
  for (const element of within.querySelectorAll<HTMLElement>("[data-style]")) {
    element.style.cssText = element.dataset["style"] ?? "";
    delete element.dataset["style"];
  }
}
