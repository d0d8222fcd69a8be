"""files <-> a model: every format is read and written from one table of tensor names, so that the
round trip is the test.

`model_io` is the only way in and out for the other rooms: `open_model(name_or_path, compute)` and
`save_model(model, folder, tokenizer)`. Begin with `names` (tensor names as tables), `hf_families`
and `hf_config` (config.json), `gguf_architectures` and `gguf` (what llama.cpp runs), `formats` (all
formats in one table). A file that is not what it claims to be raises FormatError and nothing else.
Nothing is unpickled.
"""
