// Asks for status.json every two seconds and shows it. Texts become text nodes only, so hostile text stays text.

const STATES = {
  "broker-unavailable": "no connection to the broker",
  "broker-blocked": "the broker takes no messages (a memory or disk alarm)",
  draining: "stopping; what is in flight is still answered",
  stuck: "a process does not answer",
  "not-running": "a process is being restarted",
};

const $ = (id) => document.getElementById(id);

// ---- numbers as text

const clock = (seconds) => new Date(seconds * 1e3).toLocaleTimeString([], { hourCycle: "h23" });
const count = (n) =>
  n >= 1e6 ? n.toLocaleString("en", { notation: "compact", maximumFractionDigits: 2 }) : Math.round(n).toLocaleString("en");
const rate = (n) => (n && n < 10 ? n.toFixed(1) : count(n));
const each = (n) => rate(n) + "/s";
const ms = (seconds) => (seconds < 1 ? rate(seconds * 1e3) + " ms" : rate(seconds) + " s");
const span = (s) =>
  s < 120
    ? Math.round(s) + " s"
    : s < 7200
      ? Math.round(s / 60) + " min"
      : s < 172800
        ? Math.round(s / 3600) + " h"
        : Math.round(s / 86400) + " days";

// ---- elements

function make(name, content, kind) {
  const element = document.createElement(name);
  if (kind) element.className = kind;
  element.append(...(Array.isArray(content) ? content : [content]));
  return element;
}

// Each cell is [content, class].
function row(...cells) {
  return make("tr", cells.map(([content, kind]) => make("td", content, kind)));
}

function fill(id, rows, none, columns) {
  if (!rows.length) {
    const empty = row([none, "dim"]);
    empty.firstChild.colSpan = columns;
    rows = [empty];
  }
  $(id).replaceChildren(...rows);
}

function tile([name, value, more]) {
  const number = make("dd", value);
  if (more) number.append(make("small", more));
  return make("div", [make("dt", name), number]);
}

// Each line has a class ("a", "b", "c"), the first one that of data-from; below it an area may be filled.
function draw(id, lines, form, words) {
  const svg = $(id);
  const highest = Math.max(...lines.flat(), 0);
  const top = highest || 1;
  const last = lines[0].length - 1;
  const shape = (ys) => ys.map((y, x) => (x ? "L" : "M") + ((x * 300) / last).toFixed(1) + " " + (78 - (74 * y) / top).toFixed(1)).join("");
  lines.forEach((ys, n) => svg.querySelector("." + "abc"[svg.dataset.from * 1 + n]).setAttribute("d", shape(ys)));
  const area = svg.querySelector(".fill");
  if (area) area.setAttribute("d", shape(lines[0]) + "L300 78L0 78Z");
  const now = lines.map((ys) => form(ys[last]));
  $(id + "-now").textContent = now.join(" / ");
  $(id + "-top").textContent = "highest " + form(highest);
  svg.setAttribute("aria-label", words + ", now " + now.join(" and ") + ", highest in 5 minutes " + form(highest));
}

// The TopicArn's name, region and account.
function topic(arn) {
  if (!arn) return "all others";
  const [, , , region, account, name] = arn.split(":");
  return [make("code", name), make("br", ""), make("span", region + " \u00b7 " + account, "dim")];
}

// ---- the page, from what status.json says (bridge/admin/status.py)

function showState(s) {
  const processes = s.states.length;
  const ready = s.states.filter((state) => state === "ready").length;
  const others = [...new Set(s.states.filter((state) => state !== "ready"))];
  const text =
    (processes > 1 ? ready + " of " + processes + " processes ready" : ready ? "Ready" : "Not ready") +
    others.map((state) => ": " + (state === "broker-unavailable" && s.troubles.join("; ") || STATES[state] || state)).join("");
  const state = $("state");
  if (state.textContent !== text) state.textContent = text;
  state.className = ready === processes ? "good" : "bad";
  document.title = (ready === processes ? "" : "(!) ") + "SNS to RabbitMQ";
  $("about").textContent =
    "Broker " + s.brokers.join(", ") + " \u00b7 version " + s.version + " (" + s.revision + ") \u00b7 up " + span(s.now - s.began);
}

function showNumbers(s) {
  const answered = (low, high) =>
    s.verdicts.reduce((sum, [reason, status, n]) => (status >= low && status < high && reason !== "unauthorized" ? sum + n : sum), 0);
  const published = (s.verdicts.find(([reason]) => reason === "published") || [0, 0, 0])[2];
  const again = Math.max(0, s.broker_connections_total - s.states.length);
  const tiles = [
    ["Published", count(published), "since the start"],
    ["Refused", count(answered(400, 500)), "for good"],
    ["Put off", count(answered(500, 600)), "SNS tries again"],
    ["In flight", count(s.in_flight), count(s.connections) + " connection" + (s.connections === 1 ? "" : "s")],
    ["Median answer", ms(s.answer[1]), "99 % within " + ms(s.answer[2])],
    ["Reconnected", count(again) + "\u00d7", "blocked for " + span(s.blocked_milliseconds / 1e3)],
  ];
  if (s.sqs) {
    const [taken, refused, waiting, errors] = s.sqs;
    const more = count(waiting) + " wait, " + count(refused) + " refused" + (errors ? ", " + count(errors) + " errors" : "");
    tiles.push(["From SQS", count(taken), more]);
  }
  $("tiles").replaceChildren(...tiles.map(tile));
}

function showCharts(s) {
  const perSecond = (column) => s.rates.map((step) => step[column] / s.step);
  draw("published", [perSecond(0)], each, "Published a second");
  draw("refused", [perSecond(1), perSecond(2)], each, "Refused for good and put off a second");
  draw("confirm", [s.rates.map((step) => (step[3] ? step[4] / step[3] / 1e6 : 0))], ms, "Time until the broker's confirm");
}

function showTables(s) {
  const topics = s.topics.map(([arn, number, last]) => row([topic(arn)], [count(number), "n"], [clock(last), "n"]));
  fill("topics", topics, "No message has been published yet.", 3);

  const kind = (status) => (status < 300 ? "good" : status < 500 ? "bad" : "warn");
  const verdicts = s.verdicts
    .sort((a, b) => b[2] - a[2])
    .map(([reason, status, number]) => row([reason], [String(status), "n " + kind(status)], [count(number), "n"]));
  fill("verdicts", verdicts, "No request has been answered yet.", 3);

  const below = (text) => (text ? [make("br", ""), make("code", text, "dim")] : []);
  const refusals = s.refusals.map(([at, status, reason, why, arn, id, client]) =>
    row(
      [clock(at)],
      [[make("b", status, kind(status)), " " + reason], "keep"],
      [[why, ...below(arn)]],
      [[make("code", client), ...below(id)], "keep"],
    ),
  );
  fill("refusals", refusals, "Nothing was refused.", 4);
}

function show(s) {
  showState(s);
  showNumbers(s);
  showCharts(s);
  showTables(s);
}

// ---- again and again, as long as the page is visible

async function turn() {
  if (!document.hidden) {
    try {
      const answer = await fetch("status.json", { cache: "no-store", signal: AbortSignal.timeout(5e3) });
      if (!answer.ok) throw 0;
      show(await answer.json());
      document.body.className = "";
    } catch {
      if (!document.body.className) {
        document.body.className = "lost";
        $("state").className = "bad";
        $("state").textContent = "No answer from the bridge since " + new Date().toLocaleTimeString();
      }
    }
  }
  setTimeout(turn, 2e3);
}
turn();
