// Where a person decides. What is being typed stays while the list changes.

import { on, store } from "./store.js";
import { element, say, seconds, word } from "./text.js";

const section = document.getElementById("gates");
const cards = document.getElementById("waiting-gates");
const chips = document.getElementById("other-gates");
const heading = document.getElementById("gates-title");
const made = new Map(); // by which decision it is -> { root, left, deadline }
const key = ({ name, number }) => JSON.stringify([name, number]);

function draw() {
  const waiting = store.gates.filter((gate) => gate.status === "waiting");
  const others = store.gates.filter((gate) => gate.status !== "waiting");
  section.hidden = !store.gates.length;
  section.classList.toggle("calls", waiting.length > 0);
  const open = new Map(store.gates.map((gate) => [key(gate), gate]));
  for (const [which, card] of made) {
    if (open.get(which)?.status === "waiting" || card.root.classList.contains("done")) continue;
    finish(card, open.get(which));
  }
  clear();
  for (const gate of waiting) {
    const card = made.get(key(gate)) ?? make(gate);
    card.deadline = gate.seconds_left === null ? null : store.gatesHeard / 1000 + gate.seconds_left;
    count(card);
  }
  chips.replaceChildren(
    ...others.map((gate) => {
      const reason = gate.reason ? `: ${gate.reason}` : "";
      const none = store.run && store.run.status !== "running" ? "never reached" : "nothing waits yet";
      const told = gate.status === "pending" ? none : `${word(gate.status)}${reason}`;
      return element("li", { "data-status": gate.status }, `${gate.name} · ${told}`);
    }),
  );
}

/** It needs no decision any more. It stays under a pointer, so that no button of another gate comes there instead. */
function finish(card, gate) {
  card.root.classList.add("done");
  card.deadline = null;
  busy(card.root, true);
  say(card.left, gate && gate.status !== "pending" ? word(gate.status) : "waits no more");
}

/** Not `disabled`, which would take the focus away from whoever pressed a button by keyboard. */
function busy(root, is) {
  root.dataset.busy = String(is);
  for (const button of root.querySelectorAll("button")) button.setAttribute("aria-disabled", String(is));
  root.querySelector("input").readOnly = is;
}

function clear() {
  if (section.matches(":hover")) return;
  for (const [which, { root }] of made) {
    if (!root.classList.contains("done")) continue;
    const focus = root.contains(document.activeElement);
    root.remove();
    made.delete(which);
    if (focus) (cards.querySelector("li:not(.done) input") ?? heading).focus(); // whoever decided goes on from here
  }
}

function make(gate) {
  const { name, number } = gate;
  const about = store.nodes.get(name)?.attributes.description;
  const reason = element("input", { type: "text", placeholder: "Reason (optional)", "aria-label": `Reason for deciding on ${name}`, maxlength: 4000, autocomplete: "off" });
  const wrong = element("p", { class: "wrong", role: "alert", hidden: true });
  const left = element("span", { class: "left" });
  const decide = (decision) => send({ gate: name, number, decision, reason: reason.value }, root, wrong);
  const button = (label, kind, decision) =>
    element("button", { type: "button", class: kind, "aria-label": `${label} ${name}`, onclick: () => decide(decision) }, label);
  const root = element(
    "li",
    {},
    element(
      "form",
      { onsubmit: (event) => event.preventDefault() }, // Enter decides nothing: which of the two is for a click
      element("span", { class: "name" }, name),
      left,
      typeof about === "string" ? element("span", { class: "about" }, about) : null,
      reason,
      button("Approve", "primary", "approve"),
      button("Reject", "danger", "reject"),
      wrong,
    ),
  );
  const card = { root, left, deadline: null };
  made.set(key(gate), card);
  cards.append(root);
  return card;
}

async function send(decision, root, wrong) {
  if (root.dataset.busy === "true") return;
  busy(root, true);
  wrong.hidden = true;
  try {
    // In the body: no address has room for every name. The number says which decision is meant, if another waits by now.
    const answer = await fetch("/api/gates", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(decision),
    });
    if (answer.ok) return; // the stream tells the rest
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `the program answered with ${answer.status}`);
  } catch (error) {
    wrong.textContent = error instanceof TypeError ? "The program does not answer; nothing was decided." : error.message;
    wrong.hidden = false;
    if (!root.classList.contains("done")) busy(root, false);
  }
}

function count({ root, left, deadline }) {
  if (root.classList.contains("done")) return;
  const more = deadline === null ? null : Math.max(0, deadline - performance.now() / 1000);
  say(left, more === null ? "waits for you" : `${seconds(Math.ceil(more)).replace(".0", "")} left`);
}

export function start() {
  on(["gates"], draw);
  section.addEventListener("pointerleave", clear);
  setInterval(() => made.forEach(count), 500);
}
