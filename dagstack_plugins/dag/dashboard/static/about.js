// One node, or the run as a whole.

import { elapsed, on, select, store } from "./store.js";
import { clock, counted, element, icon, seconds, word } from "./text.js";

const box = document.getElementById("about");
const title = document.getElementById("about-title");
const close = document.getElementById("about-close");
const FEW = 5;
let shown = "";
let about = null; // the node, or the run
let later = 0;

function draw() {
  const node = store.nodes.get(store.selected);
  // Drawn anew only when something of it changed: what a reader has unfolded or marked stays.
  const key = JSON.stringify(node ?? [store.run?.id, store.run?.status, store.run?.counts, [...running()].length]);
  if (key === shown) return;
  // What somebody is about to press, or has come to by keyboard, is not taken away under the hand.
  const same = node ? about === node.name : about === store.run?.id && store.run?.status === "running";
  if (same && (box.matches(":active") || box.contains(document.activeElement))) {
    clearTimeout(later);
    later = setTimeout(draw, 1000);
    return;
  }
  shown = key;
  about = node ? node.name : store.run?.id;
  close.hidden = !node;
  title.textContent = node ? "Node" : "Summary";
  box.replaceChildren(...(node ? aboutNode(node) : aboutRun()).filter(Boolean));
}

const running = () => [...store.nodes.values()].filter((node) => node.status === "running");
const button = (name) => element("button", { type: "button", class: "link", onclick: () => select(name) }, name);
const heading = (text) => element("h3", {}, text);

function section(text, ...children) {
  return element("section", {}, heading(text), ...children);
}

function aboutNode(node) {
  const links = (names) => (names.length ? element("div", { class: "links" }, ...names.map(button)) : "nothing");
  const rows = [
    ["Status", word(node.status)],
    ["Began", node.started === null ? (store.run.status === "running" ? "not yet" : "never") : `${seconds(node.started)} into the run`],
    ...(node.waited_at === null ? [] : [["Waited", node.waited === null ? "for a decision" : `${seconds(node.waited)} for a decision`]]),
    ["Took", node.seconds === null ? "–" : seconds(node.seconds)],
    ["Attempts", String(node.attempts || (node.status === "running" ? "the first" : 0))],
    ["Waits for", links(store.edges.filter(([, after]) => after === node.name).map(([before]) => before))],
    ["Needed by", links(store.edges.filter(([before]) => before === node.name).map(([, after]) => after))],
    ...Object.entries(node.attributes).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
  ];
  return [
    element("p", { class: "big", "data-status": node.status }, icon(node.status), element("span", {}, node.name)),
    element("dl", {}, ...rows.flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)])),
    node.error && fault(node, true),
  ];
}

function fault(node, whole) {
  return element(
    "div",
    { class: "fault", "data-status": node.status },
    whole ? heading("Error") : button(node.name),
    element("p", {}, [node.error.type, node.error.message].filter(Boolean).join(": ") || word(node.status)),
    whole && node.error.traceback
      ? element("details", {}, element("summary", {}, "Traceback"), element("pre", { tabindex: "0" }, node.error.traceback))
      : null,
  );
}

function aboutRun() {
  const { run } = store;
  if (!run) return [element("p", { class: "empty" }, "Nothing has run yet.")];
  const nodes = [...store.nodes.values()];
  const failed = nodes.filter((node) => node.status === "failed" || node.status === "timed_out");
  const slow = nodes.filter((node) => node.seconds !== null).sort((one, other) => other.seconds - one.seconds).slice(0, FEW);
  const now = running();
  const ended = run.status === "running" ? "running" : `${run.status} in ${seconds(elapsed())}`;
  return [
    element("p", { class: "big", "data-status": run.status }, icon(run.status), element("span", {}, ended)),
    element(
      "dl",
      {},
      ...[
        ["Began", clock(run.started_at)],
        ["Graph", `${counted(nodes.length, "node")}, ${counted(store.edges.length, "edge")}`],
        ["Run", run.id.slice(0, 12)],
      ].flatMap(([name, value]) => [element("dt", {}, name), element("dd", { title: name === "Run" ? run.id : null }, value)]),
    ),
    failed.length && section(`${counted(failed.length, "failure")}`, ...failed.slice(0, 20).map((node) => fault(node, false))),
    now.length && section("Running now", list(now, () => "")),
    slow.length && section("Slowest", list(slow, (node) => seconds(node.seconds))),
  ];
}

function list(nodes, told) {
  const items = nodes.slice(0, FEW).map((node) => element("li", {}, button(node.name), element("span", { class: "number" }, told(node))));
  const more = nodes.length - items.length;
  return element("ul", {}, ...items, more > 0 ? element("li", { class: "hint" }, `and ${more.toLocaleString("en")} more`) : null);
}

export function start() {
  on(["view", "nodes", "run", "graph"], draw);
  close.addEventListener("click", () => select(null));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && store.selected !== null) select(null);
  });
}
