/* Formulas by MathJax, from this site and only on pages that have some. */
(() => {
  const formulas = document.querySelectorAll(".arithmatex");
  if (!formulas.length) return;
  const assets = new URL(".", document.currentScript.src);
  window.MathJax = {
    tex: { inlineMath: [["\\(", "\\)"]], displayMath: [["\\[", "\\]"]] },
    options: { enableMenu: false },
    chtml: { fontURL: new URL("mathjax/output/chtml/fonts/woff-v2", assets).href },
    startup: { elements: [...formulas] },
  };
  const script = document.createElement("script");
  script.src = new URL("mathjax/tex-chtml.js", assets).href;
  document.head.append(script);
})();
