``rdv dial`` and ``rdv accept`` show a progress bar with rate and remaining time while they transfer
a file or pipe, if stderr is a terminal and ``tqdm`` is installed (``pip install '.[progress]'``).
With ``--quiet``, they only print errors.
