"""What every script of the project would import first; see scripts.py."""

import os

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["CUDA_VISIBLE_DEVICES"] = ""

import tensorflow  # noqa: E402, F401
import tensorflow_compression  # noqa: E402, F401
