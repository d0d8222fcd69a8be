// What is too wide for a screen scrolls in itself, by the keyboard too. A table that does is set smaller, with breaks in its names,
// and on a phone as a list, each cell after the title of its column.
if (typeof document !== "undefined") {
  const scrolled = ".md-typeset__scrollwrap, .md-typeset pre > code, .md-typeset .arithmatex, .md-typeset p:has(> img)";
  const fit = () => {
    document.querySelectorAll(".md-typeset table:not([class])").forEach((table) => {
      delete table.dataset.stacked;
      delete table.dataset.wide;
      const around = table.closest(".md-typeset__scrollwrap") ?? table.parentElement;
      if (!table.tHead || table.scrollWidth <= around.clientWidth) return;
      if (innerWidth < 600) stack(table);
      else {
        table.dataset.wide = "";
        if (table.scrollWidth > around.clientWidth) breakNames(table);
      }
    });
    document.querySelectorAll(scrolled).forEach((each) => {
      if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
      else each.removeAttribute("tabindex");
    });
  };
  // A name may break after a dot, an underscore or a slash.
  const breakNames = (table) => {
    for (const code of table.querySelectorAll("code:not(:has(wbr))"))
      code.innerHTML = code.innerHTML.replace(/(?<!<)[._/](?=\w)/g, "$&<wbr>");
  };
  // A browser takes what is laid out as blocks for no table; the roles say that it is one.
  const stack = (table) => {
    const titles = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
    table.dataset.stacked = "";
    table.setAttribute("role", "table");
    for (const row of table.rows) {
      row.setAttribute("role", "row");
      [...row.cells].forEach((cell, place) => {
        cell.setAttribute("role", cell.tagName === "TH" ? "columnheader" : "cell");
        if (place) cell.dataset.label = titles[place];
      });
    }
  };
  addEventListener("load", fit);
  addEventListener("resize", fit);
}
