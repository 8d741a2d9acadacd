// A little more comfort where scripts run. Every page works without it.

for (const button of document.querySelectorAll("button[data-copy]")) {
  const source = document.getElementById(button.dataset.copy);
  const label = button.querySelector("[data-label]");
  if (!source || !label || !navigator.clipboard) continue;
  const said = document.createElement("span");
  said.className = "visually-hidden";
  said.setAttribute("role", "status");
  button.after(said);
  button.hidden = false;
  const before = label.textContent;
  let timer = 0;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      getSelection().selectAllChildren(source); // the clipboard is closed to us: leave the text selected
      return;
    }
    label.textContent = said.textContent = button.dataset.copied;
    clearTimeout(timer);
    timer = setTimeout(() => {
      label.textContent = before;
      said.textContent = "";
    }, 2500);
  });
}

for (const button of document.querySelectorAll("button[data-reveal]")) {
  const field = document.getElementById(button.dataset.reveal);
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = field.type === "password";
    field.type = shown ? "text" : "password";
    button.setAttribute("aria-pressed", String(shown));
  });
  field.form.addEventListener("submit", () => {
    field.type = "password"; // browsers offer to save passwords, not text
  });
}

// A double click answers once. Should the answer never come, the form opens again.
const REOPEN_AFTER_MS = 10_000;
for (const form of document.querySelectorAll("form[data-once]")) {
  form.addEventListener("submit", (event) => {
    if (event.submitter?.getAttribute("formmethod") === "dialog") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
    setTimeout(() => delete form.dataset.sent, REOPEN_AFTER_MS);
  });
}
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
});

// An answer that goes to the app by a form needs no click.
document.querySelector("form[data-automatic]")?.submit();

// A request that waits is looked after: the page is told anew once it is decided, or when the reader comes back to it.
const WATCH_EVERY_MS = 20_000;
if (document.querySelector("[data-watch]")) {
  setInterval(() => document.hidden || location.reload(), WATCH_EVERY_MS);
  document.addEventListener("visibilitychange", () => document.hidden || location.reload());
}

// Errors are read first.
const summary = document.getElementById("error-summary");
if (summary) {
  summary.tabIndex = -1;
  summary.focus();
}
