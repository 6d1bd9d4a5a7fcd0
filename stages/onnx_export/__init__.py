"""Writes, opens and checks the ONNX model."""
