"use strict";

// What keys and buttons do, and how the page begins.
async function openWhy(card) {
  const box = card.element.querySelector(".reasons");
  if (page.gallery || box.childElementCount) {
    return;
  }
  box.textContent = "…";
  try {
    const answer = await fetch(page.why.replace("PHOTO", card.photo));
    if (!answer.ok) {
      throw new Error(answer.statusText);
    }
    const made = new DOMParser().parseFromString(await answer.text(), "text/html");
    box.replaceChildren(...made.body.children);
  } catch {
    box.textContent = "";
    card.element.querySelector(".why").open = false;
    say("The server does not say why.", true);
  }
}

function toggleWhy(card) {
  const details = card.element.querySelector(".why");
  details.open = !details.open;
}

function openAdder(card) {
  makeCurrent(card, { focus: false });
  card.adder ??= new Adder(card, tags, (tag) => {
    if (!["accept", "add"].includes(card.decisions.get(tag)?.decision)) {
      decide(card, [card.change(tag, true)]);
    }
  });
  card.adder.open();
}

function askName() {
  const dialog = find("name");
  find("name-input").value = reviewer;
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener(
      "close",
      () => {
        const name = find("name-input").value.trim();
        if (dialog.returnValue === "keep" && name) {
          reviewer = name;
          memory.set("geotag-reviewer", name);
          showName();
          cards.forEach((card) => card.render(reviewer));
        }
        done(Boolean(reviewer));
      },
      { once: true },
    );
  });
}

function showName() {
  find("who-name").textContent = reviewer || "your name?";
}

function openFilters() {
  const filters = document.querySelector(".filters");
  if (filters) {
    filters.open = true;
    filters.querySelector("select, input").focus();
    filters.scrollIntoView({ block: "nearest" });
  }
}

function download() {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([store.csv()], { type: "text/csv" }));
  link.download = `decisions-${(reviewer || "reviewer").replace(/[^\p{L}\p{N}]+/gu, "-")}.csv`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

const KEYS = {
  a: () => decideAll(true),
  x: () => decideAll(false),
  s: skip,
  t: () => openAdder(current),
  "+": () => openAdder(current),
  w: () => toggleWhy(current),
  o: () => current.element.querySelector(".archive")?.click(),
  j: () => move(1),
  ArrowRight: () => move(1),
  k: () => move(-1),
  ArrowLeft: () => move(-1),
};
const KEYS_ANYWHERE = { u: undo, f: openFilters, "/": openFilters, "?": () => find("help").showModal() };

function onKey(event) {
  const { target } = event;
  const typing = target.closest("input, select, textarea") || document.querySelector("dialog[open]");
  if (event.ctrlKey || event.metaKey || event.altKey || typing || !find("keys-on").checked) {
    return;
  }
  const digit = /^(?:Digit|Numpad)(\d)$/.exec(event.code)?.[1];
  const line = digit && current?.lines[(Number(digit) + 9) % 10];
  const action = KEYS_ANYWHERE[event.key] ?? (current && KEYS[event.key]);
  if (line) {
    decide(current, [current.change(line.dataset.tag, !event.shiftKey)]);
  } else if (action) {
    action();
  } else {
    return;
  }
  event.preventDefault();
}

const ACTIONS = {
  accept: () => decideAll(true),
  reject: () => decideAll(false),
  add: () => openAdder(current),
  skip,
};

function onClick(event) {
  const element = event.target.closest(".card");
  const card = cards.find((each) => each.element === element);
  if (!card) {
    return;
  }
  const button = event.target.closest("button");
  if (card !== current) {
    makeCurrent(card, { focus: !button && !event.target.closest("a, summary, input") });
  }
  const line = button?.closest(".tag");
  if (line) {
    decide(card, [card.change(line.dataset.tag, button.classList.contains("yes"))]);
  } else if (button) {
    ACTIONS[button.dataset.do]?.();
  }
}

function begin() {
  const skipped = new Set(session("geotag-skipped", []));
  for (const card of cards) {
    if (page.gallery) {
      card.take(store.state(card));
    }
    card.render(reviewer);
    card.element.toggleAttribute("data-skipped", skipped.has(card.photo));
    card.element.querySelector(".why").addEventListener("toggle", () => openWhy(card));
  }
  document.addEventListener("keydown", onKey);
  document.addEventListener("click", onClick);
  find("queue").addEventListener("focusin", (event) => {
    const card = cards.find((each) => each.element.contains(event.target));
    if (card && card !== current) {
      makeCurrent(card, { focus: false });
    }
  });
  find("undo").addEventListener("click", undo);
  find("who").addEventListener("click", askName);
  find("help-button").addEventListener("click", () => find("help").showModal());
  find("download")?.addEventListener("click", download);
  const keys = find("keys-on");
  keys.checked = memory.get("geotag-keys", true);
  keys.addEventListener("change", () => memory.set("geotag-keys", keys.checked));
  window.addEventListener("beforeunload", (event) => store.unsaved && event.preventDefault());
  showName();
  showSaving();
  keepSteps();
  const place = session(PLACE, null);
  const open = (card) => !card.isDone && !card.element.hasAttribute("data-skipped");
  const first = cards.find((card) => card.photo === place && open(card)) ?? cards.find(open) ?? cards[0];
  if (first) {
    makeCurrent(first);
    if (first !== cards[0]) {
      show(first);
    }
  }
  if (session("geotag-undo", null) !== null) {
    keepInSession("geotag-undo", null);
    undo();
  }
}

begin();
