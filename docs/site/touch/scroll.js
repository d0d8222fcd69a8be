// What is too wide for a screen scrolls in itself, by the keyboard too.
if (typeof document !== "undefined") {
  const reach = () => document.querySelectorAll(".md-typeset__scrollwrap, .md-typeset pre > code, .md-typeset .arithmatex").forEach((each) => {
    if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
  });
  addEventListener("load", reach);
  addEventListener("resize", reach);
}
