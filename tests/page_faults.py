"""What the checklist for pages (CONTRIBUTING.md, "A page, looked at") asks and a browser can measure, the same for every page.

page_faults(page)     of what is shown: type, headings, lines too long, what is cut or wider than the screen
print_faults(page)    on paper: what is wider than it, and controls that are printed
"""

from typing import Any

SMALLEST_PX, LONGEST_LINE = 12, 85
PAPER_PX = 700
"""A4 between margins of 13 mm."""

MEASURE = """([smallest, longest]) => {
  const shown = (e) => {
    const box = e.getBoundingClientRect();
    const style = getComputedStyle(e);
    return box.width > 1 && box.height > 1 && style.visibility !== "hidden" && style.clipPath === "none" && e.checkVisibility();
  };
  const ancestors = function* (e) { for (; e && e !== document.body; e = e.parentElement) yield e; };
  const away = (e) => [...ancestors(e)].some((each) => getComputedStyle(each).clipPath === "inset(50%)");
  const words = (e) => (e.innerText ?? e.textContent ?? "").trim().slice(0, 40);
  const name = (e) => `${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""} "${words(e)}"`;
  const faults = new Set();

  const wide = document.documentElement.scrollWidth - innerWidth;
  if (wide > 0) faults.add(`the page is ${wide} px wider than the screen`);

  const levels = [...document.querySelectorAll("h1,h2,h3,h4,h5,h6")].filter((e) => e.checkVisibility());
  let last = 0;
  for (const e of levels) {
    const level = +(e.ariaLevel ?? e.tagName[1]);
    if (level > last + 1) faults.add(`a heading of level ${level} follows one of ${last}: ${words(e)}`);
    last = level;
  }

  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const e = walk.currentNode.parentElement;
    if (!walk.currentNode.data.trim() || !shown(e) || e.closest("script, style, sup, sub, mjx-container, title") || away(e)) continue;
    const drawn = e.closest("svg") && e.getScreenCTM?.();
    const size = parseFloat(getComputedStyle(e).fontSize) * (drawn ? Math.hypot(drawn.a, drawn.b) : 1);
    if (size < smallest - .05) faults.add(`type of ${size.toFixed(1)} px: ${e.tagName.toLowerCase()}.${e.getAttribute("class") ?? ""}`);
  }

  for (const e of document.querySelectorAll("p, li, dd, blockquote, figcaption")) {
    if (e.querySelector("p, li, dl, div, table, pre, ul, ol, button, svg") || words(e).length < 40 || !shown(e)) continue;
    const range = document.createRange(), texts = document.createTreeWalker(e, NodeFilter.SHOW_TEXT);
    let width = 0, count = 0, line = 0;
    while (texts.nextNode()) {
      range.selectNodeContents(texts.currentNode);
      for (const box of range.getClientRects()) [width, line] = [width + box.width, Math.max(line, box.right)];
      count += texts.currentNode.length;
    }
    const length = Math.round((line - e.getBoundingClientRect().left) * count / width);
    if (length > longest) faults.add(`${length} characters in a line: ${name(e)}`);
  }

  const kept = (e) => [...ancestors(e)].some((each) => ["auto", "scroll", "hidden"].includes(getComputedStyle(each).overflowX));
  for (const e of document.querySelectorAll("body *")) {
    if (e.closest("svg svg, svg *, mjx-container *") || !shown(e) || away(e)) continue;
    const style = getComputedStyle(e);
    if (e.getBoundingClientRect().right > innerWidth + 1 && !kept(e))
      faults.add(`beyond the screen: ${name(e)}`);
    if (["hidden", "clip"].includes(style.overflowX) && e.scrollWidth > e.clientWidth + 1 && e.clientWidth && style.textOverflow !== "ellipsis")
      faults.add(`cut: ${name(e)}`);
  }
  return [...faults];
}"""
IS_BARE = """(e) => {
  const { borderTopColor, borderTopStyle } = getComputedStyle(e);
  return borderTopStyle === "none" || borderTopColor === "rgba(0, 0, 0, 0)";
}"""


def page_faults(page: Any) -> list[str]:
    found: list[str] = page.evaluate(MEASURE, [SMALLEST_PX, LONGEST_LINE])
    return found


def print_faults(page: Any) -> list[str]:
    """The page is left as it was. A control without a border is read as the words around it; a chart
    has two seconds to be drawn anew for the paper's width.
    """
    size = page.viewport_size
    page.set_viewport_size({"width": PAPER_PX, "height": 1000})
    page.emulate_media(media="print")
    for _ in range(10):
        found = _faults_on_paper(page)
        if not found:
            break
        page.wait_for_timeout(200)
    page.emulate_media(media="null")
    page.set_viewport_size(size)
    return found


def _faults_on_paper(page: Any) -> list[str]:
    found = [each for each in page.evaluate(MEASURE, [8, 1000]) if "heading of level" not in each]
    controls = "button, select:not(:disabled), input:not([type=hidden]), nav a, .skip"
    return found + [
        f"printed: {each.evaluate('e => e.outerHTML.slice(0, 60)')}"
        for each in page.locator(controls).all()
        if each.is_visible() and not each.evaluate(IS_BARE)
    ]
