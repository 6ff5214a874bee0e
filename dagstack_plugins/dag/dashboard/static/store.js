// What the page knows. The server sends all of it when a connection begins, then what changes.

export const store = {
  run: null, // its summary: id, status, seconds, counts, …
  nodes: new Map(), // by name
  edges: [],
  log: [], // the last entries
  runs: [],
  gates: [],
  title: "Dashboard",
  heard: 0, // when the server last said how long the run takes
  gatesHeard: 0,
  chosen: null, // the run that the reader chose; null: always the newest
  selected: null, // a node's name
  only: null, // a status, where only nodes of it are listed
  wanted: "", // a part of a name
};

const LOG_KEPT = 2000;
let kept = LOG_KEPT; // more, once a reader has asked for older entries
const listeners = [];
const dirty = new Set();
let planned = false;

/** Call a function, at most once a frame, after one of some things changed: run, nodes, graph, log, gates, view. */
export function on(things, listener) {
  listeners.push({ things: new Set(things), listener });
}

export function changed(...things) {
  for (const thing of things) dirty.add(thing);
  if (planned) return;
  planned = true;
  // Not a frame alone: a tab that nobody looks at has none, and its title tells how the run stands.
  const plan = document.hidden ? (draw) => setTimeout(draw, 500) : requestAnimationFrame;
  plan(() => {
    planned = false;
    const now = new Set(dirty);
    dirty.clear();
    for (const { things: wanted, listener } of listeners) {
      if ([...wanted].some((thing) => now.has(thing))) listener(now);
    }
  });
}

/** How long the run takes, by now. */
export function elapsed() {
  if (!store.run) return 0;
  const since = store.run.status === "running" ? (performance.now() - store.heard) / 1000 : 0;
  return store.run.seconds + since;
}

export function takeState(state) {
  const { run } = state;
  const before = store.run?.id;
  kept = LOG_KEPT;
  store.title = state.title;
  store.run = run;
  store.heard = performance.now();
  store.nodes = new Map((run?.nodes ?? []).map((node) => [node.name, node]));
  store.edges = run?.edges ?? [];
  store.log = run?.log ?? [];
  if (before !== run?.id) {
    store.only = null;
    if (!store.nodes.has(store.selected)) store.selected = null;
  }
  takeOverview(state);
  changed("run", "nodes", "graph", "log", "view");
}

export function takeChanges(changes) {
  if (changes.id !== store.run?.id) return;
  const { nodes, log, ...summary } = changes;
  Object.assign(store.run, summary);
  store.heard = performance.now();
  let isNew = false;
  for (const node of nodes) {
    isNew ||= !store.nodes.has(node.name);
    store.nodes.set(node.name, { attributes: {}, ...store.nodes.get(node.name), ...node });
  }
  const last = store.log.at(-1);
  // Where more happened than is sent at once, the entries between can be asked for.
  store.log = last && log.length && log[0].number !== last.number + 1 ? log : [...store.log, ...log].slice(-kept);
  changed("run", "nodes", "log", ...(isNew ? ["graph"] : []));
}

export function takeOlder(log) {
  store.log = [...log, ...store.log];
  kept = Math.max(kept, store.log.length + LOG_KEPT);
  changed("log");
}

export function takeOverview({ runs, gates }) {
  store.runs = runs;
  store.gates = gates;
  store.gatesHeard = performance.now();
  changed("runs", "gates");
}

/** Whether a node is among those that the reader wants to see. */
export function isWanted(node) {
  const wanted = store.wanted.toLowerCase();
  return (!store.only || node.status === store.only) && (!wanted || node.name.toLowerCase().includes(wanted));
}

export function select(name) {
  store.selected = name;
  changed("view");
}
