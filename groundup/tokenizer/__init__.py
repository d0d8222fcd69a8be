"""Text <-> ids, without torch.

In:  texts (to train on, to encode), ids (to decode), conversations (to render), foreign tokenizers
     (a `tokenizer.json`, GGUF metadata).
Out: ids, bytes, offsets; for a conversation also the loss mask; a folder that transformers opens,
metadata that llama.cpp reads.

    bpe             readable byte-pair encoding, trainer and encoder; the test of the fast one
    spec            a `tokenizer.json` as a checked table: reading, checking, writing
    bytelevel       byte-level BPE (GPT-2, Llama 3, Qwen, SmolLM and our own): pre-tokenizers and
                    byte alphabet
    sentencepiece   SentencePiece BPE (Llama 1 and 2, Mistral, Gemma, Phi-3): "▁" for a space, byte
                    tokens, scores
    wordpiece       WordPiece (BERT and its sentence encoders): words split at punctuation, "##"
                    inside a word, "[CLS]" ... "[SEP]"
    special         the control tokens and their roles
    fast            `Tokenizer`, used everywhere else, and `train_tokenizer`; by the `tokenizers` or
                    `tiktoken` library
    kinds           tokenizers of bytes and of characters, for teaching
    tiktoken_ranks  vocabularies of `tiktoken` -> Tokenizer
    formats         GGUF metadata -> Tokenizer -> GGUF metadata
    template        chat templates of models, run with limits in a process of their own (`sandbox`)
    tools           tool calls: their format in a chat template, and JSON -> ToolCall
    chat            Message, Conversation and `render()`: conversation -> ids and loss mask

User text never becomes a control token: `<|im_end|>` typed by a user is ten characters of text.
Only `encode_control` (for a prompt that is already rendered) and the chat template make control
tokens.

Begin reading with bpe, then fast, then chat.
"""
