/** Who to be: a role that the server offers a token for, or any token. */
import { offered, token } from "./token";
import { useStore } from "./store";

export function TokenBox() {
  const now = useStore(token);
  const role = offered.find(([, its]) => its === now)?.[0];
  return (
    <div className="token" role="group" aria-label="Token">
      {offered.map(([name, its]) => (
        <button key={name} type="button" aria-pressed={name === role} onClick={() => token.set(its)}>
          {name}
        </button>
      ))}
      <button type="button" aria-pressed={now === null} onClick={() => token.set(null)}>
        no token
      </button>
      <input
        type="password"
        autoComplete="off"
        spellCheck={false}
        placeholder="or a token"
        aria-label="A token"
        value={role || now === null ? "" : now}
        onChange={({ target }) => token.set(target.value.trim() || null)}
      />
    </div>
  );
}
