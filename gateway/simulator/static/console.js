"use strict";
// Refreshes the parts of the page and sends its forms. Everything is said by the server; nothing is decided here.

const message = document.getElementById("message");

function say(text, bad) {
  message.textContent = text;
  message.className = bad ? "bad" : "";
}

async function send(method, path, body) {
  try {
    const answer = await fetch(path, {
      method,
      headers: { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const content = await answer.json();
    say(answer.ok ? "Done." : content.error || "Refused.", !answer.ok);
  } catch (error) {
    say("The simulator does not answer.", true);
  }
  refresh();
}

async function refresh() {
  for (const part of document.querySelectorAll(".part")) {
    if (part.contains(document.activeElement) && document.activeElement.closest("button, a")) continue;
    try {
      const answer = await fetch("/_sim/parts/" + part.dataset.part);
      const text = await answer.text();
      if (answer.ok && part.dataset.seen !== text) {
        part.innerHTML = text;
        part.dataset.seen = text;
      }
    } catch (error) {
      say("The simulator does not answer.", true);
      return;
    }
  }
}

function value(field) {
  const text = field.value;
  if (field.dataset.type === "bool") return text === "true";
  if (field.type === "number" || field.dataset.type === "int" || field.dataset.type === "float") return Number(text);
  return text;
}

function read(form) {
  const body = {};
  for (const field of form.elements) {
    if (!field.name || field.value === "" || field.closest("fieldset[hidden]")) continue;
    const [name, inside] = field.name.split(".");
    if (inside) (body[name] ??= {})[inside] = value(field);
    else body[name] = value(field);
  }
  return body;
}

function choose(select) {
  for (const fields of select.form.querySelectorAll("fieldset[data-fault]")) fields.hidden = fields.dataset.fault !== select.value;
}

document.addEventListener("submit", (event) => {
  const form = event.target.closest("form[data-send]");
  if (!form) return;
  event.preventDefault();
  send("POST", form.dataset.send, read(form));
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  const { advance, remove, reset } = button.dataset;
  if (advance) send("POST", "/_sim/clock", { advance_seconds: Number(advance) });
  else if (remove) {
    button.blur();
    send("DELETE", remove === "all" ? "/_sim/faults" : "/_sim/faults/" + remove);
  } else if (reset !== undefined && confirm("Forget every device, document and fault?")) send("POST", "/_sim/reset");
});

const kinds = document.querySelector('select[name="fault"]');
kinds.addEventListener("change", () => choose(kinds));
choose(kinds);

setInterval(() => { if (!document.hidden) refresh(); }, 2000);
