"""The ONNX file: written, opened, checked."""
