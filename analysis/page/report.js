"use strict";

// Tables: buttons in the headers sort, the field above filters. Without scripts they are plain tables.
for (const box of document.querySelectorAll("[data-table]")) {
  const body = box.querySelector("tbody");
  const headers = [...box.querySelectorAll("thead th")];
  headers.forEach((header, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...header.childNodes);
    header.append(button);
    button.addEventListener("click", () => {
      const descending = header.getAttribute("aria-sort") === "ascending";
      for (const other of headers) other.removeAttribute("aria-sort");
      header.setAttribute("aria-sort", descending ? "descending" : "ascending");
      body.append(...sorted([...body.rows], column, header.classList.contains("number"), descending));
    });
  });
  const field = box.querySelector("input");
  if (field) {
    const said = box.querySelector("[role=status]");
    field.parentElement.hidden = false;
    field.addEventListener("input", () => {
      const words = field.value.toLowerCase().split(/\s+/);
      let shown = 0;
      for (const row of body.rows) {
        row.hidden = !words.every((word) => row.dataset.text.includes(word));
        shown += !row.hidden;
      }
      said.textContent = `${shown} of ${body.rows.length} rows`;
    });
    for (const row of body.rows) row.dataset.text = row.textContent.toLowerCase();
  }
}

// Rows by the values of a column; those that have none stay at the end.
function sorted(rows, column, numbers, descending) {
  const value = (row) => {
    const text = row.cells[column].textContent.trim();
    if (text === "" || text === "–") return null;
    return numbers ? Number(text.replaceAll(",", "")) : text;
  };
  const compare = numbers ? (a, b) => a - b : new Intl.Collator("en", { numeric: true }).compare;
  const known = rows.filter((row) => value(row) !== null);
  known.sort((a, b) => compare(value(a), value(b)) * (descending ? -1 : 1));
  return [...known, ...rows.filter((row) => value(row) === null)];
}

// Charts: drawn in the colours of the page, and again where these change.
const dark = matchMedia("(prefers-color-scheme: dark)");
const touch = matchMedia("(pointer: coarse)");

const CONFIG = {
  responsive: true,
  displaylogo: false,
  showSendToCloud: false, // nothing leaves the page
  modeBarButtons: [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d", "toImage"]],
};

function draw(source) {
  const { data, layout } = JSON.parse(source.textContent);
  const style = getComputedStyle(document.body);
  const colour = (name) => style.getPropertyValue(`--${name}`).trim();
  const font = { family: style.fontFamily, size: 13, color: colour("ink") };
  for (const trace of data) {
    trace.line = { ...trace.line, color: colour(trace.meta) };
    const edge = trace.meta === "searched" ? { color: colour("soft"), width: 0.5 } : { color: colour("ground"), width: 1 };
    trace.marker = { color: colour(trace.meta), line: edge, reversescale: !dark.matches, ...trace.marker };
  }
  for (const axis of [layout.xaxis, layout.yaxis]) {
    Object.assign(axis, { gridcolor: colour("line"), linecolor: colour("soft"), zeroline: false, automargin: true });
  }
  for (const shape of layout.shapes ?? []) shape.line.color = colour("line");
  Object.assign(layout, {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font,
    hoverlabel: { align: "left", bgcolor: colour("card"), bordercolor: colour("soft"), font },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("soft"), activecolor: colour("ink") },
    margin: { l: 56, r: 12, t: 64, b: 48 },
    dragmode: touch.matches ? false : "zoom", // a finger on a chart scrolls the page
  });
  return Plotly.react(source.dataset.chart, data, layout, CONFIG);
}

function drawAll() {
  return Promise.all([...document.querySelectorAll("[data-chart]")].map(draw));
}

dark.addEventListener("change", drawAll);
drawAll().then(() => performance.mark("drawn"));
