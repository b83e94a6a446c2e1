"""Reading tokens by machine code: one call for a whole token instead of some two hundred operators.

What is compiled is `code/`: loops in Python over the processor's vector registers (`registers.py`), by numba, which
only whoever changes them needs. What comes of it ships in `machine_code/`, 330 KB for Linux on x86-64, with AVX-512 and
VNNI or with AVX2; elsewhere, and for models that it does not know (`CompiledStep.fits`), torch does the same.
`places.py` is what both sides know.
"""
