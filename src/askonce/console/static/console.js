// What pages do beside links and forms: stream answers, switch colours, prove where forms come from.
"use strict";
(() => {
  const THEMES = ["system", "light", "dark"];

  // What a model said is only ever put into a page as text, or comes escaped from the server.
  const element = (tag, name, text) => {
    const made = document.createElement(tag);
    made.className = name;
    if (text !== undefined) made.textContent = text;
    return made;
  };

  const tell = (text) => {
    const status = document.getElementById("status");
    if (status) status.textContent = text;
  };

  const problemOf = (problem) => {
    const shown = element("div", "problem");
    const first = element("p", "");
    first.append(element("strong", "", `${problem.title}.`), ` ${problem.detail}`);
    shown.append(first);
    for (const error of problem.errors ?? []) {
      const line = element("p", "");
      line.append(element("code", "", error.field), ` ${error.message}`);
      shown.append(line);
    }
    if (problem.request_id) shown.append(element("p", "quiet", `request ${problem.request_id}`));
    return shown;
  };

  const newOnce = () => {
    const bytes = crypto.getRandomValues(new Uint8Array(16));
    return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  };

  // Server-sent events over POST, which EventSource cannot do (WHATWG HTML section 9.2.6).
  async function* eventsOf(response) {
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let pending = "";
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      pending += value;
      const parts = pending.split("\n\n");
      pending = parts.pop();
      for (const part of parts) {
        const fields = { event: "", data: "" };
        for (const line of part.split("\n")) {
          const at = line.indexOf(": ");
          if (at > 0) fields[line.slice(0, at)] = line.slice(at + 2);
        }
        if (fields.event) yield { name: fields.event, data: JSON.parse(fields.data) };
      }
    }
  }

  async function follow(form, body, place) {
    const response = await fetch(form.action, {
      method: "POST",
      headers: { accept: "text/event-stream" },
      body,
    });
    if (response.status === 401) {
      location.assign("/console/sign-in");
      return true;
    }
    if (!(response.headers.get("content-type") ?? "").startsWith("text/event-stream")) {
      place.replaceChildren(problemOf(await response.json()));
      return false;
    }
    const said = element("div", "said");
    for await (const { name, data } of eventsOf(response)) {
      if (name === "delta") {
        if (!said.isConnected) place.querySelector(".waits")?.replaceWith(said);
        said.append(data.text);
      } else if (name === "done") {
        place.innerHTML = data.html;
        window.htmx?.process(place);
        tell(place.querySelector("[data-told]")?.dataset.told ?? "Answered.");
        return true;
      } else if (name === "error") {
        place.replaceChildren(problemOf(data));
        return false;
      }
    }
    throw new Error("cut");
  }

  async function stream(form, submitter) {
    const target = document.querySelector(form.dataset.stream);
    const appends = "appends" in form.dataset;
    const body = new URLSearchParams(new FormData(form, submitter));
    const text = form.querySelector("textarea");
    const place = element("div", "stream");
    if (appends) {
      const mine = element("article", "message user");
      mine.append(element("strong", "", "User"), element("div", "said", text.value));
      place.append(mine);
    }
    const growing = element("article", appends ? "message assistant" : "card answer");
    growing.append(element("p", "quiet waits", "The model is thinking …"));
    place.append(growing);
    if (appends) target.append(place);
    else target.replaceChildren(place);
    form.dataset.busy = "";
    form.setAttribute("aria-busy", "true");
    tell("Asking …");
    place.scrollIntoView({ block: "nearest" });
    try {
      const good = await follow(form, body, place);
      if (!good) tell("That did not work.");
      // What ended is over; what was cut off is the same request when it is sent again.
      form.elements.once.value = newOnce();
      if (good && appends) form.reset();
    } catch {
      growing.replaceChildren(problemOf({
        title: "The connection broke",
        detail: "What was asked goes on. Send it again: it is not paid for twice.",
      }));
      tell("The connection broke.");
    } finally {
      delete form.dataset.busy;
      form.removeAttribute("aria-busy");
    }
  }

  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.confirm && !window.confirm(form.dataset.confirm)) {
      event.preventDefault();
      return;
    }
    if (!form.dataset.stream) return;
    event.preventDefault();
    if (!("busy" in form.dataset)) stream(form, event.submitter);
  });

  // Control and Enter send, as everywhere.
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches("form textarea")) {
      event.target.form.requestSubmit();
    }
  });

  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["x-csrf-token"] = document.body.dataset.csrf;
  });
  // An older notice is over once something has worked; focus must not be lost with what is gone.
  document.addEventListener("htmx:afterRequest", (event) => {
    if (event.detail.successful) document.getElementById("notice").replaceChildren();
  });
  document.addEventListener("htmx:afterSettle", () => {
    if (document.activeElement === document.body && document.body.dataset.moved) {
      delete document.body.dataset.moved;
      document.getElementById("main").focus({ preventScroll: true });
    }
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.target.contains(document.activeElement)) document.body.dataset.moved = "";
  });
  for (const name of ["htmx:sendError", "htmx:timeout"]) {
    document.addEventListener(name, () => {
      document.getElementById("notice").replaceChildren(problemOf({
        title: "The server cannot be reached", detail: "It is tried again by itself, or by you.",
      }));
    });
  }

  const button = document.getElementById("theme");
  const show = (theme) => {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    button.querySelector("span").textContent = theme;
    document.dispatchEvent(new CustomEvent("askonce:theme"));
  };
  button.hidden = false;
  button.querySelector("span").textContent = document.documentElement.dataset.theme ?? "system";
  button.addEventListener("click", () => {
    const now = document.documentElement.dataset.theme ?? "system";
    const next = THEMES[(THEMES.indexOf(now) + 1) % THEMES.length];
    try { localStorage.setItem("askonce-theme", next); } catch { /* it lasts as long as the page */ }
    show(next);
  });
})();
