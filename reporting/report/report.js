"use strict";
// The table of recordings, and the theme. Everything that comes from a manifest or a model is put in as text.

const PAGE_ROWS = 50;
const read = (id) => JSON.parse(document.getElementById(id).textContent);
const $ = (id) => document.getElementById(id);

/** An element with properties, attributes in `attributes`, and children: elements, or texts that stay texts. */
function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { attributes = {}, ...rest } = properties;
  Object.assign(made, rest);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** Text in its own direction: marks of writing direction in it do not reach what stands around it. */
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
  try { localStorage.setItem(KEY, theme); } catch { /* a browser that keeps nothing still shows it */ }
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
  const said = row.answers.flatMap((answer) => [answer.text, answer.language]);
  const carried = row.extra.flat();
  row.haystack = [row.id, row.uri, row.reference ?? "", ...said, ...carried].join("\n").toLocaleLowerCase();
});
const anyWer = rows.some((row) => row.wer !== null);

// Ids that are paths are shown without the folder that all of them lie in.
const folder = rows.length > 1 ? rows.map((row) => row.id.slice(0, row.id.lastIndexOf("/") + 1)).reduce(sharedFolder) : "";
function sharedFolder(one, other) {
  let end = 0;
  while (end < one.length && one[end] === other[end]) end += 1;
  return end ? one.slice(0, one.lastIndexOf("/", end - 1) + 1) : "";
}

/** A column: how a cell looks, and what it is sorted by. */
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
const numberCell = (shown) => make("td", { className: "number" }, shown);
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
  column.head = make("th", { scope: "col", attributes: { "aria-sort": "none" } }, button);
  $("heads").append(column.head);
});

/** Ascending, descending, and back to the order of need. */
function sortBy(column) {
  if (state.column !== column) [state.column, state.direction] = [column, 1];
  else if (state.direction === 1) state.direction = -1;
  else [state.column, state.direction] = [null, 1];
  for (const one of columns) {
    const sorted = one === state.column ? (state.direction === 1 ? "ascending" : "descending") : "none";
    one.head.setAttribute("aria-sort", sorted);
  }
  update();
}

const collator = new Intl.Collator(undefined, { numeric: true });
/** What has no value comes last, whichever way the rest is sorted. */
function compare(one, other) {
  const [a, b] = [state.column.key(one), state.column.key(other)];
  if (a === null || b === null) return (a === null) - (b === null) || one.number - other.number;
  const order = typeof a === "string" ? collator.compare(a, b) : a - b;
  return state.direction * order || one.number - other.number;
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
  if (!words.every((word) => row.haystack.includes(word))) return false;
  if (flag === "*" && !row.allFlags.length) return false;
  if (flag === "-" && row.allFlags.length) return false;
  if (flag.startsWith("=") && !row.allFlags.includes(flag.slice(1))) return false;
  if (reason && row.reason !== reason) return false;
  if ($("heard").checked && !row.clip) return false;
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
  const some = state.shown.slice(first, first + PAGE_ROWS);
  $("body").replaceChildren(...some.flatMap(rowElements));
  const order = state.column ? `sorted by ${state.column.name}` : "those to look at first come first";
  $("status").textContent = some.length
    ? `${first + 1} to ${first + some.length} of ${state.shown.length.toLocaleString("en")} rows, ${order}`
    : "No row is like that.";
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
const heardMark = () => make("span", { className: "heard" }, "\u00a0♪", make("span", { className: "unseen" }, " with audio"));
function rowElements(row) {
  const id = `detail-${row.number}`;
  const button = make("button", { type: "button", className: "open", attributes: { "aria-expanded": "false", "aria-controls": id } }, text(row.id.slice(folder.length) || row.id), row.clip ? heardMark() : null);
  const head = make("th", { scope: "row" }, button);
  const cell = make("td", { colSpan: columns.length });
  const detail = make("tr", { className: "detail", id, hidden: true }, cell);
  button.addEventListener("click", () => {
    const open = detail.hidden;
    detail.hidden = !open;
    button.setAttribute("aria-expanded", String(open));
    if (open && !cell.firstChild) cell.append(detailOf(row));
    if (!open) for (const player of cell.querySelectorAll("audio")) player.pause();
  });
  return [make("tr", {}, head, ...columns.slice(1).map((column) => column.cell(row))), detail];
}

function detailOf(row) {
  const sound = soundOf(row);
  return make("div", { className: "inside" },
    ...sound.elements,
    ...(row.reference === null ? [] : [make("h3", {}, "reference", row.wer === null ? "" : `, word error rate ${percent(row.wer)}`), make("p", { className: "said", dir: "auto" }, text(row.reference))]),
    ...row.answers.flatMap((answer) => answerElements(answer, sound)),
    make("h3", {}, "recording"),
    facts([["id", row.id], ["uri", row.uri], ["starts at", seconds(row.offset_s)], ["channel", row.channel ?? "mean of all"], ["shown because", row.reason], ...Object.entries(row.facts)]),
    ...(row.extra.length ? [make("h3", {}, "columns of the manifest"), facts(row.extra)] : []),
  );
}

const facts = (pairs) => make("dl", { className: "facts" },
  ...pairs.map(([name, value]) => make("div", {}, make("dt", {}, text(name)), make("dd", {}, text(value ?? "not known")))));

function answerElements(answer, sound) {
  const about = [answer.language && `language ${answer.language}`, answer.confidence !== null && `confidence ${percent(answer.confidence)}`].filter(Boolean).join(", ");
  const pieces = answer.segments.map((segment) => {
    const time = `${segment.start_s.toFixed(2)} – ${segment.end_s.toFixed(2)} s`;
    const start = sound.play
      ? make("button", { type: "button", title: "Play from here", onclick: () => sound.play(segment.start_s) }, make("span", { className: "unseen" }, "Play "), time)
      : make("span", { className: "time" }, time);
    const sure = segment.confidence === null ? null : make("span", { className: "quiet" }, percent(segment.confidence));
    return make("li", {}, start, make("span", { dir: "auto" }, text(segment.text)), sure);
  });
  return [
    make("h3", {}, text(answer.task), about && make("span", { className: "quiet" }, ` ${about}`)),
    make("p", { className: "said", dir: "auto" }, text(answer.text || "(nothing)")),
    answer.flags.length ? make("p", {}, ...answer.flags.map(flagMark)) : null,
    answer.prompt ? make("p", { className: "quiet" }, "asked: ", text(answer.prompt)) : null,
    pieces.length ? make("ul", { className: "pieces", tabIndex: 0, attributes: { "aria-label": `Segments of ${answer.task}` } }, ...pieces) : null,
    answer.scores.length ? make("ul", { className: "scores" }, ...byScore(answer.scores)) : null,
  ].filter(Boolean);
}

const byScore = (scores) => [...scores].sort((one, other) => other[1] - one[1]).slice(0, 20).map(([label, score]) =>
  make("li", {}, text(label), make("meter", { value: score ?? 0, attributes: { "aria-label": label } }), make("span", {}, percent(score))));

/** The player of a row with its pictures, and a function that plays from a time of the recording, or null. */
function soundOf(row) {
  const clip = $(`clip-${row.number}`) ? read(`clip-${row.number}`) : null;
  const link = links[row.number];
  const address = clip?.audio || link?.url;
  const notes = [clip?.note, address ? "" : link?.problem].filter(Boolean).map((note) => make("p", { className: "quiet" }, text(note)));
  if (!address) return { elements: notes, play: null };
  const player = make("audio", { controls: true, preload: "none", src: address, attributes: { "aria-label": `Audio of ${row.id}` } });
  const start_s = clip?.audio ? 0 : row.offset_s; // a link is to the whole file
  const play = (from_s) => { player.currentTime = start_s + from_s; player.play(); };
  player.addEventListener("error", () => notes[0] ?? player.after(make("p", { className: "quiet" }, "The audio cannot be opened from here.")));
  if (!clip?.audio) {
    if (row.channel !== null) notes.push(make("p", { className: "quiet" }, `The link plays all channels; what was heard is channel ${row.channel}.`));
    return { elements: [player, ...notes], play };
  }
  return { elements: [player, ...pictures(row, clip, player, play), ...notes], play };
}

function pictures(row, clip, player, play) {
  const playhead = make("div", { className: "playhead" });
  const share = (time_s) => `${(100 * Math.min(Math.max(time_s / clip.shown_s, 0), 1)).toFixed(3)}%`;
  const timed = row.answers.find((answer) => answer.segments.length);
  const pieces = (timed?.segments ?? []).filter((segment) => segment.start_s < clip.shown_s).map((segment) => {
    const piece = make("div", { className: "piece" }, make("span", {}, `${segment.start_s.toFixed(2)} s`));
    piece.style.left = share(segment.start_s);
    piece.style.right = `calc(100% - ${share(segment.end_s)})`;
    return piece;
  });
  const spectrogram = make("img", { src: clip.spectrogram, alt: `Spectrogram of ${row.id}, 0 to 8 kHz` });
  const sound = make("div", { className: "sound" }, $(`wave-${row.number}`).content.cloneNode(true), spectrogram, ...pieces, playhead);
  sound.addEventListener("click", (event) => {
    const box = sound.getBoundingClientRect();
    play((clip.shown_s * (event.clientX - box.left)) / box.width);
  });
  player.addEventListener("timeupdate", () => { playhead.style.left = share(player.currentTime); });
  const times = [0, 1, 2, 3, 4].map((quarter) => make("span", {}, seconds((clip.shown_s * quarter) / 4)));
  return [sound, make("div", { className: "scale", attributes: { "aria-hidden": "true" } }, ...times)];
}

function clear() {
  for (const field of $("filters").elements) {
    if (field.type === "checkbox") field.checked = false;
    else if (field.tagName === "SELECT") field.selectedIndex = 0;
    else if (field.tagName === "INPUT") field.value = "";
  }
}

/** From an alignment to its row. */
for (const button of document.querySelectorAll(".to-row")) {
  button.disabled = !rows.some((row) => row.id === button.dataset.id);
  button.addEventListener("click", () => {
    clear();
    [state.column, state.direction] = [null, 1];
    for (const column of columns) column.head.setAttribute("aria-sort", "none");
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
