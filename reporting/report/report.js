"use strict";
// The table of recordings, and the theme. All texts of manifests and models are inserted as text, never as markup.

const PAGE_ROWS = 50;
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const $ = (id) => document.getElementById(id);

/** Create an element with properties, attributes (in `attributes`) and children: elements or plain texts. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  const { attributes = {}, ...others } = properties;
  Object.assign(element, others);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Text with an isolated writing direction, so that its control characters do not affect the text around it. */
const text = (value) => make("bdi", {}, String(value));
const percent = (value) => (value === null ? "–" : `${(100 * value).toFixed(1)} %`);
const seconds = (value) => `${value.toFixed(value < 100 ? 2 : 0)} s`;

// --- theme ---
const KEY = "earmark-theme";
const stored = () => { try { return localStorage.getItem(KEY); } catch { return null; } };
const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
const isDark = () => (document.documentElement.dataset.theme ?? (systemIsDark.matches ? "dark" : "light")) === "dark";
const nameTheme = () => { $("theme").textContent = isDark() ? "Light theme" : "Dark theme"; };
if (stored()) document.documentElement.dataset.theme = stored();
nameTheme();
systemIsDark.addEventListener("change", nameTheme);
$("theme").addEventListener("click", () => {
  const theme = isDark() ? "light" : "dark";
  document.documentElement.dataset.theme = theme;
  try { localStorage.setItem(KEY, theme); } catch { /* where nothing can be stored, the theme lasts until the page is closed */ }
  nameTheme();
});

// --- rows ---
const tasks = read("tasks");
const links = read("links");
const rows = read("rows");
const closed = new Map(tasks.map((task) => [task.name, task.closed]));
rows.forEach((row, number) => {
  row.number = number;
  row.answer = Object.fromEntries(row.answers.map((answer) => [answer.task, answer]));
  row.allFlags = [...new Set(row.answers.flatMap((answer) => answer.flags))];
  row.clip = $(`clip-${number}`) !== null && $(`wave-${number}`).content.childElementCount > 0;
  const answerTexts = row.answers.flatMap((answer) => [answer.text, answer.language]);
  row.searchText = [row.id, row.uri, row.reference ?? "", ...answerTexts, ...row.extra.flat()].join("\n").toLocaleLowerCase();
});
const anyWer = rows.some((row) => row.wer !== null);

// Ids that are paths are shown without their common folder.
const folder = rows.length > 1 ? rows.map((row) => row.id.slice(0, row.id.lastIndexOf("/") + 1)).reduce(sharedFolder) : "";
function sharedFolder(a, b) {
  let end = 0;
  while (end < a.length && a[end] === b[end]) end += 1;
  return end ? a.slice(0, a.lastIndexOf("/", end - 1) + 1) : "";
}

/** A column: `key` is what it is sorted by, `cell` renders a cell. */
const columns = [
  { name: "recording", key: (row) => row.id },
  ...tasks.map((task) => ({
    name: task.name,
    key: (row) => row.answer[task.name].text.toLocaleLowerCase(),
    cell: (row) => answerCell(row.answer[task.name], task.closed),
  })),
  ...(anyWer ? [{ name: "WER", key: (row) => row.wer, cell: (row) => numberCell(percent(row.wer)) }] : []),
  { name: "confidence", key: (row) => row.confidence, cell: (row) => numberCell(percent(row.confidence)) },
  { name: "flags", key: (row) => row.flags, cell: (row) => make("td", {}, ...row.allFlags.map(flagMark)) },
  { name: "length", key: (row) => row.duration_s, cell: (row) => numberCell(seconds(row.duration_s)) },
];
const numberCell = (value) => make("td", { className: "number" }, value);
const flagMark = (flag) => make("span", { className: "flag" }, flag);
function answerCell(answer, isLabel) {
  if (isLabel) return make("td", { className: "label" }, text(answer.text), answer.confidence === null ? "" : ` ${percent(answer.confidence)}`);
  return make("td", { className: "text" }, make("div", { className: "clamp", dir: "auto" }, text(answer.text)));
}

// --- order, filters, pages ---
const state = { column: null, direction: 1, page: 0, shown: rows };

columns.forEach((column) => {
  const button = make("button", { type: "button" }, column.name);
  button.addEventListener("click", () => sortBy(column));
  column.header = make("th", { scope: "col", attributes: { "aria-sort": "none" } }, button);
  $("headers").append(column.header);
});

/** Cycle through ascending, descending, and the original order (most suspect first). */
function sortBy(column) {
  if (state.column !== column) [state.column, state.direction] = [column, 1];
  else if (state.direction === 1) state.direction = -1;
  else [state.column, state.direction] = [null, 1];
  for (const each of columns) {
    const sorted = each === state.column ? (state.direction === 1 ? "ascending" : "descending") : "none";
    each.header.setAttribute("aria-sort", sorted);
  }
  update();
}

const collator = new Intl.Collator(undefined, { numeric: true });
/** Rows without a value come last in both directions. */
function compare(rowA, rowB) {
  const [a, b] = [state.column.key(rowA), state.column.key(rowB)];
  if (a === null || b === null) return (a === null) - (b === null) || rowA.number - rowB.number;
  const order = typeof a === "string" ? collator.compare(a, b) : a - b;
  return state.direction * order || rowA.number - rowB.number;
}

const labelFilters = tasks.filter((task) => task.closed).map((task) => {
  const labels = [...new Set(rows.map((row) => row.answer[task.name].text))].sort(collator.compare);
  const select = make("select", {}, make("option", { value: "-1" }, "any"));
  labels.forEach((label, number) => select.append(make("option", { value: String(number) }, label)));
  $("label-filters").append(make("label", {}, `${task.name} `, select));
  return (row) => select.value === "-1" || row.answer[task.name].text === labels[Number(select.value)];
});
for (const flag of [...new Set(rows.flatMap((row) => row.allFlags))].sort()) $("flag").append(make("option", { value: `=${flag}` }, flag));
for (const reason of [...new Set(rows.map((row) => row.reason))]) $("reason").append(make("option", { value: reason }, reason));

function passes(row, words, flag, reason) {
  if (!words.every((word) => row.searchText.includes(word))) return false;
  if (flag === "*" && !row.allFlags.length) return false;
  if (flag === "-" && row.allFlags.length) return false;
  if (flag.startsWith("=") && !row.allFlags.includes(flag.slice(1))) return false;
  if (reason && row.reason !== reason) return false;
  if ($("has-audio").checked && !row.clip) return false;
  return labelFilters.every((filter) => filter(row));
}

function update() {
  const words = $("search").value.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const [flag, reason] = [$("flag").value, $("reason").value];
  state.shown = rows.filter((row) => passes(row, words, flag, reason));
  if (state.column) state.shown.sort(compare);
  state.page = 0;
  draw();
}

function draw() {
  const pages = Math.max(1, Math.ceil(state.shown.length / PAGE_ROWS));
  const first = state.page * PAGE_ROWS;
  const pageRows = state.shown.slice(first, first + PAGE_ROWS);
  $("body").replaceChildren(...pageRows.flatMap(rowElements));
  const order = state.column ? `sorted by ${state.column.name}` : "most suspect first";
  $("status").textContent = pageRows.length
    ? `${first + 1} to ${first + pageRows.length} of ${state.shown.length.toLocaleString("en")} rows, ${order}`
    : "No rows match.";
  $("page").textContent = `page ${state.page + 1} of ${pages}`;
  $("previous").disabled = state.page === 0;
  $("next").disabled = state.page >= pages - 1;
}

for (const [id, step] of [["previous", -1], ["next", 1]]) {
  $(id).addEventListener("click", () => {
    state.page += step;
    draw();
    $("table-scroll").scrollIntoView();
    $("table-scroll").focus({ preventScroll: true });
  });
}
$("filters").addEventListener("input", update);
$("filters").addEventListener("submit", (event) => event.preventDefault());
$("filters").addEventListener("reset", (event) => { event.preventDefault(); clear(); update(); });

// --- one row ---
const audioMark = () => make("span", { className: "audio-mark" }, "\u00a0♪", make("span", { className: "unseen" }, " with audio"));
function rowElements(row) {
  const id = `detail-${row.number}`;
  const button = make("button", { type: "button", className: "open", attributes: { "aria-expanded": "false", "aria-controls": id } }, text(row.id.slice(folder.length) || row.id), row.clip ? audioMark() : null);
  const header = make("th", { scope: "row" }, button);
  const cell = make("td", { colSpan: columns.length });
  const detail = make("tr", { className: "detail", id, hidden: true }, cell);
  button.addEventListener("click", () => {
    const open = detail.hidden;
    detail.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open && !cell.firstChild) cell.append(detailOf(row));
    if (!open) for (const player of cell.querySelectorAll("audio")) player.pause();
  });
  return [make("tr", {}, header, ...columns.slice(1).map((column) => column.cell(row))), detail];
}

function detailOf(row) {
  const audio = audioOf(row);
  return make("div", { className: "inside" },
    ...audio.elements,
    ...(row.reference === null ? [] : [make("h3", {}, "reference", row.wer === null ? "" : `, word error rate ${percent(row.wer)}`), make("p", { className: "answer-text", dir: "auto" }, text(row.reference))]),
    ...row.answers.flatMap((answer) => answerElements(answer, audio)),
    make("h3", {}, "recording"),
    facts([["id", row.id], ["uri", row.uri], ["starts at", seconds(row.offset_s)], ["channel", row.channel ?? "mean of all channels"], ["reason", row.reason], ...Object.entries(row.facts)]),
    ...(row.extra.length ? [make("h3", {}, "manifest columns"), facts(row.extra)] : []),
  );
}

const facts = (pairs) => make("dl", { className: "facts" },
  ...pairs.map(([name, value]) => make("div", {}, make("dt", {}, text(name)), make("dd", {}, text(value ?? "unknown")))));

function answerElements(answer, audio) {
  const about = [answer.language && `language ${answer.language}`, answer.confidence !== null && `confidence ${percent(answer.confidence)}`].filter(Boolean).join(", ");
  const segments = answer.segments.map((segment) => {
    const time = `${segment.start_s.toFixed(2)} – ${segment.end_s.toFixed(2)} s`;
    const start = audio.play
      ? make("button", { type: "button", title: "Play from here", onclick: () => audio.play(segment.start_s) }, make("span", { className: "unseen" }, "Play "), time)
      : make("span", { className: "time" }, time);
    const confidence = segment.confidence === null ? null : make("span", { className: "quiet" }, percent(segment.confidence));
    return make("li", {}, start, make("span", { dir: "auto" }, text(segment.text)), confidence);
  });
  return [
    make("h3", {}, text(answer.task), about && make("span", { className: "quiet" }, ` ${about}`)),
    make("p", { className: "answer-text", dir: "auto" }, text(answer.text || "(empty)")),
    answer.flags.length ? make("p", {}, ...answer.flags.map(flagMark)) : null,
    answer.prompt ? make("p", { className: "quiet" }, "prompt: ", text(answer.prompt)) : null,
    segments.length ? make("ul", { className: "segments", tabIndex: 0, attributes: { "aria-label": `Segments of ${answer.task}` } }, ...segments) : null,
    answer.scores.length ? make("ul", { className: "scores" }, ...byScore(answer.scores)) : null,
  ].filter(Boolean);
}

const byScore = (scores) => [...scores].sort((a, b) => b[1] - a[1]).slice(0, 20).map(([label, score]) =>
  make("li", {}, text(label), make("meter", { value: score ?? 0, attributes: { "aria-label": label } }), make("span", {}, percent(score))));

/** The audio player of a row with its plots, and a function that plays from a time in the recording, or null. */
function audioOf(row) {
  const clip = $(`clip-${row.number}`) ? read(`clip-${row.number}`) : null;
  const link = links[row.number];
  const url = clip?.audio || link?.url;
  const notes = [clip?.note, url ? "" : link?.problem].filter(Boolean).map((note) => make("p", { className: "quiet" }, text(note)));
  if (!url) return { elements: notes, play: null };
  const player = make("audio", { controls: true, preload: "none", src: url, attributes: { "aria-label": `Audio of ${row.id}` } });
  const start_s = clip?.audio ? 0 : row.offset_s; // a link is to the whole file
  const play = (from_s) => { player.currentTime = start_s + from_s; player.play(); };
  player.addEventListener("error", () => notes[0] ?? player.after(make("p", { className: "quiet" }, "The audio cannot be opened.")));
  if (!clip?.audio) {
    if (row.channel !== null) notes.push(make("p", { className: "quiet" }, `The link plays all channels; channel ${row.channel} was annotated.`));
    return { elements: [player, ...notes], play };
  }
  return { elements: [player, ...plotElements(row, clip, player, play), ...notes], play };
}

function plotElements(row, clip, player, play) {
  const playhead = make("div", { className: "playhead" });
  const share = (time_s) => `${(100 * Math.min(Math.max(time_s / clip.shown_s, 0), 1)).toFixed(3)}%`;
  const timed = row.answers.find((answer) => answer.segments.length);
  const marks = (timed?.segments ?? []).filter((segment) => segment.start_s < clip.shown_s).map((segment) => {
    const mark = make("div", { className: "segment-mark" }, make("span", {}, `${segment.start_s.toFixed(2)} s`));
    mark.style.left = share(segment.start_s);
    mark.style.right = `calc(100% - ${share(segment.end_s)})`;
    return mark;
  });
  const spectrogram = make("img", { src: clip.spectrogram, alt: `Spectrogram of ${row.id}, 0 to 8 kHz` });
  const plot = make("div", { className: "clip" }, $(`wave-${row.number}`).content.cloneNode(true), spectrogram, ...marks, playhead);
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    play((clip.shown_s * (event.clientX - box.left)) / box.width);
  });
  player.addEventListener("timeupdate", () => { playhead.style.left = share(player.currentTime); });
  const times = [0, 1, 2, 3, 4].map((quarter) => make("span", {}, seconds((clip.shown_s * quarter) / 4)));
  return [plot, make("div", { className: "scale", attributes: { "aria-hidden": "true" } }, ...times)];
}

function clear() {
  for (const field of $("filters").elements) {
    if (field.type === "checkbox") field.checked = false;
    else if (field.tagName === "SELECT") field.selectedIndex = 0;
    else if (field.tagName === "INPUT") field.value = "";
  }
}

// Buttons that lead from an alignment to its row.
for (const button of document.querySelectorAll(".to-row")) {
  button.disabled = !rows.some((row) => row.id === button.dataset.id);
  button.addEventListener("click", () => {
    clear();
    [state.column, state.direction] = [null, 1];
    for (const column of columns) column.header.setAttribute("aria-sort", "none");
    state.shown = rows.filter((row) => row.id === button.dataset.id);
    state.page = 0;
    $("search").value = button.dataset.id;
    draw();
    const opener = $("body").querySelector(".open");
    opener.click();
    opener.focus();
  });
}

update();
