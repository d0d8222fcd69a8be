// Draws the charts from the data in the page, and shows the chosen table. It makes no requests.
"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const config = { responsive: true, displaylogo: false, modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]] }; // none that uploads a chart

for (const [name, chart] of Object.entries(charts)) {
  const place = document.getElementById(`chart-${name}`);
  Plotly.newPlot(place, chart.data, chart.layout, config);
  if (chart.labels_apart) {
    keepLabelsApart(place, chart.data[0].text);
    place.on("plotly_afterplot", () => keepLabelsApart(place, chart.data[0].text));
  }
  const selects = (chart.choices || []).map((choice, index) => addSelect(place, choice, index));
  const show = () => {
    let table = chart.z;
    for (const select of selects) table = table[select.selectedIndex];
    Plotly.restyle(place, { z: [table] }, [0]);
  };
  for (const select of selects) select.addEventListener("change", show);
}

// A figure that is wider than the screen scrolls, by the keyboard too.
function makeReachable() {
  for (const figure of document.querySelectorAll("figure")) {
    if (figure.scrollWidth > figure.clientWidth) figure.tabIndex = 0;
    else figure.removeAttribute("tabindex");
  }
}
for (const event of ["load", "resize"]) addEventListener(event, makeReachable);
document.addEventListener("toggle", makeReachable, true);

function addSelect(place, choice, index) {
  const label = document.createElement("label");
  label.textContent = choice.name + " ";
  const select = document.createElement("select");
  select.name = choice.name;
  for (const option of choice.options) {
    const made = document.createElement("option");
    made.textContent = option;
    select.append(made);
  }
  label.append(select);
  place.previousElementSibling.append(label);
  return select;
}

// Writes each point's label above, below, right or left of the point, where it overlaps no other, and leaves it out where none of the four is
// free: the point still has its name as hover text. Zooming in makes room for more.
function keepLabelsApart(place, names) {
  const { xaxis, yaxis } = place._fullLayout;
  const seen = JSON.stringify([xaxis.range, yaxis.range, xaxis._length, yaxis._length]);
  if (place.dataset.labelled === seen) return;
  place.dataset.labelled = seen;
  const { x, y } = place.data[0];
  const points = names.map((name, index) => [xaxis.d2p(x[index]), yaxis.d2p(y[index])]);
  const taken = points.map(([left, top]) => [left - 2, top - 2, left + 2, top + 2]);
  const positions = [];
  const texts = names.map((name, index) => {
    const spot = labelSpots(points[index], name).find(({ box }) => inside(box, xaxis, yaxis) && !taken.some((other) => meet(box, other)));
    positions.push(spot ? spot.position : "top center");
    if (spot) taken.push(spot.box);
    return spot ? name : "";
  });
  Plotly.restyle(place, { text: [texts], textposition: [positions] }, [0]);
}

function labelSpots([x, y], name) {
  const wide = [...name].length * 7.6 + 4;
  return [
    { position: "top center", box: [x - wide / 2, y - 20, x + wide / 2, y - 3] },
    { position: "bottom center", box: [x - wide / 2, y + 3, x + wide / 2, y + 20] },
    { position: "middle right", box: [x + 3, y - 9, x + 5 + wide, y + 9] },
    { position: "middle left", box: [x - 5 - wide, y - 9, x - 3, y + 9] },
  ];
}

function inside([left, top, right, bottom], xaxis, yaxis) {
  return left >= 0 && top >= 0 && right <= xaxis._length && bottom <= yaxis._length;
}

function meet(one, other) {
  return one[0] < other[2] && other[0] < one[2] && one[1] < other[3] && other[1] < one[3];
}
