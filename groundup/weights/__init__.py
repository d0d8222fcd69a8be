"""files <-> a model: every format is read and written from one table of tensor names, so that the
round trip is the test.

What comes in:  a Hugging Face folder (config.json, safetensors, whole or sharded), a .gguf file, a
                name of the catalog
What goes out:  a model with its tokenizer (model_io.OpenModel), or such a folder, GGUF or Ollama
                Modelfile on disk

`model_io` is the only way in and out for the other rooms: `open_model(name_or_path, compute)` and
`save_model(model, folder, tokenizer)`.

Where to begin reading:

    names               our parameter names against Hugging Face's and GGUF's, as tables read both
                        ways
    safetensors_header, gguf_header    the checks of a foreign file's header, before any tensor is
                                       read
    hf_families         which key of config.json is which field of ModelConfig, a table per family
    hf_config           config.json <-> ModelConfig; hf_positions for RoPE and sliding windows
    formats             every format in one table: `hf`, `gguf` (read and written), `ollama`
                        (written); `model_format` defines a format
    packed              weights in int8 or int4 beside the model's own, written once
    gguf_architectures  what llama.cpp computes, as a table, and which models it therefore runs
    gguf_config         GGUF metadata <-> ModelConfig; gguf for the whole file
    modelfile, card     the files that Ollama and the hub want beside the weights; `ollama create`
    catalog, verify     named models and where they come from; the check of every hash below a
                        folder

A file that is not what it claims to be raises FormatError and nothing else. Nothing is unpickled.
"""
