"use strict";
// Replaces regions of the page with what the server sends, and submits the forms of the page.
const message = document.getElementById("message");

function tell(text, isGood) {
  message.textContent = text;
  message.className = text ? (isGood ? "message good" : "message bad") : "";
}

// A region is drawn again as a whole: what somebody types there, the focus and open details must survive.
function put(name, html) {
  const region = document.getElementById(name);
  if (!region) return;
  const focused = region.contains(document.activeElement) ? document.activeElement : null;
  const selection = focused && focused.selectionStart !== undefined ? [focused.selectionStart, focused.selectionEnd] : null;
  const typed = [...region.querySelectorAll("input:not([type=hidden]), textarea")].map((field) => [field.id, field.value]);
  const open = [...region.querySelectorAll("details[id][open]")].map((details) => details.id);
  region.innerHTML = html;
  for (const [id, value] of typed) {
    const field = document.getElementById(id);
    if (field) field.value = value;
  }
  for (const id of open) {
    const details = document.getElementById(id);
    if (details) details.open = true;
  }
  const again = focused && focused.id ? document.getElementById(focused.id) : null;
  if (again) {
    again.focus({ preventScroll: true });
    if (selection && selection[0] !== null && again.setSelectionRange) again.setSelectionRange(...selection);
  }
}

// When a command of halab ends, what the page said before is out of date: the answer to somebody who could not wait.
let wasBusy = false;

function clearAfterCommand() {
  const isBusy = Boolean(document.querySelector('[aria-disabled="true"], .job.running'));
  if (wasBusy && !isBusy) tell("", true);
  wasBusy = isBusy;
}

let isLost = false;

function lost(text) {
  isLost = true;
  document.body.classList.add("lost");
  tell(text, false);
}

const events = new EventSource("events");
events.onmessage = (event) => {
  if (isLost) {
    isLost = false;
    document.body.classList.remove("lost");
    tell("", true);
  }
  for (const [name, html] of Object.entries(JSON.parse(event.data))) put(name, html);
  clearAfterCommand();
};
events.addEventListener("end", () => {
  events.close();
  lost("halab serve has ended, and this page is out of date. Start the command again, and open its new address.");
});
events.onerror = () => {
  lost(events.readyState === EventSource.CLOSED
    ? "halab serve was started again: open its new address. This page is out of date."
    : "No connection to halab serve. This page is out of date.");
};

// What was sent last: a double click is one click.
const DOUBLE_MILLISECONDS = 500;
let lastSent = "";

document.addEventListener("submit", async (event) => {
  event.preventDefault();
  const form = event.target;
  const button = event.submitter;
  if (button && button.dataset.ask && !window.confirm(button.dataset.ask)) return;
  const body = new URLSearchParams(new FormData(form));
  const sent = `${form.getAttribute("action")} ${body}`;
  if (sent === lastSent) return;
  lastSent = sent;
  setTimeout(() => { lastSent = ""; }, DOUBLE_MILLISECONDS);
  body.set("token", document.body.dataset.token);
  try {
    const response = await fetch(form.getAttribute("action"), { method: "POST", body });
    const answer = await response.json();
    tell(answer.message, answer.is_good);
    if (answer.is_good) for (const field of form.querySelectorAll("input:not([type=hidden]):not([data-keep])")) {
      // the region may have been drawn again since
      (document.getElementById(field.id) || field).value = "";
    }
  } catch (error) {
    tell("halab serve did not answer. Check the page before you try again.", false);
  }
});

for (const select of document.querySelectorAll("select[data-options]")) {
  const show = () => {
    const option = select.selectedOptions[0];
    document.getElementById(select.dataset.options).value = option.dataset.options;
    document.getElementById(select.dataset.does).textContent = option.dataset.does;
  };
  select.addEventListener("change", show);
  show();
}
