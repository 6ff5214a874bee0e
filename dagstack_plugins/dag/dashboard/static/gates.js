// Where a person decides. What is being typed stays while the list changes.

import { on, store } from "./store.js";
import { element, say, seconds, word } from "./text.js";

const section = document.getElementById("gates");
const cards = document.getElementById("waiting-gates");
const chips = document.getElementById("other-gates");
const made = new Map(); // name -> { root, left }

function draw() {
  const waiting = store.gates.filter((gate) => gate.status === "waiting");
  const others = store.gates.filter((gate) => gate.status !== "waiting");
  section.hidden = !store.gates.length;
  section.classList.toggle("calls", waiting.length > 0);
  const names = new Set(waiting.map((gate) => gate.name));
  for (const [name, { root }] of made) {
    if (names.has(name)) continue;
    root.remove();
    made.delete(name);
  }
  for (const gate of waiting) {
    const card = made.get(gate.name) ?? make(gate.name);
    card.deadline = gate.seconds_left === null ? null : store.gatesHeard / 1000 + gate.seconds_left;
    card.timeout = gate.timeout;
    count(card);
  }
  chips.replaceChildren(
    ...others.map((gate) => {
      const reason = gate.reason ? `: ${gate.reason}` : "";
      const told = gate.status === "pending" ? "nothing waits yet" : `${word(gate.status)}${reason}`;
      return element("li", { "data-status": gate.status }, `${gate.name} · ${told}`);
    }),
  );
}

function make(name) {
  const reason = element("input", { type: "text", placeholder: "Reason (optional)", "aria-label": `Reason for deciding on ${name}`, maxlength: 4000, autocomplete: "off" });
  const wrong = element("p", { class: "wrong", role: "alert", hidden: true });
  const left = element("span", { class: "left" });
  const decide = (decision) => send(name, decision, reason.value, root, wrong);
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
      reason,
      button("Approve", "primary", "approve"),
      button("Reject", "danger", "reject"),
      wrong,
    ),
  );
  const card = { root, left, deadline: null };
  made.set(name, card);
  cards.append(root);
  return card;
}

async function send(name, decision, reason, root, wrong) {
  const buttons = root.querySelectorAll("button");
  for (const button of buttons) button.disabled = true;
  wrong.hidden = true;
  try {
    const answer = await fetch(`/api/gates/${encodeURIComponent(name)}/${decision}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ reason }),
    });
    if (answer.ok) return; // the stream tells the rest
    const told = await answer.json().catch(() => ({}));
    throw new Error(told.error ?? `the program answered with ${answer.status}`);
  } catch (error) {
    wrong.textContent = error instanceof TypeError ? "The program does not answer; nothing was decided." : error.message;
    wrong.hidden = false;
    for (const button of buttons) button.disabled = false;
  }
}

function count({ left, deadline }) {
  const more = deadline === null ? null : Math.max(0, deadline - performance.now() / 1000);
  say(left, more === null ? "waits for you" : `${seconds(Math.ceil(more)).replace(".0", "")} left`);
}

export function start() {
  on(["gates"], draw);
  setInterval(() => made.forEach(count), 500);
}
