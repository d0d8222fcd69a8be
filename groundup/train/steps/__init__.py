"""What one training step needs: configuration, losses, precision, batches, processes. Begin with
`step.py`.
"""
