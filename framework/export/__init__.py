"""Trained policies as files that need no framework: ONNX, and programs of `torch.export`."""
