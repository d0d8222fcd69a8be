// Draws the charts whose data stand in the page, and shows the table that is chosen. Nothing is loaded, nothing is sent.
"use strict";
const charts = JSON.parse(document.getElementById("charts").textContent);
const config = { responsive: true, displaylogo: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] };

for (const [name, chart] of Object.entries(charts)) {
  const place = document.getElementById(`chart-${name}`);
  Plotly.newPlot(place, chart.data, chart.layout, config);
  const selects = (chart.choices || []).map((choice, index) => addSelect(place, choice, index));
  const show = () => {
    let table = chart.z;
    for (const select of selects) table = table[select.selectedIndex];
    Plotly.restyle(place, { z: [table] }, [0]);
  };
  for (const select of selects) select.addEventListener("change", show);
}

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
