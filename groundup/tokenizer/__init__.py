"""Text <-> ids. No tensors live here, and no torch is imported.

In:  texts (to train on, to encode), ids (to decode), conversations (to render), foreign tokenizers (a `tokenizer.json`, GGUF metadata).
Out: ids, bytes, offsets; for a conversation also the loss mask; a folder that transformers opens, metadata that llama.cpp reads.

    split     how text falls into pieces before any merging: the expressions, by llama.cpp's names
    bpe       byte-pair encoding in its plainest form, trainer and encoder; the test of the fast one
    spec      a `tokenizer.json` as a checked table: reading, checking, writing
    bytelevel its style in GPT-2, Llama 3, Qwen, SmolLM and our own: a character for each byte
    pieces    its style in Llama 1 and 2, Mistral, Gemma, Phi-3: SentencePiece, with "▁" for a space and byte tokens for what is left
    scores    merges from SentencePiece's scores and back; the readable way to merge by scores
    special   the control tokens and what each is for
    ranks     the merges of byte-level BPE for the `tiktoken` library, where that provably gives the same ids
    fast      `Tokenizer`, what everything else uses, and `train_tokenizer`
    formats   GGUF metadata -> Tokenizer -> GGUF metadata
    template  chat templates from models, run under bounds: `sandbox` is the script of the process that runs them
    chat      Message, Conversation and `render()`: the one way from a conversation to ids and loss mask

One rule runs through all of it: text that somebody wrote never becomes a control token. `<|im_end|>` typed by a user is ten
characters of text. Only `encode_control` (for a prompt that is already rendered) and the chat template make control tokens.

Begin reading with bpe, then fast, then chat.
"""
