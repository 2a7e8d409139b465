"""Run by test_concurrency in a process of its own: codecs in forked processes.

Argument: the folder of hyperprior's models. Prints what each fork gave.
"""

import hashlib
import multiprocessing
import os
import sys

from tests.fuzz import samples
from tests.trust import workers
from tfsemcomp.serving import manifest


def digest() -> str:
    """Of hyperprior's sample files."""
    return hashlib.sha256(b"".join(samples.files("hyperprior"))).hexdigest()


def main() -> None:
    """Forks before and after the first network was used."""
    os.environ[manifest.ENVIRONMENT_VARIABLE] = sys.argv[1]
    context = multiprocessing.get_context("fork")
    with context.Pool(2) as pool:
        print(*pool.starmap(digest, [()] * 2))
    print(digest())
    with context.Pool(1) as pool:
        print(pool.apply(workers.error_of_coding, ("hyperprior",)))
        print(pool.apply(workers.error_of_coding, ("jpeg",)) or "none")


if __name__ == "__main__":
    main()
