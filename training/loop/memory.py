"""How this process gets its memory from the system. Torch-free, since it has to be said before torch is there."""

from __future__ import annotations

import os


def large_pages() -> None:
    """Let torch ask for pages of 2 MB where Linux gives them to those who ask (`madvise`).

    A step hands back gradients and activations and gets them anew; in pages of 4 KB that is a hundred thousand page
    faults a step. To be called before torch allocates anything; what the person has set stays.
    """
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
