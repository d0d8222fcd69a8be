// An assistant in a web site: <script src="SERVER/embed.js" data-assistant="bank" data-key="pk-..." async></script>
// Its two buttons speak the language of data-language, else of the site's page, else of the browser; data-label and data-close are other words for them.
// A button at the lower right opens it in a frame, a page of the assistant's server: the two sites can't read or style one another. Nothing is loaded before
// the button is pressed, nothing is stored, and no other server is asked. A content security policy of the site needs script-src and frame-src with that server.
(() => {
  const script = document.currentScript;
  const MESSAGES = /* messages */ {}; // by language; the server writes them
  const wanted = [script.dataset.language, document.documentElement.lang, ...navigator.languages].map((each) => (each ?? "").split("-")[0].toLowerCase());
  const said = MESSAGES[wanted.find((each) => each in MESSAGES) ?? "en"];
  const { assistant, key, label = said.open, close = said.close, colour = "", ink = "#fff" } = script.dataset;
  if (!assistant || !key) {
    console.error('embed.js: its script tag needs data-assistant="NAME" and data-key="PUBLIC KEY".');
    return;
  }
  const server = new URL(script.src).origin;
  const address = new URL(`embed/${encodeURIComponent(assistant)}#${encodeURIComponent(key)}`, script.src).href;
  const STYLE = `
    :host { all: initial; }
    * { box-sizing: border-box; }
    button { font: 600 1rem/1.2 system-ui, sans-serif; color: #fff; background: #1f2a37; border: 2px solid #fff; cursor: pointer; min-height: 44px; min-width: 44px; }
    button:focus-visible { outline: 3px solid #1f6feb; outline-offset: 2px; }
    .open { position: fixed; z-index: 2147483000; right: max(1rem, env(safe-area-inset-right)); bottom: max(1rem, env(safe-area-inset-bottom)); padding: .75rem 1.15rem; border-radius: 2rem; box-shadow: 0 3px 14px rgb(0 0 0 / .3); max-width: calc(100vw - 2rem); }
    dialog { position: fixed; z-index: 2147483001; inset: auto max(1rem, env(safe-area-inset-right)) max(1rem, env(safe-area-inset-bottom)) auto; margin: 0; padding: 0; border: 1px solid #8b949e; border-radius: 14px; overflow: hidden; width: 26rem; height: min(44rem, calc(100dvh - 2rem)); background: Canvas; color-scheme: light dark; box-shadow: 0 8px 40px rgb(0 0 0 / .35); }
    dialog[open] { display: flex; flex-direction: column; animation: rise .16s ease-out; }
    dialog::backdrop { background: rgb(0 0 0 / .4); }
    .bar { display: flex; justify-content: flex-end; background: #1f2a37; }
    .bar button { border: 0; font-size: .9rem; padding: 0 1.1rem; background: none; }
    .bar button:focus-visible { outline-color: #fff; outline-offset: -4px; }
    iframe { flex: 1; min-height: 0; width: 100%; border: 0; display: block; }
    @keyframes rise { from { transform: translateY(12px); opacity: 0; } }
    @media (prefers-reduced-motion: reduce) { dialog[open] { animation: none; } }
    @media (max-width: 32rem), (max-height: 30rem) { dialog { inset: 0; width: 100vw; max-width: none; height: 100dvh; max-height: none; border: 0; border-radius: 0; } }
  `;
  const isSmall = matchMedia("(max-width: 32rem), (max-height: 30rem)"); // as in the style: then it fills the screen
  const node = (tag, attributes, text = "") => {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    made.textContent = text;
    return made;
  };
  const opener = node("button", { type: "button", class: "open", "aria-haspopup": "dialog", "aria-expanded": "false" }, label);
  const closer = node("button", { type: "button" }, close);
  const panel = node("dialog", { "aria-label": label });
  const bar = node("div", { class: "bar" });
  let frame = null;

  function open() {
    if (panel.open) return;
    if (!frame) {
      frame = node("iframe", {
        title: label,
        src: address,
        referrerpolicy: "no-referrer",
        allow: "clipboard-write",
        sandbox: "allow-scripts allow-same-origin allow-forms allow-downloads allow-popups allow-popups-to-escape-sandbox",
      });
      frame.addEventListener("load", () => panel.open && (frame.blur(), frame.focus())); // the focus was that of the empty page before
      panel.append(frame);
    }
    if (isSmall.matches) panel.showModal();
    else panel.show();
    opener.setAttribute("aria-expanded", "true");
    frame.focus();
  }

  function shut() {
    panel.close();
  }

  bar.append(closer);
  panel.append(bar);
  opener.addEventListener("click", () => (panel.open ? shut() : open()));
  closer.addEventListener("click", shut);
  panel.addEventListener("keydown", (event) => event.key === "Escape" && shut());
  panel.addEventListener("close", () => {
    opener.setAttribute("aria-expanded", "false");
    opener.focus();
  });
  addEventListener("message", (event) => {
    const isOurs = frame && event.source === frame.contentWindow && event.origin === server;
    if (isOurs && event.data?.groundup === "close") shut();
  });

  function place() {
    const host = node("div", { "data-groundup": assistant });
    const root = host.attachShadow({ mode: "open" });
    const sheet = new CSSStyleSheet(); // a style element would need style-src of the site
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    if (colour) for (const each of [opener, bar]) each.style.setProperty("background", colour);
    for (const each of [opener, closer]) each.style.setProperty("color", ink);
    root.append(opener, panel);
    document.body.append(host);
  }

  if (document.body) place();
  else addEventListener("DOMContentLoaded", place);
})();
