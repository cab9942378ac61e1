"use strict";

// Runs the races of the page. Those named here run in this browser, with its real requests and its
// own session; for all others the server plays the browsers and tells what happened.

const text = async (path) => {
  const answer = await fetch(path, { credentials: "same-origin", cache: "no-store" });
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.text();
};

const sleep = (ms) => new Promise((done) => setTimeout(done, ms));

class Report {
  lines = [];
  failed = false;

  step(words) {
    this.lines.push(words);
  }

  check(good, words) {
    this.failed ||= !good;
    this.lines.push((good ? "ok: " : "NOT: ") + words);
  }
}

const here = {
  async clicks(report) {
    const clicks = 24;
    report.step(`Your session gets n = 0. Your browser sends ${clicks} requests at once that add one.`);
    const all = Array.from({ length: clicks }, () => text("/lab/write"));
    const numbers = await Promise.all(all);
    report.check(new Set(numbers).size === clicks, "each was told a number of its own");
    const n = await text("/lab/read");
    report.check(n === String(clicks), `afterwards n is ${n}`);
  },

  async keys(report) {
    report.step("Two requests of 500 ms overlap. One sets a, the other sets b.");
    const answers = await Promise.all([text("/lab/slow?ms=500&key=a"), text("/lab/slow?ms=500&key=b")]);
    report.check(answers.every((answer) => answer === "ok"), "both were answered: ok");
    const keys = await text("/lab/keys");
    report.check(keys.endsWith("a=1 b=1"), `afterwards there is ${keys}`);
  },

  async "slow-read"(report) {
    report.step("A page of 600 ms looks at n. While it runs, three clicks add one each.");
    const slow = text("/lab/slowread?ms=600");
    await sleep(150);
    for (let click = 0; click < 3; click += 1) await text("/lab/write");
    const seen = await slow;
    report.check(seen === "0", `the slow page saw n as it was when it began: ${seen}`);
    const n = await text("/lab/read");
    report.check(n === "3", `afterwards n is ${n}`);
  },
};

const runHere = async (race) => {
  const report = new Report();
  await text("/lab/join");
  try {
    await race(report);
  } finally {
    await text("/lab/leave");
  }
  return [...report.lines, report.failed ? "FAIL" : "PASS"];
};

const runThere = async (name) => (await text(`/lab/race/${name}`)).trim().split("\n");

const show = (card, lines) => {
  const verdict = lines.at(-1) === "PASS" ? "pass" : "fail";
  card.dataset.verdict = verdict;
  card.querySelector(".verdict").textContent = verdict;
  const list = card.querySelector(".steps");
  list.replaceChildren(
    ...lines.slice(0, lines.at(-1) === "PASS" || lines.at(-1) === "FAIL" ? -1 : undefined).map((line) => {
      const item = document.createElement("li");
      const [, mark, words] = /^(ok: |NOT: )?(.*)$/s.exec(line);
      item.className = { "ok: ": "good", "NOT: ": "bad" }[mark] ?? "step";
      item.textContent = words;
      return item;
    }),
  );
  list.hidden = false;
};

const run = async (card) => {
  const button = card.querySelector("button");
  button.disabled = true;
  card.dataset.verdict = "running";
  card.querySelector(".verdict").textContent = "running";
  const { name } = card.dataset;
  let lines;
  try {
    lines = await (name in here ? runHere(here[name]) : runThere(name));
  } catch (error) {
    lines = [`NOT: ${error.message}`, "FAIL"];
  }
  show(card, lines);
  button.disabled = false;
};

const cards = [...document.querySelectorAll(".race")];
for (const card of cards) {
  card.querySelector("form").addEventListener("submit", (event) => {
    event.preventDefault();
    run(card);
  });
}

const all = document.querySelector("#run-all");
all.hidden = false;
all.addEventListener("click", async () => {
  all.disabled = true;
  for (const card of cards) await run(card);
  all.disabled = false;
});
