// Draws the tables of the page: what is in a plot can always be read in its table, too.
"use strict";
(() => {
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

  const amount = (written) => (written === "" ? null : Number(written));

  function rowsOf(table) {
    const rows = Array.from(table.tBodies[0].rows, ({ dataset }) => ({
      name: dataset.name,
      calls: Number(dataset.calls),
      free: Number(dataset.free),
      spent: amount(dataset.spent),
      saved: amount(dataset.saved),
    }));
    return table.id === "table-day" ? withAllDays(rows) : rows;
  }

  // A day on which nothing was asked has no row, but it has its place.
  function withAllDays(rows) {
    const known = new Map(rows.map((row) => [row.name, row]));
    const all = [];
    const last = new Date(rows.at(-1).name);
    for (const day = new Date(rows[0].name); day <= last; day.setUTCDate(day.getUTCDate() + 1)) {
      const name = day.toISOString().slice(0, 10);
      all.push(known.get(name) ?? { name, calls: 0, free: 0, spent: 0, saved: 0 });
    }
    return all;
  }

  const money = (value) => {
    if (value === 0) return "$0";
    return value >= 1 ? `$${value.toFixed(2)}` : `$${Number(value.toPrecision(2))}`;
  };

  const bars = (label, stroke, side) => ({
    label,
    fill: stroke,
    stroke,
    width: 0,
    points: { show: false },
    paths: uPlot.paths.bars({ size: [0.38, 34], align: side, gap: 2, radius: 0.15 }),
  });

  function plot(place, title, rows, series, { rate = false, format }) {
    const line = colour("--line");
    const text = colour("--quiet");
    const font = "12px system-ui, sans-serif";
    const axis = { stroke: text, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const shown = rows.map((row) => row.name);
    const named = (index) => shown[index]?.replace(/^\d{4}-/, "") ?? "";
    const data = [rows.map((_, index) => index), ...series.map(({ of }) => rows.map(of))];
    const options = {
      title,
      width: Math.max(240, place.clientWidth),
      height: 220,
      cursor: { drag: { x: false, y: false }, points: { show: false } },
      legend: { live: false },
      scales: {
        x: { time: false, range: [-0.6, Math.max(rows.length - 0.4, 0.6)] },
        y: { range: (_plot, _min, max) => [0, max > 0 ? max * 1.1 : 1] },
        rate: { range: [0, 100] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          space: rows.length > 8 ? 56 : 40,
          splits: (self) => {
            const step = Math.ceil(rows.length / Math.max(1, Math.floor(self.width / 64)));
            return data[0].filter((index) => index % step === 0);
          },
          values: (_self, at) => at.map((index) => {
            const name = named(index);
            return name.length > 18 ? `${name.slice(0, 17)}…` : name;
          }),
        },
        { ...axis, size: 64, values: (_self, at) => at.map(format) },
        ...(rate ? [{ ...axis, scale: "rate", side: 1, size: 44, grid: { show: false }, values: (_self, at) => at.map((value) => `${value} %`) }] : []),
      ],
      series: [
        {},
        ...series.map(({ made }) => made),
      ],
    };
    return new uPlot(options, data, place);
  }

  function draw(holder) {
    const table = document.getElementById(holder.dataset.plots);
    const rows = rowsOf(table);
    holder.replaceChildren();
    holder.hidden = false;
    const [calls, spent] = [document.createElement("div"), document.createElement("div")];
    holder.append(calls, spent);
    const [first, second, third] = [colour("--spent"), colour("--saved"), colour("--rate")];
    plot(calls, "Calls, and what was answered without one", rows, [
      { of: (row) => row.calls, made: bars("calls", first, -1) },
      { of: (row) => row.free, made: bars("without a call", second, 1) },
      {
        of: (row) => (row.calls + row.free ? (100 * row.free) / (row.calls + row.free) : null),
        made: {
          label: "hit rate",
          scale: "rate",
          stroke: third,
          width: 2,
          points: { show: true, size: 6, fill: third },
        },
      },
    ], { rate: true, format: (value) => (Number.isInteger(value) ? String(value) : "") });
    // An embedded model costs nothing: a plot of that would say nothing.
    if (!rows.some((row) => row.spent || row.saved)) {
      spent.remove();
      return;
    }
    plot(spent, "Dollars spent and saved", rows, [
      { of: (row) => row.spent, made: bars("spent", first, -1) },
      { of: (row) => row.saved, made: bars("saved", second, 1) },
    ], { format: money });
  }

  const drawAll = () => document.querySelectorAll("[data-plots]").forEach(draw);
  let timer = 0;
  window.addEventListener("resize", () => {
    clearTimeout(timer);
    timer = setTimeout(drawAll, 150);
  });
  document.addEventListener("askonce:theme", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
  drawAll();
})();
