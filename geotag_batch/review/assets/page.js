"use strict";

// The page and its current photo: what is on it, what is said about it, going from one photo to the next.
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
