"""files <-> a model: every format read and written from one table of names, so that the round trip is the test.

What comes in:  a Hugging Face folder (config.json, safetensors, whole or sharded), a .gguf file, a name of the catalog
What goes out:  a model with its tokenizer (model_io.OpenModel), or such a folder, GGUF or Ollama Modelfile on disk

`model_io` is the only way in and out for the other rooms: `open_model(name_or_path, compute)` and `save_model(model, folder, tokenizer)`.

Where to begin reading:

    layouts, names      our parameter names against Hugging Face's and GGUF's, as tables read both ways
    safetensors_header, gguf_header    what is checked before a byte of a foreign file is believed
    hf_families         which key of config.json is which field of ours, a table for each family
    hf_config           config.json <-> ModelConfig, with rope (stretched positions) and windows (which layer sees how far)
    hf, gguf            the two formats: read and write
    gguf_architectures, exportable    what llama.cpp computes, as a table, and what a model can therefore be written as
    modelfile, card     what Ollama and the hub want beside the weights; `ollama` runs its `create`
    catalog, verify     named models and where they come from; every hash below a folder

A file that is not what it claims to be raises FormatError and nothing else. Nothing is ever unpickled.
"""
