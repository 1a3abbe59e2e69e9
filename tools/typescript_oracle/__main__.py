"""`python -m tools.typescript_oracle`: asks TypeScript itself what the corpus of the tests means, and writes it down.

Needs Node.js 20 or newer and npm, with a registry to install from. Nothing is left behind but the answers.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE.parent.parent / "tests" / "gateway" / "typescript" / "corpus"


def main() -> None:
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            sys.exit(f"{program} is not installed: see https://nodejs.org")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("package.json", "oracle.mjs"):
            shutil.copy(HERE / name, folder)
        subprocess.run(["npm", "install", "--silent", "--no-audit", "--no-fund"], cwd=folder, check=True)
        subprocess.run(["node", "oracle.mjs", str(CORPUS)], cwd=folder, check=True)
    print(f"{len(list(CORPUS.glob('*.json')))} files of answers in {CORPUS}")


main()
