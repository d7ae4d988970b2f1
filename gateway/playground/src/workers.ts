/** Where the editor's workers are: files of this server, as the policy wants it. */
const WORKERS: Record<string, string> = { graphql: "graphql.worker.js", json: "json.worker.js" };

Object.assign(globalThis, {
  MonacoEnvironment: {
    getWorker: (_id: string, label: string) =>
      new Worker(`/playground/${WORKERS[label] ?? "editor.worker.js"}`, { type: "module", name: label }),
  },
});
