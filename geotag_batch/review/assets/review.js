"use strict";

// The page: which photo is the current one, what keys and buttons do, and what is said about it.
const page = document.body.dataset;
const find = (id) => document.getElementById(id);
const cards = [...document.querySelectorAll(".card")].map((element) => new Card(element));
const tags = [...find("all-tags").options].map((option) => option.value);
const store = page.gallery ? new BrowserStore(page.gallery, page.head) : new ServerStore(page.decide, page.head);
const PLACE = `geotag-place-${location.pathname}${location.search}`;
let current = null;
let reviewer = memory.get("geotag-reviewer", "") || page.reviewer;
let steps = session("geotag-steps", []); // what can be undone, the last one at the end

function session(name, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(name)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function keepInSession(name, value) {
  try {
    sessionStorage.setItem(name, JSON.stringify(value));
  } catch {
    // then a reload forgets it
  }
}

function say(text, visibly = false) {
  find("said").textContent = text;
  if (visibly) {
    const toast = find("toast");
    toast.textContent = text;
    toast.hidden = false;
    clearTimeout(say.timer);
    say.timer = setTimeout(() => (toast.hidden = true), 4000);
  }
}

// ---- the current photo

function makeCurrent(card, { focus = true } = {}) {
  current?.element.removeAttribute("aria-current");
  current = card;
  card.element.setAttribute("aria-current", "true");
  keepInSession(PLACE, card.photo);
  if (focus) {
    card.element.focus({ preventScroll: true });
  }
}

// Bring the current photo to the top of the window, unless all of it can be seen.
function show(card) {
  const { top, bottom } = card.element.getBoundingClientRect();
  const covered = document.querySelector(".top").getBoundingClientRect().bottom;
  if (top < covered || bottom > window.innerHeight) {
    card.element.scrollIntoView({ block: "start" });
  }
}

function move(by) {
  const next = cards[cards.indexOf(current) + by];
  if (next) {
    makeCurrent(next);
    show(next);
  } else {
    turn(by > 0 ? "next" : "previous");
  }
}

// Go on to the next photo with something to decide that was not skipped; after the last one to the next page.
function goOn() {
  const open = (card) => !card.isDone && !card.element.hasAttribute("data-skipped");
  const next = cards.slice(cards.indexOf(current) + 1).find(open);
  if (next) {
    makeCurrent(next);
    show(next);
  } else if (find("next")) {
    find("next").focus();
    say("This page is done. Enter or j: next page.", true);
  } else {
    say("This is the end of the queue.", true);
  }
}

async function turn(way) {
  const link = find(way);
  if (link) {
    await allSaved();
    link.click();
  } else {
    say(way === "next" ? "This is the last page." : "This is the first page.", true);
  }
}

// ---- deciding

async function decide(card, changes, { undoing = false } = {}) {
  if (!changes.length) {
    return false;
  }
  if (!reviewer && !(await askName())) {
    return false;
  }
  const before = card.decisions;
  const wasDone = card.isDone;
  card.note("");
  card.underway.push(changes);
  card.render(reviewer);
  count(wasDone, card.isDone);
  find("saving").hidden = false;
  const saving = store.save(card, changes, reviewer).then(
    (state) => settle(card, changes, state),
    (error) => refuse(card, changes, error),
  );
  if (!undoing) {
    remember({ photo: card.photo, title: card.title, changes: card.back(changes, before) });
  }
  say(`${changes.map(({ tag, decision }) => `${PAST[decision]} ${tag}`).join(", ")}.`);
  return saving;
}

function settle(card, changes, state) {
  card.underway = card.underway.filter((each) => each !== changes);
  card.take(state);
  card.render(reviewer);
  showSaving();
  return true;
}

function refuse(card, changes, error) {
  const wasDone = card.isDone;
  card.underway = card.underway.filter((each) => each !== changes);
  if (error.state) {
    card.take(error.state);
  }
  card.render(reviewer);
  count(wasDone, card.isDone);
  steps = steps.filter((step) => step.photo !== card.photo);
  keepSteps();
  const now = error.state ? ` Now: ${card.wordsInWords}.` : "";
  card.note(`${error.message ?? error}${now}`);
  makeCurrent(card);
  show(card);
  showSaving();
  return false;
}

function showSaving() {
  find("saving").hidden = store.unsaved === 0;
  if (page.gallery) {
    find("decided").textContent = store.count.toLocaleString("en");
  }
}

async function allSaved() {
  while (store.unsaved) {
    await new Promise((done) => setTimeout(done, 20));
  }
}

function count(wasDone, isDone) {
  const change = Number(isDone) - Number(wasDone);
  if (!change || new URLSearchParams(location.search).get("tag")) {
    return; // with a filter by tag other things count; the next page has them right
  }
  const bar = find("progress");
  bar.value += change;
  find("waiting").textContent = (bar.max - bar.value).toLocaleString("en");
}

function decideAll(right) {
  const card = current;
  const changes = card.undecided.map((tag) => ({ tag, decision: card.decision(tag, right) }));
  decide(card, changes);
  goOn();
}

function skip() {
  current.element.setAttribute("data-skipped", "");
  keepInSession("geotag-skipped", [...new Set([...session("geotag-skipped", []), current.photo])].slice(-5000));
  say(`Skipped ${current.title}.`);
  goOn();
}

// ---- undo

function remember(step) {
  steps.push(step);
  keepSteps();
}

function keepSteps() {
  steps = steps.slice(-200);
  keepInSession("geotag-steps", steps);
  find("undo").disabled = steps.length === 0;
}

async function undo() {
  const step = steps.pop();
  keepSteps();
  if (!step) {
    say("There is nothing to undo.", true);
    return;
  }
  const card = cards.find((each) => each.photo === step.photo);
  if (card) {
    makeCurrent(card);
    show(card);
    if (await decide(card, step.changes, { undoing: true })) {
      say(`Undone on ${step.title}.`, true);
    }
  } else if (page.photo) {
    // On an earlier page: go there, and undo it there, where it can be seen.
    steps.push(step);
    keepSteps();
    keepInSession("geotag-undo", step.photo);
    location.href = page.photo.replace("PHOTO", step.photo);
  } else {
    say(`That was on another page: ${step.title}.`, true);
    steps.push(step);
    keepSteps();
  }
}

// ---- why, adding, the name

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

// ---- keys, buttons, beginning

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
