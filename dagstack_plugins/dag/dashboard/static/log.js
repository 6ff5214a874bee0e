// What happened, line by line; the newest at the end.

import { on, select, store, takeOlder } from "./store.js";
import { element, icon } from "./text.js";

const box = document.getElementById("log");
const older = document.getElementById("older");
const SAID = {
  pre_execute: ["running", "run began"],
  post_execute: ["ended", "run"],
  pre_node: ["running", "began"],
  post_node: ["succeeded", "succeeded"],
  on_error: ["failed", ""],
  skipped: ["skipped", "skipped"],
  cancelled: ["cancelled", "cancelled"],
  timed_out: ["timed_out", "timed out"],
  failed: ["failed", "failed"],
  succeeded: ["succeeded", "succeeded"],
  gate: ["waiting", "gate"],
};
let first = null; // numbers of the entries that are drawn
let last = null;
let run = null;

function draw() {
  const { log } = store;
  const atEnd = box.scrollHeight - box.scrollTop - box.clientHeight < 40;
  const overlaps = last !== null && log.length && log[0].number <= last + 1 && log.at(-1).number >= last;
  if (run !== store.run?.id || !overlaps) {
    box.replaceChildren();
    first = last = null;
  }
  run = store.run?.id;
  while (first !== null && first < log[0].number) {
    box.firstElementChild?.remove();
    first = box.firstElementChild ? Number(box.firstElementChild.dataset.number) : null;
    last = first === null ? null : last;
  }
  if (first !== null && log[0].number < first) {
    const height = box.scrollHeight;
    box.prepend(...log.filter((entry) => entry.number < first).map(line));
    box.scrollTop += box.scrollHeight - height; // what is read stays where it is
  }
  box.append(...log.filter((entry) => last === null || entry.number > last).map(line));
  first = box.firstElementChild ? Number(box.firstElementChild.dataset.number) : null;
  last = box.lastElementChild ? Number(box.lastElementChild.dataset.number) : null;
  older.hidden = !first;
  if (atEnd) box.scrollTop = box.scrollHeight;
}

function line({ number, at, event, node, message }) {
  const [status, said] = SAID[event] ?? ["ended", event];
  const told = [said, message].filter(Boolean).join(event === "gate" ? " " : ": ").replace("run: ", "run ");
  return element(
    "li",
    { "data-status": status, "data-number": number },
    element("time", {}, `${at.toFixed(2)} s`),
    icon(status === "running" ? "ended" : status),
    element(
      "span",
      { class: "said" },
      node === null ? "" : element("button", { type: "button", class: "link", onclick: () => select(node) }, node),
      node === null ? "" : " ",
      element("span", {}, told),
    ),
  );
}

async function ask() {
  const { id } = store.run;
  const before = store.log[0].number;
  older.disabled = true;
  try {
    const answer = await fetch(`/api/log?run=${encodeURIComponent(id)}&before=${before}`);
    const told = answer.ok ? (await answer.json()).log : [];
    if (store.run?.id === id && store.log[0]?.number === before) takeOlder(told); // else it fits no more
  } catch {
    // nobody answers; the button is there for another try
  } finally {
    older.disabled = false;
  }
}

export function start() {
  on(["log"], draw);
  older.addEventListener("click", ask);
}
