/** What the editors need that has no setting. */
import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { useEffect } from "react";
import { letGo } from "./fetcher";

export function Setup() {
  const { queryEditor, variableEditor, headerEditor, responseEditor, tabs, activeTabIndex } = useGraphiQL((all) => all);
  const { stop } = useGraphiQLActions();
  const tab = tabs[activeTabIndex];

  // Narrow as they are, they wrap long lines.
  useEffect(() => {
    for (const editor of [queryEditor, variableEditor, headerEditor, responseEditor]) {
      editor?.updateOptions({ fontSize: 13, wordWrap: "on", wrappingIndent: "deepIndent" });
    }
  }, [queryEditor, variableEditor, headerEditor, responseEditor]);

  // A tab's operation is restored, but not its variables.
  useEffect(() => {
    if (tab?.variables && variableEditor?.getValue() === "") variableEditor.setValue(tab.variables);
  }, [variableEditor]);

  // A new tab would show the answers of what runs in the old one, and could
  // run nothing of its own until that is stopped.
  useEffect(() => {
    letGo();
    stop();
  }, [tab?.id]);

  return null;
}
