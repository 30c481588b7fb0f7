"use strict";

// Deciding: shown at once, marked until it is kept, taken back where it is refused; and undo.
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
  markSkipped(current.photo, true);
  remember({ photo: current.photo, title: current.title, changes: [] });
  say(`Skipped ${current.title}.`);
  goOn();
}

function markSkipped(photo, skipped) {
  const others = session("geotag-skipped", []).filter((each) => each !== photo);
  keepInSession("geotag-skipped", skipped ? [...others, photo].slice(-5000) : others);
  cards.find((card) => card.photo === photo)?.element.toggleAttribute("data-skipped", skipped);
}

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
  const wasSkip = step.changes.length === 0;
  if (wasSkip) {
    markSkipped(step.photo, false);
  }
  if (card) {
    makeCurrent(card);
    show(card);
    if (wasSkip || (await decide(card, step.changes, { undoing: true }))) {
      say(`Undone on ${step.title}.`, true);
    }
  } else if (wasSkip) {
    say(`Not skipped any more: ${step.title}.`, true);
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
