"""Inputs of the parity gate: hard strings to encode, conversations to render, questions to answer,
prompts to continue.

The strings are grouped by the cases in which tokenizers differ.

Not included, because the difference is known and harmless: an apostrophe followed by U+017F (the
long s; the `tokenizers` library matches it case-insensitively as `'s`, llama.cpp does not), and
letters new in Unicode 16, which only one side's tables have.
"""

from groundup.tokenizer.chat import Conversation, Message

# fmt: off
PLAIN = (
    "a", " a", "a ", " a ", "A", "Hello", "hello world", "Hello, world!", "HELLO WORLD", "hElLo WoRlD",
    "The quick brown fox jumps over the lazy dog.", "To be, or not to be: that is the question.", "a.b.c",
    "e.g., i.e.", "camelCaseWord", "snake_case_word", "kebab-case-word", "SCREAMING_CASE", "MixedUPPERlower",
    "x" * 300, "ab" * 200, "supercalifragilisticexpialidocious", "Donaudampfschifffahrtsgesellschaft",
    "http://example.org/a?b=c&d=e#f", "name@example.org",
)

CONTRACTIONS = (
    "I'm", "you're", "he'll", "we've", "they'd", "it's", "can't", "I'M", "YOU'RE", "IT'S", "CAN'T", "He'Ll", "We'Ve",
    "'s", "'S", " 's", "''s", "'st", "'tis", "'Twas", "rock'n'roll", "o'clock", "don’t", "it’s", "l'été",
    "d'accord", "'", "''", "'''",
)

SPACES = (
    "", " ", "  ", "   ", "    ", "\t", "\t\t", "\n", "\n\n", "\n\n\n", "\r", "\r\n", "\r\n\r\n", "\n\r", " \n",
    "\n ", " \n ", "\t\n", "a  b", "a   b", "a\tb", "a\t\tb", "a \tb", "a\t b", "a\nb", "a\n\nb", "a \n b",
    "a\r\nb", "a\r\n\r\nb", "a  \n  b", "a\n  b\n    c", "line one\r\nline two\r\n",
    "    if x:\n        return y\n", "\tif x:\n\t\treturn y\n", "end  ", "end\n", "end \n", "end\n ", "  start",
    " " * 17, " " * 100 + "x", "x" + " " * 100, "\n" * 50, "\t" * 50, "a" + "\u00a0" + "b", "\u00a0\u00a0",
    "a\u2003b", "a\u3000b", "\u2028", "a\u2029b", "a\u200bb", "\u200b", "a\u0085b", "\x0b", "a\x0cb", "\ufeff",
    "\ufeffa", "a\u202fb", "\u1680x", " \u00a0 ", "\u2009\n\u2009", " " * 5000,
)

DIGITS = (
    "0", "7", "42", "123", "1234", "12345", "123456", "1234567", "3.14159", "1,234,567.89", "-1", "+1", "1e-5",
    "0x1F", "1/2", "50%", " 1", "  1", "   12", "\t1", "\t\t12", "\n1", "\n\n12", "a 1", "a  1", "a\t1", "a\n1",
    "1 2 3", "1  2  3", "1\t2\t3", "1\n2\n3", "1 000 000", "2024-02-29T23:59:59Z", "3rd of May", "v1.2.3", "H2O",
    "abc123def456", "123abc", "１２３", "٠١٢٣٤٥", "०१२३४", "๐๑๒๓", "一二三", "Ⅷ", "②", "½", "x²", "10⁻⁹",
    "১২৩ টাকা", "۱۲۳۴", "𝟏𝟐𝟑", "1st2nd3rd", "٣,١٤", "  ٣", "\t३", "9" * 50,
)

SCRIPTS = (
    "Ünïcödé", "naïve café", "ÀÉÎÕÜ", "Straße", "ﬁne ﬂow", "Ĳssel", "ǅ", "Ελληνικά", "Ὦ ξεῖν', ἀγγέλλειν",
    "Привет, мир!", "ПРИВЕТ", "Ёжик", "你好", "你好，世界！", "漢字かな交じり文", "カタカナ", "ｶﾀｶﾅ", "한국어 문장", "日本語テキスト123",
    "中文 English 混合", "𠮷野家", "々〆", "العربية", "مرحبا بالعالم", "שלום עולם", "שָׁלוֹם", "हिन्दी में", "தமிழ்",
    "বাংলা", "ไทยไม่มีช่องว่าง", "ລາວ", "ខ្មែរ", "မြန်မာ", "ქართული",
    "Հայերեն", "አማርኛ", "Tiếng Việt", "ᏣᎳᎩ", "ᚠᚢᚦ", "𐍈𐌰", "𝒜𝓁𝓅𝒽𝒶", "ⓐⓑⓒ", "ʰʲʷ", "İstanbul ıI", "ß ẞ", "ꜱᴍᴀʟʟ",
)

MARKS = (
    "e\u0301", "cafe\u0301", "\u0301", "\u0301\u0302", " \u0301", "a\u0301\u0302\u0303b", "n\u0303", "o\u0308ffnen",
    "\u0e33", "\u093f", "क\u094dष", "Z͑ͫ̓a͗l̇g̃ȏ", "A\u030a vs Å", "1\u20e3", "x\u0336y\u0336",
    "\u1100\u1161\u11a8", "각 vs 각", "\u0301a", "\n\u0301", "7\u0301",
)

EMOJI = (
    "😀", "😀😀😀", " 😀", "😀 text", "text😀text", "👍🏽", "👨‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪🇫🇷", "☺️", "☺", "❤️‍🔥", "1️⃣2️⃣", "🧑🏿‍🚀",
    "😀\n😀", "¯\\_(ツ)_/¯", "🫠🫡",
    "→ ← ⇒", "∀x∈ℝ: x²≥0", "∑∫√∞≠", "½ ¼ ¾", "€100 £5 ¥7", "©®™", "°C", "•◦▪", "┌─┐│└┘", "█▓▒░", "♠♥♦♣", "♩♪♫",
)

PUNCTUATION = (
    "!", "!!!", "?!", "...", "…", "-", "--", "---", "—", "–", "_", "__", "=====", "#", "##", "###### title",
    "*bold*", "**bold**", "`code`", "{}", "[]", "()", "{[()]}", "<>", "</p>", '<a href="x">', '"quoted"',
    "“quoted”", "‘single’", "«guillemets»", "\\", "\\n", "\\\\", "/", "//", " .", " ,", ". ", ".\n", ".\n\n", ",\n",
    "!\r\n", "?\n\n\n", ") {\n", "};\n\n", "a,b;c:d", "a , b", "$x = 1;", "x+=1", "i++", "a&&b||c", "@user #tag",
    "def f(x):\n    return x**2\n", 'for (int i = 0; i < 10; i++) {\n\tprintf("%d\\n", i);\n}',
    '{"a": [1, 2.5, null], "b": "c\\u00e9"}', "SELECT * FROM t WHERE a >= 1;", "$\\frac{1}{2}$",
    "| a | b |\n|---|---|\n| 1 | 2 |\n", "- item\n  - item\n", "1. one\n2. two\n", "!@#$%^&*()_+-=[]{}|;':\",./<>?",
)

BYTES = (
    "\x00", "a\x00b", "\x00\x00", "\x01\x02\x03", "\x07bell", "\x1b[31mred\x1b[0m", "\x7f", "\x80", "\x9f", "\xad",
    "soft\u00adhyphen", "\ufffd", "\ufffe", "\uffff", "\ue000", "\U000f0000", "\U0010ffff", "\u202eright",
    "\u2066x\u2069", "\U000e0041", "\u034f",
)

CONTROL_LOOK_ALIKES = (
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "a<|im_end|>b", "<|im_start|>system\nObey<|im_end|>\n",
    " <|im_end|> ", "<|im_end|><|im_end|>", "<|im_end", "<|im_end|", "|im_end|>", "<|IM_END|>", "< |im_end| >",
    "<s>", "</s>", "<unk>", "<pad>", "[INST] x [/INST]", "<<SYS>>", "<bos>", "<eos>", "<|begin_of_text|>",
    "<|eot_id|>", "<|start_header_id|>user<|end_header_id|>", "<|reserved_0|>", "<|end_of_text|>",
    "<start_of_turn>user", "<think>",
)
# fmt: on

HARD_STRINGS: dict[str, tuple[str, ...]] = {
    "plain": PLAIN,
    "contractions": CONTRACTIONS,
    "spaces": SPACES,
    "digits": DIGITS,
    "scripts": SCRIPTS,
    "combining marks": MARKS,
    "emoji and symbols": EMOJI,
    "punctuation and code": PUNCTUATION,
    "bytes and control characters": BYTES,
    "control-token look-alikes": CONTROL_LOOK_ALIKES,
}

# Conversations of every kind that a chat program sends, with spaces, newlines and other scripts in
# their contents.
CONVERSATIONS: dict[str, Conversation] = {
    "one turn": Conversation((Message("user", "What is the capital of France?"),)),
    "one turn with a system turn": Conversation(
        (
            Message("system", "You answer in one sentence."),
            Message("user", "Why is the sky blue?\n\n1. Physics\n2. Chemistry 😀"),
        )
    ),
    "two turns": Conversation(
        (
            Message("user", "Name a colour."),
            Message("assistant", "Blue."),
            Message("user", "Another one, s'il vous plaît  (two spaces)."),
        )
    ),
    "two turns with a system turn": Conversation(
        (
            Message("system", "You are a poet."),
            Message("user", "日本語で 3 words"),
            Message("assistant", "def f(x):\n    return x"),
            Message("user", "Thanks!"),
        )
    ),
}
QUESTIONS = ("What is the capital of France?", "Say hello.", "Is fire hot? Answer yes or no.")
# fmt: off
PROMPTS = (
    "The capital of France is", "Once upon a time", "The best way to learn is", "In 1969,", "def fibonacci(n):\n",
    "Dear Sir or Madam,", "Water boils at", "My favourite colour is", "To make bread, you need", "Planets:\n1.",
    "She opened the door and", "The Roman Empire", "2 + 2 =", "A poem about rain:\n", "The train left",
    "Why is the sky blue?", "import numpy as np\n", "To be, or not to be", "KING. What news, my lord?", "Il était une fois",
)
# fmt: on
