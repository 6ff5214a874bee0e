// The graph: drawn once a run, then only coloured anew.

import { changed, isWanted, on, select, store } from "./store.js";
import { seconds, svg, word } from "./text.js";

const WIDTH = 204, HEIGHT = 46;
const MOST = 3000; // more are in the timeline only
const LAYOUTS = 10; // that are kept
const FAR = 0.32; // scale below which names can't be read

const d3 = window.d3;
const view = document.getElementById("graph");
const note = document.getElementById("graph-note");
const layer = svg("g");
const edgeLayer = svg("g", { "aria-hidden": "true" });
const nodeLayer = svg("g");
layer.append(edgeLayer, nodeLayer);
view.append(
  svg(
    "defs",
    {},
    svg(
      "marker",
      { id: "arrow", viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto" },
      svg("path", { d: "M0 0 8 4 0 8z" }),
    ),
  ),
  layer,
);

const known = new Map(); // places by graph
const drawn = new Map(); // name -> { group, more, use, status }
let places = new Map();
let size = { width: 0, height: 0 };
let paths = []; // { before, after, path }
let current = null;
let focusable = null;

let worker = null;

function hire() {
  worker = new Worker("/static/layout.js");
  worker.onmessage = ({ data }) => {
    if (data.ready) {
      view.dataset.ready = "";
      return;
    }
    known.set(data.key, data);
    if (known.size > LAYOUTS) known.delete(known.keys().next().value);
    if (data.key === current) draw(data);
  };
  worker.onerror = () => {
    if (drawn.size === 0) note.textContent = "The graph cannot be drawn; the timeline has all nodes.";
    worker = current = null; // another is tried with what is heard next
  };
}

const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const narrow = matchMedia("(max-width: 900px)");

const zoom = d3
  .zoom()
  .scaleExtent([0.02, 3])
  // Where the page itself scrolls, one finger and the wheel are for that.
  .filter((event) =>
    narrow.matches
      ? event.type === "wheel" ? event.ctrlKey : !event.touches || event.touches.length > 1
      : !event.button,
  )
  .on("zoom", ({ transform }) => {
    layer.setAttribute("transform", transform);
    view.classList.toggle("far", transform.k < FAR);
  });
const picture = d3.select(view).call(zoom).on("dblclick.zoom", null);
const moved = () => (still() ? picture : picture.transition().duration(250));

function fit() {
  const { width, height } = view.getBoundingClientRect();
  if (!width || !height || !size.width) return;
  const scale = Math.min((width - 32) / size.width, (height - 32) / size.height, 1.15);
  const x = (width - size.width * scale) / 2, y = (height - size.height * scale) / 2;
  picture.call(zoom.transform, d3.zoomIdentity.translate(x, y).scale(scale));
}

function arrange() {
  const names = [...store.nodes.keys()];
  const { width, height } = view.getBoundingClientRect();
  const down = height > width; // what comes later stands where there is room
  const key = JSON.stringify([names, store.edges, down]);
  if (key === current) return;
  current = key;
  if (!names.length || names.length > MOST) {
    clear();
    note.hidden = false;
    note.textContent = !store.run
      ? "A run shows here as soon as it begins."
      : names.length ? `${names.length.toLocaleString("en")} nodes are too many to draw; the timeline has all of them.` : "This run has no nodes.";
    return;
  }
  if (known.has(key)) {
    draw(known.get(key));
    return;
  }
  clear();
  note.hidden = false;
  note.textContent = `Arranging ${names.length.toLocaleString("en")} nodes …`;
  if (worker === null) hire();
  worker.postMessage({ key, names, edges: store.edges, down });
}

function clear() {
  nodeLayer.replaceChildren();
  edgeLayer.replaceChildren();
  drawn.clear();
  paths = [];
  places = new Map();
}

function draw(layout) {
  clear();
  note.hidden = true;
  size = layout;
  places = new Map(layout.nodes.map(([name, x, y]) => [name, [x, y]]));
  paths = store.edges.map(([before, after], index) => {
    const path = svg("path", { class: "edge", d: curve(layout.points[index]), "marker-end": "url(#arrow)" });
    return { before, after, path };
  });
  edgeLayer.append(...paths.map(({ path }) => path));
  nodeLayer.append(...[...store.nodes.keys()].filter((name) => places.has(name)).map(drawNode));
  focusable = drawn.has(store.selected) ? store.selected : (drawn.keys().next().value ?? null);
  drawn.get(focusable)?.group.setAttribute("tabindex", "0");
  colour();
  fit();
}

function curve(points) {
  const [first, ...rest] = points;
  if (rest.length === 1) {
    const [last] = rest;
    const [x, y] = [(first[0] + last[0]) / 2, (first[1] + last[1]) / 2];
    return size.down ? `M${first} C${first[0]},${y} ${last[0]},${y} ${last}` : `M${first} C${x},${first[1]} ${x},${last[1]} ${last}`;
  }
  // Through the middles of what lies between, so that no corner is left.
  let path = `M${first}`;
  for (let place = 0; place < rest.length - 1; place++) {
    const [x, y] = rest[place], [nextX, nextY] = rest[place + 1];
    const end = place === rest.length - 2 ? [nextX, nextY] : [(x + nextX) / 2, (y + nextY) / 2];
    path += ` Q${x},${y} ${end}`;
  }
  return path;
}

const measure = document.createElement("canvas").getContext("2d");
measure.font = `550 13px ${getComputedStyle(document.body).fontFamily}`;

/** As much of a name as has room in its box. */
function shortened(name) {
  const room = WIDTH - 34 - 10;
  if (measure.measureText(name).width <= room) return name;
  const letters = [...name];
  while (letters.length > 1 && measure.measureText(`${letters.join("")}…`).width > room) letters.pop();
  return `${letters.join("")}…`;
}

function drawNode(name) {
  const [x, y] = places.get(name);
  const label = svg("text", { x: 34, y: 20 });
  label.textContent = shortened(name);
  const title = svg("title");
  title.textContent = name;
  const use = svg("use", { x: 11, y: 15, width: 16, height: 16 });
  const more = svg("text", { class: "more", x: 34, y: 36 });
  const group = svg(
    "g",
    { class: "node", role: "button", tabindex: "-1", transform: `translate(${x - WIDTH / 2},${y - HEIGHT / 2})` },
    svg("rect", { width: WIDTH, height: HEIGHT, rx: 9 }),
    svg("g", { class: "spin" }, use),
    label,
    more,
    title,
  );
  group.addEventListener("click", () => select(name));
  group.addEventListener("keydown", (event) => key(event, name));
  group.addEventListener("focus", () => reveal(name));
  drawn.set(name, { group, use, more, told: "" });
  return group;
}

function colour() {
  const held = new Set(store.gates.filter((gate) => gate.status === "pending").map((gate) => gate.name));
  for (const [name, one] of drawn) {
    const node = store.nodes.get(name);
    const gate = node.status === "pending" && held.has(name);
    const told = node.seconds !== null && node.status !== "running" ? `${word(node.status)} · ${seconds(node.seconds)}` : word(node.status);
    const line = gate ? "pending · has a gate" : told;
    if (one.told !== line) {
      one.told = line;
      one.group.dataset.status = node.status;
      one.use.setAttribute("href", `#i-${node.status}`);
      one.group.setAttribute("aria-label", `${name}: ${line}`);
      one.more.textContent = line;
    }
  }
  for (const { before, path } of paths) {
    path.classList.toggle("done", store.nodes.get(before)?.status === "succeeded");
  }
}

function mark() {
  for (const [name, { group }] of drawn) {
    group.classList.toggle("selected", name === store.selected);
    group.classList.toggle("dim", !isWanted(store.nodes.get(name)));
    group.setAttribute("aria-pressed", String(name === store.selected));
  }
  for (const { before, after, path } of paths) {
    path.classList.toggle("near", before === store.selected || after === store.selected);
  }
}

function key(event, name) {
  const [x, y] = places.get(name);
  const near = (candidates) =>
    candidates.filter((one) => places.has(one)).sort((one, other) => distance(one) - distance(other))[0];
  const distance = (one) => Math.hypot(places.get(one)[0] - x, places.get(one)[1] - y);
  const beside = (sign) => near([...places.keys()].filter((one) => {
    const [otherX, otherY] = places.get(one);
    const [across, along] = size.down ? [otherX - x, otherY - y] : [otherY - y, otherX - x];
    return Math.sign(across) === sign && Math.abs(along) < (size.down ? HEIGHT : WIDTH);
  }));
  const onward = () => near(paths.filter(({ before }) => before === name).map(({ after }) => after));
  const back = () => near(paths.filter(({ after }) => after === name).map(({ before }) => before));
  const next = {
    ArrowRight: size.down ? () => beside(1) : onward,
    ArrowLeft: size.down ? () => beside(-1) : back,
    ArrowDown: size.down ? onward : () => beside(1),
    ArrowUp: size.down ? back : () => beside(-1),
    Home: () => drawn.keys().next().value,
    End: () => [...drawn.keys()].at(-1),
  }[event.key];
  if (next) {
    event.preventDefault();
    const found = next();
    if (found !== undefined) focus(found);
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    select(name);
  }
}

function focus(name) {
  drawn.get(focusable)?.group.setAttribute("tabindex", "-1");
  focusable = name;
  drawn.get(name).group.setAttribute("tabindex", "0");
  drawn.get(name).group.focus({ preventScroll: true });
}

/** Bring a node into view, as far as it is outside. */
function reveal(name) {
  const [x, y] = places.get(name);
  const { width, height } = view.getBoundingClientRect();
  const at = d3.zoomTransform(view);
  const [left, top] = at.apply([x - WIDTH / 2, y - HEIGHT / 2]);
  const [right, bottom] = at.apply([x + WIDTH / 2, y + HEIGHT / 2]);
  const inward = (low, high, most) => (low < 8 ? 8 - low : high > most - 8 ? most - 8 - high : 0);
  const [moveX, moveY] = [inward(left, right, width), inward(top, bottom, height)];
  if (moveX || moveY) picture.call(zoom.translateBy, moveX / at.k, moveY / at.k);
}

export function start() {
  hire(); // from the beginning: the program may have ended when it is needed
  on(["graph"], arrange);
  on(["nodes", "gates"], colour);
  on(["view", "graph", "nodes"], mark);
  document.getElementById("zoom-in").addEventListener("click", () => moved().call(zoom.scaleBy, 1.4));
  document.getElementById("zoom-out").addEventListener("click", () => moved().call(zoom.scaleBy, 1 / 1.4));
  document.getElementById("zoom-fit").addEventListener("click", fit);
  let wide = 0;
  new ResizeObserver(() => {
    const width = view.clientWidth;
    arrange(); // the other way, where the room is another
    if (width && Math.abs(width - wide) > 40) fit();
    wide = width;
  }).observe(view);
  changed("graph");
}
