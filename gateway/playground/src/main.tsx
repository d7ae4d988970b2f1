import "./styles";
import "./workers";
import "./monaco";
import "@graphiql/react/style.css";
import "@graphiql/plugin-doc-explorer/style.css";
import "@graphiql/plugin-history/style.css";
import "graphiql/graphiql.css";
import "./playground.css";

import { GraphiQL, HISTORY_PLUGIN } from "graphiql";
import { createRoot } from "react-dom/client";
import { fetcher, tabIs } from "./fetcher";
import { LivePanel } from "./live-panel";
import { PURCHASE } from "./purchase-panel";
import { purchase, steps } from "./purchase";
import { Setup } from "./setup";
import { TokenBox } from "./token-box";
import { tokensCount } from "./token";

const first = steps[0]!;
const tabs = [
  { query: first.document, variables: JSON.stringify(first.variables(purchase.get().ids), null, 2) },
];
const plugins = [PURCHASE, HISTORY_PLUGIN];

createRoot(document.getElementById("root")!).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    visiblePlugin={PURCHASE}
    defaultTabs={tabs}
    defaultEditorToolsVisibility="variables"
    defaultQuery={"# Ctrl-Space shows what can be asked here, Ctrl-Enter runs it.\n"}
    onTabChange={({ tabs, activeTabIndex }) => tabIs(tabs[activeTabIndex]?.id)}
  >
    <GraphiQL.Logo>
      {tokensCount && <TokenBox />}
      <a className="brand" href="/">
        <img src="/playground/icon.svg" alt="" width="20" height="20" />
        MallBots
      </a>
    </GraphiQL.Logo>
    <GraphiQL.Footer>
      <Setup />
      <LivePanel />
    </GraphiQL.Footer>
  </GraphiQL>,
);
