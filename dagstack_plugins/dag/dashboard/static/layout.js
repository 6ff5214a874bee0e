// A worker that places the nodes of a graph, so that the page stays usable meanwhile.
"use strict";

importScripts("/static/vendor/dagre.min.js");

const WIDTH = 204, HEIGHT = 46, GAP = 18, RANK = 64;
const FEW = 120; // dagre takes ever longer for more, and strews them
const TALL = 40; // nodes in one column, which nobody sees as a whole

onmessage = ({ data: { key, names, edges, down } }) => postMessage({ key, down, ...placed(names, edges, down) });

postMessage({ ready: true });

/** `down`: whether what comes later stands below, and not to the right. */
function placed(names, edges, down) {
  const linked = new Set(edges.flat());
  const alone = names.filter((name) => !linked.has(name));
  const columns = layers(names.filter((name) => linked.has(name)), edges);
  const widest = columns.reduce((most, column) => Math.max(most, column.length), 0);
  const drawn = linked.size <= FEW && widest <= TALL ? byDagre(linked, edges, down) : byLayers(columns, edges, linked.size, down);
  return withLoners(drawn, alone);
}

function byDagre(linked, edges, down) {
  const graph = new dagre.graphlib.Graph();
  graph.setGraph({ rankdir: down ? "TB" : "LR", nodesep: GAP, ranksep: RANK, marginx: 0, marginy: 0 });
  graph.setDefaultEdgeLabel(() => ({}));
  const names = [...linked];
  const number = new Map(names.map((name, place) => [name, `n${place}`])); // as a name may mean something to dagre
  for (const id of number.values()) graph.setNode(id, { width: WIDTH, height: HEIGHT });
  const ends = edges.map((edge) => edge.map((name) => number.get(name)));
  for (const [before, after] of ends) graph.setEdge(before, after);
  dagre.layout(graph);
  const nodes = names.map((name) => [name, graph.node(number.get(name)).x, graph.node(number.get(name)).y]);
  const points = ends.map(([before, after]) => graph.edge(before, after).points.map(({ x, y }) => [x, y]));
  return { nodes, points, width: graph.graph().width, height: graph.graph().height };
}

/** Each node one column to the right of the last that it waits for; within a column, near to its neighbours. */
function layers(names, edges) {
  const after = new Map(names.map((name) => [name, []]));
  const before = new Map(names.map((name) => [name, []]));
  for (const [one, other] of edges) {
    after.get(one).push(other);
    before.get(other).push(one);
  }
  const left = new Map(names.map((name) => [name, before.get(name).length]));
  const rank = new Map();
  const ready = names.filter((name) => left.get(name) === 0);
  for (let place = 0; place < ready.length; place++) {
    const name = ready[place];
    rank.set(name, before.get(name).reduce((most, one) => Math.max(most, rank.get(one) + 1), 0));
    for (const other of after.get(name)) {
      left.set(other, left.get(other) - 1);
      if (left.get(other) === 0) ready.push(other);
    }
  }
  const columns = [];
  for (const name of ready) (columns[rank.get(name)] ??= []).push(name);
  const place = new Map();
  const settle = (column) => column.forEach((name, index) => place.set(name, index / column.length));
  columns.forEach(settle);
  for (let sweep = 0; sweep < 6; sweep++) {
    const neighbours = sweep % 2 ? after : before;
    for (const column of sweep % 2 ? [...columns].reverse() : columns) {
      const middle = (name) => {
        const near = neighbours.get(name);
        return near.length ? near.reduce((sum, one) => sum + place.get(one), 0) / near.length : place.get(name);
      };
      const middles = new Map(column.map((name) => [name, middle(name)]));
      column.sort((one, other) => middles.get(one) - middles.get(other));
      settle(column);
    }
  }
  return columns;
}

/** What is too much for dagre; a column that is too tall becomes several. */
function byLayers(columns, edges, count, down) {
  const [long, broad] = down ? [HEIGHT, WIDTH] : [WIDTH, HEIGHT]; // of a node, along the way of the graph and across
  const tallest = Math.max(down ? 4 : 8, Math.ceil(Math.sqrt(count) * (down ? 0.5 : 1.3)));
  const nodes = [];
  let along = long / 2, across = 0;
  for (const column of columns) {
    const parts = Math.ceil(column.length / tallest);
    const each = Math.ceil(column.length / parts);
    column.forEach((name, index) => {
      const own = Math.min(each, column.length - Math.floor(index / each) * each);
      nodes.push([name, along + Math.floor(index / each) * (long + GAP), (index % each - (own - 1) / 2) * (broad + GAP)]);
      across = Math.max(across, own * (broad + GAP));
    });
    along += (parts - 1) * (long + GAP) + long + RANK * 1.6;
  }
  for (const node of nodes) node[2] += across / 2;
  const at = new Map(nodes.map(([name, ...place]) => [name, place]));
  const turned = ([one, other]) => (down ? [other, one] : [one, other]);
  const points = edges.map(([one, other]) => [
    turned([at.get(one)[0] + long / 2, at.get(one)[1]]),
    turned([at.get(other)[0] - long / 2, at.get(other)[1]]),
  ]);
  const [width, height] = turned([Math.max(0, along - long / 2 - RANK * 1.6), across]);
  return { nodes: nodes.map(([name, ...place]) => [name, ...turned(place)]), points, width, height };
}

/** Nodes without edges stand in rows below the others. */
function withLoners(drawn, alone) {
  if (!alone.length) return drawn;
  const fit = Math.floor((drawn.width + GAP) / (WIDTH + GAP));
  const across = Math.max(fit, Math.ceil(Math.sqrt(alone.length / 2.5)), 1);
  const top = drawn.nodes.length ? drawn.height + RANK : 0;
  alone.forEach((name, index) => {
    const x = WIDTH / 2 + (index % across) * (WIDTH + GAP);
    drawn.nodes.push([name, x, top + HEIGHT / 2 + Math.floor(index / across) * (HEIGHT + GAP)]);
  });
  const width = Math.min(across, alone.length) * (WIDTH + GAP) - GAP;
  const height = top + Math.ceil(alone.length / across) * (HEIGHT + GAP) - GAP;
  return { ...drawn, width: Math.max(drawn.width, width), height };
}
