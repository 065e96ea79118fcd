"""The plate detector: frames with labelled plate boxes come in, one ONNX file per input size goes out."""
