"""The demo model and the child program that serves it, so that a fresh install answers without a key.

`python -m gateway.embedded` runs llama.cpp on a unix socket, in a process of its own. Nothing here is imported
by the gateway's request path: it starts the child and speaks HTTP to it, as to any other provider.
"""

from pathlib import Path
from typing import Final

MODEL_FILE: Final = Path(__file__).with_name("demo.gguf")
CONTEXT: Final = 1024  # tokens of prompt and answer together, in each slot: what the demo model was trained on
SLOTS: Final = 4  # completions that run at the same time; llama.cpp queues the rest without limit
