// All nodes, each with when it ran; only the rows that can be seen exist.

import { changed, elapsed, isWanted, on, select, store } from "./store.js";
import { counted, element, icon, say, seconds, word } from "./text.js";

const HEIGHT = 26;
const AROUND = 8; // rows beyond what is seen

const box = document.getElementById("rows");
const space = box.firstElementChild;
const axis = document.getElementById("axis");
const hint = document.getElementById("timeline-hint");
const find = document.getElementById("find");
const made = new Map(); // name -> row
let listed = [];
let run = null; // whose nodes they are

/** Those that began, in that order; then the others, in the order of the graph. */
function list() {
  const found = [...store.nodes.values()].filter(isWanted);
  const place = (node) => node.waited_at ?? node.started ?? Infinity;
  const follows = store.run?.id !== run || isSeen(newest());
  run = store.run?.id;
  listed = found.sort((one, other) => (place(one) === place(other) ? 0 : place(one) - place(other)));
  const all = store.nodes.size;
  const which = store.only ? ` that are ${word(store.only)}` : "";
  const some = listed.length < all || store.only || store.wanted;
  say(hint, some ? `${listed.length.toLocaleString("en")} of ${counted(all, "node")}${which}` : "");
  space.style.height = `${listed.length * HEIGHT}px`;
  box.setAttribute("aria-rowcount", listed.length);
  if (follows) bring(newest(), 2);
  show();
}

// Whoever looks at what runs now goes on seeing that; whoever scrolled away is left there.

const newest = () => listed.findLastIndex((node) => node.started !== null);
const isSeen = (place) => place * HEIGHT >= box.scrollTop - HEIGHT && place * HEIGHT < box.scrollTop + box.clientHeight;

function bring(place, below) {
  const bottom = (place + 1 + below) * HEIGHT;
  if (bottom > box.scrollTop + box.clientHeight) box.scrollTop = bottom - box.clientHeight;
}

function show() {
  const first = Math.max(0, Math.floor(box.scrollTop / HEIGHT) - AROUND);
  const last = Math.min(listed.length, Math.ceil((box.scrollTop + box.clientHeight) / HEIGHT) + AROUND);
  const total = Math.max(elapsed(), 0.001);
  const seen = new Set();
  for (let place = first; place < last; place++) {
    const node = listed[place];
    seen.add(node.name);
    const row = made.get(node.name) ?? make(node.name);
    row.root.style.top = `${place * HEIGHT}px`;
    row.root.setAttribute("aria-rowindex", place + 1);
    fill(row, node, total);
  }
  for (const [name, { root }] of made) {
    if (seen.has(name)) continue;
    if (root.contains(document.activeElement)) box.focus({ preventScroll: true });
    root.remove();
    made.delete(name);
  }
  // In the order in which they are seen, for whoever goes through them by keyboard.
  listed.slice(first, last).forEach((node, index) => {
    const { root } = made.get(node.name);
    if (space.children[index] !== root && !root.contains(document.activeElement)) {
      space.insertBefore(root, space.children[index] ?? null);
    }
  });
  ticks(total);
}

function make(name) {
  const bar = element("i");
  const wait = element("i", { class: "wait", hidden: true });
  const number = element("span", { class: "number", role: "cell" });
  const status = element("span", { class: "unseen", role: "cell" });
  const button = element("button", { type: "button", class: "link", title: name }, name);
  const root = element(
    "div",
    { class: "row", role: "row", onclick: () => select(name) },
    icon("pending"),
    status,
    element("span", { class: "name", role: "cell" }, button),
    element("span", { class: "track", "aria-hidden": "true" }, wait, bar),
    number,
  );
  const row = { root, bar, wait, number, status, shown: "" };
  made.set(name, row);
  space.append(root);
  return row;
}

function fill(row, node, total) {
  if (row.shown !== node.status) {
    row.shown = node.status;
    row.root.dataset.status = node.status;
    row.root.firstElementChild.replaceWith(icon(node.status));
    row.status.textContent = word(node.status);
  }
  row.root.classList.toggle("selected", node.name === store.selected);
  const ran = node.started !== null;
  const length = node.seconds ?? (node.status === "running" ? total - node.started : 0);
  const waited = node.waited ?? (node.status === "waiting" ? total - node.waited_at : 0);
  row.wait.hidden = node.waited_at === null;
  if (node.waited_at !== null) {
    row.wait.style.left = `${(100 * node.waited_at) / total}%`;
    row.wait.style.width = `${(100 * Math.min(waited, total - node.waited_at)) / total}%`;
  }
  row.bar.hidden = !ran;
  if (ran) {
    row.bar.style.left = `${(100 * node.started) / total}%`;
    row.bar.style.width = `${(100 * Math.min(length, total - node.started)) / total}%`;
  }
  say(row.number, ran ? seconds(length) : node.status === "pending" ? "" : word(node.status).replace(" for a decision", ""));
}

const STEPS = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600, 86400];

function ticks(total) {
  const most = Math.max(2, Math.floor(axis.clientWidth / 90));
  const step = STEPS.find((one) => total / one <= most) ?? STEPS.at(-1);
  const count = store.run ? Math.floor(total / step) + 1 : 0;
  while (axis.children.length > count) axis.lastChild.remove();
  while (axis.children.length < count) axis.append(element("span"));
  [...axis.children].forEach((tick, place) => {
    tick.style.left = `${(100 * place * step) / total}%`;
    say(tick, place === 0 ? "0 s" : step < 1 ? `${(place * step).toFixed(2)} s` : seconds(place * step).replace(".0 s", " s").replace(" 0 s", ""));
  });
}

/** Whichever node was chosen elsewhere shall be seen here. */
function reveal() {
  const place = listed.findIndex((node) => node.name === store.selected);
  if (place < 0) return;
  const top = place * HEIGHT;
  if (top < box.scrollTop || top + HEIGHT > box.scrollTop + box.clientHeight) {
    box.scrollTop = top - box.clientHeight / 2;
  }
}

export function start() {
  on(["nodes", "graph", "view"], (now) => {
    list();
    if (now.has("view")) reveal();
  });
  box.addEventListener("scroll", show, { passive: true });
  new ResizeObserver(show).observe(box);
  find.addEventListener("input", () => {
    store.wanted = find.value.trim();
    changed("nodes");
  });
  setInterval(() => store.run?.status === "running" && !document.hidden && show(), 250);
}
