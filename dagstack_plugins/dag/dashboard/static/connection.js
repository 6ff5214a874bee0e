// The stream of events: it comes again by itself, and begins each time with all there is to know.

import { changed, store, takeChanges, takeOverview, takeState } from "./store.js";

const SILENCE = 40_000; // the server says something every 15 s
const AGAIN = 1_000; // and twice as long each time, up to
const LONGEST = 15_000;

let source = null;
let heard = 0;
let retry = 0;
let wait = AGAIN;
export const connection = { state: "connecting" };

function become(state) {
  connection.state = state;
  changed("connection");
}

export function connect() {
  clearTimeout(retry);
  source?.close();
  const query = store.chosen === null ? "" : `?run=${encodeURIComponent(store.chosen)}`;
  heard = performance.now();
  const own = new EventSource(`/api/events${query}`);
  source = own;
  const hear = (name, take) =>
    own.addEventListener(name, (event) => {
      if (own !== source) return;
      heard = performance.now();
      take(JSON.parse(event.data));
    });
  own.addEventListener("open", () => own === source && become("live"));
  hear("state", (state) => {
    wait = AGAIN;
    takeState(state);
  });
  hear("changes", takeChanges);
  hear("overview", takeOverview);
  hear("ping", () => {});
  hear("gone", () => follow(null));
  hear("end", () => {
    own.close();
    become("ended");
    lookLater();
  });
  own.addEventListener("error", () => {
    if (own !== source) return;
    if (own.readyState !== EventSource.CLOSED) {
      become("lost"); // the browser tries again
      return;
    }
    become("lost");
    lookLater();
  });
}

function lookLater() {
  clearTimeout(retry);
  retry = setTimeout(look, wait);
  wait = Math.min(2 * wait, LONGEST);
}

/** Why there is no stream: the key is no longer the right one, the run was forgotten, or nobody answers. */
async function look() {
  const query = store.chosen === null ? "" : `&run=${encodeURIComponent(store.chosen)}`;
  let status = 0;
  try {
    status = (await fetch(`/api/log?before=0${query}`, { cache: "no-store" })).status;
  } catch {
    // nobody answers
  }
  if (status === 200) connect();
  else if (status === 404 && store.chosen !== null) follow(null);
  else if (status === 401 || status === 403) become("refused");
  else lookLater();
}

/** Show a run, or with null always the newest; the address remembers that. */
export function follow(run) {
  store.chosen = run;
  history.replaceState(null, "", run === null ? location.pathname : `#run=${encodeURIComponent(run)}`);
  connect();
}

export function begin() {
  store.chosen = new URLSearchParams(location.hash.slice(1)).get("run"); // which takes whatever stands there
  connect();
  window.addEventListener("online", connect);
  setInterval(() => {
    const live = connection.state === "live" || connection.state === "lost";
    if (live && performance.now() - heard > SILENCE) connect(); // a connection that died without a word
  }, 5_000);
}
