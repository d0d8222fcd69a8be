"""One run on several processes: the strategies SingleProcess, DDP and FSDP. Begin with
`single_process.py`.
"""
