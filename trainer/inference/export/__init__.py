"""A run as a file for other programs: ONNX, torch.export, or a folder for the Hugging Face hub; proven on pictures."""
