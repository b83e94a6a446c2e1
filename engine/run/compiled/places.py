"""Where numbers stand that Python and compiled code tell each other: in bytes from an address on, 64 bits each.

Nothing here needs numba, so both can import it.
"""

# What a team shares (`code/team.py`); what several threads write is in cache lines of its own.
CALL = 0  # twice how many jobs there have been; odd while the next is being written down
OPEN, DONE = 64, 128  # the section that is open, with the number of parts taken; parts done
KIND, FIRST, ARGUMENTS = 256, 264, 272  # the job: what it is, the number of its first section, and ten numbers
SECTION = 360  # the first number that no section has had yet, from 1 on: 0 would be open from the beginning
TEAM = 384  # bytes
READ, MULTIPLY = 1, 2  # kinds of jobs

# A product (`code/products.py`).
BITS, INPUTS, OUTPUTS, BLOCKS = 0, 8, 16, 24  # BLOCKS: of as many outputs as a register has lanes
WEIGHTS, SCALES, SHIFTS, BIAS = 32, 40, 48, 56  # addresses; see `linear.py` for what stands there
AFTER = 64  # what is done with the outputs: 0 nothing, 1 GELU
PARTS = 72  # in how many the blocks are shared out
PRODUCT = 80  # bytes
TILE = 8  # rows that go through a block together

# A model (`code/tokens.py`).
LAYERS, STREAM_WIDTH, INNER, HEADS, KV_HEADS, HEAD_DIM = 0, 8, 16, 24, 32, 40
LAYER_NORM, GATE = 48, 56  # whether norms take away the mean; how the gate is bent: 0 there is none, 1 SiLU, 2 GELU
EPS, HEAD_EPS, SCALE = 64, 72, 80  # fp32 in the lower half
ROPE = 88  # the address of cosines and sines in turn, fp32 [context, D/2, 2], or 0
STREAM, BETWEEN, ROUNDED, ROW_SCALES = 96, 104, 112, 120  # rows: the residual stream; what a product reads; it rounded
PROJECTED, ATTENDED, EXPANDED = 128, 136, 144  # rows of what products wrote, and of what attention did
POCKETS, ROOM = 152, 160  # each thread's own: POCKET bytes, and four rows of scores, of so many bytes each
TOKENS, TABLE, TABLE_BITS, POSITIONS = (
    168,
    176,
    184,
    192,
)  # the embedding, bf16 or fp32; 0: it stands in the stream
TABLE_SCALE = 200  # fp32: embeddings times this
TOGETHER = 208  # whether one token's heads that share keys go through them together: not with more threads than keys
THREADS = 216  # that there are pockets for; others stay out
BOTH_WAYS = 224  # whether tokens see what comes behind them, too; they are all read at once then
FINAL_WEIGHT, FINAL_BIAS, HEAD = 232, 240, 248  # the last norm, and the head's product from here on
FIRST_LAYER = HEAD + PRODUCT
QKV, OUT, UP, DOWN = 0, PRODUCT, 2 * PRODUCT, 3 * PRODUCT  # a layer's products
NORM_WEIGHT, NORM_BIAS, MLP_WEIGHT, MLP_BIAS, HEAD_NORMS = (4 * PRODUCT + 8 * number for number in range(5))
LAYER = 4 * PRODUCT + 40  # bytes
POCKET = 20480  # bytes: four rounded queries, or a block's sums for 256 rows
