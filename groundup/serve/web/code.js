// Program text -> coloured pieces, with no knowledge of any one language: comments, quoted texts, numbers and the words that most languages share.

const KEYWORDS = new Set(
  ("and as assert async await break case catch class const continue def default del delete do elif else enum except export extends extern false False finally " +
    "fn for from func function go if impl import in interface is lambda let loop match mod module mut namespace new nil None not null or package pass pub " +
    "private protected public raise return self static struct super switch this throw trait true True try type typeof undefined use var void while with yield " +
    "SELECT FROM WHERE INSERT INTO UPDATE DELETE CREATE TABLE JOIN ON GROUP ORDER BY LIMIT VALUES SET AND OR NOT NULL").split(" "),
);
const HASH_COMMENTS = new Set(["", "py", "python", "sh", "bash", "shell", "zsh", "ruby", "rb", "yaml", "yml", "toml", "r", "make", "makefile", "dockerfile", "perl"]);
const SLASHES = /\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$)/y;
const HASH = /#[^\n]*/y;
const DASHES = /--[^\n]*/y;
const QUOTED = /"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?|`(?:[^`\\]|\\[\s\S])*`?/y;
const NUMBER = /\b\d[\w.]*/y;
const WORD = /[A-Za-z_$][\w$]*/y;
const PLAIN = /[^A-Za-z_$\d"'`/#-]+|[\s\S]/y;

/** [[kind or null, text], ...] whose texts joined are `source`. */
export function coloured(source, language) {
  const comments = HASH_COMMENTS.has(language) ? [HASH] : language === "sql" || language === "lua" ? [DASHES] : [SLASHES];
  const patterns = [...comments.map((pattern) => ["comment", pattern]), ["quoted", QUOTED], ["number", NUMBER], ["word", WORD], [null, PLAIN]];
  const found = [];
  for (let at = 0; at < source.length; ) {
    const [kind, text] = next(source, at, patterns);
    found.push([kind === "word" ? (KEYWORDS.has(text) ? "keyword" : null) : kind, text]);
    at += text.length;
  }
  return found;
}

function next(source, at, patterns) {
  for (const [kind, pattern] of patterns) {
    pattern.lastIndex = at;
    const found = pattern.exec(source);
    if (found) return [kind, found[0]];
  }
  return [null, source[at]];
}
