"""What is measured and reported while a model trains: validation loss, samples, tasks, logs. Begin
with `callbacks.py`.
"""
